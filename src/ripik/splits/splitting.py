"""Which rows are in which fold: stratified by label, groups undivided, seeded, as even as can be."""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array
from sklearn.model_selection import StratifiedGroupKFold

from ripik.splits.absences import without_absences
from ripik.splits.dealing import deal, rows_of
from ripik.splits.evenness import counts_of, unevenness

Progress = Callable[[int], None]
MANY = 50_000  # groups, beyond which scikit-learn's time (about 0.1 ms for each and try) is too long


def split(
    labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int, tries: int = 1, show: Progress | None = None
) -> np.ndarray:
    """Return the fold (0…n_splits−1) of every row: stratified by label, a group in one fold.

    labels, groups: (n,); the order of the rows does not matter. Of `tries` seeded splits (by scikit-learn's
    StratifiedGroupKFold, or of more than 50,000 groups by `dealing`) the best by `unevenness` is kept, and mended where
    a class with enough groups is absent from a fold. `show` is given the tries done.
    """
    label, group = (np.unique(names, return_inverse=True)[1] for names in (labels, groups))
    held = rows_of(label, group)
    best, least = np.zeros(0, np.int64), (np.inf, np.inf)
    for number in range(tries):
        fold = _one_split(labels, groups, held, n_splits, seed + number)
        if (found := unevenness(counts_of(held, fold, n_splits))) < least:
            best, least = fold, found
        if show is not None:
            show(number + 1)
    return without_absences(held, best, n_splits)[group]


def is_dealt(groups: np.ndarray) -> bool:
    """Whether rows of these groups (n,) are too many for scikit-learn, so that `dealing` splits them."""
    return len(np.unique(groups)) > MANY


def imbalance(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, n_splits: int) -> tuple[float, float]:
    """Return the `unevenness` of a split of rows; labels, groups, fold: (n,)."""
    label, group = (np.unique(names, return_inverse=True)[1] for names in (labels, groups))
    return unevenness(counts_of(rows_of(label, group), _of_groups(fold, group), n_splits))


def _of_groups(fold: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the fold of every group from that of every row; group: (n,) of 0, 1, …."""
    found = np.zeros(group.max() + 1, np.int64)
    found[group] = fold
    return found


def _one_split(labels: np.ndarray, groups: np.ndarray, held: csr_array, n_splits: int, seed: int) -> np.ndarray:
    """Return the fold of every group, by one seeded split."""
    if held.shape[0] > MANY:
        return deal(held, n_splits, seed)
    group = np.unique(groups, return_inverse=True)[1]
    return _of_groups(_stratified(labels, groups, n_splits, seed), group)


def _stratified(labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
    """Return one seeded split by scikit-learn, which puts each group where its classes are fewest, then where rows are.

    It refuses where every class has fewer rows than there are folds, though its rule looks at shares alone: rows are
    then repeated, which changes no share.
    """
    fold, times = np.full(len(labels), -1), -(-n_splits // np.unique(labels, return_counts=True)[1].max())
    splitter = StratifiedGroupKFold(n_splits=n_splits, shuffle=True, random_state=seed)
    rows = np.repeat(np.arange(len(labels)), times)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # told by `folds._check_classes`
        for number, (_, held) in enumerate(splitter.split(rows, labels[rows], groups[rows])):
            fold[rows[held]] = number
    return fold
