"""Files by their names as others store them: in another Unicode form, with another ending, or in a sub-folder."""

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
        self._by_name: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._by_stem: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for path in paths:
            name = composed(path)
            stem, _, suffix = name.rpartition(".")
            self._by_name[_last(name)].append((name, path))
            if f".{suffix.lower()}" in SUFFIXES:
                self._by_stem[_last(stem)].append((stem, path))

    def found(self, wanted: Wanted, *, below: bool) -> list[list[str]]:
        """Return the files that an image's name may mean, the nearest spelling first.

        In turn: the very name; the name in another Unicode form; and where files are named by ids, the id with any
        ending of an image, or none. below: whether the files may lie in sub-folders.
        """
        alike = _ending(self._by_name, wanted.name, below)
        exact = [path for path in alike if path == wanted.name or path.endswith(f"/{wanted.name}")]
        named = [] if wanted.stem is None else _ending(self._by_stem, wanted.stem, below)
        bare = [] if wanted.stem is None else _ending(self._by_name, wanted.stem, below)
        return [exact, alike, list(dict.fromkeys([*named, *bare]))]


def _plain(name: str) -> str:
    return PurePosixPath(name).as_posix() if "/" in name else name


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _ending(table: dict[str, list[tuple[str, str]]], name: str, below: bool) -> list[str]:
    end = composed(name)
    return [path for key, path in table.get(_last(end), []) if key == end or (below and key.endswith(f"/{end}"))]
