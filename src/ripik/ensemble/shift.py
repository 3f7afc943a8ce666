"""Importance weights of the training photos for a test set with another distribution (covariate shift).

A classifier of train against test, both sides weighing the same, gives the odds that a photo is of the test set: how
many times more such photos that set holds. Training rows weighted by these odds score as the test set will (covariate
shift; Shimodaira 2000; Sugiyama, Krauledat & Müller 2007, JMLR 8), as far as the classifier sees: photos that look
alike must have the same classes on both sides, and what the test set holds, train must hold, too.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from ripik.analysis.intervals import DRAWS, Interval, effective_groups, interval, predictive
from ripik.analysis.metrics import FloatArray, IntArray, Metric, get_metric

NORMAL = 1.96  # standard errors to an end of a 95 % interval
SURE = 1e-7  # probabilities are held so far from 0 and 1, about float32's last bit
LEAST_COVERED, LEAST_EFFECTIVE = 0.5, 10  # of the test set; groups: with less, weighted rows do not speak for it


@dataclass(frozen=True)
class Likeness:
    """How the training rows stand for the test set.

    weights: (n,), mean 1, one a group. effective: how many groups of equal weight would tell as much. covered: the
    share of the test set that the training set holds; far below 1 where the two hardly overlap.
    """

    weights: FloatArray
    effective: float
    covered: float

    @property
    def speaks(self) -> bool:
        """Whether the weighted rows can say how the test set will score."""
        return self.covered >= LEAST_COVERED and self.effective >= LEAST_EFFECTIVE


def separability(is_test: IntArray, p_test: FloatArray, groups: ArrayLike, *, draws: int = DRAWS) -> Interval:
    """Return the AUC of cross-fitted probabilities p_test (n,) for is_test (n,) of 0 and 1, with its 95 % interval.

    The ends lie √2 further out than draws over groups say: each fold is judged by heads fitted to the others, so a
    chance difference of two folds counts in both, and the AUC of sides that do not differ has twice the variance.
    """
    found = interval(is_test, np.column_stack([1 - p_test, p_test]), groups, get_metric("auc"), draws=draws)
    low, high = (found.value + 2**0.5 * (end - found.value) for end in (found.low, found.high))
    return replace(found, low=max(low, 0.0), high=min(high, 1.0), error=2**0.5 * found.error)


def density_ratio(is_test: IntArray, p_test: FloatArray, groups: ArrayLike, fold: IntArray) -> FloatArray:
    """Return how many times more photos like each row the test set holds than the training set, float64 (n,).

    p_test: (n,) out of fold. Near copies on one side share the mean of their log-odds. Those of each fold are
    calibrated on the other folds (Platt 1999), which also draws them towards 1 where the classifier guesses.
    """
    odds = _by_side(logit(np.clip(p_test.astype(np.float64), SURE, 1 - SURE)), is_test, groups)
    found = np.ones(len(odds))
    for held in np.unique(fold):
        rows, others = fold == held, fold != held
        if len(np.unique(is_test[others])) == 2:
            scale = LogisticRegression(class_weight="balanced").fit(odds[others, None], is_test[others])
            found[rows] = np.exp(scale.decision_function(odds[rows, None]))
    return found


def likeness(ratio: FloatArray, groups: ArrayLike) -> Likeness:
    """Return what the `density_ratio` (n,) of training rows says of them; groups: (n,), which rows are one witness.

    No group counts more than √(their number) times as much as a photo of which both sets hold as many (truncated
    importance sampling; Ionides 2008, Journal of Computational and Graphical Statistics 17).
    """
    member = np.unique(groups, return_inverse=True)[1].ravel()
    of_group = np.bincount(member, ratio) / np.bincount(member)
    clipped = np.minimum(of_group, len(of_group) ** 0.5)[member]
    covered = float(clipped.mean())
    return Likeness(clipped / covered, effective_groups(clipped, groups), covered)


def expect(
    y: IntArray,
    probabilities: FloatArray,
    groups: ArrayLike,
    metric: Metric,
    test_groups: int,
    like: Likeness,
    *,
    draws: int = DRAWS,
) -> Interval:
    """Return where the score of a test set will fall, by the training rows weighted by their likeness to it.

    The weights are no surer than the classifier, which sees a part of what differs: what they move the score by is
    taken for the reach of their own error (95 %), independent of chance, and so the ends lie further out. Arguments and
    errors as of `intervals.predictive`.
    """
    found = predictive(y, probabilities, groups, metric, test_groups, draws=draws, weights=like.weights)
    moved = found.value - metric.function(y, probabilities)
    low = found.value - np.hypot(found.value - found.low, moved)
    high = found.value + np.hypot(found.high - found.value, moved)
    low, high = np.clip([low, high], *metric.ends).tolist()
    return Interval(found.value, low, high, float(np.hypot(found.error, moved / NORMAL)))


def _by_side(values: FloatArray, is_test: IntArray, groups: ArrayLike) -> FloatArray:
    """Give each row the mean of its group's values on its side."""
    part = np.unique(
        np.column_stack([np.unique(groups, return_inverse=True)[1].ravel(), is_test]), axis=0, return_inverse=True
    )[1].ravel()
    return (np.bincount(part, values) / np.bincount(part))[part]
