"""Groups and folds, whatever the rows: nobody lost, nothing parted, and no dependence on the order they come in."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from conftest import Tiny, write_competition
from ripik.analysis.groups import joined
from ripik.data.competition import Competition, read_competition
from ripik.settings import Settings
from ripik.splits.folds import COLUMNS, read_folds
from ripik.splits.groups import read_groups
from ripik.splits.near_copies.clusters import LARGE_GROUP, Known, settle
from ripik.splits.run import make_folds
from ripik.splits.splitting import imbalance, split
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

EFFORT = effort(derandomize=True, deadline=None, database=None, max_examples=50)
FEW = effort(EFFORT, max_examples=12)
SEEDS = st.integers(0, 2**31 - 1)


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels and groups of rows, some groups of two classes, and a number of folds that every class can fill."""
    n_splits = draw(st.integers(2, 4))
    classes = np.repeat(np.arange(draw(st.integers(2, 4))), n_splits)
    more = [0] * draw(st.integers(0, 40)) + draw(st.lists(st.integers(0, classes[-1]), max_size=10))
    label_of_group = np.array([*classes, *more])
    sizes = draw(st.lists(st.integers(1, 7), min_size=len(label_of_group), max_size=len(label_of_group)))
    groups = np.repeat(np.arange(len(label_of_group)), sizes)
    labels = label_of_group[groups].copy()
    for row in draw(st.lists(st.integers(0, len(groups) - 1), max_size=3)):
        labels[row] = (labels[row] + 1) % (classes[-1] + 1)
    return labels, groups, n_splits


def partition(numbers: np.ndarray) -> np.ndarray:
    """Return which rows stand together, bool (n, n)."""
    return numbers[:, None] == numbers


@EFFORT
@given(labelled_groups(), SEEDS, st.randoms(use_true_random=False))
def test_a_split_depends_on_seed_and_rows_and_not_on_their_order(drawn, seed, random) -> None:
    labels, groups, n_splits = drawn
    order = np.array(random.sample(range(len(labels)), len(labels)))
    fold = split(labels, groups, n_splits, seed, tries=2)
    assert np.array_equal(split(labels, groups, n_splits, seed, tries=2), fold)
    assert np.array_equal(split(labels[order], groups[order], n_splits, seed, tries=2), fold[order])


@EFFORT
@given(labelled_groups(), SEEDS)
def test_a_class_with_a_group_for_every_fold_is_in_every_fold(drawn, seed) -> None:
    labels, groups, n_splits = drawn
    own = pd.Series(labels).groupby(groups).nunique()
    labels = np.where((own > 1).to_numpy()[groups], pd.Series(labels).groupby(groups).transform("min"), labels)
    fold = split(labels, groups, n_splits, seed)
    enough = pd.Series(groups).groupby(labels).nunique()
    for label in enough.index[enough >= n_splits]:
        assert set(fold[labels == label]) == set(range(n_splits))


@EFFORT
@given(labelled_groups(), SEEDS, st.integers(1, 3))
def test_more_tries_are_never_less_even(drawn, seed, tries) -> None:
    labels, groups, n_splits = drawn
    before, after = (imbalance(labels, groups, split(labels, groups, n_splits, seed, n), n_splits) for n in (tries, 6))
    assert after[0] <= before[0]


@EFFORT
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25), st.randoms())
def test_rows_are_joined_by_a_chain_of_links_and_by_nothing_else(pairs, random) -> None:
    a, b = np.array(pairs).T
    chained = partition(a) | partition(b)
    for _ in range(5):
        chained = chained @ chained  # in as many steps as there are rows
    assert np.array_equal(partition(joined(a, b)), chained)
    order = np.array(random.sample(range(len(a)), len(a)))
    assert np.array_equal(partition(joined(a[order], b[order])), chained[order][:, order])


