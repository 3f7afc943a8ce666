"""One head in training, on stored outputs of frozen layers, in plain NumPy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ripik.execution.task import Reporter
from ripik.features.batches import ArrayRows, Batches, prefetched
from ripik.features.row_memory import RowMemory
from ripik.features.store import Pass, training_passes
from ripik.models.head_files import read_head, save_head
from ripik.models.softmax_head import Adam, SoftmaxHead, glorot_uniform, head_predictor
from ripik.names import FLOAT32, NUMPY
from ripik.training.checkpoint import Arrays
from ripik.training.examples import Course, inner_split
from ripik.training.jobs import Training
from ripik.training.predictions import predict_rows
from ripik.training.session import Session
from ripik.variants import Variant


@dataclass(kw_only=True)
class HeadSession(Session):
    """A head alone in training; `metrics` are the sums of an epoch begun: losses, right ones, examples."""

    head: SoftmaxHead
    optimizer: Adam
    memory: RowMemory

    @classmethod
    def create(cls, training: Training, memory: RowMemory) -> "HeadSession":
        """Open the stored outputs and draw the initial head, or take that of the training it starts from."""
        training.check_stores()
        inputs, (rows, inner) = training.inputs(), inner_split(training)
        source = memory.open(*map(training.data.path, cls.passes(training.variant)))
        variant = training.variant
        head = SoftmaxHead(*_initial(training, source.row_shape), variant.label_smoothing, variant.weight_decay)
        return cls(
            training=training,
            course=Course(training, rows, stored=source, draws=memory.draws),
            inner=inner,
            inputs=inputs,
            head=head,
            optimizer=Adam.of(len(head.values)),
            memory=memory,
        )

    @classmethod
    def passes(cls, variant: Variant) -> list[Pass]:
        """Return what its batches are read from, one pass after the other."""
        return training_passes(variant)

    @property
    def arithmetic(self) -> dict[str, Any]:
        """NumPy takes the place of Keras' backend, whichever that is."""
        return {"backend": NUMPY, "precision": FLOAT32}

    @property
    def done(self) -> float:
        """How many epochs are done, with the part of the one begun."""
        sums = self.metrics
        examples = sums[0][2] if sums else 0
        return len(self.history) + examples / (self.course.epoch_steps * self.variant.batch_size)

    @property
    def scores(self) -> dict[str, float]:
        """The scores so far of the epoch begun, with the last one's inner split."""
        last, sums = self.history[-1] if self.history else {}, self.metrics  # another head's thread may ask
        return {**last, **(_scores(sums[0]) if sums and sums[0][2] else {})}

    def train_epoch(self, report: Reporter, asked: Callable[[], bool]) -> tuple[int, int, dict[str, float]]:
        """Train what is left of the epoch; see `Session.train_epoch`."""
        data = self.course.batches(len(self.history), self.progress.batches)
        signs = self.signs(report, data)
        if not self.metrics:
            self.metrics = [np.zeros(3)]
        signs.begin()
        with np.errstate(all="ignore"):  # a loss that is no number is told at the end of the epoch
            for batch in _read(data):
                self._learn(*batch)
                signs.after_batch(self._running)
                if asked():
                    break
        return signs.done, len(data), self._running()

    def _learn(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> None:
        rate = self.course.rates[self.optimizer.steps]
        loss, right = self.head.learn(self.optimizer, rate, inputs, targets, weights)
        self.metrics[0] += loss, right, len(inputs)

    def _running(self) -> dict[str, float]:
        return _scores(self.metrics[0])

    def variables(self) -> dict[str, Arrays]:
        """Return the head, Adam's moments and its steps, and the sums of an epoch begun."""
        moments = [self.optimizer.momentum, self.optimizer.velocity, np.array(self.optimizer.steps)]
        arrays = {"model": [self.head.values.copy()], "optimizer": moments}
        return {**arrays, "metrics": self.metrics} if self.progress.batches else arrays

    def take_up(self, arrays: dict[str, Arrays]) -> None:
        """Go on from a saved state."""
        self.head.values[:] = arrays["model"][0]
        momentum, velocity, steps = arrays["optimizer"]
        self.optimizer = Adam(momentum, velocity, int(steps))

    def predict_inner(self) -> np.ndarray:
        """Return the probabilities of the inner split's rows, (len(inner), C)."""
        source = self.memory.open(self.training.data.path(Pass("train")))
        predictor, how = head_predictor(self.head.kernel, self.head.bias), self.training.run.settings.prediction
        return predict_rows(predictor, source, self.inner, Pass("train").view, how.batch_size)

    def write_weights(self, path: Path, model: Arrays) -> str:
        """Write these values as Keras' weights file; return their digest."""
        return save_head(path, *self.head.parts(model[0]))


def _scores(sums: np.ndarray) -> dict[str, float]:
    loss, right, examples = sums.tolist()
    return {"accuracy": right / examples, "loss": loss / examples}


def _read(data: Batches) -> Iterator[Any]:
    """Yield the batches; threads read ahead where the rows are not in memory."""
    return map(data.make, range(len(data))) if isinstance(data.source, ArrayRows) else prefetched(data)


def _initial(training: Training, row: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    if training.start is not None:
        return read_head(training.start.checked_weights())
    classes = len(training.run.competition.classes)
    return glorot_uniform(training.seed)((*row, classes)), np.zeros(classes, np.float32)
