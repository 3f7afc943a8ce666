"""Ways to come by a blend: one method always, several methods' mean, shrunken weights, or a choice by some score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ripik.analysis import intervals
from ripik.analysis.metrics import FloatArray, Metric, get_metric, log_loss
from ripik.ensemble.blend import METHODS, Blend, fit_blend
from ripik.ensemble.decision import vote
from ripik.ensemble.offsets import SHARPNESS
from ripik.ensemble.recipe import LabelledPredictions

SLOW, SLOW_ROWS = "coordinate", 5000  # from so many rows the slow method is left out
SHRUNK = ("convex", "greedy")
FEW, CHEAP = ("equal", "convex", "greedy"), ("greedy", "geometric", "rank")
MARGINS = (1, 2)
DRAWS = 200
SMALLEST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Look:
    """What a method makes of the rows it is tuned on, each fold by a fit on the others, and its fresh rows' utility."""

    oof: FloatArray
    predicted: FloatArray
    utility: float


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to tune on, fresh ones, and what counts."""

    known: LabelledPredictions
    fresh: LabelledPredictions
    metric: Metric

    def fixed(self) -> dict[str, Look]:
        """Return the looks of all that needs no choice: methods, greedy by log loss, half weights, means."""
        methods = [method for method in METHODS if method != SLOW or len(self.known.y) < SLOW_ROWS]
        found = {}
        for method in methods:
            blends = self._fits(method, self.metric)
            found[method] = self._look(blends)
            if method in SHRUNK:
                found[f"{method}, half way to equal"] = self._look([_halved(each) for each in blends])
        if self.metric.name != "log_loss":
            found["greedy by log loss"] = self._look(self._fits("greedy", get_metric("log_loss")))
        found["mean of all methods"] = self._mean([found[method] for method in methods])
        found["mean of equal, convex, greedy"] = self._mean([found[method] for method in FEW])
        return found

    def chosen(self, looks: dict[str, Look]) -> dict[str, str]:
        """Return, for every way to choose, which of the METHODS it chooses."""
        methods = [method for method in METHODS if method in looks]
        scores = {
            method: self.metric.utility(self.metric.function(self.known.y, looks[method].oof)) for method in methods
        }
        losses = {method: -log_loss(self.known.y, looks[method].oof) for method in methods}
        found = {"chosen by the metric": _first_best(scores), "chosen by log loss": _first_best(losses)}
        if self.metric.from_confusion is not None:
            soft = {method: self._softened(looks[method].oof) for method in methods}
            found["chosen by the softened metric"] = _first_best(soft)
        found["equal, unless the best gains > 1 error"] = self._unless(looks, ["equal", _first_best(scores)])[1]
        gains = {method: self._gain(looks["greedy"], looks[method]) for method in methods}
        for margin in MARGINS:
            found[f"greedy, unless any gains > {margin} error"] = _surely(gains, methods, "greedy", margin)
            found[f"greedy, unless geometric or rank > {margin} error"] = _surely(gains, CHEAP, "greedy", margin)
        return found

    def votes(self, voted: Look) -> dict[str, float]:
        """Return the fresh utility of greedy by rules for the copies' vote; `voted` is its look where they vote."""
        looks = {"on": voted, "off": self._look(self._fits("greedy", self.metric))}
        scores = {name: self.metric.utility(self.metric.function(self.known.y, of.oof)) for name, of in looks.items()}
        losses = {name: -log_loss(self.known.y, of.oof) for name, of in looks.items()}
        rules = {
            "off": "off",
            "on": "on",
            "by the metric": "on" if scores["on"] > scores["off"] else "off",
            "by log loss": "on" if losses["on"] > losses["off"] else "off",
            "off, unless on gains > 1 error": self._unless(looks, ["off", "on"])[1],
        }
        for margin in MARGINS:
            rules[f"on, unless off gains > {margin} error"] = self._unless(looks, ["on", "off"])[margin]
        return {rule: looks[name].utility for rule, name in rules.items()}

    def voted(self) -> Task:
        """Return the same with the mean probabilities of each photo's copies."""
        return replace(self, known=_voted(self.known), fresh=_voted(self.fresh))

    def _unless(self, looks: dict[str, Look], names: Sequence[str]) -> dict[int, str]:
        gains = {name: self._gain(looks[names[0]], looks[name]) for name in names}
        return {margin: _surely(gains, names, names[0], margin) for margin in MARGINS}

    def _gain(self, a: Look, b: Look) -> tuple[float, float]:
        if a is b:
            return 0.0, 0.0
        found = intervals.difference(self.known.y, a.oof, b.oof, self.known.group, self.metric, draws=DRAWS)
        return self.metric.utility(found.value), found.error

    def _softened(self, oof: FloatArray) -> float:
        """Return the metric of the expected counts when classes are drawn by the squared probabilities."""
        powers = np.maximum(oof, SMALLEST) ** SHARPNESS
        soft = powers / powers.sum(axis=1, keepdims=True)
        counts = np.stack([soft[self.known.y == c].sum(axis=0) for c in range(oof.shape[1])])
        assert self.metric.from_confusion is not None
        return self.metric.utility(self.metric.from_confusion(counts))  # type: ignore[arg-type]

    def _fits(self, method: str, metric: Metric) -> list[Blend]:
        """Return the blend of all rows, then that without each fold."""
        fold, every = self.known.fold, np.arange(len(self.known.y))
        parts = [self.known[rows] for rows in (every, *(every[fold != held] for held in np.unique(fold)))]
        return [
            fit_blend(method, part.rows.probabilities[:, 0], part.y, metric, groups=part.group, seed=0)
            for part in parts
        ]

    def _look(self, blends: list[Blend]) -> Look:
        whole, *without = blends
        members, oof = self.known.rows.probabilities[:, 0], np.empty(self.known.rows.probabilities.shape[2:])
        for held, made in zip(np.unique(self.known.fold), without, strict=True):
            oof[self.known.fold == held] = made.apply(members[:, self.known.fold == held])
        return self._met(oof, whole.apply(self.fresh.rows.probabilities[:, 0]))

    def _mean(self, looks: list[Look]) -> Look:
        return self._met(np.mean([of.oof for of in looks], axis=0), np.mean([of.predicted for of in looks], axis=0))

    def _met(self, oof: FloatArray, predicted: FloatArray) -> Look:
        return Look(oof, predicted, self.metric.utility(self.metric.function(self.fresh.y, predicted)))


def _first_best(utilities: dict[str, float]) -> str:
    return max(utilities, key=lambda name: round(utilities[name], 9))


def _surely(gains: dict[str, tuple[float, float]], names: Sequence[str], first: str, margin: float) -> str:
    """Return the best of those that gain over the first more than so many errors, or the first."""
    sure = {name: gains[name][0] for name in names if name != first and gains[name][0] > margin * gains[name][1]}
    return max(sure, key=lambda name: sure[name]) if sure else first


def _voted(known: LabelledPredictions) -> LabelledPredictions:
    return replace(known, rows=replace(known.rows, probabilities=vote(known.rows.probabilities, known.rows.photo)))


def _halved(made: Blend) -> Blend:
    return replace(made, weights=(made.weights + 1.0 / len(made.weights)) / 2)
