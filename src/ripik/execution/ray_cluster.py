"""Jobs on the nodes of a Ray cluster (https://docs.ray.io), which schedules them and runs those of a lost worker again.

Inputs and outputs go by a shared folder: every node sees this command's folder, and the files of the run, at the same
paths, and has the same packages. Ray itself only transfers a job's arguments and messages.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ripik.console import complain, say
from ripik.errors import InputError, OutOfTimeError, SurroundingsError
from ripik.execution import time_limit
from ripik.execution.local import PATIENCE
from ripik.execution.progress import Report, View, view
from ripik.execution.signals import Orders, ending_when_cancelled
from ripik.execution.task import ALL, SMALLER, Ended, Message, More, Said, Task, perform

ADDRESS = "RAY_ADDRESS"
REUSED = 50  # tasks of one shape that a worker does before it ends
RETRIES = 3  # times that the job of a lost worker is run again
CONNECTING = 10.0  # seconds
PAUSE = 0.1  # seconds between two looks at what the jobs have told
CARRIED = (  # variables of this command that jobs get
    *("KERAS_BACKEND", "KERAS_HOME", "JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS", "NO_ALBUMENTATIONS_UPDATE"),
)


@dataclass(frozen=True)
class Began:
    """A job has begun on a node: for the first time, or again after its worker was lost."""

    task: str
    host: str


def run_on_cluster(tasks: Sequence[Task], at_once: int, threads: int, more: More | None = None) -> None:
    """Run the tasks, each in a worker process with `threads` CPUs, and a GPU where the cluster has any.

    A worker without a GPU does task after task of those that have a shape; else each has a worker of its own, as one
    keeps its GPU's memory to its end.

    The cluster is the one that RAY_ADDRESS names, or one started on this machine for `at_once` tasks. The job of a
    worker or node that is lost runs again elsewhere and goes on from its last saved state. The first failure stops the
    rest, which save their state first, and is raised here. Raises InputError without Ray, or when no node has so many
    CPUs; SurroundingsError when the cluster cannot be reached, or a job's worker is lost again and again;
    OutOfTimeError at the time limit.
    """
    ray = _import_ray()
    with _connected(ray, at_once * threads):
        nodes = _nodes(ray)
        _check_room(nodes, threads)
        say(f"Ray: {len(nodes)} node{'s' if len(nodes) > 1 else ''}, room for {_room(nodes, threads)} jobs at once")
        with view([task.name for task in tasks], _room(nodes, threads)) as shown:
            _run(ray, tasks, threads, _gpus(nodes), shown, more)


def slots(at_once: int, threads: int) -> int:
    """Return how many jobs of so many threads the cluster has room for; `at_once` where one will be started here."""
    if not os.environ.get(ADDRESS):
        return at_once
    ray = _import_ray()
    with _connected(ray, at_once * threads):
        return max(1, _room(_nodes(ray), threads))


def _nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _room(nodes: Sequence[dict[str, float]], threads: int) -> int:
    """Return how many jobs there is room for: as many as CPUs, and where there are GPUs, as them."""
    if _gpus(nodes):
        return sum(int(min(node.get("CPU", 0) // threads, node.get("GPU", 0))) for node in nodes)
    return sum(int(node.get("CPU", 0)) // threads for node in nodes)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            'jobs.engine = "ray": the package ray is not installed. Install the extra (`pip install -e ".[ray]"`), or '
            'set "local".'
        ) from None
    return ray


@contextmanager
def _connected(ray: Any, cpus: int) -> Iterator[None]:
    """Be connected to the cluster that RAY_ADDRESS names, or to one started here with so many CPUs, for the block."""
    address, handler = os.environ.get(ADDRESS), signal.getsignal(signal.SIGTERM)
    how: dict[str, Any] = {"address": address} if address else {"address": "local", "num_cpus": cpus}
    try:
        if address:
            _check_there(address)
        ray.init(**how, include_dashboard=False, log_to_driver=False, logging_level="ERROR", configure_logging=True)
    except (OSError, RuntimeError, ValueError) as error:
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SurroundingsError(
            f"the Ray cluster {address or 'of this machine'} cannot be used: {problem} "
            f"Start it (`ray start --head`), and look at {ADDRESS}."
        ) from None
    signal.signal(signal.SIGTERM, handler)  # Ray has put its own in the place of ours
    try:
        yield
    finally:
        ray.shutdown()


def _check_there(address: str) -> None:
    """Raise OSError when nothing listens at host:port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=CONNECTING).close()


def _check_room(nodes: Sequence[dict[str, float]], threads: int) -> None:
    most = int(max((node.get("CPU", 0) for node in nodes), default=0))
    if most < threads:
        raise InputError(
            f"a job gets {threads} threads, but no node of the Ray cluster has more than {most} CPUs. Set jobs.threads "
            "before the run's first training (a run keeps its number of threads), or add a larger node."
        )


def _gpus(nodes: Sequence[dict[str, float]]) -> int:
    """Return how many GPUs the node with the most of them has."""
    return int(max((node.get("GPU", 0) for node in nodes), default=0))


def _run(ray: Any, tasks: Sequence[Task], threads: int, gpus: int, shown: View, more: More | None = None) -> None:
    messages, stopped = _Messages(ray, shown), list[OutOfTimeError]()
    running = _submit(ray, tasks, threads, gpus, messages)
    try:
        while running:
            time_limit.check()
            done, _ = ray.wait(list(running), timeout=PAUSE)
            messages.show()
            for reference in done:
                name = running.pop(reference)
                try:
                    shown.end(name, _result(ray, reference, name))
                    if more is not None and not stopped:
                        running |= _submit(ray, more(name), threads, gpus, messages)
                except OutOfTimeError as reason:
                    stopped.append(reason)
    finally:
        _stop(ray, running, messages)
        with contextlib.suppress(ray.exceptions.RayError):
            messages.show()
    if stopped:
        raise stopped[0]


