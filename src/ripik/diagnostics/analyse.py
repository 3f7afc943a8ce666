"""The step `analyse`: one topic of a run, in the terminal and as a CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik import analysis
from ripik.analysis import Predictions
from ripik.analysis.best_submission import best_submissions
from ripik.analysis.outdated import told_outdated
from ripik.console import say, table, warn
from ripik.diagnostics.adversarial import adversarial
from ripik.diagnostics.label_issues import label_issues
from ripik.errors import InputError, nearest
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import Layout, layout_of

LISTED = 20  # rows in the terminal
Answer = tuple[pd.DataFrame, str]  # what goes to the CSV, and a sentence


def answer(settings: Settings, topic: str, of: str = "") -> None:
    """Answer one question of `steps.TOPICS` about a run: the step `analyse`.

    Raises InputError where `of` does not go with the topic, and as the topic's own function does.
    """
    if of and topic in ("labels", "adversarial", "members", "runs"):
        raise InputError(f"--of does not apply here: the topic {topic} is about the whole run.")
    if topic == "labels":
        label_issues(settings)
    elif topic == "adversarial":
        adversarial(settings)
    else:
        analyse(settings, topic, of)


def analyse(settings: Settings, topic: str, of: str = "") -> Path:
    """Print what `ripik.analysis` finds for a topic of `ANSWERS`, write `analysis/<topic>.csv`, and return its path.

    of: the variant or `ensemble` that confusion, errors and calibration are about; empty: the blend, or else the
    variant that comes last. Works on the run's files alone.
    Raises InputError when the run has no predictions, or none of that name.
    """
    layout = layout_of(settings)
    answer, sentence = ANSWERS[topic](layout, of)
    path = layout.analysis / f"{topic}.csv"
    artifacts.check_writable(path.parent)
    artifacts.write_csv(path, answer)
    if sentence:
        say(sentence)
    say(f"{topic}: wrote {path}")
    return path


def _scores(layout: Layout, of: str) -> Answer:
    found = []
    for name, predictions in _members(layout, of).items():
        of_classes = analysis.class_scores(predictions).assign(score=lambda frame: "F1 of " + frame["label"])
        rows = [analysis.scores(predictions), of_classes.rename(columns={"f1": "value"})]
        columns = ["score", "value", "low", "high", "error"]
        found.append(pd.concat([frame[columns] for frame in rows]).assign(name=name))
    answer = pd.concat(found)[["name", "score", "value", "low", "high", "error"]]
    wide = answer.pivot(index="score", columns="name", values="value")
    wide = wide.loc[answer["score"].unique(), answer["name"].unique()]
    _print_table("Out-of-fold scores (intervals are in the CSV)", _headed("score", wide))
    return answer, ""


def _confusion(layout: Layout, of: str) -> Answer:
    predictions = _one(layout, of)
    answer = _headed("label", analysis.confusion(predictions))
    _print_table(f"Images by label (row) and class predicted by {predictions.name} (column)", answer)
    return answer, ""


def _errors(layout: Layout, of: str) -> Answer:
    predictions = _one(layout, of)
    answer = analysis.errors(predictions)
    columns = ["image_id", "label", "predicted", "confidence", "loss", "fold", "group"]
    one = answer.drop_duplicates("group")
    _print_table(f"The most confident errors of {predictions.name}, one of each group", one.head(LISTED)[columns])
    return answer, f"{len(answer)} of {len(predictions.frame)} images are misclassified, in {len(one)} groups"


def _calibration(layout: Layout, of: str) -> Answer:
    predictions = _one(layout, of)
    answer = analysis.calibration(predictions)
    shown = answer.rename(columns={"accuracy_low": "95 % from", "accuracy_high": "to"})
    _print_table(f"Confidence and accuracy of {predictions.name}", shown)
    return answer, f"expected calibration error {analysis.calibration_error(predictions):.4f}"


def _between_members(layout: Layout, of: str) -> Answer:
    members = _members(layout, "", blend=False)
    alike = analysis.correlation(members)
    answer = analysis.hits(members).merge(alike.add_prefix("correlation with "), left_on="member", right_index=True)
    _print_table(
        "Images predicted correctly, and those that one member alone gets right or wrong", analysis.hits(members)
    )
    _print_table("Correlation of the probabilities of the true class", _headed("member", alike))
    return answer, ""


def _folds(layout: Layout, of: str) -> Answer:
    members = _members(layout, of)
    parts = [analysis.fold_scores(found).set_index("fold") for found in members.values()]
    metric = next(iter(members.values())).metric
    scores = pd.concat({name: part[metric] for name, part in zip(members, parts, strict=True)}, axis=1)
    counts, sizes = analysis.fold_classes(layout.run), parts[0][["images", "groups"]]
    _print_table(f"{metric} by fold", _headed("fold", scores))
    _print_table("Images by fold and label", _headed("fold", pd.concat([sizes, counts], axis=1)))
    answer = pd.concat([sizes, scores, counts.add_prefix("label ")], axis=1)
    return _headed("fold", answer), ""


def _views(layout: Layout, of: str) -> Answer:
    names = list(_members(layout, of, blend=False))
    if not names:
        raise InputError("the ensemble has no views of its own: it blends those of its members. Give a variant.")
    answer = pd.concat([analysis.views(layout.run, name).assign(variant=name) for name in names])
    answer = answer[["variant", *(column for column in answer.columns if column != "variant")]]
    _print_table("Each test-time view: alone, all others without it, and its contribution", answer)
    return answer, ""


def _runs(layout: Layout, of: str) -> Answer:
    answer = analysis.runs(layout.submissions)
    shown = answer.drop(columns=["changed", "file", "members"])
    _print_table("Submissions so far", shown.assign(time=shown["time"].astype(str).str.slice(5, 16)))
    for row in answer[answer["changed"] != ""].itertuples():
        say(f"{row.file}: {row.changed}")
    for best in best_submissions(layout.submissions):
        say(best.sentence())
    return answer, ""


ANSWERS: dict[str, Callable[[Layout, str], Answer]] = {
    "scores": _scores,
    "confusion": _confusion,
    "errors": _errors,
    "calibration": _calibration,
    "members": _between_members,
    "folds": _folds,
    "views": _views,
    "runs": _runs,
}


def _members(layout: Layout, of: str, *, blend: bool = True) -> dict[str, Predictions]:
    """Return the predictions of the variants, and if asked of the blend, or of the one named; told when outdated."""
    found = {name: p for name, p in _found(layout, of).items() if blend or name != analysis.BLEND}
    _warn_outdated(list(found.values()))
    return found


def _one(layout: Layout, of: str) -> Predictions:
    found = list(_found(layout, of).values())[-1]
    _warn_outdated([found])
    return found


def _found(layout: Layout, of: str) -> dict[str, Predictions]:
    found = analysis.load_run(layout.run)
    if of and of not in found:
        raise InputError(f"{layout.run} has no predictions of {of!r}{nearest(of, list(found))}.")
    return {of: found[of]} if of else found


def _warn_outdated(shown: Sequence[Predictions]) -> None:
    outdated = told_outdated([predictions.path.parent for predictions in shown])
    if outdated:
        warn(f"analyse: {outdated}")


def _headed(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its index as the first column, even where a variant or class has that name, too."""
    found = frame.reset_index(drop=True)
    found.insert(0, name, frame.index, allow_duplicates=True)
    return found


def _print_table(title: str, frame: pd.DataFrame) -> None:
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    table(title, [str(column) for column in frame.columns], rows)


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4f}"
    return str(value)
