"""Charts of how well models predict: scores with their intervals, classes, calibration."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ripik.report.charts.parts import (
    ROW,
    around,
    at_right,
    bold,
    intervals,
    legend,
    mark,
    percents,
    rows,
    sheet,
)
from ripik.report.charts.svg import QUIET, Chart, plain, shorten, theme
from ripik.report.charts.words import capital, chart, number, percent, spoken, with_interval


@theme()
def variant_scores(frame: pd.DataFrame, metric: str, *, highlight: str = "ensemble") -> Chart | None:
    """Draw each variant's score with its interval; columns name, value, low, high.

    metric: the competition metric's name. highlight: the name drawn in bold with a mark of its own. None without rows.
    """
    if frame.empty:
        return None
    blend, numbers = frame["name"].astype(str) == highlight, frame[["value", "low", "high"]]
    figure, axes = rows([*frame["name"]], f"{spoken(metric)}, 95 % interval", unit=22)
    intervals(axes, numbers[~blend].reindex(frame.index), "value")
    intervals(axes, numbers[blend].reindex(frame.index), "value", **mark(1) | {"marker": "D"})
    axes.set_xlim(around(numbers))
    at_right(axes, [number(each, 3) for each in frame["value"]])
    for row in np.flatnonzero(blend):
        bold(axes, int(row))
    columns = (frame[name] for name in ("name", "value", "low", "high"))
    phrases = [with_interval(*row) for row in zip(*columns, strict=True)]
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
    named = len(both) > 1
    figure, axes = rows([*class_scores["label"]], "F1, 95 % interval", 23.0 if named else ROW)
    for series, frame in enumerate(both):
        intervals(axes, frame, "f1", series, len(both), label=shorten(names[series]))
    at_right(axes, [number(each, 2) for each in class_scores["f1"]])
    if named:
        legend(figure)
    return chart(figure, "F1 of the classes", _told_classes(class_scores, names[0] if named else ""))


@theme()
def reliability(frames: Mapping[str, pd.DataFrame]) -> Chart | None:
    """Draw how often predictions of a confidence are right, and the first model's images a bin below.

    Columns low, high, images, confidence, accuracy, accuracy_low, accuracy_high. The first model has intervals, and so
    has the second where there are two. None without a bin.
    """
    frames = {name: frame for name, frame in frames.items() if len(frame)}
    if not frames:
        return None
    figure, (above, below) = sheet(330, 2, sharex=True, height_ratios=[6, 1])
    for index, (name, frame) in enumerate(frames.items()):
        above.plot(frame["confidence"], frame["accuracy"], label=shorten(name), clip_on=False, zorder=3)
        if index < (2 if len(frames) == 2 else 1):
            above.vlines(frame["confidence"], frame["accuracy_low"], frame["accuracy_high"], color=mark(index)["color"])
    start = min(0.1 * math.floor(10 * min(frame["low"].min() for frame in frames.values())), 0.9)
    above.axline((1, 1), slope=1, color=QUIET, linewidth=1, linestyle=(0, (2, 2)), label="perfect calibration")
    above.set(xlim=(start, 1), ylim=(0, 1), title="accuracy, by confidence")
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_formatter(percents)
    _counts(below, next(iter(frames.values())))
    legend(figure)
    return chart(figure, "Calibration", _told_calibration(frames))


def _counts(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw the images a bin, with their numbers."""
    width = frame["high"] - frame["low"]
    drawn = axes.bar(frame["low"] + width / 2, frame["images"], width * 0.8, color=mark(0)["color"], alpha=0.6)
    axes.bar_label(drawn, [f"{int(each)}" for each in frame["images"]], color=QUIET, fontsize=9.5)
    axes.set(title="images, by confidence", yticks=[], ylim=(0, 1.5 * frame["images"].max()))  # with the numbers
    axes.grid(visible=False)


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
        phrases.append(f"{plain(name)} has confidence {percent(sure)} and accuracy {percent(right)}")
    return f"Accuracy of predictions by confidence, in bins. On average {'; '.join(phrases)}."
