"""The values of a network's variables: read, given back, hashed, saved."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ripik.storage.atomic import replacing

SEED_STATE = "seed_generator_state"  # Keras' name of such a variable: a seed, and how often it was drawn by


def values_of(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Return the variables' values."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables: Sequence[keras.Variable], values: list[np.ndarray]) -> None:
    """Give the variables these values, in their order; ValueError for another number or shape."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def seed_draws(model: keras.Model, seed: int) -> None:
    """Have all that a model's layers draw at random begin anew by this seed."""
    for variable in model.variables:
        if variable.name == SEED_STATE:
            variable.assign([seed, 0])


def digest_of(model: keras.Model) -> str:
    """SHA-256 (hex) of a model's weights: the bytes of an HDF5 file differ from one writing to the next."""
    found = hashlib.sha256()
    for value in values_of(model.weights):
        found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()


def save_weights(model: keras.Model, path: Path) -> None:
    """Save a model's weights atomically as Keras 3's `.weights.h5`."""
    with replacing(path) as temporary:
        model.save_weights(temporary)
