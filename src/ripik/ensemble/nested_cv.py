"""Choose a recipe and score it honestly: whatever is tuned or chosen is scored on folds it has not seen.

Three scores, from optimistic to honest: in-sample (fitted and scored on the same rows); cross-fitted, by which a
recipe is chosen (fitted on the other folds, but the best of several is looked at); nested, the CV (each fold is
predicted by a recipe that was chosen and fitted on the other folds alone; Varma and Simon 2006, Cawley and Talbot
2010).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ripik.analysis import intervals
from ripik.analysis.intervals import Interval
from ripik.analysis.metrics import FloatArray, IntArray, Metric
from ripik.analysis.truth import labels_of
from ripik.ensemble.offsets import MATRIX, MOST_CELLS
from ripik.ensemble.recipe import Fitted, LabelledPredictions, Recipe, fit
from ripik.names import ORDERED
from ripik.settings import BlendSettings, DecisionSettings

DRAWS = 200  # of the bootstrap that tells how sure a gain is
OFFSETS_MARGIN = 1.0  # standard errors
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
    by_partition: list[float]  # the nested score by other partitions of the same rows
    left_out: list[str] = field(default_factory=list)  # what was not looked at, and why: sentences

    @property
    def agreeing(self) -> int:
        """How many folds were predicted by the recipe that all rows chose, fitted without them."""
        return sum(recipe == self.fitted.recipe for recipe in self.recipes.values())


def nest(
    known: LabelledPredictions,
    metric: Metric,
    how: BlendSettings,
    decision: DecisionSettings,
    merging: str,
    progress: Progress | None = None,
) -> Nested:
    """Choose and fit a recipe on all rows, and again without each fold, whose rows it then predicts.

    `progress` is given the number of choices done, of folds + 1 + partitions. Two folds are halved by groups for the
    tuning: without one, two others must be left to choose by.

    `by_partition` tells how much of the nested score is the luck of the partition: the rows are divided again by seed,
    and again all is chosen and fitted without each part (but offsets and ranks are used as all rows chose).
    """
    with threadpool_limits(1):  # the arrays are small: threads of BLAS would wait for each other
        return _nest(
            replace(known, fold=tuning_folds(known.fold, known.group)), metric, how, decision, merging, progress
        )


def _nest(
    known: LabelledPredictions,
    metric: Metric,
    how: BlendSettings,
    decision: DecisionSettings,
    merging: str,
    progress: Progress | None,
) -> Nested:
    done = itertools.count(1)

    def show() -> None:
        if progress:
            progress(next(done))

    rows, classes = known.rows.probabilities.shape[2:]
    size = rows, classes, len(np.unique(known.fold))
    decision, left_out = within_reach(decision, metric, *size)
    tuning = CrossFitter(known, metric, how, decision, merging)
    oof, recipes = tuning.nested(show)
    recipe, options = tuning.choose()
    fitted = tuning.fitted(recipe)
    show()
    how, too_many = repeatable(how, recipe, *size)
    switches = {"offsets": recipe.offsets, "ranks": recipe.ranks}
    settled = decision.model_copy(update={name: "on" if used else "off" for name, used in switches.items()})
    scores = []
    for seed in range(how.seed, how.seed + how.partitions):
        again = replace(known, fold=repartition(known, seed))
        scores.append(metric.function(known.y, CrossFitter(again, metric, how, settled, merging).nested()[0]))
        show()
    in_sample = metric.function(known.y, fitted.apply(known.rows))
    return Nested(fitted, options, in_sample, oof, recipes, scores, left_out + too_many)


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
    sentence = (
        f"Class offsets are left out: {fits} fits on {rows} rows of {classes} classes would take minutes "
        '(decision.offsets = "on" fits them without comparing).'
    )
    return decision.model_copy(update={"offsets": "off"}), [sentence]


def repeatable(
    how: BlendSettings, recipe: Recipe, rows: int, classes: int, folds: int
) -> tuple[BlendSettings, list[str]]:
    """Return the settings without other partitions where fitting the recipe's offsets in them takes too long.

    `offsets.MOST_CELLS` bounds rows x classes of those fits, one a part; a sentence tells what is left out.
    """
    if not recipe.offsets or rows * classes * folds * how.partitions <= MOST_CELLS:
        return how, []
    sentence = f"The nested CV by {how.partitions} other partitions is left out: its class offsets would take minutes."
    return how.model_copy(update={"partitions": 0}), [sentence]


def repartition(known: LabelledPredictions, seed: int) -> IntArray:
    """Return other parts, as many as there are folds, (n,): groups dealt out class by class in seeded order."""
    _, first, group = np.unique(known.group, return_index=True, return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).random(len(first)), labels_of(known.y)[first]))
    dealt = np.empty(len(first), np.int64)
    dealt[order] = np.arange(len(first)) % len(np.unique(known.fold))
    return dealt[group]


def tuning_folds(fold: IntArray, group: IntArray) -> IntArray:
    """Return the folds as they are, or two folds halved by groups into four, (n,)."""
    if len(np.unique(fold)) > 2:
        return fold
    halves = np.zeros(len(fold), np.int64)
    for number in np.unique(fold):
        rows = fold == number
        halves[rows] = np.unique(group[rows], return_inverse=True)[1] % 2
    return 2 * fold + halves


@dataclass(eq=False)
class CrossFitter:
    """Fits of recipes on all folds but some, each made once."""

    known: LabelledPredictions
    metric: Metric
    how: BlendSettings
    decision: DecisionSettings
    merging: str
    made: dict[tuple[Recipe, frozenset[int]], Fitted] = field(default_factory=dict)

    def fitted(self, recipe: Recipe, *without: int) -> Fitted:
        """Return the recipe as it is fitted on the folds but `without`."""
        key = recipe, frozenset(without)
        if key not in self.made:
            rows = np.flatnonzero(~np.isin(self.known.fold, without))
            self.made[key] = fit(recipe, self.known[rows], self.metric, self.how, self.merging)
        return self.made[key]

    def nested(self, show: Callable[[], None] = lambda: None) -> tuple[FloatArray, dict[int, Recipe]]:
        """Return every row as a recipe that was chosen and fitted without its fold predicts it, and the recipes."""
        oof, recipes = np.full(self.known.rows.probabilities.shape[2:], np.nan), dict[int, Recipe]()
        for held in np.unique(self.known.fold).tolist():
            recipes[held] = self.choose(held)[0]
            rows = self.known.fold == held
            oof[rows] = self.fitted(recipes[held], held).apply(self.known.rows[rows])
            show()
        return oof, recipes

    def choose(self, *without: int) -> tuple[Recipe, list[Option]]:
        """Choose stage by stage, on the folds but `without`: the first option, unless another is surely better.

        The best score among those whose gain over the first is more than `how.margin` times the gain's standard error
        (of equals the first): looking for the best costs more than it finds (`benchmarks.quality.blend_regret`).
        Offsets, which are shrunk by their own uncertainty, need one standard error.
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
        return Recipe(self.how.methods[0], prior_shift=self.decision.prior_shift)

    def _stages(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return, for every stage, its options by name and what each changes in a recipe: first what is likely best.

        Near copies are one photo, so their mean says more than each, as the mean of members does.
        """
        members, views = self.known.rows.probabilities.shape[:2]
        methods = self.how.methods if members > 1 else self.how.methods[:1]
        voting = self.decision.copies_vote
        if voting == "auto" and len(np.unique(self.known.rows.photo)) == len(self.known.y):
            voting = "off"  # nothing to learn from
        return {
            "copies vote": _switch("copies_vote", voting, first=True),
            "chosen views": _switch("choose_views", self.how.views if views > 1 else "off"),
            "blend": {method: {"method": method} for method in methods},
            "offsets": self._decisions(),
        }

    def _decisions(self) -> dict[str, dict[str, Any]]:
        """Return whether class offsets are used, for metrics of labels, or ranks, where the metric knows an order."""
        offsets = _switch("offsets", "off" if self.metric.uses_probabilities else self.decision.offsets)
        if self.metric.name != ORDERED or self.decision.ranks == "off":
            return offsets
        ranks = {"ranks": {"offsets": False, "ranks": True}}
        return ranks if self.decision.ranks == "on" else offsets | ranks

    def _stage(self, stage: str, options: dict[str, Recipe], without: Sequence[int]) -> tuple[Recipe, list[Option]]:
        rows, recipes = np.flatnonzero(~np.isin(self.known.fold, without)), list(options.values())
        known = self.known[rows]
        predicted = [self._cross_fitted(recipe, without)[rows] for recipe in recipes]
        scores = [self.metric.function(known.y, values) for values in predicted]
        gains = [self._gain(known, predicted[0], values, wanted=not without) for values in predicted]
        chosen = self._surely_best(gains, OFFSETS_MARGIN if stage == "offsets" else self.how.margin)
        if without:
            return recipes[chosen], []
        looked = zip(options, recipes, scores, gains, strict=True)
        return recipes[chosen], [Option(stage, *looked_at, number == chosen) for number, looked_at in enumerate(looked)]

    def _surely_best(self, gains: Sequence[Interval], margin: float) -> int:
        """Return which option to take, given each one's gain over the first."""
        utilities = [round(self.metric.utility(gain.value), DIGITS) for gain in gains]
        sure = [n for n, gain in enumerate(gains) if n == 0 or utilities[n] > margin * gain.error]
        return max(sure, key=lambda number: utilities[number])

    def _cross_fitted(self, recipe: Recipe, without: Sequence[int]) -> FloatArray:
        found = np.full(self.known.rows.probabilities.shape[2:], np.nan)
        for held in np.setdiff1d(self.known.fold, without).tolist():
            rows = self.known.fold == held
            found[rows] = self.fitted(recipe, held, *without).apply(self.known.rows[rows])
        return found

    def _gain(self, known: LabelledPredictions, a: FloatArray, b: FloatArray, *, wanted: bool) -> Interval:
        """Return b's gain over a; its error is drawn only where it is `wanted` or decides something."""
        if a is b:
            return Interval(0.0, 0.0, 0.0, 0.0)
        gain = self.metric.function(known.y, b) - self.metric.function(known.y, a)
        if np.isnan(gain) or not (wanted or self.metric.utility(gain) > 0):
            return Interval(gain, np.nan, np.nan, np.nan)
        return intervals.difference(known.y, a, b, known.group, self.metric, draws=DRAWS)


def _switch(field: str, setting: str, *, first: bool = False) -> dict[str, dict[str, Any]]:
    used = {"off": (False,), "all": (False,), "on": (True,), "auto": (first, not first)}[setting]
    return {"yes" if value else "no": {field: value} for value in used}
