import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from made_up_runs import CLASSES, COPIES, PHOTOS, Runs, write
from ripik.analysis import align, load, load_run, load_test
from ripik.errors import InputError


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    made = Runs(tmp_path)
    made.write_folds()
    made.write_oof("here/original", 0.6)
    made.write_oof("here/ensemble", 0.9, seed=2)
    return made


def test_a_frame_tells_everything_about_each_image(runs: Runs) -> None:
    given = runs.predicted(0.6, 0)
    found = load(runs.output / "here" / "original")
    assert (found.name, found.metric, found.meta) == ("original", "macro_f1", {})
    assert found.classes == tuple(CLASSES)
    assert list(found.frame.columns) == [
        *("image_id", "path", "label", "fold", "group"),
        *(f"p_{label}" for label in CLASSES),
        *("predicted", "confidence", "margin", "loss"),
    ]
    row = found.frame.iloc[4]
    own, values = row[f"p_{row['label']}"], row[[f"p_{label}" for label in CLASSES]].to_numpy(float)
    assert row["predicted"] == CLASSES[values.argmax()]
    assert row["confidence"] == values.max()
    assert row["margin"] == pytest.approx(
        own - max(v for label, v in zip(CLASSES, values, strict=True) if label != row["label"])
    )
    assert row["loss"] == pytest.approx(-np.log(own))
    assert ((found.frame["margin"] > 0) == (found.frame["predicted"] == found.frame["label"])).all()
    assert np.array_equal(found.probabilities, given.filter(like="p_").to_numpy())
    found.probabilities[:] = 0  # an array of its own
    assert np.array_equal(found.probabilities, given.filter(like="p_").to_numpy())
    assert [CLASSES[index] for index in found.targets] == given["label"].tolist()
    assert len(np.unique(found.groups)) == PHOTOS


def test_every_way_to_name_predictions(runs: Runs) -> None:
    folder = runs.output / "here"
    assert load(folder).name == "ensemble"
    assert load(str(folder / "original" / "oof.csv")).frame.equals(load(folder / "original").frame)
    assert list(load_run(folder)) == ["original", "ensemble"]


def test_the_configuration_gives_order_and_metric(runs: Runs) -> None:
    runs.write_oof("here/another", 0.7)
    config = '[competition]\nmetric = "accuracy"\n[variants.original]\n[variants.another]\n[variants.not_trained]\n'
    (runs.output / "here" / "config.toml").write_text(config)
    assert list(load_run(runs.output / "here")) == ["original", "another", "ensemble"]
    assert load(runs.output / "here").metric == "accuracy"
    assert load(runs.output / "here", metric="log_loss").metric == "log_loss"


def test_a_variant_that_the_configuration_does_not_list_is_left_out(runs: Runs) -> None:
    runs.write_oof("here/removed", 0.7)
    runs.edit("here/removed/oof.csv", lambda frame: frame.assign(fold="9"))
    (runs.output / "here" / "config.toml").write_text("[variants.original]\n")
    assert list(load_run(runs.output / "here")) == ["original", "ensemble"]


def test_paths_come_from_the_runs_own_list(runs: Runs) -> None:
    images = pd.DataFrame({"image_id": ["0001", "0001"], "split": ["test", "train"], "path": ["/t/1.jpg", "/a/1.jpg"]})
    write(runs.output / "here" / "images.csv", images)
    assert load(runs.output / "here").frame["path"].tolist()[:3] == ["", "/a/1.jpg", ""]
    test = runs.predicted(0.9, 2).drop(columns=["fold", "label"]).head(4)
    write(runs.output / "here" / "ensemble" / "test.csv", test)
    found = load_test(runs.output / "here")
    assert found["path"].tolist() == ["", "/t/1.jpg", "", ""]
    assert found["confidence"].tolist() == test.filter(like="p_").max(axis=1).tolist()


