"""A run's settings and data, opened once for all that a command does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.analysis.truth import OF_SHARES, with_corrected
from ripik.config import to_toml
from ripik.data.competition import Competition
from ripik.data.image_check import open_competition
from ripik.errors import InputError
from ripik.settings import Settings
from ripik.splits.folds import read_folds, write_folds
from ripik.splits.groups import groups_of, read_groups
from ripik.storage import artifacts
from ripik.storage.paths import Layout, layout_of


@dataclass(frozen=True, eq=False)
class Run:
    """A run's settings and data: the competition, as it was read; groups and folds, when first asked for.

    given: folds and their digest where they do not come from folds.csv.
    """

    settings: Settings
    competition: Competition
    given: tuple[pd.DataFrame, str] | None = None

    @classmethod
    def open(cls, settings: Settings, *, check: bool = True) -> Run:
        """Read the competition; see `image_check.open_competition` for `check`."""
        return cls(settings, open_competition(settings, check=check))

    @property
    def folds(self) -> pd.DataFrame:
        """The content of folds.csv (`folds.read_folds`), as it was when it was first asked for."""
        return self._folds[0]

    @property
    def folds_digest(self) -> str:
        """The checksum of folds.csv as it was read."""
        return self._folds[1]

    @cached_property
    def _folds(self) -> tuple[pd.DataFrame, str]:
        if self.given is not None:
            return self.given
        path = self.layout.folds
        before = artifacts.file_digest(path) if path.exists() else ""
        folds = read_folds(self.settings, self.competition)
        if artifacts.file_digest(path) != before:
            raise InputError(f"{path} changed while it was read. Run the same command again.")
        return folds, before

    @cached_property
    def groups(self) -> pd.DataFrame:
        """The content of groups.csv (`groups.read_groups`), as it was when it was first asked for."""
        return read_groups(self.settings, self.competition)

    def photos(self, split: str) -> np.ndarray:
        """Return which images of a split are near copies: equal numbers, (n,)."""
        return groups_of(self.groups, split)

    @cached_property
    def photos_digest(self) -> str:
        """A checksum of which training images are near copies."""
        return artifacts.digest(self.photos("train").tolist())

    @property
    def layout(self) -> Layout:
        """Where the run's files lie."""
        return layout_of(self.settings)

    def targets(self) -> np.ndarray:
        """Return the class index of every row of train.csv by the organiser's labels: what is scored, int64 (n,)."""
        return self.competition.class_indices().to_numpy()

    def truth(self) -> np.ndarray:
        """Return what is scored: `targets`, or where labels are soft and the metric takes them so, their shares (n, C),
        float64 (`analysis.truth`)."""
        shares = self.competition.shares
        return shares if shares is not None and self.settings.competition.metric == OF_SHARES else self.targets()

    def corrected_truth(self) -> np.ndarray:
        """Return `truth` by the corrected labels; of shares, corrected rows are one class."""
        return with_corrected(self.truth(), self.training_targets(), self.competition.is_corrected.to_numpy())

    def training_shares(self) -> np.ndarray:
        """Return what every row of train.csv is trained on: one-hot, or the shares of soft labels; float32 (n, C)."""
        one_hot = np.eye(len(self.competition.classes), dtype="float32")[self.training_targets()]
        shares = self.competition.shares
        if shares is None:
            return one_hot
        corrected = self.competition.is_corrected.to_numpy()
        return np.where(corrected[:, None], one_hot, shares).astype("float32")

    def training_truth(self) -> np.ndarray:
        """Return what trainings are scored by: `training_targets`, or where labels are soft, shares float64 (n, C)."""
        if self.competition.shares is None:
            return self.training_targets()
        shares = self.training_shares().astype(np.float64)
        return shares / shares.sum(axis=1, keepdims=True)

    def training_targets(self) -> np.ndarray:
        """Return the class index of every row of train.csv that is trained on: as corrected, int64 (n,)."""
        return self.competition.training_indices().to_numpy()


def make_folds(settings: Settings) -> Path:
    """Write `groups.csv` and `folds.csv` where they are not up to date; return the path of the latter.

    See `folds.write_folds`.
    """
    return split_run(Run.open(settings))


def split_run(run: Run) -> Path:
    """Make the groups and folds of a run that was opened before they were there; return the path of folds.csv."""
    return write_folds(run.settings, run.competition)


def record_run(run: Run) -> None:
    """Write `config.toml` (every default written out) and `images.csv`, unless they stand there as they would be.

    Columns of `images.csv`: image_id, split (train or test), path (absolute), train above test; and where labels are
    corrected, corrected (the label as it is trained on, where that is another than the organiser's, or one class in
    place of shares); and where labels are soft, `share_<label>` of every class.
    """
    _write_if_changed(run.layout.config, to_toml(run.settings))
    _write_if_changed(run.layout.images, artifacts.csv_text(_images(run.competition)))


def _images(competition: Competition) -> pd.DataFrame:
    splits = [competition.rows(split)[["image_id", "path"]].assign(split=split) for split in ("train", "test")]
    both = pd.concat(splits, ignore_index=True)
    both = both.assign(path=[str(Path(path).absolute()) for path in both["path"]])[["image_id", "split", "path"]]
    if competition.shares is not None:
        names = competition.share_columns
        both = pd.concat([both, pd.concat([competition.train[names], competition.test[[]]], ignore_index=True)], axis=1)
    other = competition.is_corrected
    if not other.any():
        return both
    labels = competition.train["training_label"].astype(str).where(other, "")
    return both.assign(corrected=[*labels, *[""] * len(competition.test)])


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        artifacts.write_text(path, text)
