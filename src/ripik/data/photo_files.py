"""The photos of a folder without a CSV: every image in it and below it, and what is skipped for which reason."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from ripik.data.csv_tables import first
from ripik.data.file_names import SUFFIXES
from ripik.data.image_paths import is_inside
from ripik.errors import InputError

SYSTEM = ("thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information")
HIDDEN, OF_SYSTEM, LINKS = "hidden", "of the operating system", "links to folders"
NO_FILES, NO_IMAGES = "no regular files", "no images by their content"
Skipped = dict[str, list[str]]  # names by reason


def photos_below(folder: Path) -> tuple[dict[str, Path], Skipped]:
    """Return the photos in a folder and below it by their names, with / between folders, in order; and what is skipped.

    A file is a photo by its name's ending, in any case of letters, or else by its content. Skipped are hidden files and
    folders, the operating system's, links to folders inside, which are looked into where they lie, and whatever is no
    image.
    Raises InputError for a link that leads out of the folder, as in training, and for a name that is not UTF-8; OSError
    for a folder that cannot be read.
    """
    photos: dict[str, Path] = {}
    skipped: Skipped = {}
    for name, reason in _entries(folder, ""):
        reason = reason or ("" if _is_photo(folder / name) else NO_IMAGES)
        if reason:
            skipped.setdefault(reason, []).append(name)
        else:
            photos[name] = folder / name
    return dict(sorted(photos.items())), skipped


def summary(skipped: Skipped) -> str:
    """Return how many files or folders were skipped for which reason, with the first names; empty where none were."""
    return "; ".join(f"{len(names)} {reason} ({first(names)})" for reason, names in sorted(skipped.items()))


def _entries(folder: Path, head: str) -> Iterator[tuple[str, str]]:
    """Yield the name of every file below, and of everything skipped with the reason."""
    with os.scandir(folder / head) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = head + entry.name
        reason = _reason(entry, folder)
        if not reason and entry.is_dir():
            yield from _entries(folder, f"{name}/")
        else:
            yield name, reason


def _reason(entry: os.DirEntry, folder: Path) -> str:
    """Return why an entry is skipped; empty for a folder to be looked into, and for a file."""
    if entry.name.startswith("."):
        return HIDDEN
    if entry.name.lower() in SYSTEM:
        return OF_SYSTEM
    if os.fsencode(entry.name) != entry.name.encode(errors="replace"):
        raise InputError(
            f"{folder}: the name {entry.name!r} is not UTF-8, so it cannot be written to a CSV. Rename the file."
        )
    is_folder, is_file = Path(entry).is_dir(), Path(entry).is_file()
    if entry.is_symlink() and (is_folder or is_file) and not is_inside(os.path.realpath(entry.path), folder):
        raise InputError(f"{entry.path} is a symbolic link that leads out of {folder}. Copy the file into the folder.")
    if is_folder:
        return LINKS if entry.is_symlink() else ""
    return "" if is_file else NO_FILES


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or cv2.haveImageReader(str(path))
