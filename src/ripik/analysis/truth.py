"""The targets of the scores: class indices (n,), or where labels are soft, the shares of the classes, float64 (n, C).

Shares are scored by log loss alone, which is linear in them: the mean of -(sum over classes of share x log p). Every
other metric takes the class of the greatest share, the first of equals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripik.analysis.confusions import FloatArray, IntArray
from ripik.errors import InputError

Truth = NDArray[Any]
SUM_TOLERANCE = 1e-6
OF_SHARES = "log_loss"  # the metric that scores shares


def is_soft(y: Truth) -> bool:
    """Whether these are shares."""
    return y.ndim == 2


def labels_of(y: Truth) -> IntArray:
    """Return class indices (n,): of shares the class of the greatest one, the first of equals."""
    labels: IntArray = y.argmax(axis=1) if is_soft(y) else y
    return labels


def with_corrected(y: Truth, targets: IntArray, rows: NDArray[np.bool_]) -> Truth:
    """Return y by the corrected class indices `targets`; of shares, `rows` tells which are one class in their place."""
    if not is_soft(y):
        return targets
    return np.where(rows[:, None], np.eye(y.shape[1])[targets], y)


def class_means(y: Truth, classes: int) -> FloatArray:
    """Return the mean share of every class, (C,)."""
    means: FloatArray = y.mean(axis=0) if is_soft(y) else np.bincount(y, minlength=classes) / len(y)
    return means


def dot(y: Truth, values: FloatArray) -> FloatArray:
    """Return each row's value of its class, (n,); of shares the mean of its classes' values by them."""
    found: FloatArray = (y * values).sum(axis=1) if is_soft(y) else values[np.arange(len(values)), y]
    return found


def minus(values: FloatArray, y: Truth) -> FloatArray:
    """Take the one-hot rows, or the shares, off values (n, C), in place; return them."""
    if is_soft(y):
        values -= y
    else:
        values[np.arange(len(y)), y] -= 1
    return values


def likelihoods(y: Truth, values: FloatArray) -> FloatArray:
    """Return exp of the mean log of each row's values by its truth, (…, n), of values (…, n, C) in 0..1."""
    if not is_soft(y):
        own: FloatArray = values[..., np.arange(len(y)), y]
        return own
    logs = np.log(np.maximum(values, np.finfo(np.float64).tiny))
    found: FloatArray = np.exp((y * logs).sum(axis=-1))
    return found


def pairs(y: Truth, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Return the values (members, k) of every row's classes that have a share, of (members, n, C), and these shares.

    None stands for shares that are all 1.
    """
    if not is_soft(y):
        return values[:, np.arange(len(y)), y], None
    row, column = np.nonzero(y)
    return values[:, row, column], y[row, column]


def check_shares(y: Truth, n_rows: int, n_classes: int) -> None:
    """Raise `InputError` unless the shares are (n_rows, n_classes) and every row a distribution."""
    if y.shape != (n_rows, n_classes):
        raise InputError(f"The shares have shape {y.shape}, not ({n_rows} rows, {n_classes} classes).")
    if not ((y >= 0).all() and (np.abs(y.sum(axis=1) - 1) < SUM_TOLERANCE).all()):
        raise InputError("The shares of a row must be at least 0 and sum to 1.")
