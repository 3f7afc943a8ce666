"""Packed files: rows of one shape and type in one `.npy`, a checksum each; written in any order, read at random.

`numpy.load` reads the finished file too. Rows are read by position and not through a memory map: that is quicker, and
pages of a map would count as memory of the process.
"""

import contextlib
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

from ripik import artifacts
from ripik.errors import SurroundingsError

HEADER = 256  # bytes, more than NumPy itself takes, so that the number of rows can grow without moving them
CHECKSUM = np.dtype("<u4")  # CRC-32 of a row's bytes; 0 stands for a row that is not written


@dataclass(frozen=True)
class Making:
    """A packed file being written; small enough to be handed to worker processes."""

    target: Path
    count: int
    row_shape: tuple[int, ...]
    dtype: str

    @property
    def partial(self) -> Path:
        """Where the rows are until all are there."""
        return self.target.with_name(f".{self.target.name}.partial")

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
        _write_at(self.partial, HEADER + first * self.row_bytes, rows)
        _write_at(checksums_path(self.target), first * CHECKSUM.itemsize, sums)

    def missing(self) -> np.ndarray:
        """Return the numbers of the rows that are not written yet."""
        return np.flatnonzero(_checksums(self.target)[: self.count] == 0)


def checksum(row: np.ndarray) -> int:
    """Return the CRC-32 of a contiguous row's bytes, never 0."""
    return zlib.crc32(row.data) or 1


def checksums_path(path: Path) -> Path:
    """Return the file of a packed file's checksums: uint32, one a row."""
    return path.with_suffix(".crc32")


def is_packed(path: Path, inputs: Mapping[str, Any], count: int) -> bool:
    """Whether the packed file is whole, was made from exactly `inputs`, and holds at least `count` rows."""
    return artifacts.is_fresh(artifacts.meta_beside(path), inputs) and _rows_of(checksums_path(path)) >= count


@contextmanager
def packing(
    path: Path, count: int, row_shape: Sequence[int], dtype: str, *, inputs: Mapping[str, Any], maker: Mapping[str, Any]
) -> Iterator[Making]:
    """Make a packed file of `count` rows, going on from what is there.

    Rows that an interrupted run wrote, or those of a shorter whole file, are kept when their meta file tells the same
    inputs and maker (what else changes the last bits); everything else at that place is removed. The block writes the
    missing rows; when none is left the file gets its name. Raises SurroundingsError for a read-only folder.
    """
    artifacts.check_writable(path.parent)
    making = Making(path, count, tuple(row_shape), np.dtype(dtype).str)
    meta, start = artifacts.meta_beside(path), time.monotonic()
    told: dict[str, Any] = {"row": [list(making.row_shape), making.dtype], "maker": dict(maker)}
    _take_up(making, meta, inputs, told)
    yield making
    assert not len(making.missing()), f"{path}: rows {making.missing()[:5]} were not written"
    making.partial.replace(path)
    digests = {
        path.name: "checksums of the rows",
        checksums_path(path).name: artifacts.file_digest(checksums_path(path)),
    }
    artifacts.write_meta(meta, inputs=inputs, outputs=digests, seconds=time.monotonic() - start, **told)


