"""The class shares of an unlabelled test set: estimated by models that are calibrated on rows they had not seen.

Supposed is that the classes look the same in both sets and only their shares differ (label shift).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import lsq_linear

from ripik.analysis.intervals import tail
from ripik.analysis.metrics import FloatArray, IntArray
from ripik.ensemble.calibration import Calibration, calibrate, curvature, score_rows
from ripik.ensemble.decision import estimate_priors
from ripik.ensemble.probabilities import group_codes, logs

EXPECTED_GROUPS = 10.0  # whose confusion the calibrated probabilities tell, beside those seen of a class
FLOOR = 0.01  # of 1 / C: least share that rows are adapted to before they are counted
DRAWS, FEWEST_DRAWS, CELLS = 200, 50, 1e8  # of the bootstrap; fewer where the probabilities of all draws are more
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class ClassShares:
    """The shares of the training rows and those estimated, with the ends of their 95 % intervals, each (C,).

    moved: bool (C,), whether a class's share differs beyond its interval, and beyond chance in both sets and among all
    the classes.
    """

    train: FloatArray
    estimated: FloatArray
    low: FloatArray
    high: FloatArray
    moved: NDArray[np.bool_]


def estimate_shares(
    oof: FloatArray,
    y: IntArray,
    groups: ArrayLike,
    models: Sequence[FloatArray],
    test_groups: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> ClassShares:
    """Return the class shares of m rows that each model of a cross-validation predicted, (m, C), with intervals.

    oof: the same models' probabilities (n, C) of rows they had not seen, of classes y (n,). The mean of the models is
    surer or less sure than each, so none but the single ones can be calibrated by `oof`. Each model's rows are
    calibrated (`calibration.calibrate`), their shares estimated (`decision.estimate_priors`) and the models' averaged.
    What a calibration cannot mend, as label smoothing, is then corrected by counts (Lipton, Wang and Smola 2018, ICML;
    Bella et al. 2010, ICDM, for probabilities): the mean of the rows adapted to these shares is what the shares sought
    would give, by the mean adapted row of each class out of fold. Those means are shrunk to what calibrated
    probabilities expect of them, worth EXPECTED_GROUPS of the class's groups.

    The intervals are quantiles of bootstrap draws of `groups` (n,) and `test_groups` (m,), taken further out where few
    groups hold a class, as in `intervals`; in a draw the calibration moves by one Newton step, and the shares that rows
    are adapted to stay. `benchmarks.quality.class_shares` compares the parts and counts how often the intervals hold.
    Raises `InputError` for rows that are no probabilities, missing groups and wrong shapes.
    """
    fit, rng = _Fit.of(oof, np.asarray(y), groups, models, test_groups), np.random.default_rng(seed)
    estimated = fit.solve(fit.calibration, np.ones(fit.counts[0]), np.ones(fit.counts[1]))
    number = int(np.clip(CELLS / fit.cells, FEWEST_DRAWS, DRAWS)) if draws == DRAWS else draws
    found, train = (np.stack(each) for each in zip(*[fit.redrawn(rng) for _ in range(number)], strict=True))
    tails = [tail(LEVEL, min(int(held), fit.counts[1])) for held in fit.held(np.ones(fit.counts[0]))]
    low, high = (
        np.array([np.quantile(values, at) for values, at in zip(found.T, ends, strict=True)])
        for ends in (tails, [1 - each for each in tails])
    )
    low, high = np.minimum(low, estimated), np.maximum(high, estimated)
    moved = ((fit.train < low) | (fit.train > high)) & _beyond_chance(estimated - fit.train, found - train)
    return ClassShares(fit.train, estimated, low, high, moved)


def shares_of_train(y: IntArray, classes: int) -> ClassShares:
    """Return the shares of the training rows of classes y (n,) for those of a test set that is not there."""
    train = np.bincount(y, minlength=classes) / len(y)
    return ClassShares(train, train, train, train, np.zeros(classes, bool))


def _beyond_chance(differences: FloatArray, draws: FloatArray) -> NDArray[np.bool_]:
    """Return which differences (C,) exceed, in deviations, the greatest of all classes' in 95 % of the draws."""
    errors = np.maximum(draws.std(axis=0, ddof=1), np.finfo(np.float64).tiny)
    greatest = (np.abs(draws - draws.mean(axis=0)) / errors).max(axis=1)
    beyond: NDArray[np.bool_] = np.abs(differences) / errors > np.quantile(greatest, LEVEL)
    return beyond


