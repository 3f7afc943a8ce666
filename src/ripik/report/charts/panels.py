"""What the charts are put together from: panels placed in pixels, rows with a label and numbers, marks, keys."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ripik.report.charts.svg import COLOURS, INK, LINE, PAPER, QUIET, SIZE, WIDTH, plain, shorten, text_width
from ripik.report.charts.words import number

SMALL = 10.5  # of numbers on axes, in CSS pixels
ROW = 19.0  # height of a row
LABELS = 138.0  # the most a row's label may take
GAP = 9.0
MANY = 16  # rows above which the axis also stands below

Side = Literal["left", "center", "right"]
Format = Callable[[float], str]


@dataclass(frozen=True)
class Mark:
    """How a series is drawn, so that no two are told apart by colour alone."""

    colour: str
    marker: str
    dashes: Any
    filled: bool = True

    @property
    def face(self) -> str:
        """The colour inside of its marker."""
        return self.colour if self.filled else PAPER


@dataclass(frozen=True)
class Column:
    """Numbers right of the rows."""

    title: str
    cells: Sequence[str]

    @property
    def width(self) -> float:
        """In pixels, with the gap left of it."""
        return GAP + max(text_width(text, SIZE) for text in (self.title, *self.cells))


def mark(index: int) -> Mark:
    """Return the mark of the series of this number; every colour also has its own marker and line."""
    dashes = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 1)), (0, (7, 1.5)), (0, (1, 3)), "-")
    kind = index % len(COLOURS)
    return Mark(COLOURS[kind], "osD^vPX*"[kind], dashes[kind], index // len(COLOURS) % 2 == 0)


def sheet(height: float) -> Figure:
    """Return an empty figure of the charts' width and this height in pixels."""
    return Figure(figsize=(WIDTH / 72, height / 72), facecolor="none")


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes without frame or ticks, placed in pixels from the figure's left upper corner."""
    whole = figure.get_figheight() * 72
    axes = figure.add_axes((left / WIDTH, 1 - (top + height) / whole, width / WIDTH, height / whole))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL, pad=4)
    axes.set_axisbelow(True)
    return axes


def write(figure: Figure, x: float, y: float, text: str, *, side: Side = "left", **style: Any) -> None:
    """Write a line whose baseline stands y pixels below the figure's top."""
    whole = figure.get_figheight() * 72
    look: dict[str, Any] = {"fontsize": SIZE, "color": INK, "va": "baseline"} | style
    figure.text(x / WIDTH, 1 - y / whole, text, ha=side, **look)


