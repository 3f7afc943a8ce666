"""Read and check the organiser's files: CSVs or class folders, and the images."""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.data.corrections import with_corrections
from ripik.data.csv_tables import first, listed
from ripik.data.image_rows import Sample, test_rows, train_rows
from ripik.data.label_cells import read_labels
from ripik.data.pixel_rule import USUAL, PixelRule
from ripik.data.places import Place
from ripik.data.spellings import visible
from ripik.data.submission_form import Form, form_of
from ripik.errors import InputError
from ripik.names import SHARE
from ripik.settings import CompetitionSettings, Label, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of


@dataclass(frozen=True)
class Competition:
    """The competition's data. Ids are text, exactly as written in the CSVs.

    train: frame with image_id (str), path (Path), label (int or str, the organiser's, by which everything is scored),
        training_label (as `competition.corrections` has it, the same without), and group (str, the text of
        `competition.group_column`) where that is set, in the order of train.csv; readable (bool); and where labels are
        soft, `share_<label>` of every class, and corrected (bool) where `competition.corrections` is set; weight
        (float) and ignored (bool) where rows differ in these.
    test: frame with image_id, path, readable, and group where test.csv has that column too, in the order of test.csv.
    sample: the sample submission, all columns as text; empty where there is none.
    classes: the label values in class order.
    form: what a submission is made of, as the sample and the settings ask for it; None where there is no sample.
    rule: how its images are decoded. ruled: the splits with images of which the rule makes other pixels than OpenCV.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    classes: tuple[Label, ...]
    form: Form | None
    rule: PixelRule = USUAL
    ruled: tuple[str, ...] = ()

    @functools.cached_property
    def fingerprints(self) -> dict[str, str]:
        """A hash of each split's ids and images as they were when first asked for; see `fingerprint`."""
        return {split: _digest(self.rows(split)) for split in ("train", "test")}

    @property
    def asked(self) -> Form:
        """The form of a submission; InputError where there is no sample submission to ask for one."""
        if self.form is None:
            raise InputError(
                "there is no sample submission, so no submission can be written or checked: put the organiser's into "
                "the competition's folder and name it in competition.sample_submission."
            )
        return self.form

    @property
    def share_columns(self) -> list[str]:
        """The columns of `train` that hold the shares of soft labels, in class order."""
        return [f"{SHARE}{label}" for label in self.classes]

    @functools.cached_property
    def shares(self) -> np.ndarray | None:
        """The shares of every training row's classes, float64 (n, C); None unless labels are soft."""
        soft = set(self.share_columns) <= set(self.train.columns)
        return self.train[self.share_columns].to_numpy(np.float64) if soft else None

    def share_inputs(self) -> dict[str, str]:
        """Return what a step that trains or scores records of soft labels; nothing where there are none."""
        return {} if self.shares is None else {"shares": artifacts.digest(self.shares.tolist())}

    @property
    def ignored(self) -> np.ndarray:
        """Which training rows training leaves out, bool (n,); they are predicted and scored all the same."""
        none = np.zeros(len(self.train), bool)
        return self.train["ignored"].to_numpy(bool) if "ignored" in self.train else none

    @property
    def weights(self) -> np.ndarray | None:
        """How much each training row counts in training, float64 (n,), above 0; None: all the same."""
        return self.train["weight"].to_numpy(np.float64) if "weight" in self.train else None

    @property
    def is_corrected(self) -> pd.Series:
        """Whether `competition.corrections` gives a training row another label, or one class for shares, bool (n,)."""
        changed: pd.Series = self.train.get("corrected", self.train["training_label"] != self.train["label"])
        return changed

    def class_indices(self) -> pd.Series:
        """Return the class index (0…C−1) of every training row by the organiser's label, indexed by image_id."""
        return self._indices("label")

    def training_indices(self) -> pd.Series:
        """Return the class index (0…C−1) that every row is trained on: as corrected, indexed by image_id."""
        return self._indices("training_label")

    def correction_inputs(self) -> dict[str, str]:
        """Return what a step that trains records of labels beside train.csv's; nothing where there are none."""
        corrected, labels = self.is_corrected.any(), self.train["training_label"].tolist()
        left_out = self.train["image_id"][self.ignored].tolist()
        hard = self.is_corrected & (self.train["training_label"] == self.train["label"])
        return {
            **({"corrections": artifacts.digest(labels)} if corrected else {}),
            **({"hardened": artifacts.digest(self.train["image_id"][hard].tolist())} if hard.any() else {}),
            **({"ignored": artifacts.digest(left_out)} if left_out else {}),
            **({} if self.weights is None else {"row_weights": artifacts.digest(self.weights.tolist())}),
            **self.share_inputs(),
        }

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
    that do not fit (see `corrections.with_corrections`).
    """
    how, root = settings.competition, layout_of(settings).input
    train, place = train_rows(root, how, missing_ok)
    test, sample = test_rows(root, how, missing_ok)
    _check_disjoint(train, test, root, how)
    train = train.assign(label=read_labels(train["label"], place, how))
    classes = _classes(train, place, how)
    train = with_corrections(train, how, root, classes)
    _check_trained(train, classes, how)
    return _whole(train, test, sample, classes, how)


def read_test_set(settings: Settings, train: pd.DataFrame, classes: tuple[Label, ...]) -> Competition:
    """Read the test set and the sample submission alone, for a run trained elsewhere on the rows `train`.

    train: image_id, label; its images are nowhere. Up to half of the test images may be missing; they are not readable.
    Raises InputError as `read_competition` does.
    """
    how, root = settings.competition, layout_of(settings).input
    test, sample = test_rows(root, how, True)
    return _whole(train.assign(training_label=train["label"]), test, sample, classes, how)


def _whole(
    train: pd.DataFrame, test: pd.DataFrame, sample: Sample | None, classes: tuple[Label, ...], how: CompetitionSettings
) -> Competition:
    train, test = train.reset_index(drop=True), test.reset_index(drop=True)
    if sample is None:
        return Competition(train, test, pd.DataFrame(), classes, None)
    form = form_of(sample.table, how, classes, sample.path, sample.id_column, sample.left_out)
    return Competition(train, test, sample.table.reset_index(drop=True), classes, form)


def fingerprint(competition: Competition, split: str) -> str:
    """Return a hash of a split's ids and images; of a competition read later, it shows whether a file was replaced."""
    return competition.fingerprints[split]