@st.composite
def photos(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """The photo of every image, some of many images, and similarities (n, n): those of one photo are alike."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 5, LARGE_GROUP + 3]), min_size=1, max_size=6))
    rng = np.random.default_rng(draw(SEEDS))
    photo = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    same = partition(photo)
    scores = np.where(same, rng.uniform(0.75, 1.0, same.shape), rng.uniform(0.0, 0.3, same.shape))
    return photo, np.triu(scores, 1) + np.triu(scores, 1).T


def settled(scores: np.ndarray, given_pairs: np.ndarray) -> np.ndarray:
    pairs = np.sort(given_pairs, axis=1)
    found = scores[tuple(pairs.T)]
    return settle(Known(len(scores), pairs, found, lambda new: scores[tuple(new.T)]), 0.6)


@EFFORT
@given(photos(), st.randoms(use_true_random=False))
def test_images_of_one_photo_are_found_whatever_their_order_and_that_of_the_pairs(drawn, random) -> None:
    photo, scores = drawn
    pairs = np.argwhere(np.triu(partition(photo), 1))
    pairs = pairs[np.array(random.sample(range(len(pairs)), len(pairs)), np.int64)]
    labels = settled(scores, pairs)
    assert np.array_equal(partition(labels), partition(photo))
    assert all(labels[row] == np.flatnonzero(photo == photo[row])[0] for row in range(len(photo)))
    order = np.array(random.sample(range(len(photo)), len(photo)))
    place = np.argsort(order)
    moved = settled(scores[order][:, order], place[pairs])
    assert np.array_equal(partition(moved), partition(photo[order]))


@effort(EFFORT, max_examples=150)
@given(st.integers(1, 30), SEEDS, st.randoms(use_true_random=False))
def test_groups_of_any_similarities_do_not_depend_on_the_images_order(n, seed, random) -> None:
    scores = np.random.default_rng(seed).uniform(0, 1, (n, n))
    scores = np.triu(scores, 1) + np.triu(scores, 1).T
    pairs = np.argwhere(np.triu(scores, 1) > 0.8)
    labels = settled(scores, pairs)
    order = np.array(random.sample(range(n), n))
    moved = settled(scores[order][:, order], np.argsort(order)[pairs])
    assert np.array_equal(partition(moved), partition(labels[order]))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, drawn) -> Callable[[], Tiny]:
    return lambda: write_competition(tmp_path_factory.mktemp("splits"), drawn)


@pytest.fixture(scope="module")
def world(fresh: Callable[[], Tiny]) -> tuple[Tiny, Settings, Competition]:
    tiny = fresh()
    settings = tiny.settings("folds.near_copies=false", "folds.tries=2")
    make_folds(settings)
    return tiny, settings, read_competition(settings)


def shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.sample(frac=1, random_state=seed % 2**31)


@FEW
@given(SEEDS, st.lists(st.floats(0, 1, width=32), min_size=33, max_size=33))
def test_groups_csv_is_read_as_it_was_written_in_any_order(world, seed, similarities) -> None:
    _, settings, competition = world
    both = pd.concat([competition.rows(split)[["image_id"]].assign(split=split) for split in ("train", "test")])
    rng = np.random.default_rng(seed)
    matched = np.where(rng.random(len(both)) < 0.5, rng.permutation(both["image_id"].to_numpy()), "")
    values = np.where(matched == "", np.nan, np.resize(similarities, len(both)).astype(np.float32))
    groups = both.assign(group=rng.integers(0, 10**12, len(both)), matched_id=matched, similarity=values)
    artifacts.write_csv(layout_of(settings).groups, shuffled(groups, seed))
    found = read_groups(settings, competition)
    for column in ("image_id", "split", "group", "matched_id"):
        assert found[column].tolist() == groups[column].tolist()
    np.testing.assert_array_equal(found["similarity"].astype(np.float32), values.astype(np.float32))


@FEW
@given(SEEDS, st.integers(2, 4))
def test_folds_csv_holds_every_row_once_and_reads_as_written_in_any_order(fresh, seed, splits) -> None:
    tiny = fresh()
    tiny.edit(tiny.train_csv, lambda frame: shuffled(frame, seed).assign(who=[f"w{i % 12}" for i in range(len(frame))]))
    how = (f"folds.n_splits={splits}", f"folds.seed={seed}", "folds.tries=2", "folds.near_copies=false")
    settings = tiny.settings(*how, "competition.group_column=who")
    path = make_folds(settings)
    competition = read_competition(settings)
    written, read = pd.read_csv(path, dtype={"image_id": str}), read_folds(settings, competition)
    assert list(written.columns) == COLUMNS
    pd.testing.assert_frame_equal(written, read, check_dtype=False)
    assert read["image_id"].tolist() == competition.train["image_id"].tolist()
    assert sorted(read["fold"].unique()) == list(range(splits))
    assert (read.groupby(competition.train["group"].to_numpy())["fold"].nunique() == 1).all()
    before = path.read_bytes()
    make_folds(settings)
    assert path.read_bytes() == before
    artifacts.write_csv(path, shuffled(written, seed))
    pd.testing.assert_frame_equal(read_folds(settings, competition), read)


def test_the_split_of_a_run_is_the_same_in_another_folder(fresh: Callable[[], Tiny]) -> None:
    how = ("folds.near_copies=false", "folds.tries=3")
    texts = [make_folds(tiny.settings(*how)).read_bytes() for tiny in (fresh(), fresh())]
    assert texts[0] == texts[1]
