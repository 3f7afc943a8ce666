"""The network of a job: a frozen part, and the trained part: the rest of the backbone and the head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ripik.features.batches import Source, first_batch
from ripik.features.store import Pass
from ripik.models import backend
from ripik.models.backbone import Cut, build_backbone, cut
from ripik.models.engines import SAMPLE, make_predictor
from ripik.models.folding import folded
from ripik.models.predictor import Compute, Predictor
from ripik.models.softmax_head import glorot_uniform
from ripik.models.variables import seed_draws
from ripik.models.weights import load_initial_weights, read_weights
from ripik.names import FLOAT32
from ripik.storage.packed_rows import PackedRows
from ripik.training.jobs import Training
from ripik.training.predictions import head_of


class InferenceMode(keras.layers.Layer):
    """Calls a model with `training=False` whatever the mode of the network around it.

    A functional model does not keep the argument of a nested call: `fit` would put BatchNorm and stochastic depth into
    training mode all the same. Its weights are trained like any others. `running`: a network of the same variables that
    computes the same, which is run in the model's place; files of weights know the model alone.
    """

    def __init__(self, body: keras.Model, name: str, running: keras.Model | None = None) -> None:
        super().__init__(name=name)
        self.body = body
        runs = running or body
        self.run = lambda inputs: runs(inputs, training=False)  # Keras would track an attribute that is a model

    def call(self, inputs: Any) -> Any:
        """Run the model in inference mode."""
        return self.run(inputs)


def build_trained_part(
    shape: Sequence[int | None],
    body: keras.Model | None,
    classes: int,
    *,
    dropout: float,
    seed: int,
    frozen: keras.Model | None = None,
) -> keras.Model:
    """Build what a job trains, from inputs of `shape`: the body of the cut (None: empty), dropout, softmax.

    The body is called in inference mode: its BatchNorm keeps the stored statistics (finetuning with batch statistics of
    small batches loses accuracy), and its own dropout and stochastic depth rest. So BatchNorm is `folded`. `frozen`
    stands before the body and is not trained: the frozen part, where its outputs are not stored. The head computes in
    float32 whatever the body does.
    """
    features = inputs = keras.Input(tuple(shape), name="inputs")
    if frozen is not None:
        features = InferenceMode(frozen, "frozen")(features)
        frozen.trainable = False
    if body is not None:
        features = InferenceMode(body, "body", folded(body))(features)
        body.trainable = True  # an earlier trained part of the same backbone may have frozen it
    features = keras.layers.Dropout(dropout, seed=seed, dtype=FLOAT32)(features)
    drawn = glorot_uniform(seed)
    head = keras.layers.Dense(classes, activation="softmax", kernel_initializer=drawn, name="head", dtype=FLOAT32)
    return between(inputs, head(features), computes_in(frozen, body))


def computes_in(*parts: keras.Model | None) -> str:
    """Return the precision of parts of one backbone, None for those that are empty; float32 when all are."""
    return next((part.dtype_policy.name for part in parts if part is not None), FLOAT32)


def between(inputs: Any, outputs: Any, precision: str) -> keras.Model:
    """Return the network between two tensors of Keras, which says that it computes in `precision`."""
    with backend.computing_in(precision):
        network = keras.Model(inputs, outputs)
    network.jit_compile = backend.compiles()
    return network


def trained_network(training: Training, size: int = 0) -> keras.Model:
    """Return the trained part of a finished training with its weights; size: of the photos that it reads.

    0 is the size of the training. Layers do not depend on it: a network of convolutions takes any.
    """
    trained_part = network_at(training, size)
    read_weights(trained_part, training.checked_weights())
    return trained_part


def network_at(training: Training, size: int = 0) -> keras.Model:
    """Return a trained part of any values that reads photos of a size; 0: of the size of the training."""
    precision = training.variant.precision
    backbone = _whole_backbone(training, precision, size) if size else _built_backbone(training)
    return _trained_part(training, backbone, size)


def whole_network(
    training: Training, backbone: keras.Model | None = None
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Return a finished training's backbone, from pixels, with its weights, and its head's kernel and bias.

    Shapes (d, C) and (C,), float32, as all of the network computes. A backbone that this function returned for another
    training of the variant may be given to be loaded anew, which is quicker than building one.
    """
    if backbone is None:
        backbone = _whole_backbone(training, FLOAT32)
        load_initial_weights(backbone, training.run.settings, training.variant)
    trained_part = _trained_part(training, backbone)
    read_weights(trained_part, training.checked_weights())
    kernel, bias = trained_part.get_layer("head").get_weights()
    return backbone, kernel, bias


