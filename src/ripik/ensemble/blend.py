"""Blends of the members' probabilities: fitted on some rows, applied to any rows, each row by itself.

`fit_blend` fits one of the METHODS and returns its in-sample score, which is optimistic: it is measured on the rows the
blend was fitted on. Unbiased scores are left to callers that fit on some folds and apply to others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripik.analysis.metrics import FloatArray, IntArray, Metric, check_targets, log_loss
from ripik.ensemble.convex import fit_convex
from ripik.ensemble.coordinate import STEPS, search_weights
from ripik.ensemble.greedy import select_greedily
from ripik.ensemble.probabilities import (
    SMALLEST,
    TIE,
    BlendResult,
    TrajectoryPoint,
    check_distributions,
    checked_members,
    weighted_mean,
)
from ripik.errors import InputError, nearest
from ripik.names import BlendMethod

__all__ = ["METHODS", "STEPS", "Blend", "BlendResult", "fit_blend", "search_weights"]

METHODS = get_args(BlendMethod)
SUM_TOLERANCE = 1e-6
# Shares of the rows below each of a column's 101 kept quantiles; denser at the ends, where a rare class is decided.
LEVELS = (1.0 - np.cos(np.linspace(0.0, np.pi, 101))) / 2.0


@dataclass(frozen=True, eq=False)
class Blend:
    """A fitted blend: weights (members,), >= 0 and summing to 1, exactly 0 for members that add nothing.

    ``score`` is in-sample. ``knots`` (members, C, 101) are the quantiles of the fitted rows, for 'rank' only.
    """

    method: str
    weights: FloatArray
    score: float
    trajectory: list[TrajectoryPoint] = field(default_factory=list)
    knots: FloatArray | None = None

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which members have a weight, (members,); the others' values do not matter."""
        used: NDArray[np.bool_] = self.weights > 0
        return used

    def of(self, members: IntArray) -> Blend:
        """Return the same blend for some of its members only, given by index; those left out must have no weight.

        The trajectory stays that of all members. Raises `InputError` where a member with a weight is left out.
        """
        _check_weights(self.weights[members], len(members))
        return replace(self, weights=self.weights[members], knots=None if self.knots is None else self.knots[members])

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return the blend (n, C) of the members' probabilities (members, n, C), float64.

        A row's result depends on that row alone, and sums to 1 as its members' rows do. Where one member has all the
        weight, its probabilities are returned as they are. Raises `InputError` for a missing value or another number
        of members or classes.
        """
        members = checked_members(probabilities)
        if len(members) != len(self.weights):
            raise InputError(f"A blend of {len(self.weights)} members cannot blend {len(members)}.")
        used, weights = members[self.used], self.weights[self.used]
        if len(used) == 1:
            return used[0]
        if self.method == "geometric":
            return _normalised(np.exp(weighted_mean(np.log(np.maximum(used, SMALLEST)), weights)))
        if self.knots is not None:
            return _mean_by_rank(used, weights, self.knots[self.used])
        return weighted_mean(used, weights)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads, of plain numbers, lists and strings."""
        return {
            "method": self.method,
            "weights": self.weights.tolist(),
            "score": self.score,
            "trajectory": self.trajectory,
            "knots": None if self.knots is None else self.knots.tolist(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Blend:
        """Return the blend from its `as_json`; raises `InputError` for anything else."""
        try:
            knots = None if content["knots"] is None else np.array(content["knots"], dtype=np.float64)
            weights = np.array(content["weights"], dtype=np.float64)
            found = cls(content["method"], weights, float(content["score"]), content["trajectory"], knots)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"This is not a stored blend ({error!r}): fit it again.") from error
        check_method(found.method)
        _check_weights(weights, len(weights))
        if (found.method == "rank") != (knots is not None) or (knots is not None and knots.shape[::2] != _shape(found)):
            raise InputError(f"The stored {found.method} blend lacks the quantiles it needs: fit it again.")
        return found


def fit_blend(
    method: str,
    oof: FloatArray,
    y: IntArray,
    metric: Metric,
    *,
    groups: ArrayLike,
    seed: int,
    restarts: int = 8,
    bags: int = 20,
) -> Blend:
    """Fit one of the METHODS on the members' probabilities (members, n, C) of rows of known classes y (n,).

    - best: the member with the best score; of equals the one with the lower log loss, then the first;
    - equal, geometric: the arithmetic and the normalised geometric mean, all weights equal;
    - rank: each member's probability of a class becomes its rank among the fitted rows'; the members' mean rank is
      turned back into the mean of their probabilities of that rank (quantile normalisation, Bolstad et al. 2003), and
      rows are normalised. So members of different confidence count alike, and a rare class stays rare;
    - convex: the weights of the least log loss (`convex.fit_convex`);
    - greedy: selection by the metric in `bags` draws of `groups` (n,) (`greedy.select_greedily`);
    - coordinate: a search by the metric from `restarts` random starts and others (`coordinate.search_weights`).

    Raises `InputError` for an unknown method, missing values, wrong shapes, and rows that are no probabilities.
    """
    check_method(method)
    members, y = checked_members(oof), np.asarray(y)
    check_targets(y, *members.shape[1:])
    for index, member in enumerate(members):
        check_distributions(member, f"probabilities of blend member {index}")
    if method in ("convex", "greedy", "coordinate"):
        found = _searched(method, members, y, metric, groups, seed, restarts, bags)
        return Blend(method, found.weights, found.score, found.trajectory)
    weights = _best(members, y, metric) if method == "best" else np.full(len(members), 1.0 / len(members))
    made = Blend(method, weights, np.nan, knots=_quantiles(members) if method == "rank" else None)
    score = metric.function(y, made.apply(members))
    return Blend(method, weights, score, [{"step": 0, "weights": weights.tolist(), "score": score}], made.knots)


def check_method(method: str) -> None:
    """Raise `InputError` unless this is one of the METHODS."""
    if method not in METHODS:
        raise InputError(f"blend.methods: there is no method {method!r}{nearest(str(method), METHODS)}.")


def _searched(
    method: str,
    members: FloatArray,
    y: IntArray,
    metric: Metric,
    groups: ArrayLike,
    seed: int,
    restarts: int,
    bags: int,
) -> BlendResult:
    if method == "convex":
        return fit_convex(members, y, metric)
    if method == "greedy":
        return select_greedily(members, y, metric, groups=groups, seed=seed, bags=bags)
    return search_weights(members, y, metric, seed=seed, restarts=restarts)


def _best(members: FloatArray, y: IntArray, metric: Metric) -> FloatArray:
    utilities = np.array([metric.utility(metric.function(y, member)) for member in members])
    equals = np.flatnonzero(utilities >= utilities.max() - TIE)
    chosen = min(equals.tolist(), key=lambda member: log_loss(y, members[member]))
    weights: FloatArray = np.eye(len(members))[chosen]
    return weights


def _quantiles(members: FloatArray) -> FloatArray:
    """Return each member's and class's quantiles at the LEVELS, (members, C, 101)."""
    return np.moveaxis(np.quantile(members, LEVELS, axis=1), 0, -1)


def _mean_by_rank(members: FloatArray, weights: FloatArray, knots: FloatArray) -> FloatArray:
    if members.shape[2] != knots.shape[1]:
        raise InputError(f"A blend of {knots.shape[1]} classes cannot blend {members.shape[2]}.")
    blended = np.empty(members.shape[1:])
    for c in range(members.shape[2]):
        ranks = sum(w * _ranks(member[:, c], own[c]) for w, member, own in zip(weights, members, knots, strict=True))
        blended[:, c] = np.interp(ranks, LEVELS, np.tensordot(weights, knots[:, c], 1))
    return _normalised(np.maximum(blended, SMALLEST))


def _ranks(values: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Return the shares of the fitted rows below the values; equal quantiles count as their middle."""
    distinct, where = np.unique(quantiles, return_inverse=True)
    levels = np.bincount(where, LEVELS) / np.bincount(where)
    ranks: FloatArray = np.interp(values, distinct, levels)
    return ranks


def _normalised(rows: FloatArray) -> FloatArray:
    normalised: FloatArray = rows / rows.sum(axis=1, keepdims=True)
    return normalised


def _shape(found: Blend) -> tuple[int, int]:
    return len(found.weights), len(LEVELS)


def _check_weights(weights: FloatArray, members: int) -> None:
    if weights.shape != (members,):
        raise InputError(f"{members} members need one weight each, not shape {weights.shape}.")
    if not (weights >= 0).all() or abs(weights.sum() - 1.0) > SUM_TOLERANCE:
        raise InputError(f"Blend weights must be >= 0 and sum to 1, not {weights.tolist()}.")
