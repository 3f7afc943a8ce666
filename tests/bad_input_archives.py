"""The cases of `tests.bad_input` about what `data` is given: archives, folders, and names of Kaggle datasets."""

from __future__ import annotations

import io
import shutil
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.bad_input_world import QUICK, Case, Spoil, nothing
from tests.conftest import Tiny

from ripik.data.competition import read_competition

SOURCE, FILLED = "photos.zip", "output/filled"
INTO = ("--set", f"competition.root={{folder}}/{FILLED}")
COMMAND = ("data", "--source", f"{{folder}}/{SOURCE}", *INTO)
DAMAGED = ("damaged or not a zip", "Download it again")
FOLDER = "folder as the source"
Files = dict[str, bytes]


def files_of(tiny: Tiny) -> Files:
    return {
        str(path.relative_to(tiny.input)): path.read_bytes() for path in sorted(tiny.input.rglob("*")) if path.is_file()
    }


def zipped(files: Files) -> bytes:
    """Return a zip of files in the order given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that appears twice
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def archive(change: Callable[[Files], Files] = lambda files: files, harm: Callable[[bytes], bytes] = bytes) -> Spoil:
    """Write a zip of the competition's files, changed, and then its bytes harmed."""
    return lambda tiny: (tiny.folder / SOURCE).write_bytes(harm(zipped(change(files_of(tiny)))))


def added(**files: bytes) -> Callable[[Files], Files]:
    return lambda known: {**known, **files}


def inside(known: Files) -> Files:
    """Return the files as organisers nest them: train.zip and test.zip, in a folder, written by a Windows program."""
    parts = {part: {n: d for n, d in known.items() if n.startswith(part)} for part in ("train", "test")}
    sample = {"data\\sample_submission.csv": known["sample_submission.csv"]}
    return {f"data\\{part}.zip": zipped(files) for part, files in parts.items()} | sample


def deep(known: Files) -> Files:
    for _ in range(5):
        known = {"again.zip": zipped(known)}
    return known


def link(data: bytes) -> bytes:
    """Add a symbolic link to a zip."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as opened:
        entry = zipfile.ZipInfo("link")
        entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        opened.writestr(entry, "/etc/hostname")
    return buffer.getvalue()


def central(offset: int, value: bytes) -> Callable[[bytes], bytes]:
    """Overwrite a field of the first entry in a zip's central directory."""

    def change(data: bytes) -> bytes:
        at = data.index(b"PK\x01\x02") + offset
        return data[:at] + value + data[at + len(value) :]

    return change


def flipped(data: bytes) -> bytes:
    at = data.index(b".jpg") + 300
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def folder(change: Callable[[Path], object]) -> Spoil:
    """Copy the competition's files into a folder, and change them there."""

    def spoil(tiny: Tiny) -> None:
        shutil.copytree(tiny.input, tiny.folder / SOURCE)
        change(tiny.folder / SOURCE)

    return spoil


def doubled(source: Path) -> None:
    (source / "old" / "train").mkdir(parents=True)
    (source / "old" / "train" / "train.csv").write_text("image_id,filename,label\n1,1.jpg,1\n")


def filled(tiny: Tiny) -> None:
    """Check that the folder holds the competition, and nothing else."""
    there = tiny.folder / FILLED
    found = {str(path.relative_to(there)): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert found == files_of(tiny)
    assert len(read_competition(tiny.settings(*QUICK, f"competition.root={there}")).train) == len(tiny.truth)


def fine(name: str, spoil: Spoil) -> Case:
    return Case("archives", name, spoil, ("data: 12 training and 4 test images",), 0, COMMAND, filled)


def bad(name: str, spoil: Spoil, *says: str, command: tuple[str, ...] = COMMAND) -> Case:
    return Case("archives", name, spoil, says, 2, command)


CASES = (
    fine("a zip", archive()),
    fine("zips in a zip, with backslashes", archive(inside)),
    fine("leftovers of systems", archive(added(**{"__MACOSX/train/._train.csv": b"?", "train/.DS_Store": b"?"}))),
    fine("a folder", folder(lambda source: None)),
    *(
        bad(f"an entry named {name}", archive(added(**{name: b"x"})), SOURCE, repr(name), "points outside", FOLDER)
        for name in ("../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt")
    ),
    bad("a link", archive(harm=link), SOURCE, "'link' is a link", "nothing was unpacked", FOLDER),
    bad("a name of 300 characters", archive(added(**{"x" * 300: b"x"})), SOURCE, "too long for a file", FOLDER),
    bad("the same entry twice", archive(added(**{"train\\train.csv": b"x"})), SOURCE, "appears twice", FOLDER),
    bad("a bomb", archive(harm=central(24, b"\0\0\0\xf0")), SOURCE, "unpacks to 4.0 GB", "far more than", FOLDER),
    bad("archives 6 deep", archive(deep), "again.zip", "nested more than 4 levels deep", FOLDER),
    bad("a password", archive(harm=central(8, b"\x01\x00")), SOURCE, "protected by a password", FOLDER),
    bad("an unknown method", archive(harm=central(10, b"\x63\x00")), SOURCE, "method is not supported", FOLDER),
    bad("cut", archive(harm=lambda data: data[: len(data) // 2]), SOURCE, *DAMAGED),
    bad("cut at the end", archive(harm=lambda data: data[:-9]), SOURCE, *DAMAGED),
    bad("a flipped byte", archive(harm=flipped), SOURCE, *DAMAGED),
    bad("an empty file", archive(harm=lambda data: b""), SOURCE, *DAMAGED),
    bad("a tar.gz", archive(harm=lambda data: b"\x1f\x8b\x08" + data), SOURCE, "a gzip archive", FOLDER),
    bad("no zip", archive(harm=lambda data: b"<html>"), SOURCE, *DAMAGED),
    bad("nothing in it", archive(lambda files: {}), SOURCE, "has no sample_submission.csv", "[competition]"),
    bad("no train.csv", folder(lambda source: (source / "train" / "train.csv").unlink()), "train.csv", "[competition]"),
    bad("two train.csv", folder(doubled), "2 different train.csv", "old/train/train.csv", "Keep one"),
    bad(
        "an image missing", folder(lambda s: (s / "train" / "images" / "3.jpg").unlink()), "1 of the 12", "3.jpg", "Add"
    ),
    bad("no such source", nothing, f"there is no source {SOURCE}", "Give a folder or a zip"),
    bad("no source at all", nothing, "kaggle_dataset", "--source PATH", command=("data", *INTO)),
    bad(
        "a source that holds the target",
        nothing,
        f"contains {FILLED} itself",
        "another folder",
        command=("data", "--source", "{folder}", *INTO),
    ),
    *(
        bad(
            f"a Kaggle dataset named {name}",
            nothing,
            "competition.kaggle_dataset",
            repr(name),
            "owner/name",
            command=("data", *INTO, "--set", f'competition.kaggle_dataset="{name}"'),
        )
        for name in ("car-photos", "https://www.kaggle.com/competitions/a", "--help", "a/../b")
    ),
)
