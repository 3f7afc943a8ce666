"""Operations of a trained body, by whatever is fastest here: a module of TensorFlow's on a CPU, else Keras."""

from types import ModuleType
from typing import Any

import keras
from keras import ops

from ripik.models import backend
from ripik.names import FLOAT32

WIDE = 5  # of the depthwise filters whose gradient is slow


def swish(inputs: Any) -> Any:
    """Return x · sigmoid(x)."""
    faster = _faster(inputs.dtype)
    return faster.swish(inputs) if faster else keras.activations.silu(inputs)


def biased(inputs: Any, bias: Any) -> Any:
    """Add a bias (C,) to inputs (…, C)."""
    faster = _faster(inputs.dtype)
    return faster.biased(inputs, bias) if faster else inputs + bias


def depthwise(inputs: Any, kernel: Any, stride: int, padding: str) -> Any:
    """Convolve inputs (n, h, w, C) with a kernel (k, k, C, 1); padding: `same` or `valid`."""
    faster = _faster(inputs.dtype)
    if faster and kernel.shape[1] == WIDE and None not in inputs.shape[1:]:
        return faster.depthwise(inputs, kernel, stride, padding.upper())
    return ops.depthwise_conv(inputs, kernel, strides=stride, padding=padding)


def excited(inputs: Any, reduce: Any, reduce_bias: Any, expand: Any, expand_bias: Any) -> Any:
    """Return s · sigmoid(swish(mean(s) · reduce + reduce_bias) · expand + expand_bias), where s = swish(inputs).

    inputs (n, h, w, C); reduce (C, r); expand (r, C); the mean is over h and w ("squeeze and excitation": Hu, Shen &
    Sun 2018, CVPR).
    """
    faster = _faster(inputs.dtype)
    if faster and None not in inputs.shape[1:]:
        return faster.excited(inputs, reduce, reduce_bias, expand, expand_bias)
    active = keras.activations.silu(inputs)
    reduced = keras.activations.silu(ops.mean(active, axis=(1, 2)) @ reduce + reduce_bias)
    return active * ops.sigmoid(reduced @ expand + expand_bias)[:, None, None]


def adam(precision: str) -> type:
    """Return Keras' Adam, as a class, for a network that computes in `precision`."""
    faster = _faster(FLOAT32) if precision == FLOAT32 else None
    kind: type = (faster or keras.optimizers).Adam
    return kind


def _faster(precision: Any) -> ModuleType | None:
    """Return the module of operations that are faster here than those of Keras; None where there is none."""
    if not backend.can_trace() or backend.is_distributed() or keras.backend.standardize_dtype(precision) != FLOAT32:
        return None
    from ripik.models import tensorflow_cpu

    return tensorflow_cpu
