"""Stratified, grouped, seeded folds: near copies of one photo share a group, a group never crosses folds."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.console import progress, say, table, warn
from ripik.data.competition import Competition
from ripik.data.csv_tables import first, read_table, whole_numbers
from ripik.data.image_check import tell_unreadable
from ripik.data.spellings import same_words, visible
from ripik.data.submission_form import tell_form
from ripik.errors import InputError
from ripik.execution.locks import refuse_while_training
from ripik.settings import Settings
from ripik.splits.dealing import DEALING
from ripik.splits.groups import WAYS_OUT, groups_are_kept, kept_together, make_groups, read_groups
from ripik.splits.splitting import is_dealt, split
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.storage.up_to_date import Artifact

COLUMNS = ["image_id", "label", "group", "fold"]
# To be raised when the folds it makes may change, and with it `training.jobs.NETWORK` (inner splits) and
# `ensemble.train_or_test.ADVERSARIAL`.
SPLITTER = 2


def write_folds(settings: Settings, competition: Competition) -> Path:
    """Write `groups.csv` and `folds.csv` unless the recorded inputs still match; return the path of the latter.

    folds.csv: image_id, label, group, fold. The label is the organiser's, so that a correction moves no fold. A group
    is the near copies of one photo, joined with those that share a value of `competition.group_column`; it is numbered
    by a row of groups.csv, so the same rows in another order may get other folds. A file that this step did not write,
    or that was edited since, is the user's own and is kept.
    Folds that were made are printed as a table, those that are kept in one line.
    Raises InputError when a class has a single group: no split can both train on it and score it.
    """
    tell_unreadable(settings, competition)
    tell_form(competition.form)
    _tell_labels(settings, competition)
    path, found = layout_of(settings).folds, make_groups(settings, competition)
    groups = kept_together(competition, found)
    inputs = _inputs(settings, competition, groups)
    told = ""
    if artifacts.is_the_users(path):
        told = "was written or edited by hand; it is kept and validated"
    elif artifacts.is_fresh(artifacts.meta_beside(path), inputs):
        told = "is up to date"
    else:
        refuse_while_training(layout_of(settings), path.name)
        start = time.monotonic()
        text = artifacts.csv_text(_frame(competition, settings, groups))
        artifacts.write_editable(path, text, inputs, time.monotonic() - start)
        say(f"folds: wrote {path}")
    folds = read_folds(settings, competition)
    _warn_of_crossing(groups, folds)
    if told:
        say(f"folds: {path} {told}: {_size(folds)}")
    else:
        _print_folds(folds, competition)
    return path


def _tell_labels(settings: Settings, competition: Competition) -> None:
    how = settings.competition
    corrected = int(competition.is_corrected.sum())
    if corrected:
        say(
            f"folds: {how.corrections} corrects {corrected} labels of {how.train_csv}: training uses these, "
            "scoring the organiser's labels"
        )
    left_out = int(competition.ignored.sum())
    if left_out:
        say(f"folds: training leaves out {left_out} rows of {how.train_csv}; they are still predicted and scored")
    listed = {str(label) for label in how.classes}
    tags = [labels for labels in same_words(map(str, competition.classes)) if not listed.issuperset(labels)]
    if tags:
        warn(
            f"{how.train_csv}: labels with the same words in a different order: {' and '.join(map(visible, tags[0]))}"
            f"{f' ({len(tags)} such sets in all)' if len(tags) > 1 else ''}. If a cell lists several labels of one "
            "image: that is not supported, each such text is a class of its own"
        )


def check_made_from(settings: Settings, competition: Competition, groups: pd.DataFrame) -> None:
    """Raise InputError when folds.csv was made from other groups or settings; warn when a user's own parts groups.

    groups: the frame of `groups.csv`.
    """
    path, present = layout_of(settings).folds, kept_together(competition, groups)
    folds = read_folds(settings, competition)
    if artifacts.is_the_users(path):
        _warn_of_crossing(present, folds)
    elif not artifacts.is_fresh(artifacts.meta_beside(path), _inputs(settings, competition, present)):
        raise InputError(f"{path} was made from other groups, labels or settings. Run `make folds train` first.")


def kept(settings: Settings, competition: Competition) -> tuple[bool, bool]:
    """Return whether `write_folds` would keep groups.csv, and folds.csv: they are up to date, or the user's.

    Raises InputError for a groups.csv that it would refuse.
    """
    path, grouped = layout_of(settings).folds, groups_are_kept(settings, competition)
    if artifacts.is_the_users(path) or not grouped:
        return grouped, artifacts.is_the_users(path)
    groups = kept_together(competition, read_groups(settings, competition))
    return True, Artifact.of(path, _inputs(settings, competition, groups)).is_fresh


def _inputs(settings: Settings, competition: Competition, groups: np.ndarray) -> dict[str, Any]:
    return {
        "ids": artifacts.digest(competition.train["image_id"].tolist()),
        "labels": artifacts.digest(competition.train["label"].tolist()),
        "groups": artifacts.digest(groups.tolist()),
        "folds": settings.folds.model_dump(include={"n_splits", "seed", "tries"}),
        "splitter": SPLITTER,
        **({"dealing": DEALING} if is_dealt(groups) else {}),
    }


def read_folds(settings: Settings, competition: Competition) -> pd.DataFrame:
    """Return folds.csv (image_id as text, label, group, fold as integers) in the order of train.csv.

    Raises InputError when the file is missing, does not hold the ids of train.csv, or lets a group cross folds.
    """
    path = layout_of(settings).folds
    if not path.exists():
        raise InputError(f"there is no {path}. Run `make folds` first.")
    frame = read_table(path, COLUMNS, "Delete it and run `make folds` again.")[COLUMNS]
    frame = frame.assign(**{column: whole_numbers(frame[column], path) for column in ("group", "fold")})
    if sorted(frame["image_id"]) != sorted(competition.train["image_id"]):
        odd = sorted(set(frame["image_id"]) ^ set(competition.train["image_id"]))
        odd = odd or frame.loc[frame["image_id"].duplicated(), "image_id"].tolist()
        raise InputError(
            f"{path} does not list the ids of train.csv, each once: {first(odd)}. Delete it and run `make folds` again."
        )
    frame = frame.set_index("image_id").loc[competition.train["image_id"]].reset_index()
    if frame["label"].tolist() != competition.train["label"].astype(str).tolist():
        more = " (the file was edited by hand; delete it to have it recreated)" if artifacts.is_the_users(path) else ""
        raise InputError(f"{path} has other labels than train.csv. Run `make folds` again{more}.")
    if sorted(frame["fold"].unique()) != list(range(settings.folds.n_splits)):
        raise InputError(
            f"{path} has the folds {first(sorted(frame['fold'].unique().tolist()))}, but the configuration asks for "
            f"{settings.folds.n_splits} (folds.n_splits). {_made_anew(path)}"
        )
    check_groups(frame, path)
    way_out = "Move one of its groups to another fold, or delete the file and run `make folds`."
    _check_spread(frame["fold"], frame["label"], str(path), way_out)
    trained, what = ~competition.ignored, f"{settings.competition.corrections}: with these corrections"
    what = what if trained.all() else "without the rows that competition.ignore or the corrections leave out"
    labels = competition.train["training_label"][trained]
    _check_spread(frame["fold"][trained], labels, what, "Undo one of them in another fold.")
    return frame.assign(label=competition.train["label"].to_numpy())


def _made_anew(path: Path) -> str:
    """Return how to get other folds: what was edited by hand is kept until it is deleted."""
    gone = "Delete it and run" if artifacts.is_the_users(path) else "Set that back, or run"
    return f"{gone} `make folds` again; every variant is to be trained anew then."


def _check_spread(fold: pd.Series, labels: pd.Series, place: str, way_out: str) -> None:
    alone = fold.groupby(labels.to_numpy()).nunique()
    if alone.min() < 2:
        raise InputError(
            f"{place}: class {alone.idxmin()} is in one fold only, so that fold's model never trains on it. {way_out}"
        )


def check_groups(folds: pd.DataFrame, path: Path) -> None:
    """Raise InputError, which names `path`, when copies of one photo stand in different folds."""
    crossing = folds.groupby("group")["fold"].nunique()
    crossing = crossing[crossing > 1]
    if len(crossing):
        ids = folds.loc[folds["group"] == crossing.index[0], "image_id"].tolist()
        more = f" ({len(crossing)} such groups in all)" if len(crossing) > 1 else ""
        raise InputError(
            f"{path}: group {crossing.index[0]} (images {first(ids)}) is in more than one fold{more}: scores would "
            "be too optimistic. Delete the file and run `make folds`."
        )


def _frame(competition: Competition, settings: Settings, groups: np.ndarray) -> pd.DataFrame:
    train, how = competition.train, settings.folds
    _check_classes(train["label"], groups, how.n_splits)
    with progress("split into folds", how.tries) as show:
        fold = split(competition.class_indices().to_numpy(), groups, how.n_splits, how.seed, how.tries, show)
    return pd.DataFrame({"image_id": train["image_id"], "label": train["label"], "group": groups, "fold": fold})


def _warn_of_crossing(groups: np.ndarray, folds: pd.DataFrame) -> None:
    """Only folds of the user's own can part what belongs together."""
    crossing = folds.groupby(groups)["fold"].nunique()
    if (crossing > 1).any():
        ids = folds.loc[groups == crossing.index[crossing > 1][0], "image_id"].tolist()
        warn(
            f"your folds split {(crossing > 1).sum()} groups of near copies or of your group column, the first with "
            f"the images {', '.join(ids[:5])}: scores will be too optimistic"
        )


