"""Bootstrap draws of whole groups of near copies, and a metric's value on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripik.analysis import metrics
from ripik.analysis.metrics import FloatArray, IntArray, Metric
from ripik.errors import InputError

Score = Callable[[IntArray], Any]  # of the data with each row taken so many times, (n,)


@dataclass(frozen=True)
class Drawable:
    """Rows in an order that depends on what they hold alone, sides swapped or not, and each row's group."""

    y: IntArray
    sides: Sequence[FloatArray]
    group: IntArray
    weights: FloatArray | None = None

    @classmethod
    def of(
        cls, y: IntArray, sides: Sequence[FloatArray], groups: ArrayLike, weights: FloatArray | None = None
    ) -> Drawable:
        """Return the rows of class indices (n,), probabilities (n, C) a side, groups (n,) and weights (n,).

        Raises InputError for wrong shapes, missing values and fewer than two groups.
        """
        names = np.asarray(groups)
        for side in sides:
            metrics.check_probabilities(side)
            metrics.check_targets(y, *side.shape)
        if len({side.shape[1] for side in sides}) > 1:
            raise InputError(f"The two sides have {' and '.join(str(side.shape[1]) for side in sides)} classes.")
        if names.shape != y.shape[:1] or (names != names).any():
            raise InputError(f"The groups must be one value per row ({len(y)} in all), none of them missing.")
        order, group = _canonical(y, sides, names, weights)
        if group[-1] < 1:
            raise InputError("All rows are in one group, but an interval needs at least two.")
        return cls(y[order], [side[order] for side in sides], group, None if weights is None else weights[order])

    @property
    def count(self) -> int:
        """The number of groups."""
        return int(self.group[-1]) + 1

    def unweighted(self) -> Drawable:
        """Return the same rows without weights."""
        return replace(self, weights=None)

    def chances(self) -> FloatArray | None:
        """Return each group's chance to be drawn, float64 (groups,); None where all are alike."""
        if self.weights is None:
            return None
        of_group = np.bincount(self.group, self.weights) / np.bincount(self.group)
        return of_group / of_group.sum()

    def witnesses(self, rows: NDArray[np.bool_]) -> int:
        """Return how many groups hold one of the rows (n,)."""
        return len(np.unique(self.group[rows]))

    def differs(self, metric: Metric) -> NDArray[np.bool_]:
        """Return in which rows the metric sees another prediction on one side than on the other."""
        a, b = self.sides
        return (a != b).any(axis=1) if metric.from_confusion is None else a.argmax(axis=1) != b.argmax(axis=1)

    def draw(
        self, score: Score, draws: int, seed: int, size: int | None = None, chances: FloatArray | None = None
    ) -> FloatArray:
        """Return the scores of `draws` draws of `size` groups (None: as many as there are), float64 (draws, …)."""
        rng, number = np.random.default_rng(seed), self.count
        many = size or number
        if chances is None:
            taken = (np.bincount(rng.integers(number, size=many), minlength=number) for _ in range(draws))
        else:
            taken = (rng.multinomial(many, chances) for _ in range(draws))
        return np.array([score(times[self.group]) for times in taken])

    def score(self, metric: Metric, side: int = 0) -> Score:
        """Return the metric of one side as a function of how many times each row is taken."""
        if metric.of_rows is not None:
            values, weights = metric.of_rows(self.y, self.sides[side]), self.weights
            return lambda times: float(np.average(values, weights=times if weights is None else times * weights))
        if metric.from_confusion is None:
            rows = [self.y, self.sides[side], *([] if self.weights is None else [self.weights])]
            return lambda times: metric.unchecked(*(np.repeat(each, times, axis=0) for each in rows))
        of_counts = self._of_counts(metric, side)
        if not metric.class_mean:
            return of_counts
        from_margins, margins, present = metric.from_margins, self.margins(side), len(np.unique(self.y))
        if self.weights is None and from_margins is not None:  # the margins have the classes' rows already
            return lambda times: metrics.over_present(from_margins(*(of := margins(times))), of[1], present)
        return lambda times: metrics.over_present(of_counts(times), np.bincount(self.y, times), present)

    def _of_counts(self, metric: Metric, side: int) -> Score:
        """Return `metric.from_confusion` of the rows taken; of whole numbers without a matrix where none is needed."""
        from_margins, margins = metric.from_margins, self.margins(side)
        if self.weights is None and from_margins is not None:
            return lambda times: from_margins(*margins(times))
        from_confusion, count = metric.from_confusion, self.confusion(side)
        assert from_confusion is not None
        return lambda times: from_confusion(count(times))

    def margins(self, side: int = 0) -> Callable[[IntArray], tuple[NDArray[Any], ...]]:
        """Return `confusions.margins` of one side, without weights, as a function of how many times a row is taken."""
        classes, predicted = self.sides[side].shape[1], self.sides[side].argmax(axis=1)
        hit, every = np.flatnonzero(predicted == self.y), np.arange(len(self.y))
        rows = np.concatenate([hit, every, every])  # counted at once: draws are many, and rows may be few
        of = np.concatenate([self.y[hit], self.y + classes, predicted + 2 * classes])

        def count(times: IntArray) -> tuple[NDArray[Any], ...]:
            counts = np.bincount(of, times[rows], minlength=3 * classes).astype(np.int64)
            return tuple(counts.reshape(3, classes))

        return count

    def confusion(self, side: int = 0) -> Callable[[IntArray], NDArray[Any]]:
        """Return the (C, C) counts, or sums of weights, of one side as a function of how many times a row is taken."""
        classes = self.sides[side].shape[1]
        cell = self.y * classes + self.sides[side].argmax(axis=1)

        def count(times: IntArray) -> NDArray[Any]:
            if self.weights is not None:
                return np.bincount(cell, times * self.weights, minlength=classes * classes).reshape(classes, classes)
            counts = np.bincount(cell, times, minlength=classes * classes).astype(np.int64)
            return counts.reshape(classes, classes)

        return count


def _canonical(
    y: IntArray, sides: Sequence[FloatArray], groups: NDArray[Any], weights: FloatArray | None
) -> tuple[IntArray, IntArray]:
    """Return the rows' order by group, groups by the rows they hold, and the ordered rows' group from 0."""
    whole = [np.column_stack([y, side]) for side in sides]
    if len(whole) > 1:
        whole.sort(key=lambda rows: rows[np.lexsort(rows.T)].tobytes())
    whole += [] if weights is None else [weights[:, None]]
    code = np.unique(np.hstack(whole), axis=0, return_inverse=True)[1].ravel()
    member = np.unique(groups, return_inverse=True)[1].ravel()
    order = np.lexsort((code, member))
    parts = np.split(order, np.flatnonzero(np.diff(member[order])) + 1)
    parts.sort(key=lambda rows: code[rows].tolist())
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(rows) for rows in parts])
