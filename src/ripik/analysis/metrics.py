"""Metrics over all classes: what a blend is tuned for and what every score in a report means.

Class indices run from 0 to C-1 in the configuration's class order. Label metrics take the class of highest
probability (the first of equals) and count classes nobody has or predicts as 0 (scikit-learn's
``labels=range(C), zero_division=0``). A missing probability is an error: it is never scored. With ``weights`` a row
counts so many times (scikit-learn's ``sample_weight``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripik.analysis import confusions
from ripik.analysis.confusions import Counts, confusion_matrix, weighted_confusion
from ripik.analysis.confusions import FloatArray as FloatArray
from ripik.analysis.confusions import IntArray as IntArray
from ripik.analysis.truth import OF_SHARES, check_shares, dot, is_soft, labels_of
from ripik.errors import InputError, nearest
from ripik.names import own_name

ROW_SUM_TOLERANCE = 1e-3


class Score(Protocol):
    """A score of probabilities (n, C) against class indices (n,), rows weighted (n,) where weights are given."""

    def __call__(self, y: IntArray, probabilities: FloatArray, weights: FloatArray | None = None, /) -> float:
        """Return the score; of the arguments nothing is checked."""


@dataclass(frozen=True)
class Metric:
    """A named score of probabilities (n, C) against class indices (n,).

    ``from_confusion`` scores a (C, C) count matrix (rows: truth, columns: predicted) for the metrics that
    need only the predicted classes; it is None where ``uses_probabilities`` is true. ``from_margins`` gives the same
    values from the matrix's margins, where they are enough (see `confusions`). ``least`` is the least possible value.
    ``class_mean``: it is a mean over classes, to which a class without rows adds 0. ``of_rows``: the value of each row,
    (n,), where the metric is their (weighted) mean.
    """

    name: str
    unchecked: Score
    greater_is_better: bool
    uses_probabilities: bool
    from_confusion: Callable[[Counts], float] | None = None
    from_margins: Callable[[Counts, Counts, Counts], float] | None = None
    least: float = 0.0
    class_mean: bool = False
    of_rows: Callable[[IntArray, FloatArray], FloatArray] | None = None

    def function(self, y_true_index: IntArray, probabilities: FloatArray, weights: FloatArray | None = None) -> float:
        """Return the score of (n, C) probabilities, rows counted `weights` (n,) times (None: once each).

        The targets are class indices (n,), or shares (n, C), of which a metric of labels takes the greatest.

        Raises `InputError` on missing values, wrong shapes, and weights that are not all finite and above 0.
        """
        check_probabilities(probabilities)
        check_targets(y_true_index, *probabilities.shape)
        y_true_index = y_true_index if self.takes_shares else labels_of(y_true_index)
        if weights is None:
            return self.unchecked(y_true_index, probabilities)
        check_weights(weights, len(y_true_index))
        return self.unchecked(y_true_index, probabilities, weights)

    @property
    def takes_shares(self) -> bool:
        """Whether rows may be scored by shares of the classes, (n, C), and not only by the greatest (`truth`)."""
        return self.name == OF_SHARES

    @property
    def ends(self) -> tuple[float, float]:
        """Return the least and the greatest possible value."""
        return self.least, 1.0 if self.greater_is_better else float("inf")

    def utility(self, value: float) -> float:
        """Return the value turned so that larger is always better; no value (NaN) ranks last."""
        if math.isnan(value):
            return -math.inf
        return value if self.greater_is_better else -value


def get_metric(name: str) -> Metric:
    """Return the metric of this name; raises `InputError` that names the nearest known ones."""
    known = {metric.name: metric for metric in known_metrics()}
    if own_name(name) in known:
        return known[own_name(name)]
    raise InputError(f"competition.metric: there is no metric {name!r}{nearest(name.lower(), list(known))}.")


def score_part(metric: Metric, y_true_index: IntArray, probabilities: FloatArray) -> float:
    """Return the score of some of the rows, such as a fold: classes without rows there are left out of class means.

    Counted as 0, as `Metric.function` counts them, they would say how many classes the part lacks, not how good the
    predictions are. Arguments and errors as of `Metric.function`.
    """
    value, counts = metric.function(y_true_index, probabilities), np.bincount(labels_of(y_true_index))
    classes = probabilities.shape[1]
    all_there = np.count_nonzero(counts) == classes
    return value if all_there or not metric.class_mean else over_present(value, counts, classes)


def over_present(value: float, counts: ArrayLike, classes: int) -> float:
    """Return a mean over `classes` classes, where those without rows (counts 0) added 0, as the mean over the others.

    counts: rows of each class. The value must be that of a class mean.
    """
    return value * classes / int(np.count_nonzero(counts))


def check_probabilities(probabilities: FloatArray, what: str = "probabilities") -> None:
    """Raise `InputError` unless the array is (n, C) with n >= 1, C >= 2 and every value finite."""
    if probabilities.ndim != 2 or probabilities.shape[0] < 1 or probabilities.shape[1] < 2:
        raise InputError(
            f"The {what} have shape {probabilities.shape}: give one row per sample and at least two columns, one per "
            "class."
        )
    bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(bad):
        raise InputError(
            f"The {what} have {len(bad)} of {len(probabilities)} rows with a missing or infinite value "
            f"(first: row {bad[0]}): predict those rows before scoring."
        )


def check_targets(y_true_index: IntArray, n_rows: int, n_classes: int) -> None:
    """Raise `InputError` unless the targets are (n_rows,) integers in 0..n_classes-1, or shares (n_rows, n_classes)."""
    if is_soft(y_true_index):
        check_shares(y_true_index, n_rows, n_classes)
        return
    if y_true_index.shape != (n_rows,):
        raise InputError(f"The targets have shape {y_true_index.shape} for {n_rows} rows of probabilities.")
    if not np.issubdtype(y_true_index.dtype, np.integer):
        raise InputError(f"The targets are {y_true_index.dtype}: give class indices (integers from 0).")
    if y_true_index.min() < 0 or y_true_index.max() >= n_classes:
        raise InputError(
            f"The targets run from {y_true_index.min()} to {y_true_index.max()}: "
            f"with {n_classes} classes they must be in 0..{n_classes - 1}."
        )


def check_weights(weights: FloatArray, n_rows: int) -> None:
    """Raise `InputError` unless the weights are (n_rows,) finite numbers above 0."""
    if weights.shape != (n_rows,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError(f"The weights must be one finite number above 0 per row ({n_rows} in all).")


def log_loss(y_true_index: IntArray, probabilities: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the (weighted) mean of -log(probability of the true class), clipped to float64's epsilon; see `losses`."""
    of_rows = losses(y_true_index, probabilities)
    return float(of_rows.mean() if weights is None else np.average(of_rows, weights=weights))


