"""Which column of a table names images, and in which folders these lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from ripik.data.file_names import SUFFIXES, FileNames, wanted_names

ENOUGH = 0.5  # of a column's cells that name images
LOOKED_AT = 200  # cells that tell whether a column names images


@dataclass(frozen=True)
class Naming:
    """A column whose cells name images; by_id: without their endings. ending: the commonest of the files."""

    column: str
    by_id: bool
    ending: str


class Images:
    """The images of a source, found by the names that tables give them."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = [name for name in files if PurePosixPath(name).suffix.lower() in SUFFIXES]
        self._names = FileNames(self.files)

    def naming(self, column: pd.Series) -> Naming | None:
        """Return how a column's cells name images; None where they do not, or not each once."""
        if not column.is_unique or (column.str.strip() == "").any():
            return None
        return self._naming(column)

    def repeated(self, column: pd.Series) -> str | None:
        """Return the first cell that a column of images' names has a second time; None where it has or names none."""
        cells = column[column.duplicated() & (column.str.strip() != "")]
        return str(cells.iloc[0]) if len(cells) and self._naming(column) else None

    def _naming(self, column: pd.Series) -> Naming | None:
        cells = column.head(LOOKED_AT).tolist()
        for by_id in (False, True):
            found = [self._of(cell, by_id) for cell in cells]
            if sum(map(bool, found)) >= ENOUGH * len(cells):
                endings = Counter(PurePosixPath(files[0]).suffix for files in found if files)
                return Naming(str(column.name), by_id, endings.most_common(1)[0][0])
        return None

    def folders(self, cells: Sequence[str], by_id: bool, split: str) -> list[list[str]]:
        """Return the readings of where images lie: each the folders that hold all of them, likely ones first.

        Of folders that hold all, those whose name holds the split's are taken, where there are some.
        """
        held = [self._folders_of(cell, by_id) for cell in cells]
        counts = Counter(folder for folders in held for folder in folders)
        full = sorted(folder for folder, count in counts.items() if count == len(cells))
        named = [folder for folder in full if split in folder.lower()]
        if full:
            return [[folder] for folder in (named or full)]
        return [self._cover(held, counts)] if counts else []

    def folder_of(self, split: str) -> list[str]:
        """Return the outermost folders with images whose own name holds the split's."""
        parents = {parent for name in self.files for parent in PurePosixPath(name).parents}
        named = [parent for parent in parents if split in parent.name.lower()]
        return sorted(str(each) for each in named if not any(other in each.parents for other in named))

    def below(self, folder: str) -> list[str]:
        """Return the images in and below a folder, by their paths there."""
        head = "" if folder == "." else f"{folder}/"
        return [name.removeprefix(head) for name in self.files if name.startswith(head)]

    def classes(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, where all images lie in such; none otherwise."""
        inside = self.below(folder)
        heads = sorted({name.partition("/")[0] for name in inside})
        return heads if inside and all("/" in name for name in inside) and len(heads) > 1 else []

    def _of(self, cell: str, by_id: bool) -> list[str]:
        (image,) = wanted_names([cell], "" if by_id else None)
        return self._names.by_id(image, below=True) if by_id else self._names.by_name(image, below=True)

    def _folders_of(self, cell: str, by_id: bool) -> set[str]:
        depth = cell.count("/")
        return {str(PurePosixPath(path).parents[depth]) for path in self._of(cell, by_id)}

    @staticmethod
    def _cover(held: Sequence[set[str]], counts: Counter[str]) -> list[str]:
        """Return folders that hold all images together, those that hold most first."""
        left, chosen = [folders for folders in held if folders], list[str]()
        while left:
            best = max(sorted(counts), key=lambda folder: sum(folder in folders for folders in left))
            chosen.append(best)
            left = [folders for folders in left if best not in folders]
        return sorted(chosen)
