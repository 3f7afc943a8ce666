"""Stratified, grouped, seeded folds: near copies of one photo share a group, a group never crosses folds."""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from ripik import artifacts
from ripik.competition import Competition
from ripik.console import progress, say, table, warn
from ripik.errors import InputError
from ripik.groups import groups_of, make_groups
from ripik.groups_page import make_groups_page
from ripik.layout import layout_of
from ripik.linking import joined
from ripik.settings import Settings
from ripik.submission_form import tell_form
from ripik.tables import first, read_table, whole_numbers
from ripik.turns import refuse_while_training
from ripik.usable import open_competition, tell_unreadable

COLUMNS = ["image_id", "label", "group", "fold"]
SPLITTER = 2  # to be raised when the folds it makes may change
Progress = Callable[[int], None]


def make_folds(settings: Settings) -> Path:
    """Write `groups.csv` and `folds.csv` unless the recorded inputs still match; return the path of the latter.

    folds.csv: image_id, label, group, fold. A group is the near copies of one photo, joined with those that share a
    value of `competition.group_column`; it is numbered by a row of groups.csv, so the same rows in another order may
    get other folds. A file that this step did not write, or that was edited since, is the user's own and is kept.
    Raises InputError when a class has a single group: no split can both train on it and score it.
    """
    competition = open_competition(settings)
    tell_unreadable(settings, competition)
    tell_form(competition.form)
    if competition.corrected:
        say(f"folds: {settings.competition.corrections} corrects {competition.corrected} labels of train.csv")
    path, found = layout_of(settings).folds, make_groups(settings, competition)
    make_groups_page(settings, competition, found)
    groups = _joined_groups(competition, found)
    inputs = _inputs(settings, competition, groups)
    if artifacts.is_the_users(path):
        say(f"folds: {path} was written or edited by hand; it is kept and checked")
    elif artifacts.is_fresh(artifacts.meta_beside(path), inputs):
        say(f"folds: {path} is up to date")
    else:
        refuse_while_training(layout_of(settings), path.name)
        start = time.monotonic()
        text = artifacts.csv_text(_frame(competition, settings, groups))
        artifacts.write_editable(path, text, inputs, time.monotonic() - start)
        say(f"folds: wrote {path}")
    folds = read_folds(settings, competition)
    _warn_of_crossing(groups, folds)
    _show(folds, competition)
    return path


def check_made_from(settings: Settings, competition: Competition, groups: pd.DataFrame) -> None:
    """Raise InputError when folds.csv was made from other groups or settings; warn when a user's own parts groups.

    groups: the frame of `groups.csv`.
    """
    path, present = layout_of(settings).folds, _joined_groups(competition, groups)
    folds = read_folds(settings, competition)
    if artifacts.is_the_users(path):
        _warn_of_crossing(present, folds)
    elif not artifacts.is_fresh(artifacts.meta_beside(path), _inputs(settings, competition, present)):
        raise InputError(f"{path} was made from other groups, labels or settings. Run `make folds train` first.")


def _joined_groups(competition: Competition, groups: pd.DataFrame) -> np.ndarray:
    """Return every training row's group: near copies, joined with those of one value of the user's column."""
    near = groups_of(groups, "train")
    return near if "group" not in competition.train else joined(near, competition.train["group"].to_numpy())


