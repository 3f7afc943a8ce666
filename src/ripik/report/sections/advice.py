"""The one sentence on what to try next, drawn from the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ripik import analysis
from ripik.analysis.confusions import per_class_f1
from ripik.ensemble.expectation import sentence
from ripik.report.charts.words import share, spoken
from ripik.report.evidence import Evidence

EQUAL = 1e-12  # apart by rounding alone


@dataclass(frozen=True)
class Mistake:
    """Images of `label` predicted as `predicted`, and by how much macro F1 would rise if they were all right."""

    label: str
    predicted: str
    count: int
    of_label: int
    stake: float


def costliest(counts: np.ndarray, classes: tuple[str, ...]) -> Mistake | None:
    """Return the kind of mistake that costs most macro F1, by a confusion matrix (C, C); None where all is right.

    The first of equals. The stake is the rise of macro F1 if the cell were on the diagonal.
    """
    label, predicted = np.nonzero(counts * (1 - np.eye(len(counts), dtype=counts.dtype)))
    moved = counts[label, predicted]
    right, of_label, taken = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    whole, f1 = of_label + taken, per_class_f1(counts)
    # only the F1 of these two classes changes: the label's gains hits, the predicted class loses false ones
    gain = 2 * (right[label] + moved) / (whole[label] + moved) - f1[label]
    gain += 2 * right[predicted] / np.maximum(whole[predicted] - moved, 1) - f1[predicted]
    if not len(gain) or gain.max() <= 0:
        return None
    best = int(np.flatnonzero(gain >= gain.max() - EQUAL)[0])
    row, column = int(label[best]), int(predicted[best])
    return Mistake(classes[row], classes[column], int(moved[best]), int(of_label[row]), float(gain[best]) / len(counts))


def advice(evidence: Evidence) -> str:
    """Return what to try next: the mistake that costs most, and where to see it; first, if the test set differs."""
    other_kind = sentence(evidence.record["test"], spoken(evidence.focus_metric)) if evidence.record else ""
    return " ".join([*([other_kind] if other_kind else []), _next(evidence)])


def _next(evidence: Evidence) -> str:
    found = costliest(analysis.confusion(evidence.focus).to_numpy(), evidence.focus.classes)
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
        f"{share(found.count / found.of_label)}), the mistake that costs most: without it macro F1 would be "
        f"{found.stake:.3f} higher{other}; the most confident is photo {lowest}."
    )


def _other(evidence: Evidence, best: analysis.Predictions, found: Mistake) -> str:
    """Return how the best member does on the same mistake, where the focus is a blend."""
    if best.name == evidence.focus.name:
        return ""
    counts, classes = analysis.confusion(best).to_numpy(), best.classes
    number = int(counts[classes.index(found.label), classes.index(found.predicted)])
    return f" ({best.name} alone makes it {number} times)"
