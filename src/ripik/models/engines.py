"""What runs a finished network over batches: Keras, or OpenVINO where it is installed and gives the same.

Bits differ between engines, so which one ran, its precision and its threads are recorded with what it made.
"""

import importlib
import importlib.util
import sys
from typing import Any

import keras
import numpy as np

from ripik.console import warn
from ripik.errors import InputError
from ripik.execution import environment
from ripik.models import backend as runtime
from ripik.models.predictor import Compute, Predictor
from ripik.names import AUTO, FLOAT32, KERAS, OPENVINO

AGREEMENT = 1e-4  # largest difference allowed, relative to the largest output of the image
SAMPLE = 8  # images on which the engines are compared


def engine_told(record: dict[str, Any]) -> str | None:
    """Return a recorded engine as text, with its backend unless it is TensorFlow, and its precision unless float32."""
    name, backend, precision = record.get("name"), record.get("backend", ""), record.get("precision", FLOAT32)
    words = f"{name} on {backend}" if backend and not backend.startswith("tensorflow") else name
    return words if precision == FLOAT32 else f"{words} in {precision}"


def make_predictor(model: keras.Model, engine: str, sample: np.ndarray, on_keras: Compute | None = None) -> Predictor:
    """Return what runs `model`; `auto` is OpenVINO where it is installed, no GPU is there and it agrees with Keras.

    sample: some real inputs, on which the engines are compared: the largest difference of an image's outputs, relative
    to its largest output, must stay below 1e-4. on_keras: what runs the model on Keras, if it is compiled already.
    Raises InputError when `openvino` is asked for and not installed, not usable here, or does not agree.
    """
    precision, shape = model.dtype_policy.name, model.output.shape[1:]
    keras_predictor = Predictor(
        KERAS, environment.threads(), 0.0, shape, precision, _on_keras(on_keras or model.predict_on_batch)
    )
    if engine == KERAS or (engine == AUTO and not (_has_openvino() and precision == FLOAT32)):
        return keras_predictor
    if precision != FLOAT32:
        raise InputError(_unusable(f"computes in float32, and {model.name} in {precision}"))
    if not _has_openvino():
        raise InputError(_unusable("needs the package openvino, and the TensorFlow backend on a CPU"))
    try:
        run = _compiled(model, sample)
        disagreement = _disagreement(run(sample[:SAMPLE]), model.predict_on_batch(sample[:SAMPLE]))
        if disagreement <= AGREEMENT:
            return Predictor(OPENVINO, environment.threads(), disagreement, shape, FLOAT32, run)
        reason = f"differs from Keras by {disagreement:.1e} on {model.name}, more than {AGREEMENT:.0e}"
    except (ImportError, RuntimeError) as error:
        reason = f"cannot run {model.name} ({str(error).strip().splitlines()[0]})"
    if engine == OPENVINO:
        raise InputError(_unusable(reason))
    warn(f"OpenVINO {reason}: Keras is used")
    return keras_predictor


def _on_keras(compute: Compute) -> Compute:
    """Return what predicts a batch, as a NumPy array of float32 whatever the backend and the precision are."""

    def run(batch: np.ndarray) -> np.ndarray:
        return np.asarray(compute(batch), dtype=np.float32)

    return run


def _unusable(reason: str) -> str:
    return f'prediction.engine = "openvino": OpenVINO {reason}. Set it to "auto" or "keras".'


def _has_openvino() -> bool:
    return importlib.util.find_spec(OPENVINO) is not None and runtime.can_trace()


def import_openvino() -> Any:
    """Import OpenVINO without the package that its import would send usage data with."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # OpenVINO has a stub for its absence
    return importlib.import_module("openvino")


def _let_it_convert_on_python_3_13() -> None:
    """Replace a function of OpenVINO that asks for TensorFlow's version in a way that fails from Python 3.13 on.

    It deletes by `exec` a name that another `exec` bound, and since PEP 667 these do not share their names:
    https://github.com/openvinotoolkit/openvino/pull/32482.
    """
    versions = {"tensorflow": importlib.import_module("tensorflow").__version__}
    frontend = importlib.import_module("openvino.frontend.tensorflow.utils")
    frontend.get_environment_setup = lambda framework: versions  # type: ignore[attr-defined]


def _disagreement(found: np.ndarray, wanted: np.ndarray) -> float:
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    axes = tuple(range(1, wanted.ndim))
    largest = np.maximum(np.abs(wanted).max(axis=axes), np.finfo("float32").tiny)
    return float((np.abs(found - wanted).max(axis=axes) / largest).max())


def _compiled(model: keras.Model, sample: np.ndarray) -> Compute:
    """Compile a network for OpenVINO: one image a request, one single-threaded stream for each thread.

    So an image's output depends neither on its batch nor on the number of threads; on CPUs it was also the fastest of
    the batch sizes tried (benchmarks/speed/engines.py).
    """
    openvino = import_openvino()
    if sys.version_info >= (3, 13):
        _let_it_convert_on_python_3_13()
    converted = openvino.convert_model(runtime.traced(model, sample.shape[1:], str(sample.dtype)))
    # Keras' swish comes with a gradient whose parts the conversion takes for outputs: keep the first, the real one.
    network = openvino.Model([converted.outputs[0].get_node().input_value(0)], converted.get_parameters())
    network.reshape([1, *sample.shape[1:]])
    how = {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": environment.threads(),
        "INFERENCE_NUM_THREADS": environment.threads(),
    }
    queue = openvino.AsyncInferQueue(openvino.Core().compile_model(network, "CPU", how), environment.threads())
    outputs: dict[int, np.ndarray] = {}

    def keep(request: Any, number: int) -> None:
        outputs[number] = request.get_output_tensor(0).data[0].copy()

    queue.set_callback(keep)

    def run(batch: np.ndarray) -> np.ndarray:
        for number in range(len(batch)):
            queue.start_async({0: batch[number : number + 1]}, number)
        queue.wait_all()
        return np.stack([outputs.pop(number) for number in range(len(batch))])

    return run
