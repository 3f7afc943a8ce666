"""Jobs on this machine: in worker processes, several at a time, each with a GPU of its own if it can be."""

import contextlib
import multiprocessing
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from ripik.console import complain
from ripik.errors import OutOfTimeError, SurroundingsError
from ripik.execution import local, time_limit
from ripik.execution.progress import Report, View
from ripik.execution.task import ALL, Ended, More, Said, Task
from ripik.execution.workers import VISIBLE, Crew, Taken, Worker

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


def run_here(tasks: Sequence[Task], at_once: int, threads: int, shown: View, more: More | None = None) -> None:
    """Run the tasks, `at_once` at a time with `threads` each; the first failure stops the rest and is raised here.

    Tasks of one shape are done by the same processes, one after the other; a task without one gets a process of its
    own. On Ctrl-C, or any other exception, the processes are terminated: they save their state first. When a process
    is killed from outside, the tasks that do not wait for its task are done all the same, and SurroundingsError is
    raised then. Raises OutOfTimeError at the time limit; when a task stops by itself as it would pass the limit, the
    others may go on until then, but none is started.
    """
    work = _Work(list(tasks), Crew(at_once, threads), shown, more)
    with _terminating(work.crew):
        while work.crew.busy or work.to_start():
            time_limit.check()
            work.start()
            for pipe in wait([worker.pipe for worker in work.crew.members], timeout=time_limit.left()):
                work.receive(next(worker for worker in work.crew.members if worker.pipe is pipe))
        work.crew.keep([])
    work.raise_failures()


@dataclass
class _Work:
    """The tasks that wait, the workers, and what went wrong without stopping the others."""

    waiting: list[Task]
    crew: Crew
    shown: View
    more: More | None = None
    out_of_time: list[OutOfTimeError] = field(default_factory=list)
    deaths: list[SurroundingsError] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)  # tasks whose process died
    visible: Sequence[str] = field(default_factory=lambda: local.visible())

    def to_start(self) -> list[Task]:
        """Return the waiting tasks that are still to be started: none once one ran out of time, nor what waits for a
        lost one.
        """
        if self.out_of_time:
            return []
        while more := {task.name for task in self.waiting if self.lost & set(task.after)} - self.lost:
            self.lost |= more
        return [task for task in self.waiting if task.name not in self.lost]

    def start(self) -> None:
        """Start what can be started, and let go the idle workers that nothing waits for."""
        while task := self._next():
            self.waiting.remove(task)
            self.shown.begin(task.name)
            taken = [worker.gpu for worker in self.crew.busy]
            one = task.needs_backend and task.devices != ALL
            self.crew.give(task, local.least_used(self.visible, taken) if one else None)
        if self.more is None:
            self.crew.keep(self.to_start())

    def _next(self) -> Task | None:
        """Return the task to be started now, if there is one: a task that takes all GPUs runs by itself."""
        ready, at_work = self._ready(), [worker.task for worker in self.crew.busy]
        if not ready or len(at_work) >= self.crew.most:
            return None
        if self.visible and at_work and ALL in (ready[0].devices, *(task.devices for task in at_work if task)):
            return None
        return ready[0]

    def _ready(self) -> list[Task]:
        """Return the tasks to start that wait for no unfinished one."""
        unfinished = {task.name for task in self.waiting} | {each.task.name for each in self.crew.busy if each.task}
        return [task for task in self.to_start() if not unfinished & set(task.after)]

    def receive(self, worker: Worker) -> None:
        """Take a message of a worker; raises what its task raised, unless the others may go on."""
        try:
            message = worker.pipe.recv()
        except (EOFError, ConnectionError):
            self._lose(worker)
            return
        if isinstance(message, Taken):
            worker.untaken = False
        elif isinstance(message, Report):
            self.shown.show(message)
        elif isinstance(message, Said):
            self.shown.message(message.text, error=message.error)
        else:
            self._end(worker, message)

    def _end(self, worker: Worker, ended: Ended) -> None:
        task, worker.task = worker.task, None
        if worker.shape is None:
            self.crew.dismiss(worker)
        if isinstance(ended.error, OutOfTimeError):
            self.out_of_time.append(ended.error)
        elif ended.error is not None:
            raise ended.error
        elif task is not None:
            self.shown.end(task.name, ended.outcome)
            if self.more is not None:
                self.waiting[:0] = self.more(task.name)

    def _lose(self, worker: Worker) -> None:
        """Take note of a process that died: its task is lost, unless it never took it, and the others go on."""
        task, death = worker.task, worker.death()
        self.crew.dismiss(worker)
        if task is None:
            return
        if worker.untaken:
            self.waiting.insert(0, task)
            return
        self.lost.add(task.name)
        self.deaths.append(death)
        if self.crew.busy or self.to_start():
            self.shown.message(f"{task.name}: its process died; the jobs that do not depend on it continue", error=True)

    def raise_failures(self) -> None:
        """Raise what went wrong, if anything did: a death before the lack of time."""
        if self.deaths:
            raise SurroundingsError("\n".join(map(str, self.deaths)))
        if self.out_of_time:
            raise self.out_of_time[0]


@contextmanager
def _terminating(crew: Crew) -> Iterator[None]:
    """Terminate the processes that are left at the end, and give them time to save; a second Ctrl-C kills them."""
    try:
        yield
    finally:
        # one just started is not in the crew yet; workers of other libraries are theirs
        processes = [child for child in multiprocessing.active_children() if isinstance(child, SpawnProcess)]
        for process in processes:
            process.terminate()
        for worker in crew.members:
            worker.pipe.close()  # the end of one that waits for a task, should the signal have been lost within one
        try:
            if crew.busy:
                names = ", ".join(worker.task.name for worker in crew.busy if worker.task)
                with contextlib.suppress(OSError, SystemExit):  # whoever read our messages may be gone, too
                    complain(f"waiting for {names} to finish the current batch and save")
            for process in processes:
                process.join(PATIENCE)
        finally:
            for process in processes:
                process.kill()
                process.join()
