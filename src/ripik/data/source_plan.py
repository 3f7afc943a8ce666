"""Which file of a source belongs where in the competition's folder, whatever the nesting of folders and archives."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ripik.console import say
from ripik.data.archives import SUFFIX, is_inside
from ripik.data.csv_tables import line_of, read_table
from ripik.data.file_names import FileNames, Wanted, composed, other_endings, wanted_names
from ripik.data.spellings import visible
from ripik.errors import InputError
from ripik.settings import CompetitionSettings
from ripik.storage import artifacts

Found = dict[PurePosixPath, Path]  # where a file stands in the source, and where it lies
Held = dict[PurePosixPath, list[PurePosixPath]]  # by folder: what an image's name may mean in it
SHOWN = 5
NAMES = (
    "Set competition.filename_column, or, if files are named by id, "
    'set it to "" and competition.id_column and image_extension.'
)


def plan(found: Found, how: CompetitionSettings, origin: Path) -> Found:
    """Return for every path of the target layout the file that belongs there.

    Raises InputError for files that are absent or ambiguous.
    """
    names = FileNames(path.as_posix() for path in found)
    sample = _choose_table(found, how.sample_submission, origin)
    tables = [_table_of(found, names, how, split, origin) for split in ("train", "test")]
    made = {PurePosixPath(how.sample_submission): found[sample]}
    placed = [
        _placed(table, set(other.full) - set(table.full)) for table, other in zip(tables, tables[::-1], strict=True)
    ]
    if not all(table.full for table in tables):
        _check_shared(tables, placed)
    for table, files in zip(tables, placed, strict=True):
        made[PurePosixPath(table.target)] = found[table.path]
        made |= {at: found[file] for at, file in files.items()}
    return made


def _check_shared(tables: Sequence[_Table], placed: Sequence[Mapping[PurePosixPath, PurePosixPath]]) -> None:
    """Raise InputError for a file that train and test would both take, though one of them is gathered from folders."""
    shared = sorted(set(placed[0].values()) & set(placed[1].values()))
    if shared:
        raise InputError(
            f"{len(shared)} files would be images of both {tables[0].path} and {tables[1].path}: {_list(shared)}. The "
            "images of one of them lie in several folders, so it cannot be told whose they are. Add what is missing to "
            "the folder of the other images, or list the right folders in [competition] (train_images, test_images)."
        )


@dataclass(frozen=True)
class _Table:
    """A CSV of images in a source: where it stands and belongs, its images, and the files that each may be."""

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


def _table_of(found: Found, names: FileNames, how: CompetitionSettings, split: str, origin: Path) -> _Table:
    csv = how.train_csv if split == "train" else how.test_csv
    path = _choose_table(found, csv, origin)
    images = _images(found[path], path, how)
    return _Table(path, csv, how.image_folders(split), images, _held(names, images))


def _choose_table(found: Found, wanted: str, origin: Path) -> PurePosixPath:
    name = PurePosixPath(wanted)
    named = [path for path in found if composed(path.name) == composed(name.name)]
    chosen = [path for path in named if _ends_with(path, name)] or named
    if not chosen:
        tables = [path for path in found if path.suffix.lower() == ".csv"]
        raise InputError(
            f"{origin} holds no {name.name}. Its {len(found)} files have these CSVs: {_list(tables)}. "
            "Name the right ones in [competition] (train_csv, test_csv, sample_submission)."
        )
    if len({artifacts.file_digest(found[path]) for path in chosen}) > 1:
        raise InputError(f"{origin} holds {len(chosen)} different {name.name}: {_list(chosen)}. Keep one of them.")
    return min(chosen, key=lambda path: (len(path.parts), path))


def _images(path: Path, table: PurePosixPath, how: CompetitionSettings) -> list[Wanted]:
    column = how.filename_column or how.id_column
    texts = read_table(path, [column], NAMES, name=table)[column]
    images = wanted_names(texts.tolist(), how.extension)
    wrong = next(
        ((row, image) for row, image in zip(texts.index, images, strict=True) if not is_inside(image.name)), None
    )
    if wrong:
        raise InputError(
            f"{table}, line {line_of(wrong[0])}: {wrong[1].name!r} is not a file name inside a folder of images. "
            "Mend the row, or remove it."
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
    full = [folder for folder in full if _is_one_of(folder, table.folders)] or full
    full = [folder for folder in full if folder.is_relative_to(table.path.parent)] or full
    if len(full) > 1:
        raise InputError(f"{len(full)} folders hold the images of {table.path}: {_list(full)}. Keep one of them.")
    if not any(table.held):
        names = [image.name for image in table.images]
        raise InputError(
            f"no folder holds the images of {table.path}, the first of them {_list(names)}. Add the folder to the "
            "source, or set competition.filename_column, or id_column and image_extension, so that the names are right."
        )
    return full[0] if full else None


def _gathered(table: _Table, others: set[PurePosixPath]) -> list[PurePosixPath]:
    """Return the file of each image, which lie in several folders, each once.

    Raises InputError for images that are missing, or lie in several folders.
    """
    usable = {folder for folder in table.counts if folder not in others}
    if len(table.folders) > 1:
        usable = {folder for folder in usable if _lies_in(folder, table.folders)}
    held = [{folder: files for folder, files in each.items() if folder in usable} for each in table.held]
    missing = [image.name for image, each in zip(table.images, held, strict=True) if not each]
    if missing:
        raise _missing(table, missing)
    twice = [(image, each) for image, each in zip(table.images, held, strict=True) if len(each) > 1]
    if twice:
        image, each = twice[0]
        raise InputError(
            f"the images of {table.path} lie in several folders, and {len(twice)} of them in more than one: "
            f"{image.told} in {_list(sorted(each))}. Keep one of each, or list the right folders in [competition] "
            "(train_images, test_images)."
        )
    folders = sorted({folder for each in held for folder in each})
    say(f"data: the images of {table.path} are gathered from {len(folders)} folders: {_list(folders)}")
    return [
        _only(files, image, table) for image, each in zip(table.images, held, strict=True) for files in each.values()
    ]


def _missing(table: _Table, missing: Sequence[str]) -> InputError:
    counts = table.counts
    best = max(sorted(counts), key=lambda folder: counts[folder])
    return InputError(
        f"{len(missing)} of the {len(table.images)} images of {table.path} are missing: {_list(missing)}; the folder "
        f"that holds most is {best}. Add them there, or take their rows out of the CSV."
    )


def _only(files: Sequence[PurePosixPath], image: Wanted, table: _Table) -> PurePosixPath:
    if len(files) > 1:
        raise InputError(
            f"{table.path}: {visible(image.told)} may be any of {len(files)} files: "
            f"{_list([visible(str(file)) for file in files])}. Keep one of them."
        )
    return files[0]


def _target(folder: PurePosixPath, targets: Sequence[str]) -> PurePosixPath:
    """Return the place of what lies in a folder of the source: the one called so, or else the first."""
    return PurePosixPath(next((target for target in targets if _lies_in(folder, [target])), targets[0]))


def _is_one_of(folder: PurePosixPath, targets: Iterable[str]) -> bool:
    return any(_ends_with(folder, PurePosixPath(target)) for target in targets)


def _lies_in(folder: PurePosixPath, targets: Sequence[str]) -> bool:
    return any(_is_one_of(place, targets) for place in (folder, *folder.parents))


def _ends_with(path: PurePosixPath, end: PurePosixPath) -> bool:
    """Whether a path ends with another; an archive counts as the folder that it would unpack to."""
    parts = [composed(part).removesuffix(SUFFIX) for part in path.parts[-len(end.parts) :]]
    return parts == [composed(part).removesuffix(SUFFIX) for part in end.parts]


def _list(values: Sequence[object]) -> str:
    return (", ".join(str(value) for value in values[:SHOWN]) or "none") + (", …" if len(values) > SHOWN else "")
