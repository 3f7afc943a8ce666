"""Image files: what their header tells, whether they are whole, and their pixels by OpenCV."""

import functools
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from ripik.errors import InputError

MOST_PIXELS = 100_000_000
SMALLEST_SIDE = 8
NO_IMAGE = "not an image that OpenCV reads"
CUT = "the file is cut or damaged"
TOO_LARGE = f"its header tells of more than {MOST_PIXELS // 10**6} million pixels"
LOADED = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF")  # where Pillow reads all that OpenCV does, and notices a cut
OTHERS = ("TIFF", "JPEG2000", "PPM", "SUN", "AVIF")
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"GIF8")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WIDTH_TAG, HEIGHT_TAG = 256, 257


@dataclass(frozen=True)
class Examined:
    """What trying an image file told: its problem (empty: it can be used), and what decoding leaves out of it."""

    problem: str = ""
    alpha: bool = False
    frames: bool = False


def decode(path: Path) -> np.ndarray:
    """Return the photo of a file as uint8 RGB, H×W×3, turned as its EXIF orientation says.

    Of several frames it is the first; transparency is dropped.
    Raises InputError when the file is not an image that OpenCV reads, or has more than 100 million pixels by its
    header, which is looked at before anything is decoded.
    """
    image, problem = read_pixels(path.read_bytes(), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(
            f"{path} cannot be read as an image: {problem}. Replace or remove the file (and its row in the CSV, if it "
            "has one)."
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_pixels(data: bytes, mode: int) -> tuple[np.ndarray | None, str]:
    """Return the image as OpenCV decodes it in one of its modes (uint8; colour is BGR), or None and the problem."""
    problem = _too_large(data)
    if problem:
        return None, problem
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(str(error)) from error
        image = None
    if image is not None:
        return image, ""
    with _quiet():
        return None, _loaded(data).problem or NO_IMAGE


def examine(path: Path) -> Examined:
    """Try an image file: whether it is there, whole, no smaller than 8×8, no larger than 100 million pixels.

    OpenCV fills the lost part of a cut JPEG with grey, in some versions without a word; Pillow's `load` raises
    (pillow.readthedocs.io, ImageFile.LOAD_TRUNCATED_IMAGES), and at an eighth of the size (`draft`) still reads all.
    """
    if not path.is_file():
        return Examined("the file is missing")
    data = path.read_bytes()
    problem = _too_large(data)
    if problem:
        return Examined(problem)
    with _quiet():
        told = _loaded(data)
    if not told.problem and read_pixels(data, cv2.IMREAD_REDUCED_COLOR_8)[0] is None:
        return Examined(NO_IMAGE)
    return told


def _too_large(data: bytes) -> str:
    """Return why an image is not to be decoded, as far as its header tells; empty when it may be tried."""
    if not data:
        return "the file is empty (0 bytes)"
    try:
        with _quiet(), _opened(data) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        return TOO_LARGE
    except MemoryError:  # says nothing of the image
        raise
    except Exception:  # Pillow's plugins raise whatever their parsing of broken bytes comes upon
        width, height = _tiff_size(data)
    if not width * height:
        return CUT if data.startswith(STARTS) else NO_IMAGE
    return TOO_LARGE if width * height > MOST_PIXELS else ""


@functools.lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Return the formats of `LOADED` and `OTHERS` that this build of Pillow opens."""
    Image.init()
    return tuple(name for name in (*LOADED, *OTHERS) if name in Image.OPEN)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow from warning of odd metadata, and of sizes below our bound but above its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=_formats())


def _tiff_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a TIFF, also of those with pixels that Pillow does not know; (0, 0) of all else."""
    if not data.startswith(TIFF_STARTS):
        return 0, 0
    try:
        header = data[:16] if data[2] == 43 else data[:8]  # 43: BigTIFF, with offsets of 8 bytes
        tags = TiffImagePlugin.ImageFileDirectory_v2(header)
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return int(tags[WIDTH_TAG]), int(tags[HEIGHT_TAG])
    except MemoryError:  # says nothing of the image
        raise
    except Exception:  # as above
        return 0, 0


def _loaded(data: bytes) -> Examined:
    try:
        image = _opened(data)
    except MemoryError:  # says nothing of the image
        raise
    except Exception:  # a TIFF that Pillow does not know: OpenCV will tell
        return Examined()
    with image:
        width, height = image.size
        if min(width, height) < SMALLEST_SIDE:
            return Examined(f"{width} × {height} pixels are too few: each side needs {SMALLEST_SIDE}")
        checked = image.format in LOADED
        try:
            if checked:
                image.draft("L", (width // SMALLEST_SIDE, height // SMALLEST_SIDE))
                image.load()
            frames = image.format != "MPO" and getattr(image, "is_animated", False)  # MPO: a JPEG and its preview
        except MemoryError:
            raise
        except Exception:  # as above
            return Examined(CUT if checked else "")
        return Examined(alpha=image.has_transparency_data, frames=frames)