def _classes(train: pd.DataFrame, place: Place, how: CompetitionSettings) -> tuple[Label, ...]:
    present = sorted(train["label"].unique().tolist())
    classes = how.classes or _in_order(how) or tuple(present)
    kind = int if how.label_type == "integer" else str
    if not all(isinstance(label, kind) for label in classes):
        raise InputError(
            f"competition.classes {listed(classes)} do not all match the label_type "
            f"{how.label_type!r}. Change one of the two."
        )
    if len(set(classes)) < len(classes):
        raise InputError(f"competition.classes lists a class twice: {listed(classes)}. List each once.")
    unknown = [label for label in present if label not in classes]
    if unknown:
        where = place.at(train.index[train["label"] == unknown[0]][0])
        raise InputError(
            f"{where}: label {visible(unknown[0])} is not one of competition.classes {listed(classes)}. "
            f"{place.remedy}, or add the class to the setting."
        )
    absent = [label for label in classes if label not in present]
    if absent:
        raise InputError(
            f"{place.whole}: no row has the label {first(absent)}, which "
            f"competition.{'classes' if how.classes else 'label_columns'} lists. Remove it there."
        )
    if len(classes) < 2:
        raise InputError(
            f"{place.whole}: at least two classes are needed, found {listed(classes)} only. Is "
            f"competition.{'train_images' if how.of_folders else 'label_column'} right?"
        )
    return tuple(classes)


def _in_order(how: CompetitionSettings) -> tuple[Label, ...]:
    """Return the labels in the order of `competition.label_columns`; none where one column holds them."""
    return tuple(name if how.label_type == "string" else int(name) for name in how.label_columns)


def _check_trained(train: pd.DataFrame, classes: Sequence[Label], how: CompetitionSettings) -> None:
    """Raise InputError where all rows of a class are left out of training."""
    if "ignored" in train:
        left = set(train["training_label"][~train["ignored"]])
        gone = [label for label in classes if label not in left]
        if gone:
            raise InputError(
                f"{how.listed_in('train')}: competition.ignore leaves out all images of {first(gone)}, but a class "
                "without images cannot be learned. Keep some."
            )


def _check_disjoint(train: pd.DataFrame, test: pd.DataFrame, root: Path, how: CompetitionSettings) -> None:
    """Raise InputError for ids of both sets in a common folder, and for files of both where no CSV asks for it."""
    both = sorted(set(train["image_id"]) & set(test["image_id"]))
    folders = [{root / folder for folder in how.image_folders(split)} for split in ("train", "test")]
    if both and folders[0] & folders[1]:
        raise InputError(
            f"{len(both)} ids are in both {how.listed_in('train')} and {how.listed_in('test')}: {first(both)}. "
            "Separate them, or put the test images in a folder of their own."
        )
    shared = [] if how.table("test") else sorted(map(str, set(train["path"]) & set(test["path"])))
    if shared:
        raise InputError(
            f"{len(shared)} images are in both the training set and the test set, by competition.train_images and "
            f"test_images: {first(shared)}. Put the test images in a folder that has no training images and is not "
            "inside theirs, or list them in competition.test_csv."
        )
