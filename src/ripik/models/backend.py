"""What is the backend's own: threads, determinism, logs, precision, devices, gradients.

The only module that calls TensorFlow or JAX, but for `tensorflow_cpu`.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from ripik.errors import InputError

HALF_SINCE = 7.0  # compute capability from which NVIDIA's GPUs have matrix units for float16 (Volta)


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and Keras, and ask the backend for deterministic operations."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def backend() -> str:
    """Return the backend of Keras with its version, such as "jax 0.10.2"."""
    import keras

    name = keras.backend.backend()
    return f"{name} {importlib.import_module(name).__version__}"


def compiles() -> bool:
    """Whether networks are compiled by XLA: always by JAX; with TensorFlow it is several times slower on a CPU."""
    import keras

    return keras.backend.backend() == "jax"


def precision(asked: str) -> str:
    """Return Keras' dtype policy for a setting: `auto` is mixed_float16 where every GPU is made for it, else float32.

    float16 rather than bfloat16, as its mantissa is eight times finer; the loss is scaled against its narrow range
    (Micikevicius and others 2018, "Mixed Precision Training", ICLR).
    """
    if asked != "auto":
        return asked
    found = _capabilities()
    return "mixed_float16" if found and min(found) >= HALF_SINCE else "float32"


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Give the layers and networks that are built in the block this dtype policy of Keras."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def arithmetic(policy: str) -> dict[str, Any]:
    """Return what a training must keep to from its first batch to its last: the backend and the precision."""
    import keras

    return {"backend": keras.backend.backend(), "precision": policy}


def devices() -> list[str]:
    """Return what a training can be distributed over, such as "gpu:0": all GPUs that are visible, else the CPU.

    A CPU counts as several when the backend was told so, as the tests do.
    """
    import keras

    return keras.distribution.list_devices()


class Alone:
    """One device, which needs no strategy."""

    def scope(self) -> AbstractContextManager:
        """Return a context that changes nothing."""
        return nullcontext()


def distribution(devices: Sequence[str]) -> Any:
    """Return what divides each batch among devices: networks are built, and trained, within its `scope()`.

    Every device holds all variables and applies the same mean of the gradients (synchronous data parallelism).
    """
    import keras

    if len(devices) < 2:
        return Alone()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.MirroredStrategy(list(devices))
    return keras.distribution.DataParallel(devices=list(devices), auto_shard_dataset=False)


def is_distributed() -> bool:
    """Whether this is within the scope of a strategy of TensorFlow's that divides batches."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())


def loss_scaled(optimizer: Any) -> Any:
    """Return an optimizer under dynamic loss scaling, which leaves out a step where a gradient of any device overflows.

    Keras' own asks the first device of several alone, with TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    import tensorflow as tf

    class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
        def check_finite(self, grads: Any) -> Any:
            finite, context = super().check_finite(grads), tf.distribute.get_replica_context()
            if context is None or context.num_replicas_in_sync == 1:
                return finite
            return tf.equal(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(finite, tf.float32) - 1.0), 0.0)

    return LossScaleOptimizer(optimizer)


def can_trace() -> bool:
    """Whether `traced` works here, and a CPU is what the network runs on."""
    import keras

    return keras.backend.backend() == "tensorflow" and not _capabilities()


def _capabilities() -> list[float]:
    """Return the CUDA compute capability of every GPU that the backend uses, 0 for one that has none."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
        return [_number(*map(str, detail.get("compute_capability", ()))) for detail in details]
    if keras.backend.backend() == "jax":
        import jax

        gpus = [device for device in jax.devices() if device.platform == "gpu"]
        return [_number(*str(getattr(gpu, "compute_capability", "")).split(".")) for gpu in gpus]
    return []


def _number(*parts: str) -> float:
    try:
        return float(".".join(parts))
    except ValueError:  # of a GPU of another maker
        return 0.0


def keeps_compiled() -> bool:
    """Whether a compiled training step reads the variables beside those of the model: JAX takes them for constants."""
    import keras

    return keras.backend.backend() == "tensorflow"


def predicting(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return what runs a network in inference mode, compiled once for batches of any length.

    What Keras compiles of TensorFlow's depends on the lengths that it has met, in their order.
    """
    if not keeps_compiled():
        return model.predict_on_batch
    functions: dict[str, Any] = {}

    def run(batch: np.ndarray) -> np.ndarray:
        if batch.dtype.name not in functions:
            functions[batch.dtype.name] = traced(model, batch.shape[1:], batch.dtype.name)
        import tensorflow as tf

        return functions[batch.dtype.name](tf.constant(batch)).numpy()

    return run


def traced(model: Any, shape: Sequence[int], dtype: str) -> Any:
    """Return the network in inference mode as a TensorFlow graph of inputs (n, *shape), to be converted or called."""
    import tensorflow as tf

    def call(inputs: Any) -> Any:
        return model(inputs, training=False)

    return tf.function(call).get_concrete_function(tf.TensorSpec([None, *shape], dtype))


def gradient(function: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
    """Return the gradient of a function at an array of floats, in its shape; the function maps tensors to a scalar.

    Raises InputError where the backend is neither TensorFlow nor JAX.
    """
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(jax.numpy.asarray(array)))
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"gradients, which Grad-CAM needs, are computed with TensorFlow or JAX, but Keras runs on "
            f"{keras.backend.backend()}. Set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    tensor = tf.convert_to_tensor(array)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = function(tensor)
    return tape.gradient(value, tensor).numpy()
