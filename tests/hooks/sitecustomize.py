"""What every process of the tests begins with: Python imports this at its start.

It adds the small network to Keras, and, where RIPIK_KILL is set, kills the process group at the k-th moment at which
it touches a file. Every process of the command counts, in one file, the renames, removals, truncations and openings
for writing below a folder. RIPIK_KILL: folder, file of the count, k (0: list them all), file that tells what was next,
one a line. RIPIK_BEGUN: a file descriptor to which a byte goes when the first lines of the program have run.
RIPIK_SCORING: a file that grows by a byte when a training begins to score its inner split, and seconds that this takes.
"""

import fcntl
import os
import signal
import sys
from typing import Any

import small_network

WATCHED = ("os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir", "open")


def _watch(folder: str, counter: str, wanted: int, told: str) -> None:
    busy = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy or event not in WATCHED or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.fspath(arguments[0])
        writes = event != "open" or (len(arguments) > 2 and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
        if not writes or not isinstance(path, str) or not path.startswith(folder):
            return
        busy = True
        try:
            number, moment = _count(counter), f"{event} {path.removeprefix(folder)}"
            if not wanted:
                _note(f"{number} {moment}\n", told, os.O_APPEND)
            elif number == wanted:
                _note(moment, told, os.O_TRUNC)
                os.killpg(os.getpgid(0), signal.SIGKILL)
        finally:
            busy = False

    sys.addaudithook(hook)


def _count(counter: str) -> int:
    descriptor = os.open(counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, b".")
    size = os.fstat(descriptor).st_size
    os.close(descriptor)
    return size


def _note(moment: str, told: str, how: int) -> None:
    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | how)
    os.write(descriptor, moment.encode())
    os.close(descriptor)


def _tell_begun(descriptor: int) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import" and arguments[0] == "ripik.cli":
            os.write(descriptor, b".")

    sys.addaudithook(hook)


small_network.install()
if "RIPIK_KILL" in os.environ:
    _folder, _counter, _wanted, _told = os.environ["RIPIK_KILL"].splitlines()
    _watch(_folder, _counter, int(_wanted), _told)
if "RIPIK_BEGUN" in os.environ:
    _tell_begun(int(os.environ["RIPIK_BEGUN"]))
if "RIPIK_SCORING" in os.environ:
    import slow_scoring

    slow_scoring.install(*os.environ["RIPIK_SCORING"].splitlines())
