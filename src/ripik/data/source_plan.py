"""Which file of a source belongs where in the competition's folder, whatever the nesting of folders and archives."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from ripik.console import say
from ripik.data.archives import is_inside
from ripik.data.csv_tables import first, line_of, read_table
from ripik.data.file_names import FileNames, Wanted, composed, other_endings, wanted_names
from ripik.data.sample_columns import id_column_of
from ripik.data.source_folders import Found, ends_with, files_below, hint_of, is_one_of, lies_in
from ripik.data.spellings import visible
from ripik.errors import InputError
from ripik.settings import CompetitionSettings
from ripik.storage import artifacts

Held = dict[PurePosixPath, list[PurePosixPath]]  # by folder: what an image's name may mean in it
NAMES = (
    "Set competition.filename_column, or, if files are named by id, "
    'set it to "" and competition.id_column and image_extension.'
)


def plan(found: Found, how: CompetitionSettings, origin: Path) -> Found:
    """Return for every path of the target layout the file that belongs there.

    Raises InputError for files that are absent or ambiguous.
    """
    names = FileNames(path.as_posix() for path in found)
    sample, made = _sample_of(found, how, origin), dict[PurePosixPath, PurePosixPath]()
    listed = {split: _list_of(found, how, split, sample, origin) for split in ("train", "test")}
    for split in (split for split, path in listed.items() if path is None):
        made |= files_below(found, how.image_folders(split), origin)
    loose = {file.parent for file in made.values()}
    made |= {PurePosixPath(how.sample_submission): sample} if sample else {}
    tables = [_table_of(found[path], path, names, how, split) for split, path in listed.items() if path is not None]
    full = [set(table.full) for table in tables]
    others = [set().union(loose, *full[:at], *full[at + 1 :]) - own for at, own in enumerate(full)]
    placed = [_placed(table, other) for table, other in zip(tables, others, strict=True)]
    if len(tables) > 1 and not all(full):
        _check_shared(tables, placed)
    for table, files in zip(tables, placed, strict=True):
        made |= {PurePosixPath(table.target): table.path, **files}
    return {place: found[file] for place, file in made.items()}


def _sample_of(found: Found, how: CompetitionSettings, origin: Path) -> PurePosixPath | None:
    """Return the sample submission; None where there is none, which class folders can do without."""
    name = composed(PurePosixPath(how.sample_submission).name)
    lacking = how.of_folders and not any(composed(path.name) == name for path in found)
    return _choose_table(found, how, how.sample_submission, origin) if how.has_sample and not lacking else None


def _list_of(
    found: Found, how: CompetitionSettings, split: str, sample: PurePosixPath | None, origin: Path
) -> PurePosixPath | None:
    """Return the CSV with the names of a split's images; None where their folders give them, or none."""
    if how.table(split):
        return _choose_table(found, how, how.table(split), origin)
    return sample if split == "test" else None


def _check_shared(tables: Sequence[_Table], placed: Sequence[Mapping[PurePosixPath, PurePosixPath]]) -> None:
    """Raise InputError for a file that train and test would both take, though one of them is gathered from folders."""
    shared = sorted(set(placed[0].values()) & set(placed[1].values()))
    if shared:
        raise InputError(
            f"{len(shared)} files would be images of both {tables[0].path} and {tables[1].path}: {first(shared)}. The "
            "images of one of them are in several folders, so it is ambiguous which they belong to. Add "
            "missing ones to the folder of the other images, or list the right folders in [competition] (train_images, "
            "test_images)."
        )


@dataclass(frozen=True)
class _Table:
    """A CSV of images in a source: where it is and belongs, its images, and the files that each may be."""

    path: PurePosixPath
    target: str
    folders: tuple[str, ...]  # where its images belong
    images: list[Wanted]
    held: list[Held]

    @functools.cached_property
    def full(self) -> list[PurePosixPath]:
        """The folders that hold all of the images."""
        return sorted(folder for folder, count in self.counts.items() if count == len(self.images))

    @functools.cached_property
    def counts(self) -> Counter[PurePosixPath]:
        """How many of the images each folder holds."""
        return Counter(folder for held in self.held for folder in held)


def _table_of(file: Path, path: PurePosixPath, names: FileNames, how: CompetitionSettings, split: str) -> _Table:
    """Return the table of a split's images; path: of its file in the source."""
    target = how.table(split) or how.sample_submission
    images = _images(file, path, how) if how.table(split) else _of_sample(file, path, how)
    return _Table(path, target, how.image_folders(split), images, _held(names, images))


def _choose_table(found: Found, how: CompetitionSettings, wanted: str, origin: Path) -> PurePosixPath:
    name = PurePosixPath(wanted)
    named = [path for path in found if composed(path.name) == composed(name.name)]
    chosen = [path for path in named if ends_with(path, name)] or named
    if not chosen:
        tables = [path for path in found if path.suffix.lower() == ".csv"]
        raise InputError(
            f"{origin} has no {name.name}. CSVs among its {len(found)} files: {first(tables)}. "
            "Set the right ones in [competition] (train_csv, test_csv, sample_submission)."
            f"{hint_of(found, how) if wanted == how.train_csv else ''}"
        )
    if len({artifacts.file_digest(found[path]) for path in chosen}) > 1:
        raise InputError(f"{origin} holds {len(chosen)} different {name.name}: {first(chosen)}. Keep one of them.")
    return min(chosen, key=lambda path: (len(path.parts), path))


def _images(path: Path, table: PurePosixPath, how: CompetitionSettings) -> list[Wanted]:
    column = how.filename_column or how.id_column
    texts = read_table(path, [column], NAMES, name=table)[column]
    return _checked(texts, wanted_names(texts.tolist(), how.extension), table)


