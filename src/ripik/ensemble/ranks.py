"""Decisions about ordered classes, for quadratic kappa: the expected rank of each row, and thresholds between classes.

Classes are ranks 0…C−1 in their order. A row's expected rank is the mean of the ranks by its probabilities; its class
is the one whose thresholds that lies between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from ripik.analysis.metrics import FloatArray, IntArray, check_targets, log_loss
from ripik.ensemble.probabilities import (
    bootstrap_counts,
    check_classes,
    check_distributions,
    group_codes,
    shrinkage_of,
    softmax,
)
from ripik.errors import InputError

PLACES = 64  # of a threshold between two ranks
BAGS = 20
ROUNDS = 50
SLOPES = 0.1, 50.0  # of the decision, between which it is searched


@dataclass(frozen=True, eq=False)
class Ranks:
    """Thresholds (C−1,) that rise, and how steeply probabilities fall off beside them.

    ``shrinkage`` (0..1) is what their own uncertainty left of their distance from the middles between the ranks.
    """

    thresholds: FloatArray
    slope: float
    shrinkage: float = 1.0

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return rows (n, C) whose most probable class is the one that the expected rank of (n, C) falls to.

        Class k has the logit slope x (k x rank − the sum of the first k thresholds): of two neighbours the upper one is
        the more probable where the rank exceeds their threshold.
        """
        check_distributions(probabilities, "probabilities")
        check_classes(probabilities, np.zeros(len(self.thresholds) + 1))
        return softmax(self.slope * _logits(expected(probabilities), self.thresholds))

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {"thresholds": self.thresholds.tolist(), "slope": self.slope, "shrinkage": self.shrinkage}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Ranks:
        """Return the ranks from their `as_json`; raises `InputError` for anything else."""
        try:
            thresholds = np.array(content["thresholds"], dtype=np.float64)
            found = cls(thresholds, float(content["slope"]), float(content["shrinkage"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"These are not stored thresholds ({error!r}): fit them again.") from error
        if thresholds.ndim != 1 or not np.isfinite(thresholds).all() or (np.diff(thresholds) < 0).any():
            raise InputError(f"Thresholds must be finite, increasing numbers, not {thresholds.tolist()}.")
        return found


def expected(probabilities: FloatArray) -> FloatArray:
    """Return the expected rank of each row of (n, C), (n,) in 0..C−1."""
    ranks: FloatArray = probabilities @ np.arange(probabilities.shape[1], dtype=np.float64)
    return ranks


def fit_ranks(probabilities: FloatArray, y: IntArray, *, groups: ArrayLike, seed: int, bags: int = BAGS) -> Ranks:
    """Return the thresholds of most quadratic kappa of (n, C) probabilities on y (n,).

    From the middles between the ranks, one threshold after the other is moved to its best of 64 places between two
    ranks until none gains. That is done on all rows and on `bags` bootstrap draws of the groups (n,); the draws' mean
    distance from the middles is shrunk by James and Stein's (1961) positive factor, as class offsets are: what the
    draws do not agree on is noise. The slope is that of the least log loss. Raises `InputError` for missing values and
    wrong shapes.
    """
    check_distributions(probabilities, "probabilities")
    y = np.asarray(y)
    check_targets(y, *probabilities.shape)
    classes, rank = probabilities.shape[1], expected(probabilities)
    codes, rng = group_codes(groups, len(y)), np.random.default_rng(seed)
    grid = np.arange(1, (classes - 1) * PLACES) / PLACES
    place = np.searchsorted(grid, rank, side="left")  # how many thresholds of the grid lie below the rank
    middles = np.arange(classes - 1) + 0.5
    draws = [bootstrap_counts(codes, rng).astype(np.float64) for _ in range(bags)]
    found = np.stack([_best(_Sums.of(place, y, times, len(grid)), grid, middles) for times in draws])
    moved = found.mean(axis=0) - middles
    shrinkage = shrinkage_of(moved, found)
    thresholds = middles + shrinkage * moved
    return Ranks(thresholds, _slope(rank, thresholds, y), shrinkage)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Of the rows above each place of the grid: how many, and the sum of their classes, (places,); and of all rows."""

    above: FloatArray
    classes_above: FloatArray
    count: float
    sum: float
    squares: float

    @classmethod
    def of(cls, place: NDArray[np.intp], y: IntArray, times: FloatArray, places: int) -> _Sums:
        """Return the sums of rows taken so many times; place: below how many of the grid's places each row lies."""
        at = np.bincount(place, times, places + 1), np.bincount(place, times * y, places + 1)
        above, classes_above = (np.cumsum(each[::-1])[::-1][1:].astype(np.float64) for each in at)
        return cls(above, classes_above, float(times.sum()), float(times @ y), float(times @ y**2))

    def kappa(self, chosen: NDArray[np.intp]) -> FloatArray:
        """Return the quadratic kappa of thresholds at these places of the grid, (…, C−1) rising → (…)."""
        odd = 2 * np.arange(chosen.shape[-1]) + 1
        ranks, squares = self.above[chosen].sum(axis=-1), (odd * self.above[chosen]).sum(axis=-1)
        apart = self.squares - 2 * self.classes_above[chosen].sum(axis=-1) + squares
        chance = self.squares + squares - 2 * self.sum * ranks / self.count
        kappa: FloatArray = 1 - apart / np.maximum(chance, np.finfo(np.float64).tiny)
        return kappa


def _best(sums: _Sums, grid: FloatArray, middles: FloatArray) -> FloatArray:
    """Return the thresholds that coordinate search finds from the middles, (C−1,)."""
    chosen = np.searchsorted(grid, middles)
    for _ in range(ROUNDS):
        before = chosen.copy()
        for number in range(len(chosen)):
            low = chosen[number - 1] if number else 0
            high = chosen[number + 1] if number + 1 < len(chosen) else len(grid) - 1
            tries = np.repeat(chosen[None], high - low + 1, axis=0)
            tries[:, number] = np.arange(low, high + 1)
            chosen[number] = _middle_of_best(sums.kappa(tries), low, chosen[number])
        if (before == chosen).all():
            break
    return grid[chosen]


def _middle_of_best(values: FloatArray, low: int, present: int) -> int:
    """Return the place of most kappa: the present one if none is better, else the middle of the first best run."""
    best = values.max()
    if values[present - low] >= best - 1e-12:
        return int(present)
    first = int(values.argmax())
    run = np.flatnonzero(values[first:] < best - 1e-12)
    length = int(run[0]) if len(run) else len(values) - first
    return low + first + (length - 1) // 2


def _slope(rank: FloatArray, thresholds: FloatArray, y: IntArray) -> float:
    """Return how steep the decision is at its least log loss."""
    logits = _logits(rank, thresholds)
    found = minimize_scalar(
        lambda power: log_loss(y, softmax(np.exp(power) * logits)), bounds=tuple(np.log(SLOPES)), method="bounded"
    )
    return float(np.exp(found.x))


def _logits(rank: FloatArray, thresholds: FloatArray) -> FloatArray:
    below = np.concatenate([[0.0], np.cumsum(thresholds)])
    logits: FloatArray = rank[:, None] * np.arange(len(below)) - below
    return logits
