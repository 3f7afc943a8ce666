"""What blends work on: the members' probabilities side by side, and the groups their rows belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ripik.analysis.metrics import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    IntArray,
    Metric,
    check_probabilities,
    confusion_matrix,
)
from ripik.errors import InputError

TIE = 1e-12  # scores closer than this are equal
SMALLEST = float(np.finfo(np.float32).eps)  # predictions are float32: a 0 only says less than this


class TrajectoryPoint(TypedDict):
    """One weighting on the way to a blend and its in-sample score; what a ``step`` is, the method says."""

    step: int
    weights: list[float]
    score: float


@dataclass(frozen=True, eq=False)
class BlendResult:
    """Weights (members,), >= 0 and summing to 1; their *in-sample* score; the weightings on the way."""

    weights: FloatArray
    score: float
    trajectory: list[TrajectoryPoint]


@dataclass(frozen=True, eq=False)
class Votes:
    """The members' votes for a label metric, split by whether a blend's weights matter.

    ``settled`` counts (C, C) the rows on which all members agree, and so every blend of them; ``members``
    (members, k, C) and ``y`` (k,) are the contested rows, ``open_rows`` (n,) marks where they stand.
    """

    settled: NDArray[np.int64]
    open_rows: NDArray[np.bool_]
    members: FloatArray
    y: IntArray


def split_votes(members: FloatArray, y: IntArray, counts: NDArray[np.integer[Any]] | None = None) -> Votes:
    """Return which rows of (members, n, C) are settled and which contested; ``counts`` (n,) weighs settled rows."""
    n_classes = members.shape[2]
    labels = members.argmax(axis=2)
    open_rows = (labels != labels[0]).any(axis=0)
    sure_y, sure = y[~open_rows], labels[0, ~open_rows]
    if counts is not None:
        sure_y, sure = (np.repeat(each, counts[~open_rows]) for each in (sure_y, sure))
    settled = confusion_matrix(sure_y, sure, n_classes)
    return Votes(settled, open_rows, np.ascontiguousarray(members[:, open_rows]), y[open_rows])


def weighted_mean(members: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted sum (n, C) of (members, n, C); nothing is checked."""
    mean: FloatArray = np.einsum("m,mnc->nc", weights, members)
    return mean


def shrinkage_of(found: FloatArray, draws: FloatArray) -> float:
    """Return by how much what was found (n,) is to be shrunk, 0..1, as its bootstrap draws (draws, n) disagree.

    James and Stein 1961, "Estimation with quadratic loss", Berkeley Symposium, the positive part.
    """
    size = float((found**2).sum())
    return max(0.0, 1.0 - float(draws.var(axis=0).sum()) / size) if size > 0 else 0.0


def point(step: int, members: FloatArray, weights: FloatArray, y: IntArray, metric: Metric) -> TrajectoryPoint:
    """Return the trajectory's point of these weights."""
    score = metric.function(y, weighted_mean(members, weights))
    return {"step": step, "weights": weights.tolist(), "score": score}


def without_crumbs(weights: FloatArray, least: float) -> FloatArray:
    """Return the weights with those below ``least`` exactly 0, rescaled to sum to 1; the largest always stays."""
    kept = np.where((weights >= least) | (weights == weights.max()), weights, 0.0)
    rescaled: FloatArray = kept / kept.sum()
    return rescaled


def checked_members(probabilities: FloatArray) -> FloatArray:
    """Return (members, n, C) as float64; raises `InputError` for other shapes and missing values."""
    members = np.asarray(probabilities, dtype=np.float64)
    if members.ndim != 3 or len(members) == 0:
        raise InputError(f"A blend needs probabilities of shape (members, rows, classes), not {members.shape}.")
    for index, member in enumerate(members):
        check_probabilities(member, f"probabilities of blend member {index}")
    return members


def check_distributions(probabilities: FloatArray, what: str) -> None:
    """Raise `InputError` unless every row of (n, C) is finite, >= 0 and sums to 1 (within 1e-3)."""
    check_probabilities(probabilities, what)
    negative = (probabilities < 0).any(axis=1)
    bad = np.flatnonzero(negative | (np.abs(probabilities.sum(axis=1) - 1.0) > ROW_SUM_TOLERANCE))
    if len(bad):
        raise InputError(
            f"The {what} have {len(bad)} of {len(probabilities)} rows that are negative or do not sum to 1 "
            f"(first: row {bad[0]}): give probabilities, not scores."
        )


def group_codes(groups: ArrayLike, n_rows: int) -> NDArray[np.intp]:
    """Return every row's group as a number from 0; raises `InputError` for a missing group or another length."""
    groups = np.asarray(groups)
    if groups.shape != (n_rows,):
        raise InputError(f"The groups have shape {groups.shape} for {n_rows} rows: give one group per row.")
    codes, _ = pd.factorize(groups, sort=True)
    if (missing := np.flatnonzero(codes < 0)).size:
        raise InputError(f"{len(missing)} rows have no group (first: row {missing[0]}): give one group per row.")
    return codes


def bootstrap_counts(codes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw as many groups as there are, with replacement; return how often each row is drawn, (n,)."""
    n_groups = int(codes.max()) + 1
    drawn = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)
    counts: NDArray[np.intp] = drawn[codes]
    return counts


def check_classes(probabilities: FloatArray, values: FloatArray) -> None:
    """Raise `InputError` unless there is one value a class of (n, C) probabilities."""
    if values.shape != probabilities.shape[1:]:
        raise InputError(f"{probabilities.shape[1]} classes need one number each, not shape {values.shape}.")


def logs(probabilities: FloatArray) -> FloatArray:
    """Return the logarithms, float64; those below float32's epsilon as of it."""
    return np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), SMALLEST))


def softmax(values: FloatArray) -> FloatArray:
    """Return exp(values) (n, C) with every row divided by its sum."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    found: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return found
