"""The split against its first, plain writing, and the dealing of very many groups."""

import numpy as np
import pytest
from plain_splitting import plain_imbalance, plain_split, plain_without_absences

from ripik.splits import splitting
from ripik.splits.absences import without_absences
from ripik.splits.dealing import rows_of
from ripik.splits.splitting import imbalance, split


def made_up(groups: int, classes: int, seed: int, mixed: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and groups of rows, 1–3 a group: uneven classes, a part of the rows of another than their group."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, classes + 1) ** 1.2
    group = np.repeat(np.arange(groups), rng.integers(1, 4, groups)) * 7 + 3
    label = rng.choice(classes, 7 * groups + 3, p=shares / shares.sum())[group]
    others = rng.choice(classes, len(group), p=shares / shares.sum())
    return np.where(rng.random(len(group)) < mixed, others, label), group


@pytest.mark.parametrize("seed", range(8))
def test_up_to_many_groups_the_folds_are_those_of_the_plain_way(seed: int) -> None:
    labels, groups = made_up(60, 3 + 3 * seed, seed, mixed=seed % 2)
    assert np.array_equal(split(labels, groups, 4, seed, 3), plain_split(labels, groups, 4, seed, 3))


@pytest.mark.parametrize("seed", range(12))
def test_mending_makes_the_moves_of_the_plain_way(seed: int) -> None:
    labels, groups = made_up(50, 12, seed)
    label, group = (np.unique(names, return_inverse=True)[1] for names in (labels, groups))
    fold = np.random.default_rng(seed).integers(0, 5 - seed % 2, group.max() + 1)  # of every second, one is empty
    mended = without_absences(rows_of(label, group), fold, 5)[group]
    assert imbalance(labels, groups, fold[group], 5) == plain_imbalance(labels, groups, fold[group], 5)
    assert not np.array_equal(mended, fold[group])
    assert np.array_equal(mended, plain_without_absences(labels, groups, fold[group], 5))


@pytest.mark.long
def test_mending_looks_at_one_of_many_equal_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr("ripik.splits.absences.unevenness", lambda counts: looked.append(counts) or (0.0, 0.0))
    held = rows_of(np.repeat(np.arange(350), 20), np.arange(7000))
    fold = without_absences(held, np.tile(np.repeat([0, 1], 10), 350), 3)
    assert (np.bincount(3 * held.indices + fold, minlength=1050) > 0).all()
    assert len(looked) <= 350 * 700  # for each class at most one of a class and source; without it, 20 times that


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MANY", 100)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("mixed", [0.0, 0.5, 1.0])
def test_many_groups_are_dealt_whole_and_as_evenly_as_by_scikit_learn(mixed: float) -> None:
    labels, groups = made_up(1500, 20, 1, mixed)
    fold = split(labels, groups, 5, 7, 3)
    assert all(len(set(fold[groups == group])) == 1 for group in np.unique(groups))
    dealt, plain = (imbalance(labels, groups, each, 5) for each in (fold, plain_split(labels, groups, 5, 7, 3)))
    assert dealt[0] <= plain[0]
    assert dealt[1] <= plain[1] + 1e-3


@pytest.mark.usefixtures("few_are_many")
def test_the_dealing_depends_on_seed_and_rows_and_not_on_their_order() -> None:
    labels, groups = made_up(400, 10, 2)
    order = np.random.default_rng(0).permutation(len(labels))
    fold = split(labels, groups, 5, 3, 2)
    assert np.array_equal(split(labels[order], groups[order], 5, 3, 2), fold[order])
    assert not np.array_equal(split(labels, groups, 5, 4, 1), split(labels, groups, 5, 3, 1))


@pytest.mark.usefixtures("few_are_many")
def test_a_class_of_few_groups_among_many_is_in_every_fold() -> None:
    label_of_group = np.repeat([0, 1, 2], [400, 5, 7])
    groups = np.repeat(np.arange(412), np.random.default_rng(0).integers(1, 8, 412))
    fold = split(label_of_group[groups], groups, 5, 0)
    assert all(set(fold[label_of_group[groups] == label]) == set(range(5)) for label in range(3))


def test_more_tries_of_the_dealing_are_told(few_are_many: None) -> None:
    told: list[int] = []
    split(*made_up(120, 4, 0), 3, 0, 3, told.append)
    assert told == [1, 2, 3]
