"""Atomic writes: under a temporary name, synced to disk, renamed."""

import errno
import glob
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ripik.errors import SurroundingsError


@contextmanager
def replacing(path: Path, *, sweep: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it over `path` when the block ends well, remove it otherwise.

    The content is on the disk before it gets its name (`fsync(2)`), so that a crash of the machine too leaves the old
    file or the new one. sweep: look through the folder for what killed processes left of it, which takes long in one
    with many files. Raises SurroundingsError when the folder is marked read-only (no write bit at all).
    """
    check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".*.{glob.escape(path.name)}") if sweep else ():
        _remove_if_orphaned(left)
    temporary = path.with_name(f".{os.getpid()}-{_host()}.{path.name}")
    try:
        yield temporary
        to_disk(temporary)
        temporary.replace(path)
        to_disk(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Have the content of a file, or the names in a folder, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network mounts have no such call
            raise
    finally:
        os.close(descriptor)


def _host() -> str:
    """Return an id that distinguishes hosts sharing a folder, fit for a file name; names may differ in their ends."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _remove_if_orphaned(temporary: Path) -> None:
    """Remove a temporary file whose process was killed before it could."""
    owner, _, host = temporary.name.split(".")[1].partition("-")
    if not owner.isdigit() or int(owner) == os.getpid() or host != _host():
        return
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        temporary.unlink(missing_ok=True)
    except PermissionError:  # alive, somebody else's
        return


def check_writable(folder: Path) -> None:
    """Raise SurroundingsError when the folder, or the nearest one above it that exists, is read-only.

    A folder without any write bit is refused even to root, who could write there all the same.
    """
    folder = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not folder.is_dir():
        raise SurroundingsError(f"{folder} is a file where a folder should be. Move it away and run again.")
    if not folder.stat().st_mode & 0o222 or not os.access(folder, os.W_OK):
        raise SurroundingsError(
            f"cannot write to {folder}: the folder is read-only. Give it write permission (chmod u+w), or choose "
            "another place: paths.output and paths.submissions of the configuration, or the command's own option."
        )
