"""Blend weights by greedy selection of members, with replacement, in bags of groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripik.analysis.metrics import FloatArray, IntArray, Metric, check_targets
from ripik.analysis.truth import labels_of, likelihoods
from ripik.ensemble.probabilities import (
    TIE,
    BlendResult,
    Votes,
    bootstrap_counts,
    check_distributions,
    checked_members,
    group_codes,
    point,
    split_votes,
    weighted_mean,
    without_crumbs,
)

ROUNDS = 25  # members selected in a bag, at most
LEAST = 0.01  # a smaller weight is not worth a member's run

Counts = NDArray[np.integer[Any]]


def select_greedily(
    oof: FloatArray,
    y: IntArray,
    metric: Metric,
    *,
    groups: ArrayLike,
    seed: int,
    bags: int = 20,
    rounds: int = ROUNDS,
) -> BlendResult:
    """Return the weights of greedy ensemble selection by the metric (Caruana et al. 2004, ICML).

    ``oof`` is (members, n, C), ``y`` (n,) class indices, ``groups`` (n,). Round by round, the member that makes the
    mean of all selected score best is selected (once more). As in AutoGluon's EnsembleSelection, equal scores (within
    1e-12) go to members selected before, then to the lower log loss, and of the rounds the first with the best score
    counts. Remaining ties go to the first member.

    Each bag selects on another bootstrap draw of the groups (a single bag: on all rows), and the weights are the bags'
    mean, those below 0.01 set to 0. A trajectory's ``step`` is the number of bags whose mean it is. The score is
    in-sample. Raises `InputError` for missing values, wrong shapes, and rows that are no probabilities.
    """
    members, y = checked_members(oof), np.asarray(y)
    check_targets(y, *members.shape[1:])
    for index, member in enumerate(members):
        check_distributions(member, f"probabilities of blend member {index}")
    draws = _bags(group_codes(groups, len(y)), seed, bags if len(members) > 1 else 1)
    picked = [_select(_scorer(members, y, metric, counts), rounds) for counts in draws]
    means = [without_crumbs(np.mean(picked[: bag + 1], axis=0), LEAST) for bag in range(len(picked))]
    trajectory = [point(bag + 1, members, weights, y, metric) for bag, weights in enumerate(means)]
    return BlendResult(means[-1], trajectory[-1]["score"], trajectory)


@dataclass(frozen=True, eq=False)
class _Scorer(ABC):
    """Judges, on one bag, the mean of the members selected so far and one more."""

    true_class: FloatArray  # (members, n)
    counts: Counts
    n_members: int

    @abstractmethod
    def utilities(self, selected: Sequence[int]) -> FloatArray:
        """Return the utility with each member added, (members,)."""

    def losses(self, selected: Sequence[int], candidates: IntArray) -> FloatArray:
        """Return the log loss with each candidate added."""
        mixed = (self.times(selected) @ self.true_class + self.true_class[candidates]) / (len(selected) + 1)
        loss: FloatArray = -np.log(np.maximum(mixed, np.finfo(np.float64).eps)) @ self.counts / self.counts.sum()
        return loss

    def times(self, selected: Sequence[int]) -> FloatArray:
        """Return how often each member is selected, (members,)."""
        return np.bincount(np.array(selected, dtype=np.intp), minlength=self.n_members).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _ByLabels(_Scorer):
    """For label metrics: counts only the rows on which members disagree."""

    metric: Metric
    votes: Votes
    row_counts: FloatArray  # of each contested row, once a member: (members x k,)
    cells: NDArray[np.intp]  # of each contested row and member, without the predicted class: (members, k)

    def utilities(self, selected: Sequence[int]) -> FloatArray:
        assert self.metric.from_confusion is not None
        n_classes = len(self.votes.settled)
        mixed = weighted_mean(self.votes.members, self.times(selected)) + self.votes.members
        cells = (self.cells + mixed.argmax(axis=2)).ravel()
        counted = np.bincount(cells, self.row_counts, minlength=self.n_members * n_classes**2).astype(np.int64)
        confusions = counted.reshape(self.n_members, n_classes, n_classes) + self.votes.settled
        return np.array([self.metric.utility(self.metric.from_confusion(each)) for each in confusions])


@dataclass(frozen=True, eq=False)
class _ByProbabilities(_Scorer):
    """For metrics of the probabilities: draws the bag's rows and asks the metric."""

    metric: Metric
    members: FloatArray
    y: IntArray

    def utilities(self, selected: Sequence[int]) -> FloatArray:
        total = weighted_mean(self.members, self.times(selected))
        mixed = ((total + member) / (len(selected) + 1) for member in self.members)
        return np.array([self.metric.utility(self.metric.unchecked(self.y, each)) for each in mixed])


def _scorer(members: FloatArray, y: IntArray, metric: Metric, counts: Counts) -> _Scorer:
    n_members, _, n_classes = members.shape
    known = (likelihoods(y, members), counts, n_members)
    if metric.from_confusion is None:
        drawn = np.repeat(np.arange(len(y)), counts)
        return _ByProbabilities(*known, metric, members[:, drawn], y[drawn])
    votes = split_votes(members, labels_of(y), counts)
    cells = votes.y * n_classes + np.arange(n_members)[:, None] * n_classes**2
    row_counts = np.tile(counts[votes.open_rows], n_members).astype(np.float64)
    return _ByLabels(*known, metric, votes, row_counts, cells)


def _bags(codes: NDArray[np.intp], seed: int, bags: int) -> list[Counts]:
    """Return how often each row is in each bag."""
    rng = np.random.default_rng(seed)
    return [bootstrap_counts(codes, rng) for _ in range(bags)] if bags > 1 else [np.ones_like(codes)]


def _select(scorer: _Scorer, rounds: int) -> FloatArray:
    """Return the selected members' shares, (members,)."""
    selected: list[int] = []
    reached: list[float] = []
    for _ in range(rounds if scorer.n_members > 1 else 1):
        utilities = scorer.utilities(selected)
        best = np.flatnonzero(utilities >= utilities.max() - TIE)
        chosen = _break_tie(scorer, selected, best)
        selected.append(chosen)
        reached.append(float(utilities[chosen]))
    length = int(np.argmax(np.array(reached) >= max(reached) - TIE)) + 1
    return np.bincount(selected[:length], minlength=scorer.n_members) / length


def _break_tie(scorer: _Scorer, selected: Sequence[int], best: NDArray[np.intp]) -> int:
    known = best[np.isin(best, selected)]
    best = known if len(known) else best
    if len(best) == 1:
        return int(best[0])
    losses = scorer.losses(selected, best)
    return int(best[np.argmax(losses <= losses.min() + TIE)])
