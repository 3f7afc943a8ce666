"""The image files that a CSV names: which names are allowed, where the files lie, and which are missing."""

import os
from pathlib import Path

import pandas as pd

from ripik.data.csv_tables import first, line_of
from ripik.errors import InputError

CONTROL = r"[\x00-\x1f\x7f-\x9f]"
OUTSIDE = r"^\s*$|^/|^[A-Za-z]:/|(?:^|/)\.\.(?:/|$)"
LONGEST_PART, LONGEST = 255, 1000  # bytes; what file systems take, of a part and about of the whole


def image_paths(names: pd.Series, folder: Path, csv: Path, *, missing_ok: bool) -> tuple[list[Path], list[bool]]:
    """Return the path of every named image, and whether the file is there. The index of `names` tells the line.

    With `missing_ok` up to half of the files may be missing. Each folder is listed once.
    Raises InputError, which names the line, for a name that leads out of the folder or that no file can have, and for
    a symbolic link to what lies outside of the folder; and for missing files.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}, where the images of {csv} should be.")
    _check_names(names, folder, csv)
    there = _Files(folder)
    present = []
    for row, name in zip(names.index, names, strict=True):
        present.append(there.holds(name))
        if present[-1] and there.leads_out(name):
            raise InputError(
                f"{csv}, line {line_of(row)}: {name!r} is a symbolic link to a file outside {folder}. Copy the file "
                "into the folder."
            )
    paths = [folder / name for name in names]
    missing = [path.name for path, is_there in zip(paths, present, strict=True) if not is_there]
    if missing and (not missing_ok or 2 * len(missing) > len(paths)):
        raise InputError(
            f"{len(missing)} of the {len(paths)} images of {csv} are not in {folder}: {first(missing)}. Put them "
            "there, or set the image folder, filename_column and image_extension in [competition]."
        )
    return paths, present


def is_inside(resolved: str, folder: Path) -> bool:
    """Whether a path without links is the folder, its own links followed, or lies in it."""
    root = os.path.realpath(folder)
    return resolved == root or resolved.startswith(f"{root.rstrip(os.sep)}{os.sep}")


def _check_names(names: pd.Series, folder: Path, csv: Path) -> None:
    longest = names.map(lambda name: max(len(part.encode()) for part in name.split("/")))
    for wrong, problem in (
        (names.str.contains(OUTSIDE, regex=True), f"is not a file name inside {folder}"),
        (names.str.contains(CONTROL, regex=True), "has a line break or another control character"),
        (names.str.contains("\\", regex=False), "has a backslash; folders are parted by /"),
        ((longest > LONGEST_PART) | (names.str.len() > LONGEST), "is too long for a file name"),
    ):
        rows = names.index[wrong]
        if len(rows):
            raise InputError(f"{csv}, line {line_of(rows[0])}: {_shown(names[rows[0]])} {problem}. Correct the name.")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:79]}…")


def _is_file(entry: os.DirEntry) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


class _Files:
    """The files under a folder, each sub-folder listed when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listed: dict[str, dict[str, bool]] = {}  # by sub-folder and file name: whether it is to be resolved

    def holds(self, name: str) -> bool:
        """Whether a file, or a link to one, has this name."""
        head, _, tail = name.rpartition("/")
        if head not in self.listed:
            self.listed[head] = self._list(head)
        if tail in self.listed[head]:
            return True
        try:  # file systems that take another case or Unicode form for the same name list only one of them
            found = bool(tail) and (self.folder / name).is_file()
        except OSError:
            found = False
        if found:
            self.listed[head][tail] = True
        return found

    def leads_out(self, name: str) -> bool:
        """Whether a file that is there lies outside the folder once all links are followed."""
        head, _, tail = name.rpartition("/")
        if not self.listed[head][tail]:
            return False
        return not is_inside(os.path.realpath(self.folder / name), self.folder)

    def _list(self, head: str) -> dict[str, bool]:
        linked = not is_inside(os.path.realpath(self.folder / head), self.folder)
        try:
            with os.scandir(self.folder / head) as entries:
                return {entry.name: linked or entry.is_symlink() for entry in entries if _is_file(entry)}
        except (FileNotFoundError, NotADirectoryError):
            return {}