def _check_classes(labels: pd.Series, groups: np.ndarray, n_splits: int) -> None:
    count = pd.Series(groups, index=labels.index).groupby(labels).nunique()
    if count.min() < 2:
        images = int((labels == count.idxmin()).sum())
        ways_out = f"If they are different pictures, {WAYS_OUT} Otherwise add" if images > 1 else "Add"
        raise InputError(
            f"class {count.idxmin()} of train.csv has a single group ({images} images): no fold can train on it and "
            f"score it. {ways_out} photos of it, or remove its rows."
        )
    if len(np.unique(groups)) < n_splits:
        raise InputError(
            f"train.csv is too small for {n_splits} folds: {len(labels)} images in {len(np.unique(groups))} groups. "
            "Set folds.n_splits lower, or add photos."
        )
    rare = count[count < n_splits]
    if len(rare):
        rare_classes = first([f"{label} ({number} groups)" for label, number in rare.items()])
        warn(
            f"{len(rare)} of {len(count)} classes have fewer groups than the {n_splits} folds, so some folds are "
            f"scored without them: {rare_classes}"
        )


def _print_folds(folds: pd.DataFrame, competition: Competition) -> None:
    counts = pd.crosstab(folds["label"], folds["fold"]).reindex(list(competition.classes))
    groups = folds.groupby("label")["group"].nunique()
    rows = [
        [str(label), *map(str, row), str(sum(row)), str(groups[label])]
        for label, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)
    ]
    table(_size(folds), ["label", *(f"fold {number}" for number in counts.columns), "images", "groups"], rows)


def _size(folds: pd.DataFrame) -> str:
    return f"{len(folds)} images in {folds['group'].nunique()} groups of near copies"
