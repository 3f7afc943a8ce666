"""Do jobs one after the other in this process: `jobs_in_turn.py CONFIG JOB …`; tests/training/test_warm.py calls it.

A job is written `variant/fold`, what it is to end with (`done`, `stopped` in its second epoch, `failed`), and
overrides: `finetuned/0 done training.epochs=2`. At the end it prints how many networks were built and compiled.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from ripik.config import load_settings
from ripik.errors import InputError
from ripik.execution.environment import import_backend, prepare_environment
from ripik.settings import Settings
from ripik.storage.paths import Job


def main() -> None:
    """Do the jobs, each as it is to end."""
    prepare_environment(1)
    import_backend()
    from ripik.training import optimizer
    from ripik.training.network import Parts

    build, compiled = counted(Parts.build), counted(optimizer.compile_model)
    with mock.patch.object(Parts, "build", build), mock.patch.object(optimizer, "compile_model", compiled):
        _do_all()
    print(f"built {build.call_count}, compiled {compiled.call_count}")


def counted(function: Callable[..., Any]) -> mock.Mock:
    """Return the function, which counts how often it is called."""
    return mock.Mock(side_effect=function)


def _do_all() -> None:
    for text in sys.argv[2:]:
        name, end, *overrides = text.split(" ")
        variant, fold = name.split("/")
        settings = load_settings(Path(sys.argv[1]), overrides)
        {"done": done, "stopped": stopped, "failed": failed}[end](settings, Job(variant, int(fold)))


def done(settings: Settings, job: Job) -> None:
    """Do the job to its end."""
    from ripik.training.predict import work

    work(settings, job, lambda done, total, note="": None)


def failed(settings: Settings, job: Job) -> None:
    """Do a job that ends by bad input."""
    try:
        done(settings, job)
    except InputError:
        return
    raise AssertionError(f"{job} has not failed")


def stopped(settings: Settings, job: Job) -> None:
    """Do the job until it is asked to end after the first batch of its second epoch."""
    from ripik.training.predict import work

    asked: list[int] = []

    @contextmanager
    def noticing() -> Iterator[Callable[[], bool]]:
        yield lambda: bool(asked)
        if asked:
            sys.exit(143)

    def report(done: float, total: int, note: str = "") -> None:
        if 1 < done < 2:
            asked.append(1)

    with mock.patch("ripik.training.trainer.noticing", noticing):
        try:
            work(settings, job, report)
        except SystemExit:
            return
    raise AssertionError(f"{job} was not stopped")


if __name__ == "__main__":
    os.chdir(Path(sys.argv[1]).parent)
    main()
