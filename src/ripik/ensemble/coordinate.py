"""Blend weights by seeded coordinate search: climbs the metric itself, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ripik.analysis.confusions import confusion_matrix
from ripik.analysis.metrics import FloatArray, IntArray, Metric, check_targets
from ripik.analysis.truth import labels_of
from ripik.ensemble.probabilities import TIE, BlendResult, checked_members, point, split_votes, weighted_mean

STEPS = (0.5, 0.2, 0.1, 0.05, 0.02)


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
    A single member gets weight 1 without a search. The trajectory holds every best-so-far; its ``step`` counts
    the weightings tried until then. Raises `InputError` for missing values and wrong shapes.
    """
    members = checked_members(oof)
    y = np.asarray(y)
    check_targets(y, *members.shape[1:])
    search = _Search(_utility(members, y, metric))
    for start in _starts(len(members), seed, restarts):
        search.climb(start, steps)
    search.round()
    trajectory = [point(found.step, members, found.weights, y, metric) for found in search.bests]
    return BlendResult(search.bests[-1].weights, trajectory[-1]["score"], trajectory)


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
        return lambda weights: metric.utility(metric.unchecked(y, weighted_mean(members, weights)))
    from_confusion, n_classes, votes = metric.from_confusion, members.shape[2], split_votes(members, labels_of(y))

    def utility(weights: FloatArray) -> float:
        predicted = weighted_mean(votes.members, weights).argmax(axis=1)
        return metric.utility(from_confusion(votes.settled + confusion_matrix(votes.y, predicted, n_classes)))

    return utility
