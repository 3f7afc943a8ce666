"""Train one job: the suffix of one variant, on one fold's training rows, with one seed; resumable at every epoch."""

import functools
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from ripik import artifacts, runtime
from ripik.batches import Batches, epoch_examples, id_keys
from ripik.engine import Reporter
from ripik.epochs import EpochProgress, epoch_told, learning_rate, steps
from ripik.errors import InputError
from ripik.eventlog import EventLog
from ripik.features import Item, source_path, training_items
from ripik.folds import split
from ripik.jobs import Run, check_stores, job_seed, training_inputs
from ripik.layout import Job
from ripik.metrics import get_metric
from ripik.network import predict_rows, starting_network
from ripik.optimization import class_weights, compile_model
from ripik.packed import PackedRows
from ripik.predictors import make_predictor
from ripik.settings import HEAD, KERAS, Variant


def train(run: Run, job: Job, report: Reporter) -> None:
    """Train one job to its last epoch, going on from its saved state if there is one made from the same inputs.

    Writes into the job's folder: state.npz (after every epoch), history.csv, best and last weights, TensorBoard logs,
    and meta.json last of all.
    """
    runtime.make_deterministic(job_seed(run.settings.variants[job.variant], job))
    trainer = Trainer.create(run, job)
    trainer.restore()
    while trainer.wants_more():
        trainer.run_epoch(report)
    trainer.finish()


BEST = "best.weights.h5"
INNER_PARTS = 20  # parts of the training folds of which the inner split is made