@dataclass(frozen=True, eq=False)
class _Fit:
    """What stays the same in all draws; a draw is how many times each group is taken."""

    values: FloatArray  # logarithms out of fold, (n, C)
    y: IntArray
    group: NDArray[np.intp]
    models: list[FloatArray]  # logarithms of the test set, each (m, C)
    test_group: NDArray[np.intp]
    train: FloatArray
    calibration: Calibration
    step: FloatArray  # of the parameters by each row's count, (n, 1 + C)
    ratio: FloatArray  # to which rows are adapted, by those of training, (C,)

    @classmethod
    def of(
        cls, oof: FloatArray, y: IntArray, groups: ArrayLike, models: Sequence[FloatArray], test_groups: ArrayLike
    ) -> _Fit:
        calibration, values = calibrate(oof, y), logs(oof)
        train = np.bincount(y, minlength=oof.shape[1]) / len(y)
        shares = np.mean([estimate_priors(calibration.apply(each), train).priors for each in models], axis=0)
        floored = np.maximum(shares, FLOOR / len(shares))
        ratio = np.divide(floored, train, out=np.ones(len(train)), where=train > 0)
        inverse = np.linalg.inv(curvature(calibration, values))
        step = score_rows(calibration, values, y) @ inverse
        codes, test_codes = group_codes(groups, len(y)), group_codes(test_groups, len(models[0]))
        return cls(values, y, codes, [logs(each) for each in models], test_codes, train, calibration, step, ratio)

    @property
    def counts(self) -> tuple[int, int]:
        """How many groups there are, out of fold and in the test set."""
        return int(self.group.max()) + 1, int(self.test_group.max()) + 1

    @property
    def cells(self) -> int:
        """How many probabilities a draw computes."""
        return self.values.size + sum(each.size for each in self.models)

    def redrawn(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return the shares estimated and those of training, each (C,), in a draw of both sets' groups."""
        known, test = (np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64) for n in self.counts)
        times = known[self.group]
        train = np.bincount(self.y, times, len(self.train)) / times.sum()
        return self.solve(self._moved(times), known, test), train

    def solve(self, calibration: Calibration, known: FloatArray, test: FloatArray) -> FloatArray:
        """Return the shares (C,) where each group is taken so many times."""
        times, weights = known[self.group], test[self.test_group]
        fair = calibration.of_logs(self.values)
        expected = _means(self._adapted(fair), fair * times[:, None])
        seen = _means(self._adapted(fair), np.eye(len(self.train))[self.y] * times[:, None])
        held = self.held(known)[:, None]
        means = (held * seen + EXPECTED_GROUPS * expected) / (held + EXPECTED_GROUPS)
        rows = [weights @ self._adapted(calibration.of_logs(each)) for each in self.models]
        return _on_simplex(means, np.mean(rows, axis=0) / weights.sum())

    def held(self, known: FloatArray) -> FloatArray:
        """Return how many of the groups taken hold each class, (C,)."""
        pairs = np.unique(self.group * len(self.train) + self.y)
        return np.bincount(pairs % len(self.train), known[pairs // len(self.train)], len(self.train)).astype(np.float64)

    def _moved(self, times: FloatArray) -> Calibration:
        """Return the calibration after one Newton step; at the rows as they are, no step is due."""
        return Calibration(self.calibration.parameters - (times - 1) @ self.step)

    def _adapted(self, fair: FloatArray) -> FloatArray:
        adapted: FloatArray = fair * self.ratio
        return adapted / adapted.sum(axis=1, keepdims=True)


def _means(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the mean of rows (n, C) by each column of weights (n, K), (K, C); 0 for a column of zeros."""
    whole = np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
    means: FloatArray = weights.T @ rows / whole[:, None]
    return means


def _on_simplex(means: FloatArray, target: FloatArray) -> FloatArray:
    """Return the shares (C,), >= 0 and summing to 1, whose mixture of the means (C, C) is nearest to the target."""
    heavy = 1e3  # the sum counts like a thousand times any class
    sides, goals = np.vstack([means.T, np.full(len(target), heavy)]), np.append(target, heavy)
    # not by `nnls`, which goes in circles with SciPy 1.13
    found = np.maximum(lsq_linear(sides, goals, (0, np.inf), method="bvls", tol=1e-14).x, 0.0)
    shares: FloatArray = found / found.sum()
    return shares
