"""What is the backend's own: threads, determinism, logs. The only module that names TensorFlow."""

import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ripik.errors import InputError

if TYPE_CHECKING:
    import numpy as np

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


def prepare_environment(threads: int) -> None:
    """Set what must stand in the environment before Keras is imported: threads of every library, quiet logs."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[variable] = str(threads)
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)


def import_backend() -> None:
    """Import Keras and its backend without the lines that their C++ parts print on loading, whatever the log level.

    Errors still arrive as exceptions.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # a short last batch is no reason to warn of retracing
    try:
        importlib.import_module("keras")
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and Keras, and ask the backend for deterministic operations."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def threads() -> int:
    """Return how many threads `prepare_environment` gave this process, or all usable cores without it."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else usable_cores()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_trace() -> bool:
    """Whether `traced` works here, and a CPU is what the network runs on."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def traced(model: Any, shape: Sequence[int], dtype: str) -> Any:
    """Return the network in inference mode as a TensorFlow graph of inputs (n, *shape), for a converter."""
    import tensorflow as tf

    def call(inputs: Any) -> Any:
        return model(inputs, training=False)

    return tf.function(call).get_concrete_function(tf.TensorSpec([None, *shape], dtype))


def gradient(function: Callable[[Any], Any], array: "np.ndarray") -> "np.ndarray":
    """Return the gradient of a function at an array of floats, in its shape; the function maps tensors to a scalar.

    Raises InputError where the backend is not TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"gradients, which Grad-CAM needs, are taken with TensorFlow, but Keras runs on {keras.backend.backend()}. "
            "Set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    tensor = tf.convert_to_tensor(array)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = function(tensor)
    return tape.gradient(value, tensor).numpy()