@dataclass
class Trainer:
    """A suffix in training: what it reads, how far it is, and where its state is kept."""

    run: Run
    job: Job
    variant: Variant
    suffix: keras.Model
    model: keras.Model
    source: PackedRows
    rows: np.ndarray
    inner: np.ndarray
    inputs: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def create(cls, run: Run, job: Job) -> "Trainer":
        """Build the network and open the stored inputs."""
        check_stores(run, job)
        variant, inputs = run.settings.variants[job.variant], training_inputs(run, job)
        source = PackedRows([source_path(run.settings, variant, item) for item in training_items(variant)])
        rows, inner = inner_split(run, job)
        suffix = starting_network(run, job)
        model = keras.Model(suffix.inputs[0], suffix.output)
        trainer = cls(run, job, variant, suffix, model, source, rows, inner, inputs)
        compile_model(model, variant, trainer.steps)
        return trainer

    @property
    def folder(self) -> Path:
        """The job's folder."""
        return self.run.layout.job(self.job)

    @property
    def per_row(self) -> int:
        """How many copies of each photo an epoch shows."""
        chosen = self.variant.copies_per_epoch or (self.blocks if self.variant.train_from == HEAD else 1)
        return min(chosen, self.blocks)

    @property
    def blocks(self) -> int:
        """How many versions of each photo there are: itself, its copies, or both."""
        per_item = {False: 1, True: self.run.settings.augmentation.copies}
        return sum(per_item[item.copies] for item in training_items(self.variant))

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.variant.epochs * -(-len(self.rows) * self.per_row // self.variant.batch_size)

    @property
    def monitor(self) -> str:
        """What tells the best epoch: the loss on the inner split, or else the training loss."""
        return "inner_loss" if len(self.inner) else "loss"

    def best_epoch(self) -> int:
        """Return the epoch (0-based) with the lowest monitored loss."""
        return int(np.argmin([row[self.monitor] for row in self.history]))

    def wants_more(self) -> bool:
        """Whether epochs are left, and early stopping has not called a halt."""
        patience = self.variant.early_stopping
        tired = bool(patience and self.history) and len(self.history) - 1 - self.best_epoch() >= patience
        return len(self.history) < self.variant.epochs and not tired

    def run_epoch(self, report: Reporter) -> None:
        """Train one epoch, then save the weights if they are the best so far, and the state."""
        epoch, start = len(self.history), time.monotonic()
        seed = job_seed(self.variant, self.job)
        keys = id_keys(self.run.competition.train["image_id"])
        examples = epoch_examples(keys, self.rows, self.blocks, self.per_row, seed=seed, epoch=epoch)
        targets = np.eye(len(self.run.competition.classes), dtype="float32")[self.run.targets()]
        data = Batches(self.source, examples, self.variant.batch_size, targets=targets)
        how = (self.history, self.variant.epochs, len(data), self.variant.batch_size)
        logs = self._fit(data, epoch, [EpochProgress(report, self.log, *how)])
        if not np.isfinite(logs["loss"][-1]):
            raise InputError(
                f"{self.job}: the loss is no longer a number in epoch {epoch + 1}. Lower the learning rate of this "
                f"variant, for instance --set variants.{self.variant.name}.learning_rate="
                f"{self.variant.learning_rate / 10:g}."
            )
        row = {name: float(values[-1]) for name, values in logs.items()} | self._score_inner()
        self.history.append({"epoch": epoch + 1, **row, "seconds": time.monotonic() - start})
        self.log.scalars("epoch", row | {"learning_rate": learning_rate(self.model)}, epoch + 1)
        self.save()
        report(float(epoch + 1), self.variant.epochs, epoch_told(epoch + 1, self.variant.epochs, row))

    @functools.cached_property
    def log(self) -> EventLog:
        """The TensorBoard log of this session."""
        return EventLog(self.folder / "logs", steps(self.model))

    def _fit(self, data: Batches, epoch: int, callbacks: list[Any]) -> dict[str, list[float]]:
        weights = class_weights(self.run, self.variant, self.rows)
        try:
            return self.model.fit(
                data,
                initial_epoch=epoch,
                epochs=epoch + 1,
                verbose=0,
                shuffle=False,
                class_weight=weights,
                callbacks=callbacks,
            ).history
        except Exception:
            if data.failure is not None:  # the backend wraps what a batch raises into an error of its own
                raise data.failure from None
            raise

    def _score_inner(self) -> dict[str, float]:
        if not len(self.inner):
            return {}
        item, how = Item("train"), self.run.settings.prediction
        source = PackedRows([source_path(self.run.settings, self.variant, item)])
        keras_predictor = make_predictor(self.suffix, KERAS, np.empty(0))
        found = predict_rows(keras_predictor, source, self.inner, item.view, how.batch_size)
        truth = self.run.targets()[self.inner]
        metric = get_metric(self.run.settings.competition.metric)
        loss = get_metric("log_loss").function(truth, found)
        return {"inner_loss": float(loss), f"inner_{metric.name}": float(metric.function(truth, found))}

    def save(self) -> None:
        """Save the best weights when this epoch is the best, then the whole state in one file."""
        if self.best_epoch() == len(self.history) - 1:
            save_weights(self.suffix, self.folder / BEST)
        state = {"history": np.array(json.dumps(self.history)), "inputs": np.array(artifacts.digest(self.inputs))}
        for name, variables in self._variables().items():
            state |= {f"{name}{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
        with artifacts.replacing(self.folder / "state.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)

    def restore(self) -> None:
        """Go on from the saved state when it was made from the same inputs; clear the folder of any other."""
        (self.folder / "meta.json").unlink(missing_ok=True)
        if not self._has_own_state():
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        with np.load(self.folder / "state.npz", allow_pickle=False) as state:
            self.history = json.loads(str(state["history"]))
            self.model.optimizer.build(self.model.trainable_variables)
            for name, variables in self._variables().items():
                for i, variable in enumerate(variables):
                    variable.assign(state[f"{name}{i}"])

    def _has_own_state(self) -> bool:
        path = self.folder / "state.npz"
        if not path.exists() or not (self.folder / BEST).exists():
            return False
        with np.load(path, allow_pickle=False) as state:
            return str(state["inputs"]) == artifacts.digest(self.inputs)

    def _variables(self) -> dict[str, list[keras.Variable]]:
        return {"model": self.model.variables, "optimizer": self.model.optimizer.variables}

    def finish(self) -> None:
        """Write the last weights and the history, and the meta file that marks the job as finished."""
        last, history = self.folder / "last.weights.h5", self.folder / "history.csv"
        save_weights(self.suffix, last)
        artifacts.write_csv(history, pd.DataFrame(self.history))
        artifacts.write_meta(
            self.folder / "meta.json",
            inputs=self.inputs,
            outputs={path.name: artifacts.file_digest(path) for path in (last, self.folder / BEST, history)},
            seconds=sum(row["seconds"] for row in self.history),
            best_epoch=self.best_epoch() + 1,
            best_by=self.monitor,
        )


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
    targets = run.targets()[rows]
    number = min(INNER_PARTS, len(np.unique(groups)), np.bincount(targets).max())
    if number < 2:
        raise InputError(f"{job}: too few photos for an inner split. Set inner_split = 0.")
    inner = split(targets, groups, number, seed) < max(1, round(share * number))
    return rows[~inner], rows[inner]


def save_weights(model: keras.Model, path: Path) -> None:
    """Save a model's weights atomically as Keras 3's `.weights.h5`."""
    with artifacts.replacing(path) as temporary:
        model.save_weights(temporary)
