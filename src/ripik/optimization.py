"""What a training minimises, and how: loss, class weights, optimizer and learning-rate schedule."""

from typing import Any

import keras
import numpy as np

from ripik.errors import InputError
from ripik.jobs import Run
from ripik.settings import Variant


def compile_model(model: keras.Model, variant: Variant, steps: int) -> None:
    """Compile with Adam on categorical cross-entropy, and the variant's learning-rate schedule over `steps`.

    cosine: linear warm-up from 0 over `warmup` of the steps, then half a cosine to 0 (Loshchilov & Hutter 2017, SGDR).
    """
    rate: Any = variant.learning_rate
    if variant.schedule == "cosine":
        warmup = round(variant.warmup * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else variant.learning_rate,
            decay_steps=max(1, steps - warmup),
            warmup_target=variant.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=variant.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,
    )


def class_weights(run: Run, variant: Variant, rows: np.ndarray) -> dict[int, float] | None:
    """Return the weight of each class index in the loss, or None.

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
        return {index: variant.class_weights.get(name, 1.0) for index, name in enumerate(names)}
    counts = np.bincount(run.targets()[rows], minlength=len(classes))
    return {index: len(rows) / (len(classes) * count) for index, count in enumerate(counts) if count}