def _inputs(settings: Settings, competition: Competition, groups: np.ndarray) -> dict[str, Any]:
    return {
        "ids": artifacts.digest(competition.train["image_id"].tolist()),
        "labels": artifacts.digest(competition.train["label"].tolist()),
        "groups": artifacts.digest(groups.tolist()),
        "folds": settings.folds.model_dump(include={"n_splits", "seed", "tries"}),
        "splitter": SPLITTER,
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
        more = (
            " (the file was edited by hand; to have it made again, delete it)" if artifacts.is_the_users(path) else ""
        )
        raise InputError(f"{path} has other labels than train.csv and its corrections. Run `make folds` again{more}.")
    if sorted(frame["fold"].unique()) != list(range(settings.folds.n_splits)):
        raise InputError(
            f"{path} has the folds {sorted(frame['fold'].unique().tolist())}, the configuration asks for 0 … "
            f"{settings.folds.n_splits - 1}. Delete it and run `make folds` again."
        )
    check_groups(frame, path)
    alone = frame.groupby("label")["fold"].nunique()
    if alone.min() < 2:
        raise InputError(
            f"{path}: class {alone.idxmin()} stands in one fold only, whose model never sees it. Move a group of it to "
            "another fold, or delete the file and run `make folds`."
        )
    return frame.assign(label=competition.train["label"].to_numpy())


def check_groups(folds: pd.DataFrame, path: Path) -> None:
    """Raise InputError, which names `path`, when copies of one photo stand in different folds."""
    crossing = folds.groupby("group")["fold"].nunique()
    crossing = crossing[crossing > 1]
    if len(crossing):
        ids = folds.loc[folds["group"] == crossing.index[0], "image_id"].tolist()
        more = f" ({len(crossing)} groups in all do)" if len(crossing) > 1 else ""
        raise InputError(
            f"{path}: group {crossing.index[0]} (images {first(ids)}) stands in more than one fold{more}: scores would "
            "be too good. Delete the file and run `make folds`."
        )


def split(
    labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int, tries: int = 1, show: Progress | None = None
) -> np.ndarray:
    """Return the fold (0…n_splits−1) of every row: stratified by label, a group in one fold.

    labels, groups: (n,); the order of the rows does not matter. Of `tries` seeded splits by scikit-learn's
    StratifiedGroupKFold the best by `imbalance` is kept, and mended where a class with enough groups is absent from a
    fold. `show` is given the tries done.
    """
    best, least = np.zeros(0, np.int64), (np.inf, np.inf)
    for number in range(tries):
        fold = _one_split(labels, groups, n_splits, seed + number)
        if (found := imbalance(labels, groups, fold, n_splits)) < least:
            best, least = fold, found
        if show is not None:
            show(number + 1)
    return _without_absences(labels, groups, best, n_splits)


def imbalance(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, n_splits: int) -> tuple[float, float]:
    """Return (absences, unevenness) of a split; less is better, the first number first.

    Absences: pairs of class and fold without a row of the class. Unevenness: squared deviations of the folds' shares
    from 1 / n_splits, summed over folds, for every class (a rare one counts as much as a frequent one), for all rows
    and for the number of groups.
    """
    classes = pd.crosstab(labels, fold).reindex(columns=range(n_splits), fill_value=0).to_numpy()
    _, first = np.unique(groups, return_index=True)
    counts = np.vstack([classes, classes.sum(axis=0), np.bincount(fold[first], minlength=n_splits)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float((classes == 0).sum()), float(((shares - 1 / n_splits) ** 2).sum())


def _one_split(labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
    fold = np.full(len(labels), -1)
    splitter = StratifiedGroupKFold(n_splits=n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # told by _check_classes, by name
        for number, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            fold[held] = number
    return fold


def _without_absences(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, n_splits: int) -> np.ndarray:
    """Move groups, one at a time, into folds that lack one of their classes, as long as fewer absences are left."""
    least = imbalance(labels, groups, fold, n_splits)
    while least[0]:
        moves = [
            np.where(groups == group, number, fold)
            for number in range(n_splits)
            for label in np.setdiff1d(labels, labels[fold == number])
            for group in np.unique(groups[labels == label])
        ]
        scored = [imbalance(labels, groups, moved, n_splits) for moved in moves]
        best = min(range(len(moves)), key=scored.__getitem__)
        if scored[best][0] >= least[0]:
            break
        fold, least = moves[best], scored[best]
    return fold


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
            f"your folds part {(crossing > 1).sum()} groups of near copies or of your group column, the first with the "
            f"images {', '.join(ids[:5])}: the scores will be too good"
        )


def _check_classes(labels: pd.Series, groups: np.ndarray, n_splits: int) -> None:
    count = pd.Series(groups, index=labels.index).groupby(labels).nunique()
    if count.min() < 2:
        raise InputError(
            f"class {count.idxmin()} of train.csv has a single group "
            f"({(labels == count.idxmin()).sum()} images): no fold can train on it and score it. "
            "Add photos of it, or take its rows out."
        )
    for label, number in count[count < n_splits].items():
        warn(f"class {label} has {number} groups for {n_splits} folds: some folds are scored without it")
    if labels.value_counts().max() < n_splits or len(np.unique(groups)) < n_splits:
        raise InputError(
            f"train.csv is too small for {n_splits} folds: {len(labels)} images in {len(np.unique(groups))} groups. "
            "Set folds.n_splits lower, or add photos."
        )


def _show(folds: pd.DataFrame, competition: Competition) -> None:
    counts = pd.crosstab(folds["label"], folds["fold"]).reindex(list(competition.classes))
    groups = folds.groupby("label")["group"].nunique()
    rows = [
        [str(label), *map(str, row), str(sum(row)), str(groups[label])]
        for label, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)
    ]
    title = f"{len(folds)} images in {folds['group'].nunique()} groups of near copies"
    table(title, ["label", *(f"fold {number}" for number in counts.columns), "images", "groups"], rows)
