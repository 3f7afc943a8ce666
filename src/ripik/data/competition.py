"""Read and check what the organiser gave: three CSVs and two folders of images."""

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.data.corrections import corrected_labels
from ripik.data.csv_tables import check_filled, check_ids, first, line_of, listed, names_of, read_table
from ripik.data.image_paths import image_paths
from ripik.data.label_cells import read_labels
from ripik.data.pixel_rule import USUAL, PixelRule
from ripik.data.sample_columns import id_column_of, left_over
from ripik.data.spellings import visible
from ripik.data.submission_form import Form, form_of
from ripik.errors import InputError
from ripik.settings import CompetitionSettings, Label, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

GROUP_HINT = "Name one of them in competition.group_column, or leave it empty."


@dataclass(frozen=True)
class Competition:
    """The competition's data. Ids are text, exactly as written in the CSVs.

    train: frame with image_id (str), path (Path), label (int or str, the organiser's, by which everything is scored),
        training_label (as `competition.corrections` has it, the same without), and group (str, the text of
        `competition.group_column`) where that is set, in the order of train.csv; and readable (bool).
    test: frame with image_id, path, readable, and group where test.csv has that column too, in the order of test.csv.
    sample: the sample submission, all columns as text.
    classes: the label values in class order.
    form: what a submission is made of, as the sample and the settings ask for it.
    rule: how its images are decoded. ruled: the splits with images of which the rule makes other pixels than OpenCV.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    classes: tuple[Label, ...]
    form: Form
    rule: PixelRule = USUAL
    ruled: tuple[str, ...] = ()

    @functools.cached_property
    def fingerprints(self) -> dict[str, str]:
        """A hash of each split's ids and images as they were when first asked for; see `fingerprint`."""
        return {split: _digest(self.rows(split)) for split in ("train", "test")}

    @property
    def is_corrected(self) -> pd.Series:
        """Whether `competition.corrections` gives a training row another label, bool (n,)."""
        return self.train["training_label"] != self.train["label"]

    def class_indices(self) -> pd.Series:
        """Return the class index (0…C−1) of every training row by the organiser's label, indexed by image_id."""
        return self._indices("label")

    def training_indices(self) -> pd.Series:
        """Return the class index (0…C−1) that every row is trained on: as corrected, indexed by image_id."""
        return self._indices("training_label")

    def correction_inputs(self) -> dict[str, str]:
        """Return what a step that trains records of the corrections; nothing where no label is corrected."""
        corrected = self.is_corrected.any()
        return {"corrections": artifacts.digest(self.train["training_label"].tolist())} if corrected else {}

    def _indices(self, column: str) -> pd.Series:
        index = {label: position for position, label in enumerate(self.classes)}
        return pd.Series(self.train[column].map(index).to_numpy(), index=self.train["image_id"], dtype="int64")

    def class_shares(self) -> np.ndarray:
        """Return the part of the training rows that each class has, float32 (C,): what predicts an unreadable image."""
        count = np.bincount(self.class_indices(), minlength=len(self.classes))
        return (count / len(self.train)).astype(np.float32)

    def rule_inputs(self, *splits: str) -> dict[str, Any]:
        """Return what the recorded inputs of these splits' pixels tell of the rule: nothing where it changes none."""
        return {"rule": asdict(self.rule)} if set(splits) & set(self.ruled) else {}

    def rows(self, split: str) -> pd.DataFrame:
        """Return the frame of a split, `train` or `test`."""
        return self.train if split == "train" else self.test


def _digest(rows: pd.DataFrame) -> str:
    files = artifacts.files_digest(list(rows.loc[rows["readable"], "path"]))
    unreadable = list(rows.loc[~rows["readable"], "image_id"])
    return artifacts.digest([list(rows["image_id"]), files, *([unreadable] if unreadable else [])])


def read_competition(settings: Settings, *, missing_ok: bool = False) -> Competition:
    """Read the competition of `settings`; steps that use images read it by `image_check.open_competition`.

    With `missing_ok` up to half of each CSV's images may be missing; they are not readable.
    Raises InputError for missing files, columns or images, duplicate ids, missing or unknown labels, a sample
    submission whose ids are not those of the test set or that asks for what it cannot get (`form_of`), and corrections
    that do not fit (see `corrections.corrected_labels`).
    """
    how, root = settings.competition, layout_of(settings).input
    if not (root / how.train_csv).exists():
        raise InputError(
            f"there is no {root / how.train_csv}. `make data` fetches the competition named in the configuration, "
            "`make demo` draws a small one to try; competition.root=FOLDER names a folder of your own."
        )
    train = _read_images(root, how.train_csv, "train", how, [how.label_column], missing_ok)
    test = _read_images(root, how.test_csv, "test", how, [], missing_ok)
    sample, sample_ids, left_out = _read_sample(root / how.sample_submission, how, test)
    _check_disjoint(train, test, root, how)
    train = train.assign(label=read_labels(train["label"], root / how.train_csv, how))
    classes = _classes(train, root / how.train_csv, how)
    train = train.assign(training_label=corrected_labels(train, how, root, classes))
    form = form_of(sample, how, classes, root / how.sample_submission, sample_ids, left_out)
    train, test, sample = (frame.reset_index(drop=True) for frame in (train, test, sample))
    return Competition(train, test, sample, classes, form)


