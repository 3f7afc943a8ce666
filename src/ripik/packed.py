"""Packed files: rows of one shape and type in one `.npy`, a checksum each; written in any order, read at random.

`numpy.load` reads the finished file too. Rows are read by position and not through a memory map: that is quicker, and
pages of a map would count as memory of the process.
"""

import contextlib
import glob
import math
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ripik import artifacts
from ripik.atomic import to_disk
from ripik.console import say, warn
from ripik.errors import SurroundingsError

HEADER = 256  # bytes, more than NumPy itself takes, so that the number of rows can grow without moving them
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
        _write_at(self.rows, HEADER + first * self.row_bytes, rows)
        _write_at(self.checksums, first * CHECKSUM.itemsize, sums)

    def missing(self) -> np.ndarray:
        """Return the numbers of the rows that are not written yet."""
        return np.flatnonzero(_checksums(self.checksums)[: self.count] == 0)


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
    (shape, dtype), sums = (artifacts.read_meta(meta) or {})["row"], _checksums(checksums_path(path))
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
    **more: Any,
) -> Iterator[Unfinished]:
    """Make a packed file of at least `count` rows, going on from what is there.

    Rows that an interrupted run wrote, or those of a shorter or damaged file, are kept when they come from the same
    inputs and maker (what else changes the last bits); everything else at that place is removed, and a line says so.
    The block writes the missing rows; when none is left the files get their names. `more` goes into the meta file.
    Raises SurroundingsError for a read-only folder.
    """
    artifacts.check_writable(path.parent)
    start, made_by = time.monotonic(), {"row": [list(row_shape), np.dtype(dtype).str], "maker": dict(maker)}
    key = artifacts.digest([inputs, made_by])[:8]
    unfinished = Unfinished(path, count, tuple(row_shape), np.dtype(dtype).str, key)
    _take_up(unfinished, inputs, made_by)
    yield unfinished
    if len(unfinished.missing()):
        raise RuntimeError(f"{path}: rows {unfinished.missing()[:5]} were not written")
    _finish(unfinished, inputs, {**made_by, **more}, time.monotonic() - start)


def _take_up(unfinished: Unfinished, inputs: Mapping[str, Any], made_by: Mapping[str, Any]) -> None:
    """Bring what can be gone on from to the unfinished names, remove the rest, and make room for all rows."""
    path, sums = unfinished.target, checksums_path(unfinished.target)
    meta = artifacts.meta_beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if _tells(meta, inputs, made_by):
        changed = path.exists() and not artifacts.is_fresh(meta, inputs)
        _rename(path, unfinished.rows)
        _rename(sums, unfinished.checksums)
        if changed and unfinished.rows.exists() and unfinished.checksums.exists():
            warn(f"{sums} {artifacts.DAMAGED} Every row is held against it, and those that differ are made anew.")
            _forget_damaged_rows(unfinished)
    others = [file for file in _at_this_place(path) if file not in (unfinished.rows, unfinished.checksums, meta)]
    if others:
        say(f"{path} is made anew: what was there came from other inputs, or another maker")
    for file in (meta, *others):
        file.unlink(missing_ok=True)
    if not (unfinished.rows.exists() and unfinished.checksums.exists()):
        unfinished.checksums.unlink(missing_ok=True)
    unfinished.rows.touch()
    _forget_lost_rows(unfinished)
    rows = max(unfinished.count, _length(unfinished.checksums))
    os.truncate(unfinished.rows, HEADER + rows * unfinished.row_bytes)
    os.truncate(unfinished.checksums, rows * CHECKSUM.itemsize)
    _write_at(unfinished.rows, 0, _header(rows, unfinished.row_shape, unfinished.dtype))


def _finish(unfinished: Unfinished, inputs: Mapping[str, Any], told: Mapping[str, Any], seconds: float) -> None:
    """Write the meta file first: without the other two it says nothing, and with it they can be gone on from."""
    path, sums = unfinished.target, checksums_path(unfinished.target)
    for file in (unfinished.rows, unfinished.checksums):
        to_disk(file)
    outputs = {sums.name: artifacts.file_digest(unfinished.checksums)}
    artifacts.write_meta(artifacts.meta_beside(path), inputs=inputs, outputs=outputs, seconds=seconds, **told)
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
    sums = _checksums(unfinished.checksums)
    with unfinished.rows.open("rb") as file:
        file.seek(HEADER)
        good = [zlib.crc32(file.read(unfinished.row_bytes)) or 1 for _ in range(len(sums))]
    _write_at(unfinished.checksums, 0, np.where(sums == np.array(good, CHECKSUM), sums, 0).astype(CHECKSUM))


