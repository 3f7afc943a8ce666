"""How well it does: the summary, variants against the blend, classes, and the confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ripik import analysis
from ripik.analysis.measures import ACCURACY, LOG_LOSS
from ripik.ensemble.summary import same_in
from ripik.report import charts
from ripik.report.album import Album
from ripik.report.blocks import Beside, Cell, Matrix, Photos, Section, Table, Text, drawn, numbers
from ripik.report.charts.words import capital, change, ends, number, share, signed, spoken
from ripik.report.evidence import Evidence
from ripik.report.sections.advice import advice
from ripik.targets import with_config
from ripik.training.jobs import told_unfinished
from ripik.training.scores import beside

MATRIX_CLASSES, PAIRS = 60, 100  # classes up to which a matrix can be read; pairs shown of more
CELL_SIDE = 96  # of a photo, CSS pixels
CELL_PHOTOS, FEWEST, ALL_CELL_PHOTOS = 12, 3, 420  # of a cell, of a cell where room is scarce, of all cells


def summary(evidence: Evidence) -> Section:
    """The CV and its interval, what is blended, the submission, what is not up to date, and what to try next."""
    metric, score = spoken(evidence.focus_metric), evidence.scores[evidence.focus.name][evidence.focus_metric]
    rows = [
        [f"CV {metric}" if evidence.blend else f"best OOF {metric}", number(score["value"], 4)],
        ["95 % interval", ends(score["low"], score["high"])],
        *([["by corrected labels", number(evidence.corrected[evidence.focus.name], 4)]] if evidence.corrected else []),
        *(_score_row(evidence, name) for name in beside(evidence.focus_metric)),
        ["images, groups of near copies", f"{len(evidence.focus.frame)}, {evidence.focus.frame['group'].nunique()}"],
    ]
    if evidence.record:
        used = [n for n, w in evidence.record["weights"].items() if w > 0]
        rows += [
            ["blend", f"{evidence.record['method']} of {', '.join(used)}"],
            ["in-sample (optimistic)", number(evidence.record["scores"]["in_sample"], 4)],
            *_spread(evidence.record),
            _expected(evidence.record["test"]),
        ]
    else:
        rows.append(["variant", f"{evidence.focus.name}; there is no blend of the current predictions yet"])
    rows += [["submission", evidence.submission]] if evidence.submission else []
    return Section(
        "summary",
        "Summary",
        [
            Table("The run in short", ["", evidence.focus.name], rows, wrapped=True),
            *_unfinished(evidence),
            Text(advice(evidence), notable=True),
        ],
    )


def _unfinished(evidence: Evidence) -> list[Text]:
    """Return what tells of variants whose trainings are missing or of other settings; nothing where all is done."""
    if not evidence.unfinished:
        return []
    return [Text(with_config(f"{capital(told_unfinished(evidence.unfinished))}."), notable=True)]


def _score_row(evidence: Evidence, score: str) -> list[str]:
    return [score, number(evidence.scores[evidence.focus.name][score]["value"], 4)]


def _beside(evidence: Evidence) -> list[str]:
    """Return the scores that stand beside the metric, each once."""
    return [name for name in (ACCURACY, LOG_LOSS) if name != evidence.focus_metric]


def _expected(test: dict[str, Any]) -> list[str]:
    """Return the row on where the test set's score will fall."""
    if test["expected_score"] is not None:
        plain = test["expected_score"]
        return ["expected test score (95 % interval)", ends(plain["low"], plain["high"])]
    if "differs" not in test["shift"]:
        return ["expected test score", str(test["shift"]["left_out"])]
    weighted = test["shift"]["expected_score"]
    if weighted is None:
        return ["expected test score", "unknown: the test set differs from the training set"]
    value, reach = number(weighted["value"], 4), ends(weighted["low"], weighted["high"])
    return ["CV weighted towards the test set; expected test score (95 %)", f"{value}; {reach}"]


def _spread(record: dict[str, Any]) -> list[list[str]]:
    """Return how far the nested score moves by fold and by the partition that recipes are chosen by."""
    scores, parts = record["scores"], record["recipes_without_part"].values()
    same, by_fold = sum(recipe == record["method"] for recipe in parts), np.array(scores["cross_fitted_by_fold"], float)
    by_fold, others = by_fold[np.isfinite(by_fold)], scores["cross_fitted_by_partition"]
    again = [[f"CV by {len(others)} other partitions", _ends(np.array(others))]] if others else []
    return [
        ["CV by fold", _ends(by_fold)],
        *again,
        [
            "blend's options, chosen again without each fold",
            same_in(same, len(parts), len(scores["cross_fitted_by_fold"])),
        ],
    ]


def _ends(scores: np.ndarray) -> str:
    if not len(scores):
        return number(None)
    return f"{number(float(scores.min()), 4)} to {number(float(scores.max()), 4)}"


def variants(evidence: Evidence) -> Section:
    """Every variant's score beside the blend's, and what the blend adds to each."""
    by_fold = {name: analysis.fold_scores(of) for name, of in evidence.everyone.items()}
    rows = [_scores_row(evidence, name, by_fold[name]) for name in evidence.everyone]
    compared = pd.DataFrame(
        [{"name": name, **scores[evidence.focus_metric]} for name, scores in evidence.scores.items()]
    )
    folds = pd.DataFrame({name: frame.set_index("fold")[evidence.focus_metric] for name, frame in by_fold.items()})
    marked = [list(evidence.everyone).index(evidence.focus.name)]
    note = "The blend's row is its nested score: each fold is scored by a blend chosen and fitted without it."
    return Section(
        "variants",
        "Variants",
        [
            *drawn(
                charts.variant_scores(compared, evidence.focus_metric), charts.fold_scores(folds, evidence.focus_metric)
            ),
            Beside(
                [
                    Table(
                        "Out-of-fold scores" + (f". {note}" if evidence.blend else ""),
                        score_columns(evidence),
                        rows,
                        marked,
                    ),
                    *_gains(evidence),
                    numbers(
                        f"{capital(spoken(evidence.focus_metric))} in each fold",
                        folds.T.rename(columns="fold {}".format),
                    ),
                ]
            ),
        ],
    )


