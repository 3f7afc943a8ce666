"""Charts of how well models predict: scores, folds, classes, learning curves, calibration."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ripik.report.charts.lines import draw
from ripik.report.charts.panels import (
    ROW,
    SMALL,
    Column,
    Mark,
    around,
    dots,
    key,
    key_height,
    mark,
    panel,
    rows,
    scale,
    sheet,
    spans,
    write,
)
from ripik.report.charts.svg import QUIET, Chart, plain, shorten, theme
from ripik.report.charts.words import capital, chart, number, percent, spoken, with_interval

BLEND = Mark(mark(1).colour, "D", "-")


@theme()
def variant_scores(frame: pd.DataFrame, metric: str, *, highlight: str = "ensemble") -> Chart | None:
    """Draw each variant's score with its interval; columns name, value, low, high.

    metric: the competition metric's name. highlight: the name drawn in bold with a mark of its own. None without rows.
    """
    if frame.empty:
        return None
    value, low, high = (frame[name].to_numpy(dtype=np.float64) for name in ("value", "low", "high"))
    blend = [index for index, name in enumerate(frame["name"]) if str(name) == highlight]
    header = f"{spoken(metric)}, 95 % interval"
    numbers = Column("", [number(each, 3) for each in value])
    limits = around(value, low, high)
    figure, axes = rows([*frame["name"]], limits, header=header, columns=[numbers], unit=22, strong=blend)
    for index in range(len(frame)):
        style = BLEND if index in blend else mark(0)
        spans(axes, low[index : index + 1], high[index : index + 1], [index], style.colour)
        dots(axes, value[index : index + 1], [index], style, 7)
    phrases = [with_interval(*row) for row in zip(frame["name"], value, low, high, strict=True)]
    text = f"{capital(spoken(metric))} with its 95 % interval: {'; '.join(phrases)}."
    return chart(figure, f"{capital(spoken(metric))} of the variants", text)


@theme()
def class_f1(
    class_scores: pd.DataFrame,
    other: pd.DataFrame | None = None,
    names: tuple[str, str] = ("ensemble", "other"),
) -> Chart | None:
    """Draw each class's F1 with its interval, in class order; columns label, images, f1, low, high.

    other: the same of another model, drawn below the first; names: of the two. None without classes.
    """
    if class_scores.empty:
        return None
    both = [class_scores] if other is None else [class_scores, other.set_index("label").reindex(class_scores["label"])]
    entries: list[tuple[str, Mark | None]] = [
        (shorten(name, 300), mark(i)) for i, name in enumerate(names[: len(both)])
    ]
    top = key_height(entries) if len(both) > 1 else 0.0
    columns = [
        Column("F1", [number(each, 2) for each in class_scores["f1"]]),
        Column("images", [f"{int(each)}" for each in class_scores["images"]]),
    ]
    limits = around(*(frame[["f1", "low", "high"]] for frame in both), ends=(-0.02, 1.0))
    unit = ROW if len(both) == 1 else 23.0
    figure, axes = rows([*class_scores["label"]], limits, header="95 % interval", columns=columns, top=top, unit=unit)
    for series, frame in enumerate(both):
        y = np.arange(len(frame)) + (0.0 if len(both) == 1 else 0.36 * series - 0.18)
        spans(axes, frame["low"], frame["high"], y, mark(series).colour, 1.6 - 0.4 * series)
        dots(axes, frame["f1"], y, mark(series), 6.0 - series)
    if top:
        key(figure, entries)
    return chart(figure, "F1 of the classes", _told_classes(class_scores, names[0] if top else ""))


@theme()
def reliability(frames: Mapping[str, pd.DataFrame]) -> Chart | None:
    """Draw how often predictions of a confidence are right, and the first model's images a bin below.

    Columns low, high, images, confidence, accuracy, accuracy_low, accuracy_high. The first model has intervals, and so
    has the second where there are two. None without a bin.
    """
    frames = {name: frame for name, frame in frames.items() if len(frame)}
    if not frames:
        return None
    entries: list[tuple[str, Mark | None]] = [(shorten(name, 300), mark(i)) for i, name in enumerate(frames)]
    top = key_height(entries) + 20
    side = 236.0
    figure = sheet(top + side + 100)
    axes = panel(figure, 44, top, side, side)
    start = min(0.1 * math.floor(10 * min(frame["low"].min() for frame in frames.values())), 0.9)
    axes.set(xlim=(start, 1), ylim=(0, 1))
    axes.plot([start, 1], [start, 1], color=QUIET, linewidth=1, linestyle=(0, (2, 2)))
    scale(axes, "x", percent, ticks=5)
    scale(axes, "y", percent, ticks=5)
    axes.tick_params(axis="x", pad=7)
    for index, frame in enumerate(frames.values()):
        _reliability_line(axes, frame, mark(index), index < (2 if len(frames) == 2 else 1))
    key(figure, entries)
    write(figure, 0, top - 9, "right", color=QUIET, fontsize=SMALL)
    write(figure, 44 + side + 8, top + 14, "as sure", color=QUIET, fontsize=SMALL)
    write(figure, 44 + side + 8, top + 27, "as right", color=QUIET, fontsize=SMALL)
    _counts(panel(figure, 44, top + side + 42, side, 34), next(iter(frames.values())), start)
    write(figure, 44, top + side + 37, "confidence, and the images with it:", color=QUIET, fontsize=SMALL)
    return chart(figure, "Calibration", _told_calibration(frames))


def _reliability_line(axes: Axes, frame: pd.DataFrame, style: Mark, intervals: bool) -> None:
    x = frame["confidence"].to_numpy(dtype=np.float64)
    if intervals:
        for at, low, high in zip(x, frame["accuracy_low"], frame["accuracy_high"], strict=True):
            if math.isfinite(low) and math.isfinite(high):
                axes.plot([at, at], [low, high], color=style.colour, linewidth=1.3)
    draw(axes, x, frame["accuracy"].to_numpy(dtype=np.float64), style, 5)


def _counts(axes: Axes, frame: pd.DataFrame, start: float) -> None:
    middle = (frame["low"] + frame["high"]) / 2
    axes.bar(middle, frame["images"], width=(frame["high"] - frame["low"]) * 0.8, color=mark(0).colour, alpha=0.6)
    axes.set(xlim=(start, 1), ylim=(0, frame["images"].max()), xticks=[], yticks=[])
    for at, images in zip(middle, frame["images"], strict=True):
        axes.annotate(
            f"{int(images)}", (at, 0), (0, -12), textcoords="offset pixels", ha="center", color=QUIET, fontsize=9.5
        )


def _told_classes(frame: pd.DataFrame, name: str) -> str:
    known = frame[frame["f1"].notna()].sort_values("f1", kind="stable")
    phrases = [
        with_interval(*row) for row in zip(known["label"], known["f1"], known["low"], known["high"], strict=True)
    ]
    whose = f" of {plain(name)}" if name else ""
    if len(phrases) <= 10:
        return f"F1{whose} with its 95 % interval, from the worst class: {'; '.join(phrases)}."
    ends = f"worst {'; '.join(phrases[:5])}; best {phrases[-1]}"
    return f"F1{whose} of {len(phrases)} classes with its 95 % interval: {ends}."


def _told_calibration(frames: Mapping[str, pd.DataFrame]) -> str:
    phrases = []
    for name, frame in frames.items():
        images = frame["images"].sum()
        sure, right = ((frame[column] * frame["images"]).sum() / images for column in ("confidence", "accuracy"))
        phrases.append(f"{plain(name)} is {percent(sure)} sure and {percent(right)} right")
    return f"How often predictions of a confidence are right, in bins. On average {'; '.join(phrases)}."