def _submit(ray: Any, tasks: Sequence[Task], threads: int, gpus: int, messages: "_Messages") -> dict[Any, str]:
    """Hand all tasks to Ray: one that names others gets their results, so that it begins after them."""
    carried = {name: os.environ[name] for name in CARRIED if name in os.environ}
    how = {"num_cpus": threads, "max_retries": RETRIES, "runtime_env": {"env_vars": carried}}
    once, again = (ray.remote(max_calls=calls, **how)(work) for calls in (1, REUSED))
    left = time_limit.left()
    until, references = None if left is None else time.time() + left, dict[str, Any]()
    for task in _in_order(tasks):
        wanted = 0 if not task.needs_backend else gpus if task.devices == ALL else min(1, gpus)
        before = [references[name] for name in task.after if name in references]
        job = (again if task.shape is not None and not wanted else once).options(num_gpus=wanted, name=task.name)
        references[task.name] = job.remote(
            task, threads, str(Path.cwd()), until, messages.queue, messages.orders, *before
        )
    messages.workers += (RETRIES + 1) * len(references)
    return {reference: name for name, reference in references.items()}


def _in_order(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks, each after those it names."""
    waiting, found = list(tasks), list[Task]()
    while waiting:
        names = {task.name for task in waiting}
        ready = [task for task in waiting if not names & set(task.after)]
        found += ready
        waiting = [task for task in waiting if task not in ready]
    return found


class _Messages:
    """The messages of the jobs, in a queue on this node, shown here; a second queue has requests to stop."""

    def __init__(self, ray: Any, shown: View) -> None:
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_concurrency": 10_000, "scheduling_strategy": here}  # each job waits for orders
        self.queue, self.orders, self.shown = Queue(actor_options=options), Queue(actor_options=options), shown
        self.begun: set[str] = set()
        self.workers = 0  # that may wait for an order, at most

    def show(self) -> None:
        """Show the messages since the last time."""
        for message in self.queue.get_nowait_batch(self.queue.qsize()):
            if isinstance(message, Began):
                self._begin(message)
            elif isinstance(message, Report):
                self.shown.show(message)
            elif isinstance(message, Said):
                self.shown.message(message.text, error=message.error)

    def _begin(self, began: Began) -> None:
        if began.task in self.begun:
            self.shown.message(
                f"{began.task}: its worker was lost; it resumes from its last saved state on {began.host}", error=True
            )
        else:
            self.begun.add(began.task)
            self.shown.begin(began.task)


def _result(ray: Any, reference: Any, name: str) -> str:
    """Return what a job that is done has to say; raises what it raised."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.OutOfMemoryError:
        raise SurroundingsError(f"{name}: its node ran out of memory. {SMALLER}") from None
    except ray.exceptions.RayError as error:
        raise SurroundingsError(
            f"{name}: its worker was lost {RETRIES + 1} times, or its node is unreachable "
            f"({type(error).__name__}). Its saved state is kept: run the same command again to resume."
        ) from None


def _stop(ray: Any, running: dict[Any, str], messages: _Messages) -> None:
    """Ask the jobs that are left to save and end, and give them time; a second Ctrl-C does not wait.

    `ray.cancel` alone would not do: it is noticed between two Python instructions of a job, not while it waits.
    """
    if not running:
        return
    with contextlib.suppress(ray.exceptions.RayError):
        messages.show()
        messages.orders.put_nowait_batch([None] * messages.workers)  # idle and lost ones may take theirs, too
    for reference, name in running.items():
        if name not in messages.begun:
            ray.cancel(reference)
    with contextlib.suppress(OSError, SystemExit):  # whoever read our messages may be gone, too
        at_work = [name for name in running.values() if name in messages.begun]
        if at_work:
            complain(f"waiting for {', '.join(at_work)} to finish the current batch and save")
    ray.wait(list(running), num_returns=len(running), timeout=PATIENCE)


_ORDERS = Orders()


def work(task: Task, threads: int, folder: str, until: float | None, queue: Any, orders: Any, *before: str) -> str:
    """Do a task in this worker, in the folder of the command; return what it has to say, or raise what it raised.

    orders: a queue of which something can be got when the job is to end. until: the time limit on the clock of all
    nodes (`time.time`), None without one. before: what the tasks that come before it had to say, of no use but for
    Ray's order. Raises SurroundingsError where the folder is not shared, and when the job was asked to end.
    """
    host = socket.gethostname()
    try:
        os.chdir(folder)
    except OSError as error:
        raise SurroundingsError(
            f"the node {host} has no folder {folder} ({error.strerror}): every node of the cluster must see the "
            "command's folder and the run's files at the same paths."
        ) from None
    ends: list[Ended] = []

    def send(message: Message) -> None:
        ends.append(message) if isinstance(message, Ended) else queue.put(message)

    try:
        with ending_when_cancelled(), _ORDERS.heeded(orders.get):
            queue.put(Began(task.name, host))
            with time_limit.limited(None if until is None else until - time.time()):
                perform(task, threads, send)
    except SystemExit:
        raise SurroundingsError(f"{task.name} was stopped. Its saved state is kept.") from None
    if ends[-1].error is not None:
        raise ends[-1].error
    return ends[-1].outcome
