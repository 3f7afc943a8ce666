"""Packed files: rows of one shape and type in one `.npy`, a checksum each, written in any order.

`numpy.load` reads the finished file too; `ripik.storage.packed_rows` reads it at random, each row against its checksum.
"""

import contextlib
import fcntl
import glob
import math
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ripik.console import say, warn
from ripik.errors import SurroundingsError
from ripik.storage import artifacts
from ripik.storage.atomic import to_disk

HEADER = 256  # bytes, more than NumPy itself takes, so that the number of rows can grow without moving them
LOCK = ".lock"  # a file in the folder of packed files
CHECKSUM = np.dtype("<u4")  # CRC-32 of a row's bytes; 0 stands for a row that is not written


@dataclass(frozen=True)
class Unfinished:
    """A packed file being written, under a name of its own; small enough to be handed to worker processes.

    key: what tells files made from other inputs, or by another maker, apart.
    """

    target: Path
    count: int
    row_shape: tuple[int, ...]
    dtype: str
    key: str

    @property
    def rows(self) -> Path:
        """Where the rows are until all are there."""
        return self.target.with_name(f".{self.target.name}.{self.key}.partial")

    @property
    def checksums(self) -> Path:
        """Where their checksums are until then."""
        return self.target.with_name(f".{checksums_path(self.target).name}.{self.key}.partial")

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize

    def write(self, first: int, rows: np.ndarray) -> None:
        """Write rows first, first + 1, …, (k, *row_shape), and then their checksums."""
        rows = np.ascontiguousarray(rows, self.dtype)
        if rows.shape[1:] != self.row_shape:
            raise ValueError(f"rows of {self.row_shape} expected, got {rows.shape}")
        sums = np.array([checksum(row) for row in rows], CHECKSUM)
        write_at(self.rows, HEADER + first * self.row_bytes, rows)
        write_at(self.checksums, first * CHECKSUM.itemsize, sums)

    def missing(self) -> np.ndarray:
        """Return the numbers of the rows that are not written yet."""
        return np.flatnonzero(read_checksums(self.checksums)[: self.count] == 0)


def checksum(row: np.ndarray) -> int:
    """Return the CRC-32 of a contiguous row's bytes, never 0."""
    return zlib.crc32(row.data) or 1


def checksums_path(path: Path) -> Path:
    """Return the file of a packed file's checksums: uint32, one a row."""
    return path.with_suffix(".crc32")


def is_packed(path: Path, inputs: Mapping[str, Any], count: int) -> bool:
    """Whether the packed file was made from exactly `inputs`, and its first `count` rows are all there."""
    meta = artifacts.meta_beside(path)
    if not artifacts.is_fresh(meta, inputs) or not path.is_file():
        return False
    (shape, dtype), sums = (artifacts.read_meta(meta) or {})["row"], read_checksums(checksums_path(path))
    size = HEADER + len(sums) * math.prod(shape) * np.dtype(dtype).itemsize
    return path.stat().st_size == size and len(sums) >= count and bool(sums[:count].all())


@contextmanager
def packing(
    path: Path,
    count: int,
    row_shape: Sequence[int],
    dtype: str,
    *,
    inputs: Mapping[str, Any],
    maker: Mapping[str, Any],
    together: bool = False,
    **more: Any,
) -> Iterator[Unfinished]:
    """Make a packed file of at least `count` rows, going on from what is there.

    Rows that an interrupted run wrote, or those of a shorter or damaged file, are kept when they come from the same
    inputs and maker (what else changes the last bits); everything else at that place is removed, and a line says so.
    The block writes the missing rows; when none is left the files get their names. `more` goes into the meta file.
    together: several processes make the file, each its share; the one that ends last names it.
    Raises SurroundingsError for a read-only folder, and where another process took the unfinished file away.
    """
    artifacts.check_writable(path.parent)
    start, made_by = time.monotonic(), {"row": [list(row_shape), np.dtype(dtype).str], "maker": dict(maker)}
    key = artifacts.digest([inputs, made_by])[:8]
    unfinished = Unfinished(path, count, tuple(row_shape), np.dtype(dtype).str, key)
    with _by_turns(path.parent):
        _take_up(unfinished, inputs, made_by)
    yield unfinished
    with _by_turns(path.parent):
        if not unfinished.rows.exists():  # another process has finished it
            if not is_packed(path, inputs, count):
                raise SurroundingsError(
                    f"{path} was removed while being written, by a process that computes it differently. Make sure all "
                    "machines have the same packages and kind of GPU, and run the same command again."
                )
            return
        left = unfinished.missing()
        if len(left) and not together:
            raise RuntimeError(f"{path}: rows {left[:5]} were not written")
        if not len(left):
            _finish(unfinished, inputs, {**made_by, **more}, time.monotonic() - start)


