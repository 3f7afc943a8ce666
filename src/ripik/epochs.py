"""What a training tells of itself while it runs: reports within an epoch, and TensorBoard's scalars."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ripik.engine import Reporter
from ripik.eventlog import EventLog

LOGGED = 20  # times an epoch
SECONDS = 0.2  # between two reports


class EpochProgress(keras.callbacks.Callback):
    """Report and log the running loss and accuracy while an epoch goes on."""

    def __init__(
        self,
        report: Reporter,
        log: EventLog,
        history: Sequence[Mapping[str, float]],
        epochs: int,
        batches: int,
        size: int,
    ) -> None:
        """Take the epochs done (their number and last scores), how many there are to be, and an epoch's batches."""
        super().__init__()
        self.report, self.log, self.epochs, self.batches, self.size = report, log, epochs, batches, size
        self.epoch, self.scores = len(history), dict(history[-1]) if history else {}
        self.first = self.last = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Report where the training begins, or goes on."""
        self.report(float(self.epoch), self.epochs, epoch_told(self.epoch + 1, self.epochs, self.scores))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Report and log what Keras knows after this many batches."""
        now, running = time.monotonic(), {name: float(value) for name, value in (logs or {}).items()}
        self.first = self.first or now  # the first batch compiles the network
        if (batch + 1) % max(1, self.batches // LOGGED) == 0:
            self.log.scalars("batch", running | {"learning_rate": learning_rate(self.model)}, steps(self.model))
        if now - self.last >= SECONDS:
            self.last = now
            rate = [f"{batch * self.size / (now - self.first):.0f} images/s"] if now > self.first else []
            note = ", ".join([epoch_told(self.epoch + 1, self.epochs, self.scores | running), *rate])
            self.report(self.epoch + (batch + 1) / self.batches, self.epochs, note)


def epoch_told(epoch: int, epochs: int, row: Mapping[str, float]) -> str:
    """Return how a training is doing, as a person reads it: the epoch (from 1) and `scores_told`."""
    return ", ".join(part for part in (f"epoch {epoch}/{epochs}", scores_told(row)) if part)


def scores_told(row: Mapping[str, float]) -> str:
    """Return the loss, the training accuracy and the inner split's metric of an epoch, as far as it has them."""
    inner = [name for name in row if name.startswith("inner_") and name != "inner_loss"]
    shown = [name for name in ("loss", "accuracy", *inner) if name in row]
    return ", ".join(f"{name.replace('_', ' ', 1)} {row[name]:.3f}" for name in shown)


def steps(model: keras.Model) -> int:
    """Return how many steps the optimizer has made, in earlier sessions too."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def learning_rate(model: keras.Model) -> float:
    """Return the learning rate of the next step."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
