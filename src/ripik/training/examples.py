"""The course of a training: which examples each epoch shows, in which batches, over how many optimizer steps."""

import functools
from dataclasses import dataclass

import numpy as np

from ripik.augmentation.live import Live
from ripik.errors import InputError
from ripik.features.batches import Altered, Batches, Draws, Source, epoch_examples, id_keys, one_a_group, uniform
from ripik.features.store import Reading, training_passes
from ripik.features.versions import Versions
from ripik.names import NONE, ONE
from ripik.splits.run import Run
from ripik.splits.splitting import split
from ripik.storage.packed_rows import PackedRows
from ripik.training.jobs import Training
from ripik.training.schedule import learning_rates
from ripik.variants import Variant

INNER_PARTS = 20  # parts of the training folds of which the inner split is made


def inner_split(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows to train on, rows of the inner split); the latter is empty without `inner_split`.

    The inner split is a grouped, stratified part of the training folds, so that choosing an epoch never looks at the
    held fold. Of a class that would be left without a row to train on, a group stays there.
    """
    run, rows = training.run, training.rows
    share = training.variant.inner_split
    if not share:
        return rows, rows[:0]
    groups = run.folds["group"].to_numpy()[rows]
    targets = run.training_targets()[rows]
    number = min(INNER_PARTS, len(np.unique(groups)), np.bincount(targets).max())
    if number < 2:
        raise InputError(f"{training}: too few photos for an inner split. Set inner_split = 0.")
    inner = split(targets, groups, number, training.seed) < max(1, round(share * number))
    for absent in np.setdiff1d(targets, targets[~inner]):
        inner &= groups != groups[targets == absent].min()
    if not inner.any():
        raise InputError(f"{training}: every class needs its photos to train on. Set inner_split = 0.")
    return rows[~inner], rows[inner]


@dataclass(frozen=True)
class Course:
    """What a training goes through: the rows of train.csv it sees, and among how many devices a batch is divided.

    stored: what its network reads, where that is open already. draws: what dropout is drawn by.
    """

    training: Training
    rows: np.ndarray
    devices: int = 1
    stored: Source | None = None
    draws: Draws = uniform

    @property
    def variant(self) -> Variant:
        """The variant that is trained."""
        return self.training.variant

    @property
    def reading(self) -> Reading:
        """What its network reads."""
        return self.training.data.reading

    @functools.cached_property
    def source(self) -> Source:
        """What is stored for the network to read."""
        return self.stored or PackedRows([self.reading.path(pass_) for pass_ in training_passes(self.variant)])

    @functools.cached_property
    def shares(self) -> np.ndarray:
        """How much of each row an epoch shows on average, float (len(rows),): 1, or the like of its near copies."""
        if self.variant.near_copies_per_epoch != ONE:
            return np.ones(len(self.rows))
        _, group, sizes = np.unique(self._groups[self.rows], return_inverse=True, return_counts=True)
        return 1 / sizes[group]

    @property
    def _groups(self) -> np.ndarray:
        return self.training.run.photos("train")

    @property
    def epoch_rows(self) -> int:
        """How many rows an epoch shows."""
        return round(self.shares.sum())

    @property
    def epoch_steps(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-self.epoch_rows * self.reading.examples_per_photo // self.variant.batch_size)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.variant.epochs * self.epoch_steps

    def rate(self, step: int) -> float:
        """Return the learning rate after so many steps."""
        return float(self.rates[step])

    @functools.cached_property
    def rates(self) -> np.ndarray:
        """The learning rates after every number of steps, float32 (steps + 1,)."""
        return learning_rates(self.variant, self.steps)

    @functools.cached_property
    def keys(self) -> np.ndarray:
        """What the order of the examples is drawn by (`id_keys`)."""
        return id_keys(self.training.run.competition.train["image_id"])

    def examples(self, epoch: int) -> np.ndarray:
        """Return the examples of an epoch (from 0), as `epoch_examples` does."""
        seed, rows = self.training.seed, self.rows
        if self.variant.near_copies_per_epoch == ONE:
            rows = one_a_group(self.keys, rows, self._groups, seed=seed, epoch=epoch)
        versions, shown = self.reading.versions_per_photo, self.reading.examples_per_photo
        return epoch_examples(self.keys, rows, versions, shown, seed=seed, epoch=epoch)

    def batches(self, epoch: int, done: int = 0) -> Batches:
        """Return the batches of an epoch (from 0) but for those done."""
        run, seed = self.training.run, self.training.seed
        return Batches(
            self.source,
            self.examples(epoch)[done * self.variant.batch_size :],
            self.variant.batch_size,
            targets=run.training_shares(),
            class_weights=class_weights(run, self.variant, self.rows, self.shares),
            row_weights=row_weights(run, self.rows),
            devices=self.devices,
            dropout=self.variant.dropout if self.reading.head_alone else 0.0,
            seed=(seed, epoch),
            altered=self._altered(epoch),
            draws=self.draws,
        )

    def _altered(self, epoch: int) -> Altered | None:
        """Return what draws new versions of an epoch's images, and mixes them; None where they stay as they are."""
        variant = self.variant
        if not (variant.live or variant.mix != NONE):
            return None
        live = Live(variant.policy, variant.live, variant.image_size) if variant.live else None
        return Versions(live, variant.mix, variant.mix_alpha, self.keys, (self.training.seed, epoch))


def row_weights(run: Run, rows: np.ndarray) -> np.ndarray | None:
    """Return how much each row of train.csv counts in the loss, float (n,), in the mean of `rows` 1; None: alike."""
    weights = run.competition.weights
    return None if weights is None else weights / weights[rows].mean()


def class_weights(run: Run, variant: Variant, rows: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray | None:
    """Return the weight of each class in the loss, float (C,), or None.

    shares: as what part of a row each is counted, float (len(rows),); None: as a whole one.
    balanced: n / (classes × count), as scikit-learn's; of soft labels the sum of their shares is the count.
    A table gives weights by label, 1 for those it leaves out.
    Raises InputError for a label that is no class.
    """
    classes = run.competition.classes
    if variant.class_weights == "none":
        return None
    if isinstance(variant.class_weights, dict):
        check_class_weights(run, variant)
        names = [str(label) for label in classes]
        return np.array([variant.class_weights.get(name, 1.0) for name in names])
    counts = _counts(run, rows, shares)
    return counts.sum() / (len(classes) * np.where(counts > 0, counts, 1))


def check_class_weights(run: Run, variant: Variant) -> None:
    """Raise InputError where a table of class weights has a label that is no class."""
    names = [str(label) for label in run.competition.classes]
    table = variant.class_weights if isinstance(variant.class_weights, dict) else {}
    unknown = [name for name in table if name not in names]
    if unknown:
        raise InputError(
            f"variants.{variant.name}.class_weights: {unknown[0]!r} is not a class; the classes are {names}."
        )


def _counts(run: Run, rows: np.ndarray, shares: np.ndarray | None) -> np.ndarray:
    """Return how much of the rows is of each class, float (C,): of soft labels the sum of their shares."""
    if run.competition.shares is None:
        return np.bincount(run.training_targets()[rows], shares, minlength=len(run.competition.classes))
    soft = run.training_truth()[rows]
    return (soft if shares is None else soft * shares[:, None]).sum(axis=0)
