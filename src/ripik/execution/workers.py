"""Worker processes of this machine: each does one task, or task after task of one shape."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from ripik.errors import SurroundingsError
from ripik.execution.signals import TERMINATED, born_deaf, end_when_asked
from ripik.execution.task import ALL, SMALLER, Task, perform

VISIBLE = "CUDA_VISIBLE_DEVICES"  # numbers or identifiers that CUDA shows to a process, in this order
ENDING = 30.0  # seconds that a process has to end after its last task


class Taken:
    """What a kept process sends when it takes its next task."""


@dataclass
class Worker:
    """A process, our end of its pipe, the GPU it was given (None: all, or none is there), and the task it is at.

    untaken: whether the task was sent to it, and it has not yet said that it took it.
    """

    process: SpawnProcess
    pipe: Connection
    gpu: str | None
    shape: str | None
    task: Task | None
    untaken: bool = False

    @classmethod
    def start(cls, task: Task, threads: int, gpu: str | None) -> "Worker":
        """Start a process with its first task."""
        context = multiprocessing.get_context("spawn")
        ours, its = context.Pipe()
        process = context.Process(target=_serve, args=(task, threads, gpu, its), name=task.name)
        with born_deaf():
            process.start()
        its.close()  # so that the pipe ends when the process does
        return cls(process, ours, gpu, task.shape, task)

    def suits(self, task: Task, gpu: str | None) -> bool:
        """Whether what the process has made so far is of use for the task."""
        return self.shape is not None and (self.shape, self.gpu) == (task.shape, gpu)

    def give(self, task: Task) -> bool:
        """Give an idle worker its next task; return whether it is still there to take it."""
        try:
            self.pipe.send(task)
        except OSError:
            return False
        self.task, self.untaken = task, True
        return True

    def end(self) -> None:
        """Let an idle worker end, and wait for that."""
        self.pipe.close()
        self.process.join(ENDING)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def death(self) -> SurroundingsError:
        """Return what is to be told of a worker whose pipe has ended within its task."""
        self.process.join()
        return SurroundingsError(_ended_by(self.task.name if self.task else "no job", self.process.exitcode))


@dataclass
class Crew:
    """The workers that are there: at most so many, at work or idle."""

    most: int
    threads: int
    members: list[Worker] = field(default_factory=list)

    @property
    def busy(self) -> list[Worker]:
        """Those at work."""
        return [worker for worker in self.members if worker.task is not None]

    @property
    def idle(self) -> list[Worker]:
        """Those that could take a task."""
        return [worker for worker in self.members if worker.task is None]

    def give(self, task: Task, gpu: str | None) -> None:
        """Give the task to an idle worker of its shape and GPU, or to a new one, for which others may have to end.

        Those on its GPU do, as they keep memory there.
        """
        for worker in self.idle:
            if worker.suits(task, gpu) and worker.give(task):
                return
        for worker in self.idle:
            if worker.gpu is not None and (worker.gpu == gpu or task.devices == ALL):
                self.dismiss(worker)
        if len(self.members) >= self.most and self.idle:
            self.dismiss(self.idle[0])
        self.members.append(Worker.start(task, self.threads, gpu))

    def dismiss(self, worker: Worker) -> None:
        """Let a worker end that has no task."""
        self.members.remove(worker)
        worker.end()

    def keep(self, waiting: Sequence[Task]) -> None:
        """Let the idle workers end whose shape no waiting task has."""
        shapes = {task.shape for task in waiting} - {None}
        for worker in self.idle:
            if worker.shape not in shapes:
                self.dismiss(worker)


def _serve(task: Task, threads: int, gpu: str | None, pipe: Connection) -> None:
    """Do the task, and then, if it has a shape, those that come by the pipe until it ends."""
    end_when_asked()
    if gpu is not None:
        os.environ[VISIBLE] = gpu

    def send(message: Any) -> None:
        with contextlib.suppress(ConnectionError):  # a parent that is gone ends this process by a signal
            pipe.send(message)

    perform(task, threads, send)
    while task.shape is not None:
        try:
            task = pipe.recv()
        except (EOFError, ConnectionError):
            return
        send(Taken())
        perform(task, threads, send)


def _ended_by(name: str, code: int | None) -> str:
    if code == TERMINATED:
        return f"the process of {name} was terminated. Its saved state is kept: run the same command again to resume."
    if code == -signal.SIGKILL:
        return (
            f"the process of {name} was killed (exit code {code}), most likely because memory ran out. {SMALLER} "
            "The same command resumes from the last saved state."
        )
    return f"the process of {name} ended unexpectedly (exit code {code}). Run the same command again to resume."
