"""The cases of `tests.bad_input` about the names of image files."""

from __future__ import annotations

from collections.abc import Callable

from tests.bad_input_csv import both, swap
from tests.bad_input_images import rows_without
from tests.bad_input_world import Case, Spoil
from tests.conftest import Tiny

DECOMPOSED, ANGSTROM, RINGS = "Mu\u0308ller.jpg", "\u212b.jpg", ("\u00c5.jpg", "A\u030a.jpg")
BY_ID = ("--set", "competition.filename_column=")


def called(name: str, made: Callable[[Tiny], object] = lambda tiny: None) -> Spoil:
    """Write another file name for image 3, and whatever that names."""

    def spoil(tiny: Tiny) -> None:
        tiny.edit(tiny.train_csv, lambda frame: frame.replace({"filename": {"3.jpg": name}}))
        made(tiny)

    return spoil


def moved(name: str) -> Callable[[Tiny], object]:
    """Rename the file of image 3, or put it into a folder beside the others."""

    def move(tiny: Tiny) -> None:
        folder = tiny.input / "train" / "images"
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / "3.jpg").rename(folder / name)

    return move


def linked(target: str) -> Spoil:
    """Make image 3 a link."""

    def spoil(tiny: Tiny) -> None:
        path = tiny.input / "train" / "images" / "3.jpg"
        path.rename(tiny.input / "else.jpg")
        path.symlink_to(target.replace("{folder}", str(tiny.folder)))

    return spoil


def linked_folder(tiny: Tiny) -> None:
    images = tiny.input / "train" / "images"
    images.rename(tiny.folder / "photos")
    images.symlink_to(tiny.folder / "photos")


def again(*names: str) -> Callable[[Tiny], object]:
    """Put image 3 into its folder by other names."""

    def write(tiny: Tiny) -> None:
        folder = tiny.input / "train" / "images"
        data = (folder / "3.jpg").read_bytes()
        (folder / "3.jpg").unlink()
        for name in names:
            (folder / name).write_bytes(data)

    return write


def in_parts(tiny: Tiny) -> None:
    """Put the training images into two folders inside their own."""
    folder = tiny.input / "train" / "images"
    for number, path in enumerate(sorted(folder.iterdir())):
        part = folder / f"part_{number % 2}"
        part.mkdir(exist_ok=True)
        path.rename(part / path.name)


def twice_in_parts(tiny: Tiny) -> None:
    in_parts(tiny)
    for part in (tiny.input / "train" / "images").iterdir():
        (part / "3.jpg").write_bytes(b"x")


def listed(tiny: Tiny) -> None:
    """Move the training images to two folders beside each other."""
    in_parts(tiny)
    for part in list((tiny.input / "train" / "images").iterdir()):
        part.rename(tiny.input / part.name)


def named(name: str, spoil: Spoil, *says: str) -> Case:
    return Case("file names", name, spoil, ("train.csv, line 4", *says), 2)


def known(name: str, spoil: Spoil, *more: str, check: Callable[[Tiny], None] | None = None) -> Case:
    return Case("file names", name, spoil, ("folds: wrote",), 0, ("folds", *more), check or rows_without())


CASES = (
    *(
        named(f"{name!r}", called(name), repr(name), "not a file name inside", "Correct")
        for name in ("../3.jpg", "a/../../3.jpg", "/etc/hostname", "..", " ")
    ),
    named("a backslash", called("..\\3.jpg"), "has a backslash", "Correct"),
    named("a line break", called("3\n.jpg"), "a line break", "Correct"),
    named("300 characters", called("x" * 300), "too long for a file name", "Correct"),
    named("a link out of the folder", linked("{folder}/input/else.jpg"), "symbolic link", "outside", "Copy the file"),
    known("unicode", called("Köln 日本 é.jpg", moved("Köln 日本 é.jpg"))),
    known("spaces and quotes", called(' a "b", c.jpg', moved(' a "b", c.jpg'))),
    known("a folder in the name", called("dents/3.jpg", moved("dents/3.jpg"))),
    known("a link to another photo of the folder", linked("4.jpg")),
    known("the folder itself is a link", linked_folder),
    known("decomposed as macOS stores it", called("Müller.jpg", again(DECOMPOSED))),
    known("decomposed in the CSV", called(DECOMPOSED, again("Müller.jpg"))),
    named("two spellings of one name", called(ANGSTROM, again(*RINGS)), "\\u212b", "matches 2 files", "Keep one"),
    Case(
        "file names",
        "the file of another row",
        both(called(DECOMPOSED, again("Müller.jpg")), swap("4.jpg", "Müller.jpg")),
        ("train.csv, lines 4 and 5", "'Mu\\u0308ller.jpg' and 'Müller.jpg' are both the file", "its own file"),
    ),
    known("by id, with several endings", again("3.PNG"), *BY_ID),
    known("by id, the ending without its dot", lambda tiny: None, *BY_ID, "--set", "competition.image_extension=jpg"),
    Case(
        "file names",
        "by id, of two endings",
        again("3.PNG", "3.jpeg"),
        ("train.csv, line 4", "'3' matches 2 files", "3.PNG", "3.jpeg", "Keep one"),
        2,
        ("folds", *BY_ID),
    ),
    known("in sub-folders", in_parts),
    named("in two sub-folders", twice_in_parts, "'3.jpg' matches 2 files", "part_0/3.jpg", "part_1/3.jpg"),
    known("in folders that are listed", listed, "--set", 'competition.train_images=["part_0","part_1"]'),
)
