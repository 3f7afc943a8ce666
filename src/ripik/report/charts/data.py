"""Charts of the data: groups of near copies, class shares, training against test images."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ripik.report.charts.parts import ROW, bars, legend, mark, percents, rows, sheet
from ripik.report.charts.svg import QUIET, Chart, plain, theme
from ripik.report.charts.words import chart, listed, number, percent

SIZES = 12  # of groups that have a row of their own
BINS = 20

_SHARES = {
    "train": ("train, true", {"color": QUIET, "marker": "|", "markersize": 14, "markeredgewidth": 2}),
    "predicted_train": ("train, predicted", mark(0) | {"fillstyle": "none"}),
    "predicted_test": ("test, predicted", mark(1) | {"marker": "D"}),
    "estimated_test": ("test, estimated", mark(2) | {"marker": "^"}),
}

_SPOKEN = {
    "train": "true in train",
    "predicted_train": "predicted in train",
    "predicted_test": "predicted in test",
    "estimated_test": "estimated in test",
}


@theme()
def group_sizes(frame: pd.DataFrame) -> Chart | None:
    """Draw how many groups hold so many images; columns images, train_groups, test_groups. None without a group.

    Beyond twelve sizes the larger ones share a row.
    """
    columns = ["train_groups", "test_groups"]
    frame = frame[frame[columns].sum(axis=1) > 0].sort_values("images")
    if frame.empty:
        return None
    labels = [str(int(size)) for size in frame["images"]]
    counts = frame[columns].to_numpy(dtype=np.int64)
    if len(labels) > SIZES:
        labels = [*labels[: SIZES - 1], f"{labels[SIZES - 1]} or more"]
        counts = np.vstack([counts[: SIZES - 1], counts[SIZES - 1 :].sum(axis=0)])
    names = [f"{label} image{'s' * (label != '1')}" for label in labels]
    figure, axes = rows(names, "groups", unit=34)
    for series, (name, found) in enumerate(zip(("train", "test"), counts.T, strict=True)):
        look = {"y": np.arange(len(labels)) + 0.36 * series - 0.18, "height": 0.3, "color": mark(series)["color"]}
        bars(axes, [*found], [str(each) for each in found], label=name, **look)
    legend(figure)
    phrases = [f"{a} in train and {b} in test of {name}" for name, (a, b) in zip(names, counts, strict=True)]
    return chart(figure, "Sizes of the groups of near copies", f"Groups of near copies: {'; '.join(phrases)}.")


@theme()
def shares(frame: pd.DataFrame) -> Chart | None:
    """Draw each class's share of the images; columns label, train, predicted_train, predicted_test, estimated_test.

    A column without a finite value is left out. None without classes.
    """
    shown = [name for name in _SHARES if name in frame and np.isfinite(frame[name]).any()]
    if frame.empty or not shown:
        return None
    figure, axes = rows([*frame["label"]], "share of the images", ROW + 2)
    rows_of = np.arange(len(frame))
    axes.hlines(rows_of, frame[shown].min(axis=1), frame[shown].max(axis=1), color=QUIET, linewidth=0.7)
    for name in shown:
        label, look = _SHARES[name]
        axes.plot(frame[name], rows_of, label=label, clip_on=False, **look | {"linestyle": "none"})
    axes.set_xlim(0, None)
    axes.xaxis.set_major_formatter(percents)
    legend(figure)
    return chart(figure, "Class shares, train against test", _told_shares(frame))


@theme()
def adversarial(train: ArrayLike, test: ArrayLike, auc: float) -> Chart | None:
    """Draw how sure a classifier is that training and test images are test images, as two outlines.

    train, test: its out-of-fold probabilities of "test" for either. auc: that of `analyse adversarial`. None
    where one side is empty.
    """
    sides = [np.asarray(each, dtype=np.float64) for each in (train, test)]
    sides = [each[np.isfinite(each)] for each in sides]
    if not all(map(len, sides)):
        return None
    figure, axes = sheet(190)
    edges = np.linspace(0, 1, BINS + 1)
    for index, (name, values) in enumerate(zip(("train", "test"), sides, strict=True)):
        heights = np.histogram(values, edges)[0] / len(values)
        style = {key: mark(index)[key] for key in ("color", "linestyle")}
        axes.stairs(heights, edges, linewidth=1.8, baseline=None, label=f"{name}, {len(values)} images", **style)
    axes.set(xlim=(0, 1), ylim=(0, None), title="share of the images", xlabel="out-of-fold probability of test")
    axes.yaxis.set_major_formatter(percents)
    legend(figure)
    named = zip(("train", "test"), sides, strict=True)
    means = listed([f"{name} {number(float(each.mean()), 2)}" for name, each in named])
    text = f"A classifier separates test and training images with an AUC of {number(auc, 3)}; 0.5 is chance level."
    return chart(figure, f"Train against test: AUC {number(auc, 3)}", f"{text} Its mean probability of test: {means}.")


def _told_shares(frame: pd.DataFrame) -> str:
    phrases = []
    for row in frame.to_dict("records"):
        known = {name: row.get(column, np.nan) for column, name in _SPOKEN.items()}
        parts = [f"{name} {percent(share)}" for name, share in known.items() if np.isfinite(share)]
        phrases.append(f"{plain(row['label'])}: {', '.join(parts)}")
    if len(phrases) <= 10:
        return f"Share of each class in the images. {'; '.join(phrases)}."
    change = (frame["predicted_test"] - frame["train"]).abs() if "predicted_test" in frame else frame["train"]
    first = change.sort_values(ascending=False, kind="stable").index[:5]
    positions = [[*frame.index].index(index) for index in first]
    return (
        f"Share of {len(phrases)} classes in the images, the most changed: {'; '.join(phrases[p] for p in positions)}."
    )