@contextmanager
def _by_turns(folder: Path) -> Iterator[None]:
    """Let one process at a time begin or finish a file of the folder, where the file system knows locks."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)  # NFS locks what can be written
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take_up(unfinished: Unfinished, inputs: Mapping[str, Any], made_by: Mapping[str, Any]) -> None:
    """Move what can be resumed to the unfinished names, remove the rest, and make room for all rows."""
    path, sums = unfinished.target, checksums_path(unfinished.target)
    meta = artifacts.meta_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if _tells(meta, inputs, made_by):
        changed = path.exists() and not artifacts.is_fresh(meta, inputs)
        set_aside(path, unfinished.rows)
        set_aside(sums, unfinished.checksums)
        if changed and unfinished.rows.exists() and unfinished.checksums.exists():
            warn(f"{sums} {artifacts.DAMAGED} Every row is checked, and damaged ones are recomputed.")
            _forget_damaged_rows(unfinished)
    others = [file for file in _at_this_place(path) if file not in (unfinished.rows, unfinished.checksums, meta)]
    if others:
        say(f"{path} is rebuilt: the existing file was made from other inputs, or by other software")
    for file in (meta, *others):
        file.unlink(missing_ok=True)
    if not (unfinished.rows.exists() and unfinished.checksums.exists()):
        unfinished.checksums.unlink(missing_ok=True)
    unfinished.rows.touch()
    _forget_lost_rows(unfinished)
    rows = max(unfinished.count, _length(unfinished.checksums))
    os.truncate(unfinished.rows, HEADER + rows * unfinished.row_bytes)
    os.truncate(unfinished.checksums, rows * CHECKSUM.itemsize)
    write_at(unfinished.rows, 0, header_bytes(rows, unfinished.row_shape, unfinished.dtype))


def _finish(unfinished: Unfinished, inputs: Mapping[str, Any], more: Mapping[str, Any], seconds: float) -> None:
    """Write the meta file first: alone it means nothing, and with it the other two can be resumed."""
    path, sums = unfinished.target, checksums_path(unfinished.target)
    for file in (unfinished.rows, unfinished.checksums):
        to_disk(file)
    outputs = {sums.name: artifacts.file_digest(unfinished.checksums)}
    artifacts.write_meta(artifacts.meta_beside(path), inputs=inputs, outputs=outputs, seconds=seconds, **more)
    unfinished.checksums.replace(sums)
    unfinished.rows.replace(path)
    to_disk(path.parent)


def _tells(meta: Path, inputs: Mapping[str, Any], made_by: Mapping[str, Any]) -> bool:
    found = artifacts.read_meta(meta) or {}
    return {key: found.get(key) for key in ("inputs", *made_by)} == artifacts.as_json({"inputs": inputs, **made_by})


def _at_this_place(path: Path) -> list[Path]:
    sums = checksums_path(path)
    named = [file for file in (path, sums) if file.exists()]
    unfinished = [path.parent.glob(f".{glob.escape(file.name)}.*.partial") for file in (path, sums)]
    return [*named, *unfinished[0], *unfinished[1]]


def _forget_damaged_rows(unfinished: Unfinished) -> None:
    """Forget the rows that do not match their checksums, of which some may be damaged themselves."""
    sums = read_checksums(unfinished.checksums)
    with unfinished.rows.open("rb") as file:
        file.seek(HEADER)
        good = [zlib.crc32(file.read(unfinished.row_bytes)) or 1 for _ in range(len(sums))]
    write_at(unfinished.checksums, 0, np.where(sums == np.array(good, CHECKSUM), sums, 0).astype(CHECKSUM))


def _forget_lost_rows(unfinished: Unfinished) -> None:
    """Forget rows beyond the end of a file that was cut short."""
    unfinished.checksums.touch()
    whole = (unfinished.rows.stat().st_size - HEADER) // unfinished.row_bytes
    os.truncate(unfinished.checksums, max(0, min(_length(unfinished.checksums), whole)) * CHECKSUM.itemsize)


def set_aside(file: Path, name: Path) -> None:
    """Give a file another name, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        file.replace(name)


def header_bytes(rows: int, row_shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return the bytes of a `.npy` header, version 1.0, padded to HEADER (numpy.lib.format)."""
    more = {"descr": dtype, "fortran_order": False, "shape": (rows, *row_shape)}
    text = str(more).ljust(HEADER - 11) + "\n"
    assert len(text) == HEADER - 10, f"the header of {row_shape} does not fit"
    return np.frombuffer(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"), np.uint8)


def write_at(path: Path, offset: int, values: np.ndarray) -> None:
    """Write the bytes of an array into a file that is there, at an offset; errors name the file."""
    try:
        with path.open("r+b", buffering=0) as file:
            file.seek(offset)
            left = raw_bytes(values)
            while left:
                left = left[file.write(left) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def raw_bytes(values: np.ndarray) -> memoryview:
    """Return an array's bytes, without copying them."""
    return values.reshape(-1).view(np.uint8).data


def _length(sums: Path) -> int:
    return sums.stat().st_size // CHECKSUM.itemsize


def read_checksums(path: Path) -> np.ndarray:
    """Return the checksums of a file of them, uint32 (n,)."""
    return np.fromfile(path, CHECKSUM)
