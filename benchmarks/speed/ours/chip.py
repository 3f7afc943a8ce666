"""The chip that Keras' backend computes on: its name, and how many TFLOP/s a product of large matrices reaches.

python -m benchmarks.speed.ours.chip [--precision mixed_float16 [--side 8192] [--seconds 2]]
"""

import argparse
import json
import time
from typing import Any

import keras
import numpy as np

from ripik.models import backend

CHUNK = 10  # products between two looks at the clock
ROUNDS = 3


def chip() -> dict[str, Any]:
    """Return the backend, whether it computes on a GPU, and the name that the driver gives that GPU."""
    name = _gpu()
    return {"backend": backend.backend(), "gpu": name is not None, "chip": name}


def _gpu() -> str | None:
    """Return the name of the first GPU, on which one process computes, or None."""
    if keras.backend.backend() == "jax":
        import jax

        first = jax.devices()[0]
        return first.device_kind if first.platform != "cpu" else None
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(found[0]).get("device_name", found[0].name) if found else None


def matmul_tflops(side: int, seconds: float, precision: str) -> float:
    """Return the best of some rounds of products of square matrices, each of the last one's result."""
    dtype = keras.DTypePolicy(precision).compute_dtype
    random = np.random.default_rng(0).standard_normal((2, side, side), "float32")
    first, second = (keras.ops.convert_to_tensor(matrix / side**0.5, dtype) for matrix in random)  # products stay small
    _products(first, second)
    return max(_round(first, second, seconds / ROUNDS) for _ in range(ROUNDS))


def _round(first: Any, second: Any, seconds: float) -> float:
    start, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds or not done:
        _products(first, second)
        done += CHUNK
    return 2 * first.shape[0] ** 3 * done / passed / 1e12


def _products(first: Any, second: Any) -> None:
    for _ in range(CHUNK):
        first = keras.ops.matmul(first, second)
    keras.ops.convert_to_numpy(first[0, 0])  # the backend may only have queued the work


def main() -> None:
    """Print the chip, or what it reaches under a dtype policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", help="a dtype policy of Keras: time products of matrices")
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--seconds", type=float, default=2)
    given = parser.parse_args()
    found = chip()
    if given.precision:
        found["tflops"] = matmul_tflops(given.side, given.seconds, given.precision)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
