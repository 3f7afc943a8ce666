"""Train one job: the trained part of one variant, on one fold's training rows, with one seed; it resumes."""

import functools
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from ripik.analysis.metrics import get_metric, score_part
from ripik.errors import InputError
from ripik.execution import time_limit
from ripik.execution.signals import noticing
from ripik.execution.task import Reporter
from ripik.features.batches import Batches
from ripik.features.store import Pass
from ripik.models import backend
from ripik.models.variables import assign, digest_of, save_weights, values_of
from ripik.settings import HALF, Variant
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.training import checkpoint
from ripik.training.callbacks import EpochProgress, EventLog, Position, epoch_told
from ripik.training.checkpoint import Arrays, Checkpoint, Progress
from ripik.training.examples import Course, inner_split
from ripik.training.jobs import Training, is_distributed
from ripik.training.network import predict_rows
from ripik.training.warm import Network


def train(training: Training, report: Reporter, network: Network | None = None) -> None:
    """Train one job to its last epoch, going on from its saved state if there is one made from the same inputs.

    A distributed training divides each batch among all devices of this process: batches, steps and learning rate are
    those of one device, so is the mean loss, and so, but for rounding and the dropout's draws, is what is learned.
    Writes into the job's folder: state.npz (after every epoch, and within one when the process is asked to end),
    history.csv, best and last weights, TensorBoard logs, and meta.json last of all. Raises OutOfTimeError, all saved,
    when the time limit leaves no room for another epoch. network: one for trainings of this shape; None: a new one.
    """
    backend.make_deterministic(training.seed)
    trainer = Trainer.create(training, network)
    trainer.restore()
    while trainer.wants_more():
        time_limit.check(trainer.longest)
        trainer.run_epoch(report)
    trainer.finish()


