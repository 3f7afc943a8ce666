"""How well it does: the summary, variants against the blend, classes, and the confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ripik import analysis
from ripik.report import charts
from ripik.report.album import Album
from ripik.report.blocks import Beside, Cell, Charts, Matrix, Photos, Section, Table, Text
from ripik.report.charts.svg import Chart
from ripik.report.charts.words import change, ends, number, share, signed, spoken
from ripik.report.evidence import Evidence
from ripik.report.sections.advice import advice

CELL_SIDE = 96  # of a photo, CSS pixels
CELL_PHOTOS, FEWEST, ALL_CELL_PHOTOS = 12, 3, 420  # of a cell, of a cell where room is scarce, of all cells


def drawn(*charts: Chart | None) -> list[Charts]:
    """Return the charts that make sense, as a block; nothing where none does."""
    kept = [chart for chart in charts if chart is not None]
    return [Charts(kept)] if kept else []


def summary(e: Evidence) -> Section:
    """The CV and its interval, what is blended, the submission, and what to try next."""
    metric, score = spoken(e.focus_metric), e.scores[e.focus.name][e.focus_metric]
    rows = [
        [f"CV {metric}" if e.blend else f"best OOF {metric}", number(score["value"], 4)],
        ["95 % interval", ends(score["low"], score["high"])],
        *([["by corrected labels", number(e.corrected[e.focus.name], 4)]] if e.corrected else []),
        ["accuracy", number(e.scores[e.focus.name]["accuracy"]["value"], 4)],
        ["images, groups of near copies", f"{len(e.focus.frame)}, {e.focus.frame['group'].nunique()}"],
    ]
    if e.told:
        used = [n for n, w in e.told["weights"].items() if w > 0]
        rows += [
            ["blend", f"{e.told['method']} of {', '.join(used)}"],
            ["in-sample (optimistic)", number(e.told["scores"]["in_sample"], 4)],
            *_spread(e.told),
            _expected(e.told["test"]),
        ]
    else:
        rows.append(["variant", f"{e.focus.name}; there is no blend of the present predictions yet"])
    rows += [["submission", e.submission]] if e.submission else []
    return Section(
        "summary",
        "Summary",
        [Table("The run in short", ["", e.focus.name], rows, wrapped=True), Text(advice(e), notable=True)],
    )


def _expected(test: dict[str, Any]) -> list[str]:
    """Return the row on where the test set's score will fall."""
    if test["expected_score"] is not None:
        plain = test["expected_score"]
        return ["a test set of such photos scores (95 %)", ends(plain["low"], plain["high"])]
    weighted = test["shift"]["expected_score"]
    if weighted is None:
        return ["score on the test set", "cannot be said: it is of another kind"]
    value, reach = number(weighted["value"], 4), ends(weighted["low"], weighted["high"])
    return ["on test-like photos; a test set of them scores (95 %)", f"{value}; {reach}"]


def _spread(told: dict[str, Any]) -> list[list[str]]:
    """Return how far the nested score moves by fold and by the partition that recipes are chosen by."""
    scores, parts = told["scores"], told["recipes_without_part"].values()
    same, by_fold = sum(recipe == told["method"] for recipe in parts), np.array(scores["cross_fitted_by_fold"], float)
    by_fold, others = by_fold[np.isfinite(by_fold)], scores["cross_fitted_by_partition"]
    again = [[f"CV by {len(others)} other partitions", _ends(np.array(others))]] if others else []
    return [["CV by fold", _ends(by_fold)], *again, ["parts that chose as all rows did", f"{same} of {len(parts)}"]]


def _ends(scores: np.ndarray) -> str:
    if not len(scores):
        return number(None)
    return f"{number(float(scores.min()), 4)} to {number(float(scores.max()), 4)}"


def variants(e: Evidence) -> Section:
    """Every variant's score beside the blend's, and what the blend adds to each."""
    metric = spoken(e.focus_metric)
    by_fold = {name: analysis.fold_scores(of) for name, of in e.everyone.items()}
    rows = [_scores_row(e, name, by_fold[name]) for name in e.everyone]
    corrected = ["by corrected labels"] if e.corrected else []
    columns = ["", f"OOF {metric}", "95 %", *corrected, "mean of folds", "accuracy", "log loss"]
    compared = pd.DataFrame([{"name": name, **scores[e.focus_metric]} for name, scores in e.scores.items()])
    shown = {name: frame[["fold", e.focus_metric]] for name, frame in by_fold.items()}
    marked = [list(e.everyone).index(e.focus.name)]
    told = "The blend's row is its nested score: each fold by what was chosen and fitted without it."
    return Section(
        "variants",
        "Variants",
        [
            *drawn(charts.variant_scores(compared, e.focus_metric), charts.fold_scores(shown, e.focus_metric)),
            Beside([Table("Out-of-fold scores" + (f". {told}" if e.blend else ""), columns, rows, marked), *_gains(e)]),
        ],
    )