def read_test_set(settings: Settings, train: pd.DataFrame, classes: tuple[Label, ...]) -> Competition:
    """Read the test set and the sample submission alone, for a run trained elsewhere on the rows `train`.

    train: image_id, label; its images are nowhere. Up to half of the test images may be missing; they are not readable.
    Raises InputError as `read_competition` does.
    """
    how, root = settings.competition, layout_of(settings).input
    test = _read_images(root, how.test_csv, "test", how, [], True)
    sample, sample_ids, left_out = _read_sample(root / how.sample_submission, how, test)
    form = form_of(sample, how, classes, root / how.sample_submission, sample_ids, left_out)
    train = train.assign(training_label=train["label"])
    train, test, sample = (frame.reset_index(drop=True) for frame in (train, test, sample))
    return Competition(train, test, sample, classes, form)


def fingerprint(competition: Competition, split: str) -> str:
    """Return a hash of a split's ids and images; of a competition read later, it tells whether a file was replaced."""
    return competition.fingerprints[split]


def _read_images(
    root: Path, csv: str, split: str, how: CompetitionSettings, required: list[str], missing_ok: bool
) -> pd.DataFrame:
    path = root / csv
    columns = [how.id_column, *([how.filename_column] if how.filename_column else []), *required]
    frame = read_table(path, columns)
    ids = frame[how.id_column]
    check_ids(ids, path)
    names = frame[how.filename_column or how.id_column]
    folders = [root / folder for folder in how.image_folders(split)]
    paths, present = image_paths(names, folders, path, missing_ok=missing_ok, extension=how.extension)
    result = pd.DataFrame({"image_id": ids, "path": paths, "readable": present})
    if how.label_column in required:
        result["label"] = frame[how.label_column]
    if how.group_column:
        return _with_group(result, frame, path, how.group_column, needed=bool(required))
    return result


def _with_group(images: pd.DataFrame, frame: pd.DataFrame, path: Path, column: str, needed: bool) -> pd.DataFrame:
    if column not in frame.columns:
        if needed:
            raise InputError(f"{path} has no column {column}; it has {names_of(list(frame.columns))}. {GROUP_HINT}")
        return images
    check_filled(frame[column], path, f"the {column}, which competition.group_column names, is empty")
    return images.assign(group=frame[column])


def _classes(train: pd.DataFrame, path: Path, how: CompetitionSettings) -> tuple[Label, ...]:
    present = sorted(train["label"].unique().tolist())
    classes = how.classes or tuple(present)
    kind = int if how.label_type == "integer" else str
    if not all(isinstance(label, kind) for label in classes):
        raise InputError(
            f"competition.classes {listed(classes)} are not all of the label_type "
            f"{how.label_type!r}. Set the one or the other."
        )
    if len(set(classes)) < len(classes):
        raise InputError(f"competition.classes names a class twice: {listed(classes)}. Name each once.")
    unknown = [label for label in present if label not in classes]
    if unknown:
        line = line_of(train.index[train["label"] == unknown[0]][0])
        raise InputError(
            f"{path}, line {line}: label {visible(unknown[0])} is not one of competition.classes {listed(classes)}. "
            "Mend the cell, or add the class to the setting."
        )
    absent = [label for label in classes if label not in present]
    if absent:
        raise InputError(
            f"{path}: no row has the label {first(absent)}, which competition.classes names. Take it out there."
        )
    if len(classes) < 2:
        raise InputError(
            f"{path}: at least two classes are needed, found {listed(classes)} only. Is competition.label_column right?"
        )
    return tuple(classes)


def _read_sample(path: Path, how: CompetitionSettings, test: pd.DataFrame) -> tuple[pd.DataFrame, str, list[str]]:
    """Return the sample submission, the name of its ids' column, and the columns that were left out of it."""
    sample = read_table(path, [])
    column = id_column_of(sample, how, test["image_id"], path)
    check_ids(sample[column], path)
    given, wanted = set(sample[column]), set(test["image_id"])
    if given != wanted:
        missing, extra = sorted(wanted - given), sorted(given - wanted)
        raise InputError(
            f"{path} does not list the ids of {how.test_csv}: {len(missing)} are missing ({first(missing)}), "
            f"{len(extra)} are unknown ({first(extra)}). Ids are compared as text, so 7 is neither 07 nor 7.0: "
            "write them the same in both."
        )
    left_out = left_over(sample, how, column)
    return sample.drop(columns=left_out), column, left_out


def _check_disjoint(train: pd.DataFrame, test: pd.DataFrame, root: Path, how: CompetitionSettings) -> None:
    both = sorted(set(train["image_id"]) & set(test["image_id"]))
    folders = [{root / folder for folder in how.image_folders(split)} for split in ("train", "test")]
    if both and folders[0] & folders[1]:
        raise InputError(
            f"{len(both)} ids stand in {how.train_csv} and in {how.test_csv}: {first(both)}. "
            "Split them, or give the test images a folder of their own."
        )
