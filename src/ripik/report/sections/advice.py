"""The one sentence on what to try next, drawn from the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ripik import analysis
from ripik.analysis.confusions import per_class_f1
from ripik.analysis.measures import ACCURACY
from ripik.ensemble.expectation import sentence
from ripik.report.charts.words import share, spoken
from ripik.report.evidence import Evidence

MACRO_F1 = "macro_f1"
EQUAL = 1e-12  # apart by rounding alone


@dataclass(frozen=True)
class Mistake:
    """Images of `label` predicted as `predicted`, and by how much the score would rise if they were all right."""

    label: str
    predicted: str
    count: int
    of_label: int
    stake: float


def costliest(counts: np.ndarray, classes: tuple[str, ...], metric: str = MACRO_F1) -> Mistake | None:
    """Return the kind of mistake that costs most, by a confusion matrix (C, C); None where all is right.

    It costs accuracy, where that is the metric, or else macro F1. The first of equals. The stake is the rise of that
    score if the cell were on the diagonal.
    """
    label, predicted = np.nonzero(counts * (1 - np.eye(len(counts), dtype=counts.dtype)))
    moved, of_label = counts[label, predicted], counts.sum(axis=1)
    gain = moved / counts.sum() if metric == ACCURACY else _macro_f1_gains(counts, label, predicted)
    if not len(gain) or gain.max() <= 0:
        return None
    best = int(np.flatnonzero(gain >= gain.max() - EQUAL)[0])
    row, column = int(label[best]), int(predicted[best])
    return Mistake(classes[row], classes[column], int(moved[best]), int(of_label[row]), float(gain[best]))


def _macro_f1_gains(counts: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the rise of macro F1 if each cell (label, predicted), off the diagonal, were on it."""
    moved = counts[label, predicted]
    right, whole, f1 = np.diagonal(counts), counts.sum(axis=1) + counts.sum(axis=0), per_class_f1(counts)
    # only the F1 of these two classes changes: the label's gains hits, the predicted class loses false ones
    gain = 2 * (right[label] + moved) / (whole[label] + moved) - f1[label]
    gain += 2 * right[predicted] / np.maximum(whole[predicted] - moved, 1) - f1[predicted]
    return np.asarray(gain / len(counts))


def score_at_stake(metric: str) -> str:
    """Return the score that `costliest` weighs mistakes by, as a sentence names it; where it is not the metric, why."""
    own = metric in (ACCURACY, MACRO_F1)
    return spoken(metric) if own else f"{spoken(MACRO_F1)}, in which all classes count alike,"


def advice(evidence: Evidence) -> str:
    """Return what to try next: the mistake that costs most, and where to see it; first, if the test set differs."""
    other_kind = sentence(evidence.record["test"], spoken(evidence.focus_metric)) if evidence.record else ""
    return " ".join([*([other_kind] if other_kind else []), _next(evidence)])


def _next(evidence: Evidence) -> str:
    counts, metric = analysis.confusion(evidence.focus).to_numpy(), evidence.focus_metric
    found = costliest(counts, evidence.focus.classes, metric)
    if found is None:
        return "Next: no out-of-fold prediction is wrong; look at the test photos."
    best = evidence.members[evidence.best]
    rows = evidence.focus.frame[
        (evidence.focus.frame["label"] == found.label) & (evidence.focus.frame["predicted"] == found.predicted)
    ]
    lowest = rows.sort_values("margin").head(1)["image_id"].iloc[0]
    other = _other(evidence, best, found)
    return (
        f"Next: look at label {found.label} predicted as {found.predicted} ({found.count} of {found.of_label} images, "
        f"{share(found.count / found.of_label)}), the mistake that costs most: without it "
        f"{score_at_stake(metric)} would be {found.stake:.3f} higher{other}; the most confident is photo {lowest}."
    )


def _other(evidence: Evidence, best: analysis.Predictions, found: Mistake) -> str:
    """Return how the best member does on the same mistake, where the focus is a blend."""
    if best.name == evidence.focus.name:
        return ""
    counts, classes = analysis.confusion(best).to_numpy(), best.classes
    number = int(counts[classes.index(found.label), classes.index(found.predicted)])
    return f" ({best.name} alone makes it {number} times)"
