"""Jobs on this machine: each in a fresh process of its own, several at a time, with a GPU of its own if it can be."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

from ripik.console import complain
from ripik.errors import OutOfTimeError, SurroundingsError
from ripik.execution import local, time_limit
from ripik.execution.progress import Report, View
from ripik.execution.signals import TERMINATED, end_when_asked
from ripik.execution.task import ALL, SMALLER, Said, Task, perform

VISIBLE = "CUDA_VISIBLE_DEVICES"  # numbers or identifiers that CUDA shows to a process, in this order
SECONDS = 20


def visible() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them: none without a driver.

    CUDA's rule: the variable's entries up to the first that is no GPU (-1), or without the variable all that the driver
    lists.
    """
    listed = os.environ.get(VISIBLE)
    if listed is None:
        return [str(number) for number in range(_count())]
    found = []
    for entry in listed.split(","):
        if not entry.strip() or entry.strip().startswith("-"):
            break
        found.append(entry.strip())
    return found


def least_used(visible: Sequence[str], taken: Iterable[str | None]) -> str | None:
    """Return the GPU that the fewest of the running jobs have, the first of several; None when there is none."""
    used = Counter(taken)
    return min(visible, key=lambda gpu: used[gpu], default=None)


def _count() -> int:
    """Return how many GPUs NVIDIA's driver lists; 0 where its command is missing, or fails as it does without one."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        answer = subprocess.run([command, "--list-gpus"], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    lines = [line for line in answer.stdout.splitlines() if line.startswith("GPU ")]
    return len(lines) if answer.returncode == 0 else 0


PATIENCE = 300.0  # seconds a terminated process has to finish its batch, or the scoring of an epoch, and save


@dataclass(frozen=True)
class Running:
    """A task, the process that does it, and the GPU it was given (None: all that are visible, or none is there)."""

    task: Task
    process: BaseProcess
    gpu: str | None = None


def run_here(tasks: Sequence[Task], at_once: int, threads: int, shown: View) -> None:
    """Run the tasks, `at_once` at a time with `threads` each; the first failure stops the rest and is raised here.

    Keras leaks memory over many trainings in one process, so every task gets a new one. On Ctrl-C, or any other
    exception, the processes are terminated: they save their state first. Raises SurroundingsError when a process is
    killed from outside, and OutOfTimeError at the time limit; when a task stops by itself as it would pass the limit,
    the others may go on until then, but none is started.
    """
    context, waiting, visible = multiprocessing.get_context("spawn"), list(tasks), local.visible()
    running: dict[Connection, Running] = {}
    stopped: list[OutOfTimeError] = []
    with _terminating(running):
        while running or (waiting and not stopped):
            time_limit.check()
            while not stopped and (task := _next(waiting, running, at_once, visible)):
                waiting.remove(task)
                shown.begin(task.name)
                _start(context, task, threads, visible, running)
            for pipe in wait(list(running), timeout=time_limit.left()):
                try:
                    _receive(pipe, running, shown)  # type: ignore[arg-type]
                except OutOfTimeError as reason:
                    stopped.append(reason)
    if stopped:
        raise stopped[0]


def _ready(waiting: Sequence[Task], running: Mapping[Connection, Running]) -> list[Task]:
    """Return the waiting tasks that wait for no unfinished one."""
    unfinished = {task.name for task in waiting} | {entry.task.name for entry in running.values()}
    return [task for task in waiting if not unfinished & set(task.after)]


def _next(
    waiting: Sequence[Task], running: Mapping[Connection, Running], at_once: int, visible: Sequence[str]
) -> Task | None:
    """Return the task to be started now, if there is one: a task that takes all GPUs runs by itself."""
    ready = _ready(waiting, running)
    if not ready or len(running) >= at_once:
        return None
    at_work = [entry.task for entry in running.values()]
    if visible and at_work and ALL in (ready[0].devices, *(task.devices for task in at_work)):
        return None
    return ready[0]


def _start(
    context: SpawnContext, task: Task, threads: int, visible: Sequence[str], running: dict[Connection, Running]
) -> None:
    taken = [entry.gpu for entry in running.values()]
    gpu = local.least_used(visible, taken) if task.needs_backend and task.devices != ALL else None
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, threads, gpu, sender), name=task.name)
    process.start()
    sender.close()  # so that the pipe ends when the process does
    running[receiver] = Running(task, process, gpu)


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
        shown.end(finished.task.name, message.outcome)


def _ended_by(name: str, code: int | None) -> str:
    if code == TERMINATED:
        return f"the process of {name} was terminated. What it saved is kept: run the same command again to go on."
    if code == -signal.SIGKILL:
        return (
            f"the process of {name} was killed (exit code {code}), most likely because the memory ran out. {SMALLER} "
            "The same command goes on from the last saved state."
        )
    return f"the process of {name} ended without a word (exit code {code}). Run the same command again to go on."


def _work(task: Task, threads: int, gpu: str | None, pipe: Connection) -> None:
    end_when_asked()
    if gpu is not None:
        os.environ[local.VISIBLE] = gpu

    def send(message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # a parent that is gone ends this process by a signal
            pipe.send(message)

    perform(task, threads, send)


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
