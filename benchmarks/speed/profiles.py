"""Where the time goes, in percent: one finetuning step (TensorFlow's profiler), one frozen pass (OpenVINO's counters).

python -m benchmarks.speed.profiles [--size 224] [--batch-size 32] [--train-from all]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
CLASSES, STEPS, PASSES = 7, 4, 64
KINDS = {
    "DepthwiseConv2dNativeBackpropFilter": "depthwise convolution, gradient of the filter",
    "DepthwiseConv2dNativeBackpropInput": "depthwise convolution, gradient of the input",
    "DepthwiseConv2dNative": "depthwise convolution",
    "Conv2DBackpropFilter": "convolution, gradient of the filter",
    "Conv2DBackpropInput": "convolution, gradient of the input",
    "Conv2D": "convolution",
    "Swish": "elementwise",
    "Sigmoid": "elementwise",
    "Mul": "elementwise",
    "Add": "elementwise",
    "Sub": "elementwise",
    "Sum": "sums and means",
    "Mean": "sums and means",
}
OUTER = ("Process", "Run", "Execute", "one_step", "__inference", "train", "Session", "Function", "PartitionedCall")


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--train-from", default="all", help="all, or a block")
    given = parser.parse_args()
    from ripik.execution import environment

    environment.prepare_environment(THREADS)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    environment.import_backend()
    from ripik.models.backbone import build_backbone

    backbone = build_backbone("EfficientNetB0", given.size)
    show("One frozen pass by OpenVINO", pass_times(backbone, given.size))
    title = f"One finetuning step from {given.train_from}, batch {given.batch_size}, TensorFlow"
    show(title, step_times(backbone, given.train_from, given.size, given.batch_size))


def show(title: str, milliseconds: Mapping[str, float]) -> None:
    """Print what takes how much of the whole."""
    whole = sum(milliseconds.values())
    print(f"\n{title} ({whole:.0f} ms of the operations' own time, over all threads)\n\n| what | % |\n| --- | --- |")
    for what, each in sorted(milliseconds.items(), key=lambda pair: -pair[1]):
        print(f"| {what} | {100 * each / whole:.1f} |")


def pass_times(backbone: Any, size: int) -> dict[str, float]:
    """Return milliseconds an image by kind of operation, as OpenVINO counts them."""
    from ripik.models import backend
    from ripik.models.engines import import_openvino

    openvino = import_openvino()
    converted = openvino.convert_model(backend.traced(backbone, (size, size, 3), "uint8"))
    network = openvino.Model([converted.outputs[0].get_node().input_value(0)], converted.get_parameters())
    network.reshape([1, size, size, 3])
    how = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1, "PERF_COUNT": True}
    request = openvino.Core().compile_model(network, "CPU", how).create_infer_request()
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    spent: dict[str, float] = defaultdict(float)
    for number in range(PASSES + 8):
        request.infer({0: image})
        if number >= 8:
            for node in request.profiling_info:
                spent[node.node_type] += node.real_time.total_seconds() * 1000 / PASSES
    return {kind: each for kind, each in spent.items() if each > 0}


def step_times(backbone: Any, train_from: str, size: int, batch_size: int) -> dict[str, float]:
    """Return milliseconds a step by kind of operation, as TensorFlow's profiler sees them."""
    import tensorflow as tf

    from ripik.models import backend
    from ripik.models.backbone import cut
    from ripik.training.network import build_trained_part
    from ripik.training.optimizer import compile_model
    from ripik.variants import Variant

    backend.make_deterministic(0)
    parts, rng = cut(backbone, train_from), np.random.default_rng(0)
    shape = (size, size, 3) if parts.frozen is None else parts.frozen.output.shape[1:]
    trained_part = build_trained_part(shape, parts.body, CLASSES, dropout=0.2, seed=0)
    compile_model(trained_part, Variant(name="profiled"), 100)
    inputs = rng.random((batch_size, *shape), dtype="float32")
    targets = np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, batch_size)]
    for _ in range(2):
        trained_part.train_on_batch(inputs, targets)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(STEPS):
            trained_part.train_on_batch(inputs, targets)
        tf.profiler.experimental.stop()
        return _by_kind(next(Path(folder).rglob("*.xplane.pb")))


def _by_kind(path: Path) -> dict[str, float]:
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(path.read_bytes())
    spent: dict[str, float] = defaultdict(float)
    for plane in space.planes:
        names = {number: meta.name for number, meta in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                name = names[event.metadata_id].split(":")[-1]
                if not any(part in name for part in OUTER):
                    spent[_kind(name)] += event.duration_ps / 1e9 / STEPS
    return dict(spent)


def _kind(name: str) -> str:
    return next((kind for part, kind in KINDS.items() if part in name), "other")


if __name__ == "__main__":
    main()
