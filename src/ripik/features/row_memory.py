"""Packed files read whole into memory, once for all that read them, as long as there is room."""

import functools
import threading
from pathlib import Path

from ripik.execution.environment import threads, usable_cores
from ripik.execution.memory import usable_memory
from ripik.features.batches import ArrayRows, Draws, Source, uniform
from ripik.names import RAY
from ripik.settings import JobSettings
from ripik.storage.packed_rows import PackedRows

SHARE = 0.25  # of the memory, at most, for all rows of a process


class RowMemory:
    """Opens packed files: in memory, checked against their checksums, or where they lie once the room is used up.

    Any thread may ask for one.

    draws: what dropout is drawn by, in all trainings that share the rows.
    """

    def __init__(self, room: int | None = None) -> None:
        """Take so many bytes at most; without a number a quarter of the memory that there is."""
        self.room = int(SHARE * usable_memory()) if room is None else room
        self.draws: Draws = uniform
        self._lock = threading.Lock()
        self._opened: dict[tuple[Path, ...], Source] = {}

    @classmethod
    def of_job(cls, jobs: JobSettings) -> "RowMemory":
        """Return what this process may take as one of several jobs: a cluster fills the cores of a node with them."""
        beside = usable_cores() // threads() if jobs.engine == RAY else jobs.jobs
        return cls(int(SHARE * usable_memory() / max(1, beside)))

    def share_draws(self, batches: int) -> None:
        """Remember the draws of so many batches: those of one seed meet them again, whatever their dropout's rate."""
        self.draws = functools.lru_cache(maxsize=batches)(uniform)

    def open(self, *paths: Path) -> Source:
        """Return the rows of the files, one file after the other.

        Raises SurroundingsError for a damaged row, as `PackedRows` does.
        """
        with self._lock:
            if paths not in self._opened:
                self._opened[paths] = self._read(PackedRows(paths))
            return self._opened[paths]

    def _read(self, rows: PackedRows) -> Source:
        if rows.nbytes > self.room:
            return rows
        self.room -= rows.nbytes
        return ArrayRows(rows.read_all())
