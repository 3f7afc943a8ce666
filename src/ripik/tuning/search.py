"""A search: rounds of trials, trained fold by fold; those worse than the median so far are pruned.

Only this process asks for proposals and reports results: a round's proposals together, its results in the order of
their numbers when the last is there. So what is proposed depends neither on the number of jobs nor on which is first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ripik.analysis.metrics import FloatArray, Metric, get_metric, score_part
from ripik.analysis.selection import survives
from ripik.console import say, warn
from ripik.errors import SurroundingsError
from ripik.execution.runner import at_once, execute, with_run_threads
from ripik.execution.task import ALL, ONE, Task
from ripik.features.store import Reading
from ripik.splits.run import Run
from ripik.training.jobs import is_distributed
from ripik.training.shapes import shape_of
from ripik.tuning.ranges import holds
from ripik.tuning.study import Study, Told
from ripik.tuning.trial import Outcome, Proposal, Trial
from ripik.variants import Variant

HEADS, ONE_BY_KERAS = "ripik.tuning.work:heads", "ripik.tuning.work:one"


@dataclass(eq=False)
class Tried:
    """A trial, its pooled score after each fold so far, and its probabilities, NaN where it was not tried."""

    trial: Trial
    oof: FloatArray
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0
    ended: bool = False
    whole: bool = False


@dataclass(eq=False)
class Search:
    """The search over a variant of a run."""

    run: Run
    variant: Variant
    study: Study
    tried: list[Tried] = field(default_factory=list)
    round: list[Tried] = field(default_factory=list)
    waiting: dict[str, list[tuple[Tried, int]]] = field(default_factory=dict)  # by the task's name
    wanted: int = 0
    at_once: int = 1  # tasks
    until: float = float("inf")  # on the clock of `time.monotonic`
    longest: float = 0.0  # seconds of a round: of this session, or an estimate by those of earlier ones
    begun: float = 0.0

    def __post_init__(self) -> None:
        """Restore the trials that the study has."""
        for proposal, told in self.study.trials():
            tried = self._tried(proposal)
            while len(tried.scores) < len(told.scores):
                self._take(tried, self._read(tried, len(tried.scores)), told)
            tried.ended, tried.whole = True, told.whole
            self.tried.append(tried)

    @property
    def metric(self) -> Metric:
        """The competition's metric."""
        return get_metric(self.run.settings.competition.metric)

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return self.run.settings.folds.n_splits

    def go_on(self, wanted: int, until: float = float("inf")) -> None:
        """Try until there are so many trials, earlier ones counted, or no round more would end in time.

        until: on the clock of `time.monotonic`.
        """
        self.wanted, self.at_once, self.until = wanted, at_once(self.run.settings.jobs), until
        self.longest = max([self.longest, *self._earlier_rounds()])
        tasks = self._next_round()
        if tasks:
            execute(tasks, with_run_threads(self.run.settings), self._after)

    def _earlier_rounds(self) -> list[float]:
        """Return about how long each round of earlier sessions would take with as many tasks at once as now."""
        size = self.run.settings.tune.at_once
        rounds = [self.tried[begin : begin + size] for begin in range(0, len(self.tried), size)]
        seconds = [[tried.seconds for tried in each] for each in rounds]
        return [max(max(each), sum(each) / self.at_once) for each in seconds]

    def best(self) -> Tried | None:
        """Return the whole trial of the best score, the first of equals; None without one."""
        whole = [tried for tried in self.tried if tried.whole]
        return max(whole, key=lambda tried: self.metric.utility(tried.scores[-1])) if whole else None

    def _after(self, name: str) -> list[Task]:
        """Take the results of a task; return what is to be done next."""
        for tried, fold in self.waiting.pop(name):
            self._take(tried, self._read(tried, fold))
        more = self._tasks([tried for tried in self.round if not tried.ended and not self._is_waiting(tried)])
        return more or ([] if self.waiting else self._end_round())

    def _is_waiting(self, tried: Tried) -> bool:
        return any(tried is other for items in self.waiting.values() for other, _ in items)

    def _next_round(self) -> list[Task]:
        """Ask for the next round, use what is there of it already, and return the tasks of the rest."""
        self.begun, first = time.monotonic(), len(self.tried)
        if first >= self.wanted or self.begun + self.longest > self.until:
            return []
        size = self.run.settings.tune.at_once
        numbers = range(first, min(self.wanted, (first // size + 1) * size))
        self.round = [self._tried(proposal) for proposal in self.study.propose(numbers, self._default())]
        for tried in self.round:
            _end_refused(tried)
            while not tried.ended and (outcome := _kept(tried)) is not None:
                self._take(tried, outcome)
        return self._tasks([tried for tried in self.round if not tried.ended]) or self._end_round()

    def _end_round(self) -> list[Task]:
        for tried in self.round:
            self.study.tell(tried.trial.number, Told(tuple(tried.scores), tried.whole))
        self.study.save()
        self.tried += self.round
        self.round, self.longest = [], max(self.longest, time.monotonic() - self.begun)
        self._say()
        return self._next_round()

    def _say(self) -> None:
        best, pruned = self.best(), sum(not tried.whole for tried in self.tried)
        told = (
            f"best {self.metric.name} {best.scores[-1]:.4f} (trial {best.trial.number})"
            if best
            else "none on all folds yet"
        )
        say(f"tune: {len(self.tried)} of {self.wanted} trials, {told}, {pruned} pruned")

    def is_default(self, tried: Tried) -> bool:
        """Whether a trial has the variant's own values."""
        return tried.trial.proposal.values == self._default()

    def _default(self) -> dict[str, object] | None:
        """Return the variant's own values, the first trial; None where they lie outside the ranges."""
        own = self.variant.model_dump(mode="json")
        return {key: own[key] for key in self.study.ranges} if holds(self.study.ranges, own) else None

    def _tried(self, proposal: Proposal) -> Tried:
        rows, classes = len(self.run.folds), len(self.run.competition.classes)
        return Tried(Trial(self.run, self.variant, proposal), np.full((rows, classes), np.nan))

    def _read(self, tried: Tried, fold: int) -> Outcome:
        result = tried.trial.result(fold)
        outcome = result.read()
        if outcome is None:
            storage = self.study.path
            raise SurroundingsError(
                f"{result.path} is missing or damaged, and the search needs the predictions of every trial. Move "
                f"{storage} away and run `make tune` again: the same trials are proposed, and finished folds are "
                "reused."
            )
        return outcome

    def _take(self, tried: Tried, outcome: Outcome, told: Told | None = None) -> None:
        """Add a fold to a trial, and decide whether it continues. told: of an earlier session, which decided."""
        fold = len(tried.scores)
        tried.seconds += outcome.seconds
        if outcome.oof is None:
            tried.ended = True
            return
        folds = self.run.folds["fold"].to_numpy()
        tried.oof[folds == fold] = outcome.oof
        rows = folds <= fold
        tried.scores.append(told.scores[fold] if told else self._score(tried.oof, rows))
        tried.whole = fold + 1 == self.folds
        tried.ended = tried.whole or (told is None and not self._survives(tried))

    def _score(self, oof: FloatArray, rows: np.ndarray) -> float:
        return float(score_part(self.metric, self.run.truth()[rows], oof[rows]))

    def _survives(self, tried: Tried) -> bool:
        if not self.run.settings.tune.pruning:
            return True
        at, sign = len(tried.scores) - 1, 1.0 if self.metric.greater_is_better else -1.0
        begin = tried.trial.number // self.run.settings.tune.at_once * self.run.settings.tune.at_once
        rounds = self.tried[:begin]  # earlier ones, as `selection.replay` has them, wherever a session ended
        earlier = np.array([sign * other.scores[at] for other in rounds if len(other.scores) > at])
        return survives(sign * tried.scores[at], earlier)

    def _tasks(self, going: Sequence[Tried]) -> list[Task]:
        items = [(tried, len(tried.scores)) for tried in going]
        if not items:
            return []
        if Reading(self.run.settings, self.variant).head_alone:
            return [self._heads_task(part) for part in _parted(items, max(1, self.at_once - len(self.waiting)))]
        return [self._task(tried, fold) for tried, fold in items]

    def _heads_task(self, items: list[tuple[Tried, int]]) -> Task:
        numbers = [tried.trial.number for tried, _ in items]
        fold = min(fold for _, fold in items)
        name = f"trials/{numbers[0]}-{numbers[-1]}-fold{fold}" if len(numbers) > 1 else f"trial/{numbers[0]}-fold{fold}"
        self.waiting[name] = items
        wanted = [(tried.trial.proposal, fold) for tried, fold in items]
        arguments = self.run.settings, self.variant.name, wanted
        return Task(name, HEADS, arguments, needs_backend=False, shape="heads of a search")

    def _task(self, tried: Tried, fold: int) -> Task:
        name = f"trial/{tried.trial.number}-fold{fold}"
        self.waiting[name] = [(tried, fold)]
        arguments = self.run.settings, self.variant.name, tried.trial.proposal, fold
        devices, shape = ALL if is_distributed(self.variant) else ONE, shape_of(tried.trial.trainings(fold)[0])
        return Task(name, ONE_BY_KERAS, arguments, devices=devices, shape=shape)


def _end_refused(tried: Tried) -> None:
    """End a trial whose values no configuration may have: values that are refused together, each alone being good."""
    problem = tried.trial.problem()
    if problem:
        tried.ended = True
        warn(f"trial {tried.trial.number} is not tried: {problem}")


def _kept(tried: Tried) -> Outcome | None:
    """Return what is there of a trial's next fold, and remove what a killed process left of its training."""
    result = tried.trial.result(len(tried.scores))
    outcome = result.read()
    if outcome is not None:
        result.clear()
    return outcome


def _parted(items: list[tuple[Tried, int]], parts: int) -> Iterator[list[tuple[Tried, int]]]:
    """Yield the items in at most so many parts of about one size."""
    for part in np.array_split(np.arange(len(items)), min(parts, len(items))):
        yield [items[index] for index in part.tolist()]
