"""The step `data`: fill the input folder from Kaggle, a folder or a zip. Nothing else ever writes there."""

import fcntl
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from rich.filesize import decimal

from ripik.console import progress, say
from ripik.data.archives import SUFFIX, DamagedArchiveError, budget_for, check_kind, files_in, is_inside, unpack
from ripik.data.competition import Competition, read_competition
from ripik.data.source_plan import Found, plan
from ripik.errors import InputError, SurroundingsError
from ripik.execution.locks import NO_LOCKS
from ripik.settings import CompetitionSettings, Settings
from ripik.storage.paths import layout_of

Download = Callable[[Settings, Path], Path]  # of the competition's files into a folder; returns the archive


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
        say(f"data: {target} is complete, nothing to do{unused} (to download it again, move that folder away)")
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
            f"{error} (`data` left {target} as it is, because it is not empty: fix its files or the configuration, "
            "or move the folder away and download again.)"
        ) from None


def _check_origin(settings: Settings, source: Path | None, target: Path) -> None:
    how = settings.competition
    for key in ("train_csv", "train_images", "test_csv", "test_images", "sample_submission"):
        value = getattr(how, key)
        if not all(is_inside(path) for path in ([value] if isinstance(value, str) else value) if path):
            raise InputError(f"competition.{key} = {value!r} is not a path inside the input folder.")
    if source is None and not (how.kaggle_dataset or settings.kaggle.competition):
        raise InputError(
            "there is no source for the data: set competition.kaggle_dataset to owner/name, or kaggle.competition to "
            "the competition's name in its web address, or give a folder or zip "
            f"(--source PATH), or put {_wanted(how)} into {target} yourself."
        )
    if source is not None and not source.exists():
        raise InputError(f"there is no source {source}. Give a folder or a zip.")
    if source is not None:
        check_kind(source)
    if source is not None and target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"the source {source} contains {target} itself, the folder to be filled. Give another folder.")


def _wanted(how: CompetitionSettings) -> str:
    """Return the names of the files and folders that [competition] names."""
    tables = [how.table("train"), how.table("test"), how.sample_submission if how.has_sample else ""]
    *names, last = [*filter(None, tables), *how.image_folders("train"), *how.image_folders("test")]
    return f"{', '.join(names)} and {last}" if names else last


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
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
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
        found = gather(origin, work / "unpacked")
    except DamagedArchiveError:
        if source is None:
            shutil.rmtree(work / "download")
        raise
    placed = plan(found, how, origin)
    _place(placed, work)
    if target.exists():
        target.rmdir()
    (work / "ready").rename(target)
    shutil.rmtree(work / "download", ignore_errors=True)
    if len(found) > len(placed):
        say(f"data: {len(found) - len(placed)} other files of {origin.name} were not needed and left out")


def _downloaded(settings: Settings, download: Download | None, folder: Path) -> Path:
    if download is None:
        raise InputError("no download is possible here: give a folder or a zip (--source PATH).")
    return download(settings, folder)


def gather(origin: Path, unpacked: Path) -> Found:
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


def _place(placed: Found, work: Path) -> None:
    ready, unpacked, uses = work / "ready", work / "unpacked", Counter(placed.values())
    with progress("move into place", len(placed)) as count:
        for done, (place, file) in enumerate(placed.items(), start=1):
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
