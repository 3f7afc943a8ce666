"""How sure a score is: the bootstrap over groups of near copies.

Near copies of one photo are right or wrong together, so whole groups are drawn, with replacement (the cluster
bootstrap; Field & Welsh 2007, JRSS B 69), and the quantiles of the scores of the draws are the interval (Efron 1979).
Resampling rows instead would count three copies of a photo as three observations.

A draw may lack a rare class. It then has no F1 or recall, and is left out of that draw's macro mean: counting it as 0
would drag the interval down, and drawing within classes would forget that the class counts are chance, too. Where the
rarest class has about three groups, the 95 % interval of macro F1 covered 94 % in simulations, 82 % and 77 % otherwise.

Quantiles of few observations are too narrow, so they are taken further out, as Student's t is wider than the normal
(expanded percentiles; Hesterberg 2015, The American Statistician 69). Observations are the groups; those with the
class, for its F1; those on which the two sides differ, for a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from ripik.analysis import confusions
from ripik.analysis.metrics import FloatArray, IntArray, Metric
from ripik.analysis.resampling import Drawable
from ripik.errors import InputError

DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A value, the ends of its interval, and its standard error."""

    value: float
    low: float
    high: float
    error: float

    @classmethod
    def from_json(cls, content: Mapping[str, float | None]) -> Interval:
        """Return the interval from its JSON; null stands for an undefined number."""
        return cls(**{name: float("nan") if value is None else value for name, value in content.items()})


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
    value, data = _value(y, probabilities, metric), Drawable.of(y, [probabilities], groups)
    return _interval(value, data.draw(data.score(metric), draws, seed), level, data.count)


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
    data = Drawable.of(y, [a, b], groups)
    of_a, of_b = data.score(metric, 0), data.score(metric, 1)
    found = data.draw(lambda times: of_b(times) - of_a(times), draws, seed)
    return _interval(value, found, level, data.witnesses(data.differs(metric)))


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
    weights: FloatArray | None = None,
) -> Interval:
    """Return where the score of a fresh test set of `test_groups` groups will fall, given this score.

    Both are chance: the spread is that of (a draw of test_groups) - (another draw of as many groups as there are), so a
    bias that grows as sets shrink, as macro F1 has, is met, too. Said of the same models on photos of the same kind;
    no end lies beyond a perfect score.
    weights: (n,), above 0, one a group; the test set holds so many times more such photos, and it is drawn so. The
    score is then the weighted one, and the witnesses are the effective ones (`effective_groups`).
    Other arguments and errors as of `interval`.
    """
    if test_groups < 1:
        raise InputError(f"A test set of {test_groups} groups has no score: give at least one.")
    value, data = _value(y, probabilities, metric, weights), Drawable.of(y, [probabilities], groups, weights)
    own = data.draw(data.score(metric), draws, seed)
    fresh = data.draw(data.unweighted().score(metric), draws, seed + 1, test_groups, data.chances())
    found = value + fresh - own
    possible = np.clip(found, *metric.ends)
    witnesses = data.count if weights is None else int(effective_groups(weights, groups))
    return _interval(value, possible, level, min(witnesses, test_groups))


def effective_groups(weights: FloatArray, groups: ArrayLike) -> float:
    """Return the effective number of groups, of equal weight: (Σ w)² / Σ w² over groups (Kish 1965).

    weights, groups: (n,); rows of a group count by their mean weight.
    """
    member = np.unique(groups, return_inverse=True)[1].ravel()
    of_group = np.bincount(member, weights) / np.bincount(member)
    return float(of_group.sum() ** 2 / np.square(of_group).sum())


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
    data = Drawable.of(y, [probabilities], groups)
    margins = data.margins()

    def f1(times: IntArray) -> FloatArray:
        right, of_label, of_predicted = margins(times)
        return np.where(of_label > 0, confusions.f1_of_margins(right, of_label, of_predicted), np.nan)

    values, found = np.nan_to_num(f1(np.ones(len(data.y), dtype=np.int64))), data.draw(f1, draws, seed)
    witnesses = [data.witnesses(data.y == index) for index in range(len(values))]
    return [_interval(float(v), f, level, n) for v, f, n in zip(values, found.T, witnesses, strict=True)]


def verdict(found: Interval, metric: Metric) -> str:
    """Say what a difference b - a means for b: 'better', 'worse' or 'cannot tell' (zero is in the interval)."""
    if not (found.low > 0 or found.high < 0):
        return "cannot tell"
    return "better" if metric.utility(found.value) > 0 else "worse"


def _value(y: IntArray, probabilities: FloatArray, metric: Metric, weights: FloatArray | None = None) -> float:
    value = float(metric.function(y, probabilities, weights))
    if not np.isfinite(value):
        raise InputError(f"{metric.name} has no value on these rows: they have too few classes.")
    return value


def _interval(value: float, found: FloatArray, level: float, witnesses: int) -> Interval:
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
        raise InputError(f"The level of an interval must be between 0 and 1, not {level}.")
    normal, many = NormalDist(), max(witnesses, 2)
    z, free = normal.inv_cdf((1 + level) / 2), many - 1
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return normal.cdf(-student * (many / free) ** 0.5)