@dataclass
class Trainer:
    """A trained part in training: what it reads, how far it is, and where its state is kept."""

    training: Training
    variant: Variant
    network: Network
    trained_part: keras.Model
    model: keras.Model
    course: Course
    inner: np.ndarray  # rows that choose the epoch
    inputs: dict[str, Any]
    distribution: Any  # what divides a batch among devices (see `backend.distribution`)
    progress: Progress = field(default_factory=Progress)
    metrics: Arrays = field(default_factory=list)  # of the epoch begun
    best: Arrays = field(default_factory=list)  # variables of the model after its best epoch
    longest: float = 0.0  # seconds of an epoch of this session

    @classmethod
    def create(cls, training: Training, network: Network | None = None) -> "Trainer":
        """Build the network, or take the given one, and open the stored inputs."""
        training.check_stores()
        variant, inputs = training.variant, training.inputs()
        rows, inner = inner_split(training)
        devices = backend.devices() if is_distributed(variant) else []
        course, distribution = Course(training, rows, max(1, len(devices))), backend.distribution(devices)
        network = network or Network()
        with distribution.scope():
            trained_part, model = network.start(training, course.steps)
        return cls(training, variant, network, trained_part, model, course, inner, inputs, distribution)

    @property
    def folder(self) -> Path:
        """Where the training's files lie."""
        return self.training.folder

    @property
    def state(self) -> Path:
        """The file of the saved state."""
        return self.training.run.layout.state(self.training.job)

    @property
    def history(self) -> list[dict[str, float]]:
        """A row for each epoch done."""
        return self.progress.history

    @property
    def arithmetic(self) -> dict[str, Any]:
        """The backend and the precision of this session."""
        return backend.arithmetic(self.trained_part.dtype_policy.name)

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
        """Train one epoch, or what is left of it, and save the state; asked to end, save it after the present batch."""
        start = time.monotonic()
        with noticing() as asked:
            data = self.course.batches(len(self.history), self.progress.batches)
            where = self._position(data)
            position = EpochProgress(report, self.log, where, self.metrics, asked)
            with self.distribution.scope():
                if self.metrics:
                    self.model.test_on_batch(*data[0])  # Keras makes the metrics' variables with the first batch
                logs = self._fit(data, [position])
            if not np.isfinite(logs["loss"][-1]):
                raise InputError(self._diverged())
            self.progress.batches += position.done
            self.progress.seconds += time.monotonic() - start
            if position.done == len(data):
                self._end_epoch({name: float(values[-1]) for name, values in logs.items()})
            self.save()
            self._tell(report)
        self.longest = max(self.longest, time.monotonic() - start)

    def _position(self, data: Batches) -> Position:
        return Position(
            self.variant.epochs,
            self.history,
            self.progress.batches,
            len(data),
            data.batch_size,
            len(self.history) * self.course.epoch_steps,
            self.course.rate,
        )

    def _diverged(self) -> str:
        return (
            f"{self.training}: the loss is no longer a number in epoch {len(self.history) + 1}. Lower the learning "
            f"rate of this variant, for instance --set variants.{self.variant.name}.learning_rate="
            f"{self.variant.learning_rate / 10:g}{self._wider()}."
        )

    def _wider(self) -> str:
        if self.arithmetic["precision"] != HALF:
            return ""
        return f", or compute in a wider range: --set variants.{self.variant.name}.precision=float32"

    def _end_epoch(self, logs: dict[str, float]) -> None:
        """Score the inner split, note the epoch, and keep its weights if they are the best so far."""
        start, epoch, row = time.monotonic(), len(self.history) + 1, logs | self._score_inner()
        seconds = self.progress.seconds + time.monotonic() - start
        self.history.append({"epoch": epoch, **row, "seconds": seconds})
        self.progress.batches, self.progress.seconds, self.metrics = 0, 0.0, []
        if self.best_epoch() == epoch - 1:
            self.best = values_of(self.model.variables)
        rate = self.course.rate(epoch * self.course.epoch_steps)
        self.log.scalars("epoch", row | {"learning_rate": rate}, epoch)

    def _tell(self, report: Reporter) -> None:
        done = len(self.history)
        if done and not self.progress.batches:
            report(float(done), self.variant.epochs, epoch_told(done, self.variant.epochs, self.history[-1]))

    @functools.cached_property
    def log(self) -> EventLog:
        """The TensorBoard log of this session."""
        return EventLog(self.folder / "logs", len(self.history) * self.course.epoch_steps + self.progress.batches)

    def _fit(self, data: Batches, callbacks: list[Any]) -> dict[str, list[float]]:
        epoch = len(self.history)
        try:
            return self.model.fit(
                data,
                initial_epoch=epoch,
                epochs=epoch + 1,
                verbose=0,
                shuffle=False,
                callbacks=callbacks,
            ).history
        except Exception:
            if data.failure is not None:  # the backend wraps what a batch raises into an error of its own
                raise data.failure from None
            raise

    def _score_inner(self) -> dict[str, float]:
        if not len(self.inner):
            return {}
        run, pass_ = self.training.run, Pass("train")
        how, source = run.settings.prediction, PackedRows([self.training.data.path(pass_)])
        found = predict_rows(self.network.scorer, source, self.inner, pass_.view, how.batch_size)
        truth = run.training_targets()[self.inner]
        metric = get_metric(run.settings.competition.metric)
        loss = get_metric("log_loss").function(truth, found)
        return {"inner_loss": float(loss), f"inner_{metric.name}": float(score_part(metric, truth, found))}

    def save(self) -> None:
        """Save the whole state in one file."""
        arrays = {"model": values_of(self.model.variables), "optimizer": values_of(self.model.optimizer.variables)}
        if self.progress.batches:
            arrays["metrics"] = values_of(self.model.metrics_variables)
        if self.best and (self.progress.batches or self.best_epoch() != len(self.history) - 1):
            arrays["best"] = self.best
        checkpoint.save(self.state, self.inputs, Checkpoint(self.progress, arrays, self.arithmetic))

    def restore(self) -> None:
        """Go on from the saved state when it was made from the same inputs; clear the folder of any other."""
        artifacts.tell_damaged(self.folder / "meta.json", self.inputs)
        (self.folder / "meta.json").unlink(missing_ok=True)
        saved = checkpoint.load(self.state, self.inputs, self.arithmetic)
        if saved is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        with self.distribution.scope():
            self.model.optimizer.build(self.model.trainable_variables)
        assign(self.model.variables, saved.arrays["model"])
        assign(self.model.optimizer.variables, saved.arrays["optimizer"])
        self.progress, self.metrics = saved.progress, saved.arrays.get("metrics", [])
        self.best = saved.arrays.get("best", saved.arrays["model"] if self.history else [])

    def finish(self) -> None:
        """Write the last and the best weights and the history, and the meta file that marks the job as finished."""
        last, best, history = (self.folder / name for name in ("last.weights.h5", "best.weights.h5", "history.csv"))
        values = {}
        for path in (last, best):
            save_weights(self.trained_part, path)
            values[path.name] = digest_of(self.trained_part)
            assign(self.model.variables, self.best)
        artifacts.write_csv(history, pd.DataFrame(self.history))
        artifacts.write_meta(
            self.folder / "meta.json",
            inputs=self.inputs,
            outputs={path.name: artifacts.file_digest(path) for path in (last, best, history)},
            seconds=sum(row["seconds"] for row in self.history),
            best_epoch=self.best_epoch() + 1,
            best_by=self.monitor,
            weights=values,
            precision=self.arithmetic["precision"],
            devices=self.course.devices,
        )
