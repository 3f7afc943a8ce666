"""Run a child process with pinned threads and measure it: seconds, peak memory, what it printed; describe the machine.

Standard library only: a measuring process that stays small disturbs least.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)
SURROUNDINGS = {
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",  # a comparison of CPUs, whatever else the machine has
    "KERAS_BACKEND": "tensorflow",
    "PYTHONUNBUFFERED": "1",
}
# A small process between us and the measured one: on Linux the peak that wait4 tells of a child starts at the size
# of the process that forked it, and a test runner is large.
WATCHER = """
import os, sys
report, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(report, False)
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
unit = 1 if sys.platform == "darwin" else 1024
os.write(report, b"%d %d" % (os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit))
"""
SAMPLING = 0.1  # seconds between two looks at the memory of the whole tree of processes
MB = 1e6


@dataclass(frozen=True)
class Finished:
    """A child process that has ended.

    seconds: wall clock, start of the interpreter included; peak_mb: resident set of its largest process;
    tree_mb: of all its processes together, sampled (0 where there is no /proc); output: stdout and stderr.
    """

    seconds: float
    peak_mb: float
    tree_mb: float
    rc: int
    output: str

    def json(self) -> dict[str, Any]:
        """Return the last line of the output that is a JSON object. Raises RuntimeError when there is none."""
        for line in reversed(self.output.splitlines()):
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError(f"the process printed no result (exit code {self.rc}):\n{self.output[-3000:]}")


def thread_environment(threads: int) -> dict[str, str]:
    """Return what pins every library that peers and we use to `threads` threads, on the CPU, without chatter."""
    return SURROUNDINGS | {name: str(threads) for name in THREAD_VARIABLES}


def run(
    command: Sequence[str | Path],
    *,
    threads: int = 2,
    cwd: Path = ROOT,
    extra: Mapping[str, str | None] | None = None,
    check: bool = True,
) -> Finished:
    """Run a command to its end and measure it; `extra` variables are set in its environment, None takes one away.

    Raises RuntimeError with the end of its output when it fails and `check` is set.
    """
    wanted = {**os.environ, **thread_environment(threads), **(extra or {})}
    environment = {name: value for name, value in wanted.items() if value is not None}
    receive, send = os.pipe()
    watched = [sys.executable, "-ISc", WATCHER, str(send), *map(str, command)]
    start = time.perf_counter()
    process = subprocess.Popen(
        watched,
        cwd=cwd,
        env=environment,
        pass_fds=[send],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(send)
    memory = _TreeMemory(process.pid)
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        memory.stop()
        with os.fdopen(receive) as pipe:
            told = pipe.read().split()
    seconds = time.perf_counter() - start
    rc, peak = (int(told[0]), int(told[1])) if told else (process.returncode or 1, 0)
    finished = Finished(seconds, peak / MB, memory.peak / MB, rc, output.decode(errors="replace"))
    if check and rc:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {rc}:\n{finished.output[-3000:]}")
    return finished


class _TreeMemory:
    """The peak of the resident memory of all descendants of a process, sampled from /proc by a thread."""

    def __init__(self, pid: int) -> None:
        self.peak, self._pid, self._over = 0, pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if Path("/proc/self/statm").exists():
            self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLING):
            self.peak = max(self.peak, sum(_resident(pid) for pid in _descendants(self._pid)))

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def describe_machine() -> dict[str, str]:
    """Return cores, processor, memory, system, and how busy the machine is now."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(cores),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "load at the start (1, 5, 15 minutes)": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions(python: str | Path, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of an interpreter and of those of the packages it has."""
    script = (
        "import importlib.metadata as m, json, platform, sys\n"
        "found = {'python': platform.python_version()}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    return run([python, "-c", script, *packages]).json()


def commit() -> str:
    """Return the repository's commit, and whether files differ from it."""
    try:
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return (found.stdout.strip() or "unknown") + (" with changes" if changed.stdout.strip() else "")