def test_groups_of_near_copies_join_those_of_the_folds(runs: Runs) -> None:
    ids = runs.folds["image_id"]
    groups = pd.DataFrame({"image_id": ids, "split": "train", "group": runs.folds["group"] // 2})
    write(runs.output / "here" / "groups.csv", groups)
    assert len(np.unique(load(runs.output / "here").groups)) == PHOTOS // 2
    write(runs.output / "here" / "groups.csv", groups.iloc[1:])  # of other images: of no use
    assert len(np.unique(load(runs.output / "here").groups)) == PHOTOS


def test_folds_of_another_run_can_be_named(runs: Runs) -> None:
    loose = runs.folder / "mine.csv"
    write(loose, runs.predicted(0.9, 2).drop(columns="fold"))
    with pytest.raises(InputError, match=r"no folds\.csv found that says which images of .*mine\.csv"):
        load(loose)
    found = load(loose, folds=runs.output / "here" / "folds.csv")
    assert found.frame["fold"].tolist() == runs.folds["fold"].tolist()


DAMAGE: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "other folds": (
        "original/oof.csv",
        lambda f: f.assign(fold=["4", "4", *f["fold"][2:]]),
        r"line 2: image 0000 and 1 more are in a different fold",
    ),
    "a fold in words": (
        "original/oof.csv",
        lambda f: f.assign(fold=["one", *f["fold"][1:]]),
        r"line 2: fold 'one' is not a whole number",
    ),
    "no group": ("folds.csv", lambda f: f.iloc[2:], r"no group for 2 images .*0000, 0001"),
    "an empty group": ("folds.csv", lambda f: f.assign(group=["", *f["group"][1:]]), "no group for 1 images"),
    "no group column": ("folds.csv", lambda f: f.drop(columns="group"), "no column group"),
    "unknown label": (
        "original/oof.csv",
        lambda f: f.assign(label=["rust", *f["label"][1:]]),
        "1 images have labels without a column, the first 0000: there is no p_rust",
    ),
    "scores": (
        "original/oof.csv",
        lambda f: f.assign(p_dent="7"),
        r"probabilities of 240 images are negative or do not sum to 1",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_clear_error(runs: Runs, name: str) -> None:
    where, change, message = DAMAGE[name]
    runs.edit(f"here/{where}", change)
    with pytest.raises(InputError, match=message):
        load(runs.output / "here" / "original")


def test_what_is_not_there_says_what_is(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*oof\.csv.*make train"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"test\.csv.*make train"):
        load_test(runs.output / "here")
    (runs.output / "here" / "ensemble" / "oof.csv").unlink()
    with pytest.raises(InputError, match=r"There are original\."):
        load(runs.output / "here")
    with pytest.raises(InputError, match=r"no oof\.csv in a folder"):
        load_run(tmp_path / "nowhere")


def test_a_broken_configuration_is_told(runs: Runs) -> None:
    (runs.output / "here" / "config.toml").write_text("[competition")
    with pytest.raises(InputError, match=r"config\.toml is not valid TOML"):
        load(runs.output / "here")


def test_other_order_of_rows_and_classes_aligns(runs: Runs) -> None:
    a, b = load(runs.output / "here" / "original"), load(runs.output / "here")
    runs.write_oof("here/ensemble", 0.9, seed=2, order=3)
    runs.edit("here/ensemble/oof.csv", lambda f: f[[*f.columns[:3], *sorted(f.columns[3:], reverse=True)]])
    shuffled = load(runs.output / "here")
    assert shuffled.classes != a.classes
    aligned = align(a, shuffled)
    assert aligned.classes == a.classes
    assert np.array_equal(aligned.probabilities, b.probabilities)
    assert aligned.frame["image_id"].tolist() == a.frame["image_id"].tolist()


def test_other_images_do_not_align(runs: Runs) -> None:
    a = load(runs.output / "here" / "original")
    runs.edit("here/original/oof.csv", lambda f: f.iloc[3:])
    with pytest.raises(InputError, match=r"different image ids: 3 only the first has \(0000, 0001, 0002\)"):
        align(a, load(runs.output / "here" / "original"))


def test_neither_tensorflow_nor_images_nor_settings_are_loaded(runs: Runs) -> None:
    heavy = ["tensorflow", "keras", "cv2", "pydantic", "scipy", "sklearn", "matplotlib", "albumentations"]
    code = (
        "import sys; from ripik import analysis; "
        f"analysis.scores(analysis.load({str(runs.output / 'here')!r})); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_copies_are_counted_once(runs: Runs) -> None:
    assert load(runs.output / "here").frame.groupby("group").size().eq(COPIES).all()
