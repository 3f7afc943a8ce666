"""Measure what a try of the split into folds costs here, of few groups and of very many, on a small part of either."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ripik.analysis.metrics import IntArray
from ripik.data.competition import Competition
from ripik.monitoring.forecast import Line
from ripik.monitoring.readings import line_through
from ripik.settings import FoldSettings
from ripik.splits.dealing import deal, rows_of
from ripik.splits.evenness import counts_of, unevenness
from ripik.splits.splitting import split

FEW, MANY = (200, 600), (10_000, 60_000)  # groups more than there are classes

Way = Callable[[IntArray, IntArray, int, int], Any]  # labels and groups (n,), folds, seed


def split_costs(competition: Competition, how: FoldSettings) -> tuple[Line, Line]:
    """Return the seconds of a try by the number of groups, as of up to `splitting.MANY` of them and as of more.

    Made-up groups of one image each have all classes of the competition, in its shares.
    """
    return _line(split, FEW, competition, how), _line(_deal, MANY, competition, how)


def _line(way: Way, counts: Sequence[int], competition: Competition, how: FoldSettings) -> Line:
    classes = np.arange(len(competition.classes))
    shuffled = np.random.default_rng(how.seed).permutation(competition.class_indices().to_numpy())

    def seconds(count: int) -> float:
        labels = np.concatenate([classes, np.resize(shuffled, count)])
        start = time.perf_counter()
        way(labels, np.arange(len(labels)), how.n_splits, how.seed)
        return time.perf_counter() - start

    seconds(counts[0])  # imports, and memory that is there from then on
    return line_through([(len(classes) + count, min(seconds(count) for _ in range(2))) for count in counts])


def _deal(labels: IntArray, groups: IntArray, n_splits: int, seed: int) -> None:
    """Do what a try of `splitting.split` does of more than `splitting.MANY` groups."""
    held = rows_of(labels, groups)
    unevenness(counts_of(held, deal(held, n_splits, seed), n_splits))
