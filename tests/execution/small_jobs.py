"""What the jobs of these tests do, in a module that a job's process imports at once: neither pytest nor pandas."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError

from ripik import console
from ripik.errors import InputError, OutOfTimeError

Progress = Callable[..., None]
VISIBLE = "CUDA_VISIBLE_DEVICES"


def note_pid(folder: Path, name: str, report: Progress) -> None:
    report(1, 1, "noted")
    (folder / name).write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")


def fail(report: Progress) -> None:
    raise InputError("row 7 is wrong")


def break_down(report: Progress) -> None:
    raise ZeroDivisionError("a bug")


def die(report: Progress) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_long(report: Progress) -> None:
    time.sleep(600)


def note_time(folder: Path, name: str, seconds: float, report: Progress) -> None:
    start = time.time()
    time.sleep(seconds)
    (folder / name).write_text(f"{start} {time.time()}")


def write_for_long(folder: Path, report: Progress) -> None:
    from ripik.storage import artifacts

    with artifacts.replacing(folder / "a.npy") as temporary:
        temporary.write_text("half")
        time.sleep(600)


def fail_when_there(folder: Path, report: Progress) -> None:
    while not list(folder.iterdir()):
        time.sleep(0.05)
    raise InputError("stop")


def note_children(folder: Path, name: str, report: Progress) -> None:
    """Note how many processes of jobs this one's parent has."""
    (folder / name).write_text(str(_jobs_of_parent()))


def _jobs_of_parent() -> int:
    children = Path(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read_text().split()
    return len([each for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()])


def end_as_if_not_asked(folder: Path, name: str, report: Progress) -> None:
    """Swallow the request to end, as code that is called from C may; note when the process ends by itself."""
    atexit.register((folder / "ended").touch)
    (folder / name).touch()
    with contextlib.suppress(SystemExit):
        time.sleep(60)


def pid(path: Path) -> str:
    return path.read_text().split()[0]


def kill_when_idle(folder: Path, report: Progress) -> None:
    """Kill the process of the task before, which waits for the next one."""
    time.sleep(0.5)
    os.kill(int(pid(folder / "first")), signal.SIGKILL)
    time.sleep(0.5)


def stop_and_kill_soon(folder: Path, report: Progress) -> None:
    """Stop the idle process of the task before; it is killed when its next task lies in its pipe."""
    victim = pid(folder / "first")
    os.kill(int(victim), signal.SIGSTOP)
    subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {victim}"])


def talk(name: str, report: Progress) -> str:
    report(1, 3, "half done")
    console.say(f"{name} says [/b]")
    console.warn(f"{name} warns")
    sys.stdout.write("no end of line")
    return f"{name} is content"


def warn_from_threads(report: Progress) -> None:
    def shout(number: int) -> None:
        for _ in range(200):
            console.say(f"{number}" * 50)

    threads = [threading.Thread(target=shout, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for done in range(200):
        report(done, 200)
    for thread in threads:
        thread.join()


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


def run_out(kind: str, report: Progress) -> None:
    if kind == "memory":
        raise MemoryError("4 GB")
    if kind == "gpu":
        raise ResourceExhaustedError("OOM when allocating")
    if kind == "jax":
        raise ValueError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes.")
    raise HTTPError("http://localhost/x", 503, "busy", Message(), None)


def out_of_time(report: Progress) -> None:
    raise OutOfTimeError("no room for another epoch")


def note(path: Path, report: Progress) -> None:
    path.write_text("done")


def note_and_wait(folder: Path, name: str, others: int, report: Progress) -> None:
    """Note what is visible, and wait until as many jobs have."""
    (folder / name).write_text(os.environ.get(VISIBLE, "all"))
    while len(list(folder.iterdir())) < others:
        time.sleep(0.01)


def enter(place: Path, report: Progress) -> None:
    """Be the only one at a place for a moment."""
    place.touch(exist_ok=False)
    time.sleep(0.3)
    place.unlink()


def note_process(folder: Path, name: str, report: Progress) -> None:
    """Note the process, its GPU and how many others the parent has."""
    (folder / name).write_text(f"{os.getpid()} {os.environ.get(VISIBLE, 'all')} {_jobs_of_parent()}")


def sleep_until_told(path: Path, report: Progress) -> None:
    path.with_suffix(path.suffix + ".begun").write_text(str(os.getpid()))
    try:
        time.sleep(600)
    finally:
        path.write_text("tidied up")


def hold_on(path: Path, report: Progress) -> None:
    """Sleep through every request to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path.with_suffix(path.suffix + ".begun").write_text(str(os.getpid()))
    time.sleep(600)


def note_pid_and_wait(folder: Path, number: int) -> int:
    """Be a call of `in_parallel`: the first of them takes a while."""
    (folder / str(os.getpid())).touch()
    time.sleep(2 if number < 2 else 0.01)
    return number


def note_own_pid(path: Path, report: Progress) -> None:
    path.write_text(str(os.getpid()))


def train(report: Progress) -> str:
    for epoch in range(3):
        report(float(epoch), 3, f"epoch {epoch + 1}/3, loss 0.5")
        time.sleep(0.04)
    console.say("a line of the job")
    return "loss 0.125"
