"""Choose a recipe and score it honestly: whatever is tuned or chosen is scored on folds it has not seen.

Three scores, from optimistic to honest: in-sample (fitted and scored on the same rows); cross-fitted, by which a
recipe is chosen (fitted on the other folds, but the best of several is looked at); nested, the CV (each fold is
predicted by a recipe that was chosen and fitted on the other folds alone; Varma and Simon 2006, Cawley and Talbot
2010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ripik import bootstrap
from ripik.bootstrap import Interval
from ripik.metrics import FloatArray, IntArray, Metric
from ripik.offsets import MATRIX, MOST_CELLS
from ripik.recipe import Fitted, Known, Recipe, fit
from ripik.settings import BlendSettings, DecisionSettings

DRAWS = 400  # of the bootstrap that tells how sure a gain is
DIGITS = 9  # scores that agree so far are equal
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Option:
    """One recipe that was looked at in a stage: its cross-fitted score, and its gain over the stage's first option.

    `name` is what the stage calls it: yes, no, or a blend's method.
    """

    stage: str
    name: str
    recipe: Recipe
    score: float
    gain: Interval
    chosen: bool


@dataclass(frozen=True, eq=False)
class Nested:
    """What was chosen on all rows, the looks that led there, and the honest predictions (n, C) of every row."""

    fitted: Fitted
    options: list[Option]
    in_sample: float
    oof: FloatArray
    recipes: dict[int, Recipe]  # what was chosen without each fold
    left_out: list[str] = field(default_factory=list)  # what was not looked at, and why: sentences


def nest(
    known: Known,
    metric: Metric,
    how: BlendSettings,
    decision: DecisionSettings,
    merging: str,
    progress: Progress | None = None,
) -> Nested:
    """Choose and fit a recipe on all rows, and again without each fold, whose rows it then predicts.

    `progress` is given the number of choices done, of folds + 1. Two folds are halved by groups for the tuning: without
    one, two others must be left to choose by.
    """
    with threadpool_limits(1):  # the arrays are small: threads of BLAS would wait for each other
        return _nest(replace(known, fold=parts(known.fold, known.group)), metric, how, decision, merging, progress)


def _nest(
    known: Known,
    metric: Metric,
    how: BlendSettings,
    decision: DecisionSettings,
    merging: str,
    progress: Progress | None,
) -> Nested:
    folds = np.unique(known.fold).tolist()
    decision, left_out = within_reach(decision, metric, len(known.y), known.rows.probabilities.shape[-1], len(folds))
    tuning = _Tuning(known, metric, how, decision, merging)
    oof = np.full(known.rows.probabilities.shape[2:], np.nan)
    recipes = {}
    for number, held in enumerate(folds):
        recipes[held] = tuning.choose(held)[0]
        rows = known.fold == held
        oof[rows] = tuning.fitted(recipes[held], held).apply(known.rows[rows])
        if progress:
            progress(number + 1)
    recipe, options = tuning.choose()
    fitted = tuning.fitted(recipe)
    if progress:
        progress(len(folds) + 1)
    return Nested(fitted, options, metric.function(known.y, fitted.apply(known.rows)), oof, recipes, left_out)


def within_reach(
    decision: DecisionSettings, metric: Metric, rows: int, classes: int, folds: int
) -> tuple[DecisionSettings, list[str]]:
    """Return the settings without what would take too long at this size where it is "auto", and sentences about it.

    Offsets are fitted without every fold, without every two, and on all: `offsets.MOST_CELLS` bounds rows x classes of
    all these fits, and the metric's own work on C^2 counts, which is that of MATRIX x C rows more.
    """
    fits = folds * (folds + 1) // 2 + 1
    small = (rows + MATRIX * classes) * classes * fits <= MOST_CELLS
    if small or metric.uses_probabilities or decision.offsets != "auto":
        return decision, []
    told = (
        f"Class offsets are left out: {fits} fits on {rows} rows of {classes} classes would take minutes "
        '(decision.offsets = "on" fits them without choosing).'
    )
    return decision.model_copy(update={"offsets": "off"}), [told]


def parts(fold: IntArray, group: IntArray) -> IntArray:
    """Return the folds as they are, or two folds halved by groups into four, (n,)."""
    if len(np.unique(fold)) > 2:
        return fold
    halves = np.zeros(len(fold), np.int64)
    for number in np.unique(fold):
        rows = fold == number
        halves[rows] = np.unique(group[rows], return_inverse=True)[1] % 2
    return 2 * fold + halves


@dataclass(eq=False)
class _Tuning:
    """Fits of recipes on all folds but some, each made once."""

    known: Known
    metric: Metric
    how: BlendSettings
    decision: DecisionSettings
    merging: str
    made: dict[tuple[Recipe, frozenset[int]], Fitted] = field(default_factory=dict)

    def fitted(self, recipe: Recipe, *without: int) -> Fitted:
        key = recipe, frozenset(without)
        if key not in self.made:
            rows = np.flatnonzero(~np.isin(self.known.fold, without))
            self.made[key] = fit(recipe, self.known[rows], self.metric, self.how, self.merging)
        return self.made[key]

    def choose(self, *without: int) -> tuple[Recipe, list[Option]]:
        """Choose stage by stage, on the folds but `without`: the best score, of equals the simplest.

        Offsets must gain more than the standard error of their gain.
        """
        recipe, options = self._first(), list[Option]()
        for stage, changes in self._stages().items():
            candidates = {name: replace(recipe, **change) for name, change in changes.items()}
            if len(candidates) < 2:
                (recipe,) = candidates.values()
                continue
            recipe, looked = self._stage(stage, candidates, without)
            options += looked
        return recipe, options

    def _first(self) -> Recipe:
        method = "equal" if "equal" in self.how.methods else self.how.methods[0]
        return Recipe(method, prior_shift=self.decision.prior_shift)

    def _stages(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return, for every stage, its options by name and what each changes in a recipe, the simplest first."""
        members, views = self.known.rows.probabilities.shape[:2]
        methods = self.how.methods if members > 1 else self.how.methods[:1]
        voting = self.decision.copies_vote
        if voting == "auto" and len(np.unique(self.known.rows.photo)) == len(self.known.y):
            voting = "off"  # nothing to learn from
        labels = not self.metric.uses_probabilities
        return {
            "copies vote": _switch("copies_vote", voting),
            "chosen views": _switch("choose_views", self.how.views if views > 1 else "off"),
            "blend": {method: {"method": method} for method in methods},
            "offsets": _switch("offsets", self.decision.offsets if labels else "off"),
        }

    def _stage(self, stage: str, options: dict[str, Recipe], without: Sequence[int]) -> tuple[Recipe, list[Option]]:
        rows, recipes = np.flatnonzero(~np.isin(self.known.fold, without)), list(options.values())
        known = self.known[rows]
        predicted = [self._cross_fitted(recipe, without)[rows] for recipe in recipes]
        scores = [self.metric.function(known.y, values) for values in predicted]
        utilities = [round(self.metric.utility(score), DIGITS) for score in scores]
        chosen = utilities.index(max(utilities))
        if stage == "offsets" and chosen:
            gain = self._gain(known, predicted[0], predicted[chosen])
            chosen = chosen if self.metric.utility(gain.value) > gain.error else 0
        if without:
            return recipes[chosen], []
        gains = [self._gain(known, predicted[0], values) for values in predicted]
        looked = zip(options, recipes, scores, gains, strict=True)
        return recipes[chosen], [Option(stage, *told, number == chosen) for number, told in enumerate(looked)]

    def _cross_fitted(self, recipe: Recipe, without: Sequence[int]) -> FloatArray:
        found = np.full(self.known.rows.probabilities.shape[2:], np.nan)
        for held in np.setdiff1d(self.known.fold, without).tolist():
            rows = self.known.fold == held
            found[rows] = self.fitted(recipe, held, *without).apply(self.known.rows[rows])
        return found

    def _gain(self, known: Known, a: FloatArray, b: FloatArray) -> Interval:
        return bootstrap.difference(known.y, a, b, known.group, self.metric, draws=DRAWS)


def _switch(field: str, setting: str) -> dict[str, dict[str, Any]]:
    used = {"off": (False,), "all": (False,), "on": (True,), "auto": (False, True)}[setting]
    return {"yes" if value else "no": {field: value} for value in used}
