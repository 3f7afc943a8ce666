"""Blend weights that minimise log loss: a convex problem on the simplex, so there is one answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ripik.analysis.metrics import FloatArray, IntArray, Metric, check_targets
from ripik.analysis.truth import pairs
from ripik.ensemble.probabilities import BlendResult, check_distributions, checked_members, point, without_crumbs

TOLERANCE = 1e-6  # how much lower, at most, the log loss of the best weights may be
LEAST = 1e-3  # weights below are nothing
EM_STEPS = 10_000
Mean = Callable[[FloatArray], Any]  # of the last axis


def fit_convex(oof: FloatArray, y: IntArray, metric: Metric) -> BlendResult:
    """Return the weights on the simplex whose arithmetic mean of (members, n, C) has the least log loss on y (n,).

    The log loss is within 1e-6 of the least there is, before weights below 1e-3 are set to 0 and the rest rescaled. The
    score is the metric's; the trajectory has equal weights (step 0) and the solution (step 1). Raises `InputError` for
    missing values, wrong shapes, and rows that are no probabilities.
    """
    members, y = checked_members(oof), np.asarray(y)
    check_targets(y, *members.shape[1:])
    for index, member in enumerate(members):
        check_distributions(member, f"probabilities of blend member {index}")
    weights = without_crumbs(least_log_loss(*pairs(y, members)), LEAST)
    steps = (np.full(len(members), 1.0 / len(members)), weights)
    trajectory = [point(step, members, each, y, metric) for step, each in enumerate(steps)]
    return BlendResult(weights, trajectory[-1]["score"], trajectory)


def least_log_loss(true_class: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """Return the weights (members,) that minimise mean(-log(weights @ true_class)), true_class (members, n) in 0..1.

    counts: how much each of the n counts, (n,), above 0; None: all the same.

    Sequential quadratic programming (Kraft 1988; scipy's SLSQP) from equal weights. The weights are the shares of a
    mixture of known densities, so no others have a log loss lower by more than the largest mean(member / mixture)
    minus 1 (Lindsay 1983): where SLSQP stops above 1e-6, EM for the shares goes on.
    """
    likelihood = np.maximum(true_class, np.finfo(np.float64).eps)
    mean = partial(np.mean, axis=-1) if counts is None else partial(np.average, axis=-1, weights=counts)
    weights = np.full(len(likelihood), 1.0 / len(likelihood))
    if len(likelihood) == 1:
        return weights
    found = minimize(
        _loss_and_slope,
        weights,
        args=(likelihood, mean),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(likelihood),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 300},
    )
    solved = np.clip(found.x, 0.0, None)
    if np.isfinite(solved).all() and solved.sum() > 0:
        solved /= solved.sum()
        weights = solved if _excess(solved, likelihood, mean).max() <= TOLERANCE else (weights + solved) / 2
    return _by_em(weights, likelihood, mean)


def _loss_and_slope(weights: FloatArray, likelihood: FloatArray, mean: Mean) -> tuple[float, FloatArray]:
    mixture = np.maximum(weights @ likelihood, np.finfo(np.float64).tiny)
    return float(mean(-np.log(mixture))), -mean(likelihood / mixture)


def _excess(weights: FloatArray, likelihood: FloatArray, mean: Mean) -> FloatArray:
    excess: FloatArray = mean(likelihood / (weights @ likelihood)) - 1.0
    return excess


def _by_em(weights: FloatArray, likelihood: FloatArray, mean: Mean) -> NDArray[np.float64]:
    for _ in range(EM_STEPS):
        excess = _excess(weights, likelihood, mean)
        if excess.max() <= TOLERANCE:
            break
        weights = weights * (1.0 + excess)
    return weights / weights.sum()
