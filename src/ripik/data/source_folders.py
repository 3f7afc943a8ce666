"""Folders of a source: which one a target's name means, and what it contains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from ripik.data.archives import SUFFIX
from ripik.data.csv_tables import first
from ripik.data.file_names import SUFFIXES, composed
from ripik.errors import InputError
from ripik.settings import CompetitionSettings

Found = dict[PurePosixPath, Path]  # where a file stands in the source, and where it lies


def files_below(found: Found, folders: Sequence[str], origin: Path) -> dict[PurePosixPath, PurePosixPath]:
    """Return, for the place of every file in and below the folders, its path in the source.

    Raises InputError for a folder that is absent, or that several of the source's may be.
    """
    placed: dict[PurePosixPath, PurePosixPath] = {}
    for target in folders:
        folder = _only(found, target, origin)
        inside = [path for path in found if path.is_relative_to(folder)]
        placed |= {PurePosixPath(target) / path.relative_to(folder): path for path in inside}
    return placed


def _only(found: Found, target: str, origin: Path) -> PurePosixPath:
    folders = {parent for path in found for parent in path.parents if path.suffix.lower() in SUFFIXES}
    named = sorted(folder for folder in folders if ends_with(folder, PurePosixPath(target)))
    outer = [folder for folder in named if _holds_only(found, folder, named)]
    left = [folder for folder in named if folder not in outer]
    left = [folder for folder in left if not any(other in folder.parents for other in left)]
    if len(left) > 1:
        raise InputError(f"{len(left)} folders of {origin} are called {target}: {first(left)}. Keep one of them.")
    if not left:
        raise InputError(
            f"{origin} has no folder {target} with images. Set the right ones in [competition] (train_images, "
            "test_images)."
        )
    return left[0]


def _holds_only(found: Found, folder: PurePosixPath, named: Sequence[PurePosixPath]) -> bool:
    """Whether all that lies in a folder lies in another of the named ones inside it."""
    inside = [path for path in found if path.is_relative_to(folder) and path.suffix.lower() in SUFFIXES]
    return any(folder in other.parents and all(path.is_relative_to(other) for path in inside) for other in named)


def hint_of(found: Found, how: CompetitionSettings) -> str:
    """Return a hint about class folders where train.csv was expected; empty where there are none."""
    target = how.image_folders("train")[0]
    images = [path for path in found if path.suffix.lower() in SUFFIXES]
    classes = sorted({path.parent.name for path in images if ends_with(path.parent.parent, PurePosixPath(target))})
    if len(classes) < 2:
        return ""
    return (
        f" {target} holds a folder for each of {len(classes)} classes ({first(classes)}): if these are the labels, "
        'set competition.layout = "folders".'
    )


def is_one_of(folder: PurePosixPath, targets: Iterable[str]) -> bool:
    """Whether a folder of the source is called as one of the targets."""
    return any(ends_with(folder, PurePosixPath(target)) for target in targets)


def lies_in(folder: PurePosixPath, targets: Sequence[str]) -> bool:
    """Whether a folder, or one that it lies in, is called as one of the targets."""
    return any(is_one_of(place, targets) for place in (folder, *folder.parents))


def ends_with(path: PurePosixPath, end: PurePosixPath) -> bool:
    """Whether a path ends with another; an archive counts as the folder that it would unpack to."""
    parts = [composed(part).removesuffix(SUFFIX) for part in path.parts[-len(end.parts) :]]
    return parts == [composed(part).removesuffix(SUFFIX) for part in end.parts]
