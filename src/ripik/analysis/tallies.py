"""Scores of many trials at once with row counts, by sums computed once per draw for metrics that allow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripik.analysis.metrics import FloatArray, IntArray, Metric
from ripik.analysis.truth import Truth

Scored = Callable[[IntArray], FloatArray]  # of sources (trials, parts so far) to scores (trials,)


def tally(
    metric: Metric,
    y: Truth,
    predictions: FloatArray,
    part: IntArray,
    tried: NDArray[np.bool_],
    classes: int,
) -> Callable[[IntArray], Scored]:
    """Return what makes, of how often each row counts, the scores of trials by the sources of their parts.

    y: class indices (n,), or shares (n, C) where the metric takes them.
    Sums of each trial and part are made once a draw where the metric is a function of such sums.
    """
    trials, parts = tried.shape
    place = np.arange(trials)[:, None] * parts + part
    if metric.from_confusion is not None:
        from_confusion, cells = metric.from_confusion, classes * classes
        at = (place * cells + y * classes + predictions.argmax(axis=2)).ravel()

        def of_counts(times: IntArray) -> Scored:
            counts = np.bincount(at, np.tile(times, trials), minlength=trials * parts * cells)
            counts = counts.astype(np.int64).reshape(trials, parts, classes, classes)
            return lambda source: np.array([from_confusion(each) for each in _together(counts, source)])

        return of_counts
    if metric.of_rows is not None:
        of_rows = metric.of_rows
        values = np.zeros((trials, len(y)))
        for trial in range(trials):
            there = tried[trial, part]
            values[trial, there] = of_rows(y[there], predictions[trial, there].astype(np.float64))

        def of_means(times: IntArray) -> Scored:
            sums = np.bincount(place.ravel(), (values * times).ravel(), minlength=trials * parts)
            sizes = np.bincount(part, times, minlength=parts)
            sums = sums.reshape(trials, parts)
            return lambda source: _together(sums, source) / max(1, sizes[: source.shape[1]].sum())

        return of_means

    def of_drawn(times: IntArray) -> Scored:
        def scored(source: IntArray) -> FloatArray:
            rows = np.flatnonzero((times > 0) & (part < source.shape[1]))
            told = times[rows].astype(np.float64)
            found = [predictions[own[part[rows]], rows].astype(np.float64) for own in source]
            return np.array([metric.unchecked(y[rows], values, told) for values in found])

        return scored

    return of_drawn


def _together(sums: NDArray[Any], source: IntArray) -> NDArray[Any]:
    """Return the sums over parts of each trial, (trials, …), each part's by its source."""
    found: NDArray[Any] = sums[source, np.arange(source.shape[1])].sum(axis=1)
    return found
