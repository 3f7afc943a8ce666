from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ripik.data.demo.drawing import CLASS_NAMES, COPIES, draw_competition, draw_photo, hidden_labels, photo_groups
from ripik.errors import InputError, SurroundingsError

SIZE = {"train_photos": 90, "test_photos": 14}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "demo"
    draw_competition(root, seed=3, size=48, **SIZE)
    return root


def read_images(folder: Path, names: pd.Series) -> np.ndarray:
    return np.stack([cv2.imread(str(folder / name))[..., ::-1] for name in names])


def test_layout_is_the_organisers(drawn: Path) -> None:
    train, test = pd.read_csv(drawn / "train/train.csv"), pd.read_csv(drawn / "test/test.csv")
    sample = pd.read_csv(drawn / "sample_submission.csv")
    assert list(train) == ["image_id", "filename", "label"]
    assert list(test) == ["image_id", "filename"]
    assert list(sample) == ["image_id", "label"]
    assert list(train.image_id) == list(range(1, 271))
    assert list(test.image_id) == list(range(271, 313)) == list(sample.image_id)
    for folder, table in (("train", train), ("test", test)):
        assert {path.name for path in (drawn / folder / "images").iterdir()} == set(table.filename)
        assert read_images(drawn / folder / "images", table.filename).shape == (len(table), 48, 48, 3)


def test_sample_submission_tells_nothing(drawn: Path) -> None:
    assert pd.read_csv(drawn / "sample_submission.csv").label.nunique() == 1


def test_classes_are_imbalanced_and_all_present(drawn: Path) -> None:
    counts = pd.read_csv(drawn / "train/train.csv").label.value_counts()
    assert set(counts.index) == set(CLASS_NAMES)
    assert counts.idxmin() == 1
    assert counts.idxmax() == 2
    assert (counts % COPIES == 0).all()
    assert counts.min() >= 5 * COPIES


def test_hidden_labels_join_the_test_ids(drawn: Path) -> None:
    hidden = hidden_labels(seed=3, **SIZE)
    assert list(hidden.index) == list(pd.read_csv(drawn / "test/test.csv").image_id)
    assert set(hidden) == set(CLASS_NAMES)
    pd.testing.assert_series_equal(hidden, hidden_labels(seed=3, **SIZE))
    assert not hidden.equals(hidden_labels(seed=4, **SIZE))


def test_groups_are_three_scattered_copies_of_one_label(drawn: Path) -> None:
    table = pd.read_csv(drawn / "train/train.csv").set_index("image_id")
    table["group"] = photo_groups(seed=3, train_photos=90)
    by_group = table.groupby("group")
    assert (by_group.size() == COPIES).all()
    assert (by_group.label.nunique() == 1).all()
    spread = by_group.apply(lambda rows: rows.index.max() - rows.index.min())
    assert spread.median() > len(table) / 5


def test_copies_differ_yet_show_the_same_photo(drawn: Path) -> None:
    table = pd.read_csv(drawn / "train/train.csv")
    groups = photo_groups(seed=3, train_photos=90).to_numpy()
    images = read_images(drawn / "train/images", table.filename).astype(float)
    for photo in range(20):
        first, second, third = images[groups == photo]
        stranger = images[groups == photo + 20][0]
        nearest = min(_distance(first, second), _distance(first, third))
        assert 0 < nearest < _distance(first, stranger)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    flat = [view - view.mean() for view in (one, other, other[:, ::-1])]
    return min(float(np.abs(flat[0] - flat[k]).mean()) for k in (1, 2))


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("a", "b", "c")]
    for root, seed in zip(roots, (1, 1, 2), strict=True):
        draw_competition(root, seed=seed, train_photos=12, test_photos=12, size=32)
    first, again, other = ([path.read_bytes() for path in sorted(root.rglob("*.jpg"))] for root in roots)
    assert first == again
    assert first != other
    assert len(set(first)) == 72


@pytest.mark.parametrize("label", sorted(CLASS_NAMES))
def test_photo_is_rgb_of_the_asked_size(label: int) -> None:
    photo = draw_photo(label, np.random.default_rng(0), 40)
    assert photo.shape == (40, 40, 3)
    assert photo.dtype == np.uint8
    assert photo.std() > 10


def test_each_class_has_a_damage_of_its_own() -> None:
    photos = [draw_photo(label, np.random.default_rng(7), 64).tobytes() for label in CLASS_NAMES]
    assert len(set(photos)) == len(CLASS_NAMES)


def test_colours_and_thumbnails_stay_under_half(drawn: Path) -> None:
    table = pd.read_csv(drawn / "train/train.csv")
    images = read_images(drawn / "train/images", table.filename)
    thumbnails = [cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).ravel() for image in images]
    groups = photo_groups(seed=3, train_photos=90)
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(images, table.label, groups))
    for features in (images.mean(axis=(1, 2)), np.array(thumbnails)):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.01))
        predicted = cross_val_predict(model, features, table.label, cv=folds)
        assert f1_score(table.label, predicted, average="macro") < 0.5


def test_too_few_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 12"):
        draw_competition(tmp_path / "demo", seed=0, train_photos=11, test_photos=12, size=32)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(drawn: Path) -> None:
    with pytest.raises(InputError, match="already exists"):
        draw_competition(drawn, seed=0, train_photos=12, test_photos=12, size=32)


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ripik.data.demo.drawing._write_tables", disk_full)
    with pytest.raises(SurroundingsError, match="No space left"):
        draw_competition(tmp_path / "demo", seed=0, train_photos=12, test_photos=12, size=32)
    assert list(tmp_path.iterdir()) == []
