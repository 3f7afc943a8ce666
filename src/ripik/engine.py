"""Where jobs run: each in a fresh process of its own, several at a time, with one progress view for all."""

import importlib
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Protocol

from rich.progress import Progress, TaskID

from ripik import runtime
from ripik.console import bar, console, say
from ripik.errors import RipikError, SurroundingsError
from ripik.settings import JobSettings

PATIENCE = 20.0  # seconds a terminated process has to tidy up


@dataclass(frozen=True)
class Report:
    """A sign of life from a job: `done` of `total` units, with a note (loss, rate, …)."""

    task: str
    done: int
    total: int
    note: str = ""

    @property
    def ends(self) -> bool:
        """Whether this is the last unit of its kind."""
        return self.done >= self.total


class Reporter(Protocol):
    """What a job calls to tell how far it is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report `done` of `total` units."""


@dataclass(frozen=True)
class Task:
    """A call `function(*arguments, report)` to be made in a process of its own.

    function: "module:name", so that the parent need not import what only the job needs. needs_backend: whether Keras is
    loaded first. after: names of tasks that must be done before, if they are among those to run.
    """

    name: str
    function: str
    arguments: tuple
    needs_backend: bool = True
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """A task and the process that does it."""

    task: Task
    process: BaseProcess


def threads_per_job(settings: JobSettings) -> int:
    """Return the threads each job gets: the setting, or the usable cores divided among the jobs."""
    return settings.threads or max(1, runtime.usable_cores() // settings.jobs)


def undivided(settings: JobSettings) -> JobSettings:
    """Return the settings of a job that runs by itself: it gets the threads of all."""
    return settings.model_copy(update={"jobs": 1, "threads": settings.threads * settings.jobs})


def run(tasks: Sequence[Task], settings: JobSettings) -> None:
    """Run the tasks, `settings.jobs` at a time; the first failure stops the rest and is raised here.

    Keras leaks memory over many trainings in one process, so every task gets a new one. On Ctrl-C, or any other
    exception, the processes are terminated: they keep their state on disk as they go. Raises SurroundingsError when a
    process is killed from outside.
    """
    context, waiting = multiprocessing.get_context("spawn"), list(tasks)
    running: dict[Connection, Running] = {}
    with _view() as show, _terminating(running):
        while waiting or running:
            for task in _ready(waiting, running)[: settings.jobs - len(running)]:
                waiting.remove(task)
                _start(context, task, threads_per_job(settings), running)
            for pipe in wait(list(running)):
                _receive(pipe, running, show)  # type: ignore[arg-type]


def _ready(waiting: Sequence[Task], running: Mapping[Connection, Running]) -> list[Task]:
    """Return the waiting tasks that wait for no unfinished one."""
    unfinished = {task.name for task in waiting} | {entry.task.name for entry in running.values()}
    return [task for task in waiting if not unfinished & set(task.after)]


def _start(context: SpawnContext, task: Task, threads: int, running: dict[Connection, Running]) -> None:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, threads, sender), name=task.name)
    process.start()
    sender.close()  # so that the pipe ends when the process does
    running[receiver] = Running(task, process)


def _receive(pipe: Connection, running: dict[Connection, Running], show: Callable[[Report], None]) -> None:
    try:
        message = pipe.recv()
    except EOFError:
        ended = running.pop(pipe)
        ended.process.join()
        raise SurroundingsError(
            f"the process of {ended.task.name} was killed (exit code {ended.process.exitcode}), most likely because "
            "the memory ran out. Run the same command again with fewer jobs (JOBS=1) or a smaller batch size."
        ) from None
    if isinstance(message, Report):
        show(message)
        return
    running.pop(pipe).process.join()
    if message is not None:
        raise message


def _work(task: Task, threads: int, pipe: Connection) -> None:
    """Do the task in this process; send reports, and at the end None or the exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    try:
        runtime.prepare_environment(threads)
        if task.needs_backend:
            runtime.import_backend()
        module, name = task.function.split(":")
        function = getattr(importlib.import_module(module), name)
        function(*task.arguments, lambda done, total, note="": pipe.send(Report(task.name, done, total, note)))
        pipe.send(None)
    except Exception as error:  # whatever it is, the parent raises it
        pipe.send(_portable(error))


def _portable(error: Exception) -> Exception:
    """Return what the parent is to raise: errors for the user as they are, a bug as text with its traceback."""
    if isinstance(error, RipikError):
        return type(error)(str(error))
    told = error if isinstance(error, OSError) else RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note(traceback.format_exc())
    return told


@contextmanager
def _terminating(running: dict[Connection, Running]) -> Iterator[None]:
    try:
        yield
    finally:
        for left in running.values():
            left.process.terminate()
        for left in running.values():
            left.process.join(PATIENCE)
            left.process.kill()
            left.process.join()


@contextmanager
def _view() -> Iterator[Callable[[Report], None]]:
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
        if report.ends or now - self.last.setdefault(report.task, now) > self.SECONDS:
            self.last[report.task] = now
            say(f"{report.task}: {report.done}/{report.total} {report.note}".rstrip())
