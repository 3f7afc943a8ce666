"""The image files that a CSV names: which names are allowed, where the files are, and which are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from ripik.data.archives import is_junk
from ripik.data.csv_tables import first, line_of
from ripik.data.file_names import FileNames, Wanted, other_endings, wanted_names
from ripik.data.spellings import visible
from ripik.errors import InputError

CONTROL = r"[\x00-\x1f\x7f-\x9f]"
OUTSIDE = r"^\s*$|^/|^[A-Za-z]:/|(?:^|/)\.\.(?:/|$)"
ALWAYS, MORE = 100_000, 10  # files and folders that are looked through for images: at least, and more for each
LONGEST_PART, LONGEST = 255, 1000  # bytes; what file systems take, of a part and about of the whole


def image_paths(
    names: pd.Series, folders: Sequence[Path], csv: Path, *, missing_ok: bool, extension: str | None = None
) -> tuple[list[Path], list[bool]]:
    """Return the path of every named image, and whether the file is there. The index of `names` gives the line.

    With an `extension` the names are ids, and files are named by them.

    A file may be called otherwise than the CSV has it (`FileNames.by_name`, `by_id`, `other_endings`), and a folder in
    which nothing is found is looked into further down, there by one kind of spelling for all images. With `missing_ok`
    up to half of the files may be missing. Each folder is listed once.
    Raises InputError, which names the line, for a name that leads out of the folder or that no file can have, for
    a symbolic link to what lies outside of the folder, and for a name that may mean several files or the file of
    another row; and for missing files.
    """
    there = [_Files(folder) for folder in folders if folder.is_dir()]
    if not there:
        raise InputError(f"there is no folder {_listed(folders)}, where the images of {csv} should be.")
    _check_names(names + (extension or ""), folders[0], csv)
    images, rows = wanted_names(names.tolist(), extension), [int(row) for row in names.index]
    by_folder = [_found_in(files, images) for files in there]
    paths, present = [], []
    for row, image, *alike in zip(rows, images, *by_folder, strict=True):
        found = _one_of(there, alike, image, f"{csv}, line {line_of(row)}")
        present.append(found is not None)
        paths.append(found or folders[0] / image.name)
    _check_shared(images, rows, paths, folders, csv)
    _check_missing(paths, present, folders, csv, missing_ok)
    return paths, present


def _found_in(there: _Files, images: Sequence[Wanted]) -> list[list[str]]:
    """Return the names of a folder's files that each image may be; of its sub-folders' where it holds none itself."""
    own = [[image.name] if there.holds(image.name) else [] for image in images]
    if all(own):
        return own
    names = FileNames(there.below(ALWAYS + MORE * len(images)))
    own = [files or names.by_name(image, below=False) for image, files in zip(images, own, strict=True)]
    others = other_endings(images, own, [names.by_id(image, below=False) for image in images])
    found = [files or more for files, more in zip(own, others, strict=True)]
    if not any(found):
        found = [names.by_name(image, below=True) for image in images]
    return found if any(found) else [names.by_id(image, below=True) for image in images]


def _one_of(there: Sequence[_Files], names: Sequence[Sequence[str]], image: Wanted, place: str) -> Path | None:
    """Return the one file that an image may be, of those that each folder has by these names; None where there is none.

    Raises InputError, which begins with `place`, where there are several, and for a link that leads out of its folder.
    """
    found = {}
    for files, alike in zip(there, names, strict=True):
        for name in alike:
            found[files.folder / name] = files.leads_out(name)
    if len(found) > 1:
        raise InputError(
            f"{place}: {visible(image.told)} matches {len(found)} files: "
            f"{first([visible(str(path)) for path in found])}. Keep one of them, or give each a unique name."
        )
    path = next(iter(found), None)
    if path is not None and found[path]:
        outside = _listed([files.folder for files in there])
        raise InputError(
            f"{place}: {image.name!r} is a symbolic link to a file outside {outside}. Copy the file into the folder."
        )
    return path


def _check_shared(
    images: Sequence[Wanted], rows: Sequence[int], paths: Sequence[Path], folders: Sequence[Path], csv: Path
) -> None:
    """Raise InputError where two names are the same file, and not both by their very spelling."""
    owner: dict[Path, int] = {}
    for at, path in enumerate(paths):
        other = owner.setdefault(path, at)
        names = {images[at].name, images[other].name}
        if len(names) > 1 and any(path not in [folder / name for folder in folders] for name in names):
            raise InputError(
                f"{csv}, lines {line_of(rows[other])} and {line_of(rows[at])}: {visible(images[other].told)} and "
                f"{visible(images[at].told)} are both the file {visible(str(path))}. Give each image its own file."
            )


def _check_missing(
    paths: Sequence[Path], present: Sequence[bool], folders: Sequence[Path], csv: Path, missing_ok: bool
) -> None:
    missing = [path.name for path, is_there in zip(paths, present, strict=True) if not is_there]
    if missing and (not missing_ok or 2 * len(missing) > len(paths)):
        raise InputError(
            f"{len(missing)} of the {len(paths)} images of {csv} are not in {_listed(folders)}: {first(missing)}. Put "
            "them there, or set the image folder, filename_column and image_extension in [competition]."
        )


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)


def is_inside(resolved: str, folder: Path) -> bool:
    """Whether a path without links is the folder, its own links followed, or lies in it."""
    root = os.path.realpath(folder)
    return resolved == root or resolved.startswith(f"{root.rstrip(os.sep)}{os.sep}")


def _check_names(names: pd.Series, folder: Path, csv: Path) -> None:
    longest = names.map(lambda name: max(len(part.encode()) for part in name.split("/")))
    for wrong, problem in (
        (names.str.contains(OUTSIDE, regex=True), f"is not a file name inside {folder}"),
        (names.str.contains(CONTROL, regex=True), "has a line break or another control character"),
        (names.str.contains("\\", regex=False), "has a backslash; use / between folders"),
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
        if not self.holds(name) or not self.listed[head][tail]:
            return False
        return not is_inside(os.path.realpath(self.folder / name), self.folder)

    def below(self, most: int) -> list[str]:
        """Return the names of all files in the folder and below it; links to folders are not followed.

        Where there are more than `most` files and folders, as below /, those of the sub-folders listed so far.
        """
        found, heads, seen = [], [""], 0
        while heads:
            head = heads.pop()
            for entry in self._entries(head):
                seen += 1
                if seen > most:
                    return [f"{head}/{tail}".lstrip("/") for head, tails in self.listed.items() for tail in tails]
                if not entry.is_dir(follow_symlinks=False):
                    found += [head + entry.name] if _is_file(entry) else []
                elif not is_junk(PurePosixPath(entry.name)):
                    heads.append(f"{head}{entry.name}/")
        return sorted(found)

    def _entries(self, head: str) -> Iterator[os.DirEntry]:
        try:
            with os.scandir(self.folder / head) as entries:
                yield from entries
        except OSError:
            return

    def _list(self, head: str) -> dict[str, bool]:
        linked = not is_inside(os.path.realpath(self.folder / head), self.folder)
        try:
            with os.scandir(self.folder / head) as entries:
                return {entry.name: linked or entry.is_symlink() for entry in entries if _is_file(entry)}
        except (FileNotFoundError, NotADirectoryError):
            return {}
