"""Folds of very many groups: groups with equal content are dealt out in turn, the rest one at a time."""

import numpy as np
from scipy.sparse import csr_array, hstack

SIGNS = 20_261_129  # seed of the numbers by which groups that hold the same are known
KEPT = 4  # groups of each kind for every fold
DEALING = 1  # to be raised when the folds it makes may change


def rows_of(label: np.ndarray, group: np.ndarray) -> csr_array:
    """Return how many rows of each class (column) each group (row) has; label, group: (n,) of 0, 1, ….

    Only what is there is stored, so that its size grows with the rows alone.
    """
    found = csr_array((np.ones(len(label), np.int64), (group, label)))
    found.sum_duplicates()
    return found


def kinds(held: csr_array) -> np.ndarray:
    """Return a number for every group, int64 (G,), the same for groups of the same rows of every class."""
    signs = np.random.default_rng(SIGNS).integers(1, 2**63, held.shape[1], dtype=np.uint64)
    return np.unique(held.astype(np.uint64) @ signs, return_inverse=True)[1]  # sums modulo 2^64: equal by chance never


def deal(held: csr_array, n_splits: int, seed: int) -> np.ndarray:
    """Return the fold of every group, int64 (G,).

    Of each kind, as many as the folds can share equally are dealt out at random, but for a few that are kept to level
    what others leave uneven; what remains goes, largest first, where it adds least to `evenness.unevenness`.
    """
    rng = np.random.default_rng(seed)
    order, turn = _shuffled_by_kind(kinds(held), rng)
    fold = np.empty(len(order), np.int64)
    fold[order] = turn % n_splits
    rest = rng.permutation(order[turn >= _shared(turn, n_splits)])
    fold[rest] = _one_at_a_time(held[rest], _weights(held), n_splits)
    return fold


def _shuffled_by_kind(kind: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups kind after kind, in random order within, and each one's place among its kind; both (G,)."""
    shuffled = rng.permutation(len(kind))
    order = shuffled[np.argsort(kind[shuffled], kind="stable")]
    counts = np.bincount(kind)
    starts = np.cumsum(counts) - counts
    return order, np.arange(len(kind)) - starts[kind[order]]


def _shared(turn: np.ndarray, n_splits: int) -> np.ndarray:
    """Return for every place how many of its kind are dealt out, the same number to every fold, (G,)."""
    starts = np.flatnonzero(turn == 0)
    counts = np.diff(starts, append=len(turn))
    return np.repeat(np.maximum(counts // n_splits - KEPT, 0) * n_splits, counts)


def _weights(held: csr_array) -> np.ndarray:
    """Return what the square of a fold's rows of each class, of its rows, and of its groups counts, float (C + 2,)."""
    totals = np.array([*held.sum(axis=0), held.sum(), held.shape[0]], np.float64)
    return 1 / np.maximum(totals, 1) ** 2


def _one_at_a_time(held: csr_array, weights: np.ndarray, n_splits: int) -> np.ndarray:
    """Return the fold of every group, (R,): the largest first, each where the weighted squares grow least."""
    rows = held.sum(axis=1)[:, None]
    wide = csr_array(hstack([held, rows, np.ones_like(rows)]))
    fold, state = np.zeros(wide.shape[0], np.int64), np.zeros((len(weights), n_splits))
    starts, columns, counts = wide.indptr.tolist(), wide.indices, wide.data.astype(np.float64)
    growth = counts * weights[columns]
    for group in np.argsort(-(wide.power(2) @ weights), kind="stable").tolist():
        part = slice(starts[group], starts[group + 1])
        here = columns[part]
        fold[group] = target = int((growth[part] @ state[here]).argmin())
        state[here, target] += counts[part]
    return fold
