"""Label metrics of expected counts with their slopes: what class offsets climb.

A soft decision makes of n rows a (C, C) matrix of expected counts (rows: truth, columns: predicted). The metrics of
`metrics` are smooth functions of it; their derivatives by every cell are written out here, for differences would ask
for C^2 scores a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ripik.analysis.metrics import FloatArray, Metric
from ripik.errors import InputError

TINY = float(np.finfo(np.float64).tiny)
Sloped = tuple[float, FloatArray]


def value_and_slope(metric: Metric, confusion: FloatArray) -> Sloped:
    """Return a label metric of counts (C, C), float64 >= 0 and not all 0, and its derivative by each of them (C, C).

    A class nobody has or predicts counts as 0 and has no slope, as in `metrics`. Raises `InputError` for a metric of
    the probabilities.
    """
    found = _SLOPED.get(metric.name)
    if found is None:
        raise InputError(f"{metric.name} is not computed from counts, so it has no gradient with respect to them.")
    return found(confusion)


def _macro_f1(confusion: FloatArray) -> Sloped:
    whole = np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), TINY)
    f1 = 2 * np.diagonal(confusion) / whole
    missed = f1 / whole
    slope = np.diag(2 / whole) - missed[:, None] - missed
    return float(f1.mean()), slope / len(f1)


def _weighted_f1(confusion: FloatArray) -> Sloped:
    """Return the classes' F1 weighted by their rows, which the counts move, too."""
    rows, total = confusion.sum(axis=1), confusion.sum()
    whole = np.maximum(confusion.sum(axis=0) + rows, TINY)
    f1 = 2 * np.diagonal(confusion) / whole
    value, missed = float(rows @ f1 / total), rows * f1 / whole
    slope = np.diag(2 * rows / whole) - missed[:, None] - missed + f1[:, None] - value
    return value, slope / total


def _accuracy(confusion: FloatArray) -> Sloped:
    whole, right = confusion.sum(), np.trace(confusion)
    return float(right / whole), np.eye(len(confusion)) / whole - right / whole**2


def _balanced_accuracy(confusion: FloatArray) -> Sloped:
    rows = confusion.sum(axis=1)
    share = np.divide(1.0, rows, out=np.zeros(len(rows)), where=rows > 0)
    recall = np.diagonal(confusion) * share
    slope = np.diag(share) - (recall * share)[:, None]
    return float(recall.mean()), slope / len(rows)


def _kappa(confusion: FloatArray, *, quadratic: bool = False) -> Sloped:
    """Return 1 - found / expected disagreement; expected is (rows' sums) D (columns' sums) / n for weights D."""
    index = np.arange(len(confusion))
    distance = index[:, None] - index
    weights = (distance**2 if quadratic else distance != 0).astype(np.float64)
    whole, rows, columns = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
    found, by_row, by_column = float((weights * confusion).sum()), weights @ columns, rows @ weights
    expected = float(rows @ by_row) / whole
    if expected <= 0:
        return 0.0, np.zeros_like(confusion)
    moved = (by_row[:, None] + by_column - expected) / whole  # of expected, by each cell
    return 1.0 - found / expected, (found * moved / expected - weights) / expected


_SLOPED: dict[str, Callable[[FloatArray], Sloped]] = {
    "macro_f1": _macro_f1,
    "weighted_f1": _weighted_f1,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "cohen_kappa": _kappa,
    "quadratic_kappa": partial(_kappa, quadratic=True),
}
