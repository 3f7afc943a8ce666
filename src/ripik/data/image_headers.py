"""What an image file's header says before anything is decoded: size, bits, bands and transparency."""

import functools
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, TiffImagePlugin

MOST_PIXELS = 100_000_000
NO_IMAGE = "not an image that OpenCV reads"
HEIC = "it is a HEIC image, which OpenCV does not read; save it as JPEG or PNG"
CUT = "the file is truncated or damaged"
EMPTY = "the file is empty (0 bytes)"
TOO_LARGE = f"its header declares more than {MOST_PIXELS // 10**6} million pixels"
LOADED = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF")  # where Pillow reads all that OpenCV does, and notices a cut
OTHERS = ("TIFF", "JPEG2000", "PPM", "SUN", "AVIF")
DEEP = ("JPEG2000", "PPM")  # whose decoding tells how many bits they have
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"GIF8")
PNG_START, PNG_BITS = b"\x89PNG", 24  # the place of the number of bits
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WIDTH_TAG, HEIGHT_TAG, BITS_TAG, BANDS_TAG, EXTRA_TAG, KIND_TAG = 256, 257, 258, 277, 338, 339
COLOURS_TAG, CMYK = 262, 5
TAGS = (WIDTH_TAG, HEIGHT_TAG, BITS_TAG, BANDS_TAG, EXTRA_TAG, KIND_TAG, COLOURS_TAG)
MARKED = (1, 2)  # an extra band that is transparency: colours multiplied by it, and not
WHOLE, UNKNOWN = 1, 4  # kinds of numbers that are read: unsigned, and not told
KINDS = {2: "signed numbers", 3: "floating-point numbers", 5: "complex numbers", 6: "complex numbers"}
REMEDY = "save it as 8- or 16-bit RGB or grey"


@dataclass(frozen=True)
class Header:
    """What a header tells.

    problem: why the image is not to be decoded; empty when it may be tried. side: the shorter one, in pixels. jpeg:
    whether it is one, which decodes faster at a part of its size. deep: it may have more than 8 bits a band. alpha: it
    has transparency. multiplied: its colours were multiplied by it.
    """

    problem: str = ""
    side: int = 0
    jpeg: bool = False
    deep: bool = False
    alpha: bool = False
    multiplied: bool = False


def read_header(data: bytes) -> Header:
    """Return what the header of an image file's bytes tells.

    Problems: no image, larger than 100 million pixels, or pixels for which no rule tells black, white and the colours:
    floating-point or signed numbers, more than 16 bits, or bands that are neither colour nor marked as transparency.
    """
    if not data:
        return Header(EMPTY)
    tags = _tiff_tags(data)
    try:
        with quiet(), opened(data) as image:
            (width, height), sample_format = image.size, _of_tiff(tags) if tags else _of_image(image, data)
    except Image.DecompressionBombError:
        return Header(TOO_LARGE)
    except MemoryError:  # says nothing of the image
        raise
    except Exception:  # Pillow's plugins raise whatever their parsing of broken bytes comes upon
        width, height, sample_format = _number(tags, WIDTH_TAG), _number(tags, HEIGHT_TAG), _of_tiff(tags)
    if not width * height:
        return Header(CUT if data.startswith(STARTS) else HEIC if _is_heic(data) else NO_IMAGE)
    return Header(TOO_LARGE) if width * height > MOST_PIXELS else replace(sample_format, side=min(width, height))


def _is_heic(data: bytes) -> bool:
    """Whether the file's first box (ISO/IEC 14496-12: its size, `ftyp`, brands of 4 bytes) names HEIC, and not AVIF."""
    if data[4:8] != b"ftyp":
        return False
    end = min(len(data), int.from_bytes(data[:4], "big"))
    brands = {data[at : at + 4] for at in (8, *range(16, end, 4))}
    return bool(brands & HEIC_BRANDS) and b"avif" not in brands


def opened(data: bytes) -> Image.Image:
    """Return the image as Pillow opens it, with the formats that OpenCV reads, too; raises what Pillow does."""
    return Image.open(io.BytesIO(data), formats=_formats())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow from warning of odd metadata, and of sizes below our bound but above its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Return the formats of `LOADED` and `OTHERS` that this build of Pillow opens."""
    Image.init()
    return tuple(name for name in (*LOADED, *OTHERS) if name in Image.OPEN)


def _of_image(image: Image.Image, data: bytes) -> Header:
    """Return what Pillow tells of an image that is no TIFF, but for its size."""
    sixteen = data.startswith(PNG_START) and data[PNG_BITS] == 16
    return Header(
        _refused(KINDS[3]) if image.mode == "F" else "",
        jpeg=image.format in ("JPEG", "MPO"),
        deep=sixteen or image.format in DEEP,
        alpha=image.has_transparency_data,
    )


def _of_tiff(tags: Mapping[int, Any]) -> Header:
    """Return what the tags of a TIFF tell, but for its size."""
    bits, kind = max(_numbers(tags, BITS_TAG, 1)), _number(tags, KIND_TAG, WHOLE)
    bands, extra = _number(tags, BANDS_TAG, 1), _number(tags, EXTRA_TAG)
    colours = 4 if _number(tags, COLOURS_TAG) == CMYK else 3 if bands > 2 else 1
    alpha = bands == colours + 1 and extra in MARKED
    problem = ""
    if kind not in (WHOLE, UNKNOWN):
        problem = _refused(KINDS.get(kind, "numbers of an unknown kind"))
    elif bits > 16:
        problem = _refused(f"numbers of {bits} bits")
    elif bands > colours and not alpha:
        problem = f"not all of its {bands} bands are colours or marked as transparency, so it is not RGB; {REMEDY}"
    return Header(problem, deep=bits > 8, alpha=alpha, multiplied=alpha and extra == MARKED[0])


def _refused(what: str) -> str:
    return f"its pixels are {what}, whose black and white levels are undefined; {REMEDY}"


def _tiff_tags(data: bytes) -> dict[int, Any]:
    """Return the `TAGS` of a TIFF, also of those with pixels that Pillow does not know; none of all else."""
    if not data.startswith(TIFF_STARTS):
        return {}
    try:
        header = data[:16] if data[2] == 43 else data[:8]  # 43: BigTIFF, with offsets of 8 bytes
        tags = TiffImagePlugin.ImageFileDirectory_v2(header)
        file = io.BytesIO(data)
        file.seek(tags.next)
        with quiet():
            tags.load(file)
        return {tag: tags[tag] for tag in TAGS if tag in tags}
    except MemoryError:  # says nothing of the image
        raise
    except Exception:  # as above
        return {}


def _numbers(tags: Mapping[int, Any], tag: int, usual: int) -> tuple[int, ...]:
    found = tags.get(tag, usual)
    return tuple(int(each) for each in found) if isinstance(found, tuple) and found else (int(found or usual),)


def _number(tags: Mapping[int, Any], tag: int, usual: int = 0) -> int:
    return _numbers(tags, tag, usual)[0]
