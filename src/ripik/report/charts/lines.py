"""Lines over folds, epochs or steps, with their names at their ends."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes

from ripik.report.charts.panels import Mark, dots, mark, spread
from ripik.report.charts.svg import INK, WIDTH, shorten

NAMES = 140.0  # pixels right of a panel for the names of its lines
APART = 14.0  # of two names, at least


def draw(axes: Axes, x: Any, y: Any, style: Mark, size: float = 6.0, **more: Any) -> None:
    """Draw a series as a line with markers."""
    axes.plot(x, y, color=style.colour, linestyle=style.dashes, linewidth=1.3, clip_on=False, **more)
    dots(axes, x, y, style, size)


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """Return the limits of an axis from the first value to the last with a little room."""
    known = [float(value) for value in values if math.isfinite(value)]
    low, high = min(known), max(known)
    room = max(share * (high - low), 0.3 if low == high else 0)
    return low - room, high + room


def names_at_ends(axes: Axes, ends: Mapping[str, float], *, marked: bool = True) -> None:
    """Write names right of their lines' ends, moved apart where they would overlap.

    marked: each name behind the mark of its line, with a thin line to the line's end.
    """
    width, height = (axes.get_position().width * WIDTH, axes.get_window_extent().height)
    low, high = axes.get_ylim()
    pixels = [(value - low) / (high - low) * height for value in ends.values()]
    settings: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for index, (name, y) in enumerate(zip(ends, spread(pixels, 5, height - 5, APART), strict=True)):
        style = mark(index)
        if marked:
            leader = ([1 + 5 / width, 1 + 16 / width], [pixels[index] / height, y / height])
            axes.plot(*leader, color=style.colour, linewidth=0.7, **settings)
            dots(axes, [1 + 20 / width], [y / height], style, transform=axes.transAxes)
        start = 27 if marked else 8
        at = (1 + start / width, y / height)
        axes.text(*at, shorten(name, NAMES - start), va="center_baseline", color=INK, **settings)
