"""How a job's process ends when it is asked to."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from ripik.execution.signals import TERMINATED, noticing
from ripik.execution.task import Task
from ripik.execution.workers import Worker

PARENT = """
import os, sys, time
from pathlib import Path
from ripik.execution.runner import execute
from ripik.execution.task import Task
from ripik.settings import JobSettings
task = Task("sleeps", "small_jobs:sleep_until_told", (Path(sys.argv[1]),), needs_backend=False)
execute([task], JobSettings(jobs=1, threads=1))
"""


NOTICED = """
import signal, sys
from ripik.execution.signals import TERMINATED, noticing

signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
with noticing() as asked:
    print(asked())
    signal.raise_signal(signal.SIGTERM)
    print(asked(), flush=True)
print("went on")
"""


def test_a_termination_is_noticed_and_obeyed_at_the_end() -> None:
    """In a process of its own: the one that runs the tests must not end."""
    done = subprocess.run([sys.executable, "-c", NOTICED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (TERMINATED, ["False", "True"]), done.stderr


def test_a_worker_is_born_deaf_to_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(process: object = None) -> bool:
        masks.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        return masks[-1]

    masks: list[bool] = []
    monkeypatch.setattr(SpawnProcess, "start", blocked)
    Worker.start(Task("long", "time:sleep", (1,)), 1, None)
    assert masks == [True]
    assert not blocked()


def test_a_worker_hears_of_ctrl_c_again_when_it_ignores_it() -> None:
    """In a process of its own, whose signals it may change."""
    told = "import signal; from ripik.execution.signals import end_when_asked; end_when_asked()"
    asked = "print(signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    done = subprocess.run(
        [sys.executable, "-c", f"{told}; signal.raise_signal(signal.SIGINT); {asked}"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=partial(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGINT}),
    )
    assert done.stdout.split() == [str(int(signal.SIG_IGN)), "set()"]


def test_without_a_signal_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with noticing() as asked:
        assert not asked()
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


ORDERED = """
import signal, sys, threading, time
from ripik.execution.signals import Orders, ending_when_cancelled

orders, given, before = Orders(), threading.Event(), signal.getsignal(signal.SIGTERM)
with ending_when_cancelled(), orders.heeded(given.wait):
    if "late" not in sys.argv:
        given.set()
        time.sleep(60)
given.set()
time.sleep(0.5)
print("idle", signal.getsignal(signal.SIGTERM) is before, flush=True)
with ending_when_cancelled(), orders.heeded(given.wait):
    print("not reached")
"""


@pytest.mark.parametrize(("when", "told"), [("within", []), ("late", ["idle", "True"])])
def test_an_order_to_end_reaches_the_job_at_work_or_the_next_and_nothing_between(when: str, told: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", ORDERED, when], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (TERMINATED, told), done.stderr


IDLE = """
import os, sys, time
from pathlib import Path
from ripik.execution.runner import execute
from ripik.execution.task import Task
from ripik.settings import JobSettings
told = Path(sys.argv[1])
tasks = [
    Task("first", "small_jobs:note_own_pid", (told.with_suffix(".begun"),), needs_backend=False, shape="kept"),
    Task("sleeps", "small_jobs:sleep_until_told", (told.with_suffix(".second"),), needs_backend=False),
    Task("waits", "small_jobs:note_own_pid", (told,), needs_backend=False, after=("sleeps",), shape="kept"),
]
execute(tasks, JobSettings(jobs=2, threads=1))
"""


@pytest.mark.parametrize(
    "signum",
    [signal.SIGKILL, *(pytest.param(other, marks=pytest.mark.long) for other in (signal.SIGTERM, signal.SIGINT))],
)
def test_a_process_that_waits_for_its_next_job_ends_with_its_parent(tmp_path: Path, signum: int) -> None:
    told, folders = tmp_path / "told", os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    heed = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    limit, second = time.monotonic() + 60, told.with_suffix(".second.begun")
    with subprocess.Popen(
        [sys.executable, "-c", IDLE, str(told)], env=os.environ | {"PYTHONPATH": folders}, preexec_fn=heed
    ) as parent:
        while not (told.with_suffix(".begun").exists() and second.exists()) and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(0.5)
        idle = Path(f"/proc/{told.with_suffix('.begun').read_text()}")
        assert idle.exists()
        parent.send_signal(signum)
    while idle.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    assert (idle.exists(), told.exists()) == (False, False)


def test_a_job_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    told, folders = tmp_path / "told", os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    environment = os.environ | {"PYTHONPATH": folders}
    with subprocess.Popen([sys.executable, "-c", PARENT, str(told)], env=environment) as parent:
        limit = time.monotonic() + 60
        while not told.with_suffix(".begun").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        parent.kill()
    while not told.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    assert told.read_text() == "tidied up"


LOST = """
import signal, sys, time
from ripik.execution.signals import end_when_asked
class Slow:
    def __del__(self):
        print("there", flush=True)
        end = time.monotonic() + 60
        while time.monotonic() < end and not met:
            time.sleep(0.01)
met = []
end_when_asked()
exits = signal.getsignal(signal.SIGTERM)
def first(signum, frame):
    met.append(signum)
    exits(signum, frame)
signal.signal(signal.SIGTERM, first)
slow = Slow()
del slow
time.sleep(60)
"""


def test_a_termination_that_a_destructor_swallows_is_obeyed_after_it() -> None:
    with subprocess.Popen([sys.executable, "-c", LOST], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == b"there\n"
        job.send_signal(signal.SIGTERM)
        said = job.communicate(timeout=50)[1]
    assert (job.returncode, said) == (TERMINATED, b"")
