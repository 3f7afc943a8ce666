"""In which format to keep the pool of copies: writing, batches in random order, size, loss; with checksums of a row.

For the peers' environment:

    python -m benchmarks.speed.data copies --photos FOLDER --count 3000 --out /tmp/copies.npy
    BENCH_PYTHON -m benchmarks.speed.formats --images /tmp/copies.npy --out benchmarks/speed/results/formats.md

Rates are medians of interleaved rounds. `warm`: the file is in the page cache; `cold`: it was dropped from it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.harness import markdown_table, say, write_text
from benchmarks.processes import describe_machine, versions
from benchmarks.speed.checksums import checksums
from benchmarks.speed.pool_formats import FORMATS, RawRecords, Reader

BATCH = 64
PACKAGES = ("numpy", "opencv-python-headless", "array-record", "grain")


def read_all(reader: Reader, order: np.ndarray, threads: int) -> float:
    """Return images/s of reading all rows in this order in batches, whole batches going to the threads."""
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    start = time.perf_counter()
    if threads == 1:
        for batch in batches:
            reader.read(batch)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(reader.read, batches):
                pass
    return len(order) / (time.perf_counter() - start)


def grain_chain(reader: RawRecords, order: np.ndarray, threads: int) -> float:
    """Return images/s of the same through Grain's own chain: source, seeded shuffle, map, batch, reading threads."""
    grain = importlib.import_module("grain")
    chain = grain.MapDataset.source(reader.source).shuffle(seed=int(order[0])).map(reader.unpack)
    stream = chain.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * BATCH))
    start = time.perf_counter()
    count = sum(len(batch) for batch in stream.batch(BATCH))
    assert count == len(order)
    return count / (time.perf_counter() - start)


def drop_from_cache(folder: Path) -> None:
    """Ask the kernel to forget a folder's files."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(images: np.ndarray, folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return, by format, what was measured in each round."""
    found: dict[str, dict[str, list[float]]] = {kind.name: defaultdict(list) for kind in FORMATS}
    for number in range(rounds):
        order = np.random.default_rng(number).permutation(len(images))
        for position, kind in enumerate(FORMATS):
            place = folder / str(position)
            _one_round(kind, images, order, place, found[kind.name])
            say(f"round {number + 1}/{rounds}: {kind.name}")
    return found


def _one_round(kind: Any, images: np.ndarray, order: np.ndarray, place: Path, found: dict[str, list[float]]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    path, shape = place / "pool", images.shape[1:]
    start = time.perf_counter()
    kind.write(path, images)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    found["write"].append(len(images) / (time.perf_counter() - start))
    found["bytes"].append(sum(file.stat().st_size for file in place.iterdir()) / len(images))
    for threads in (1, 2):
        found[f"warm {threads}"].append(read_all(kind(path, shape), order, threads))
        if issubclass(kind, RawRecords):
            found[f"Grain {threads}"].append(grain_chain(kind(path, shape), order, threads))
    drop_from_cache(place)
    found["cold 2"].append(read_all(kind(path, shape), order, 2))
    some = order[:BATCH]
    errors = np.abs(kind(path, shape).read(some).astype(int) - images[some])
    found["error"].append(float(errors.max()))
    found["mean error"].append(float(errors.mean()))
    shutil.rmtree(place)


def report(found: dict[str, dict[str, list[float]]], sums: list[tuple[str, float]], images: np.ndarray) -> str:
    """Return the page of markdown."""

    def cell(values: dict[str, list[float]], key: str) -> str:
        return f"{statistics.median(values[key]):,.0f}" if key in values else ""

    keys = ("write", "warm 1", "warm 2", "cold 2", "Grain 1", "Grain 2", "bytes")
    rows = [[name, *(cell(values, key) for key in keys), _loss(values)] for name, values in found.items()]
    header = ["format", "write", "warm, 1 thread", "warm, 2 threads", "cold, 2 threads"]
    header += ["Grain's chain, 1", "Grain's chain, 2", "bytes an image", "error (largest, mean)"]
    side, size = images.shape[1], images[0].nbytes
    rounds = len(next(iter(found.values()))["write"])
    machine = describe_machine()
    return "\n".join(
        [
            "# The pool's format",
            "",
            f"{len(images)} augmented copies of {side} × {side} pixels; images/s, medians of {rounds} interleaved "
            f"rounds; batches of {BATCH} in random order. Written by one thread and synced. `warm`: the file is in the "
            "page cache; `cold`: dropped from it (what lies below the kernel, a disk's or a host's cache, is not).",
            "",
            *markdown_table(header, rows),
            "",
            f"Checksums of a row of {size:,} bytes, one thread:",
            "",
            *markdown_table(
                ["checksum", "GB/s", "rows/s"], [[n, f"{r:.2f}", f"{r * 1e9 / size:,.0f}"] for n, r in sums]
            ),
            "",
            ", ".join(f"{key}: {value}" for key, value in machine.items()) + ".",
            "",
            ", ".join(f"{name} {number}" for name, number in versions(sys.executable, PACKAGES).items()) + ".",
            "",
        ]
    )


def _loss(values: dict[str, list[float]]) -> str:
    worst = max(values["error"])
    return f"{worst:.0f}, {statistics.median(values['mean error']):.2f}" if worst else "none"


def main() -> None:
    """Measure, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="uint8 .npy, (n, S, S, 3)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    images = np.load(given.images)
    with tempfile.TemporaryDirectory(dir=given.images.parent) as folder:
        found = measure(images, Path(folder), given.rounds)
    page = report(found, checksums(images[:500]), images)
    print(page)
    if given.out:
        write_text(given.out, page)


if __name__ == "__main__":
    main()
