import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from conftest import SPLITS, Tiny
from ripik.data.competition import read_competition
from ripik.errors import InputError
from ripik.splits import groups as module
from ripik.splits.absences import without_absences
from ripik.splits.dealing import rows_of
from ripik.splits.folds import check_groups, kept, read_folds
from ripik.splits.near_copies.find import Groups
from ripik.splits.run import make_folds
from ripik.splits.splitting import imbalance, split


@pytest.fixture
def known_groups(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Let the near-copy detection answer the truth at once."""

    def truth(paths: list[Path], **_: object) -> Groups:
        photos = tiny.truth.set_index("image_id")["photo"].to_dict()
        photo = [photos.get(path.stem, path.stem) for path in paths]  # a test photo is by itself
        group = np.array([photo.index(each) for each in photo])
        return Groups(group, np.full(len(group), -1), np.full(len(group), np.nan))

    monkeypatch.setattr(module, "near_copy_groups", truth)
    return tiny


@st.composite
def photos(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels and groups of images, each class with two photos or more, and a number of folds that they can fill."""
    label_of_group = [0, 0, 1, 1, 2, 2, *draw(st.lists(st.integers(0, 2), max_size=20))]
    copies = draw(st.lists(st.integers(3, 5), min_size=len(label_of_group), max_size=len(label_of_group)))
    order = draw(st.randoms(use_true_random=False))
    rows = [(label, group) for group, label in enumerate(label_of_group) for _ in range(copies[group])]
    order.shuffle(rows)
    labels, groups = np.array(rows).T
    return labels, groups, draw(st.integers(2, 5))


@effort(max_examples=60, deadline=None)
@given(photos(), st.integers(0, 1000))
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_folds_partition_the_rows_and_groups_never_cross(drawn: tuple[np.ndarray, np.ndarray, int], seed: int) -> None:
    labels, groups, n_splits = drawn
    fold = split(labels, groups, n_splits, seed)
    assert sorted(set(fold)) == list(range(n_splits))  # every row in a fold, no fold empty
    for group in np.unique(groups):
        assert len(set(fold[groups == group])) == 1
    for label in np.unique(labels):
        assert len(set(fold[labels == label])) >= 2  # every class is trained on, whichever fold is held


def test_folds_are_stratified() -> None:
    labels = np.repeat([0, 1, 2], [300, 150, 30])
    groups = np.arange(len(labels)) // 3
    fold = split(labels, groups, 5, 0)
    for label, share in ((0, 60), (1, 30), (2, 6)):
        assert np.bincount(fold[labels == label], minlength=5) == pytest.approx(share, abs=3)


def test_of_several_tries_the_most_even_is_kept() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(1, 7, 40))
    labels = rng.choice(3, 40, p=[0.6, 0.3, 0.1])[groups]
    each = [imbalance(labels, groups, split(labels, groups, 5, seed), 5) for seed in range(8)]
    assert imbalance(labels, groups, split(labels, groups, 5, 0, tries=8), 5) == min(each)
    assert len(set(each)) > 1


def test_imbalance_of_even_folds_is_nothing_and_counts_absent_classes() -> None:
    labels, groups = np.tile([0, 1], 6), np.arange(12)
    assert imbalance(labels, groups, np.repeat([0, 1, 2], 4), 3) == (0, pytest.approx(0))
    absences, unevenness = imbalance(labels, groups, np.where(labels == 0, 0, 1), 2)
    assert absences == 2
    assert unevenness == pytest.approx(1.0)  # each class wholly in one of two folds: 2 × (0.5² + 0.5²)


