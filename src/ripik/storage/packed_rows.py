"""Read the rows of packed files at random, each against its checksum.

Rows are read by position and not through a memory map: that is quicker, and pages of a map would count as memory of the
process.
"""

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from ripik.errors import SurroundingsError
from ripik.storage import artifacts
from ripik.storage.packed_array import (
    CHECKSUM,
    HEADER,
    Unfinished,
    checksum,
    checksums_path,
    header_bytes,
    raw_bytes,
    read_checksums,
    set_aside,
    write_at,
)

BLOCK = 2**23  # bytes read at once, when all rows are


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

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return len(self) * self._files[0].row_bytes

    def read_all(self) -> np.ndarray:
        """Return all rows, (n, *row_shape), read in large blocks and checked; raises as `read` does."""
        found = np.empty((len(self), *self.row_shape), self.dtype)
        for file, end in zip(self._files, self._ends, strict=True):
            file.read_all_into(found[end - len(file) : end])
        return found

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
        self.path, self.sums = path, read_checksums(checksums_path(path))
        self.file = path.open("rb", buffering=0)
        shape, dtype = (artifacts.read_meta(artifacts.meta_beside(path)) or {}).get("row", ((), "u1"))
        self.row_shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.row_bytes = math.prod(shape) * self.dtype.itemsize
        if self.file.read(HEADER) != header_bytes(len(self.sums), self.row_shape, self.dtype.str).tobytes():
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

    def read_all_into(self, places: np.ndarray) -> None:
        step = max(1, BLOCK // max(1, self.row_bytes))
        for first in range(0, len(self), step):
            block = places[first : first + step]
            got = os.preadv(self.file.fileno(), [raw_bytes(block)], HEADER + first * self.row_bytes)
            bad = (number for number, row in enumerate(block, start=first) if checksum(row) != self.sums[number])
            damaged = first if got != block.nbytes else next(bad, None)
            if damaged is not None:
                self._mark_damaged(damaged)

    def _is_good(self, place: np.ndarray, row: int) -> bool:
        got = os.preadv(self.file.fileno(), [raw_bytes(place)], HEADER + row * self.row_bytes)
        return got == self.row_bytes and checksum(place) == self.sums[row]

    def _mark_damaged(self, row: int) -> None:
        place = np.empty(self.row_shape, self.dtype)
        good = np.array([self._is_good(place, number) for number in range(len(self))])
        with contextlib.suppress(FileNotFoundError):  # another reader has marked them
            write_at(checksums_path(self.path), 0, np.where(good, self.sums, 0).astype(CHECKSUM))
        self._give_up(
            f"row {row} of {self.path} does not match its checksum, and {(~good).sum()} of its {len(self)} rows in all "
            "do not: the file was damaged on disk"
        )

    def _give_up(self, what: str) -> NoReturn:
        """Turn the file into an unfinished one, to be resumed, and raise the error."""
        record = artifacts.read_meta(artifacts.meta_beside(self.path)) or {}
        key = artifacts.digest([record.get("inputs"), {"row": record.get("row"), "maker": record.get("maker")}])[:8]
        aside = Unfinished(self.path, 0, (), "u1", key)
        set_aside(self.path, aside.rows)
        set_aside(checksums_path(self.path), aside.checksums)
        raise SurroundingsError(f"{what}. Run the same command again: only the lost rows are recomputed.")