def losses(y_true_index: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return every row's -log(probability of the true class), clipped to float64's epsilon, (n,); of shares the mean.

    Raises `InputError` where a row does not sum to 1 (within 1e-3), which would make the loss meaningless.
    """
    off = np.flatnonzero(np.abs(probabilities.sum(axis=1) - 1.0) > ROW_SUM_TOLERANCE)
    if len(off):
        raise InputError(
            f"log_loss needs rows that sum to 1: {len(off)} of {len(probabilities)} do not "
            f"(first: row {off[0]}); score normalised probabilities."
        )
    epsilon = np.finfo(np.float64).eps
    if is_soft(y_true_index):
        return -dot(y_true_index, np.log(np.clip(probabilities, epsilon, 1.0 - epsilon)))
    true_class = probabilities[np.arange(len(probabilities)), y_true_index]
    found: FloatArray = -np.log(np.clip(true_class, epsilon, 1.0 - epsilon))
    return found


def auc(y_true_index: IntArray, probabilities: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the area under the ROC curve: the last column's for two classes, else one-vs-rest, macro mean.

    With weights a (positive, negative) pair counts as the product of the two.
    The mean is over the classes that have rows and are not all of the rows; NaN where no class is so.
    """
    n_classes = probabilities.shape[1]
    counts = np.bincount(y_true_index, minlength=n_classes)
    classes = [1] if n_classes == 2 else range(n_classes)
    scored = [c for c in classes if 0 < counts[c] < len(y_true_index)]
    found = [_one_vs_rest_auc(y_true_index == c, probabilities[:, c], weights) for c in scored]
    return float(np.mean(found)) if found else float("nan")


def mean_average_precision(
    y_true_index: IntArray, probabilities: FloatArray, weights: FloatArray | None = None, *, depth: int
) -> float:
    """Return the (weighted) mean of 1 / rank of the true class among the `depth` most probable, 0 for one beyond them.

    That is the mean average precision at `depth` where an image has one label; of equal probabilities the first class
    ranks first.
    """
    true = probabilities[np.arange(len(probabilities)), y_true_index][:, None]
    before = np.arange(probabilities.shape[1]) < y_true_index[:, None]
    rank = 1 + ((probabilities > true) | ((probabilities == true) & before)).sum(axis=1)
    return float(np.average(np.where(rank <= depth, 1.0 / rank, 0.0), weights=weights))


def _one_vs_rest_auc(positive: NDArray[np.bool_], scores: FloatArray, weights: FloatArray | None) -> float:
    """Return the share of (positive, negative) pairs in the right order, ties counted half."""
    if weights is not None:
        return _weighted_pairs(positive, scores, weights)
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    wins = np.searchsorted(below, above, side="left") + np.searchsorted(below, above, side="right")
    return float(wins.mean() / 2 / len(below))


def _weighted_pairs(positive: NDArray[np.bool_], scores: FloatArray, weights: FloatArray) -> float:
    order = np.argsort(scores[~positive], kind="stable")
    below, up_to = scores[~positive][order], np.append(0.0, np.cumsum(weights[~positive][order]))
    above = scores[positive]
    wins = up_to[np.searchsorted(below, above, side="left")] + up_to[np.searchsorted(below, above, side="right")]
    return float(np.average(wins, weights=weights[positive]) / 2 / up_to[-1])


def _label_score(
    from_confusion: Callable[[Counts], float],
    y_true_index: IntArray,
    probabilities: FloatArray,
    weights: FloatArray | None = None,
) -> float:
    predicted, n_classes = probabilities.argmax(axis=1), probabilities.shape[1]
    if weights is None:
        return from_confusion(confusion_matrix(y_true_index, predicted, n_classes))
    return from_confusion(weighted_confusion(y_true_index, predicted, n_classes, weights))


def _label_metric(name: str, from_confusion: Callable[[Counts], float], **more: Any) -> Metric:
    score = partial(_label_score, from_confusion)
    return Metric(name, score, True, uses_probabilities=False, from_confusion=from_confusion, **more)


def _margins_metric(name: str, from_margins: Callable[[Counts, Counts, Counts], float], **more: Any) -> Metric:
    return _label_metric(name, partial(_by_margins, from_margins), from_margins=from_margins, **more)


def _by_margins(from_margins: Callable[[Counts, Counts, Counts], float], confusion: Counts) -> float:
    return from_margins(*confusions.margins(confusion))


def _ranking_metric(depth: int) -> Metric:
    return Metric(f"map@{depth}", partial(mean_average_precision, depth=depth), True, uses_probabilities=True)


def known_metrics() -> tuple[Metric, ...]:
    """Return all metrics. Companions: the name's type in `names`, a label metric's slope in `ensemble.slopes`."""
    return (
        _margins_metric("macro_f1", confusions.macro_f1, class_mean=True),
        _label_metric("weighted_f1", confusions.weighted_f1),
        _margins_metric("accuracy", confusions.accuracy),
        Metric("log_loss", log_loss, greater_is_better=False, uses_probabilities=True, of_rows=losses),
        _margins_metric("balanced_accuracy", confusions.balanced_accuracy, class_mean=True),
        _label_metric("cohen_kappa", confusions.cohen_kappa, least=-1.0),
        _label_metric("quadratic_kappa", partial(confusions.cohen_kappa, quadratic=True), least=-1.0),
        Metric("auc", auc, greater_is_better=True, uses_probabilities=True),
        *(_ranking_metric(depth) for depth in (3, 5, 10)),
    )
