"""Train one job by Keras: the trained part of one variant, on one fold's training rows, with one seed; it resumes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ripik.execution import time_limit
from ripik.execution.signals import noticing
from ripik.execution.task import Reporter
from ripik.features.batches import Batches
from ripik.features.store import Pass
from ripik.models import backend
from ripik.models.variables import assign, digest_of, save_weights, values_of
from ripik.storage.packed_rows import PackedRows
from ripik.training.callbacks import EpochProgress, Fed
from ripik.training.checkpoint import Arrays
from ripik.training.examples import Course, inner_split
from ripik.training.jobs import Training, is_distributed
from ripik.training.optimizer import averages_of
from ripik.training.predictions import predict_rows
from ripik.training.session import Session
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
        with noticing() as asked:
            trainer.run_epoch(report, asked)
    trainer.finish()


@dataclass(kw_only=True)
class Trainer(Session):
    """A trained part of Keras in training."""

    network: Network
    trained_part: keras.Model
    model: keras.Model
    distribution: Any  # what divides a batch among devices (see `backend.distribution`)

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
        return cls(
            training=training,
            course=course,
            inner=inner,
            inputs=inputs,
            network=network,
            trained_part=trained_part,
            model=model,
            distribution=distribution,
        )

    @property
    def arithmetic(self) -> dict[str, Any]:
        """The backend and the precision of this session."""
        return backend.arithmetic(self.trained_part.dtype_policy.name)

    def train_epoch(self, report: Reporter, asked: Callable[[], bool]) -> tuple[int, int, dict[str, float]]:
        """Train what is left of the epoch by Keras' `fit`; see `Session.train_epoch`."""
        data = self.course.batches(len(self.history), self.progress.batches)
        signs = self.signs(report, data)
        with self.distribution.scope():
            if self.metrics:
                self.model.test_on_batch(*data[0])  # Keras makes the metrics' variables with the first batch
            logs = self._fit(data, [EpochProgress(signs, self.metrics, asked)])
        return signs.done, len(data), {name: float(values[-1]) for name, values in logs.items()}

    def _fit(self, data: Batches, callbacks: list[Any]) -> dict[str, list[float]]:
        epoch = len(self.history)
        try:
            return self.model.fit(
                Fed(data),
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

    def predicting(self) -> Arrays:
        """Return the model's variables, those that are trained as their running means where such are kept."""
        averages = values_of(averages_of(self.model))
        means = dict(zip(map(id, self.model.trainable_variables), averages, strict=True)) if averages else {}
        own = values_of(self.model.variables)
        return [means.get(id(variable), value) for variable, value in zip(self.model.variables, own, strict=True)]

    def predict_inner(self) -> np.ndarray:
        """Return the probabilities of the inner split's rows, (len(inner), C), by the weights that are to predict."""
        kept = values_of(self.model.variables)
        assign(self.model.variables, self.predicting())
        try:
            return self._predict_inner()
        finally:
            assign(self.model.variables, kept)

    def _predict_inner(self) -> np.ndarray:
        pass_, how = Pass("train"), self.training.run.settings.prediction
        source = PackedRows([self.training.data.path(pass_)])
        return predict_rows(self.network.scorer, source, self.inner, pass_.view, how.batch_size)

    def variables(self) -> dict[str, Arrays]:
        """Return the values of the model's and the optimizer's variables, and of the metrics' in an epoch begun."""
        arrays = {"model": values_of(self.model.variables), "optimizer": values_of(self.model.optimizer.variables)}
        if self.progress.batches:
            arrays["metrics"] = values_of(self.model.metrics_variables)
        return arrays

    def take_up(self, arrays: dict[str, Arrays]) -> None:
        """Give the variables their saved values."""
        if not self.model.optimizer.built:
            with self.distribution.scope():
                self.model.optimizer.build(self.model.trainable_variables)
        assign(self.model.variables, arrays["model"])
        assign(self.model.optimizer.variables, arrays["optimizer"])

    def write_weights(self, path: Path, model: Arrays) -> str:
        """Write the trained part with these values of the model's variables; return their digest."""
        assign(self.model.variables, model)
        save_weights(self.trained_part, path)
        return digest_of(self.trained_part)