@dataclass(frozen=True)
class Parts:
    """The networks of a training, whatever their values.

    backbone: None for a head whose inputs are stored. before: the trained part of the training that it starts from,
    None without one. Both trained parts are cut from one backbone, so a start's weights land in the right layers
    wherever its cut was.
    """

    backbone: keras.Model | None
    before: keras.Model | None
    trained_part: keras.Model

    @classmethod
    def build(cls, training: Training) -> "Parts":
        """Build them."""
        backbone, start = _built_backbone(training), training.start
        before = None if start is None else _trained_part(start, backbone)
        return cls(backbone, before, _trained_part(training, backbone))

    def set_start(self, training: Training) -> None:
        """Give every variable the value that the training finds: initial weights, or those of the one it starts from.

        What is drawn at random depends on the training's seed alone.
        """
        if self.backbone is not None:
            load_initial_weights(self.backbone, training.run.settings, training.variant)
        head = self.trained_part.get_layer("head")
        if training.start is None or self.before is None:
            kernel, bias = head.get_weights()
            head.set_weights([glorot_uniform(training.seed)(kernel.shape), np.zeros_like(bias)])
        else:
            read_weights(self.before, training.start.checked_weights())
            head.set_weights(self.before.get_layer("head").get_weights())
        seed_draws(self.trained_part, training.seed)

    def set_trained(self, training: Training) -> None:
        """Give the trained part the weights of the finished training."""
        read_weights(self.trained_part, training.checked_weights())


def predictor_of(training: Training, source: Source, size: int = 0) -> Predictor:
    """Return what predicts with a finished training: for a head alone NumPy, else the engine of the settings.

    source: what it reads, on which engines are compared. size: see `trained_network`.
    """
    if training.data.reading.head_alone:
        return head_of(training)
    return predictor_by(trained_network(training, size), training, source)


def predictor_by(
    trained_part: keras.Model, training: Training, source: Source, on_keras: Compute | None = None
) -> Predictor:
    """Return what predicts with a trained part; on_keras: what runs it on Keras."""
    engine = training.run.settings.prediction.engine
    return make_predictor(trained_part, engine, first_batch(source, SAMPLE), on_keras)


def _built_backbone(training: Training) -> keras.Model | None:
    """Build the backbone; None for a head whose inputs are stored: their shape is enough."""
    reading = training.data.reading
    if reading.head_alone and reading.path(Pass("train")).exists():
        return None
    return _whole_backbone(training, training.variant.precision)


def _whole_backbone(training: Training, precision: str, size: int = 0) -> keras.Model:
    return build_backbone(training.variant.backbone, size or training.variant.image_size, precision=precision)


def _trained_part(training: Training, backbone: keras.Model | None, size: int = 0) -> keras.Model:
    variant, reading = training.variant, training.data.reading
    parts = cut(backbone, variant.train_from) if backbone is not None else Cut(None, None)
    if reading.from_pixels:
        shape: tuple[int, ...] = (size or variant.image_size,) * 2 + (3,)
    elif parts.frozen is not None:
        shape = parts.frozen.output.shape[1:]
    else:
        shape = PackedRows([reading.path(Pass("train"))]).row_shape
    return build_trained_part(
        shape,
        parts.body,
        len(training.run.competition.classes),
        dropout=0.0 if reading.head_alone else variant.dropout,  # then its batches have it
        seed=training.seed,
        frozen=parts.frozen if reading.from_pixels else None,
    )