def _of_sample(path: Path, table: PurePosixPath, how: CompetitionSettings) -> list[Wanted]:
    """Return the images of a sample submission, which are called as its ids, with an ending or without."""
    cells = read_table(path, [], NAMES, name=table)
    texts = cells[id_column_of(cells, how, [], table)]
    return _checked(texts, wanted_names(texts.tolist(), how.ending), table)


def _checked(texts: pd.Series, images: list[Wanted], table: PurePosixPath) -> list[Wanted]:
    wrong = next(
        ((row, image) for row, image in zip(texts.index, images, strict=True) if not is_inside(image.name)), None
    )
    if wrong:
        raise InputError(
            f"{table}, line {line_of(wrong[0])}: {wrong[1].name!r} is not a file name inside a folder of images. "
            "Correct the row, or remove it."
        )
    return images


def _held(names: FileNames, images: Sequence[Wanted]) -> list[Held]:
    """Return by folder the files that each image may be: of its name, or else of its id.

    Ids count in the folders that hold an image by its name, and everywhere where there is no such folder.
    """
    own = [_by_folder(names.by_name(image, below=True), image) for image in images]
    folders = {folder for held in own for folder in held}
    ids = [_by_folder(names.by_id(image, below=True), image) for image in images]
    if not folders:
        return ids
    found = [dict(held) for held in own]
    for folder in sorted(folders):
        of_names, of_ids = ([list(map(str, held.get(folder, []))) for held in each] for each in (own, ids))
        others = other_endings(images, of_names, of_ids)
        for held, files in zip(found, others, strict=True):
            if files and folder not in held:
                held[folder] = list(map(PurePosixPath, files))
    return found


def _by_folder(files: Sequence[str], image: Wanted) -> Held:
    held: Held = {}
    for path in map(PurePosixPath, files):
        held.setdefault(path.parents[image.depth], []).append(path)
    return held


def _placed(table: _Table, others: set[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Return for the place of each image the path of its file; `others`: folders that are another table's alone."""
    folder = _full_folder(table)
    if folder is not None:
        files = [_only(held[folder], image, table) for held, image in zip(table.held, table.images, strict=True)]
    else:
        files = _gathered(table, others)
    placed = {}
    for image, file in zip(table.images, files, strict=True):
        at = PurePosixPath(image.name)
        exact = composed(file.name) == composed(at.name)
        target = _target(file.parents[image.depth], table.folders)
        placed[target / (at if exact else at.with_name(file.name))] = file
    return placed


def _full_folder(table: _Table) -> PurePosixPath | None:
    """Return the one folder that holds all the images, None where several have to be gathered.

    Raises InputError where there are several such folders, or no image is found at all.
    """
    full = table.full
    full = [folder for folder in full if is_one_of(folder, table.folders)] or full
    full = [folder for folder in full if folder.is_relative_to(table.path.parent)] or full
    if len(full) > 1:
        raise InputError(f"{len(full)} folders hold the images of {table.path}: {first(full)}. Keep one of them.")
    if not any(table.held):
        names = [image.name for image in table.images]
        raise InputError(
            f"no folder holds the images of {table.path}, the first of them {first(names)}. Add the folder to the "
            "source, or set competition.filename_column, or id_column and image_extension, so that the names match."
        )
    return full[0] if full else None


def _gathered(table: _Table, others: set[PurePosixPath]) -> list[PurePosixPath]:
    """Return the file of each image, which lie in several folders, each once.

    Raises InputError for images that are missing, or lie in several folders.
    """
    usable = {folder for folder in table.counts if folder not in others}
    if len(table.folders) > 1:
        usable = {folder for folder in usable if lies_in(folder, table.folders)}
    held = [{folder: files for folder, files in each.items() if folder in usable} for each in table.held]
    missing = [image.name for image, each in zip(table.images, held, strict=True) if not each]
    if missing:
        raise _missing(table, missing)
    twice = [(image, each) for image, each in zip(table.images, held, strict=True) if len(each) > 1]
    if twice:
        image, each = twice[0]
        raise InputError(
            f"the images of {table.path} are in several folders, and {len(twice)} of them in more than one: "
            f"{image.told} in {first(sorted(each))}. Keep one of each, or list the right folders in [competition] "
            "(train_images, test_images)."
        )
    folders = sorted({folder for each in held for folder in each})
    say(f"data: the images of {table.path} are gathered from {len(folders)} folders: {first(folders)}")
    return [
        _only(files, image, table) for image, each in zip(table.images, held, strict=True) for files in each.values()
    ]


def _missing(table: _Table, missing: Sequence[str]) -> InputError:
    counts = table.counts
    best = max(sorted(counts), key=lambda folder: counts[folder])
    return InputError(
        f"{len(missing)} of the {len(table.images)} images of {table.path} are missing: {first(missing)}; the folder "
        f"that holds most is {best}. Add them there, or remove their rows from the CSV."
    )


def _only(files: Sequence[PurePosixPath], image: Wanted, table: _Table) -> PurePosixPath:
    if len(files) > 1:
        raise InputError(
            f"{table.path}: {visible(image.told)} matches {len(files)} files: "
            f"{first([visible(str(file)) for file in files])}. Keep one of them."
        )
    return files[0]


def _target(folder: PurePosixPath, targets: Sequence[str]) -> PurePosixPath:
    """Return the place of what lies in a folder of the source: the one called so, or else the first."""
    return PurePosixPath(next((target for target in targets if lies_in(folder, [target])), targets[0]))
