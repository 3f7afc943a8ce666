"""Packed files read whole into memory, once for all that read them, as long as there is room."""

from pathlib import Path

from ripik.execution.memory import usable_memory
from ripik.features.batches import ArrayRows, Source
from ripik.storage.packed_rows import PackedRows

SHARE = 0.25  # of the memory, at most, for all rows of a process


class RowMemory:
    """Opens packed files: in memory, checked against their checksums, or where they lie once the room is used up."""

    def __init__(self, room: int | None = None) -> None:
        """Take so many bytes at most; without a number a quarter of the memory that there is."""
        self.room = int(SHARE * usable_memory()) if room is None else room
        self._opened: dict[tuple[Path, ...], Source] = {}

    @classmethod
    def among(cls, processes: int) -> "RowMemory":
        """Return what one of so many processes at once may take."""
        return cls(int(SHARE * usable_memory() / processes))

    def open(self, *paths: Path) -> Source:
        """Return the rows of the files, one file after the other.

        Raises SurroundingsError for a damaged row, as `PackedRows` does.
        """
        if paths not in self._opened:
            self._opened[paths] = self._read(PackedRows(paths))
        return self._opened[paths]

    def _read(self, rows: PackedRows) -> Source:
        if rows.nbytes > self.room:
            return rows
        self.room -= rows.nbytes
        return ArrayRows(rows.read_all())
