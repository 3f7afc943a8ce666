"""Where a training image's label comes from, as named in messages: a line of a CSV, or the image's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ripik.data.csv_tables import line_of


@dataclass(frozen=True)
class Place:
    """What the labels were read from; `names`: the file of each row, by its index value, where folders give the class.

    whole: the CSV, or the folder of the class folders.
    """

    whole: Path
    names: Mapping[int, str] = field(default_factory=dict)

    def at(self, row: int) -> str:
        """Return the place of a row, to begin a message with."""
        return f"{self.whole / self.names[row]}" if self.names else f"{self.whole}, line {line_of(row)}"

    def within(self, row: int) -> str:
        """Return the same after a mention of the whole."""
        return f"in {self.names[row]}" if self.names else f"on line {line_of(row)}"

    @property
    def remedy(self) -> str:
        """What mends a label."""
        return "Rename the folder" if self.names else "Correct the cell"
