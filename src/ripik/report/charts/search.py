"""Charts of a search: its trials in their order, and how the score lies over the values of each key."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ripik.report.charts.lines import padded
from ripik.report.charts.panels import SMALL, around, dots, mark, panel, scale, sheet, write
from ripik.report.charts.svg import INK, QUIET, WIDTH, Chart, plain, theme
from ripik.report.charts.words import capital, chart, number, spoken

LEFT, ROOM, HEIGHT = 46.0, 60.0, 120.0
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
    figure = sheet(HEIGHT + 62)
    axes = panel(figure, LEFT, 24, WIDTH - LEFT - ROOM, HEIGHT)
    axes.set(xlim=padded([0, *numbers], 0.02), ylim=around(scores, least=0.004))
    ends = [*best, max(numbers)]
    axes.plot(ends, [*best.values(), list(best.values())[-1]], color=INK, linewidth=1.4, drawstyle="steps-post")
    dots(axes, numbers, scores, mark(0), 5)
    scale(axes, "y", ticks=4)
    scale(axes, "x", lambda at: number(at) if at == int(at) else "", ticks=5)
    axes.grid(visible=False, axis="x")
    write(figure, 0, 13, f"{spoken(metric)} of trials on all folds; line: the best so far", color=QUIET, fontsize=SMALL)
    write(figure, LEFT, HEIGHT + 56, "trial", color=QUIET, fontsize=SMALL)
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
    figure = sheet(HEIGHT + 62)
    axes = panel(figure, LEFT, 24, WIDTH - LEFT - ROOM, HEIGHT)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        places = np.array(values, dtype=np.float64)
        if places.min() > 0 and places.max() > FAR * places.min():
            places = np.log10(places)
            scale(axes, "x", lambda power: number(float(f"{10**power:.1e}")), ticks=4)
        else:
            scale(axes, "x", ticks=4)
        axes.set(xlim=padded(places, 0.04))
    else:
        choices = sorted(set(map(str, values)))
        places = np.array([choices.index(str(value)) for value in values], dtype=np.float64)
        shown = [plain(choice) if len(choices) <= MOST_CHOICES else "" for choice in choices]
        axes.set_xticks(range(len(choices)), labels=shown)
        axes.set(xlim=(-0.5, len(choices) - 0.5))
    axes.set(ylim=around(scores, least=0.004))
    scale(axes, "y", ticks=4)
    axes.grid(visible=False, axis="x")
    dots(axes, places, scores, mark(1), 5)
    write(figure, 0, 13, f"{spoken(metric)} by {plain(key)}", color=QUIET, fontsize=SMALL)
    best = int(np.argmax([score if math.isfinite(score) else -math.inf for score in scores]))
    ends = f"from {number(min(scores), 3)} to {number(max(scores), 3)}"
    text = f"{capital(spoken(metric))} {ends}; the highest at {values[best]}."
    return chart(figure, f"Search over {plain(key)}", text)
