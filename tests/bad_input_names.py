"""The cases of `tests.bad_input` about the names of image files."""

from __future__ import annotations

from collections.abc import Callable

from tests.bad_input_images import rows_without
from tests.bad_input_world import Case, Spoil
from tests.conftest import Tiny


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


def named(name: str, spoil: Spoil, *says: str) -> Case:
    return Case("file names", name, spoil, ("train.csv, line 4", *says), 2)


def known(name: str, spoil: Spoil, check: Callable[[Tiny], None] | None = None) -> Case:
    return Case("file names", name, spoil, ("folds: wrote",), 0, ("folds",), check or rows_without())


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
)
