"""A job as the engine sees it, and running one in this process: it sends its reports, printed lines and end."""

import importlib
import io
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from typing import Protocol

from ripik.errors import RipikError, SurroundingsError
from ripik.execution import environment
from ripik.execution.progress import Report

SMALLER = "Run it with fewer jobs (JOBS=1), or a smaller batch_size."
ONE, ALL = "one", "all"  # of the GPUs that are there


class Reporter(Protocol):
    """What a job calls to tell how far it is; `ripik.execution.progress.Report` says what its arguments mean."""

    def __call__(self, done: float, total: int, note: str = "") -> None:
        """Report `done` of `total` units."""


@dataclass(frozen=True)
class Said:
    """A line that a job printed."""

    text: str
    error: bool


@dataclass(frozen=True)
class Ended:
    """The end of a job: what it has to say, or what it raised."""

    outcome: str = ""
    error: Exception | None = None


Message = Report | Said | Ended


@dataclass(frozen=True)
class Task:
    """A call `function(*arguments, report)` to be made in another process.

    function: "module:name", so that the parent need not import what only the job needs; a text that it returns is shown
    when it is done. needs_backend: whether Keras is loaded first. after: names of tasks that must be done before, if
    they are among those to run. devices: whether it works with one of the GPUs, where there are any, or with all.
    shape: what a process may do it after another task of; None: it gets a process of its own.
    """

    name: str
    function: str
    arguments: tuple
    needs_backend: bool = True
    after: tuple[str, ...] = ()
    devices: str = ONE
    shape: str | None = None


More = Callable[[str], Sequence["Task"]]  # of the name of a task that is done: what is to be done after it


def distinct(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks, those of a name that another one has numbered."""
    seen: Counter[str] = Counter()
    found = []
    for task in tasks:
        seen[task.name] += 1
        found.append(replace(task, name=f"{task.name} ({seen[task.name]})") if seen[task.name] > 1 else task)
    return found


def perform(task: Task, threads: int, send: Callable[[Message], None]) -> None:
    """Do the task in this process, with so many threads; send reports and printed lines, and how it ended last of all.

    `send` may be called from any thread.
    """
    sys.unraisablehook = _heed
    send = _one_at_a_time(send)
    out, error = _Sayer(send, error=False), _Sayer(send, error=True)
    with redirect_stdout(out), redirect_stderr(error):
        try:
            outcome = _call(task, threads, lambda done, total, note="": send(Report(task.name, done, total, note)))
            ended = Ended(outcome)
        except Exception as failure:  # whatever it is, the parent raises it
            ended = Ended(error=_portable(task.name, failure))
    for stream in (out, error):
        stream.finish()
    send(ended)


def _heed(failure: "sys.UnraisableHookArgs") -> None:
    """Report what fails while an object is taken down, but for files: HDF5's on a full disk are told by their error."""
    if not isinstance(failure.exc_value, OSError | RuntimeError):
        sys.__unraisablehook__(failure)


def _call(task: Task, threads: int, report: Reporter) -> str:
    environment.prepare_environment(threads)
    if task.needs_backend:
        environment.import_backend()
    module, name = task.function.split(":")
    return getattr(importlib.import_module(module), name)(*task.arguments, report) or ""


def _one_at_a_time(send: Callable[[Message], None]) -> Callable[[Message], None]:
    lock = threading.RLock()  # warnings come from any thread

    def locked(message: Message) -> None:
        with lock:
            send(message)

    return locked


class _Sayer(io.TextIOBase):
    """A stream whose lines go to the parent, which shows them beside its bars."""

    def __init__(self, send: Callable[[Message], None], *, error: bool) -> None:
        self.send, self.error, self.begun = send, error, ""

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            self.send(Said(line, self.error))
        return len(text)

    def finish(self) -> None:
        """Send what is left of a line that was not ended."""
        if self.begun:
            self.write("\n")


def _tells_of_memory(error: Exception) -> bool:
    """Whether TensorFlow, or JAX, says that a device's memory ran out."""
    return type(error).__name__ == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error)


def _portable(name: str, error: Exception) -> Exception:
    """Return what the parent is to raise: errors for the user as they are, a bug as text with its traceback."""
    if isinstance(error, RipikError):
        return type(error)(str(error))
    if isinstance(error, MemoryError) or _tells_of_memory(error):
        return SurroundingsError(f"{name}: out of memory. {SMALLER}")
    plain: Exception = RuntimeError(f"{type(error).__name__}: {error}")
    if isinstance(error, OSError) and error.errno is not None:  # subclasses of it may not survive the way
        plain = OSError(error.errno, error.strerror or str(error), error.filename)
    plain.add_note(traceback.format_exc())
    return plain