def _forget_lost_rows(unfinished: Unfinished) -> None:
    """Forget rows beyond the end of a file that was cut short."""
    unfinished.checksums.touch()
    whole = (unfinished.rows.stat().st_size - HEADER) // unfinished.row_bytes
    os.truncate(unfinished.checksums, max(0, min(_length(unfinished.checksums), whole)) * CHECKSUM.itemsize)


def _rename(file: Path, name: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        file.replace(name)


def _header(rows: int, row_shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return the bytes of a `.npy` header, version 1.0, padded to HEADER (numpy.lib.format)."""
    told = {"descr": dtype, "fortran_order": False, "shape": (rows, *row_shape)}
    text = str(told).ljust(HEADER - 11) + "\n"
    assert len(text) == HEADER - 10, f"the header of {row_shape} does not fit"
    return np.frombuffer(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"), np.uint8)


def _write_at(path: Path, offset: int, values: np.ndarray) -> None:
    try:
        with path.open("r+b", buffering=0) as file:
            file.seek(offset)
            left = _bytes(values)
            while left:
                left = left[file.write(left) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _bytes(values: np.ndarray) -> memoryview:
    return values.reshape(-1).view(np.uint8).data


def _length(sums: Path) -> int:
    return sums.stat().st_size // CHECKSUM.itemsize


def _checksums(path: Path) -> np.ndarray:
    return np.fromfile(path, CHECKSUM)


class PackedRows:
    """The rows of one or more whole packed files, one file after the other, read at random; safe among threads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [_OpenFile(path) for path in paths]
        shapes = {(file.row_shape, file.dtype) for file in self._files}
        if len(shapes) != 1:
            raise ValueError(f"{paths} hold rows of several kinds")
        self.row_shape, self.dtype = shapes.pop()
        self._ends = np.cumsum([len(file) for file in self._files])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the given rows, (len(rows), *row_shape), checked against their checksums.

        Raises SurroundingsError for a damaged row; all such rows of the file are marked, for the next run to make.
        """
        found = np.empty((len(rows), *self.row_shape), self.dtype)
        numbers = np.searchsorted(self._ends, rows, side="right")
        for place, (row, number) in enumerate(zip(rows, numbers, strict=True)):
            file = self._files[number]
            file.read_into(found[place], int(row) - int(self._ends[number]) + len(file))
        return found


class _OpenFile:
    def __init__(self, path: Path) -> None:
        self.path, self.sums = path, _checksums(checksums_path(path))
        self.file = path.open("rb", buffering=0)
        shape, dtype = (artifacts.read_meta(artifacts.meta_beside(path)) or {}).get("row", ((), "u1"))
        self.row_shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.row_bytes = math.prod(shape) * self.dtype.itemsize
        if self.file.read(HEADER) != _header(len(self.sums), self.row_shape, self.dtype.str).tobytes():
            self._give_up(f"the header of {path}, or its meta file, is damaged")
        if path.stat().st_size != HEADER + len(self.sums) * self.row_bytes:
            self._give_up(f"{path} is cut short")

    def __len__(self) -> int:
        return len(self.sums)

    def read_into(self, place: np.ndarray, row: int) -> None:
        if not 0 <= row < len(self):
            raise IndexError(f"{self.path} has {len(self)} rows, not a row {row}")
        if not self._is_good(place, row):
            self._mark_damaged(row)

    def _is_good(self, place: np.ndarray, row: int) -> bool:
        got = os.preadv(self.file.fileno(), [_bytes(place)], HEADER + row * self.row_bytes)
        return got == self.row_bytes and checksum(place) == self.sums[row]

    def _mark_damaged(self, row: int) -> None:
        place = np.empty(self.row_shape, self.dtype)
        good = np.array([self._is_good(place, number) for number in range(len(self))])
        with contextlib.suppress(FileNotFoundError):  # another reader has marked them
            _write_at(checksums_path(self.path), 0, np.where(good, self.sums, 0).astype(CHECKSUM))
        self._give_up(
            f"row {row} of {self.path} does not match its checksum, and {(~good).sum()} of its {len(self)} rows in all "
            "do not: the file was damaged on the disk"
        )

    def _give_up(self, what: str) -> NoReturn:
        """Make the file one that is to be gone on from, and tell."""
        told = artifacts.read_meta(artifacts.meta_beside(self.path)) or {}
        key = artifacts.digest([told.get("inputs"), {"row": told.get("row"), "maker": told.get("maker")}])[:8]
        aside = Unfinished(self.path, 0, (), "u1", key)
        _rename(self.path, aside.rows)
        _rename(checksums_path(self.path), aside.checksums)
        raise SurroundingsError(f"{what}. Run the same command again: only what is lost is made anew.")
