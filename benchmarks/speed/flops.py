"""How much a network computes: the floating-point operations of its convolutions and dense layers, for one image."""

from __future__ import annotations

import math

import keras

COUNTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


def flops(model: keras.Model) -> int:
    """Return the operations of a forward pass, a multiplication and an addition being two; models inside count too.

    Activations, normalisation and pooling are left out, as in the figures that are published for networks.
    """
    return sum(_layer_flops(layer) for layer in model.layers)


def training_flops(model: keras.Model) -> int:
    """Return the operations of a training step: as much again for the gradients of outputs, and of weights."""
    return 3 * flops(model)


def _layer_flops(layer: keras.Layer) -> int:
    inner = getattr(layer, "body", layer)  # of `InferenceMode`, which calls the model that it holds
    if isinstance(inner, keras.Model):
        return flops(inner)
    if not isinstance(layer, COUNTED):
        return 0
    positions = math.prod(layer.output.shape[1:-1])
    return 2 * math.prod(layer.kernel.shape) * positions
