"""A run's settings and data, opened once for all that a command does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.config import to_toml
from ripik.data.competition import Competition
from ripik.data.image_check import open_competition
from ripik.errors import InputError
from ripik.settings import Settings
from ripik.splits.folds import read_folds
from ripik.storage import artifacts
from ripik.storage.paths import Job, Layout, layout_of


@dataclass(frozen=True)
class Run:
    """A run's settings and data, as every job reads them."""

    settings: Settings
    competition: Competition
    folds: pd.DataFrame
    folds_digest: str  # of the file as it was read

    @property
    def layout(self) -> Layout:
        """Where the run's files lie."""
        return layout_of(self.settings)

    def training_rows(self, job: Job) -> np.ndarray:
        """Return the rows of train.csv that the job trains on: all but the held fold's."""
        return np.flatnonzero(self.folds["fold"].to_numpy() != (-1 if job.fold is None else job.fold))

    def held_rows(self, job: Job) -> np.ndarray:
        """Return the rows of train.csv that the job predicts out of fold; none for a refit."""
        return np.flatnonzero(self.folds["fold"].to_numpy() == (-1 if job.fold is None else job.fold))

    def targets(self) -> np.ndarray:
        """Return the class index of every row of train.csv by the organiser's labels: what is scored, int64 (n,)."""
        return self.competition.class_indices().to_numpy()

    def training_targets(self) -> np.ndarray:
        """Return the class index of every row of train.csv that is trained on: as corrected, int64 (n,)."""
        return self.competition.training_indices().to_numpy()


def open_run(settings: Settings, *, check: bool = True) -> Run:
    """Read the competition and its folds; see `image_check.open_competition` for `check`."""
    competition, path = open_competition(settings, check=check), layout_of(settings).folds
    before = artifacts.file_digest(path) if path.exists() else ""
    folds = read_folds(settings, competition)
    if artifacts.file_digest(path) != before:
        raise InputError(f"{path} changed while it was read. Run the same command again.")
    return Run(settings, competition, folds, before)


def record_run(run: Run) -> None:
    """Write `config.toml` (every default written out) and `images.csv`, unless they stand there as they would be.

    Columns of `images.csv`: image_id, split (train or test), path (absolute), train above test; and where labels are
    corrected, corrected (the label as it is trained on, where that is another than the organiser's).
    """
    _write_if_changed(run.layout.config, to_toml(run.settings))
    _write_if_changed(run.layout.images, artifacts.csv_text(_images(run.competition)))


def _images(competition: Competition) -> pd.DataFrame:
    splits = [competition.rows(split)[["image_id", "path"]].assign(split=split) for split in ("train", "test")]
    both = pd.concat(splits, ignore_index=True)
    both = both.assign(path=[str(Path(path).absolute()) for path in both["path"]])[["image_id", "split", "path"]]
    other = competition.is_corrected
    if not other.any():
        return both
    labels = competition.train["training_label"].astype(str).where(other, "")
    return both.assign(corrected=[*labels, *[""] * len(competition.test)])


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        artifacts.write_text(path, text)
