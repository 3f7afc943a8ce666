"""The one sentence on what to try next, drawn from the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ripik import analysis
from ripik.analysis.metrics import macro_f1
from ripik.ensemble.expectation import sentence
from ripik.report.charts.words import share, spoken
from ripik.report.evidence import Evidence


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
    found, least = None, 0.0
    now = macro_f1(counts)
    for label, predicted in zip(*np.nonzero(counts), strict=True):
        if label == predicted:
            continue
        mended = counts.copy()
        mended[label, label] += mended[label, predicted]
        mended[label, predicted] = 0
        stake = macro_f1(mended) - now
        if stake > least:
            number = int(counts[label, predicted])
            found = Mistake(classes[label], classes[predicted], number, int(counts[label].sum()), stake)
            least = stake
    return found


def advice(evidence: Evidence) -> str:
    """Return what to try next: the mistake that costs most, and where to see it; first, if the test set differs."""
    other_kind = sentence(evidence.record["test"], spoken(evidence.focus_metric)) if evidence.record else ""
    return " ".join([*([other_kind] if other_kind else []), _next(evidence)])


def _next(evidence: Evidence) -> str:
    found = costliest(analysis.confusion(evidence.focus).to_numpy(), evidence.focus.classes)
    if found is None:
        return "Next: nothing is predicted wrong out of fold; look at the test photos."
    best = evidence.members[evidence.best]
    rows = evidence.focus.frame[
        (evidence.focus.frame["label"] == found.label) & (evidence.focus.frame["predicted"] == found.predicted)
    ]
    lowest = rows.sort_values("margin").head(1)["image_id"].iloc[0]
    other = _other(evidence, best, found)
    return (
        f"Next: look at label {found.label} predicted as {found.predicted} ({found.count} of {found.of_label} images, "
        f"{share(found.count / found.of_label)}), the mistake that costs most: without it macro F1 would be "
        f"{found.stake:.3f} higher{other}; the surest of them is photo {lowest}."
    )


def _other(evidence: Evidence, best: analysis.Predictions, found: Mistake) -> str:
    """Return how the best member does on the same mistake, where the focus is a blend."""
    if best.name == evidence.focus.name:
        return ""
    counts, classes = analysis.confusion(best).to_numpy(), best.classes
    number = int(counts[classes.index(found.label), classes.index(found.predicted)])
    return f" ({best.name} alone makes it {number} times)"
