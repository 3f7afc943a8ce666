"""The rows of train and test: which images there are, by a CSV, by class folders, or by the sample and the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ripik.data.class_folders import class_rows, hint_of_folders, loose_rows
from ripik.data.csv_tables import COLUMN_SETTINGS, check_filled, check_ids, first, names_of, read_table
from ripik.data.image_paths import image_paths
from ripik.data.label_shares import check_label_column, hint_of_columns, read_shares
from ripik.data.places import Place
from ripik.data.row_weights import with_weights
from ripik.data.sample_columns import id_column_of, left_over
from ripik.data.spellings import folded, visible
from ripik.errors import InputError
from ripik.settings import CompetitionSettings

GROUP_HINT = "Set one of them in competition.group_column, or leave it empty."


@dataclass(frozen=True)
class Sample:
    """The sample submission: its rows (text), file, the column of its ids, and the columns that were left out of it."""

    table: pd.DataFrame
    path: Path
    id_column: str
    left_out: list[str]


def train_rows(root: Path, how: CompetitionSettings, missing_ok: bool) -> tuple[pd.DataFrame, Place]:
    """Return image_id, path, readable, label (text) and, where it is set, group of every training image; and their
    place. Raises InputError as `read_competition` does."""
    if how.of_folders:
        _check_there(root / how.image_folders("train")[0], root, how, "")
        frame, place = class_rows([root / folder for folder in how.image_folders("train")])
        return frame.assign(readable=True), place
    path = root / how.train_csv
    _check_there(path, root, how, hint_of_folders(root / how.image_folders("train")[0]))
    if not how.label_columns:
        check_label_column(root, how)
    frame = read_table(path, _columns(how, [*(how.label_columns or [how.label_column])]), _hint(root, how))
    images = with_weights(_listed_rows(root, "train", how, frame, missing_ok), frame, path, how)
    place = Place(path)
    if how.label_columns:
        return pd.concat([images, read_shares(frame[list(how.label_columns)], place)], axis=1), place
    return images.assign(label=frame[how.label_column]), place


def test_rows(root: Path, how: CompetitionSettings, missing_ok: bool) -> tuple[pd.DataFrame, Sample | None]:
    """Return image_id, path, readable and, where the CSV has it, group of every test image; and the sample submission.

    Without a CSV the ids are the sample's, and without a sample the paths of the files below the test folders; the
    sample is None where there is none, and there are no rows where there is no test set.
    """
    if not how.image_folders("test"):
        return pd.DataFrame({"image_id": [], "path": [], "readable": []}).astype({"readable": bool}), None
    csv = how.table("test")
    test = _listed_rows(root, "test", how, read_table(root / csv, _columns(how, [])), missing_ok) if csv else None
    path = root / how.sample_submission
    if not how.sample_submission or (how.of_folders and not path.exists()):
        folders = [root / folder for folder in how.image_folders("test")]
        return loose_rows(folders).assign(readable=True) if test is None else test, None
    sample = _read_sample(path, how, None if test is None else test["image_id"])
    return _sampled_rows(root, how, sample, missing_ok) if test is None else test, sample


test_rows.__test__ = False  # type: ignore[attr-defined]  # no test, for pytest


def _check_there(path: Path, root: Path, how: CompetitionSettings, hint: str) -> None:
    if how.root and not root.exists():
        raise InputError(
            f"competition.root = {how.root} does not exist. Correct it, or run `make data` to fetch the competition "
            "named in the configuration into it. `make demo` generates a small one to try."
        )
    if not path.exists():
        raise InputError(
            f"there is no {path}.{hint} `make data` fetches the competition named in the configuration, "
            "`make demo` generates a small one to try; competition.root=FOLDER uses a folder of your own."
        )


def _columns(how: CompetitionSettings, more: list[str]) -> list[str]:
    return [how.id_column, *([how.filename_column] if how.filename_column else []), *more]


def _hint(root: Path, how: CompetitionSettings) -> str:
    """Return what a table's error ends with."""
    return COLUMN_SETTINGS if how.label_columns else COLUMN_SETTINGS + hint_of_columns(root, how)


def _listed_rows(
    root: Path, split: str, how: CompetitionSettings, frame: pd.DataFrame, missing_ok: bool
) -> pd.DataFrame:
    """Return the images of a CSV, whose content is `frame`."""
    path = root / how.table(split)
    ids = frame[how.id_column]
    check_ids(ids, path)
    names = frame[how.filename_column or how.id_column]
    folders = [root / folder for folder in how.image_folders(split)]
    paths, present = image_paths(names, folders, path, missing_ok=missing_ok, extension=how.extension)
    result = pd.DataFrame({"image_id": ids, "path": paths, "readable": present})
    if how.group_column:
        return _with_group(result, frame, path, how.group_column, needed=split == "train")
    return result


def _with_group(images: pd.DataFrame, frame: pd.DataFrame, path: Path, column: str, needed: bool) -> pd.DataFrame:
    if column not in frame.columns:
        if needed:
            raise InputError(f"{path} has no column {column}; it has {names_of(list(frame.columns))}. {GROUP_HINT}")
        return images
    check_filled(frame[column], path, f"the {column}, which competition.group_column names, is empty")
    return images.assign(group=frame[column])


def _sampled_rows(root: Path, how: CompetitionSettings, sample: Sample, missing_ok: bool) -> pd.DataFrame:
    """Return the test images that the sample lists; a file is called as its id, with an ending or without."""
    ids = sample.table[sample.id_column]
    folders = [root / folder for folder in how.image_folders("test")]
    paths, present = image_paths(ids, folders, sample.path, missing_ok=missing_ok, extension=how.ending)
    return pd.DataFrame({"image_id": ids, "path": paths, "readable": present})


def _read_sample(path: Path, how: CompetitionSettings, ids: pd.Series | None) -> Sample:
    """Return the sample submission, which is held against the ids of the test set where a CSV lists them."""
    sample = read_table(path, [])
    column = id_column_of(sample, how, [] if ids is None else ids, path)
    check_ids(sample[column], path)
    if ids is not None:
        _check_same(set(sample[column]), set(ids), path, how)
    left_out = left_over(sample, how, column)
    return Sample(sample.drop(columns=left_out), path, column, left_out)


def _check_same(given: set[str], wanted: set[str], path: Path, how: CompetitionSettings) -> None:
    if given != wanted:
        missing, extra = sorted(wanted - given), sorted(given - wanted)
        if {folded(name) for name in missing} & {folded(name) for name in extra}:
            missing, extra = [visible(name) for name in missing], [visible(name) for name in extra]
        raise InputError(
            f"{path} does not list the ids of {how.test_csv}: {len(missing)} are missing ({first(missing)}), "
            f"{len(extra)} are unknown ({first(extra)}). Ids are compared as text, so 7 is neither 07 nor 7.0: "
            "write them identically in both."
        )
