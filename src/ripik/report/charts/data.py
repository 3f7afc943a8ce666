"""Charts of the data: groups of near copies, class shares, training against test images."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

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
    write,
)
from ripik.report.charts.svg import QUIET, WIDTH, Chart, plain, theme
from ripik.report.charts.words import chart, listed, number, percent

SIZES = 12  # of groups that have a row of their own
BINS = 20

_TRAIN_TEST: list[tuple[str, Mark | None]] = [("train", mark(0)), ("test", mark(1))]
_SHARES = {
    "train": ("train, true", Mark(QUIET, "|", "-")),
    "predicted_train": ("train, predicted", Mark(mark(0).colour, "o", "-", filled=False)),
    "predicted_test": ("test, predicted", Mark(mark(1).colour, "D", "-")),
    "estimated_test": ("test, estimated", Mark(mark(2).colour, "^", "-")),
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
    numbers = [Column(name, [f"{n}" for n in counts[:, i]]) for i, name in enumerate(("train", "test"))]
    top = key_height(_TRAIN_TEST)
    limits = (0, float(counts.max()))
    figure, axes = rows([f"{label} image{'s' * (label != '1')}" for label in labels], limits, header="groups", top=top,
                        columns=numbers, unit=23)  # fmt: skip
    for series in range(2):
        y = np.arange(len(labels)) + 0.36 * series - 0.18
        axes.hlines(y, 0, counts[:, series], color=mark(series).colour, linewidth=1.6)
        some = counts[:, series] > 0
        dots(axes, counts[some, series], y[some], mark(series), 5.5)
    key(figure, _TRAIN_TEST)
    phrases = [f"{a} in train and {b} in test of {label} image{'s' * (label != '1')}" for label, (a, b) in
            zip(labels, counts, strict=True)]  # fmt: skip
    return chart(figure, "Sizes of the groups of near copies", f"Groups of near copies: {'; '.join(phrases)}.")


@theme()
def shares(frame: pd.DataFrame) -> Chart | None:
    """Draw each class's share of the images; columns label, train, predicted_train, predicted_test, estimated_test.

    A column without a finite value is left out. None without classes.
    """
    shown = [name for name in _SHARES if name in frame and np.isfinite(frame[name]).any()]
    if frame.empty or not shown:
        return None
    entries: list[tuple[str, Mark | None]] = [_SHARES[name] for name in shown]
    top = key_height(entries)
    columns = [Column(_SHARES[name][0].split(",")[0], [_points(each) for each in frame[name]])
               for name in ("train", "predicted_test") if name in shown]  # fmt: skip
    limits = (0.0, around(frame[shown])[1])
    figure, axes = rows([*frame["label"]], limits, header="% of images", columns=columns, shown=_points, top=top,
                        unit=ROW + 2)  # fmt: skip
    y = np.arange(len(frame))
    known = frame[shown]
    axes.hlines(y, known.min(axis=1), known.max(axis=1), color=QUIET, linewidth=0.7)
    for name in shown:
        size = 14.0 if name == "train" else 6.5
        dots(axes, frame[name], y, _SHARES[name][1] or mark(0), size, markeredgewidth=2 if name == "train" else 1.3)
    key(figure, entries)
    return chart(figure, "Class shares, train against test", _told_shares(frame))


@theme()
def adversarial(train: ArrayLike, test: ArrayLike, auc: float | None = None) -> Chart | None:
    """Draw how sure a classifier is that training and test images are test images, as two outlines.

    train, test: its out-of-fold probabilities of "test" for either. auc: computed from them unless given. None where
    one side is empty.
    """
    sides = [np.asarray(each, dtype=np.float64) for each in (train, test)]
    sides = [each[np.isfinite(each)] for each in sides]
    if not all(map(len, sides)):
        return None
    area = _auc(*sides) if auc is None else auc
    figure = sheet(202)
    axes = panel(figure, 8, 40, WIDTH - 24, 112)
    edges = np.linspace(0, 1, BINS + 1)
    for index, values in enumerate(sides):
        heights = np.histogram(values, edges)[0] / len(values)
        style = mark(index)
        axes.stairs(heights, edges, color=style.colour, linestyle=style.dashes, linewidth=1.8, fill=False, baseline=0)
    axes.set(xlim=(0, 1), yticks=[], ylim=(0, None))
    scale(axes, "x", ticks=5)
    key(figure, [(f"{name}, {len(each)} images", Mark(style.colour, "", style.dashes)) for (name, style), each in
                 zip((("train", mark(0)), ("test", mark(1))), sides, strict=True)], line=True)  # fmt: skip
    write(figure, 8, 34, "share of the images", color=QUIET, fontsize=SMALL)
    write(figure, 8, 184, "out-of-fold probability of being a test image", color=QUIET, fontsize=SMALL)
    named = zip(("train", "test"), sides, strict=True)
    means = listed([f"{name} {number(float(each.mean()), 2)}" for name, each in named])
    text = f"A classifier tells test from training images with an AUC of {number(area, 3)}; 0.5 would be guessing."
    return chart(figure, f"Train against test: AUC {number(area, 3)}", f"{text} Its mean probability of test: {means}.")


def _auc(train: Any, test: Any) -> float:
    """Return how often a test image has the higher probability, ties counted half."""
    ranks = rankdata(np.concatenate([train, test]))
    above = ranks[len(train) :].sum() - len(test) * (len(test) + 1) / 2
    return float(above / (len(train) * len(test)))


def _points(share: float) -> str:
    return percent(share).removesuffix(" %")


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
