"""What it costs to checksum a row of the pool."""

from __future__ import annotations

import hashlib
import importlib
import statistics
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np


def checksums(images: np.ndarray) -> list[tuple[str, float]]:
    """Return GB/s of checksums of one row, of those that are installed."""
    methods: dict[str, Callable[[Any], Any]] = {
        "zlib.crc32": zlib.crc32,
        "zlib.adler32": zlib.adler32,
        "sum of uint64 (NumPy; blind to order)": lambda row: np.frombuffer(row, np.uint64).sum(),
        "hashlib.sha256": lambda row: hashlib.sha256(row).digest(),
        "hashlib.blake2b": lambda row: hashlib.blake2b(row).digest(),
        "hashlib.md5": lambda row: hashlib.md5(row).digest(),
    }
    for name, attribute in {"stringzilla": "hash", "google_crc32c": "value", "xxhash": "xxh3_64_intdigest"}.items():
        try:
            function = getattr(importlib.import_module(name), attribute)
        except ImportError:
            continue
        methods[f"{name}.{attribute}"] = function
    return [(name, _gigabytes(method, images)) for name, method in methods.items()]


def _gigabytes(method: Callable[[Any], Any], images: np.ndarray) -> float:
    rates, rows = [], [memoryview(image.reshape(-1)) for image in images]
    for _ in range(5):
        start = time.perf_counter()
        for row in rows:
            method(row)
        rates.append(images.nbytes / (time.perf_counter() - start) / 1e9)
    return statistics.median(rates)
