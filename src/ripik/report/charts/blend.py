"""Charts of the blend: weights and how they were found, how alike its members are, what views and offsets add."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ripik.report.charts.lines import NAMES, names_at_ends, padded
from ripik.report.charts.panels import (
    GAP,
    LABELS,
    SMALL,
    Column,
    around,
    bars,
    dots,
    mark,
    panel,
    rows,
    scale,
    sheet,
    spans,
    write,
)
from ripik.report.charts.svg import COLOURS, INK, QUIET, SIZE, WIDTH, Chart, plain, shorten, text_width, theme
from ripik.report.charts.words import capital, chart, listed, number, spoken, with_interval

LEFT = 46.0


@theme()
def weights(members: Mapping[str, float]) -> Chart | None:
    """Draw each member's weight as a bar. None for fewer than two members."""
    if len(members) < 2:
        return None
    values = [float(value) for value in members.values()]
    columns = [Column("", [number(value, 2) for value in values])]
    figure, axes = rows([*members], (0, max(*values, 0.01)), header="weight", columns=columns)
    bars(axes, values, 0.55)
    phrases = [f"{plain(name)} {number(value, 2)}" for name, value in members.items()]
    return chart(figure, "Weights in the blend", f"Weights of the {len(members)} members: {listed(phrases)}.")


@theme()
def trajectory(records: Sequence[Mapping[str, Any]], metric: str, members: Sequence[str] = ()) -> Chart | None:
    """Draw the score and the members' weights over the steps in which a blend was found.

    records: `weights.json`'s "trajectory", each with step, weights (one a member) and score, in-sample.
    members: their names, in the order of the weights.
    None for fewer than two records (a blend whose weights are not searched) and fewer than two members.
    """
    if len(records) < 2 or len(records[0]["weights"]) < 2:
        return None
    members = members or [f"member {index + 1}" for index in range(len(records[0]["weights"]))]
    steps = [record["step"] for record in records]
    shares = np.array([record["weights"] for record in records], dtype=np.float64)
    score = np.array([record["score"] for record in records], dtype=np.float64)
    height = max(110.0, 15.0 * len(members))
    figure = sheet(height + 168)
    above = panel(figure, LEFT, 24, WIDTH - LEFT - NAMES, 70)
    below = panel(figure, LEFT, 130, WIDTH - LEFT - NAMES, height)
    kind: dict[str, Any] = {"drawstyle": "steps-post" if len(records) > 2 else "default", "clip_on": False}
    above.plot(steps, score, color=INK, linewidth=1.6, **kind)
    above.plot(steps[-1:], score[-1:], "o", color=INK, markersize=4, clip_on=False)
    above.set(ylim=around(score, least=0.004), xlim=padded(steps, 0.02))
    below.set(ylim=(0, max(float(shares.max()) * 1.05, 0.1)), xlim=padded(steps, 0.02))
    for index in range(len(members)):
        style = mark(index)
        below.plot(steps, shares[:, index], color=style.colour, linestyle=style.dashes, linewidth=1.6, **kind)
    _finish_trajectory(above, below, members, shares, score)
    write(figure, 0, 13, f"{spoken(metric)}, in-sample", color=QUIET, fontsize=SMALL)
    write(figure, 0, 119, "weight", color=QUIET, fontsize=SMALL)
    write(figure, LEFT, height + 162, "step", color=QUIET, fontsize=SMALL)
    ends = [f"{plain(name)} {number(value, 2)}" for name, value in zip(members, shares[-1], strict=True)]
    change = f"{capital(spoken(metric))} went from {number(score[0], 3)} to {number(score[-1], 3)}"
    text = f"{change} over {len(records)} steps, in-sample; the weights at the end: {listed(ends)}."
    return chart(figure, "How the weights were found", text)


@theme()
def correlation(frame: pd.DataFrame) -> Chart | None:
    """Draw the members' correlations as a lower triangle with numbers; M x M. None for fewer than two members.

    Of more than fourteen members the cells have no numbers.
    """
    members, values = [plain(name) for name in frame.columns], frame.to_numpy(dtype=np.float64)
    if len(members) < 2:
        return None
    left = min(max(map(text_width, members)), LABELS - 16) + 22 + GAP
    side = min((WIDTH - left) / (len(members) - 1), 44.0)
    height = min(side, 30.0)
    figure = sheet(height * len(members) + 22)
    axes = panel(figure, left, 0, side * (len(members) - 1), height * len(members))
    axes.set(xlim=(-0.5, len(members) - 1.5), ylim=(len(members) - 0.5, -0.5), xticks=[], yticks=[])
    _cells(axes, values, side)
    for index, name in enumerate(members):
        middle = height * (index + 0.5) + 4
        write(figure, left - GAP - 22, middle, shorten(name, LABELS - 16), side="right")
        write(figure, left - GAP, middle, f"{index + 1}", side="right", color=QUIET)
        if index < len(members) - 1:
            at = left + side * (index + 0.5)
            write(figure, at, height * len(members) + 15, f"{index + 1}", side="center", color=QUIET)
    return chart(figure, "Correlation of the members", _told_pairs(members, values))


