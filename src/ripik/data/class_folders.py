"""Training images whose class is the folder that they are in, `train/<class>/…`, at any depth below it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ripik.data.csv_tables import CONTROL, first
from ripik.data.file_names import SUFFIXES
from ripik.data.photo_files import SYSTEM, photos_below
from ripik.data.places import Place
from ripik.data.spellings import visible
from ripik.errors import InputError

FEWEST = 2  # folders with images that look like classes


def class_rows(folders: Sequence[Path]) -> tuple[pd.DataFrame, Place]:
    """Return the images of class folders: image_id, path, label (text), in the order of the ids; and their place.

    The id of an image is its path below the folder that holds the class folders, with / between folders; its label is
    the first part of that. What is no image is passed over.
    Raises InputError for a folder that is missing, holds no class folders, or images outside of them, for a class
    folder without images, and for one id in two folders.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for name, path in _images(folder).items():
            if name in found:
                raise InputError(f"{found[name]} and {path} have the same id, {name}. Rename one of them.")
            found[name] = path
    _check_ids(found)
    rows = sorted(found.items())
    labels = [name.partition("/")[0] for name, _ in rows]
    frame = pd.DataFrame({"image_id": [name for name, _ in rows], "path": [path for _, path in rows], "label": labels})
    return frame, Place(folders[0], dict(enumerate(name for name, _ in rows)))


def loose_rows(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the images that no CSV lists: image_id (the path below its folder, with / between folders), path.

    Raises InputError for a folder that is missing or holds no images, and for one id in two folders.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        photos = _below(folder)
        if not photos:
            raise InputError(
                f"{folder} contains no images. Add them, or set another folder in competition.test_images."
            )
        both = sorted(found.keys() & photos)
        if both:
            raise InputError(f"{found[both[0]]} and {photos[both[0]]} have the same id, {both[0]}. Rename one of them.")
        found |= photos
    _check_ids(found)
    rows = sorted(found.items())
    return pd.DataFrame({"image_id": [name for name, _ in rows], "path": [path for _, path in rows]})


def looks_like_classes(folder: Path) -> list[str]:
    """Return the names of the folders in a folder that hold images directly; few are enough."""
    try:
        names = _folders(folder)
        return [name for name in names if any(_is_image_file(entry) for entry in os.scandir(folder / name))]
    except OSError:
        return []


def hint_of_folders(folder: Path) -> str:
    """Return a hint about class folders where a CSV was expected; empty where there are none."""
    classes = looks_like_classes(folder)
    if len(classes) < FEWEST:
        return ""
    return (
        f" {folder} holds a folder for each of {len(classes)} classes ({first(classes)}): if these are the labels, "
        'set competition.layout = "folders".'
    )


def _is_image_file(entry: os.DirEntry) -> bool:
    return Path(entry.name).suffix.lower() in SUFFIXES


def _images(folder: Path) -> dict[str, Path]:
    photos = _below(folder)
    classes = _folders(folder)
    loose = [name for name in photos if "/" not in name]
    if loose and classes:
        raise InputError(
            f"{folder} holds {len(loose)} images next to the class folders: {first(loose)}. Put each into the "
            "folder of its class, or remove it."
        )
    if not classes:
        raise InputError(
            f'{folder} holds no folders, of which competition.layout = "folders" wants one for each class. Name the '
            "folder that holds them in competition.train_images."
        )
    full = {name.partition("/")[0] for name in photos}
    empty = [name for name in classes if name not in full]
    if empty:
        raise InputError(
            f"{folder}: no image is in the class folder{'s' * (len(empty) > 1)} {first(list(map(visible, empty)))}. "
            "Add images, or remove the folder."
        )
    return photos


def _below(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}. Put it into the competition's folder, or set another in [competition] "
            "(train_images, test_images)."
        )
    return photos_below(folder)[0]


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in SYSTEM)


def _check_ids(found: dict[str, Path]) -> None:
    odd = [name for name in found if re.search(CONTROL, name)]
    if odd:
        raise InputError(f"{found[odd[0]].parent}: the name {odd[0]!r} contains a control character. Rename the file.")
