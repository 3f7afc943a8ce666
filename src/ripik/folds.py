"""Stratified, grouped, seeded folds: near copies of one photo share a group, a group never crosses folds."""

import hashlib
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from ripik import artifacts
from ripik.competition import Competition, fingerprint, read_competition
from ripik.console import progress, say, table, warn
from ripik.duplicates import DETECTOR, near_copy_groups
from ripik.errors import InputError
from ripik.layout import layout_of
from ripik.settings import Settings

COLUMNS = ["image_id", "label", "group", "fold"]


def make_folds(settings: Settings) -> Path:
    """Write `folds.csv` (image_id, label, group, fold) unless the recorded inputs still match; return its path.

    A file that this step did not write, or that was edited since, is the user's own and is kept.
    Raises InputError when a class has a single group: no split can both train on it and score it.
    """
    competition = read_competition(settings)
    path = layout_of(settings).folds
    inputs = {
        "train": fingerprint(competition, "train"),
        "labels": artifacts.digest(competition.train["label"].tolist()),
        "folds": settings.folds.model_dump(),
        "near_copies": DETECTOR,
    }
    if _is_the_users(path):
        say(f"folds: {path} was written or edited by hand; it is kept and checked")
    elif artifacts.is_fresh(artifacts.meta_beside(path), inputs):
        say(f"folds: {path} is up to date")
    else:
        _make(path, competition, settings, inputs)
        say(f"folds: wrote {path}")
    _show(read_folds(settings, competition), competition)
    return path


def _make(path: Path, competition: Competition, settings: Settings, inputs: dict[str, Any]) -> None:
    """Write the meta file first: a file without one, or with another checksum, is taken for the user's."""
    artifacts.check_writable(path.parent)
    start = time.monotonic()
    text = artifacts.csv_text(_frame(competition, settings))
    path.unlink(missing_ok=True)
    outputs = {path.name: hashlib.sha256(text.encode()).hexdigest()}
    seconds = time.monotonic() - start
    artifacts.write_meta(artifacts.meta_beside(path), inputs=inputs, outputs=outputs, seconds=seconds)
    artifacts.write_text(path, text)


def read_folds(settings: Settings, competition: Competition) -> pd.DataFrame:
    """Return folds.csv (image_id as text, label, group, fold as integers) in the order of train.csv.

    Raises InputError when the file is missing, does not hold the ids of train.csv, or lets a group cross folds.
    """
    path = layout_of(settings).folds
    if not path.exists():
        raise InputError(f"there is no {path}. Run `make folds` first.")
    try:
        frame = pd.read_csv(path, dtype={"image_id": str, "label": str}, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a CSV: {error}. Delete it and run `make folds` again.") from None
    if list(frame.columns) != COLUMNS:
        raise InputError(f"{path} has the columns {', '.join(frame.columns)}, not {', '.join(COLUMNS)}. Make it anew.")
    if sorted(frame["image_id"]) != sorted(competition.train["image_id"]):
        raise InputError(f"{path} does not list the ids of train.csv. Delete it and run `make folds` again.")
    frame = frame.set_index("image_id").loc[competition.train["image_id"]].reset_index()
    if frame["label"].tolist() != competition.train["label"].astype(str).tolist():
        raise InputError(f"{path} has other labels than train.csv. Delete it and run `make folds` again.")
    if sorted(frame["fold"].unique()) != list(range(settings.folds.n_splits)):
        raise InputError(
            f"{path} has the folds {sorted(frame['fold'].unique().tolist())}, the configuration asks for 0 … "
            f"{settings.folds.n_splits - 1}. Delete it and run `make folds` again."
        )
    check_groups(frame)
    alone = frame.groupby("label")["fold"].nunique()
    if alone.min() < 2:
        raise InputError(f"{path}: class {alone.idxmin()} stands in one fold only, whose model never sees it.")
    return frame.assign(label=competition.train["label"].to_numpy())


def check_groups(folds: pd.DataFrame) -> None:
    """Raise InputError when copies of one photo stand in different folds."""
    crossing = folds.groupby("group")["fold"].nunique()
    crossing = crossing[crossing > 1]
    if len(crossing):
        ids = folds.loc[folds["group"] == crossing.index[0], "image_id"].tolist()
        raise InputError(
            f"folds.csv: group {crossing.index[0]} (images {', '.join(map(str, ids[:6]))}) stands in more than one "
            f"fold, as do {len(crossing) - 1} others: scores would be too good. Delete the file and run `make folds`."
        )


def split(labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
    """Return the fold (0…n_splits−1) of every row: stratified by label, a group in one fold.

    labels, groups: (n,). Method: scikit-learn's StratifiedGroupKFold with shuffled groups.
    """
    fold = np.full(len(labels), -1)
    splitter = StratifiedGroupKFold(n_splits=n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # told by _check_classes, by name
        for number, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            fold[held] = number
    return fold


def _is_the_users(path: Path) -> bool:
    meta = artifacts.meta_beside(path)
    if not path.exists():
        return False
    return not meta.exists() or artifacts.read_json(meta)["outputs"][path.name] != artifacts.file_digest(path)


def _frame(competition: Competition, settings: Settings) -> pd.DataFrame:
    train, how = competition.train, settings.folds
    with progress("look for near copies", len(train)) as show:
        found = near_copy_groups(list(train["path"]), threshold=how.near_copy_threshold, workers=-1, on_progress=show)
    _check_classes(train["label"], found.group, how.n_splits)
    fold = split(competition.class_indices().to_numpy(), found.group, how.n_splits, how.seed)
    return pd.DataFrame({"image_id": train["image_id"], "label": train["label"], "group": found.group, "fold": fold})


def _check_classes(labels: pd.Series, groups: np.ndarray, n_splits: int) -> None:
    count = pd.Series(groups, index=labels.index).groupby(labels).nunique()
    if count.min() < 2:
        raise InputError(
            f"class {count.idxmin()} of train.csv has a single group of near copies "
            f"({(labels == count.idxmin()).sum()} images): no fold can train on it and score it. "
            "Add photos of it, or take its rows out."
        )
    for label, number in count[count < n_splits].items():
        warn(f"class {label} has {number} groups for {n_splits} folds: some folds are scored without it")
    if labels.value_counts().max() < n_splits or len(np.unique(groups)) < n_splits:
        raise InputError(
            f"train.csv is too small for {n_splits} folds: {len(labels)} images in {len(np.unique(groups))} groups of "
            "near copies. Set folds.n_splits lower, or add photos."
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
