"""The network of a job: a frozen part, and the trained part: the rest of the backbone and the head."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ripik.execution.task import Reporter
from ripik.features.batches import Batches, Source, first_batch, prefetched
from ripik.features.store import Pass
from ripik.models import backend
from ripik.models.backbone import Cut, build_backbone, cut
from ripik.models.engines import SAMPLE, Predictor, make_predictor
from ripik.models.folding import folded
from ripik.models.weights import load_initial_weights, read_weights
from ripik.names import ViewName
from ripik.settings import FLOAT32, KERAS
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.training.jobs import Training


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
    drawn = _glorot_uniform(seed)
    head = keras.layers.Dense(classes, activation="softmax", kernel_initializer=drawn, name="head", dtype=FLOAT32)
    return between(inputs, head(features), computes_in(frozen, body))


def _glorot_uniform(seed: int) -> Callable[..., np.ndarray]:
    """Return an initialiser that draws the same with every backend (Glorot & Bengio 2010, AISTATS)."""

    def draw(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        limit = np.sqrt(6 / sum(shape))
        return np.random.default_rng(seed).uniform(-limit, limit, shape).astype(dtype or FLOAT32)

    return draw


def computes_in(*parts: keras.Model | None) -> str:
    """Return the precision of parts of one backbone, None for those that are empty; float32 when all are."""
    return next((part.dtype_policy.name for part in parts if part is not None), FLOAT32)


def between(inputs: Any, outputs: Any, precision: str) -> keras.Model:
    """Return the network between two tensors of Keras, which says that it computes in `precision`."""
    with backend.computing_in(precision):
        network = keras.Model(inputs, outputs)
    network.jit_compile = backend.compiles()
    return network


def trained_network(training: Training) -> keras.Model:
    """Return the trained part of a finished training with its weights."""
    trained_part = _trained_part(training, _backbone(training))
    read_weights(trained_part, _trained_weights(training))
    return trained_part


def whole_network(
    training: Training, backbone: keras.Model | None = None
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Return a finished training's backbone, from pixels, with its weights, and its head's kernel and bias.

    Shapes (d, C) and (C,), float32, as all of the network computes. A backbone that this function returned for another
    training of the variant may be given to be loaded anew, which is quicker than building one.
    """
    backbone = backbone or _whole_backbone(training, FLOAT32)
    trained_part = _trained_part(training, backbone)
    read_weights(trained_part, _trained_weights(training))
    kernel, bias = trained_part.get_layer("head").get_weights()
    return backbone, kernel, bias


def starting_network(training: Training) -> keras.Model:
    """Return the trained part as its training finds it: initial weights, or those of the training it starts from.

    Both trained parts are cut from one backbone, so the start's weights land in the right layers wherever its cut was.
    """
    backbone, start = _backbone(training), training.start
    if start is None:
        return _trained_part(training, backbone)
    before = _trained_part(start, backbone)
    read_weights(before, _trained_weights(start))
    trained_part = _trained_part(training, backbone)
    trained_part.get_layer("head").set_weights(before.get_layer("head").get_weights())
    return trained_part


def predict_rows(predictor: Predictor, source: Source, rows: np.ndarray, view: str, batch_size: int) -> np.ndarray:
    """Return the outputs of rows of a source, float32 (len(rows), …); pixels are seen through `view`."""
    batches = Batches(source, rows, batch_size, view=view)
    return np.concatenate([np.empty((0, *predictor.output), "float32"), *predictor.stream(prefetched(batches))])


def predict_views(
    predictor: Predictor,
    sources: Mapping[ViewName, Source],
    rows: np.ndarray,
    batch_size: int,
    report: Reporter | None = None,
) -> np.ndarray:
    """Return the outputs of rows through every view, float32 (views, len(rows), …).

    sources: by view, what the predictor reads: pixels, not yet seen through it, or outputs of frozen layers, which are.
    """
    found = []
    for number, (view, source) in enumerate(sources.items(), start=1):
        found.append(predict_rows(predictor, source, rows, view, batch_size))
        if report is not None:
            report(float(number), len(sources), f"{number}/{len(sources)}, {view}")
    return np.stack(found)


def predictor_of(training: Training, source: Source) -> Predictor:
    """Return what predicts with a finished training; the head alone, one product of matrices, always runs on Keras."""
    trained_part = trained_network(training)
    if training.data.reading.head_alone:
        return make_predictor(trained_part, KERAS, np.empty(0))
    return make_predictor(trained_part, training.run.settings.prediction.engine, first_batch(source, SAMPLE))


def _trained_weights(training: Training) -> Path:
    return artifacts.check_recorded(training.weights, training.meta, "Run `make train` again.")


def _backbone(training: Training) -> keras.Model | None:
    """Build the backbone with its initial weights; None for a head whose inputs are stored: their shape is enough."""
    reading = training.data.reading
    if reading.head_alone and reading.path(Pass("train")).exists():
        return None
    return _whole_backbone(training, training.variant.precision)


def _whole_backbone(training: Training, precision: str) -> keras.Model:
    variant = training.variant
    backbone = build_backbone(variant.backbone, variant.image_size, precision=precision)
    load_initial_weights(backbone, training.run.settings, variant)
    return backbone


def _trained_part(training: Training, backbone: keras.Model | None) -> keras.Model:
    variant, reading = training.variant, training.data.reading
    parts = cut(backbone, variant.train_from) if backbone is not None else Cut(None, None)
    if reading.from_pixels:
        shape: tuple[int, ...] = (variant.image_size, variant.image_size, 3)
    elif parts.frozen is not None:
        shape = parts.frozen.output.shape[1:]
    else:
        shape = PackedRows([reading.path(Pass("train"))]).row_shape
    return build_trained_part(
        shape,
        parts.body,
        len(training.run.competition.classes),
        dropout=0.0 if reading.head_alone else variant.dropout,  # else the batches have it
        seed=training.seed,
        frozen=parts.frozen if reading.from_pixels else None,
    )
