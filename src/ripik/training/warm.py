"""The network of a job, which its process reuses for the next job of the same shape; every value is set again."""

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np

from ripik.features.batches import Source
from ripik.models import backend
from ripik.models.engines import Compute, Predictor, make_predictor
from ripik.models.weights import read_weights
from ripik.names import KERAS
from ripik.training.jobs import Training
from ripik.training.network import Parts, between, network_at, predictor_by, predictor_of
from ripik.training.optimizer import Compiled, compile_model
from ripik.training.shapes import shape_of


@dataclass
class Network:
    """The networks of trainings of one shape, built for the first of them, and what is compiled of them.

    shape: as `shape_of` tells; None: of one training alone, as its devices may share it.
    """

    shape: str | None = None
    built: list[Parts] = field(default_factory=list)
    compiled: list[Compiled] = field(default_factory=list)
    at_sizes: dict[int, tuple[keras.Model, Compute]] = field(default_factory=dict)

    def parts(self, training: Training) -> Parts:
        """Return the networks, whatever their values."""
        if not self.built:
            self.built.append(Parts.build(training))
        return self.built[0]

    def start(self, training: Training, steps: int) -> tuple[keras.Model, keras.Model]:
        """Return the trained part as a training of so many steps finds it, and the model compiled to train it."""
        parts = self.parts(training)
        parts.set_start(training)
        trained_part = parts.trained_part
        if self.compiled and self.compiled[0].restart(training.variant, steps):
            return trained_part, self.compiled[0].model
        model = between(trained_part.inputs[0], trained_part.output, trained_part.dtype_policy.name)
        if self.shape is None:
            compile_model(model, training.variant, steps)
        else:
            self.compiled.clear()
            gc.collect()  # a model and its compiled functions refer to one another
            self.compiled.append(Compiled.compile(model, training.variant, steps))
        return trained_part, model

    @functools.cached_property
    def compute(self) -> Compute:
        """What runs the trained part, whatever its values, on Keras and on one device: no batch is divided."""
        trained_part = self.built[0].trained_part
        return backend.predicting(between(trained_part.inputs[0], trained_part.output, trained_part.dtype_policy.name))

    @property
    def scorer(self) -> Predictor:
        """What predicts with the trained part as it is, by Keras."""
        return make_predictor(self.built[0].trained_part, KERAS, np.empty(0), self.compute)

    def trained(self, training: Training, source: Source, size: int = 0) -> Predictor:
        """Return what predicts with a finished training; size: of the photos, 0 for that of the training."""
        if self.shape is None:
            return predictor_of(training, source, size)
        if size:
            return self._trained_at(training, source, size)
        parts = self.parts(training)
        parts.set_trained(training)
        return predictor_by(parts.trained_part, training, source, self.compute)

    def _trained_at(self, training: Training, source: Source, size: int) -> Predictor:
        if size not in self.at_sizes:
            network = network_at(training, size)
            self.at_sizes[size] = network, backend.predicting(network)
        network, compute = self.at_sizes[size]
        read_weights(network, training.checked_weights())
        return predictor_by(network, training, source, compute)


_KEPT: list[Network] = []  # by this process: one at most, so that its memory does not grow


@contextmanager
def network_of(training: Training) -> Iterator[Network]:
    """Yield the network for a training: the one that this process keeps, if it is of the same shape.

    It is kept when the block ends, unless by an exception, which may leave it in any state.
    """
    shape, kept = shape_of(training), _KEPT.pop() if _KEPT else None
    network = kept if kept is not None and kept.shape == shape else _new(shape)
    del kept
    yield network
    if shape is not None:
        _KEPT.append(network)


def _new(shape: str | None) -> Network:
    """Return a network that is yet to be built, as if it were this process's first."""
    keras.utils.clear_session()
    return Network(shape)
