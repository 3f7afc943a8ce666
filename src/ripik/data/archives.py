"""Unpack untrusted archives: nothing is written outside the folder, and size and number of files are limited."""

import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.filesize import decimal

from ripik.console import progress
from ripik.errors import InputError, SurroundingsError

SUFFIX = ".zip"
DEPTH = 4  # archives inside archives
GROWTH, ALWAYS_ALLOWED = 50, 2**30  # photos hardly shrink, CSVs do by 5 to 20 times
MAX_FILES = 2_000_000
OTHER_KINDS = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"BZh": "bzip2", b"\xfd7zX": "xz"}  # by start
LONGEST_NAME, LONGEST_PATH = 255, 4000  # bytes, of all file systems in use
SHOWN = 60
UNPACK_IT = "Unpack it yourself and give the folder as the source."
DISTRUST = f"Get the archive from a source you trust, or check it: {UNPACK_IT[0].lower()}{UNPACK_IT[1:]}"


class DamagedArchiveError(InputError):
    """An archive that is cut, altered or no zip at all."""


def check_kind(source: Path) -> None:
    """Raise InputError for a source that is neither a folder nor a regular file: a pipe or a device may never end."""
    if not (source.is_dir() or source.is_file()):
        raise InputError(f"the source {source} is neither a folder nor a regular file. Give a folder or a zip.")


@dataclass
class Budget:
    """How much may still be unpacked; shared by an archive and all those inside it."""

    size: int
    files: int = MAX_FILES

    def spend(self, size: int, files: int, archive: Path) -> None:
        """Take an archive's unpacked size off; raises InputError when it is more than is left."""
        self.size -= size
        self.files -= files
        if self.size < 0 or self.files < 0:
            raise InputError(
                f"{archive.name} unpacks to {decimal(size)} in {files} files, far more than photos in an archive of "
                f"its size can be. If that is correct: {UNPACK_IT[0].lower()}{UNPACK_IT[1:]}"
            )


def budget_for(archives: Sequence[Path]) -> Budget:
    """Return the bound for these archives: 50 times their size, and 1 GiB at least."""
    return Budget(max(ALWAYS_ALLOWED, GROWTH * sum(archive.stat().st_size for archive in archives)))


def unpack(archive: Path, folder: Path, budget: Budget, depth: int = DEPTH) -> None:
    """Unpack a zip and the zips inside it into `folder`; an inner `x.zip` becomes a folder named `x.zip`.

    Raises DamagedArchiveError for a broken archive, InputError for entries that point outside the folder, links,
    passwords, too deep a nesting or a size over the budget, and SurroundingsError when the disk is too small.
    """
    if depth == 0:
        raise InputError(f"{archive.name}: archives are nested more than {DEPTH} levels deep. {UNPACK_IT}")
    with _opened(archive) as opened:
        _check_start(opened)
        entries = [entry for entry in opened.infolist() if not _is_folder(entry) and not is_junk(_inner_path(entry))]
        _check(entries, archive, folder, budget)
        with progress(f"unpack {archive.name}", len(entries)) as count:
            for done, entry in enumerate(entries, start=1):
                _extract(opened, entry, folder, archive)
                count(done)
    for inner in [path for path in files_in(folder) if path.suffix.lower() == SUFFIX]:
        _unpack_in_place(inner, budget, depth - 1)


def files_in(folder: Path) -> list[Path]:
    """Return the files under `folder`, sorted, without what operating systems leave lying about."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not is_junk(path.relative_to(folder)))


def is_junk(path: Path | PurePosixPath) -> bool:
    """Whether an operating system put the file there: `__MACOSX/…`, `._name`, `.DS_Store`, `Thumbs.db`."""
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name in (".DS_Store", "Thumbs.db")


def is_inside(name: str) -> bool:
    """Whether a relative file name stays inside the folder that it is joined to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and ":" not in path.parts[0]


def _unpack_in_place(archive: Path, budget: Budget, depth: int) -> None:
    temporary = Path(tempfile.mkdtemp(dir=archive.parent))
    unpack(archive, temporary, budget, depth)
    archive.unlink()
    temporary.rename(archive)


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    if entry.filename.endswith("/"):  # `is_dir` fails for an entry without a name
        return True
    return entry.filename.endswith("\\") and not entry.file_size  # Windows programs, as below


def _inner_path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))  # some Windows programs write backslashes


def _check_start(opened: zipfile.ZipFile) -> None:
    # a cut archive that stores another one is read as that other one, with something in front of it
    if min((entry.header_offset for entry in opened.infolist()), default=0):
        raise zipfile.BadZipFile("its end is missing")


def _check(entries: Sequence[zipfile.ZipInfo], archive: Path, folder: Path, budget: Budget) -> None:
    for entry in entries:
        if entry.flag_bits & 1:
            raise InputError(f"{archive.name} is protected by a password. {UNPACK_IT}")
        problem = _problem(entry, folder)
        if problem:
            name = entry.filename if len(entry.filename) <= SHOWN else entry.filename[:SHOWN] + "…"
            raise InputError(f"{archive.name}: the entry {name!r} {problem}, so nothing was unpacked. {DISTRUST}")
    size = sum(entry.file_size for entry in entries)
    budget.spend(size, len(entries), archive)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise SurroundingsError(
            f"{archive.name} needs {decimal(size)} at {folder}, where {decimal(free)} are free. Free some space, then "
            "run again."
        )


def _problem(entry: zipfile.ZipInfo, folder: Path) -> str:
    """Return why an entry must not be unpacked into the folder; empty when nothing speaks against it."""
    path = _inner_path(entry)
    if not is_inside(str(path)):
        return "points outside the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link, not a file"
    longest = max(len(part.encode()) for part in path.parts)
    if longest > LONGEST_NAME or len(str(folder / path).encode()) > LONGEST_PATH:
        return "has a name too long for a file"
    return ""


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, archive: Path) -> None:
    target = folder / _inner_path(entry)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # zipfile reads no more than the declared size, so the budget holds for what is written
        with opened.open(entry) as packed, target.open("xb") as file:
            shutil.copyfileobj(packed, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise InputError(f"{archive.name}: the entry {entry.filename!r} appears twice. {DISTRUST}") from None


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    with archive.open("rb") as file:
        start = file.read(4)
    kind = next((kind for mark, kind in OTHER_KINDS.items() if start.startswith(mark)), "")
    if kind:
        raise InputError(f"{archive.name} is a {kind} archive, but only zip is supported. {UNPACK_IT}")
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # bz2's has none
            raise
        raise DamagedArchiveError(
            f"{archive.name} is damaged or not a zip archive ({error}). Download it again, or give a folder as the "
            "source."
        ) from None
    except NotImplementedError as error:
        raise InputError(f"{archive.name}: {error}. {UNPACK_IT}") from None