def scale(axes: Axes, which: Literal["x", "y"], shown: Format | None = None, ticks: int = 4) -> None:
    """Give an axis few round numbers and thin lines across the panel."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: (shown or number)(value)))
    axes.tick_params(axis=which, labelcolor=QUIET)
    axes.grid(axis=which, color=LINE, linewidth=0.8)


def rows(
    labels: Sequence[object],
    limits: tuple[float, float],
    *,
    header: str,
    columns: Sequence[Column] = (),
    shown: Format | None = None,
    top: float = 0.0,
    unit: float = ROW,
    strong: Iterable[int] = (),
) -> tuple[Figure, Axes]:
    """Return a figure with a row for each label, its panel between labels and columns; row i stands at y = i.

    header: what the x axis means, written over it. top: pixels to be left free above. strong: rows in bold.
    """
    below = 20.0 if len(labels) > MANY else 4.0
    figure = sheet(top + 36 + unit * len(labels) + below)
    widest = max(text_width(plain(label)) for label in labels)
    left, right = min(widest, LABELS) + GAP, WIDTH - max(sum(column.width for column in columns), 10.0)
    axes = panel(figure, left, top + 36, right - left, unit * len(labels))
    axes.set(xlim=limits, ylim=(len(labels) - 0.5, -0.5))
    scale(axes, "x", shown, ticks=4 if right - left > 150 else 3)
    axes.tick_params(axis="x", labeltop=True, labelbottom=len(labels) > MANY)
    axes.set_yticks(range(len(labels)), labels=[shorten(label, LABELS) for label in labels], fontsize=SIZE)
    for index in strong:
        axes.get_yticklabels()[index].set_fontweight("bold")
    write(figure, left, top + 13, shorten(header, WIDTH - left - _heads(columns)), color=QUIET, fontsize=SMALL)
    _write_columns(figure, columns, right, top, unit, frozenset(strong))
    return figure, axes


def _heads(columns: Sequence[Column]) -> float:
    return sum(column.width for column in columns if column.title)


def _write_columns(
    figure: Figure, columns: Sequence[Column], right: float, top: float, unit: float, strong: frozenset[int]
) -> None:
    for column in columns:
        right += column.width
        write(figure, right, top + 13, column.title, side="right", color=QUIET, fontsize=SMALL)
        for index, cell in enumerate(column.cells):
            weight = "bold" if index in strong else "normal"
            write(figure, right, top + 40 + unit * (index + 0.5), cell, side="right", fontweight=weight)


def dots(axes: Axes, x: Any, y: Any, style: Mark, size: float = 6.0, **more: Any) -> None:
    """Draw the markers of a series; NaN values are left out."""
    settings: dict[str, Any] = {
        "markeredgecolor": style.colour,
        "markerfacecolor": style.face,
        "clip_on": False,
        "markeredgewidth": 1.3,
    } | more
    axes.plot(x, y, linestyle="none", marker=style.marker, markersize=size, **({"clip_on": False} | settings | more))


def bars(axes: Axes, lengths: Iterable[float], thickness: float, alpha: float = 1.0) -> None:
    """Draw a bar from zero for each row, all as one shape."""
    half = thickness / 2
    corners = [
        [(0, row - half), (length, row - half), (length, row + half), (0, row + half), (0, row - half)]
        for row, length in enumerate(lengths)
        if length
    ]
    if corners:
        shape = Path.make_compound_path(*(Path(each, closed=True) for each in corners))
        axes.add_patch(PathPatch(shape, facecolor=COLOURS[0], alpha=alpha, linewidth=0, clip_on=False))


def spans(axes: Axes, low: Any, high: Any, y: Any, colour: str, width: float = 1.6) -> None:
    """Draw horizontal intervals; those without two finite ends are left out."""
    for start, end, height in zip(low, high, y, strict=True):
        if math.isfinite(start) and math.isfinite(end) and start < end:
            axes.plot([start, end], [height, height], color=colour, linewidth=width, clip_on=False)


def key(figure: Figure, entries: Sequence[tuple[str, Mark | None]], top: float = 0.0, *, line: bool = False) -> None:
    """Write the series' names behind their marks, in lines of the figure's width."""
    for (x, y), (name, style) in zip(_places(entries), entries, strict=True):
        axes = panel(figure, x, top + y, 20 if line else 12, 12)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        if style and line:
            axes.plot([0, 1], [0.5, 0.5], color=style.colour, linestyle=style.dashes, linewidth=1.6)
        if style and style.marker:
            dots(axes, [0.5], [0.5], style, 6)
        write(figure, x + (25 if line else 15), top + y + 10, name, color=INK)


def key_height(entries: Sequence[tuple[str, Mark | None]]) -> float:
    """Return how many pixels `key` takes."""
    return _places(entries)[-1][1] + 20


def _places(entries: Sequence[tuple[str, Mark | None]]) -> list[tuple[float, float]]:
    places, x, y = [], 0.0, 0.0
    for name, _ in entries:
        width = 25 + text_width(name)
        if x and x + width > WIDTH:
            x, y = 0.0, y + 17
        places.append((x, y))
        x += width + 14
    return places


def spread(heights: Sequence[float], low: float, high: float, apart: float) -> list[float]:
    """Return the heights moved as little as makes them stand apart, within low and high where they fit."""
    order = np.argsort(heights, kind="stable")
    placed = np.array([heights[index] for index in order], dtype=np.float64)
    for _ in range(200):
        overlap = apart - np.diff(placed)
        if not (overlap > 0.01).any():
            break
        push = np.where(overlap > 0, overlap / 2, 0)
        placed[:-1] -= push
        placed[1:] += push
        placed = np.clip(placed, low, high) if apart * (len(placed) - 1) <= high - low else placed
    moved = np.empty(len(placed))
    moved[order] = placed
    return [float(value) for value in moved]


def around(*values: Any, least: float = 0.02, ends: tuple[float, float] = (-math.inf, math.inf)) -> tuple[float, float]:
    """Return the limits of an axis that shows the finite values with some room, within the possible ends."""
    known = np.concatenate([np.ravel(np.asarray(each, dtype=np.float64)) for each in values])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    room = max((high - low) * 0.06, least - (high - low) / 2)
    return max(low - room, ends[0]), min(high + room, ends[1])
