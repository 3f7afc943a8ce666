"""The network of a job: a frozen prefix, and the suffix (the rest of the backbone and the head) that is trained."""

from typing import Any

import keras
import numpy as np

from ripik.backbone import Cut, build_backbone, cut
from ripik.features import batches, initial_weights
from ripik.jobs import Run, job_seed, start_job, weights_path
from ripik.layout import Job
from ripik.weights import load_weights, read_weights


class InferenceMode(keras.layers.Layer):
    """Calls a model with `training=False` whatever the mode of the network around it.

    A functional model does not keep the argument of a nested call: `fit` would put BatchNorm and stochastic depth into
    training mode all the same. Its weights are trained like any others.
    """

    def __init__(self, body: keras.Model) -> None:
        super().__init__(name="body")
        self.body = body

    def call(self, inputs: Any) -> Any:
        """Run the model in inference mode."""
        return self.body(inputs, training=False)


def build_suffix(backbone: keras.Model, parts: Cut, classes: int, dropout: float, seed: int) -> keras.Model:
    """Build the trainable part: the body of the cut, dropout, softmax of `classes`; its input is the prefix's output.

    The body is called in inference mode: its BatchNorm keeps the stored statistics (finetuning with batch statistics of
    small batches loses accuracy), and its own dropout and stochastic depth rest.
    """
    if parts.body is None:
        inputs = keras.Input(backbone.output.shape[1:], name="features")
        features = inputs
    else:
        inputs = keras.Input(parts.body.inputs[0].shape[1:], name="cut")
        features = InferenceMode(parts.body)(inputs)
    features = keras.layers.Dropout(dropout, seed=seed)(features)
    kernel = keras.initializers.GlorotUniform(seed=seed)
    outputs = keras.layers.Dense(classes, activation="softmax", kernel_initializer=kernel, name="head")(features)
    suffix = keras.Model(inputs, outputs)
    suffix.jit_compile = False  # XLA on a CPU is several times slower
    return suffix


def trained_network(run: Run, job: Job) -> keras.Model:
    """Return the suffix of a finished job with its trained weights."""
    _, suffix = _untrained(run, job)
    read_weights(suffix, weights_path(run, job))
    return suffix


def starting_network(run: Run, job: Job) -> keras.Model:
    """Return the suffix of a job as its training finds it: initial weights, or those of the job it starts from.

    Both suffixes are cut from one backbone, so the start's weights land in the right layers wherever its cut was.
    """
    backbone, suffix = _untrained(run, job)
    start = start_job(run, job)
    if start is not None:
        before = _suffix(run, start, backbone)
        read_weights(before, weights_path(run, start))
        suffix.get_layer("head").set_weights(before.get_layer("head").get_weights())
    return suffix


def predict_rows(suffix: keras.Model, array: np.ndarray, rows: np.ndarray, view: str, batch_size: int) -> np.ndarray:
    """Return the probabilities of the rows of a stored array, float32 (len(rows), classes)."""
    found = [suffix.predict_on_batch(batch) for batch in batches(array, rows, view, batch_size)]
    return np.concatenate(found) if found else np.empty((0, suffix.output.shape[-1]), "float32")


def _untrained(run: Run, job: Job) -> tuple[keras.Model, keras.Model]:
    variant = run.settings.variants[job.variant]
    backbone = build_backbone(variant.backbone, variant.image_size)
    load_weights(backbone, initial_weights(run.settings, variant))
    return backbone, _suffix(run, job, backbone)


def _suffix(run: Run, job: Job, backbone: keras.Model) -> keras.Model:
    variant = run.settings.variants[job.variant]
    parts = cut(backbone, variant.train_from)
    return build_suffix(backbone, parts, len(run.competition.classes), variant.dropout, job_seed(variant, job))
