"""Charts over folds and time: scores and sizes of the folds, learning curves, what took how long."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ripik.report.charts.lines import NAMES, draw, names_at_ends, padded
from ripik.report.charts.panels import (
    GAP,
    LABELS,
    ROW,
    SMALL,
    Column,
    around,
    bars,
    mark,
    panel,
    rows,
    scale,
    sheet,
    write,
)
from ripik.report.charts.svg import INK, QUIET, WIDTH, Chart, plain, shorten, text_width, theme
from ripik.report.charts.words import capital, chart, count, duration, listed, number, spoken

LEFT = 42.0  # pixels left of a panel for the numbers of its y axis
SHOWN_TIMES = 24
_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (0.0, "seconds"))


@theme()
def fold_scores(frames: Mapping[str, pd.DataFrame], metric: str) -> Chart | None:
    """Draw each member's score in each fold; columns fold and the metric's name. None without a finite score."""
    every = {name: frame.set_index("fold")[metric].astype(np.float64).sort_index() for name, frame in frames.items()}
    known = {name: line[np.isfinite(line)] for name, line in every.items()}
    known = {name: line for name, line in known.items() if len(line)}
    if not known:
        return None
    folds = sorted({int(fold) for line in known.values() for fold in line.index})
    height = max(150.0, 16.0 * len(known))
    figure = sheet(height + 60)
    axes = panel(figure, LEFT, 24, WIDTH - LEFT - NAMES, height)
    axes.set(xlim=padded(folds), ylim=around(*known.values()))
    scale(axes, "y")
    axes.set_xticks(folds[:: math.ceil(len(folds) / 8)])
    axes.tick_params(axis="x", labelcolor=QUIET)
    for index, line in enumerate(known.values()):
        draw(axes, line.index, line.to_numpy(), mark(index))
    names_at_ends(axes, {name: float(line.iloc[-1]) for name, line in known.items()})
    write(figure, 0, 13, spoken(metric), color=QUIET, fontsize=SMALL)
    write(figure, LEFT, height + 54, "fold", color=QUIET, fontsize=SMALL)
    return chart(figure, f"{capital(spoken(metric))} in each fold", _told_scores(known, metric))


@theme()
def learning_curves(history: pd.DataFrame, column: str, name: str = "") -> Chart | None:
    """Draw a column over the epochs: a thin line a fold and seed, their mean over the epochs that all have.

    Columns fold (-1: trained on all folds), seed, epoch, the column and, where there is one, `inner_<column>`, which
    is drawn dashed. name: of the variant, for the title. None without a finite value.
    """
    shown = [each for each in (column, f"inner_{column}") if each in history and np.isfinite(history[each]).any()]
    if not shown:
        return None
    figure = sheet(204)
    axes = panel(figure, LEFT, 24, WIDTH - LEFT - NAMES + 8, 140)
    axes.set(xlim=padded(history["epoch"], 0.02), ylim=around(history[shown]))
    scale(axes, "x", lambda epoch: number(epoch) if epoch == int(epoch) else "", ticks=6)
    scale(axes, "y")
    ends = {}
    for index, each in enumerate(shown):
        for kind, line in _curves(axes, history, each, index).items():
            ends[f"{'' if each == column else 'inner '}{kind} {number(float(line.iloc[-1]), 3)}"] = float(line.iloc[-1])
    names_at_ends(axes, ends, marked=False)
    write(figure, 0, 13, spoken(column), color=QUIET, fontsize=SMALL)
    write(figure, LEFT, 198, "epoch", color=QUIET, fontsize=SMALL)
    runs = count(len(history[["fold", "seed"]].drop_duplicates()), "training run")
    text = f"{capital(spoken(column))} of {runs} over {count(history['epoch'].nunique(), 'epoch')}; at the end: "
    title = f"{capital(spoken(column))} while training" + (f": {name}" if name else "")
    return chart(figure, title, text + f"{listed(ends)}.")


@theme()
def fold_sizes(frame: pd.DataFrame) -> Chart | None:
    """Draw how many images of each class stand in each fold; index fold, columns labels. None without images.

    More than eight folds have bars without numbers.
    """
    if frame.empty or not frame.to_numpy().any():
        return None
    numbered = len(frame) <= 8
    labels = [*frame.columns, "all"] if numbered else [*frame.columns]
    left = min(max(text_width(plain(label)) for label in ["fold", *labels]), LABELS) + GAP
    figure = sheet(22 + ROW * len(labels) + 4)
    width = (WIDTH - left) / len(frame)
    write(figure, left - GAP, 13, "fold", side="right", color=QUIET, fontsize=SMALL)
    for row, label in enumerate(labels):
        weight = "bold" if row == len(frame.columns) else "normal"
        write(figure, left - GAP, 36 + ROW * row, shorten(label, LABELS), side="right", fontweight=weight)
    most = float(frame.to_numpy().max())
    for index, (fold, counts) in enumerate(frame.iterrows()):
        axes = panel(figure, left + width * index, 22, width - 4, ROW * len(labels))
        axes.set(xlim=(0, most), ylim=(len(labels) - 0.5, -0.5), xticks=[], yticks=[])
        bars(axes, counts, 0.78, alpha=0.25)
        write(figure, left + width * index, 13, str(fold), color=QUIET, fontsize=SMALL)
        if numbered:
            _write_counts(axes, [*counts, counts.sum()])
    return chart(figure, "Images of each class in the folds", _told_sizes(frame))


@theme()
def times(frame: pd.DataFrame) -> Chart | None:
    """Draw the seconds of each step as bars; columns step, what, seconds. None without a time above zero.

    Of more than 24 rows the longest are shown, and the sum of the others.
    """
    frame = frame[np.isfinite(frame["seconds"])]
    if frame.empty or frame["seconds"].max() <= 0:
        return None
    seconds = dict(zip(_steps(frame), frame["seconds"].astype(float), strict=True))
    if len(seconds) > SHOWN_TIMES:
        longest = set(sorted(seconds, key=lambda each: -seconds[each])[: SHOWN_TIMES - 1])
        rest = [seconds[each] for each in seconds if each not in longest]
        seconds = {each: seconds[each] for each in seconds if each in longest}
        seconds[f"{len(rest)} shorter ones"] = sum(rest)
    total = float(frame["seconds"].sum())
    columns = [Column("", [duration(each) for each in seconds.values()])]
    size, unit = next((size or 1.0, unit) for size, unit in _UNITS if max(seconds.values()) >= size)
    lengths = [each / size for each in seconds.values()]
    figure, axes = rows([*seconds], (0, max(lengths)), header=unit, columns=columns)
    bars(axes, lengths, 0.55)
    longest_first = sorted(seconds, key=lambda each: -seconds[each])[:3]
    phrases = listed(f"{each} {duration(seconds[each])}" for each in longest_first)
    return chart(
        figure, f"Time: {duration(total)}", f"The steps took {duration(total)} in all; the longest: {phrases}."
    )


def _steps(frame: pd.DataFrame) -> list[str]:
    """Return a text for each row, without two alike."""
    names: list[str] = []
    for step, what in zip(frame["step"], frame["what"], strict=True):
        name = plain(f"{step} {'' if pd.isna(what) else what}")
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names


def _curves(axes: Axes, history: pd.DataFrame, column: str, index: int) -> dict[str, "pd.Series[float]"]:
    """Draw the column's lines and return those to be named: the mean, and the training on all folds."""
    style, named = mark(index), {}
    table = history.pivot_table(index="epoch", columns=["fold", "seed"], values=column)
    on_folds = table.columns.get_level_values("fold") >= 0
    folds = table.loc[:, on_folds]
    for _, line in folds.items():
        axes.plot(line.dropna(), color=style.colour, linestyle=style.dashes, linewidth=0.9, alpha=0.6, clip_on=False)
    if len(mean := folds.dropna().mean(axis=1)):
        named["mean" if folds.shape[1] > 1 else "fold"] = mean
        axes.plot(mean, color=INK, linestyle=style.dashes, linewidth=2, clip_on=False)
    if len(refit := table.loc[:, ~on_folds].mean(axis=1).dropna()):
        named["refit"] = refit
        axes.plot(refit, color=mark(2).colour, linestyle=(0, (1.5, 1.5)), linewidth=1.6, clip_on=False)
    for line in named.values():
        axes.plot(line.index[-1:], line.iloc[-1:], "o", color=INK, markersize=4, clip_on=False)
    return named


