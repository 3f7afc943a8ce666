"""What all kinds of training share: a job's history, its state, which epoch is the best, and the files at its end."""

import functools
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.metrics import get_metric, score_part
from ripik.console import say
from ripik.execution.task import Reporter
from ripik.features.batches import Batches
from ripik.storage import artifacts
from ripik.training import checkpoint
from ripik.training.checkpoint import Arrays, Checkpoint, Progress
from ripik.training.diverged import DivergedError, diverged
from ripik.training.event_log import EventLog
from ripik.training.examples import Course
from ripik.training.jobs import Training
from ripik.training.signs import EpochSigns, Position, epoch_told
from ripik.variants import Variant


@dataclass(kw_only=True)
class Session(ABC):
    """A job in training: what it reads, how far it is, and where its state is kept."""

    training: Training
    course: Course
    inner: np.ndarray  # rows that choose the epoch
    inputs: dict[str, Any]
    progress: Progress = field(default_factory=Progress)
    metrics: Arrays = field(default_factory=list)  # of the epoch begun
    best: Arrays = field(default_factory=list)  # variables of the model after its best epoch
    soup: Arrays = field(default_factory=list)  # means of the model's variables after the last epochs, so far
    longest: float = 0.0  # seconds of an epoch of this session

    @property
    @abstractmethod
    def arithmetic(self) -> dict[str, Any]:
        """The backend and the precision of this session."""

    @abstractmethod
    def train_epoch(self, report: Reporter, asked: Callable[[], bool]) -> tuple[int, int, dict[str, float]]:
        """Train what is left of the epoch, or the present batch alone when `asked()` turns true.

        Returns how many batches were done, how many were left at the beginning, and the epoch's scores so far.
        """

    @abstractmethod
    def variables(self) -> dict[str, Arrays]:
        """Return whatever the next batch depends on: `model`, `optimizer`, and `metrics` of an epoch begun."""

    @abstractmethod
    def take_up(self, arrays: dict[str, Arrays]) -> None:
        """Go on from what `variables` returned."""

    @abstractmethod
    def predict_inner(self) -> np.ndarray:
        """Return the probabilities of the inner split's rows, (len(inner), C)."""

    @abstractmethod
    def write_weights(self, path: Path, model: Arrays) -> str:
        """Write the model's variables as Keras' weights file; return the digest of their values."""

    def predicting(self) -> Arrays:
        """Return the model's variables as they are to predict."""
        return self.variables()["model"]

    @property
    def variant(self) -> Variant:
        """The variant that is trained."""
        return self.training.variant

    @property
    def folder(self) -> Path:
        """Where the training's files lie."""
        return self.training.folder

    @property
    def state(self) -> Path:
        """The file of the saved state."""
        return self.training.state

    @property
    def history(self) -> list[dict[str, float]]:
        """A row for each epoch done."""
        return self.progress.history

    @property
    def monitor(self) -> str:
        """What the best epoch is chosen by: the loss on the inner split, or else the training loss."""
        return "inner_loss" if len(self.inner) else "loss"

    def best_epoch(self) -> int:
        """Return the epoch (0-based) with the lowest monitored loss."""
        return int(np.argmin([row[self.monitor] for row in self.history]))

    def wants_more(self) -> bool:
        """Whether epochs are left, and early stopping has not called a halt."""
        patience = self.variant.early_stopping
        tired = bool(patience and self.history) and len(self.history) - 1 - self.best_epoch() >= patience
        return len(self.history) < self.variant.epochs and not tired

    def run_epoch(self, report: Reporter, asked: Callable[[], bool]) -> None:
        """Train one epoch, or what is left of it, and save the state; asked to end, save it after the present batch.

        Raises DivergedError when the loss, the weights or the inner split's probabilities are no longer numbers.
        """
        start = time.monotonic()
        done, left, scores = self.train_epoch(report, asked)
        if not np.isfinite(scores["loss"]):
            raise self._diverged("the loss")
        self.progress.batches += done
        self.progress.seconds += time.monotonic() - start
        if done == left:
            self._end_epoch(scores)
        self.save()
        self._tell(report)
        self.longest = max(self.longest, time.monotonic() - start)

    def signs(self, report: Reporter, data: Batches) -> EpochSigns:
        """Return the progress reporter of an epoch with these batches left."""
        where = Position(
            self.variant.epochs,
            self.history,
            self.progress.batches,
            len(data),
            data.batch_size,
            len(self.history) * self.course.epoch_steps,
            self.course.rate,
            self.variant.scores_copies,
        )
        return EpochSigns(report, self.log, where)

    def _diverged(self, what: str) -> DivergedError:
        told = f"{what} became NaN or infinite in epoch {len(self.history) + 1}"
        return diverged(self.training, told, self.arithmetic["precision"])

    def _end_epoch(self, scores: dict[str, float]) -> None:
        """Score the inner split, note the epoch, and keep its weights if they are the best so far."""
        model = self.predicting()
        if not all(np.isfinite(values).all() for values in model):
            raise self._diverged("weights")
        start, epoch, row = time.monotonic(), len(self.history) + 1, scores | self._score_inner()
        seconds = self.progress.seconds + time.monotonic() - start
        self.history.append({"epoch": epoch, **row, "seconds": seconds})
        self.progress.batches, self.progress.seconds, self.metrics = 0, 0.0, []
        if self.best_epoch() == epoch - 1:
            self.best = model
        self._stir(epoch, model)
        rate = self.course.rate(epoch * self.course.epoch_steps)
        self.log.scalars("epoch", row | {"learning_rate": rate}, epoch)

    def _stir(self, epoch: int, model: Arrays) -> None:
        """Take the model's variables after one of the last epochs (from 1) into the mean that is to predict.

        A soup of one training's checkpoints (Izmailov et al. 2018, arXiv 1803.05407; Wortsman et al. 2022, ICML).
        """
        number = epoch - (self.variant.epochs - self.variant.soup)
        if number < 1 or not self.variant.soup:
            return
        self.soup = [
            before + (value - before) / number if np.issubdtype(value.dtype, np.floating) else value
            for before, value in zip(self.soup or model, model, strict=True)
        ]

    def _score_inner(self) -> dict[str, float]:
        if not len(self.inner):
            return {}
        run, found = self.training.run, self.predict_inner()
        if not np.isfinite(found).all():
            raise self._diverged("probabilities of the inner split")
        truth = run.training_truth()[self.inner]
        metric = get_metric(run.settings.competition.metric)
        loss = get_metric("log_loss").function(truth, found)
        return {"inner_loss": float(loss), f"inner_{metric.name}": float(score_part(metric, truth, found))}

    def _tell(self, report: Reporter) -> None:
        done = len(self.history)
        if done and not self.progress.batches:
            told = epoch_told(done, self.variant.epochs, self.history[-1], copies=self.variant.scores_copies)
            report(float(done), self.variant.epochs, told)

    @functools.cached_property
    def log(self) -> EventLog:
        """The TensorBoard log of this session."""
        return EventLog(self.folder / "logs", len(self.history) * self.course.epoch_steps + self.progress.batches)

    def save(self) -> None:
        """Save the whole state in one file."""
        arrays = self.variables()
        if self.best and (self.progress.batches or self.best_epoch() != len(self.history) - 1):
            arrays["best"] = self.best
        if self.soup:
            arrays["soup"] = self.soup
        checkpoint.save(self.state, self.inputs, Checkpoint(self.progress, arrays, self.arithmetic))

    def restore(self) -> None:
        """Go on from the saved state when it was made from the same inputs, and tell so; clear any other's folder."""
        artifacts.tell_damaged(self.folder / "meta.json", self.inputs)
        (self.folder / "meta.json").unlink(missing_ok=True)
        saved = checkpoint.load(self.state, self.inputs, self.arithmetic)
        if saved is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        self.take_up(saved.arrays)
        self.progress, self.metrics = saved.progress, saved.arrays.get("metrics", [])
        self.soup = saved.arrays.get("soup", [])
        self.best = saved.arrays.get("best", self.predicting() if self.history else [])
        if self.wants_more():
            say(f"resuming {self.training} at {self._place()}")

    def _place(self) -> str:
        """Return the epoch that comes next, and where it is begun, the batch; both from 1."""
        batch = f", batch {self.progress.batches + 1}" if self.progress.batches else ""
        return f"epoch {len(self.history) + 1}{batch}"

    def finish(self) -> None:
        """Write the last and the best weights and the history, and the meta file that marks the job as finished."""
        last, best, history = (self.folder / name for name in ("last.weights.h5", "best.weights.h5", "history.csv"))
        both = ((last, self.soup or self.predicting()), (best, self.best))
        values = {path.name: self.write_weights(path, model) for path, model in both}
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
