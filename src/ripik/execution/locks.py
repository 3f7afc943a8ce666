"""Which process runs a job: a small file that it keeps locked, so that a reader can tell running from killed.

The kernel drops the lock (`flock(2)`) when the process ends, however it ends. Where a file system knows no such locks
(some network mounts), jobs run anyway: then no job is shown as running, and nothing prevents two of the same.
"""

import contextlib
import errno
import fcntl
import functools
import itertools
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path

from ripik.console import complain
from ripik.errors import SurroundingsError
from ripik.execution import time_limit
from ripik.storage import atomic
from ripik.storage.paths import Layout

Tell = Callable[..., None]
SECONDS_BETWEEN_WRITES = 1.0
SIZE = 2048  # bytes of the file, padded, so that it is rewritten in place by one write
TRIES, PAUSE = 20, 0.05  # a reader holds the lock for a moment, and may meet a file half-written
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


@dataclass(frozen=True)
class Presence:
    """Who is, or was, at work on a job, since when, and how far it is.

    since: local time in ISO format. done of total, note: as in `progress.Report`. left: seconds left of what the job
    is at, None while they are not known. alive: whether the process is still there; else it was killed.
    """

    host: str = ""
    pid: int = 0
    since: str = ""
    done: float = 0.0
    total: int = 0
    note: str = ""
    left: float | None = None
    token: str = ""  # of the process: hosts may share a name, and processes a number
    alive: bool = False

    @property
    def is_this_process(self) -> bool:
        """Whether it is the process that asks."""
        return self.token == _token()

    @property
    def where(self) -> str:
        """The host and the process."""
        return f"host {self.host}, process {self.pid}, since {self.since.replace('T', ' ')}"


@contextmanager
def present(path: Path, what: str, note: str = "", *, wait: bool = False) -> Iterator[Tell]:
    """Show in `path` that this process is at work while the block runs; yields what to call to tell how far it is.

    That is called as tell(done, total, note, left) and writes at most once a second. The file is removed at the end,
    and after an exception; one that a killed process left is taken over. `what` names the work in messages, `note`
    tells its kind at the beginning. Another process that is at work there is waited for, with a line that names it, or
    raises SurroundingsError; with `wait`, this process itself may be at work there already.
    """
    descriptor = _take(path, what, wait)
    if descriptor is None:
        yield lambda done, total, note="", left=None: None
        return
    mine = Presence(
        socket.gethostname(), os.getpid(), datetime.now().isoformat(timespec="seconds"), note=note, token=_token()
    )
    try:
        _write(descriptor, mine)
        yield _teller(descriptor, mine)
    finally:
        path.unlink(missing_ok=True)  # while it is locked, so that it is never another's
        os.close(descriptor)
        with contextlib.suppress(OSError):  # others are at work
            path.parent.rmdir()
            path.parent.parent.rmdir()


def look(path: Path) -> Presence | None:
    """Return who is or was at work there; None when nobody is, or it cannot be told. Changes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        alive = not _lock(descriptor, fcntl.LOCK_SH)
        presence = _read(descriptor)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    finally:
        os.close(descriptor)
    return replace(presence, alive=alive) if path.exists() else None


def refuse_if_at_work(path: Path, what: str) -> None:
    """Raise SurroundingsError when a process, here or on another host, is at work there."""
    found = look(path)
    if found is not None and found.alive:
        raise _taken(what, found)


@functools.lru_cache(maxsize=1)
def _token() -> str:
    """Return a text that no other process has."""
    return uuid.uuid4().hex


def _taken(what: str, by: Presence) -> SurroundingsError:
    return SurroundingsError(
        f"{what} is already being worked on ({by.where}). Wait until that process ends, or stop it there, and run the "
        "same command again."
    )


def _take(path: Path, what: str, wait: bool) -> int | None:
    """Return the descriptor of the file, locked; None where there are no locks, or this process holds it already."""
    atomic.check_writable(path.parent)
    for tried in itertools.count(1):
        found = _try(path)
        if not isinstance(found, Presence):
            return found
        if wait and found.is_this_process:
            return None
        if tried == TRIES and not wait:
            raise _taken(what, found)
        if tried == TRIES:
            at_it = " by ".join(filter(None, [f"{what} is being worked on", found.note]))
            complain(f"waiting for another process: {at_it} ({found.where})")
        time_limit.check()
        time.sleep(PAUSE)
    raise AssertionError("counting has no end")


def _try(path: Path) -> int | Presence | None:
    """Try once to lock the file: its descriptor, or who holds it, or None where there are no locks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:  # whoever was at work there has just removed the folder
        return Presence()
    try:
        if _lock(descriptor, fcntl.LOCK_EX) and _is_at(descriptor, path):
            return descriptor
        presence = _read(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in NO_LOCKS:
            raise
        path.unlink(missing_ok=True)
        return None
    os.close(descriptor)
    return presence


def _lock(descriptor: int, kind: int) -> bool:
    """Lock the file if nobody else's lock is in the way; return whether it is locked."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still stands at its path: its last owner removes it before the lock goes."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _teller(descriptor: int, mine: Presence) -> Tell:
    last = time.monotonic()

    def tell(done: float, total: int, note: str = "", left: float | None = None) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_WRITES:
            last = time.monotonic()
            with contextlib.suppress(OSError):  # a full disk is told by what the job has to keep
                _write(descriptor, replace(mine, done=done, total=total, note=note, left=left))

    return tell


def _write(descriptor: int, presence: Presence) -> None:
    content = {key: value for key, value in asdict(presence).items() if key != "alive"}
    content["note"] = content["note"][: SIZE // 10]
    os.pwrite(descriptor, json.dumps(content).ljust(SIZE - 1).encode() + b"\n", 0)


def _read(descriptor: int) -> Presence:
    """Return what the file tells; an empty record when it stays unreadable."""
    for _ in range(TRIES):
        with contextlib.suppress(ValueError, TypeError):
            content = json.loads(os.pread(descriptor, SIZE, 0))
            return Presence(**{field.name: content[field.name] for field in fields(Presence) if field.name in content})
        time.sleep(PAUSE / 10)
    return Presence()


@contextmanager
def turn(layout: Layout, step: str) -> Iterator[None]:
    """Be the only command that writes what all of the run's trainings share, while the block runs.

    Waits for another command that is at it, and says for whom. Turns of one process may be nested.
    """
    with present(layout.at_work, str(layout.run), note=step, wait=True):
        yield


@contextmanager
def training_under_way(layout: Layout) -> Iterator[None]:
    """Be one of the commands that train, for `refuse_while_training`, while the block runs."""
    for number in itertools.count(1):
        path = layout.at_work.with_name(f"train{number}.json")  # another one of several commands at once
        found = look(path)
        if found is None or not found.alive:
            break
    with present(path, f"{layout.run}, training {number}", note="train"):
        yield


def refuse_while_training(layout: Layout, what: str) -> None:
    """Raise SurroundingsError when a process, here or on another host, is at work on one of the run's trainings."""
    for path in sorted(layout.at_work.parent.glob("*.json")):
        if path != layout.at_work:
            refuse_if_at_work(path, f"{what} would change under {path.stem}, which")