def _write_counts(axes: Axes, counts: list[float]) -> None:
    for row, images in enumerate(counts):
        weight = "bold" if row == len(counts) - 1 else "normal"
        place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center_baseline", "fontweight": weight}
        axes.text(0.02, row, f"{int(images)}", color=INK, **place)


def _told_scores(lines: Mapping[str, "pd.Series[float]"], metric: str) -> str:
    ranges = [f"{plain(name)} {number(line.min(), 3)} to {number(line.max(), 3)}" for name, line in lines.items()]
    mean = pd.DataFrame(lines).mean(axis=1)
    folds = f" On average fold {mean.idxmin()} scores lowest and fold {mean.idxmax()} highest." if len(mean) > 1 else ""
    return f"{capital(spoken(metric))} over {count(len(mean), 'fold')}: {'; '.join(ranges)}.{folds}"


def _told_sizes(frame: pd.DataFrame) -> str:
    folds = listed(f"fold {fold} {int(images)}" for fold, images in frame.sum(axis=1).items())
    share = frame.div(frame.sum(axis=1), axis=0)
    uneven = (share.max() - share.min()).idxmax()
    least, most = int(frame[uneven].min()), int(frame[uneven].max())
    return f"Images in the folds: {folds}. Least even is {plain(uneven)}, with {least} to {most} images a fold."
