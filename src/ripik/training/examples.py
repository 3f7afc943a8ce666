"""The course of a training: which examples each epoch shows, in which batches, over how many optimizer steps."""

import functools
from dataclasses import dataclass

import numpy as np

from ripik.errors import InputError
from ripik.features.batches import Batches, epoch_examples, id_keys
from ripik.features.store import examples_per_photo, source_path, training_passes, trains_head_alone, versions_per_photo
from ripik.settings import Variant
from ripik.splits.run import Run
from ripik.splits.splitting import split
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training.jobs import job_seed
from ripik.training.optimizer import class_weights, learning_rate

INNER_PARTS = 20  # parts of the training folds of which the inner split is made


def inner_split(run: Run, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows to train on, rows of the inner split); the latter is empty without `inner_split`.

    The inner split is a grouped, stratified part of the training folds, so that choosing an epoch never looks at the
    held fold.
    """
    rows = run.training_rows(job)
    share = run.settings.variants[job.variant].inner_split
    if not share:
        return rows, rows[:0]
    groups = run.folds["group"].to_numpy()[rows]
    seed = job_seed(run.settings.variants[job.variant], job)
    targets = run.training_targets()[rows]
    number = min(INNER_PARTS, len(np.unique(groups)), np.bincount(targets).max())
    if number < 2:
        raise InputError(f"{job}: too few photos for an inner split. Set inner_split = 0.")
    inner = split(targets, groups, number, seed) < max(1, round(share * number))
    return rows[~inner], rows[inner]


@dataclass(frozen=True)
class Course:
    """What one job goes through: the rows of train.csv it trains on, and among how many devices a batch is divided."""

    run: Run
    job: Job
    rows: np.ndarray
    devices: int = 1

    @property
    def variant(self) -> Variant:
        """The job's variant."""
        return self.run.settings.variants[self.job.variant]

    @functools.cached_property
    def source(self) -> PackedRows:
        """What is stored for the network to read."""
        return PackedRows(
            [source_path(self.run.settings, self.variant, pass_) for pass_ in training_passes(self.variant)]
        )

    @property
    def epoch_steps(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-len(self.rows) * examples_per_photo(self.run.settings, self.variant) // self.variant.batch_size)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.variant.epochs * self.epoch_steps

    def rate(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        return learning_rate(self.variant, self.steps, step)

    def batches(self, epoch: int, done: int = 0) -> Batches:
        """Return the batches of an epoch (from 0) but for those done."""
        how, seed = (self.run.settings, self.variant), job_seed(self.variant, self.job)
        examples = epoch_examples(
            id_keys(self.run.competition.train["image_id"]),
            self.rows,
            versions_per_photo(*how),
            examples_per_photo(*how),
            seed=seed,
            epoch=epoch,
        )
        return Batches(
            self.source,
            examples[done * self.variant.batch_size :],
            self.variant.batch_size,
            targets=np.eye(len(self.run.competition.classes), dtype="float32")[self.run.training_targets()],
            class_weights=class_weights(self.run, self.variant, self.rows),
            devices=self.devices,
            dropout=self.variant.dropout if trains_head_alone(*how) else 0.0,
            seed=(seed, epoch),
        )
