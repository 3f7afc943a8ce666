"""Image files: whether they are complete, and their pixels as 8-bit RGB, by OpenCV and the competition's rule."""

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from ripik.data.decoder_noise import caught
from ripik.data.image_headers import CUT, LOADED, NO_IMAGE, Header, opened, quiet, read_header
from ripik.data.pixel_rule import USUAL, PixelRule, UnreadableError, by_rule
from ripik.errors import InputError

SMALLEST_SIDE = 8
DAMAGE = re.compile(  # as libjpeg tells of it; not extraneous bytes, which harm nothing
    r"Corrupt JPEG data: (?!\d+ extraneous bytes)|Premature end of JPEG file"
)
FEW_LEVELS = 16  # of 256: an image that spans fewer is nearly constant
REDUCED = (  # how examining may shrink a JPEG of at least so many pixels a side
    (512, cv2.IMREAD_REDUCED_COLOR_8),
    (256, cv2.IMREAD_REDUCED_COLOR_4),
    (128, cv2.IMREAD_REDUCED_COLOR_2),
)


@dataclass(frozen=True)
class Seen:
    """What was seen of an image's pixels.

    span: the largest difference between two pixels in one of the decoded bands, 0…255. pixels, file: digests of the
    decoded pixels (of a large JPEG: at a part of its size) and of the file's bytes. highest: the highest of its own
    values, where it has 16 bits; else None.
    """

    span: int
    pixels: str
    file: str
    highest: int | None = None


@dataclass(frozen=True)
class Examined:
    """The result of checking an image file: its problem (empty: it can be used), and its special properties.

    alpha: some of its pixels are transparent. frames: it has several. seen: None where there is a problem. damaged: a
    decoder found its data broken, and went on.
    """

    problem: str = ""
    alpha: bool = False
    frames: bool = False
    seen: Seen | None = field(default=None, compare=False)
    damaged: bool = False

    def is_changed_by(self, rule: PixelRule) -> bool:
        """Whether the rule makes other pixels of the image than OpenCV's own 8 bits without transparency."""
        return rule.touches(alpha=self.alpha, deep=self.is_deep)

    @property
    def is_deep(self) -> bool:
        """Whether the image has 16 bits a band."""
        return self.seen is not None and self.seen.highest is not None


def decode(path: Path, rule: PixelRule = USUAL) -> np.ndarray:
    """Return the photo of a file as uint8 RGB, H×W×3, turned as its EXIF orientation says.

    Of several frames it is the first; 16-bit values and transparency are brought to 8 bits by the rule.
    Raises InputError when the file is not an image that OpenCV reads, has pixels that no rule covers, or has more than
    100 million of them by its header, which is looked at before anything is decoded.
    """
    image, problem = read_pixels(path.read_bytes(), cv2.IMREAD_COLOR, rule)
    if image is None:
        raise InputError(
            f"{path} cannot be read as an image: {problem}. Replace or remove the file (and its row in the CSV, if it "
            "has one)."
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_pixels(data: bytes, mode: int, rule: PixelRule) -> tuple[np.ndarray | None, str]:
    """Return an image by the rule, or None and the problem.

    mode: cv2.IMREAD_COLOR for uint8 BGR, (h, w, 3), or cv2.IMREAD_GRAYSCALE for uint8 (h, w). What the rule does not
    change is what OpenCV makes of the file in this mode.
    """
    header = read_header(data)
    if header.problem:
        return None, header.problem
    with caught(), quiet():
        return _read_by(data, header, mode, rule)


def _read_by(data: bytes, header: Header, mode: int, rule: PixelRule) -> tuple[np.ndarray | None, str]:
    try:
        image = _changed(data, header, mode, rule)
    except UnreadableError as error:
        return None, str(error)
    if image is not None:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if mode == cv2.IMREAD_GRAYSCALE else image, ""
    image = _decoded(data, mode)
    return image, "" if image is not None else _loaded(data).problem or NO_IMAGE


def examine(path: Path, rule: PixelRule = USUAL) -> Examined:
    """Try an image file: whether it is there, whole, no smaller than 8×8, no larger than 100 million pixels.

    OpenCV fills the lost part of a cut JPEG with grey, in some versions without a word; Pillow's `load` raises
    (pillow.readthedocs.io, ImageFile.LOAD_TRUNCATED_IMAGES), and at an eighth of the size (`draft`) still reads all.
    """
    if not path.is_file():
        return Examined("the file is missing")
    data = path.read_bytes()
    header = read_header(data)
    if header.problem:
        return Examined(header.problem)
    with caught() as printed, quiet():
        examined = _examined(data, header, rule)
    return replace(examined, damaged=not examined.problem and any(DAMAGE.search(line) for line in printed))


def _examined(data: bytes, header: Header, rule: PixelRule) -> Examined:
    examined = _loaded(data)
    if examined.problem:
        return examined
    tried = _tried(data, header, _quick(header), rule)
    if header.jpeg and tried.seen and tried.seen.span < FEW_LEVELS:  # a fine texture is grey when it is shrunk
        tried = _tried(data, header, cv2.IMREAD_COLOR, rule)
    return tried if tried.problem else replace(examined, alpha=tried.alpha, seen=tried.seen)


def _tried(data: bytes, header: Header, mode: int, rule: PixelRule) -> Examined:
    """Return what decoding by a mode of OpenCV leaves of an image."""
    raw = _decoded(data, mode)
    if raw is None:
        return Examined(NO_IMAGE)
    try:
        image, alpha = by_rule(raw, data, header, rule)
    except UnreadableError as error:
        return Examined(str(error))
    return Examined(alpha=alpha, seen=_seen(image, raw, data))


def _changed(data: bytes, header: Header, mode: int, rule: PixelRule) -> np.ndarray | None:
    """Return the image as uint8 BGR where the rule makes another of it than OpenCV in this mode; else None."""
    if not rule.touches(alpha=header.alpha, deep=header.deep):
        return None
    raw = _decoded(data, cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if header.deep else 0))
    if raw is None:
        return None
    image, transparent = by_rule(raw, data, header, rule)
    as_by_mode = mode == cv2.IMREAD_COLOR and not header.deep
    return image if as_by_mode or rule.touches(alpha=transparent, deep=raw.dtype == np.uint16) else None


def _decoded(data: bytes, mode: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(str(error)) from error
        return None


def _quick(header: Header) -> int:
    """Return the mode by which examining decodes: all bits, and a JPEG no larger than it needs to."""
    if not header.jpeg:
        return cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if header.deep else 0)
    return next((mode for side, mode in REDUCED if header.side >= side), cv2.IMREAD_COLOR)


def _seen(image: np.ndarray, raw: np.ndarray, data: bytes) -> Seen:
    span = max(int(band.max()) - int(band.min()) for band in cv2.split(image))
    pixels = hashlib.sha256(np.ascontiguousarray(image).data)
    pixels.update(str(image.shape).encode())
    highest = int(raw.max()) if raw.dtype == np.uint16 else None
    return Seen(span, pixels.hexdigest(), hashlib.sha256(data).hexdigest(), highest)


def _loaded(data: bytes) -> Examined:
    """Return what Pillow reports once it has read all of the file."""
    try:
        image = opened(data)
    except MemoryError:  # says nothing of the image
        raise
    except Exception:  # a TIFF that Pillow does not know: OpenCV will tell
        return Examined()
    with image:
        width, height = image.size
        if min(width, height) < SMALLEST_SIDE:
            return Examined(f"{width} × {height} pixels are too few: each side needs at least {SMALLEST_SIDE}")
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
        return Examined(frames=frames)
