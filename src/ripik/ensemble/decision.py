"""Averaging over near copies, and adapting probabilities to other class shares; `nested_cv` chooses whether."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ripik.analysis.metrics import FloatArray
from ripik.ensemble.probabilities import SMALLEST, check_classes, check_distributions, group_codes

EM_TOLERANCE, EM_STEPS = 1e-9, 10_000


def vote(probabilities: FloatArray, groups: ArrayLike) -> FloatArray:
    """Return (..., n, C) probabilities with every row the mean of its group's rows, groups (n,) of any type.

    Leading axes (members, views) are kept apart. Raises `InputError` for another number of groups or a missing one.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    codes = group_codes(groups, values.shape[-2])
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    sums = np.add.reduceat(values[..., order, :], np.cumsum(sizes) - sizes, axis=-2)
    voted: FloatArray = (sums / sizes[:, None])[..., codes, :]
    return voted


@dataclass(frozen=True, eq=False)
class PriorShift:
    """The class shares estimated on some rows and those of training, each (C,), summing to 1."""

    priors: FloatArray
    train_priors: FloatArray


def estimate_priors(probabilities: FloatArray, train_priors: FloatArray) -> PriorShift:
    """Return the class shares under which (n, C) unlabelled rows are likeliest, given those of training (C,).

    Supposes that the classes look the same in both, only their shares differ, and that the probabilities are
    calibrated for training's (`calibration`). EM of Saerens, Latinne and Decaestecker (2002, Neural Computation 14):
    rows are adapted to the present shares, whose next guess is the adapted rows' mean, until no share moves by more
    than 1e-9 (at most 10,000 rounds). A class without training rows is not adapted. Raises
    `InputError` for rows or shares that are no probabilities.
    """
    check_distributions(probabilities, "probabilities")
    train = np.asarray(train_priors, dtype=np.float64)
    check_classes(probabilities, train)
    check_distributions(train[None], "class shares of training")
    rows = np.maximum(np.asarray(probabilities, dtype=np.float64), SMALLEST)
    priors = train
    for _ in range(EM_STEPS):
        before, ratio = priors, _ratio(priors, train)
        priors = ratio * ((1 / (rows @ ratio)) @ rows) / len(rows)
        if np.abs(priors - before).max() <= EM_TOLERANCE:
            break
    return PriorShift(priors, train)


def adapt(probabilities: FloatArray, shift: PriorShift) -> FloatArray:
    """Return (n, C) probabilities for the estimated class shares instead of training's, rows summing to 1."""
    check_distributions(probabilities, "probabilities")
    check_classes(probabilities, shift.priors)
    return _adapted(probabilities, shift.priors, shift.train_priors)


def _adapted(probabilities: FloatArray, priors: FloatArray, train: FloatArray) -> FloatArray:
    weighed = np.maximum(probabilities, SMALLEST) * _ratio(priors, train)
    adapted: FloatArray = weighed / weighed.sum(axis=1, keepdims=True)
    return adapted


def _ratio(priors: FloatArray, train: FloatArray) -> FloatArray:
    ratio: FloatArray = np.divide(priors, train, out=np.ones_like(priors), where=train > 0)
    return ratio