def _scores_row(e: Evidence, name: str, by_fold: pd.DataFrame) -> list[str]:
    scores = e.scores[name]
    of = scores[e.focus_metric]
    return [
        name,
        number(of["value"], 4),
        ends(of["low"], of["high"]),
        *([number(e.corrected[name], 4)] if e.corrected else []),
        number(float(by_fold[e.focus_metric].mean()), 4),
        number(scores["accuracy"]["value"], 4),
        number(scores["log_loss"]["value"], 4),
    ]


def _gains(e: Evidence) -> list[Table]:
    if not e.blend or len(e.members) < 2:
        return []
    gains = analysis.gains(e.members, e.blend).to_dict("records")
    rows = [[row["name"], signed(row["value"]), change(row["low"], row["high"]), row["verdict"]] for row in gains]
    columns = ["over", "gain", "95 %", "the blend is"]
    return [Table(f"What the blend gains over each ({spoken(e.focus_metric)})", columns, rows)]


def classes(e: Evidence) -> Section:
    """The F1 of every class with its interval."""
    found = analysis.class_scores(e.focus)
    best = analysis.class_scores(e.members[e.best]) if e.blend else None
    rows = [
        [
            row["label"],
            *(str(row[name]) for name in ("images", "groups")),
            *(number(row[name], 3) for name in ("precision", "recall", "f1")),
            ends(row["low"], row["high"]),
        ]
        for row in found.to_dict("records")
    ]
    columns = ["label", "images", "groups", "precision", "recall", "F1", "95 %"]
    names = (e.focus.name, e.best)
    return Section(
        "classes",
        "Classes",
        [Beside([*drawn(charts.class_f1(found, best, names)), Table(f"Classes by {e.focus.name}", columns, rows)])],
    )


def confusion(e: Evidence, album: Album) -> Section:
    """The confusion matrix, each cell leading to its photos."""
    counts = analysis.confusion(e.focus).to_numpy()
    photos = _budget(counts)
    rows = [
        [_cell(e, album, counts, (label, predicted), int(photos[label, predicted])) for predicted in range(len(counts))]
        for label in range(len(counts))
    ]
    right = np.trace(counts) / counts.sum()
    caption = (
        f"Images by label and by the class that {e.focus.name} predicts; {share(right)} are right. Choose a number "
        "to see its photos, one of each group of near copies."
    )
    return Section("confusion", "Confusion", [Matrix(caption, e.focus.classes, rows)])


def _budget(counts: np.ndarray) -> np.ndarray:
    """Return how many photos each cell may show, (C, C), so that many classes do not make the page large.

    Of more cells than there is room for, those of the most images have photos.
    """
    each = min(max(ALL_CELL_PHOTOS // max(1, int(np.count_nonzero(counts))), FEWEST), CELL_PHOTOS)
    found = np.zeros(counts.size, dtype=np.int64)
    found[np.argsort(-counts.ravel(), kind="stable")[: ALL_CELL_PHOTOS // each]] = each
    return found.reshape(counts.shape)


def _cell(e: Evidence, album: Album, counts: np.ndarray, place: tuple[int, int], budget: int) -> Cell:
    (label, predicted), classes, frame = place, e.focus.classes, e.focus.frame
    count, of_label = int(counts[place]), int(counts[label].sum())
    title = f"label {classes[label]} predicted as {classes[predicted]}: {count} of {of_label} images"
    rows = frame[(frame["label"] == classes[label]) & (frame["predicted"] == classes[predicted])]
    one = rows.sort_values("confidence", ascending=label == predicted, kind="stable").drop_duplicates("group")
    tiles = [
        album.tile(row["image_id"], row["image_id"], f"p {number(row['confidence'], 2)}")
        for row in one.head(budget).to_dict("records")
    ]
    which = "the least confident" if label == predicted else "the most confident"
    text = f"{len(tiles)} of {len(one)} groups, {which} first." if count else ""
    anchor = f"cell-{label}-{predicted}"
    photos = Photos(title.capitalize(), text, tiles, CELL_SIDE) if tiles else None
    return Cell(anchor, count, count / of_label if of_label else 0.0, title, photos)
