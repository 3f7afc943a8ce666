"""Scores of out-of-fold predictions: pooled with their intervals, fold by fold, and class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ripik.analysis.intervals import Interval, interval, per_class_f1
from ripik.analysis.measures import ACCURACY
from ripik.analysis.metrics import FloatArray, get_metric, score_part
from ripik.splits import witnesses
from ripik.splits.run import Run

LEVEL = "95 %"
CORRECTED = "by corrected labels"


@dataclass(frozen=True)
class Scores:
    """The metric and accuracy over all pooled OOF rows, the metric of each fold, and the F1 of each class.

    All by the organiser's labels; `corrected` is the metric by the corrected ones, None where nothing is corrected.
    """

    pooled: Interval
    by_fold: list[float]
    accuracy: Interval
    class_f1: dict[str, Interval]
    corrected: Interval | None = None

    @property
    def mean_of_folds(self) -> float:
        """The mean of the folds' metrics, over those where it exists; NaN where it exists in none."""
        known = [score for score in self.by_fold if np.isfinite(score)]
        return float(np.mean(known)) if known else float("nan")

    def cells(self, *, accuracy: bool = True) -> list[str]:
        """Return the scores as a table shows them: pooled, interval, by corrected labels, mean of folds, accuracy."""
        corrected = [f"{self.corrected.value:.4f}"] if self.corrected else []
        beside = [f"{self.accuracy.value:.4f}"] if accuracy else []
        return [f"{self.pooled.value:.4f}", ends(self.pooled), *corrected, f"{self.mean_of_folds:.4f}", *beside]

    def as_json(self) -> dict[str, Any]:
        """Return everything, the mean of folds too; `corrected` only where there is one."""
        record = {name: value for name, value in asdict(self).items() if value is not None}
        return {**record, "mean_of_folds": self.mean_of_folds}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Scores:
        """Return what `as_json` wrote to a file."""
        return cls(
            Interval.from_json(record["pooled"]),
            [float("nan") if score is None else score for score in record["by_fold"]],
            Interval.from_json(record["accuracy"]),
            {label: Interval.from_json(of) for label, of in record["class_f1"].items()},
            Interval.from_json(record["corrected"]) if "corrected" in record else None,
        )


def beside(metric: str) -> list[str]:
    """Return what a table shows beside the metric: accuracy, unless it is the metric."""
    return [] if metric == ACCURACY else [ACCURACY]


def ends(of: Interval) -> str:
    """Return the ends of an interval as a table shows them."""
    return f"{of.low:.3f}–{of.high:.3f}"


def score_rows(run: Run, values: FloatArray) -> Scores:
    """Score out-of-fold probabilities, (n, C), rows in the order of train.csv, by the organiser's labels.

    Intervals are drawn over witnesses (`intervals`). What the corrected labels would say stands beside it.
    """
    metric, truth, labels = get_metric(run.settings.competition.metric), run.truth(), run.targets()
    fold, groups = run.folds["fold"].to_numpy(), witnesses.train(run)
    classes = [str(label) for label in run.competition.classes]
    return Scores(
        interval(truth, values, groups, metric),
        [score_part(metric, truth[held], values[held]) for held in (fold == number for number in np.unique(fold))],
        interval(labels, values, groups, get_metric("accuracy")),
        dict(zip(classes, per_class_f1(labels, values, groups), strict=True)),
        interval(run.corrected_truth(), values, groups, metric) if run.competition.is_corrected.any() else None,
    )
