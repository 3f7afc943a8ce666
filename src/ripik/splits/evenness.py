"""How even a split is: what is counted of every fold, and the two numbers that splits are compared by."""

from typing import Literal

import numpy as np
from scipy.sparse import csr_array


def counts_of(held: csr_array, fold: np.ndarray, n_splits: int) -> np.ndarray:
    """Return what each fold has, int64 (C + 2, n_splits): rows of every class, all rows, and groups.

    held: (G, C), each group's rows by class; fold: (G,).
    """
    classes = held.T @ np.eye(n_splits, dtype=np.int64)[fold]
    return with_totals(classes, np.bincount(fold, minlength=n_splits))


def with_totals(classes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return (C + 2, n_splits): the rows of every class in each fold, (C, n_splits), then all rows, then groups."""
    return np.vstack([classes, classes.sum(axis=0), groups])


def unevenness(counts: np.ndarray) -> tuple[float, float]:
    """Return (absences, unevenness) of a split by its counts; less is better, the first number first.

    Absences: pairs of class and fold without a row of the class. Unevenness: squared deviations of the folds' shares
    from 1 / n_splits, summed over folds, for every class (a rare one counts as much as a frequent one), for all rows
    and for the number of groups.
    """
    layout: Literal["C", "F"] = "C" if counts[-1].all() else "F"  # decides the last bit of the sum, and so of ties
    shares = np.asarray(counts / counts.sum(axis=1, keepdims=True), order=layout)
    return float((counts[:-2] == 0).sum()), float(((shares - 1 / counts.shape[1]) ** 2).sum())


def differences(moved: csr_array, counts: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return by how much each of M moves changes the unevenness, float (M,), but for rounding.

    moved: (M, C + 2), what moves (rows by class, all rows, and 1 for the group); source, target: folds, (M,).
    """
    weighted = moved.multiply(1 / counts.sum(axis=1).astype(np.float64) ** 2).tocsr()
    gaps = weighted @ counts  # (M, n_splits)
    each = np.arange(len(source))
    return 2 * (gaps[each, target] - gaps[each, source] + weighted.multiply(moved).sum(axis=1))
