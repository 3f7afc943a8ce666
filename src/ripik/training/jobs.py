"""Which trainings a run consists of, what each depends on, and which of them are finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ripik.errors import InputError, nearest
from ripik.features.store import VariantData, pixel_passes, training_passes
from ripik.models.weight_files import weights_inputs
from ripik.names import ALL, DATA, HEAD, LOGISTIC, ONE
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.storage.up_to_date import Artifact
from ripik.variants import Variant

OF_OTHERS = {  # settings of a variant that determine no weights, or stand beside them
    *("name", "seeds", "refit", "weights", "distribute", "predict_sizes", "tuned"),
}
FIT_TO_COPIES = 1  # to be raised when what a fitted head learns from copies changes
NETWORK = 3  # to be raised when the trained part, its training or its prediction changes by more than rounding


def choose_variants(settings: Settings, names: Sequence[str] = ()) -> list[Variant]:
    """Return the named variants (none: all) and those they start from, each after its start.

    Raises InputError for a name the configuration does not declare.
    """
    chosen: dict[str, Variant] = {}
    for name in names or settings.variants:
        if name not in settings.variants:
            parted = " Separate several names by spaces." if "," in name else ""
            raise InputError(f"there is no variant {name!r}{nearest(name, list(settings.variants))}.{parted}")
        for variant in reversed(chain(settings, settings.variants[name])):
            chosen.setdefault(variant.name, variant)
    return list(chosen.values())


def chain(settings: Settings, variant: Variant) -> list[Variant]:
    """Return the variant, the one it starts from, and so on."""
    return [variant] if not variant.start else [variant, *chain(settings, settings.variants[variant.start])]


def jobs_of(settings: Settings, variant: Variant, folds: Sequence[int] = ()) -> list[Job]:
    """Return the variant's jobs: every fold (or the given ones) and seed, and the refit where it has one."""
    numbers: list[int | None] = list(dict.fromkeys(folds) or range(settings.folds.n_splits))
    if variant.refit and not folds:
        numbers.append(None)
    return [Job(variant.name, fold, seed) for fold in numbers for seed in range(variant.seeds)]


def is_distributed(variant: Variant) -> bool:
    """Whether all GPUs of a machine share a training of the variant; a head alone would only wait for them."""
    return variant.distribute == DATA and variant.train_from != HEAD


def check_folds(settings: Settings, folds: Sequence[int]) -> None:
    """Raise InputError for a fold number the configuration does not have."""
    for fold in folds:
        if not 0 <= fold < settings.folds.n_splits:
            raise InputError(f"there is no fold {fold}: the folds are 0 … {settings.folds.n_splits - 1}.")


def job_seed(variant: Variant, job: Job) -> int:
    """Return the seed of a job's random numbers, a function of the variant's seed, the fold and the seed number."""
    key = artifacts.digest([variant.seed, job.fold, job.seed])
    return int(key[:8], 16) % 2**31


