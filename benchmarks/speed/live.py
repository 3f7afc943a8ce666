"""A finetuning step with the input chain on, live augmentation and mixup, against the step alone, interleaved.

python -m benchmarks.speed.live [--size 160] [--stored 224] [--batch-size 16] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np

from benchmarks.harness import interleave, markdown_table, ratio
from benchmarks.speed.finetuning_step import CLASSES, WARM, compiled

STEPS = 10  # of one measurement


def main() -> None:
    """Print a table of seconds and shares of the bare step's speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--stored", type=int, default=224, help="side of the photos that crops are of")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--backbone", default="EfficientNetB0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    from ripik.execution import environment

    environment.prepare_environment(given.threads)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    environment.import_backend()
    how = {"weight_decay": 0.02, "rate_decay": 0.9, "clip": 1.0, "average": 0.99, "label_smoothing": 0.1}
    model, _ = compiled(given.backbone, given.size, "all", **how)
    things = {
        name: epoch(model, *chain)
        for name, chain in {
            "the same batch": same_batch(given.size, given.batch_size),
            "batches of stored photos": batches(given.size, given.size, given.batch_size, live=False),
            "live augmentation, mixup": batches(given.stored, given.size, given.batch_size, live=True),
        }.items()
    }
    seconds = interleave(things, given.repeats)
    bare = seconds["the same batch"]
    rows = [[name, f"{np.median(found) / STEPS:.3f}", str(ratio(bare, found))] for name, found in seconds.items()]
    print("\n".join(markdown_table(["step", "seconds", "share of the bare step's speed"], rows)), flush=True)


Chain = tuple[Callable[[int], tuple], int]


def same_batch(size: int, batch_size: int) -> Chain:
    """Return a chain that gives one batch again and again."""
    rng = np.random.default_rng(0)
    batch = (
        rng.integers(0, 256, (batch_size, size, size, 3), np.uint8),
        np.eye(CLASSES, dtype="float32")[[0] * batch_size],
    )
    return (lambda index: batch), STEPS


def batches(stored: int, size: int, batch_size: int, *, live: bool) -> Chain:
    """Return the batches of photos in memory, as a training reads them."""
    from ripik.augmentation.live import Live
    from ripik.features.batches import ArrayRows, Batches
    from ripik.features.versions import Versions

    rng, photos = np.random.default_rng(0), batch_size * STEPS
    source = ArrayRows(rng.integers(0, 256, (photos, stored, stored, 3), np.uint8))
    keys = rng.integers(0, 2**63, photos).astype(np.uint64)
    altered = Versions(Live("standard", 1.0, size), "mixup", 0.2, keys, (0, 0)) if live else None
    targets = np.eye(CLASSES, dtype="float32")[np.arange(photos) % CLASSES]

    def read(index: int) -> tuple:
        if index == 0:
            read.of = Batches(source, np.arange(photos), batch_size, targets=targets, altered=altered)  # type: ignore[attr-defined]
        return read.of[index]  # type: ignore[attr-defined, no-any-return]

    return read, STEPS


def epoch(model: object, read: Callable[[int], tuple], steps: int) -> Callable[[], float]:
    """Return what trains on all batches of a chain and returns its seconds; it is compiled already."""

    def take() -> float:
        start = time.perf_counter()
        for index in range(steps):
            model.train_on_batch(*read(index))  # type: ignore[attr-defined]
        return time.perf_counter() - start

    for _ in range(WARM):
        model.train_on_batch(*read(0))  # type: ignore[attr-defined]
    return take


if __name__ == "__main__":
    main()
