"""Calls spread over worker processes, for what is not a job of its own."""

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import joblib

from ripik.execution.environment import usable_cores
from ripik.execution.signals import end_when_done

CHUNK = 16
LOOK = 1.0  # seconds between two looks at whether the parent is there


def in_parallel(function: Callable[..., Any], rows: Sequence[tuple]) -> Iterator[list]:
    """Call `function(*row)` for every row on all cores; yield the results in chunks, in order."""
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    workers = joblib.Parallel(n_jobs=usable_cores(), return_as="generator", pre_dispatch="4*n_jobs")
    yield from workers(joblib.delayed(_call_all)(os.getpid(), function, chunk) for chunk in chunks)


def end_with(parent: int) -> None:
    """Have this worker end with the process that spawned it; joblib's own would wait for minutes after a kill of it.

    parent: that process, which may be this one, where a single worker needs no process of its own.
    """
    if parent != os.getpid():
        _follow(parent)


@functools.cache
def _follow(parent: int) -> None:
    end_when_done(functools.partial(_wait_for_the_end_of, parent))


def _wait_for_the_end_of(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)


def _call_all(parent: int, function: Callable[..., Any], rows: Iterable[tuple]) -> list:
    end_with(parent)
    cv2.setNumThreads(1)  # the workers are the parallelism
    return [function(*row) for row in rows]