def _take_up(making: Making, meta: Path, inputs: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    sums = checksums_path(making.target)
    if making.target.exists():
        making.target.replace(making.partial)
    if _was_begun(meta, inputs, told) and sums.exists() and making.partial.exists():
        _cut_to_whole_rows(making, sums)
    else:
        for left in (meta, making.partial, sums):
            left.unlink(missing_ok=True)
    making.target.parent.mkdir(parents=True, exist_ok=True)
    rows = max(making.count, _rows_of(sums))
    for file, size in ((making.partial, HEADER + rows * making.row_bytes), (sums, rows * CHECKSUM.itemsize)):
        file.touch()
        os.truncate(file, size)
    _write_at(making.partial, 0, _header(rows, making))
    artifacts.write_meta(meta, inputs=inputs, outputs={making.target.name: "in the making"}, seconds=0, **told)


def _cut_to_whole_rows(making: Making, sums: Path) -> None:
    """Forget rows beyond the end of a file that was cut short."""
    whole = (making.partial.stat().st_size - HEADER) // making.row_bytes
    os.truncate(sums, max(0, min(_rows_of(sums), whole)) * CHECKSUM.itemsize)


def _was_begun(meta: Path, inputs: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    if not meta.exists():
        return False
    found = artifacts.read_json(meta)
    return {key: found.get(key) for key in ("inputs", *told)} == artifacts.as_json({"inputs": inputs, **told})


def _header(rows: int, making: Making) -> np.ndarray:
    """Return the bytes of a `.npy` header, version 1.0, padded to HEADER (numpy.lib.format)."""
    told = {"descr": np.dtype(making.dtype).str, "fortran_order": False, "shape": (rows, *making.row_shape)}
    text = str(told).ljust(HEADER - 11) + "\n"
    assert len(text) == HEADER - 10, f"the header of {making.row_shape} does not fit"
    return np.frombuffer(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"), np.uint8)


def _write_at(path: Path, offset: int, values: np.ndarray) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        left = _bytes(values)
        while left:
            left = left[file.write(left) :]


def _bytes(values: np.ndarray) -> memoryview:
    return values.reshape(-1).view(np.uint8).data


def _rows_of(sums: Path) -> int:
    return sums.stat().st_size // CHECKSUM.itemsize if sums.exists() else 0


def _checksums(path: Path) -> np.ndarray:
    return np.fromfile(checksums_path(path), CHECKSUM)


class PackedRows:
    """The rows of one or more whole packed files, one file after the other, read at random; safe among threads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [_OpenFile(path) for path in paths]
        shapes = {(file.row_shape, file.dtype) for file in self._files}
        assert len(shapes) == 1, f"{paths} hold rows of several kinds"
        self.row_shape, self.dtype = shapes.pop()
        self._ends = np.cumsum([len(file) for file in self._files])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the given rows, (len(rows), *row_shape), checked against their checksums.

        Raises SurroundingsError for a damaged row; it is then marked, so that the next run makes it again.
        """
        found = np.empty((len(rows), *self.row_shape), self.dtype)
        numbers = np.searchsorted(self._ends, rows, side="right")
        for place, (row, number) in enumerate(zip(rows, numbers, strict=True)):
            file = self._files[number]
            file.read_into(found[place], int(row) - int(self._ends[number]) + len(file))
        return found


class _OpenFile:
    def __init__(self, path: Path) -> None:
        self.path, self.sums = path, _checksums(path)
        self.file = path.open("rb", buffering=0)
        np.lib.format.read_magic(self.file)
        (count, *shape), _, self.dtype = np.lib.format.read_array_header_1_0(self.file)
        self.row_shape = tuple(shape)
        self.row_bytes = math.prod(shape) * self.dtype.itemsize
        if path.stat().st_size != HEADER + count * self.row_bytes or len(self.sums) != count:
            path.replace(Making(path, 0, (), "u1").partial)
            raise SurroundingsError(f"{path} is cut short. Run the same command again: what is lost is made anew.")

    def __len__(self) -> int:
        return len(self.sums)

    def read_into(self, place: np.ndarray, row: int) -> None:
        if not 0 <= row < len(self):
            raise IndexError(f"{self.path} has {len(self)} rows, not a row {row}")
        got = os.preadv(self.file.fileno(), [_bytes(place)], HEADER + row * self.row_bytes)
        if got != self.row_bytes or checksum(place) != self.sums[row]:
            self._mark(row)

    def _mark(self, row: int) -> None:
        """Take the row out of the file's records; the file is then one in the making."""
        _write_at(checksums_path(self.path), row * CHECKSUM.itemsize, np.zeros(1, CHECKSUM))
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(Making(self.path, 0, (), "u1").partial)
        raise SurroundingsError(
            f"row {row} of {self.path} does not match its checksum: the file was damaged on the disk. "
            "Run the same command again: only the damaged rows are made anew."
        )