@dataclass(frozen=True, eq=False)
class Training:
    """One training of a run: its variant, fold and seed number are the job's."""

    run: Run
    job: Job

    def __str__(self) -> str:
        return str(self.job)

    @property
    def variant(self) -> Variant:
        """The variant that is trained."""
        return self.run.settings.variants[self.job.variant]

    @property
    def data(self) -> VariantData:
        """What its network reads."""
        return VariantData(self.run, self.variant)

    @property
    def seed(self) -> int:
        """The seed of its random numbers; see `job_seed`."""
        return job_seed(self.variant, self.job)

    @property
    def start(self) -> Training | None:
        """The training whose weights are this one's starting point."""
        name = self.variant.start
        return Training(self.run, Job(name, self.job.fold, self.job.seed)) if name else None

    @property
    def rows(self) -> np.ndarray:
        """The rows of train.csv outside the held fold that are trained on: of all folds for a refit."""
        return np.flatnonzero((self.run.folds["fold"].to_numpy() != self._held) & ~self.run.competition.ignored)

    @property
    def held_rows(self) -> np.ndarray:
        """The rows of train.csv that it predicts out of fold; none for a refit."""
        return np.flatnonzero(self.run.folds["fold"].to_numpy() == self._held)

    @property
    def _held(self) -> int:
        return -1 if self.job.fold is None else self.job.fold

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.run.layout.job(self.job)

    @property
    def state(self) -> Path:
        """The file of its saved state."""
        return self.run.layout.state(self.job)

    @property
    def meta(self) -> Path:
        """The file that marks it as finished."""
        return self.folder / "meta.json"

    @property
    def weights(self) -> Path:
        """The weights that it predicts with: the last, or the best of the inner split where it has one."""
        return self.folder / ("best.weights.h5" if self.variant.inner_split > 0 else "last.weights.h5")

    def checked_weights(self) -> Path:
        """Return `weights`, held against the recorded checksum; raises SurroundingsError where it is another."""
        return artifacts.check_recorded(self.weights, self.meta, "Run `make train` again.")

    @property
    def predictions(self) -> Path:
        """The file of its probabilities, OOF and test."""
        return self.folder / "predictions.npz"

    @property
    def predictions_meta(self) -> Path:
        """The file that records what the predictions were made from."""
        return self.predictions.with_suffix(".meta.json")

    def inputs(self) -> dict[str, Any]:
        """Return what determines its weights; where the recorded inputs differ it is stale."""
        run, variant, start = self.run, self.variant, self.start
        return {
            "version": NETWORK,
            "variant": variant.recorded(exclude=OF_OTHERS),
            "weights": weights_inputs(variant),
            "seed_number": self.job.seed,
            "fold": self.job.fold,
            "folds": run.folds_digest,
            **run.competition.correction_inputs(),
            **(_fitted(run.settings, variant) if variant.solver == LOGISTIC else _drawn(run, variant)),
            "classes": list(run.competition.classes),
            "pixels": [self.data.pixel_inputs(pass_) for pass_ in training_passes(variant)],
            "copies": run.settings.augmentation.copies if variant.data == "augmented" else None,
            "features": None if variant.train_from == ALL else _features(run.settings),
            "start": [start.inputs(), start.weights_digest] if start else None,
        }

    def prediction_inputs(self) -> dict[str, Any]:
        """Return what determines its predictions."""
        reading, how = self.data.reading, self.run.settings.prediction.recorded(exclude={"merge", "batch_size"})
        seen = {"views": [pass_.name for pass_ in reading.predicted("train")]}
        pixels = pixel_passes([*reading.predicted("train"), *reading.predicted("test")])
        return {
            "training": artifacts.digest(self.inputs()),
            "weights": self.weights_digest,
            "prediction": how | seen,
            "pixels": [self.data.pixel_inputs(pass_) for pass_ in pixels],
        }

    @property
    def trained(self) -> Artifact:
        """Its weights and history, by what determines them."""
        files = tuple(self.folder / name for name in ("last.weights.h5", "best.weights.h5", "history.csv"))
        return Artifact(self.meta, self.inputs(), files)

    @property
    def predicted(self) -> Artifact:
        """Its predictions, by what determines them."""
        return Artifact(self.predictions_meta, self.prediction_inputs(), (self.predictions,))

    @property
    def weights_digest(self) -> str | None:
        """The recorded checksum of the values of the weights it predicts with; None before they are there."""
        digest: str | None = (artifacts.read_meta(self.meta) or {}).get("weights", {}).get(self.weights.name)
        return digest

    @property
    def predictions_digest(self) -> str | None:
        """The recorded checksum of the file of its predictions; None before it is there."""
        return artifacts.recorded_digest(self.predictions, self.predictions_meta)

    @property
    def is_trained(self) -> bool:
        """Whether its weights are there and were made from the present inputs."""
        return self.trained.is_fresh

    @property
    def is_predicted(self) -> bool:
        """Whether its predictions are there and were made from the present inputs."""
        return self.predicted.is_fresh

    @property
    def is_done(self) -> bool:
        """Whether it is trained and predicted."""
        return self.is_trained and self.is_predicted

    def check_stores(self) -> None:
        """Raise InputError when what the network reads is not stored, or was made from other data than `run` has."""
        lacking = self.data.lacking()
        if lacking:
            raise InputError(
                f"{self}: the stored images or features of {lacking[0].split} are missing, or were made from other "
                "data: the competition's files changed during the run, or the stored files were deleted. Run `make "
                "train` again."
            )


def trainings_of(run: Run, variant: Variant, folds: Sequence[int] = ()) -> list[Training]:
    """Return a variant's trainings: every fold (or the given ones) and seed, and the refit where it has one."""
    return [Training(run, job) for job in jobs_of(run.settings, variant, folds)]


def unfinished(run: Run) -> list[str]:
    """Return the variants with a training that is missing, or that the present settings and data did not make."""
    return [variant.name for variant in run.settings.variants.values() if not _is_finished(run, variant)]


def _is_finished(run: Run, variant: Variant) -> bool:
    try:
        return all(each.is_done for each in trainings_of(run, variant))
    except InputError:  # a file that determines a training is not there
        return False


def told_unfinished(names: Sequence[str]) -> str:
    """Return a sentence on the variants that `unfinished` names."""
    return (
        f"the trainings of {', '.join(names)} are missing, or were made with other settings or data; out-of-fold "
        "predictions and blend are as they were then. Run `make train ensemble report`"
    )


def predicting(run: Run, variant: Variant) -> list[Training]:
    """Return the trainings whose mean predicts the test set: the refits where there are some, or else all folds'."""
    return [each for each in trainings_of(run, variant) if (each.job.fold is None) == variant.refit]


def _fitted(settings: Settings, variant: Variant) -> dict[str, Any]:
    """Return what else determines a head that is fitted at once."""
    copies = any(pass_.copies for pass_ in training_passes(variant))
    return {"views": list(settings.prediction.views), **({"fit": FIT_TO_COPIES} if copies else {})}


def _drawn(run: Run, variant: Variant) -> dict[str, Any]:
    """Return what else determines a training by epochs."""
    return {"near_copies": run.photos_digest} if variant.near_copies_per_epoch == ONE else {}


def _features(settings: Settings) -> dict[str, Any]:
    return {**settings.features.recorded(), "engine": settings.prediction.engine}
