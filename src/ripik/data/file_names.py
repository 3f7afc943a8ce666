"""Match files by name: also in another Unicode form, with another extension, or in a sub-folder."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

SUFFIXES = (  # of what its owner calls a photo, whether it can be read or not
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff", ".jp2"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"),
)


@dataclass(frozen=True)
class Wanted:
    """The name of an image as a CSV gives it, with / between folders; and its id, where files are named by ids."""

    name: str
    stem: str | None = None

    @property
    def depth(self) -> int:
        """The number of folders in the name."""
        return self.name.count("/")

    @property
    def told(self) -> str:
        """What a message calls the image."""
        return self.name if self.stem is None else self.stem


def wanted_names(texts: Sequence[str], extension: str | None) -> list[Wanted]:
    """Return the images of these file names; or, with an extension, of these ids."""
    if extension is None:
        return [Wanted(_plain(text)) for text in texts]
    return [Wanted(_plain(text + extension), _plain(text)) for text in texts]


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC); macOS stores names decomposed (NFD)."""
    return unicodedata.normalize("NFC", name)


class FileNames:
    """Relative paths of files, found by the end of a path."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._names = [(composed(path), path) for path in paths]
        self._tables: dict[tuple[bool, int], dict[str, list[tuple[str, str]]]] = {}

    def by_name(self, wanted: Wanted, *, below: bool) -> list[str]:
        """Return the files of an image's very name; where there are none, of its name in another Unicode form.

        below: whether the files may lie in sub-folders.
        """
        alike = self._ending(wanted.name, below, stems=False)
        return [path for path in alike if path == wanted.name or path.endswith(f"/{wanted.name}")] or alike

    def by_id(self, wanted: Wanted, *, below: bool) -> list[str]:
        """Return the files of an image's id with any ending of an image, or none; empty where names are given."""
        if wanted.stem is None:
            return []
        named = self._ending(wanted.stem, below, stems=True) + self._ending(wanted.stem, below, stems=False)
        return list(dict.fromkeys(named))

    def _ending(self, name: str, below: bool, *, stems: bool) -> list[str]:
        end = composed(name)
        depth = end.count("/")
        if (stems, depth) not in self._tables:
            self._tables[stems, depth] = self._table(stems, depth)
        return [path for key, path in self._tables[stems, depth].get(end, []) if below or key == end]

    def _table(self, stems: bool, depth: int) -> dict[str, list[tuple[str, str]]]:
        """Return the paths, or those of images without their endings, by their last depth + 1 parts."""
        table: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, path in self._names:
            stem, _, suffix = name.rpartition(".")
            if not stems or f".{suffix.lower()}" in SUFFIXES:
                key = stem if stems else name
                table["/".join(key.split("/")[-depth - 1 :])].append((key, path))
        return table


def other_endings(
    images: Sequence[Wanted], own: Sequence[Sequence[str]], by_id: Sequence[Sequence[str]]
) -> list[list[str]]:
    """Return of each image the files by its id that may be it, though they have another ending than its name.

    own: the files of each image's name; by_id: of its id. An ending that stands beside an image of its own name, as
    `1.png` beside `1.jpg`, is that of something else, such as masks, and no image is taken from files that have it.
    """
    beside = [(image, set(more) - set(files)) for image, files, more in zip(images, own, by_id, strict=True) if files]
    doubled = {_added(path, image) for image, paths in beside for path in paths} - {""}
    return [
        [path for path in files if _added(path, image) not in doubled]
        for image, files in zip(images, by_id, strict=True)
    ]


def _added(path: str, image: Wanted) -> str:
    """Return the ending that a file has beside the image's id; empty where it is called as the id."""
    name = composed(path)
    return "" if image.stem is None or name.endswith(composed(image.stem)) else PurePosixPath(name).suffix.lower()


def _plain(name: str) -> str:
    return PurePosixPath(name).as_posix() if "/" in name else name
