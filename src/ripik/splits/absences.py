"""Repair a split: move groups into folds that lack one of their classes."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, hstack

from ripik.splits.dealing import kinds
from ripik.splits.evenness import counts_of, differences, unevenness

ROUNDING = 1e-9  # by which a difference may be off the exact one, at the most


@dataclass(frozen=True)
class Moves:
    """Moves of groups, each (M,): the fold moved to, a class that it lacks, the group, and the fold it is in."""

    target: np.ndarray
    lacking: np.ndarray
    group: np.ndarray
    source: np.ndarray

    def some(self, chosen: np.ndarray) -> "Moves":
        """Return those at these places."""
        return Moves(self.target[chosen], self.lacking[chosen], self.group[chosen], self.source[chosen])


def without_absences(held: csr_array, fold: np.ndarray, n_splits: int) -> np.ndarray:
    """Move groups, one at a time, into folds that lack one of their classes, as long as fewer absences are left.

    held: (G, C), each group's rows by class; fold: (G,). Returns the fold of every group. Of the moves that leave
    fewest absences, the one that leaves the least `unevenness` is made.
    """
    holds, kind, fold = (held > 0).astype(np.int64), kinds(held), fold.copy()
    by_class = holds.tocsc()
    wide = csr_array(hstack([held, held.sum(axis=1)[:, None], np.ones((held.shape[0], 1), np.int64)]))
    while (moves := _helpful_moves(holds, by_class, fold, n_splits)) is not None:
        group, target = _best(moves, wide, kind, counts_of(held, fold, n_splits))
        fold[group] = target
    return fold


def _helpful_moves(holds: csr_array, by_class: csr_array, fold: np.ndarray, n_splits: int) -> Moves | None:
    """Return the moves that leave fewest absences, in order; None where none leaves fewer than now.

    holds: 1 for every class (column) that a group (row) holds, and the same by column. fold: (G,).
    """
    count = by_class.T @ np.eye(n_splits, dtype=np.int64)[fold]  # groups of each class in each fold
    groups = np.unique(by_class[:, np.flatnonzero((count == 0).any(axis=1))].indices)
    some, source = holds[groups], fold[groups]
    lost = (some @ (count == 1))[np.arange(len(groups)), source]
    won = some @ (count == 0) - lost[:, None]
    most = won.max(initial=0)
    if most < 1:
        return None
    numbers, target = np.nonzero(won == most)
    lacking = _first_lacking(some, count, numbers, target)
    order = np.lexsort([groups[numbers], lacking, target])
    return Moves(target, lacking, groups[numbers], source[numbers]).some(order)


def _first_lacking(some: csr_array, count: np.ndarray, numbers: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return for each move the first class of the group that the target lacks, (M,)."""
    moved = some[numbers]
    row = np.repeat(np.arange(len(numbers)), np.diff(moved.indptr))
    absent = count[moved.indices, target[row]] == 0
    found = np.full(len(numbers), count.shape[0])
    np.minimum.at(found, row[absent], moved.indices[absent])
    return found


def _best(moves: Moves, wide: csr_array, kind: np.ndarray, counts: np.ndarray) -> tuple[int, int]:
    """Return the group and target of the move that leaves the least unevenness, the first of equal ones.

    wide: (G, C + 2), what each group adds to the counts of its fold. Moves of groups of one kind between the same folds
    are alike, so one of them is looked at; and of those that differ by rounding alone, each exactly.
    """
    _, first = np.unique(np.stack([moves.target, moves.source, kind[moves.group]]), axis=1, return_index=True)
    moves = moves.some(np.sort(first))
    change = differences(wide[moves.group], counts, moves.source, moves.target)
    moves = moves.some(np.flatnonzero(change <= change.min() + ROUNDING))
    left = [
        unevenness(_after(counts, wide[[group]], source, target))
        for group, source, target in zip(moves.group, moves.source, moves.target, strict=True)
    ]
    best = left.index(min(left))
    return int(moves.group[best]), int(moves.target[best])


def _after(counts: np.ndarray, moved: csr_array, source: int, target: int) -> np.ndarray:
    found = counts.copy()
    found[moved.indices, source] -= moved.data
    found[moved.indices, target] += moved.data
    return found
