"""Charts of a search: its trials in their order, and the score over the values of each key."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ripik.analysis.metrics import get_metric
from ripik.report.charts.parts import around, legend, mark, sheet
from ripik.report.charts.svg import INK, Chart, plain, shorten, theme
from ripik.report.charts.words import capital, chart, number, spoken

HEIGHT = 170.0
MOST_CHOICES = 8  # that are named under a slice
FAR = 20.0  # times the smallest value, from which an axis of positive values is logarithmic


@theme()
def trials(numbers: Sequence[int], scores: Sequence[float], best: Mapping[int, float], metric: str) -> Chart | None:
    """Draw the score of each trial that went through all folds, and the best so far as a line.

    numbers, scores: of those trials. best: number and score of each that was better than all before. None for fewer
    than two.
    """
    if len(scores) < 2 or not best:
        return None
    figure, axes = _scores(scores, metric, "trial")
    line = [*best.values(), list(best.values())[-1]]
    axes.plot([*best, max(numbers)], line, color=INK, marker="", drawstyle="steps-post", label="best so far")
    axes.plot(numbers, scores, **mark(0) | {"linestyle": "none"}, clip_on=False, label="trial on all folds")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    legend(figure)
    last, score = list(best.items())[-1]
    text = (
        f"{len(scores)} trials; {spoken(metric)} went from {number(scores[0], 3)} to {number(score, 3)}, trial {last}."
    )
    return chart(figure, "Trials of the search", text)


@theme()
def slice_of(key: str, values: Sequence[Any], scores: Sequence[float], metric: str) -> Chart | None:
    """Draw the scores over the values of one key, numbers or choices. None for fewer than two different values."""
    if len(set(map(str, values))) < 2:
        return None
    figure, axes = _scores(scores, metric, shorten(key))
    axes.plot(_places(axes, values), scores, **mark(1) | {"linestyle": "none"}, clip_on=False)
    utility = [get_metric(metric).utility(score) if math.isfinite(score) else -math.inf for score in scores]
    ends = f"from {number(min(scores), 3)} to {number(max(scores), 3)}"
    text = f"{capital(spoken(metric))} {ends}; the best at {values[int(np.argmax(utility))]}."
    return chart(figure, f"Search over {plain(key)}", text)


def _scores(scores: Sequence[float], metric: str, name: str) -> tuple[Figure, Axes]:
    """Return a figure whose y axis shows the scores; name: of its x axis."""
    figure, axes = sheet(HEIGHT)
    axes.set(title=spoken(metric), xlabel=name, ylim=around(scores, least=0.004))
    axes.grid(visible=False, axis="x")
    return figure, axes


def _places(axes: Axes, values: Sequence[Any]) -> np.ndarray:
    """Return where values stand on the x axis, which becomes one of numbers, logarithmic or not, or of choices."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        if min(values) > 0 and max(values) > FAR * min(values):
            axes.set_xscale("log")
        else:
            axes.locator_params(axis="x", nbins=5)
        return np.array(values, dtype=np.float64)
    choices = sorted(set(map(str, values)))
    shown = [shorten(choice, 12) if len(choices) <= MOST_CHOICES else "" for choice in choices]
    axes.set_xticks(range(len(choices)), labels=shown)
    axes.set_xlim(-0.5, len(choices) - 0.5)
    return np.array([choices.index(str(value)) for value in values], dtype=np.float64)
