"""A backbone's initial weights: from a file, from ImageNet (Keras cache or download), or random; saved once a run."""

import re
import warnings
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

import h5py
import keras
import numpy as np

from ripik.console import warn
from ripik.errors import InputError, SurroundingsError
from ripik.execution.task import Reporter
from ripik.models.backbone import build_backbone, normalizations
from ripik.models.random_weights import random_backbone
from ripik.models.weight_files import IMAGENET, RANDOM, initial_weights, weights_inputs
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.up_to_date import Artifact
from ripik.variants import Variant

STANDARD_DEVIATION = np.array([0.229, 0.224, 0.225])  # of ImageNet's RGB, on the scale 0–1
ANY_SIZE = 128  # weights do not depend on the image size
WANTED = "Give this backbone's file, as Keras saves it with include_top=False (.weights.h5, or .h5 of Keras 2)."
KINDS = (  # what files that are no HDF5 begin with
    (rb"$", "is empty"),
    (rb"PK\x03\x04", "is a zip archive, as .keras models and PyTorch's and NumPy's files are"),
    (rb"\x80[\x02-\x05]", "is a Python pickle, which is never opened, as it can run any code"),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the weights themselves"),
    (rb"\s*<", "is a web page"),
)


def make_initial_weights(settings: Settings, variant: Variant) -> Path:
    """Write the variant's initial backbone weights unless the run holds them; return the file.

    Raises InputError for a file that is missing or of another network, SurroundingsError when ImageNet weights are
    neither in the Keras cache nor to be downloaded.
    """
    path = initial_weights(settings, variant)
    made = Artifact.of(path, weights_inputs(variant))
    if not made.is_fresh:
        with made.making():
            backbone = _with_weights(variant.backbone, variant.weights)
            with artifacts.replacing(path) as temporary:
                backbone.save_weights(temporary)
    return path


def make_all(settings: Settings, variants: Sequence[Variant], report: Reporter) -> None:
    """Write the initial backbone weights of several variants, as `make_initial_weights` does."""
    for number, variant in enumerate(variants, start=1):
        make_initial_weights(settings, variant)
        report(number, len(variants))


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
    Raises InputError when the file is damaged, not one of this network's, or holds values that are no numbers.
    """
    try:
        read_weights(backbone, path)
    except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:  # h5py's are the last two, and OSError
        raise InputError(f"{path} {_reason(error, backbone)}. {WANTED}") from None
    if not all(np.isfinite(values).all() for values in backbone.get_weights()):
        raise InputError(f"{path} contains weights that are NaN or infinite, so its training had diverged. {WANTED}")
    _make_variance_true(backbone)


def _reason(error: Exception, backbone: keras.Model) -> str:
    """Return what is wrong with a file by what Keras and h5py tell."""
    problem = str(error)
    if "truncated file" in problem:
        return "is truncated: its end is missing, as after an interrupted download"
    if isinstance(error, OSError | RuntimeError | UnicodeError) or re.search(r"nable to (?!.*doesn't exist)", problem):
        return "is damaged: HDF5 cannot read all of it"
    if found := re.search(r"total of (\d+) objects could not be loaded", problem):
        problem = f"{found[1]} of {len(backbone.layers)} layers find no weights in it"
    elif found := re.search(r"expected (\d+) layers, found (\d+) saved", problem):
        problem = f"it has {found[2]} layers with weights, the network has {found[1]}"
    elif isinstance(error, KeyError):
        problem = f"it lacks {problem}"
    else:
        problem = re.split(r"\.?\n|\.? Example error", problem.strip())[0][:200]
    return f"does not contain weights of {backbone.name} without its top ({problem})"


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
        warn(
            f"{name} starts from RANDOM weights, as network.weights asks: expect much worse scores than with ImageNet's"
        )
        return random_backbone(name)
    path = None if weights == IMAGENET else _readable(Path(weights).expanduser())
    backbone = build_backbone(name, ANY_SIZE)
    if path is None:
        backbone.set_weights(_imagenet(name).get_weights())
        for layer in normalizations(backbone):
            layer.finalize_state()
        _make_variance_true(backbone)
    else:
        load_weights(backbone, path)
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
            "Three ways out: connect to the internet once; put the official file into ~/.keras/models; "
            "or name a weights file: SET=network.weights=PATH (--set network.weights=PATH)."
        ) from None


def _readable(path: Path) -> Path:
    """Return the path of a weights file whose content and name are such that Keras tells its format by them."""
    with path.open("rb") as file:
        start = file.read(64)
    if not h5py.is_hdf5(path):
        kind = next((kind for pattern, kind in KINDS if re.match(pattern, start)), "is not an HDF5 weights file")
        raise InputError(f"network.weights: {path} {kind}. {WANTED}")
    try:
        with h5py.File(path) as opened:
            newer, older = "layers" in opened, "layer_names" in opened.attrs or "model_weights" in opened
    except (OSError, RuntimeError):  # damaged: what is wrong with it is told when it is loaded
        return path
    name = path.name.split(".")[0]
    if newer and not path.name.endswith(".weights.h5"):
        raise InputError(f"network.weights: {path} was saved by Keras 3. Rename it to {name}.weights.h5.")
    if older and (path.name.endswith(".weights.h5") or path.suffix not in (".h5", ".hdf5")):
        raise InputError(f"network.weights: {path} was saved in the format of Keras 2. Rename it to {name}.h5.")
    return path
