"""What a training tells of itself while it runs: reports within an epoch, and TensorBoard's scalars."""

import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from ripik.execution.task import Reporter


class EventLog:
    """One events file; every record is written out at once, so that nothing of a killed training is lost."""

    def __init__(self, folder: Path, step: int = 0) -> None:
        """Log into a new file of the folder; a training that goes on says after how many optimizer steps.

        TensorBoard then forgets what an earlier session logged of later steps, which are done again (the START record
        of `tensorflow/core/util/event.proto`).
        """
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{time.time():010.0f}.{os.uname().nodename}.{os.getpid()}"
        names = (folder / f"{stem}.{number}.v2" for number in itertools.count())
        self.path = next(name for name in names if not name.exists())
        self._write(Event(file_version="brain.Event:2"))
        if step:
            self._write(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Log numbers as `<group>/<name>` at an optimizer step, or an epoch (from 1)."""
        summary = [Summary.Value(tag=f"{group}/{name}", simple_value=value) for name, value in values.items()]
        self._write(Event(step=step, summary=Summary(value=summary)))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with self.path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


LOGGED = 20  # times an epoch
SECONDS = 0.2  # between two reports


@dataclass(frozen=True)
class Position:
    """Where a session takes an epoch up: the epochs in all and those done; its batches done, left, their size.

    step: the optimizer's, before the epoch's first batch. rate: the learning rate after so many steps.
    """

    epochs: int
    history: Sequence[Mapping[str, float]]
    done: int
    left: int
    size: int
    step: int
    rate: Callable[[int], float]


class EpochProgress(keras.callbacks.Callback):
    """Go on with an epoch's running scores, report and log them, and stop after the present batch when asked to."""

    def __init__(
        self, report: Reporter, log: EventLog, where: Position, metrics: Sequence[np.ndarray], asked: Callable[[], bool]
    ) -> None:
        """Take the metrics' variables as the epoch's first batches left them; empty at its beginning."""
        super().__init__()
        self.report, self.log, self.where, self.metrics, self.asked = report, log, where, metrics, asked
        self.epoch, self.scores = len(where.history), dict(where.history[-1]) if where.history else {}
        self.first = self.last = 0.0
        self.done = 0  # batches of this session

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report where the training begins, or goes on, and take up the metrics, which Keras has just reset."""
        for variable, value in zip(self.model.metrics_variables if self.metrics else (), self.metrics, strict=True):
            variable.assign(value)
        part = self.where.done / (self.where.done + self.where.left)
        self.report(self.epoch + part, self.where.epochs, epoch_told(self.epoch + 1, self.where.epochs, self.scores))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Report and log what Keras knows after this many batches."""
        now, running = time.monotonic(), {name: float(value) for name, value in (logs or {}).items()}
        self.first = self.first or now  # the first batch compiles the network
        self.done = batch + 1
        done, batches = self.where.done + self.done, self.where.done + self.where.left
        if done % max(1, batches // LOGGED) == 0:
            step = self.where.step + done  # with JAX the optimizer's variables are out of reach within an epoch
            self.log.scalars("batch", running | {"learning_rate": self.where.rate(step)}, step)
        if now - self.last >= SECONDS:
            self.last = now
            rate = [f"{batch * self.where.size / (now - self.first):.0f} images/s"] if now > self.first else []
            note = ", ".join([epoch_told(self.epoch + 1, self.where.epochs, self.scores | running), *rate])
            self.report(self.epoch + done / batches, self.where.epochs, note)
        if self.asked():
            self.model.stop_training = True


def epoch_told(epoch: int, epochs: int, row: Mapping[str, float]) -> str:
    """Return how a training is doing, as a person reads it: the epoch (from 1) and `scores_told`."""
    return ", ".join(part for part in (f"epoch {epoch}/{epochs}", scores_told(row)) if part)


def scores_told(row: Mapping[str, float]) -> str:
    """Return the loss, the training accuracy and the inner split's metric of an epoch, as far as it has them."""
    inner = [name for name in row if name.startswith("inner_") and name != "inner_loss"]
    shown = [name for name in ("loss", "accuracy", *inner) if name in row]
    return ", ".join(f"{name.replace('_', ' ', 1)} {row[name]:.3f}" for name in shown)
