"""How sure a score is: the bootstrap over groups of near copies.

Near copies of one photo are right or wrong together, so whole groups are drawn, with replacement (the cluster
bootstrap; Field & Welsh 2007, JRSS B 69), and the quantiles of the scores of the draws are the interval (Efron 1979).
Drawing rows instead would take three copies of a photo for three witnesses.

A draw may lack a rare class. It then has no F1 or recall, and is left out of that draw's macro mean: counting it as 0
would drag the interval down, and drawing within classes would forget that the class counts are chance, too. Where the
rarest class has about three groups, the 95 % interval of macro F1 covered 94 % in simulations, 82 % and 77 % otherwise.

Quantiles of few witnesses are too narrow, so they are taken further out, as Student's t is wider than the normal
(expanded percentiles; Hesterberg 2015, The American Statistician 69). Witnesses are the groups; those that hold the
class, for its F1; those on which the two sides differ, for a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripik import metrics
from ripik.errors import InputError
from ripik.metrics import FloatArray, IntArray, Metric

DRAWS = 2000
Score = Callable[[IntArray], Any]  # of the data with each row taken so many times, (n,)


@dataclass(frozen=True)
class Interval:
    """A value, the ends of its interval, and its standard error."""

    value: float
    low: float
    high: float
    error: float

    @classmethod
    def from_json(cls, told: Mapping[str, float | None]) -> Interval:
        """Return the interval that a JSON file tells of; null stands for a number that there is not."""
        return cls(**{name: float("nan") if value is None else value for name, value in told.items()})


def interval(
    y: IntArray,
    probabilities: FloatArray,
    groups: ArrayLike,
    metric: Metric,
    *,
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the score of (n, C) probabilities against class indices (n,), with its interval.

    groups: (n,) of any type; rows of equal value are copies of one photo. error is the deviation of the draws' scores.
    The result depends on neither the order of the rows nor the names of the groups.
    Raises InputError for wrong shapes, missing values, fewer than two groups, or a metric that has no value.
    """
    value, data = _value(y, probabilities, metric), _Data.of(y, [probabilities], groups)
    return _told(value, data.draw(data.score(metric), draws, seed), level, data.count)


