"""What the charts share: a sheet with axes, rows with labels, marks, bars, intervals and a legend."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ripik.report.charts.svg import COLOURS, INK, MARKS, QUIET, WIDTH, shorten
from ripik.report.charts.words import number

ROW = 19.0  # pixels of a row
AXIS = 46.0  # pixels of an axis with its name
MANY = 16  # rows above which the axis also stands below


def sheet(height: float, rows: int = 1, columns: int = 1, **how: Any) -> tuple[Figure, Any]:
    """Return a figure of the charts' width and this height in pixels, and what `Figure.subplots` returns."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
    return figure, figure.subplots(rows, columns, **how)


def mark(index: int) -> dict[str, Any]:
    """Return how the series of this number is drawn; every colour also has its own marker and line."""
    return MARKS[index % len(MARKS)]


def rows(labels: Sequence[object], name: str, unit: float = ROW) -> tuple[Figure, Axes]:
    """Return a figure with a row for each label, of this height in pixels; row i stands at y = i.

    name: of the x axis, which stands above.
    """
    shown, many = [shorten(label) for label in labels], len(labels) > MANY
    figure, axes = sheet(unit * len(labels) + AXIS + (20 if many else 0))
    axes.set_yticks(range(len(labels)), labels=shown)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="x", labeltop=True, labelbottom=many)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(name, loc="right")  # its start may stand over the labels
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=5 if max(map(len, shown)) < 16 else 3)
    return figure, axes


def bars(axes: Axes, values: Sequence[float], texts: Sequence[str], **look: Any) -> None:
    """Draw a horizontal bar for each row, with a text at its end. look: other than usual; y: where not in the rows."""
    usual: dict[str, Any] = {"y": range(len(values)), "height": 0.55, "color": COLOURS[0], "clip_on": False}
    axes.bar_label(axes.barh(width=values, **(usual | look)), texts, padding=4)


def intervals(axes: Axes, found: pd.DataFrame, value: str, series: int = 0, of: int = 1, **look: Any) -> None:
    """Draw a mark at each row's value and a line from its low to its high; what is not finite is left out.

    series: which of `of` series, drawn one below the other.
    """
    style = mark(series) | {"linestyle": "none"} | look
    y = np.arange(len(found[value])) + (0.36 * series - 0.18 if of > 1 else 0.0)
    low, high = (np.asarray(found[end], dtype=np.float64) for end in ("low", "high"))
    kept = np.isfinite(low) & np.isfinite(high)
    axes.hlines(y[kept], low[kept], high[kept], color=style["color"], linewidth=1.6)
    axes.plot(found[value], y, clip_on=False, **style)


def at_right(axes: Axes, texts: Iterable[str]) -> None:
    """Write a text right of each row."""
    for row, text in enumerate(texts):
        axes.text(1.03, row, text, transform=axes.get_yaxis_transform(), va="center_baseline")


def legend(figure: Figure) -> None:
    """Name the series above the axes, in two columns where they fit; the figure becomes higher by that."""
    made = figure.legend(loc="outside upper left", ncols=2)
    if made.get_window_extent().width > WIDTH:
        made.remove()
        made = figure.legend(loc="outside upper left")
    figure.set_figheight(figure.get_figheight() + made.get_window_extent().height / 72)


def zero(axes: Axes) -> None:
    """Draw the line of zero on the x axis."""
    axes.axvline(0, color=QUIET, linewidth=1)


def bold(axes: Axes, row: int) -> None:
    """Make the label of a row bold, and the text right of it."""
    for text in (axes.get_yticklabels()[row], *axes.texts[row : row + 1]):
        text.set(fontweight="bold", color=INK)


def around(*values: Any, least: float = 0.02) -> tuple[float, float]:
    """Return the limits of an axis that shows the finite values with some room, `least` wide or more."""
    known = np.concatenate([np.ravel(np.asarray(each, dtype=np.float64)) for each in values])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    room = max((high - low) * 0.06, (least - (high - low)) / 2)
    return low - room, high + room


def percents(value: float, _: float) -> str:
    """Return what stands at a tick of an axis of shares."""
    return f"{number(100 * value)} %"