@effort(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_a_rare_class_with_enough_groups_is_in_every_fold(seed: int, n_splits: int) -> None:
    rng = np.random.default_rng(seed)
    label_of_group = np.repeat([0, 1], [40, n_splits])
    groups = np.repeat(np.arange(len(label_of_group)), rng.integers(1, 8, len(label_of_group)))
    fold = split(label_of_group[groups], groups, n_splits, seed)
    for label in (0, 1):
        assert set(fold[label_of_group[groups] == label]) == set(range(n_splits))


def test_an_absent_class_is_brought_into_its_fold() -> None:
    labels, groups = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.arange(8)
    fold = without_absences(rows_of(labels, groups), np.array([0, 0, 1, 1, 0, 0, 0, 0]), 2)
    assert imbalance(labels, groups, fold, 2)[0] == 0


def test_images_of_one_value_of_the_group_column_stay_together(known_groups: Tiny) -> None:
    cars = tiny_cars(known_groups)
    known_groups.edit(known_groups.train_csv, lambda frame: frame.assign(car=cars))
    folds = pd.read_csv(make_folds(known_groups.settings("competition.group_column=car")))
    assert (folds.groupby(cars)["fold"].nunique() == 1).all()
    assert folds["group"].nunique() == known_groups.truth["photo"].nunique() - 1


def tiny_cars(tiny: Tiny) -> np.ndarray:
    """Two photos of class 1 show one car, every other photo a car of its own."""
    return "car" + tiny.truth["photo"].replace({1: 0}).astype(str).to_numpy()


def test_a_seed_gives_the_same_folds_and_another_other_ones() -> None:
    labels, groups = np.arange(60) % 3, np.arange(60)
    assert np.array_equal(split(labels, groups, 5, 1), split(labels, groups, 5, 1))
    assert not np.array_equal(split(labels, groups, 5, 1), split(labels, groups, 5, 2))


def test_the_real_detection_finds_the_photos_of_the_tiny_competition(tiny: Tiny) -> None:
    path = make_folds(tiny.settings())
    found = pd.read_csv(path, dtype={"image_id": str})
    assert found.columns.tolist() == ["image_id", "label", "group", "fold"]
    assert found["image_id"].tolist() == tiny.truth["image_id"].tolist()
    assert found["label"].tolist() == tiny.truth["label"].tolist()
    assert set(found["fold"]) == set(range(SPLITS))
    pairs = pd.DataFrame({"group": found["group"], "photo": tiny.truth["photo"]}).drop_duplicates()
    assert len(pairs) == found["group"].nunique() == tiny.truth["photo"].nunique()
    groups = pd.read_csv(tiny.run / "groups.csv", dtype={"image_id": str, "matched_id": str})
    assert groups.columns.tolist() == ["image_id", "split", "group", "matched_id", "similarity"]
    assert groups["split"].value_counts().to_dict() == {
        "train": len(found),
        "test": len(read_competition(tiny.settings()).test),
    }


def test_folds_are_made_once_and_again_when_their_inputs_change(
    known_groups: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_folds(known_groups.settings())
    first, made = path.read_bytes(), path.stat().st_mtime_ns
    make_folds(known_groups.settings())
    assert "up to date" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == made
    make_folds(known_groups.settings("folds.n_splits=2"))
    assert set(pd.read_csv(path)["fold"]) == {0, 1}
    make_folds(known_groups.settings())
    assert path.read_bytes() == first


def test_the_table_of_folds_is_printed_when_they_are_made(
    known_groups: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    path, size = make_folds(known_groups.settings()), "27 images in 9 groups of near copies"
    made = capsys.readouterr().out
    assert size in made
    assert "fold 0" in made
    make_folds(known_groups.settings())
    assert capsys.readouterr().out.splitlines() == [f"folds: {path} is up to date: {size}"]


def test_folds_are_made_again_when_a_label_changes(known_groups: Tiny) -> None:
    path = make_folds(known_groups.settings())
    swapped = {"1": "2", "2": "1", "3": "3"}
    known_groups.edit(known_groups.train_csv, lambda frame: frame.assign(label=frame["label"].map(swapped)))
    make_folds(known_groups.settings())
    assert pd.read_csv(path)["label"].tolist() == [int(swapped[str(label)]) for label in known_groups.truth["label"]]


@pytest.mark.parametrize("names", [("1", "2", "3"), ("NA", "null", "01"), ("[/b]", ":car:", "a,b")])
def test_text_labels_of_any_kind_go_through(known_groups: Tiny, names: tuple[str, str, str]) -> None:
    rename = dict(zip("123", names, strict=True))
    known_groups.edit(known_groups.train_csv, lambda frame: frame.assign(label=frame["label"].map(rename)))
    settings = known_groups.settings("competition.label_type=string", f"competition.classes={list(names)}")
    make_folds(settings)
    found = read_folds(settings, read_competition(settings))
    assert found["label"].tolist() == [rename[str(label)] for label in known_groups.truth["label"]]


def test_ids_of_any_kind_go_through(known_groups: Tiny) -> None:
    odd = ["NA", "nan", "007", "7", "1e3", "a,b", "None"]
    names = [*odd, *known_groups.truth["image_id"][len(odd) :]]
    known_groups.edit(known_groups.train_csv, lambda frame: frame.assign(image_id=names))
    settings = known_groups.settings()
    make_folds(settings)
    assert read_folds(settings, read_competition(settings))["image_id"].tolist() == names


def test_folds_are_read_by_id_in_the_order_of_train_csv(tiny: Tiny) -> None:
    written = tiny.write_folds()
    written.sample(frac=1, random_state=0).to_csv(tiny.run / "folds.csv", index=False)
    found = read_folds(tiny.settings(), read_competition(tiny.settings()))
    pd.testing.assert_frame_equal(found, written, check_dtype=False)


def refusal(tiny: Tiny, *overrides: str) -> str:
    settings = tiny.settings(*overrides)
    with pytest.raises(InputError) as caught:
        read_folds(settings, read_competition(settings))
    return str(caught.value)


def test_missing_folds_say_what_to_run(tiny: Tiny) -> None:
    assert "make folds" in refusal(tiny)


def test_a_copy_moved_across_folds_on_purpose_is_refused(tiny: Tiny) -> None:
    folds = tiny.write_folds()
    folds.loc[4, "fold"] = (folds.loc[4, "fold"] + 1) % SPLITS
    folds.to_csv(tiny.run / "folds.csv", index=False)
    message = refusal(tiny)
    assert f"group {folds.loc[4, 'group']} " in message
    assert folds.loc[4, "image_id"] in message
    assert "make folds" in message


@pytest.mark.parametrize("change", ["missing", "extra", "twice", "other"])
def test_folds_of_other_ids_are_refused(tiny: Tiny, change: str) -> None:
    folds = tiny.write_folds()
    changed = {
        "missing": folds.iloc[1:],
        "extra": pd.concat([folds, folds.iloc[[0]].assign(image_id="new")]),
        "twice": pd.concat([folds, folds.iloc[[0]]]),
        "other": folds.assign(image_id=["new", *folds["image_id"][1:]]),
    }[change]
    changed.to_csv(tiny.run / "folds.csv", index=False)
    assert "ids of train.csv" in refusal(tiny)


def test_folds_of_other_labels_are_refused(tiny: Tiny) -> None:
    folds = tiny.write_folds()
    folds.assign(label=folds["label"].map({1: 2, 2: 1, 3: 3})).to_csv(tiny.run / "folds.csv", index=False)
    message = refusal(tiny)
    assert "label" in message
    assert "make folds" in message


@pytest.mark.parametrize("n_splits", [2, 5])
def test_folds_of_another_number_are_refused(tiny: Tiny, n_splits: int) -> None:
    tiny.write_folds()
    message = refusal(tiny, f"folds.n_splits={n_splits}")
    assert (
        f"the folds 0, 1, 2, but the configuration asks for {n_splits} (folds.n_splits). Delete it and run" in message
    )
    assert "make folds" in message


def test_folds_with_other_columns_are_refused(tiny: Tiny) -> None:
    tiny.write_folds().drop(columns="group").to_csv(tiny.run / "folds.csv", index=False)
    assert "columns" in refusal(tiny)


def test_check_groups_counts_the_others() -> None:
    folds = pd.DataFrame({"image_id": list("abcdef"), "group": [0, 0, 1, 1, 2, 2], "fold": [0, 1, 1, 0, 2, 2]})
    with pytest.raises(InputError, match=r"folds\.csv: group 0 \(images a, b\).*\(2 such groups in all"):
        check_groups(folds, Path("folds.csv"))
    check_groups(folds.iloc[4:], Path("folds.csv"))


def relabel(tiny: Tiny, photos_of_class_one: int) -> None:
    """Keep class 1 on its first photos only; the rest of them become class 2."""
    keep = tiny.truth["photo"] < photos_of_class_one
    label = tiny.truth["label"].where(keep | (tiny.truth["label"] != 1), 2)
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=label.astype(str)))


def test_a_class_with_one_group_is_refused(known_groups: Tiny) -> None:
    relabel(known_groups, 1)
    with pytest.raises(InputError, match=r"class 1 .*single group .*\(3 images\)") as stopped:
        make_folds(known_groups.settings())
    for way_out in (
        "different pictures",
        "folds.near_copy_threshold",
        "folds.near_copies = false",
        "Otherwise add photos",
    ):
        assert way_out in str(stopped.value)
    assert not (known_groups.run / "folds.csv").exists()


def test_a_class_with_fewer_groups_than_folds_is_a_warning(
    known_groups: Tiny, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    relabel(known_groups, 2)
    assert make_folds(known_groups.settings()).exists()
    told = capsys.readouterr().err
    assert "1 of 3 classes have fewer groups than the 3 folds" in told
    assert "1 (2 groups)" in told
    assert not [w for w in recwarn if "least populated" in str(w.message)]  # said once, in our words


def test_fewer_groups_than_folds_name_the_setting(known_groups: Tiny) -> None:
    with pytest.raises(InputError, match=r"folds\.n_splits"):
        make_folds(known_groups.settings("folds.n_splits=10"))


def test_more_folds_than_images_of_any_class_are_made_all_the_same(
    known_groups: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    one_copy = known_groups.truth.drop_duplicates("photo").index  # 3 classes × 3 photos for 5 folds
    known_groups.edit(known_groups.train_csv, lambda frame: frame.loc[one_copy])
    folds = pd.read_csv(make_folds(known_groups.settings("folds.n_splits=5")))
    assert sorted(folds["fold"].unique()) == [0, 1, 2, 3, 4]
    assert folds.groupby("label")["fold"].nunique().tolist() == [3, 3, 3]
    told = capsys.readouterr().err
    assert told.count("warning: ") == 1
    assert "3 of 3 classes have fewer groups than the 5 folds" in told


@effort(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 4), min_size=2, max_size=12), st.integers(5, 8), st.integers(1, 3), st.integers(0, 99))
def test_classes_rarer_than_the_folds_are_spread_as_far_as_they_go(
    sizes: list[int], n_splits: int, copies: int, seed: int
) -> None:
    label_of_group = np.repeat(np.arange(len(sizes)), sizes)
    assume(len(label_of_group) >= n_splits)
    groups = np.repeat(np.arange(len(label_of_group)), copies)
    labels = label_of_group[groups]
    fold = split(labels, groups, n_splits, seed)
    assert sorted(set(fold)) == list(range(n_splits))
    assert pd.Series(fold).groupby(labels).nunique().tolist() == sizes
    assert (pd.Series(fold).groupby(groups).nunique() == 1).all()
    order = np.random.default_rng(seed).permutation(len(labels))
    assert np.array_equal(split(labels[order], groups[order], n_splits, seed), fold[order])


def test_folds_of_the_users_are_kept_and_checked(known_groups: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_folds(known_groups.settings())
    frame = pd.read_csv(path)
    frame.assign(fold=(frame["fold"] + 1) % 3).to_csv(path, index=False)
    mine = path.read_bytes()
    make_folds(known_groups.settings())
    assert "by hand" in capsys.readouterr().out
    assert path.read_bytes() == mine
    frame.assign(fold=range(len(frame))).assign(fold=lambda f: f["fold"] % 3).to_csv(path, index=False)
    with pytest.raises(InputError, match="more than one fold"):
        make_folds(known_groups.settings())
    frame.assign(group=range(len(frame)), fold=lambda f: f.index % 3).to_csv(path, index=False)
    capsys.readouterr()
    make_folds(known_groups.settings())
    assert "your folds split " in capsys.readouterr().err


def test_files_that_would_be_kept_are_known_before(known_groups: Tiny) -> None:
    settings = known_groups.settings()
    competition, run = read_competition(settings), known_groups.folder / "output" / settings.run
    assert kept(settings, competition) == (False, False)
    path = make_folds(settings)
    assert kept(settings, competition) == (True, True)
    others = known_groups.settings("folds.seed=5")
    assert kept(others, read_competition(others)) == (True, False)
    path.write_text(path.read_text() + "\n")  # the user's now
    assert kept(others, competition) == (True, True)
    (run / "groups.csv").unlink()
    assert kept(settings, competition) == (False, True)


def test_folds_that_are_dealt_record_it_and_those_of_few_groups_do_not(
    known_groups: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_folds(known_groups.settings())
    meta = path.with_suffix(".meta.json")
    assert "dealing" not in json.loads(meta.read_text())["inputs"]
    monkeypatch.setattr("ripik.splits.splitting.MANY", 2)
    make_folds(known_groups.settings())
    assert json.loads(meta.read_text())["inputs"]["dealing"] == 1
