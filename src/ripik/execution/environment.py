"""The surroundings of a process that computes: its threads, and what the libraries read from the environment."""

import importlib
import logging
import os
import sys
from pathlib import Path

from ripik.execution.cpu_quota import cores_of_quota

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # read by XLA's own thread pool, which JAX computes with
)


ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else a process of JAX takes most of a GPU for itself
}


def prepare_environment(threads: int) -> None:
    """Set what must stand in the environment before Keras is imported: threads of every library, quiet logs."""
    for variable in THREADS:
        os.environ[variable] = str(threads)
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)


def import_backend() -> None:
    """Import Keras and its backend without the lines that their C++ parts print on loading, whatever the log level.

    Errors still arrive as exceptions.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # a short last batch is no reason to warn of retracing
    try:
        importlib.import_module("keras")
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def threads() -> int:
    """Return how many threads `prepare_environment` gave this process, or all usable cores without it."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else usable_cores()


def usable_cores() -> int:
    """Return how many cores this process may use: by its affinity, and by the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, cores_of_quota() or cores)
