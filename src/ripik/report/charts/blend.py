"""Charts of the blend: weights and how they were found, how alike its members are, what views and offsets add."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba

from ripik.report.charts.parts import around, at_right, bars, intervals, legend, rows, sheet, zero
from ripik.report.charts.svg import COLOURS, INK, PAPER, Chart, plain, shorten, theme
from ripik.report.charts.words import capital, chart, listed, number, signed, spoken, with_interval

MANY_CELLS = 8  # members up to which the cells of their correlations have numbers


@theme()
def weights(members: Mapping[str, float]) -> Chart | None:
    """Draw each member's weight as a bar. None for fewer than two members."""
    if len(members) < 2:
        return None
    values = [float(value) for value in members.values()]
    figure, axes = rows([*members], "weight")
    bars(axes, values, [number(value, 2) for value in values])
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
    figure, (above, below) = sheet(250, 2, sharex=True, height_ratios=[2, 3])
    step: dict[str, Any] = {"drawstyle": "steps-post" if len(records) > 2 else "default", "marker": ""}
    above.plot(steps, score, color=INK, linestyle="-", **step)
    for name, line in zip(members, shares.T, strict=True):
        below.plot(steps, line, label=shorten(f"{number(line[-1], 2)} {name}", 22), **step)
    above.set(title=f"{spoken(metric)}, in-sample", ylim=around(score, least=0.004))
    below.set(title="weight", xlabel="step", ylim=(0, None))
    below.locator_params(axis="x", integer=True, min_n_ticks=1)
    above.locator_params(axis="y", nbins=4)
    legend(figure)
    ends = [f"{plain(name)} {number(value, 2)}" for name, value in zip(members, shares[-1], strict=True)]
    change = f"{capital(spoken(metric))} went from {number(score[0], 3)} to {number(score[-1], 3)}"
    text = f"{change} over {len(records)} steps, in-sample; the weights at the end: {listed(ends)}."
    return chart(figure, "How the weights were found", text)


@theme()
def correlation(frame: pd.DataFrame) -> Chart | None:
    """Draw the members' correlations as a lower triangle with numbers; M x M. None for fewer than two members.

    Of more than eight members the cells have no numbers.
    """
    members, values = [plain(name) for name in frame.columns], frame.to_numpy(dtype=np.float64)
    if len(members) < 2:
        return None
    figure, axes = sheet(min(30.0, 400 / len(members)) * len(members) + 20)
    lower = np.where(np.tri(len(members), k=-1, dtype=bool), values, np.nan)[:, :-1]
    _cells(axes, np.ma.masked_invalid(lower))
    numbered = [f"{shorten(name, 20)}  {index}" for index, name in enumerate(members, 1)]
    axes.set_yticks(np.arange(len(members)) + 0.5, labels=numbered)
    numbers = range(1, len(members), math.ceil(len(members) / 12))
    axes.set_xticks([number - 0.5 for number in numbers], labels=[*map(str, numbers)])
    axes.invert_yaxis()
    axes.grid(visible=False)
    return chart(figure, "Correlation of the members", _told_pairs(members, values))


@theme()
def views(frame: pd.DataFrame, metric: str, name: str = "") -> Chart | None:
    """Draw what each view adds, with its interval; columns view, alone, without, adds, low, high.

    name: of the variant, for the title. None for fewer than two views.
    """
    if len(frame) < 2:
        return None
    alone = [number(each, 3) for each in frame["alone"]]
    figure, axes = rows([*frame["view"]], f"{spoken(metric)} added, 95 % interval", unit=22)
    zero(axes)
    intervals(axes, frame, "adds")
    axes.set_xlim(around(frame[["adds", "low", "high"]], [0.0], least=0.004))
    axes.xaxis.set_major_formatter(lambda value, _: signed(value, None))
    at_right(axes, [signed(each, 3) for each in frame["adds"]])
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
    figure, axes = rows([*by_label], "added to log p")
    zero(axes)
    axes.barh(range(len(values)), values, height=0.55, color=COLOURS[0])
    at_right(axes, [signed(value, 2) for value in values])
    axes.xaxis.set_major_formatter(lambda value, _: signed(value, None))
    ordered = sorted(by_label, key=lambda label: -abs(by_label[label]))
    phrases = [f"{plain(label)} {signed(float(by_label[label]), 2)}" for label in ordered[:10]]
    text = f"Added to the logarithms of the probabilities, the largest first: {listed(phrases)}."
    return chart(figure, "Class offsets", text)


def _cells(axes: Axes, values: np.ma.MaskedArray) -> None:
    """Draw the cells that are known, the darker the more alike the two are."""
    alphas = LinearSegmentedColormap.from_list("alphas", [to_rgba(COLOURS[0], alpha) for alpha in (0.06, 0.5)])
    low = values.min() if values.count() else 0.0
    high = max(low + 0.05, values.max() if values.count() else 0.0)
    edges = [PAPER if known else "none" for known in ~np.ma.getmaskarray(values).ravel()]
    axes.pcolormesh(values, cmap=alphas, vmin=low, vmax=high, edgecolor=edges, linewidth=2, clip_on=False)
    if len(values) <= MANY_CELLS:
        for (row, column), value in np.ndenumerate(values.filled(np.nan)):
            if math.isfinite(value):
                axes.text(column + 0.5, row + 0.5, number(value, 2), ha="center", va="center_baseline")


def _told_pairs(members: Sequence[str], values: Any) -> str:
    pairs = [(values[i, j], f"{members[j]} and {members[i]}") for i in range(len(members)) for j in range(i)]
    known = sorted((pair for pair in pairs if math.isfinite(pair[0])), key=lambda pair: pair[0])
    if not known:
        return f"Correlation of {len(members)} members: undefined for all pairs."
    phrases = [f"{names} {number(value, 2)}" for value, names in known]
    text = f"Correlation of the probability of the true class, of {len(members)} members"
    if len(phrases) <= 10:
        return f"{text}, from the least alike: {'; '.join(phrases)}."
    return f"{text}: least alike are {phrases[0]}, most alike {phrases[-1]}."
