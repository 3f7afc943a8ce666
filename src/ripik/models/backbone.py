"""Backbones of keras.applications, and the cut that splits one into a frozen part and a trained part."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

import keras

from ripik.errors import InputError, nearest
from ripik.models import backend
from ripik.names import ALL, FLOAT32, HEAD


def known_backbones() -> list[str]:
    """Return the names of the networks that keras.applications builds."""
    return sorted(name for name, item in vars(keras.applications).items() if inspect.isfunction(item))


def check_backbone(name: str) -> None:
    """Raise InputError, naming the nearest known one, for a network that keras.applications does not have."""
    if name not in known_backbones():
        raise InputError(f"network.backbone: keras.applications has no {name!r}{nearest(name, known_backbones())}.")


def build_backbone(name: str, size: int, weights: str | None = None, precision: str = FLOAT32) -> keras.Model:
    """Build a backbone from raw RGB of 0–255, (n, size, size, 3), to averaged features, (n, d) as it computes them.

    The preprocessing of the network's own module, where it has one, is part of the model. precision: a dtype policy of
    Keras, or auto (see `backend.precision`); variables are float32 in any.
    Raises InputError for an unknown name or a size the network cannot take.
    """
    check_backbone(name)
    builder = getattr(keras.applications, name)
    module: Any = inspect.getmodule(builder)
    with backend.computing_in(backend.precision(precision)):
        inputs = keras.Input((size, size, 3), name="pixels")
        try:
            tensor = module.preprocess_input(inputs)
            model = builder(include_top=False, weights=weights, input_tensor=tensor, pooling="avg")
        except ValueError as error:
            if weights is not None:
                raise
            raise InputError(f"{name} cannot be built for images of {size} × {size} pixels: {error}") from None
        return keras.Model(inputs, model.output, name=model.name)


@dataclass(frozen=True)
class Cut:
    """A backbone in two: `frozen` (None: empty) feeds `body` (None: empty). Both share the backbone's layers."""

    frozen: keras.Model | None
    body: keras.Model | None


def cut(backbone: keras.Model, train_from: str) -> Cut:
    """Split a backbone in front of the layer, or of the first layer of the block, named by `train_from`.

    `head`: the frozen part is the whole backbone; `all`: the frozen part is empty.
    Raises InputError for an unknown name, and where a connection skips over the cut.
    """
    if train_from == HEAD:
        return Cut(backbone, None)
    if train_from == ALL:
        return Cut(None, backbone)
    border = _first_layer(backbone, train_from).input
    try:
        if isinstance(border, list):
            raise ValueError("the layer joins several connections")
        with backend.computing_in(backbone.dtype_policy.name):
            return Cut(keras.Model(backbone.inputs[0], border), keras.Model(border, backbone.output))
    except ValueError:
        raise InputError(
            f"train_from = {train_from!r}: a skip connection of {backbone.name} bypasses this layer, so the "
            "network cannot be cut there. Name a block, or its first layer."
        ) from None


def _first_layer(backbone: keras.Model, name: str) -> keras.Layer:
    names = [layer.name for layer in backbone.layers[1:]]
    pattern = re.compile(rf"{re.escape(name)}([a-z]?_.*)?")  # the layer, its block, or its stage: block6 is block6a…d
    matching = [layer for layer in backbone.layers[1:] if pattern.fullmatch(layer.name)]
    if not matching:
        raise InputError(f"train_from: {backbone.name} has no layer or block {name!r}{nearest(name, names)}.")
    return matching[0]


def normalizations(backbone: keras.Model) -> list[Any]:
    """Return the layers that normalise the input by stored statistics (EfficientNet has one)."""
    return [layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization)]
