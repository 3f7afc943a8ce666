"""A backbone's initial weights: from a file, from ImageNet (Keras cache or download), or random; saved once a run."""

import warnings
from http.client import HTTPException
from pathlib import Path

import h5py
import keras
import numpy as np

from ripik import artifacts
from ripik.backbone import build_backbone, normalizations
from ripik.console import warn
from ripik.errors import InputError, SurroundingsError
from ripik.features import IMAGENET, RANDOM, initial_weights, weights_inputs
from ripik.random_weights import random_backbone
from ripik.settings import Settings, Variant

STANDARD_DEVIATION = np.array([0.229, 0.224, 0.225])  # of ImageNet's RGB, on the scale 0–1
ANY_SIZE = 128  # weights do not depend on the image size


def make_initial_weights(settings: Settings, variant: Variant) -> Path:
    """Write the variant's initial backbone weights unless the run holds them; return the file.

    Raises InputError for a file that is missing or of another network, SurroundingsError when ImageNet weights are
    neither in the Keras cache nor to be downloaded.
    """
    path, inputs = initial_weights(settings, variant), weights_inputs(variant)
    meta = artifacts.meta_beside(path)
    if not artifacts.is_fresh(meta, inputs):
        with artifacts.making(meta, inputs, [path]):
            backbone = _with_weights(variant.backbone, variant.weights)
            with artifacts.replacing(path) as temporary:
                backbone.save_weights(temporary)
    return path


def load_initial_weights(backbone: keras.Model, settings: Settings, variant: Variant) -> None:
    """Load the variant's initial weights, as the run holds them, into its backbone.

    Raises SurroundingsError when the file is not what was written.
    """
    path = initial_weights(settings, variant)
    artifacts.check_recorded(path, artifacts.meta_beside(path), "Run `make train` again.")
    load_weights(backbone, path)


def load_weights(backbone: keras.Model, path: Path) -> None:
    """Load a weights file (`.weights.h5`, or Keras' older `.h5`) into a backbone built without weights.

    Keras' official EfficientNet files keep the standard deviation where the normalization layer expects the variance
    (their network makes up for it with a rescaling layer); such a file is told by its values and put right.
    Raises InputError when the file is not one of this network's.
    """
    try:
        read_weights(backbone, path)
    except (ValueError, OSError, KeyError, TypeError) as error:
        reason = str(error).strip().split("\n")[0].split(" Example error")[0][:200]
        raise InputError(
            f"{path} does not hold weights of {backbone.name} without its top ({reason}) Give this backbone's file, "
            "as Keras saves it with include_top=False."
        ) from None
    _make_variance_true(backbone)


def read_weights(model: keras.Model, path: Path) -> None:
    """Load a weights file without Keras' warning about its own second listing of the layers (3.13 and later)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping nested container")
        model.load_weights(path)


def _make_variance_true(backbone: keras.Model) -> None:
    for layer in normalizations(backbone):
        stored = np.ravel(keras.ops.convert_to_numpy(layer.variance))
        if layer.built and stored.shape == (3,) and np.allclose(stored, STANDARD_DEVIATION, atol=1e-3):
            layer.adapt_variance.assign(np.square(stored))
            layer.finalize_state()


def _with_weights(name: str, weights: str) -> keras.Model:
    if weights == RANDOM:
        warn(f"{name} starts from RANDOM weights, as network.weights asks: expect much less than with ImageNet's")
        return random_backbone(name)
    backbone = build_backbone(name, ANY_SIZE)
    if weights == IMAGENET:
        backbone.set_weights(_imagenet(name).get_weights())
        for layer in normalizations(backbone):
            layer.finalize_state()
        _make_variance_true(backbone)
    else:
        load_weights(backbone, _readable(Path(weights).expanduser()))
    return backbone


def _imagenet(name: str) -> keras.Model:
    try:
        return build_backbone(name, ANY_SIZE, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when its download fails
        failed = isinstance(error, OSError | HTTPException) or "URL fetch" in str(error) or "corrupted" in str(error)
        if not failed:
            raise
        raise SurroundingsError(
            f"the ImageNet weights of {name} are not in the Keras cache and cannot be downloaded ({error}). "
            "Three ways: connect to the internet once; put the official file into ~/.keras/models; "
            "or name a weights file: --set network.weights=PATH."
        ) from None


def _readable(path: Path) -> Path:
    if not h5py.is_hdf5(path):
        raise InputError(f"network.weights: {path} is not an HDF5 weights file.")
    return path
