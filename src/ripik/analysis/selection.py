"""The best of many scores, corrected for having been selected as the highest.

Groups of near copies are drawn with replacement, the choice is made again on the drawn rows alone, and what it chose is
scored on the rows that were not drawn (bootstrap bias corrected CV, BBC-CV; Tsamardinos, Greasidou and Borboudakis
2018, Machine Learning 107). If a search pruned trials, each draw prunes by the same rule on its own rows.
A trial that a draw would have kept has no predictions beyond the fold at which it was dropped; there it takes those of
another, drawn among the trials that have them, who were admitted to that fold without a look at it. To leave such a
trial out would not do: those that remain were kept for their luck on the very rows that are left out.

Not corrected: a search adapts. Later trials were proposed because earlier ones did well on these rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripik.analysis import metrics
from ripik.analysis.intervals import Interval, interval
from ripik.analysis.metrics import FloatArray, IntArray, Metric
from ripik.analysis.tallies import Scored, tally
from ripik.analysis.truth import Truth, labels_of
from ripik.errors import InputError

DRAWS = 500
FEWEST = 4  # earlier trials with a score, below which none is dropped
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Selection:
    """The best of several and what it is worth: its own score, and the one of choosing so.

    best: its number. naive: its score on all rows, with the interval of a score that was not chosen. corrected: that
    less the optimism of choosing, the interval moved with it, within what the metric can be.
    """

    best: int
    naive: Interval
    corrected: Interval

    @property
    def optimism(self) -> float:
        """How much the naive score says too much; in the metric's own direction."""
        return self.naive.value - self.corrected.value


@dataclass(frozen=True, eq=False)
class Trials:
    """Out-of-fold predictions of several trials of the same rows.

    y: class indices (n,), or shares (n, C) (`truth`). predictions: (trials, n, C), all NaN in the parts that a trial
    was not tried on. groups: (n,), equal for copies of one photo. part: in which part each row is scored, from 0, in
    the order that trials go through them, (n,); None: in one. at_once: trials of a round, which are compared with those
    of earlier rounds alone; 0: nothing is dropped.
    """

    y: Truth
    predictions: FloatArray
    groups: ArrayLike
    part: IntArray | None = None
    at_once: int = 0

    @property
    def parts(self) -> IntArray:
        """The part of each row, (n,)."""
        return np.zeros(len(self.y), np.int64) if self.part is None else self.part

    def tried(self) -> NDArray[np.bool_]:
        """Return which trial was tried on which part, bool (trials, parts).

        Raises InputError for shapes that do not fit, a part predicted by halves, and a hole before a later part.
        """
        count, rows = self.predictions.shape[:2]
        if len(self.y) != rows or len(np.asarray(self.groups)) != rows or len(self.parts) != rows:
            raise InputError(
                f"{count} trials predict {rows} rows, but there are {len(self.y)} labels. Give one label per row."
            )
        there: NDArray[np.bool_] = np.asarray(np.isfinite(self.predictions).all(axis=2))
        number = int(self.parts.max()) + 1
        found = np.stack([there[:, self.parts == part].all(axis=1) for part in range(number)], axis=1)
        some = np.stack([there[:, self.parts == part].any(axis=1) for part in range(number)], axis=1)
        if (some != found).any() or (np.diff(found.astype(int), axis=1) > 0).any():
            raise InputError("A trial must predict its parts in order, and each completely. Run those trials again.")
        return found


def survives(utility: float, earlier: FloatArray) -> bool:
    """Return whether a trial continues: it is no worse than the median of the earlier ones that came as far.

    utility: its score on the folds so far, turned so that larger is better; earlier: (m,), theirs on the same folds.
    A score that has no value there (NaN), as the AUC of one class has none, drops nothing and counts for nothing.
    """
    return not utility < bar(earlier)


def bar(earlier: FloatArray) -> float:
    """Return the utility from which a trial continues, given those of the earlier ones that came as far, (m,)."""
    known = earlier[~np.isnan(earlier)]
    return float(np.median(known)) if len(known) >= FEWEST else -np.inf


def replay(utility: FloatArray, at_once: int) -> NDArray[np.bool_]:
    """Return which trial is still tried on which part, bool (trials, parts), by `survives`.

    utility: (trials, parts), of the parts up to each.
    """
    alive = np.ones(utility.shape, bool)
    if not at_once:
        return alive
    for begin in range(0, len(utility), at_once):
        own = np.arange(begin, min(begin + at_once, len(utility)))
        for part in range(utility.shape[1] - 1):
            earlier = utility[:begin, part][alive[:begin, part]]
            alive[own, part + 1] = alive[own, part] & ~(utility[own, part] < bar(earlier))
    return alive