def difference(
    y: IntArray,
    a: FloatArray,
    b: FloatArray,
    groups: ArrayLike,
    metric: Metric,
    *,
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return score(b) - score(a) with its interval; both are scored on the same draws.

    Arguments and errors as of `interval`.
    """
    value = _value(y, b, metric) - _value(y, a, metric)
    data = _Data.of(y, [a, b], groups)
    of_a, of_b = data.score(metric, 0), data.score(metric, 1)
    found = data.draw(lambda times: of_b(times) - of_a(times), draws, seed)
    return _told(value, found, level, data.witnesses(data.differs(metric)))


def predictive(
    y: IntArray,
    probabilities: FloatArray,
    groups: ArrayLike,
    metric: Metric,
    test_groups: int,
    *,
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return where the score of a fresh test set of `test_groups` groups will fall, given this score.

    Both are chance: the spread is that of (a draw of test_groups) - (another draw of as many groups as there are), so a
    bias that grows as sets shrink, as macro F1 has, is met, too. Said of the same models on photos of the same kind;
    no end lies beyond a perfect score. Other arguments and errors as of `interval`.
    """
    if test_groups < 1:
        raise InputError(f"A test set of {test_groups} groups has no score: give at least one.")
    value, data = _value(y, probabilities, metric), _Data.of(y, [probabilities], groups)
    score = data.score(metric)
    own, fresh = data.draw(score, draws, seed), data.draw(score, draws, seed + 1, test_groups)
    found = value + fresh - own
    possible = np.clip(found, *metric.ends)
    return _told(value, possible, level, min(data.count, test_groups))


def per_class_f1(
    y: IntArray,
    probabilities: FloatArray,
    groups: ArrayLike,
    *,
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """Return the F1 of each of the C classes with its interval, over the draws that hold the class.

    A class without rows has value 0 and no interval (NaN). Where the rows are all right or all wrong, so are all
    draws, and the interval has no width. Arguments and errors as of `interval`.
    """
    data = _Data.of(y, [probabilities], groups)
    confusion = data.confusion()

    def f1(times: IntArray) -> FloatArray:
        counts = confusion(times)
        return np.where(counts.sum(axis=1) > 0, metrics.per_class_f1(counts), np.nan)

    values, found = np.nan_to_num(f1(np.ones(len(data.y), dtype=np.int64))), data.draw(f1, draws, seed)
    witnesses = [data.witnesses(data.y == index) for index in range(len(values))]
    return [_told(float(v), f, level, n) for v, f, n in zip(values, found.T, witnesses, strict=True)]


def verdict(found: Interval, metric: Metric) -> str:
    """Say what a difference b - a means for b: 'better', 'worse' or 'cannot tell' (zero is in the interval)."""
    if not (found.low > 0 or found.high < 0):
        return "cannot tell"
    return "better" if metric.utility(found.value) > 0 else "worse"


@dataclass(frozen=True)
class _Data:
    """Rows in an order that depends on what they hold alone, sides swapped or not, and each row's group."""

    y: IntArray
    sides: Sequence[FloatArray]
    group: IntArray

    @classmethod
    def of(cls, y: IntArray, sides: Sequence[FloatArray], groups: ArrayLike) -> _Data:
        names = np.asarray(groups)
        for side in sides:
            metrics.check_probabilities(side)
            metrics.check_targets(y, *side.shape)
        if len({side.shape[1] for side in sides}) > 1:
            raise InputError(f"The two sides have {' and '.join(str(side.shape[1]) for side in sides)} classes.")
        if names.shape != y.shape or (names != names).any():
            raise InputError(f"The groups must be one value a row ({len(y)} in all), none of them missing.")
        order, group = _canonical(y, sides, names)
        if group[-1] < 1:
            raise InputError("All rows are in one group: how sure a score is shows only between groups.")
        return cls(y[order], [side[order] for side in sides], group)

    @property
    def count(self) -> int:
        return int(self.group[-1]) + 1

    def witnesses(self, rows: NDArray[np.bool_]) -> int:
        return len(np.unique(self.group[rows]))

    def differs(self, metric: Metric) -> NDArray[np.bool_]:
        """Return in which rows the metric sees another prediction on one side than on the other."""
        a, b = self.sides
        return (a != b).any(axis=1) if metric.from_confusion is None else a.argmax(axis=1) != b.argmax(axis=1)

    def draw(self, score: Score, draws: int, seed: int, size: int | None = None) -> FloatArray:
        """Return the scores of `draws` draws of `size` groups (None: as many as there are), float64 (draws, …)."""
        rng, number = np.random.default_rng(seed), self.count
        chosen = (rng.integers(number, size=size or number) for _ in range(draws))
        return np.array([score(np.bincount(groups, minlength=number)[self.group]) for groups in chosen])

    def score(self, metric: Metric, side: int = 0) -> Score:
        """Return the metric of one side as a function of how many times each row is taken."""
        if metric.from_confusion is None:
            y, of = self.y, self.sides[side]
            return lambda times: metric.unchecked(np.repeat(y, times), np.repeat(of, times, axis=0))
        from_confusion, count = metric.from_confusion, self.confusion(side)
        if metric.name not in metrics.CLASS_MEANS:
            return lambda times: from_confusion(count(times))
        present = len(np.unique(self.y))
        return lambda times: metrics.over_present(from_confusion(count(times)), np.bincount(self.y, times), present)

    def confusion(self, side: int = 0) -> Callable[[IntArray], IntArray]:
        """Return the (C, C) counts of one side as a function of how many times each row is taken."""
        classes = self.sides[side].shape[1]
        cell = self.y * classes + self.sides[side].argmax(axis=1)

        def count(times: IntArray) -> IntArray:
            counts = np.bincount(cell, times, minlength=classes * classes).astype(np.int64)
            return counts.reshape(classes, classes)

        return count


def _canonical(y: IntArray, sides: Sequence[FloatArray], groups: NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Return the rows' order by group, groups by the rows they hold, and the ordered rows' group from 0."""
    whole = sorted((np.column_stack([y, side]) for side in sides), key=lambda rows: rows[np.lexsort(rows.T)].tobytes())
    code = np.unique(np.hstack(whole), axis=0, return_inverse=True)[1].ravel()
    member = np.unique(groups, return_inverse=True)[1].ravel()
    order = np.lexsort((code, member))
    parts = np.split(order, np.flatnonzero(np.diff(member[order])) + 1)
    parts.sort(key=lambda rows: code[rows].tolist())
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(rows) for rows in parts])


def _value(y: IntArray, probabilities: FloatArray, metric: Metric) -> float:
    value = float(metric.function(y, probabilities))
    if not np.isfinite(value):
        raise InputError(f"{metric.name} has no value on these rows: there are too few classes among them.")
    return value


def _told(value: float, found: FloatArray, level: float, witnesses: int) -> Interval:
    """Return the value with the quantiles and the deviation of the draws that have a score (AUC may lack one)."""
    scored = found[np.isfinite(found)]
    if len(scored) < 2:
        return Interval(value, float("nan"), float("nan"), float("nan"))
    share = tail(level, witnesses)
    low, high = np.quantile(scored, [share, 1 - share])
    return Interval(value, float(low), float(high), float(scored.std(ddof=1)))


def tail(level: float, witnesses: int) -> float:
    """Return the share of draws beyond each end; Student's quantile is expanded (Abramowitz & Stegun 26.7.5)."""
    if not 0 < level < 1:
        raise InputError(f"The level of an interval is a share between 0 and 1, not {level}.")
    normal, many = NormalDist(), max(witnesses, 2)
    z, free = normal.inv_cdf((1 + level) / 2), many - 1
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return normal.cdf(-student * (many / free) ** 0.5)
