"""What a training by Keras minimises, and how: loss, optimizer and learning-rate schedule."""

from typing import Any

import keras

from ripik.models import backend
from ripik.settings import HALF, Variant


def compile_model(model: keras.Model, variant: Variant, steps: int) -> None:
    """Compile with Adam on categorical cross-entropy, and the variant's learning-rate schedule over `steps`.

    cosine: linear warm-up from 0 over `warmup` of the steps, then half a cosine to 0 (Loshchilov & Hutter 2017, SGDR).
    A network that computes in float16 has its loss scaled: a step whose gradients overflow all the same is left out,
    and does not count as one.
    """
    optimizer: Any = keras.optimizers.Adam(_schedule(variant, steps))
    if model.dtype_policy.name == HALF:
        optimizer = backend.loss_scaled(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=variant.label_smoothing),
        metrics=["accuracy"],
        jit_compile=backend.compiles(),
    )


def _schedule(variant: Variant, steps: int) -> Any:
    """Return what `ripik.training.schedule` computes, as a rate or a schedule of Keras."""
    if variant.schedule != "cosine":
        return variant.learning_rate
    warmup = round(variant.warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else variant.learning_rate,
        decay_steps=max(1, steps - warmup),
        warmup_target=variant.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
