"""Where jobs run: each in a fresh process of its own, several at a time, with one progress view for all."""

import contextlib
import importlib
import io
import multiprocessing
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from ripik import deadline, runtime
from ripik.console import complain
from ripik.errors import OutOfTimeError, RipikError, SurroundingsError
from ripik.live import Report, View, view
from ripik.settings import JobSettings
from ripik.stopping import TERMINATED, end_when_asked

PATIENCE = 300.0  # seconds a terminated process has to finish its batch, or the scoring of an epoch, and save


SMALLER = "Run it with fewer jobs (JOBS=1), or a smaller batch_size."


class Reporter(Protocol):
    """What a job calls to tell how far it is; `ripik.live.Report` says what its arguments mean."""

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

    told: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class Task:
    """A call `function(*arguments, report)` to be made in a process of its own.

    function: "module:name", so that the parent need not import what only the job needs; a text that it returns is shown
    when it is done. needs_backend: whether Keras is loaded first. after: names of tasks that must be done before, if
    they are among those to run.
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
    exception, the processes are terminated: they save their state first. Raises SurroundingsError when a process is
    killed from outside, and OutOfTimeError at the time limit; when a task stops by itself as it would pass the limit,
    the others may go on until then, but none is started.
    """
    context, waiting = multiprocessing.get_context("spawn"), _distinct(tasks)
    running: dict[Connection, Running] = {}
    stopped: list[OutOfTimeError] = []
    with view([task.name for task in waiting], settings.jobs) as shown, _terminating(running):
        while running or (waiting and not stopped):
            deadline.check()
            free = 0 if stopped else settings.jobs - len(running)
            for task in _ready(waiting, running)[:free]:
                waiting.remove(task)
                shown.begin(task.name)
                _start(context, task, threads_per_job(settings), running)
            for pipe in wait(list(running), timeout=deadline.left()):
                try:
                    _receive(pipe, running, shown)  # type: ignore[arg-type]
                except OutOfTimeError as reason:
                    stopped.append(reason)
    if stopped:
        raise stopped[0]


def _distinct(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks, those of a name that another one has numbered."""
    seen: Counter[str] = Counter()
    found = []
    for task in tasks:
        seen[task.name] += 1
        found.append(replace(task, name=f"{task.name} ({seen[task.name]})") if seen[task.name] > 1 else task)
    return found


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


def _receive(pipe: Connection, running: dict[Connection, Running], shown: View) -> None:
    try:
        message = pipe.recv()
    except EOFError:
        ended = running.pop(pipe)
        ended.process.join()
        raise SurroundingsError(_ended_by(ended.task.name, ended.process.exitcode)) from None
    if isinstance(message, Report):
        shown.show(message)
    elif isinstance(message, Said):
        shown.message(message.text, error=message.error)
    else:
        finished = running.pop(pipe)
        finished.process.join()
        if message.error is not None:
            raise message.error
        shown.end(finished.task.name, message.told)


def _ended_by(name: str, code: int | None) -> str:
    if code == TERMINATED:
        return f"the process of {name} was terminated. What it saved is kept: run the same command again to go on."
    if code == -signal.SIGKILL:
        return (
            f"the process of {name} was killed (exit code {code}), most likely because the memory ran out. {SMALLER} "
            "The same command goes on from the last saved state."
        )
    return f"the process of {name} ended without a word (exit code {code}). Run the same command again to go on."


def _work(task: Task, threads: int, pipe: Connection) -> None:
    """Do the task in this process; send reports and printed lines, and how it ended last of all."""
    end_when_asked()
    sys.unraisablehook = _heed
    send = _sender(pipe)
    out, error = _Sayer(send, error=False), _Sayer(send, error=True)
    with redirect_stdout(out), redirect_stderr(error):
        try:
            told = _call(task, threads, lambda done, total, note="": send(Report(task.name, done, total, note)))
            ended = Ended(told)
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
    runtime.prepare_environment(threads)
    if task.needs_backend:
        runtime.import_backend()
    module, name = task.function.split(":")
    return getattr(importlib.import_module(module), name)(*task.arguments, report) or ""


def _sender(pipe: Connection) -> Callable[[Any], None]:
    lock = threading.RLock()  # warnings come from any thread

    def send(message: Any) -> None:
        with lock, contextlib.suppress(BrokenPipeError):  # a parent that is gone ends this process by a signal
            pipe.send(message)

    return send


class _Sayer(io.TextIOBase):
    """A stream whose lines go to the parent, which shows them beside its bars."""

    def __init__(self, send: Callable[[Any], None], *, error: bool) -> None:
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


def _portable(name: str, error: Exception) -> Exception:
    """Return what the parent is to raise: errors for the user as they are, a bug as text with its traceback."""
    if isinstance(error, RipikError):
        return type(error)(str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # the latter: TensorFlow's
        return SurroundingsError(f"{name}: the memory ran out. {SMALLER}")
    told: Exception = RuntimeError(f"{type(error).__name__}: {error}")
    if isinstance(error, OSError) and error.errno is not None:  # subclasses of it may not survive the way
        told = OSError(error.errno, error.strerror or str(error), error.filename)
    told.add_note(traceback.format_exc())
    return told


@contextmanager
def _terminating(running: dict[Connection, Running]) -> Iterator[None]:
    """Terminate the processes that are left at the end, and give them time to save; a second Ctrl-C kills them."""
    try:
        yield
    finally:
        # one just started is not in `running` yet; workers of other libraries are theirs
        processes = [child for child in multiprocessing.active_children() if isinstance(child, SpawnProcess)]
        for process in processes:
            process.terminate()
        try:
            if running:
                names = ", ".join(left.task.name for left in running.values())
                with contextlib.suppress(OSError, SystemExit):  # whoever read our messages may be gone, too
                    complain(f"waiting for {names} to finish what is at hand and save")
            for process in processes:
                process.join(PATIENCE)
        finally:
            for process in processes:
                process.kill()
                process.join()