@theme()
def views(frame: pd.DataFrame, metric: str, name: str = "") -> Chart | None:
    """Draw what each view adds, with its interval; columns view, alone, without, adds, low, high.

    name: of the variant, for the title. None for fewer than two views.
    """
    if len(frame) < 2:
        return None
    adds = frame["adds"].to_numpy(dtype=np.float64)
    alone = [number(each, 3) for each in frame["alone"]]
    columns = [Column("adds", [_signed(each) for each in adds]), Column("alone", alone)]
    limits = around(frame[["adds", "low", "high"]], [0.0], least=0.004)
    header = f"{spoken(metric)} added, 95 % interval"
    figure, axes = rows([*frame["view"]], limits, header=header, columns=columns, shown=_signed_short, unit=22)
    axes.axvline(0, color=QUIET, linewidth=1)
    spans(axes, frame["low"], frame["high"], range(len(frame)), mark(0).colour)
    dots(axes, adds, range(len(frame)), mark(0))
    phrases = [
        with_interval(f"{row['view']} adds", row["adds"], row["low"], row["high"]) + f" and has {alone[index]} alone"
        for index, row in enumerate(frame.to_dict("records"))
    ]
    title = f"What each view adds{': ' if name else ''}{name}"
    return chart(figure, title, f"{capital(spoken(metric))}: {'; '.join(phrases)}.")


@theme()
def offsets(by_label: Mapping[str, float]) -> Chart | None:
    """Draw the offsets added to the logarithms of the classes' probabilities. None where there is none but zero."""
    values = [float(value) for value in by_label.values()]
    if not any(value and math.isfinite(value) for value in values):
        return None
    columns = [Column("", [_signed(value, 2) for value in values])]
    header = "added to log p"
    figure, axes = rows([*by_label], around(values, [0.0]), header=header, columns=columns, shown=_signed_short)
    axes.axvline(0, color=QUIET, linewidth=1)
    bars(axes, values, 0.3)
    dots(axes, values, range(len(values)), mark(0), 5)
    ordered = sorted(by_label, key=lambda label: -abs(by_label[label]))
    phrases = [f"{plain(label)} {_signed(float(by_label[label]), 2)}" for label in ordered[:10]]
    text = f"Added to the logarithms of the probabilities, the largest first: {listed(phrases)}."
    return chart(figure, "Class offsets", text)


def _finish_trajectory(above: Axes, below: Axes, members: Sequence[str], shares: Any, score: Any) -> None:
    for axes in (above, below):
        scale(axes, "y", ticks=3)
        scale(axes, "x", lambda step: number(step) if step == int(step) else "", ticks=5)
        axes.grid(visible=False, axis="x")
    above.tick_params(axis="x", labelbottom=False)
    names_at_ends(above, {number(score[-1], 4): float(score[-1])}, marked=False)
    ends = zip(members, shares[-1], strict=True)
    names_at_ends(below, {f"{number(share, 2)} {plain(name)}": float(share) for name, share in ends})


def _cells(axes: Axes, values: Any, side: float) -> None:
    """Draw the cells below the diagonal, the darker the more alike the two are."""
    pairs = [(row, column) for row in range(len(values)) for column in range(row)]
    known = [values[pair] for pair in pairs if math.isfinite(values[pair])] or [0.0]
    low, span = min(known), max(max(known) - min(known), 0.05)
    for row, column in pairs:
        value = values[row, column]
        alpha = 0.06 + 0.44 * (value - low) / span if math.isfinite(value) else 0.0
        axes.fill_between([column - 0.48, column + 0.48], row - 0.47, row + 0.47, color=COLOURS[0], alpha=alpha, lw=0)
        if side >= 15:
            text = number(value, 2) if side >= 27 else number(value, 2).replace("0.", "").replace("1.00", "1")
            axes.text(column, row, text, ha="center", va="center_baseline", fontsize=SIZE if side >= 27 else 9.5)


def _told_pairs(members: Sequence[str], values: Any) -> str:
    pairs = [(values[i, j], f"{members[j]} and {members[i]}") for i in range(len(members)) for j in range(i)]
    known = sorted((pair for pair in pairs if math.isfinite(pair[0])), key=lambda pair: pair[0])
    if not known:
        return f"Correlation of {len(members)} members: none can be told."
    phrases = [f"{names} {number(value, 2)}" for value, names in known]
    text = f"Correlation of the probability of the true class, of {len(members)} members"
    if len(phrases) <= 10:
        return f"{text}, from the least alike: {'; '.join(phrases)}."
    return f"{text}: least alike are {phrases[0]}, most alike {phrases[-1]}."


def _signed(value: float, digits: int = 3) -> str:
    return f"{'+' if value > 0 else ''}{number(value, digits)}"


def _signed_short(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"
