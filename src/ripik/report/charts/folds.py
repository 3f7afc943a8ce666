"""Charts over folds and time: scores and sizes of the folds, learning curves, what took how long."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ripik.report.charts.parts import ROW, bars, legend, mark, rows, sheet
from ripik.report.charts.svg import INK, Chart, plain, shorten, theme
from ripik.report.charts.words import capital, chart, count, duration, listed, number, spoken

SHOWN_TIMES = 24
NUMBERED = 6  # folds up to which there is room for numbers
_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (0.0, "seconds"))


@theme()
def fold_scores(frame: pd.DataFrame, metric: str) -> Chart | None:
    """Draw each member's score in each fold; index fold, a column a member. None without a finite score."""
    lines = {name: line[np.isfinite(line)] for name, line in frame.astype(np.float64).sort_index().items()}
    known = {str(name): line for name, line in lines.items() if len(line)}
    if not known:
        return None
    figure, axes = sheet(190)
    for name, line in known.items():
        axes.plot(line, label=shorten(name), clip_on=False)
    axes.set(title=spoken(metric), xlabel="fold")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    legend(figure)
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
    figure, axes = sheet(180)
    told: list[str] = []
    for index, each in enumerate(shown):
        told += _curves(axes, history, each, "" if each == column else "inner ", mark(index))
    axes.set(title=spoken(column), xlabel="epoch")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    legend(figure)
    runs = count(len(history[["fold", "seed"]].drop_duplicates()), "training run")
    text = f"{capital(spoken(column))} of {runs} over {count(history['epoch'].nunique(), 'epoch')}; at the end: "
    title = f"{capital(spoken(column))} while training" + (f": {name}" if name else "")
    return chart(figure, title, text + f"{listed(told)}.")


@theme()
def fold_sizes(frame: pd.DataFrame) -> Chart | None:
    """Draw how many images of each class stand in each fold; index fold, columns labels. None without images.

    More than six folds have bars without numbers.
    """
    if frame.empty or not frame.to_numpy().any():
        return None
    numbered = len(frame) <= NUMBERED
    labels = [*frame.columns, "all"] if numbered else [*frame.columns]
    figure, panels = sheet(ROW * len(labels) + 24, 1, len(frame), sharex=True, sharey=True, squeeze=False)
    for axes, (fold, counts) in zip(panels[0], frame.iterrows(), strict=True):
        texts = [f"{int(images)}" if numbered else "" for images in [*counts, counts.sum()]][: len(labels)]
        bars(axes, [*counts, 0][: len(labels)], texts, height=0.7)
        axes.set(title=f"fold {fold}" if numbered else f"{fold}", xticks=[])
        axes.grid(visible=False)
    panels[0, 0].set_yticks(range(len(labels)), labels=[shorten(label, 18) for label in labels])
    panels[0, 0].set_ylim(len(labels) - 0.5, -0.5)
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
    size, unit = next((size or 1.0, unit) for size, unit in _UNITS if max(seconds.values()) >= size)
    figure, axes = rows([*seconds], unit)
    bars(axes, [each / size for each in seconds.values()], [duration(each) for each in seconds.values()])
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


def _curves(axes: Axes, history: pd.DataFrame, column: str, prefix: str, style: dict[str, Any]) -> list[str]:
    """Draw a column's lines; return what the legend says of the mean, and of the training on all folds."""
    table = history.pivot_table(index="epoch", columns=["fold", "seed"], values=column)
    on_folds = table.columns.get_level_values("fold") >= 0
    folds = table.loc[:, on_folds]
    look: dict[str, Any] = {"marker": "o" if len(table) == 1 else ""}
    dashes = look | {"linestyle": style["linestyle"]}
    for _, line in folds.items():
        axes.plot(line.dropna(), color=style["color"], linewidth=0.9, alpha=0.6, **dashes)
    refit = look | {"color": mark(2)["color"], "linestyle": mark(3 if prefix else 2)["linestyle"]}
    bold = {"color": INK, "linewidth": 2, **dashes}
    found = {
        "mean" if folds.shape[1] > 1 else "fold": (folds.dropna().mean(axis=1), bold),
        "refit": (table.loc[:, ~on_folds].mean(axis=1).dropna(), refit),
    }
    told = {f"{prefix}{kind} {number(line.iloc[-1], 3)}": each for kind, each in found.items() if len(line := each[0])}
    for label, (line, look) in told.items():
        axes.plot(line, label=label, **look)
    return [*told]


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
