"""Where jobs run: each in a fresh process of its own, several at a time, with one progress view for all."""

import importlib
import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from rich.progress import Progress, TaskID

from ripik import runtime
from ripik.console import bar, console, say
from ripik.errors import SurroundingsError
from ripik.settings import JobSettings

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Report:
    """A sign of life from a job: `done` of `total` units, with a note (loss, rate, …)."""

    task: str
    done: int
    total: int
    note: str = ""


class Reporter(Protocol):
    """What a job calls to tell how far it is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report `done` of `total` units."""


@dataclass(frozen=True)
class Task:
    """A call `function(*arguments, report)` to be made in a process of its own.

    function: "module:name", so that the parent need not import what only the job needs.
    """

    name: str
    function: str
    arguments: tuple


def threads_per_job(settings: JobSettings) -> int:
    """Return the threads each job gets: the setting, or the usable cores divided among the jobs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings.threads or max(1, cores // settings.jobs)


def run(tasks: Sequence[Task], settings: JobSettings) -> None:
    """Run the tasks, `settings.jobs` at a time; the first failure stops the rest and is raised here.

    Keras leaks memory over many trainings in one process, so no process takes a second task. On Ctrl-C, or any other
    exception, the processes are terminated: they keep their state on disk as they go.
    """
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, _view(tasks) as show:
        reports = manager.Queue()
        pool = ProcessPoolExecutor(settings.jobs, context, max_tasks_per_child=1)
        with _terminating(pool):
            threads = threads_per_job(settings)
            futures = {pool.submit(_call, task, threads, reports): task for task in tasks}
            _follow(futures, reports, show)


def _call(task: Task, threads: int, reports: Any) -> None:
    runtime.prepare_environment(threads)
    runtime.import_backend()
    module, name = task.function.split(":")
    function = getattr(importlib.import_module(module), name)
    function(*task.arguments, lambda done, total, note="": reports.put(Report(task.name, done, total, note)))


def _follow(futures: dict[Future, Task], reports: Any, show: Callable[[Report], None]) -> None:
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for report in _drain(reports):
            show(report)
        for future in done:
            _check(future, futures[future])


def _check(future: Future, task: Task) -> None:
    try:
        future.result()
    except BrokenProcessPool:
        raise SurroundingsError(
            f"the process of {task.name} or one beside it was killed, most likely because the memory ran out. "
            "Run the same command again with fewer jobs (JOBS=1) or a smaller batch size."
        ) from None


def _drain(reports: Any) -> Iterator[Report]:
    while True:
        try:
            yield reports.get_nowait()
        except queue.Empty:
            return


@contextmanager
def _terminating(pool: ProcessPoolExecutor) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            if process.name.startswith("SpawnProcess"):
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def _view(tasks: Sequence[Task]) -> Iterator[Callable[[Report], None]]:
    screen = console()
    if not screen.is_terminal:
        yield _Lines().show
        return
    with bar(screen) as progress:
        yield _Bars(progress).show


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, TaskID] = {}

    def show(self, report: Report) -> None:
        if report.task not in self.bars:
            self.bars[report.task] = self.progress.add_task(report.task, total=report.total, note="")
        self.progress.update(self.bars[report.task], completed=report.done, total=report.total, note=report.note)


class _Lines:
    SECONDS = 15.0

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def show(self, report: Report) -> None:
        now = time.monotonic()
        if report.done >= report.total or now - self.last.setdefault(report.task, now) > self.SECONDS:
            self.last[report.task] = now
            say(f"{report.task}: {report.done}/{report.total} {report.note}".rstrip())
