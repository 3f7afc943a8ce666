"""A trial: a variant with other values, trained fold by fold as any job, of which only history and OOF are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ripik.analysis.metrics import FloatArray
from ripik.console import warn
from ripik.errors import InputError, is_damage
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.checkpoint import UNREADABLE
from ripik.training.jobs import Training
from ripik.tuning.ranges import with_values
from ripik.variants import Variant


@dataclass(frozen=True)
class Proposal:
    """A trial's number, from 0, and its values by key."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True, eq=False)
class TrialTraining(Training):
    """A training of a trial: as of the variant, but its files lie in the trial's own folder."""

    home: Path

    @property
    def folder(self) -> Path:
        """Where its files lie while it is trained."""
        return self.home / self.job.folder

    @property
    def state(self) -> Path:
        """The file of its saved state."""
        return self.folder / "state.npz"


@dataclass(frozen=True, eq=False)
class Trial:
    """A proposal in a run; `base` has the variant as the configuration has it."""

    base: Run
    variant: Variant
    proposal: Proposal

    @property
    def number(self) -> int:
        """Its number, from 0."""
        return self.proposal.number

    @cached_property
    def run(self) -> Run:
        """The run as the trial sees it: the same data and folds, the variant with the trial's values."""
        settings = with_values(self.base.settings, self.variant, self.proposal.values)
        return replace(self.base, settings=settings, given=(self.base.folds, self.base.folds_digest))

    def problem(self) -> str:
        """Return why a configuration would refuse its values; empty where none would."""
        try:
            self.run  # noqa: B018 - made to see whether it can be
        except InputError as error:
            return str(error)
        return ""

    @property
    def home(self) -> Path:
        """The folder of its files."""
        return self.base.layout.tune(self.variant.name) / f"trial{self.number:04}"

    def trainings(self, fold: int) -> list[TrialTraining]:
        """Return its trainings of a fold, one a seed."""
        run = self.run
        return [TrialTraining(run, Job(self.variant.name, fold, seed), self.home) for seed in range(self.variant.seeds)]

    def result(self, fold: int) -> Result:
        """Return its result of a fold, which may not be there yet."""
        return Result(self.home / f"fold{fold}.npz", self.trainings(fold))


@dataclass(frozen=True)
class Outcome:
    """What a trial says of a fold's held rows, float64 (held, C), in the order of train.csv; None where it diverged.

    history: a row an epoch of each seed.
    """

    oof: FloatArray | None
    history: list[dict[str, float]]
    seconds: float


@dataclass(frozen=True, eq=False)
class Result:
    """The file that is kept of a fold of a trial: its probabilities, history and what it was made from."""

    path: Path
    trainings: Sequence[TrialTraining]

    def inputs(self) -> str:
        """Return a digest of what determines the probabilities."""
        how = self.trainings[0].run.settings.prediction
        return artifacts.digest(
            [
                *(each.inputs() for each in self.trainings),
                how.recorded(exclude={"batch_size"}),
                list(self.trainings[0].variant.predict_sizes),
                self.held_ids().tolist(),
            ]
        )

    def held_ids(self) -> np.ndarray:
        """Return the ids of the held rows."""
        training = self.trainings[0]
        return training.run.competition.train["image_id"].to_numpy(dtype=str)[training.held_rows]

    def write(self, outcome: Outcome) -> None:
        """Write the file."""
        told = {"inputs": self.inputs(), "history": outcome.history, "seconds": outcome.seconds}
        arrays = {} if outcome.oof is None else {"oof": outcome.oof, "held_ids": self.held_ids()}
        with artifacts.replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, told=np.array(json.dumps(told)), **arrays)

    def clear(self) -> None:
        """Remove what its trainings saved on the way to it."""
        for each in self.trainings:
            shutil.rmtree(each.folder, ignore_errors=True)

    def read(self) -> Outcome | None:
        """Return what was kept; None where there is nothing, or it was made from something else, or is damaged."""
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                told = json.loads(str(stored["told"]))
                oof = np.asarray(stored["oof"]) if "oof" in stored.files else None
                outcome = Outcome(oof, told["history"], float(told["seconds"]))
                made_from = told["inputs"]
        except UNREADABLE as error:
            if not is_damage(error):
                raise
            warn(f"{self.path} is damaged: that fold is trained again")
            return None
        return outcome if made_from == self.inputs() else None
