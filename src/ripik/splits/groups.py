"""Near-copy groups over train and test together: `groups.csv`, which folds and the copies' vote go by."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.groups import joined
from ripik.console import progress, say, warn
from ripik.data.competition import Competition, fingerprint
from ripik.data.csv_tables import first, line_of, read_table, whole_numbers
from ripik.data.pixel_rule import PixelRule
from ripik.errors import InputError
from ripik.execution.environment import usable_cores
from ripik.execution.locks import refuse_while_training
from ripik.settings import Settings
from ripik.splits.near_copies.find import DETECTOR, Groups, near_copy_groups
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.storage.up_to_date import Artifact

COLUMNS = ["image_id", "split", "group", "matched_id", "similarity"]
KEY = ["split", "image_id"]
SUSPICIOUS = 10  # images in a group from which on its share of a class is looked at
LARGE_SHARE = 0.25  # of a class, or of all images, in one group: hardly one photo
WAYS_OUT = "raise folds.near_copy_threshold, or set folds.near_copies = false."
EDITED = "Delete the file and run `make folds`."


def make_groups(settings: Settings, competition: Competition, *, tell: bool = True) -> pd.DataFrame:
    """Write `groups.csv` unless it is up to date or was edited by its user, and return what `read_groups` reads.

    Columns: image_id, split (train or test), group (the same number for near copies of one photo), matched_id (the
    most similar image of the group, in either split; empty for an image by itself) and similarity to it, in [0, 1].
    A test image that cannot be read is a group by itself.
    With `folds.near_copies = false` every image is a group by itself.
    tell: warn of odd groups even where the file is kept.
    """
    path = layout_of(settings).groups
    inputs = group_inputs(settings, competition)
    if artifacts.is_the_users(path):
        say(f"folds: {path} was written or edited by hand; it is kept and validated")
    elif not artifacts.is_fresh(artifacts.meta_beside(path), inputs):
        refuse_while_training(layout_of(settings), path.name)
        start = time.monotonic()
        text = artifacts.csv_text(_frame(settings, competition))
        artifacts.write_editable(path, text, inputs, time.monotonic() - start)
        say(f"folds: wrote {path}")
        tell = True
    groups = read_groups(settings, competition)
    if tell:
        _warn(groups, competition)
        _warn_of_implausible(settings, groups, competition)
    return groups


def group_inputs(settings: Settings, competition: Competition) -> dict[str, Any]:
    """Return what determines `groups.csv`."""
    how = settings.folds
    searched = {"threshold": how.near_copy_threshold, "detector": DETECTOR} if how.near_copies else None
    images = [fingerprint(competition, split) for split in ("train", "test")]
    return {"images": images, "near_copies": searched, **competition.rule_inputs("train", "test")}


def groups_are_kept(settings: Settings, competition: Competition) -> bool:
    """Whether `make_groups` would keep the `groups.csv` that is there: up to date, or the user's."""
    path = layout_of(settings).groups
    return artifacts.is_the_users(path) or Artifact.of(path, group_inputs(settings, competition)).is_fresh


def read_groups(settings: Settings, competition: Competition) -> pd.DataFrame:
    """Return `groups.csv` in the order of train.csv, then test.csv; ids as text.

    Raises InputError when the file is missing, made from other images, or does not list every image once with a group.
    """
    path = layout_of(settings).groups
    if not path.exists():
        raise InputError(f"there is no {path}. Run `make folds` first.")
    if not groups_are_kept(settings, competition):
        raise InputError(f"{path} was made from other images or settings. Run `make folds` again.")
    frame = read_table(path, COLUMNS, EDITED)
    frame = frame.assign(group=whole_numbers(frame["group"], path), similarity=_similarities(frame["similarity"], path))
    known = pd.concat([competition.rows(split)[["image_id"]].assign(split=split) for split in ("train", "test")])
    if sorted(map(tuple, frame[KEY].to_numpy())) != sorted(map(tuple, known[KEY].to_numpy())):
        given, wanted = (set(zip(rows["split"], rows["image_id"], strict=True)) for rows in (frame, known))
        odd = sorted(given ^ wanted) or frame.loc[frame.duplicated(KEY), KEY].to_numpy().tolist()
        raise InputError(
            f"{path} was edited: it does not list every image exactly once ({first([' '.join(key) for key in odd])}). "
            "Delete it and run `make folds`."
        )
    return known[KEY].merge(frame, on=KEY, validate="one_to_one")[COLUMNS]


def _similarities(texts: pd.Series, path: Path) -> pd.Series:
    values = pd.to_numeric(texts, errors="coerce")
    wrong = texts.index[values.isna() & (texts != "")]
    if len(wrong):
        raise InputError(f"{path}, line {line_of(wrong[0])}: similarity {texts[wrong[0]]!r} is not a number. {EDITED}")
    return values


