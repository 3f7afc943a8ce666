"""Passes of a frozen EfficientNetB0 at 224 pixels: which engine is fastest, and how far it is from Keras.

    python -m benchmarks.speed.engines --images copies.npy [--weights FILE]

Every engine gets the same images, threads and float32. Prints a markdown table: images/s (medians of interleaved
rounds), the ratio to `keras.Model.predict`, and the largest difference relative to the largest feature of an image.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import interleave, markdown_table, ratio
from benchmarks.speed.timing import rate
from ripik.models.engines import import_openvino

Pass = Callable[[np.ndarray], np.ndarray]


def keras_network(weights: str) -> Any:
    """Return the backbone as users build it; random weights without a file."""
    import keras

    shape = (224, 224, 3)
    network = keras.applications.EfficientNetB0(include_top=False, weights=None, pooling="avg", input_shape=shape)
    if weights:
        network.load_weights(weights)
    network.jit_compile = False
    return network


def keras_passes(network: Any) -> dict[str, Pass]:
    """Return `predict` with three batch sizes."""

    def with_batch(size: int) -> Pass:
        return lambda images: np.asarray(network.predict(images, batch_size=size, verbose=0))

    return {f"Keras predict, batch {size}": with_batch(size) for size in (16, 32, 64)}


def openvino_model(network: Any) -> Any:
    """Convert by way of TensorFlow's graph, keeping the features alone.

    The converted swish has a second output, its gradient's; with it left in, every swish is computed unfused.
    """
    import tensorflow as tf

    shape = tf.TensorSpec([None, 224, 224, 3], tf.uint8)
    function = tf.function(lambda pixels: network(tf.cast(pixels, tf.float32), training=False), input_signature=[shape])
    ov = import_openvino()
    model = ov.convert_model(function.get_concrete_function())
    return ov.Model([model.outputs[0].get_node().input_value(0)], model.get_parameters())


def openvino_pass(model: Any, batch: int, streams: int, threads: int) -> Pass:
    """Return asynchronous inference of static batches, `streams` at a time."""
    fixed = model.clone()
    fixed.reshape([batch, 224, 224, 3])
    how = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads}
    ov = import_openvino()
    compiled = ov.Core().compile_model(fixed, "CPU", how)
    width = compiled.outputs[0].shape[-1]

    def infer(images: np.ndarray) -> np.ndarray:
        found = np.empty((len(images), width), np.float32)
        queue = ov.AsyncInferQueue(compiled, 2 * streams)
        queue.set_callback(lambda request, start: _keep(found, start, request.get_output_tensor(0).data))
        for start in range(0, len(images), batch):
            queue.start_async({0: _padded(images[start : start + batch], batch)}, start)
        queue.wait_all()
        return found

    return infer


def _keep(found: np.ndarray, start: int, features: np.ndarray) -> None:
    rows = min(len(features), len(found) - start)
    found[start : start + rows] = features[:rows]


def _padded(images: np.ndarray, batch: int) -> np.ndarray:
    lacking = batch - len(images)
    return np.concatenate([images, np.repeat(images[-1:], lacking, axis=0)]) if lacking else images


def passes(given: argparse.Namespace) -> dict[str, Pass]:
    """Return every engine that is installed."""
    network = keras_network(given.weights)
    found = keras_passes(network)
    if importlib.util.find_spec("openvino"):
        model = openvino_model(network)
        for batch, streams in ((1, 1), (1, given.threads), (8, given.threads), (32, 1)):
            name = f"OpenVINO, batch {batch}, {streams} stream{'s' * (streams > 1)}"
            found[name] = openvino_pass(model, batch, streams, given.threads)
    return found


def difference(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest difference relative to the largest feature of its image."""
    return float((np.abs(found - truth).max(axis=1) / np.abs(truth).max(axis=1)).max())


def main() -> None:
    """Measure and print the table, and the same as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="uint8 .npy, (n, 224, 224, 3)")
    parser.add_argument("--weights", default="", help="Keras .weights.h5 of EfficientNetB0 without its top")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    images = np.ascontiguousarray(np.load(given.images, mmap_mode="r")[: given.limit])
    engines = passes(given)
    outputs = {name: engine(images) for name, engine in engines.items()}  # and the warm-up
    truth = next(iter(outputs.values()))
    rates = interleave({name: rate(engine, images) for name, engine in engines.items()}, given.rounds)
    base = max(
        (values for name, values in rates.items() if name.startswith("Keras")), key=lambda v: sorted(v)[len(v) // 2]
    )
    rows = [
        [
            name,
            f"{sorted(values)[len(values) // 2]:.0f}",
            str(ratio(values, base)),
            f"{difference(outputs[name], truth):.1e}",
        ]
        for name, values in rates.items()
    ]
    print("\n".join(markdown_table(["engine", "images/s", "ratio to the best predict", "difference"], rows)))
    print(json.dumps({"rates": rates}))


if __name__ == "__main__":
    main()
