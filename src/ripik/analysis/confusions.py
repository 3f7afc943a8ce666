"""Confusion matrices (rows: truth, columns: predicted), and the scores that they, or their margins alone, tell.

The margins of a matrix (C, C) are, of each class, the rows that are predicted right, that have its label, and that are
predicted as it: three (C,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]
Counts = NDArray[Any]  # (C, C), how many rows; sums of their weights where they have weights


def confusion_matrix(y_true_index: IntArray, predicted: IntArray, n_classes: int) -> NDArray[np.int64]:
    """Count (C, C) pairs of true (row) and predicted (column) class indices, both (n,) in 0..C-1."""
    cells = np.bincount(y_true_index * n_classes + predicted, minlength=n_classes * n_classes)
    return cells.reshape(n_classes, n_classes)


def weighted_confusion(y_true_index: IntArray, predicted: IntArray, n_classes: int, weights: FloatArray) -> FloatArray:
    """Sum the weights (n,) of each pair of true (row) and predicted (column) class indices, float64 (C, C)."""
    cells = y_true_index * n_classes + predicted
    sums: NDArray[Any] = np.bincount(cells, weights, minlength=n_classes * n_classes)
    return sums.reshape(n_classes, n_classes)


def macro_f1(right: Counts, of_label: Counts, of_predicted: Counts) -> float:
    """Return the unweighted mean of the classes' F1, by margins."""
    return float(f1_of_margins(right, of_label, of_predicted).mean())


def weighted_f1(confusion: Counts) -> float:
    """Return the mean of the classes' F1, each weighted by its rows (scikit-learn's ``average="weighted"``)."""
    return float(np.average(per_class_f1(confusion), weights=confusion.sum(axis=1)))


def per_class_f1(confusion: Counts) -> FloatArray:
    """Return each class's F1, (C,); 0 for a class that is neither present nor predicted."""
    return f1_of_margins(*margins(confusion))


def margins(confusion: Counts) -> tuple[Counts, Counts, Counts]:
    """Return of each class the rows that are predicted right, that have its label, and that are predicted as it."""
    return np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)


def f1_of_margins(right: Counts, of_label: Counts, of_predicted: Counts) -> FloatArray:
    """Return each class's F1, (C,), from what `margins` returns."""
    return ratio(2 * right, of_predicted + of_label)


def accuracy(right: Counts, of_label: Counts, of_predicted: Counts) -> float:
    """Return the share of rows predicted right, by margins."""
    return float(right.sum() / of_label.sum())


def balanced_accuracy(right: Counts, of_label: Counts, of_predicted: Counts) -> float:
    """Return the mean recall over all C classes, by margins; an absent class counts as 0."""
    return float(ratio(right, of_label).mean())


def cohen_kappa(confusion: Counts, *, quadratic: bool = False) -> float:
    """Return the agreement beyond chance (Cohen 1960; 1968 for squared class distances as disagreement).

    0 where chance alone cannot disagree (truth and predictions are all one class), instead of 0/0.
    """
    index = np.arange(len(confusion))
    distance = index[:, None] - index
    disagreement = distance**2 if quadratic else (distance != 0)
    by_chance = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
    expected = float((disagreement * by_chance).sum())
    return 1.0 - float((disagreement * confusion).sum()) / expected if expected > 0 else 0.0


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> FloatArray:
    """Return part / whole, (n,); 0 where the whole is 0."""
    found: FloatArray = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return found
