"""What a training minimises, and how: loss, class weights, optimizer and learning-rate schedule."""

from typing import Any

import keras
import numpy as np

from ripik.errors import InputError
from ripik.models import backend, operations
from ripik.settings import HALF, HEAD, Variant
from ripik.splits.run import Run


def compile_model(model: keras.Model, variant: Variant, steps: int) -> None:
    """Compile with Adam on categorical cross-entropy, and the variant's learning-rate schedule over `steps`.

    cosine: linear warm-up from 0 over `warmup` of the steps, then half a cosine to 0 (Loshchilov & Hutter 2017, SGDR).
    A network that computes in float16 has its loss scaled: a step whose gradients overflow all the same is left out,
    and does not count as one.
    """
    rate = _schedule(variant, steps)
    head_alone = variant.train_from == HEAD
    optimizer: Any = keras.optimizers.Adam(rate) if head_alone else operations.adam(rate, model.dtype_policy.name)
    if model.dtype_policy.name == HALF:
        optimizer = backend.loss_scaled(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=variant.label_smoothing),
        metrics=["accuracy"],
        jit_compile=backend.compiles(),
    )


def learning_rate(variant: Variant, steps: int, step: int) -> float:
    """Return the learning rate after `step` of `steps` optimizer steps, without looking at the optimizer."""
    rate = _schedule(variant, steps)
    return float(keras.ops.convert_to_numpy(rate(step))) if callable(rate) else rate


def _schedule(variant: Variant, steps: int) -> Any:
    if variant.schedule != "cosine":
        return variant.learning_rate
    warmup = round(variant.warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else variant.learning_rate,
        decay_steps=max(1, steps - warmup),
        warmup_target=variant.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def class_weights(run: Run, variant: Variant, rows: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray | None:
    """Return the weight of each class in the loss, float (C,), or None.

    shares: as what part of a row each is counted, float (len(rows),); None: as a whole one.
    balanced: n / (classes × count), as scikit-learn's. A table gives weights by label, 1 for those it leaves out.
    Raises InputError for a label that is no class.
    """
    classes = run.competition.classes
    if variant.class_weights == "none":
        return None
    if isinstance(variant.class_weights, dict):
        names = [str(label) for label in classes]
        unknown = [name for name in variant.class_weights if name not in names]
        if unknown:
            raise InputError(f"variants.{variant.name}.class_weights: {unknown[0]!r} is no class; they are {names}.")
        return np.array([variant.class_weights.get(name, 1.0) for name in names])
    counts = np.bincount(run.training_targets()[rows], shares, minlength=len(classes))
    return counts.sum() / (len(classes) * np.where(counts > 0, counts, 1))
