"""A finetuning step against the step before BatchNorm was folded, interleaved in one process.

python -m benchmarks.speed.finetuning_step [--batch-sizes 16 32] [--size 224] [--cuts block6a_expand_conv]

Before: all layers trained, BatchNorm in operations of its own, Keras' swish, gates and Adam. After: all layers, and
from each of the cuts on.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.harness import interleave, markdown_table, ratio

THREADS, CLASSES, WARM = 2, 7, 2
CUTS = ("block5a_expand_conv", "block6a_expand_conv")


def main() -> None:
    """Print a table for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--backbone", default="EfficientNetB0")
    parser.add_argument("--cuts", nargs="*", default=CUTS)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    from ripik.execution import environment

    environment.prepare_environment(THREADS)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    environment.import_backend()
    for batch_size in given.batch_sizes:
        with before():
            things = {"before, all": step(given.backbone, given.size, "all", batch_size)}
        for train_from in ("all", *given.cuts):
            things[train_from] = step(given.backbone, given.size, train_from, batch_size)
        show(batch_size, interleave(things, given.repeats))


def show(batch_size: int, seconds: dict[str, list[float]]) -> None:
    """Print medians and the ratios of paired steps, the first one's above the others'."""
    first = next(iter(seconds.values()))
    rows = [[name, f"{np.median(found):.3f}", str(ratio(first, found))] for name, found in seconds.items()]
    print(
        f"\nbatch {batch_size}\n\n" + "\n".join(markdown_table(["step", "seconds", "times as fast"], rows)), flush=True
    )


@contextmanager
def before() -> Iterator[None]:
    """Build trained parts as they were, in the block."""
    import keras

    from ripik.models import operations
    from ripik.training import network

    adam = mock.patch.object(operations, "adam", lambda rate, precision: keras.optimizers.Adam(rate))
    with adam, mock.patch.object(network, "folded", return_value=None):
        yield


def step(backbone: str, size: int, train_from: str, batch_size: int) -> Callable[[], float]:
    """Return what takes a step of a network on random images and returns its seconds; it is compiled already."""
    model, shape = compiled(backbone, size, train_from)
    rng = np.random.default_rng(0)
    inputs = rng.random((batch_size, *shape), dtype="float32")
    targets = np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, batch_size)]

    def take() -> float:
        start = time.perf_counter()
        model.train_on_batch(inputs, targets)
        return time.perf_counter() - start

    for _ in range(WARM):
        take()
    return take


def compiled(backbone: str, size: int, train_from: str, **how: Any) -> tuple[Any, Any]:
    """Return a compiled trained part and the shape of its inputs; how: settings of the variant."""
    from ripik.models import backend
    from ripik.models.backbone import build_backbone, cut
    from ripik.training.network import build_trained_part
    from ripik.training.optimizer import compile_model
    from ripik.variants import Variant

    backend.make_deterministic(0)
    parts = cut(build_backbone(backbone, size), train_from)
    shape: Any = (size, size, 3) if parts.frozen is None else parts.frozen.output.shape[1:]
    model = build_trained_part(shape, parts.body, CLASSES, dropout=0.2, seed=0)
    compile_model(model, Variant(name="measured", train_from=train_from, **how), 1000)
    return model, shape


if __name__ == "__main__":
    main()
