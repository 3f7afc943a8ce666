"""Making the copies: ours against the source's loop and against Albumentations alone."""

from __future__ import annotations

import shutil
import statistics
from typing import Any

from benchmarks.harness import Row, interleave, ratio
from benchmarks.speed.context import Bench

COPIES = 15


def pool(bench: Bench) -> None:
    """Decode, transform and store with all workers."""
    photos, few = bench.size(60, 1000), bench.size(10, 40)
    config = bench.config("pool", photos, {"augmented": {"data": "augmented"}}, augmentation={"copies": COPIES})
    root, copies = bench.competition(photos), bench.folder / "loop"

    def ours() -> float:
        bench.again(config, keep=("folds.csv",))
        return rate_of(bench.ours("pool", config))

    def loop() -> float:
        shutil.rmtree(copies, ignore_errors=True)
        return rate_of(bench.peer("source_loop", root, copies, "--limit", few))

    values = interleave(
        {
            "pool, 2 workers": ours,
            "bare Albumentations": lambda: rate_of(bench.peer("bare_albumentations", root, "--limit", few)),
            "our transforms, bare": lambda: rate_of(bench.ours("transforms", root, "--limit", few)),
            "the source's loop": loop,
        },
        bench.size(2, 3),
    )
    bench.results.add(*_rows(values, photos, few))


def _rows(values: dict[str, list[float]], photos: int, few: int) -> list[Row]:
    made, bare, own, looped = values.values()
    what, ours = "decode + 14 transforms + store, 2 workers", f"{middle(made):.0f} copies/s"
    return [
        Row(
            f"{what}, against 2 × one thread of bare Albumentations",
            ours,
            f"2 × {middle(bare):.0f} copies/s",
            ratio(made, [2 * rate for rate in bare]),
            0.8,
            note=f"{photos} photos, {COPIES} copies each, at 512 pixels. The peer: the source's names and parameters "
            "in Albumentations 2.0.8, on photos that are decoded already.",
        ),
        Row(
            f"{what}, against 2 × one thread of our own transforms",
            ours,
            f"2 × {middle(own):.0f} copies/s",
            ratio(made, [2 * rate for rate in own]),
            note="What decoding, storing and starting the workers cost.",
        ),
        Row(
            f"{what}, against the source's loop",
            ours,
            f"{middle(looped):.0f} copies/s",
            ratio(made, looped),
            3,
            note=f"The loop ran on {few} photos, one thread; it reads and writes JPEG.",
        ),
    ]


def rate_of(found: dict[str, Any]) -> float:
    """Return the images/s of what a script printed."""
    return float(found["images"] / found["seconds"])


def middle(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)
