"""Calls spread over worker processes, for what is not a job of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import joblib

from ripik.execution.environment import usable_cores

CHUNK = 16


def in_parallel(function: Callable[..., Any], rows: Sequence[tuple]) -> Iterator[list]:
    """Call `function(*row)` for every row on all cores; yield the results in chunks, in order."""
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    workers = joblib.Parallel(n_jobs=usable_cores(), return_as="generator", pre_dispatch="4*n_jobs")
    yield from workers(joblib.delayed(_call_all)(function, chunk) for chunk in chunks)


def _call_all(function: Callable[..., Any], rows: Iterable[tuple]) -> list:
    cv2.setNumThreads(1)  # the workers are the parallelism
    return [function(*row) for row in rows]