def score_columns(evidence: Evidence) -> list[str]:
    """Return the heads of the table of scores."""
    corrected = ["by corrected labels"] if evidence.corrected else []
    return [
        "",
        f"OOF {spoken(evidence.focus_metric)}",
        "95 %",
        *corrected,
        "mean of folds",
        *map(spoken, _beside(evidence)),
    ]


def _scores_row(evidence: Evidence, name: str, by_fold: pd.DataFrame) -> list[str]:
    scores = evidence.scores[name]
    of = scores[evidence.focus_metric]
    return [
        name,
        number(of["value"], 4),
        ends(of["low"], of["high"]),
        *([number(evidence.corrected[name], 4)] if evidence.corrected else []),
        number(float(by_fold[evidence.focus_metric].mean()), 4),
        *(number(scores[each]["value"], 4) for each in _beside(evidence)),
    ]


def _gains(evidence: Evidence) -> list[Table]:
    if not evidence.blend or len(evidence.members) < 2:
        return []
    gains = analysis.gains(evidence.members, evidence.blend).to_dict("records")
    rows = [[row["name"], signed(row["value"]), change(row["low"], row["high"]), row["verdict"]] for row in gains]
    columns = ["over", "gain", "95 %", "the blend is"]
    return [Table(gain_caption(evidence.focus_metric, evidence.record or {}), columns, rows)]


def gain_caption(metric: str, record: dict[str, Any]) -> str:
    """Return the caption of the blend's gains; it says where the blend alone lets near copies vote."""
    voting = record.get("fitted", {}).get("recipe", {}).get("copies_vote", False)
    votes = ". In the blend near copies of one photo vote together; in the models they do not" if voting else ""
    return f"Gain of the blend over each model ({spoken(metric)}){votes}"


def classes(evidence: Evidence) -> Section:
    """The F1 of every class with its interval."""
    found = analysis.class_scores(evidence.focus)
    best = analysis.class_scores(evidence.members[evidence.best]) if evidence.blend else None
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
    names = (evidence.focus.name, evidence.best)
    return Section(
        "classes",
        "Classes",
        [
            Beside(
                [*drawn(charts.class_f1(found, best, names)), Table(f"Classes by {evidence.focus.name}", columns, rows)]
            )
        ],
    )


def confusion(evidence: Evidence, album: Album) -> Section:
    """The confusion matrix, each cell leading to its photos; of many classes a table of the most confused pairs."""
    counts = analysis.confusion(evidence.focus).to_numpy()
    block = _matrix(evidence, album, counts) if len(counts) <= MATRIX_CLASSES else _pairs(evidence, counts)
    return Section("confusion", "Confusion", [block])


def _matrix(evidence: Evidence, album: Album, counts: np.ndarray) -> Matrix:
    photos = _budget(counts)
    rows = [
        [
            _cell(evidence, album, counts, (label, predicted), int(photos[label, predicted]))
            for predicted in range(len(counts))
        ]
        for label in range(len(counts))
    ]
    caption = (
        f"Images by label and by the class that {evidence.focus.name} predicts; {_right(counts)} are correct. Select a "
        "number to see its photos, one of each group of near copies."
    )
    return Matrix(caption, evidence.focus.classes, rows)


def _pairs(evidence: Evidence, counts: np.ndarray) -> Table:
    """Return the pairs of a label and another class predicted with most images, the first of equals by class order."""
    classes, of_label = evidence.focus.classes, counts.sum(axis=1)
    label, predicted = np.nonzero(counts)
    label, predicted = label[label != predicted], predicted[label != predicted]
    most = np.argsort(-counts[label, predicted], kind="stable")[:PAIRS]
    rows = [
        [str(classes[row]), str(classes[column]), str(counts[row, column]), share(counts[row, column] / of_label[row])]
        for row, column in zip(label[most], predicted[most], strict=True)
    ]
    caption = (
        f"The most confused pairs of {len(classes)} classes, by {evidence.focus.name}: {len(rows)} of {len(label)} "
        f"kinds of mistake; {_right(counts)} of all images are correct"
    )
    return Table(caption, ["label", "predicted as", "images", "share of the label"], rows)


def _right(counts: np.ndarray) -> str:
    return share(float(np.trace(counts) / counts.sum()))


def _budget(counts: np.ndarray) -> np.ndarray:
    """Return how many photos each cell may show, (C, C), so that many classes do not make the page large.

    Of more cells than there is room for, those of the most images have photos.
    """
    each = min(max(ALL_CELL_PHOTOS // max(1, int(np.count_nonzero(counts))), FEWEST), CELL_PHOTOS)
    found = np.zeros(counts.size, dtype=np.int64)
    found[np.argsort(-counts.ravel(), kind="stable")[: ALL_CELL_PHOTOS // each]] = each
    return found.reshape(counts.shape)


def _cell(evidence: Evidence, album: Album, counts: np.ndarray, place: tuple[int, int], budget: int) -> Cell:
    (label, predicted), classes, frame = place, evidence.focus.classes, evidence.focus.frame
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
