"""Progress of a training: what it reports, logs and prints within an epoch, and at its end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ripik.console import Pace
from ripik.execution.locks import Tell
from ripik.execution.task import Reporter
from ripik.training.event_log import EventLog

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
    copies: bool = False  # whether the scores are of augmented copies too


class EpochSigns:
    """Report and log an epoch, from where a session takes it up."""

    def __init__(self, report: Reporter, log: EventLog, where: Position) -> None:
        self.report, self.log, self.where = report, log, where
        self.epoch, self.scores = len(where.history), dict(where.history[-1]) if where.history else {}
        self.first = self.last = 0.0
        self.done = 0  # batches of this session

    def begin(self) -> None:
        """Report where the training starts or resumes."""
        part = self.where.done / (self.where.done + self.where.left)
        self.report(self.epoch + part, self.where.epochs, self._told(self.scores))

    def after_batch(self, running: Callable[[], Mapping[str, float]]) -> None:
        """Count a batch; report and log the epoch's scores so far, which are asked for only then."""
        now = time.monotonic()
        self.first = self.first or now  # the first batch compiles the network
        self.done += 1
        done, batches = self.where.done + self.done, self.where.done + self.where.left
        if done % max(1, batches // LOGGED) == 0:
            step = self.where.step + done
            self.log.scalars("batch", {**running(), "learning_rate": self.where.rate(step)}, step)
        if now - self.last >= SECONDS:
            self.last = now
            images = (self.done - 1) * self.where.size
            rate = [f"{images / (now - self.first):.0f} images/s"] if now > self.first else []
            note = ", ".join([self._told({**self.scores, **running()}), *rate])
            self.report(self.epoch + done / batches, self.where.epochs, note)

    def _told(self, scores: Mapping[str, float]) -> str:
        return epoch_told(self.epoch + 1, self.where.epochs, scores, copies=self.where.copies)


def telling(report: Reporter, tell: Tell) -> Reporter:
    """Return a reporter that also updates the file that `status` reads, with the time left."""
    pace = Pace()

    def both(done: float, total: int, note: str = "") -> None:
        pace.note(done, total)
        tell(done, total, note, pace.left())
        report(done, total, note)

    return both


def epoch_told(epoch: int, epochs: int, row: Mapping[str, float], *, copies: bool = False) -> str:
    """Return how a training is doing, as a person reads it: the epoch (from 1) and `scores_told`."""
    return ", ".join(part for part in (f"epoch {epoch}/{epochs}", scores_told(row, copies=copies)) if part)


def scores_told(row: Mapping[str, float], *, copies: bool = False) -> str:
    """Return the loss, the training accuracy and the inner split's metric of an epoch, as far as it has them.

    copies: whether the accuracy is of augmented copies too (`Variant.scores_copies`), which is then said.
    """
    inner = [name for name in row if name.startswith("inner_") and name != "inner_loss"]
    shown = [name for name in ("loss", "accuracy", *inner) if name in row]
    of = {"accuracy": " on augmented copies"} if copies else {}
    return ", ".join(f"{name.replace('_', ' ', 1)} {row[name]:.3f}{of.get(name, '')}" for name in shown)


def last_scores(folder: Path) -> dict[str, float]:
    """Return the last epoch's row of a training's `history.csv`."""
    last = pd.read_csv(folder / "history.csv").iloc[-1]
    return {str(name): float(value) for name, value in last.items()}
