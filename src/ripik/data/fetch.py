"""The step `data`: fill the input folder from Kaggle, a folder or a zip. Nothing else ever writes there."""

import fcntl
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from rich.filesize import decimal

from ripik.console import progress, say
from ripik.data.archives import SUFFIX, DamagedArchiveError, budget_for, files_in, is_inside, unpack
from ripik.data.competition import Competition, read_competition
from ripik.data.csv_tables import line_of, read_table
from ripik.errors import InputError, SurroundingsError
from ripik.settings import CompetitionSettings, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

Found = dict[PurePosixPath, Path]  # where a file stands in the source, and where it lies
Download = Callable[[Settings, Path], Path]  # of the competition's files into a folder; returns the archive
SHOWN = 5
NAMES = (
    "Set competition.filename_column, or, if files are named by id, "
    'set it to "" and competition.id_column and image_extension.'
)
PROBES = 20  # names by which an image folder is looked for


def fetch(settings: Settings, source: Path | None = None, download: Download | None = None) -> Path:
    """Fill the competition's input folder from `source`, a folder or zip, or else by `download`; return it.

    A complete folder is left as it is. The files are found whatever the nesting of folders and archives, and brought
    to the paths that [competition] names; the folder appears whole or not at all.
    Raises InputError for no or a wrong source, files that are absent or ambiguous, and a folder with something else
    in it, and SurroundingsError for the network, the disk, or another `data` at work on the same folder.
    """
    target = layout_of(settings).input
    if target.is_dir() and any(target.iterdir()):
        competition = _read_present(settings, target)
        unused = "; the given source was not used" if source else ""
        say(f"data: {target} is complete, nothing to do{unused} (to fetch it again, move that folder away)")
    else:
        _check_origin(settings, source, target)
        with _work_folder(target) as work:
            _fill(settings, source, download, work, target)
        competition = read_competition(settings)
    _summarise(competition)
    return target


def _read_present(settings: Settings, target: Path) -> Competition:
    try:
        return read_competition(settings)
    except InputError as error:
        raise InputError(
            f"{error} (`data` left {target} as it is, because it is not empty: mend its files or the configuration, "
            "or move the folder away and fetch again.)"
        ) from None


def _check_origin(settings: Settings, source: Path | None, target: Path) -> None:
    how = settings.competition
    for key in ("train_csv", "train_images", "test_csv", "test_images", "sample_submission"):
        if not is_inside(getattr(how, key)):
            raise InputError(f"competition.{key} = {getattr(how, key)!r} is not a path inside the input folder.")
    if source is None and not (how.kaggle_dataset or settings.kaggle.competition):
        raise InputError(
            "there is no source for the data: set competition.kaggle_dataset to owner/name, or kaggle.competition to "
            "the competition's name in its address, or give a folder or zip "
            f"(--source PATH), or put {how.train_csv}, {how.test_csv}, {how.sample_submission}, {how.train_images} and "
            f"{how.test_images} into {target} yourself."
        )
    if source is not None and not source.exists():
        raise InputError(f"there is no source {source}. Give a folder or a zip.")
    if source is not None and target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"the source {source} holds {target} itself, which is to be filled. Give another folder.")


@contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the target, held by one process at a time; only a cut download outlives it."""
    work = target.parent / f".{target.name}.fetching"
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SurroundingsError(f"another `data` is filling {target}. Wait for it, or stop it.") from None
        try:
            _clear(work)
            yield work
        finally:
            _clear(work)
            if not (work / "download").exists():
                shutil.rmtree(work)


def _clear(work: Path) -> None:
    for name in ("unpacked", "ready"):
        if (work / name).exists():
            shutil.rmtree(work / name)


def _fill(settings: Settings, source: Path | None, download: Download | None, work: Path, target: Path) -> None:
    how, origin = settings.competition, source or _downloaded(settings, download, work / "download")
    try:
        found = _gather(origin, work / "unpacked")
    except DamagedArchiveError:
        if source is None:
            shutil.rmtree(work / "download")
        raise
    plan = _plan(found, how, origin)
    _place(plan, work)
    if target.exists():
        target.rmdir()
    (work / "ready").rename(target)
    shutil.rmtree(work / "download", ignore_errors=True)
    if len(found) > len(plan):
        say(f"data: {len(found) - len(plan)} other files of {origin.name} were not needed and left out")


def _downloaded(settings: Settings, download: Download | None, folder: Path) -> Path:
    if download is None:
        raise InputError("there is nothing to download with here: give a folder or a zip (--source PATH).")
    return download(settings, folder)


def _gather(origin: Path, unpacked: Path) -> Found:
    """Return every file of a folder or zip, archives opened: what lies in `x.zip` stands in a folder `x.zip`."""
    unpacked.mkdir()
    files = files_in(origin) if origin.is_dir() else [origin]
    archives = [path for path in files if path == origin or path.suffix.lower() == SUFFIX]
    found = {PurePosixPath(path.relative_to(origin)): path for path in sorted(set(files) - set(archives))}
    budget = budget_for(archives)
    for archive in archives:
        folder = unpacked / archive.relative_to(origin)
        folder.mkdir(parents=True, exist_ok=True)
        unpack(archive, folder, budget)
    return found | {PurePosixPath(path.relative_to(unpacked)): path for path in files_in(unpacked)}


def _plan(found: Found, how: CompetitionSettings, origin: Path) -> Found:
    """Return for every path of the target layout the file that belongs there."""
    plan = {PurePosixPath(how.sample_submission): found[_choose_table(found, how.sample_submission, origin)]}
    for csv, images in ((how.train_csv, how.train_images), (how.test_csv, how.test_images)):
        table = _choose_table(found, csv, origin)
        names = _image_names(found[table], table, how)
        folder = _choose_folder(found, table, names, images)
        plan[PurePosixPath(csv)] = found[table]
        plan.update({PurePosixPath(images) / name: found[folder / name] for name in names})
    return plan


def _choose_table(found: Found, wanted: str, origin: Path) -> PurePosixPath:
    name = PurePosixPath(wanted)
    named = [path for path in found if path.name == name.name]
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


def _image_names(path: Path, table: PurePosixPath, how: CompetitionSettings) -> list[str]:
    column = how.filename_column or how.id_column
    frame = read_table(path, [column], NAMES, name=table)
    names = frame[column] if how.filename_column else frame[column] + how.image_extension
    wrong = next(((row, name) for row, name in zip(names.index, names, strict=True) if not is_inside(name)), None)
    if wrong:
        raise InputError(
            f"{table}, line {line_of(wrong[0])}: {wrong[1]!r} is not a file name inside a folder of images. "
            "Mend the row, or remove it."
        )
    return names.tolist()


def _choose_folder(found: Found, table: PurePosixPath, names: Sequence[str], wanted: str) -> PurePosixPath:
    """Return the one folder that holds all the images that a table names."""
    held = {folder: sum(folder / name in found for name in names) for folder in _folders_with(found, names[:PROBES])}
    full = [folder for folder, number in held.items() if number == len(names)]
    full = [folder for folder in full if _ends_with(folder, PurePosixPath(wanted))] or full
    full = [folder for folder in full if folder.is_relative_to(table.parent)] or full
    if len(full) == 1:
        return full[0]
    if full:
        raise InputError(f"{len(full)} folders hold the images of {table}: {_list(full)}. Keep one of them.")
    if not held:
        raise InputError(
            f"no folder holds the images of {table}, the first of them {_list(list(names))}. Add the folder to the "
            "source, or set competition.filename_column, or id_column and image_extension, so that the names are right."
        )
    best = max(held, key=lambda folder: held[folder])
    missing = [name for name in names if best / name not in found]
    raise InputError(
        f"{len(missing)} of the {len(names)} images of {table} are missing: {_list(missing)}; the folder that holds "
        f"most is {best}. Add them there, or take their rows out of the CSV."
    )


def _folders_with(found: Found, names: Sequence[str]) -> list[PurePosixPath]:
    by_name = defaultdict(list)
    for path in found:
        by_name[path.name].append(path)
    folders = {
        path.parents[len(PurePosixPath(name).parts) - 1]
        for name in names
        for path in by_name[PurePosixPath(name).name]
        if _ends_with(path, PurePosixPath(name))
    }
    return sorted(folders)


def _ends_with(path: PurePosixPath, end: PurePosixPath) -> bool:
    """Whether a path ends with another; an archive counts as the folder that it would unpack to."""
    parts = [part.removesuffix(SUFFIX) for part in path.parts[-len(end.parts) :]]
    return parts == [part.removesuffix(SUFFIX) for part in end.parts]


def _place(plan: Found, work: Path) -> None:
    ready, unpacked, uses = work / "ready", work / "unpacked", Counter(plan.values())
    with progress("put in place", len(plan)) as count:
        for done, (place, file) in enumerate(plan.items(), start=1):
            (ready / place).parent.mkdir(parents=True, exist_ok=True)
            if file.is_relative_to(unpacked) and uses[file] == 1:
                file.rename(ready / place)
            else:
                shutil.copyfile(file, ready / place)
            count(done)


def _summarise(competition: Competition) -> None:
    train, test = competition.train, competition.test
    size = sum(path.stat().st_size for path in [*train["path"], *test["path"]])
    counts = train["label"].value_counts()
    say(f"data: {len(train)} training and {len(test)} test images, {decimal(size)}; {len(counts)} classes:")
    say("  " + ", ".join(f"{label}: {counts[label]}" for label in competition.classes))


def _list(values: Sequence[object]) -> str:
    return (", ".join(str(value) for value in values[:SHOWN]) or "none") + (", …" if len(values) > SHOWN else "")
