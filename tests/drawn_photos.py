"""Photos as people have them, drawn here: five sizes, turned by EXIF, transparent, of 16 bits, in several formats."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from conftest import draw_photo

SIZES = ((96, 64), (150, 150), (224, 301), (640, 480), (1100, 733))  # width, height
ORIENTATION = 0x0112


def write_photos(folder: Path, count: int, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Write photos of which no two show the same: with the number the size, the turn and the format change."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        width, height = sizes[number % len(sizes)]
        kind, turn = number // len(sizes), number + number // (len(sizes) * len(KINDS))
        pixels = cv2.resize(draw_photo(100_000 + number), (width, height), interpolation=cv2.INTER_CUBIC)
        name, write = KINDS[kind % len(KINDS)]
        write(pixels, folder / name.format(number), 1 + turn % 8)


def _turned(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    return exif


def _transparent(pixels: np.ndarray) -> Image.Image:
    """Return the photo, ever more transparent from the left to the right, with a hole."""
    height, width = pixels.shape[:2]
    alpha = np.tile(np.linspace(255, 40, width).astype(np.uint8), (height, 1))
    alpha[height // 4 : height // 2, width // 4 : width // 2] = 0
    return Image.fromarray(np.dstack([pixels, alpha]))


def _plain(pixels: np.ndarray, path: Path, turn: int) -> None:
    Image.fromarray(pixels).save(path, exif=_turned(turn))


def _grey(pixels: np.ndarray, path: Path, turn: int) -> None:
    Image.fromarray(pixels).convert("L").save(path, exif=_turned(turn))


def _alpha(pixels: np.ndarray, path: Path, turn: int) -> None:
    _transparent(pixels).save(path, exif=_turned(turn))


def _palette(pixels: np.ndarray, path: Path, turn: int) -> None:
    Image.fromarray(pixels).quantize(64).save(path, transparency=turn)


def _deep(pixels: np.ndarray, path: Path, turn: int) -> None:
    cv2.imwrite(str(path), pixels[..., ::-1].astype(np.uint16) * 256 + turn)


KINDS: tuple[tuple[str, Callable[[np.ndarray, Path, int], None]], ...] = (
    ("{}.jpg", _plain),
    ("{}.JPEG", _grey),
    ("{}.png", _alpha),
    ("{}.webp", _alpha),
    ("{}-turned.jpg", _plain),
    ("{}-palette.png", _palette),
    ("{}-16-bit.png", _deep),
    ("{}-turned.png", _plain),
)