def groups_of(groups: pd.DataFrame, split: str) -> np.ndarray:
    """Return the group numbers of a split's rows, int64 (n,), in their order."""
    return groups.loc[groups["split"] == split, "group"].to_numpy()


def kept_together(competition: Competition, groups: pd.DataFrame) -> np.ndarray:
    """Return what folds must not part, int64 (n,): near copies, joined with the user's column.

    groups: the frame of `groups.csv`, whose numbers stay where there is no such column.
    """
    near = groups_of(groups, "train")
    return joined(near, competition.train["group"].to_numpy()) if "group" in competition.train else near


def _frame(settings: Settings, competition: Competition) -> pd.DataFrame:
    columns = ["image_id", "path", "readable"]
    splits = [competition.rows(split)[columns].assign(split=split) for split in ("train", "test")]
    images = pd.concat(splits, ignore_index=True)
    found = search_readable(settings, competition.rule, images)
    matched = images["image_id"].to_numpy()[found.matched]
    return pd.DataFrame(
        {
            "image_id": images["image_id"],
            "split": images["split"],
            "group": found.group,
            "matched_id": np.where(found.matched >= 0, matched, ""),
            "similarity": found.similarity,
        }
    )


def search_readable(settings: Settings, rule: PixelRule, images: pd.DataFrame) -> Groups:
    """Return the groups of the images (path, readable), which are looked for where `folds.near_copies` says so.

    One that cannot be read is a group by itself.
    """
    rows, found = np.flatnonzero(images["readable"]), _alone(len(images))
    if settings.folds.near_copies:
        among = _search(settings, rule, list(images["path"].iloc[rows]))
        found.group[rows], found.similarity[rows] = rows[among.group], among.similarity
        found.matched[rows] = np.where(among.matched >= 0, rows[among.matched], -1)
    return found


def _alone(count: int) -> Groups:
    return Groups(np.arange(count), np.full(count, -1), np.full(count, np.nan))


def _search(settings: Settings, rule: PixelRule, paths: list[Path]) -> Groups:
    with progress("search for near copies", len(paths)) as show:
        threshold = settings.folds.near_copy_threshold
        return near_copy_groups(paths, threshold=threshold, workers=usable_cores(), on_progress=show, rule=rule)


def _warn(groups: pd.DataFrame, competition: Competition) -> None:
    conflicts = conflicting(groups, competition)
    if len(conflicts):
        warn(f"copies of one photo have different labels in {len(conflicts)} groups (groups.csv: {_named(conflicts)})")
    shared = groups.groupby("group")["split"].nunique()
    shared = shared[shared > 1]
    if len(shared):
        warn(
            f"train and test share {len(shared)} photos (groups.csv: {_named(shared.index.tolist())}): the test score "
            "will be better than the CV, which never trains on a copy of what it scores"
        )


def _named(groups: Sequence[int]) -> str:
    return f"group {', '.join(map(str, groups[:3]))}{' …' if len(groups) > 3 else ''}"


def _warn_of_implausible(settings: Settings, groups: pd.DataFrame, competition: Competition) -> None:
    found = implausible(groups, competition)
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        warn(
            f"unlikely to be near copies of one photo{more}: {'; '.join(found[:3])}. Look at "
            f"{layout_of(settings).groups_page}. If they are different pictures, {WAYS_OUT}"
        )


def implausible(groups: pd.DataFrame, competition: Competition) -> list[str]:
    """List the groups with a large share of a class, or of all images: one text a share, largest groups first."""
    train = pd.DataFrame({"group": groups_of(groups, "train"), "label": competition.train["label"]})
    sizes = groups["group"].value_counts()
    problems = []
    for group, size in sizes[sizes >= SUSPICIOUS].items():
        share = size / len(groups)
        if share >= LARGE_SHARE:
            problems.append(f"group {group} holds {size} of all {len(groups)} images ({share:.0%})")
        inside = train.loc[train["group"] == group, "label"].value_counts()
        for label, count in inside[inside >= SUSPICIOUS].items():
            total = int((train["label"] == label).sum())
            if count / total >= LARGE_SHARE:
                problems.append(
                    f"group {group} holds {count} of the {total} images of class {label} ({count / total:.0%})"
                )
    return problems


def conflicting(groups: pd.DataFrame, competition: Competition) -> list[int]:
    """Return the numbers of the groups whose training images carry more than one label, as corrected."""
    labels = competition.train["training_label"].groupby(groups_of(groups, "train")).nunique()
    return labels.index[labels > 1].tolist()
