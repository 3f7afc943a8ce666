"""A head's weights as Keras 3 saves those of a network of inputs, dropout and a dense layer; without Keras."""

import hashlib
from pathlib import Path

import h5py
import numpy as np

from ripik.errors import SurroundingsError, is_damage
from ripik.storage.atomic import replacing

LAYERS = {"input_layer": "inputs", "dropout": "dropout", "dense": "head"}  # group of the file: name of the layer
NAME = "name"  # the attribute with it


def save_head(path: Path, kernel: np.ndarray, bias: np.ndarray) -> str:
    """Write a kernel (d, C) and a bias (C,) atomically as `.weights.h5`; return the digest of their values.

    It is what `ripik.models.variables.digest_of` says of the network.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_group("vars").attrs[NAME] = "functional"
        for group, name in LAYERS.items():
            file.create_group(f"layers/{group}/vars").attrs[NAME] = name
        for number, values in enumerate((kernel, bias)):
            file[f"layers/dense/vars/{number}"] = np.ascontiguousarray(values, np.float32)
    return _digest(kernel, bias)


def _digest(kernel: np.ndarray, bias: np.ndarray) -> str:
    """SHA-256 (hex) of the values."""
    found = hashlib.sha256()
    for values in (kernel, bias):
        found.update(np.ascontiguousarray(values, np.float32).data)
    return found.hexdigest()


def read_head(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel (d, C) and the bias (C,) of the layer `head` in a file of any trained part.

    Raises SurroundingsError for a file that holds none.
    """
    try:
        with h5py.File(path) as file:
            layers = (layer["vars"] for layer in file["layers"].values())
            found = next(variables for variables in layers if variables.attrs.get(NAME) == "head")
            return found["0"][()], found["1"][()]
    except (OSError, KeyError, StopIteration) as error:
        if not is_damage(error):
            raise
        raise SurroundingsError(f"{path} contains no head. Run `make train` again.") from None