def select(
    trials: Trials, metric: Metric, *, draws: int = DRAWS, seed: int = 0, progress: Progress | None = None
) -> Selection:
    """Return the best of the trials that were tried on all rows, and its score corrected for the choice.

    `progress` is given the number of draws done. Raises InputError when none was tried on all rows, and as
    `Trials.tried` and `intervals.interval` do.
    """
    tried = trials.tried()
    whole = np.flatnonzero(tried[:, -1])
    if not len(whole):
        raise InputError("No trial completed all folds, so there is no best one. Run more trials.")
    search = Search(trials, metric, tried, seed)
    utility = search.utilities(np.ones(len(trials.y), np.int64))[0][:, -1]
    best = int(whole[np.argmax(_last_without_value(utility[whole]))])
    naive = interval(trials.y, trials.predictions[best].astype(np.float64), trials.groups, metric)
    optimism = search.optimism(best, draws, progress) if len(tried) > 1 else 0.0
    value, low, high = (float(np.clip(of - optimism, *metric.ends)) for of in (naive.value, naive.low, naive.high))
    return Selection(best, naive, Interval(value, low, high, naive.error))


@dataclass(eq=False)
class Search:
    """Trials as one draw after the other looks at them."""

    trials: Trials
    metric: Metric
    tried: NDArray[np.bool_]
    seed: int = 0

    def __post_init__(self) -> None:
        classes, self.rng = self.trials.predictions.shape[2], np.random.default_rng(self.seed)
        self.part, self.y, self.predictions = self.trials.parts, self.trials.y, self.trials.predictions
        self.labels = labels_of(self.y)
        self.present = len(np.unique(self.labels))
        self.group = np.unique(np.asarray(self.trials.groups), return_inverse=True)[1].ravel()
        self.tally = tally(self.metric, self.y, self.predictions, self.part, self.tried, classes)

    def optimism(self, best: int, draws: int, progress: Progress | None) -> float:
        """Return by how much the chosen one's rows flatter it: the mean over draws of the best one's score on the rows
        left out, less that of what the draw chose on the others."""
        number, found = int(self.group.max()) + 1, list[float]()
        for draw in range(draws):
            times = np.bincount(self.rng.integers(number, size=number), minlength=number)[self.group]
            left = np.flatnonzero(times == 0)
            if len(left):
                source = self.choose(times)
                found.append(self._score(np.full_like(source, best), left) - self._score(source, left))
            if progress is not None:
                progress(draw + 1)
        known = np.array(found)[np.isfinite(found)] if found else np.zeros(0)
        return float(known.mean()) if len(known) else 0.0

    def choose(self, times: IntArray) -> IntArray:
        """Return whose predictions the chosen trial has in every part, (parts,), where each row counts so often."""
        utility, source = self.utilities(times)
        alive = replay(utility, self.trials.at_once)[:, -1]
        return source[np.flatnonzero(alive)[np.argmax(_last_without_value(utility[alive, -1]))]]

    def utilities(self, times: IntArray) -> tuple[FloatArray, IntArray]:
        """Return each trial's utility on the parts up to each, and whose predictions it has there: (trials, parts).

        NaN where the metric has no value, or no row counts.
        """
        trials, parts = self.tried.shape
        utility, source = np.zeros((trials, parts)), np.tile(np.arange(trials)[:, None], parts)
        score = self.tally(times)
        for part in range(parts):
            lacking = np.flatnonzero(~self.tried[:, part])
            if len(lacking):
                source[lacking, part] = self.rng.choice(np.flatnonzero(self.tried[:, part]), len(lacking))
            shown = np.bincount(self.labels[self.part <= part], times[self.part <= part], minlength=1)
            utility[:, part] = self._utility(score, source[:, : part + 1], shown) if shown.any() else np.nan
        return utility, source

    def _utility(self, score: Scored, source: IntArray, shown: IntArray) -> FloatArray:
        """Return each trial's utility, (trials,), on parts in which classes have so many rows."""
        found = self._over_present(score(source), shown)
        return found if self.metric.greater_is_better else -found

    def _score(self, source: IntArray, rows: IntArray) -> float:
        """Return the metric, as it is, of rows (m,) as the sources of their parts predict them."""
        values = self.predictions[source[self.part[rows]], rows].astype(np.float64)
        score = np.array(self.metric.unchecked(self.y[rows], values))
        return float(self._over_present(score, np.bincount(self.labels[rows])))

    def _over_present(self, values: FloatArray, shown: IntArray) -> FloatArray:
        return values * metrics.over_present(1.0, shown, self.present) if self.metric.class_mean else values


def _last_without_value(utility: FloatArray) -> FloatArray:
    """Return utilities among which no value (NaN) ranks last."""
    return np.where(np.isnan(utility), -np.inf, utility)
