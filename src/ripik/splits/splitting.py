"""Which rows stand in which fold: stratified by label, groups undivided, seeded, as even as can be."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.model_selection import StratifiedGroupKFold

Progress = Callable[[int], None]


def split(
    labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int, tries: int = 1, show: Progress | None = None
) -> np.ndarray:
    """Return the fold (0…n_splits−1) of every row: stratified by label, a group in one fold.

    labels, groups: (n,); the order of the rows does not matter. Of `tries` seeded splits by scikit-learn's
    StratifiedGroupKFold the best by `imbalance` is kept, and mended where a class with enough groups is absent from a
    fold. `show` is given the tries done.
    """
    best, least = np.zeros(0, np.int64), (np.inf, np.inf)
    for number in range(tries):
        fold = _one_split(labels, groups, n_splits, seed + number)
        if (found := imbalance(labels, groups, fold, n_splits)) < least:
            best, least = fold, found
        if show is not None:
            show(number + 1)
    return _without_absences(labels, groups, best, n_splits)


def imbalance(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, n_splits: int) -> tuple[float, float]:
    """Return (absences, unevenness) of a split; less is better, the first number first.

    Absences: pairs of class and fold without a row of the class. Unevenness: squared deviations of the folds' shares
    from 1 / n_splits, summed over folds, for every class (a rare one counts as much as a frequent one), for all rows
    and for the number of groups.
    """
    classes = pd.crosstab(labels, fold).reindex(columns=range(n_splits), fill_value=0).to_numpy()
    _, first = np.unique(groups, return_index=True)
    counts = np.vstack([classes, classes.sum(axis=0), np.bincount(fold[first], minlength=n_splits)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float((classes == 0).sum()), float(((shares - 1 / n_splits) ** 2).sum())


def _one_split(labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
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


def _without_absences(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, n_splits: int) -> np.ndarray:
    """Move groups, one at a time, into folds that lack one of their classes, as long as fewer absences are left."""
    group, label = (np.unique(names, return_inverse=True)[1] for names in (groups, labels))
    pairs = np.unique(np.stack([group, label]), axis=1)
    holds = csr_array((np.ones(pairs.shape[1], np.int64), (pairs[0], pairs[1])))
    while moves := _helpful_moves(holds, group, fold, n_splits):
        moved = (np.where(group == number, target, fold) for target, _, number in moves)
        fold = min(moved, key=lambda each: imbalance(labels, groups, each, n_splits))
    return fold


def _helpful_moves(holds: csr_array, group: np.ndarray, fold: np.ndarray, n_splits: int) -> list[tuple[int, int, int]]:
    """Return the moves that leave fewest absences, where these are fewer than now: fold, a class it lacks, and group.

    holds: 1 for every class (column) that a group (row) holds. group: (n,), each row's group by its place in `holds`.
    """
    of_group = np.zeros(holds.shape[0], np.int64)
    of_group[group] = fold
    held = holds.T @ np.eye(n_splits, dtype=np.int64)[of_group]  # groups of each class in each fold
    lost = (holds @ (held == 1))[np.arange(len(of_group)), of_group]
    won = holds @ (held == 0) - lost[:, None]
    numbers, targets = np.nonzero(won == max(won.max(), 1))
    return sorted(
        (target, int(np.intersect1d(holds[[number]].indices, np.flatnonzero(held[:, target] == 0))[0]), number)
        for number, target in zip(numbers.tolist(), targets.tolist(), strict=True)
    )
