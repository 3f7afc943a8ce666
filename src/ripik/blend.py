"""Blends of the members' probabilities: weights on the simplex, tuned on OOF predictions.

`search_weights` gives the weights used on test and an in-sample score, which is optimistic: it is measured on
the rows the weights were tuned on. `cross_fit` gives the honest score: each fold is blended with weights that
were tuned on the other folds only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ripik.errors import InputError
from ripik.metrics import FloatArray, IntArray, Metric, check_probabilities, check_targets, confusion_matrix

STEPS = (0.5, 0.2, 0.1, 0.05, 0.02)
TIE = 1e-12
SUM_TOLERANCE = 1e-6


class TrajectoryPoint(TypedDict):
    """One best-so-far of a search; ``step`` counts the weightings tried until then, this one included."""

    step: int
    weights: list[float]
    score: float


@dataclass(frozen=True, eq=False)
class BlendResult:
    """Weights (members,), >= 0 and summing to 1; their *in-sample* score; every best-so-far on the way."""

    weights: FloatArray
    score: float
    trajectory: list[TrajectoryPoint]


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Rows (n, C), each blended by weights of the other folds; their pooled score; weights per held fold."""

    blended: FloatArray
    score: float
    weights: dict[int, FloatArray]


def blend(probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted arithmetic mean (n, C) of the members' probabilities (members, n, C).

    Raises `InputError` for a missing value, or weights that are not one a member, >= 0 and summing to 1.
    """
    members = _checked_members(probabilities)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(members),):
        raise InputError(f"{len(members)} members need as many weights, not shape {weights.shape}.")
    if not (weights >= 0).all() or abs(weights.sum() - 1.0) > SUM_TOLERANCE:
        raise InputError(f"Blend weights must be >= 0 and sum to 1, not {weights.tolist()}.")
    return _mean(members, weights)


def search_weights(
    oof: FloatArray,
    y: IntArray,
    metric: Metric,
    *,
    seed: int,
    restarts: int = 8,
    steps: Sequence[float] = STEPS,
) -> BlendResult:
    """Return the weights that score best in-sample for the metric itself, by seeded coordinate search.

    ``oof`` is (members, n, C), ``y`` (n,) class indices. From equal weights, each member alone and
    ``restarts`` Dirichlet(1) draws, the search climbs: a move gives one member ``step`` more or less weight
    and rescales; the best of the 2 x members moves is taken while it improves the score, then the step
    shrinks. Equal scores (within 1e-12) go to the weights closest to equal ones, then to those found first.
    A single member gets weight 1 without a search. Raises `InputError` for missing values and wrong shapes.
    """
    members = _checked_members(oof)
    y = np.asarray(y)
    check_targets(y, *members.shape[1:])
    search = _Search(_utility(members, y, metric))
    for start in _starts(len(members), seed, restarts):
        search.climb(start, steps)
    search.round()
    trajectory = [_point(found, members, y, metric) for found in search.bests]
    return BlendResult(search.bests[-1].weights, trajectory[-1]["score"], trajectory)


def cross_fit(
    oof: FloatArray,
    y: IntArray,
    fold: IntArray,
    metric: Metric,
    *,
    seed: int,
    restarts: int = 8,
    steps: Sequence[float] = STEPS,
) -> CrossFit:
    """Blend each fold's rows with weights tuned on the other folds, and score all rows pooled.

    ``oof`` is (members, n, C), ``y`` and ``fold`` (n,) integers. A fold's labels never touch the weights its
    own rows get. Every fold's search uses the same seed. Raises `InputError` for fewer than two folds,
    missing values and wrong shapes.
    """
    members = _checked_members(oof)
    y, fold = np.asarray(y), np.asarray(fold)
    _check_folds(fold, members.shape[1])
    check_targets(y, *members.shape[1:])
    blended = np.full(members.shape[1:], np.nan)
    weights: dict[int, FloatArray] = {}
    for held in np.unique(fold).tolist():
        rows = fold == held
        tuned = search_weights(members[:, ~rows], y[~rows], metric, seed=seed, restarts=restarts, steps=steps)
        weights[held] = tuned.weights
        blended[rows] = blend(members[:, rows], tuned.weights)
    return CrossFit(blended, metric.function(y, blended), weights)


@dataclass(frozen=True, eq=False)
class _Found:
    weights: FloatArray
    utility: float
    step: int

    def beats(self, other: _Found) -> bool:
        if abs(self.utility - other.utility) > TIE:
            return self.utility > other.utility
        return self._spread() < other._spread() - TIE

    def _spread(self) -> float:
        return float(((self.weights - 1.0 / len(self.weights)) ** 2).sum())


@dataclass(eq=False)
class _Search:
    """One run of the search: what to maximise, how many weightings were tried, the bests so far."""

    utility: Callable[[FloatArray], float]
    tried: int = 0
    bests: list[_Found] = field(default_factory=list)

    def climb(self, start: FloatArray, steps: Sequence[float]) -> None:
        here = self._try(start)
        self._keep(here)
        for step in steps:
            while (there := self._best_move(here, step)).utility > here.utility + TIE:
                here = there
                self._keep(here)

    def round(self) -> None:
        """Prefer the best weights in hundredths when they score as well: a crumb of a member is not worth its run."""
        rough = np.round(self.bests[-1].weights, 2)
        if np.array_equal(rough, self.bests[-1].weights):
            return
        found = self._try(rough / rough.sum())
        if found.utility >= self.bests[-1].utility - TIE:
            self.bests.append(found)

    def _best_move(self, here: _Found, step: float) -> _Found:
        best = here
        for weights in _moves(here.weights, step):
            found = self._try(weights)
            best = found if found.beats(best) else best
        return best

    def _try(self, weights: FloatArray) -> _Found:
        self.tried += 1
        return _Found(weights, self.utility(weights), self.tried)

    def _keep(self, found: _Found) -> None:
        if not self.bests or found.beats(self.bests[-1]):
            self.bests.append(found)


def _moves(weights: FloatArray, step: float) -> Iterator[FloatArray]:
    """Yield the weights with each member raised, then lowered, by the step and rescaled to sum to 1."""
    for member in range(len(weights)):
        for change in (step, -min(step, float(weights[member]))):
            moved = weights.copy()
            moved[member] += change
            if change != 0 and moved.sum() > 0:
                yield moved / moved.sum()


def _starts(members: int, seed: int, restarts: int) -> Iterator[FloatArray]:
    yield np.full(members, 1.0 / members)
    if members > 1:
        yield from np.eye(members)
        yield from np.random.default_rng(seed).dirichlet(np.ones(members), size=restarts)


def _utility(members: FloatArray, y: IntArray, metric: Metric) -> Callable[[FloatArray], float]:
    """Return weights -> utility; label metrics look only at the rows on which members disagree."""
    if metric.from_confusion is None:
        return lambda weights: metric.utility(metric.unchecked(y, _mean(members, weights)))
    from_confusion, n_classes = metric.from_confusion, members.shape[2]
    votes = members.argmax(axis=2)
    open_rows = (votes != votes[0]).any(axis=0)
    settled = confusion_matrix(y[~open_rows], votes[0, ~open_rows], n_classes)
    contested, contested_y = np.ascontiguousarray(members[:, open_rows]), y[open_rows]

    def utility(weights: FloatArray) -> float:
        predicted = _mean(contested, weights).argmax(axis=1)
        return metric.utility(from_confusion(settled + confusion_matrix(contested_y, predicted, n_classes)))

    return utility


def _mean(members: FloatArray, weights: FloatArray) -> FloatArray:
    mean: FloatArray = np.einsum("m,mnc->nc", weights, members)
    return mean


def _point(found: _Found, members: FloatArray, y: IntArray, metric: Metric) -> TrajectoryPoint:
    score = metric.function(y, _mean(members, found.weights))
    return {"step": found.step, "weights": found.weights.tolist(), "score": score}


def _checked_members(probabilities: FloatArray) -> FloatArray:
    members = np.asarray(probabilities, dtype=np.float64)
    if members.ndim != 3 or len(members) == 0:
        raise InputError(f"A blend needs probabilities of shape (members, rows, classes), not {members.shape}.")
    for index, member in enumerate(members):
        check_probabilities(member, f"probabilities of blend member {index}")
    return members


def _check_folds(fold: NDArray[np.integer], n_rows: int) -> None:
    if fold.shape != (n_rows,) or not np.issubdtype(fold.dtype, np.integer):
        raise InputError(f"Cross-fitting needs one whole fold number a row ({n_rows}), not {fold.dtype} {fold.shape}.")
    if len(np.unique(fold)) < 2:
        raise InputError("Cross-fitting needs at least two folds: the weights are tuned on the other folds.")
