"""Pages of photos: one HTML file without scripts that opens from disk, also with the network off."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import jinja2
import numpy as np

from ripik.data.image_files import decode
from ripik.data.pixel_rule import USUAL, PixelRule
from ripik.errors import InputError
from ripik.storage import artifacts

DENSITY = 2  # stored pixels a CSS pixel: sharp on a phone, and there to be enlarged
QUALITY = 70  # of the JPEG tiles


@dataclass(frozen=True)
class Picture:
    """A photo with a caption and a smaller note under it; an alarm is marked by more than its colour."""

    path: Path
    caption: str
    note: str = ""
    alarm: bool = False


@dataclass(frozen=True)
class Row:
    """Photos that belong together."""

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Section:
    """A heading, a text and rows of photos, the first of `total` where there are more than a page should hold."""

    title: str
    text: str
    rows: Sequence[Row]
    total: int = 0


def write_gallery(
    path: Path, title: str, intro: str, sections: Sequence[Section], *, rule: PixelRule = USUAL, tile: int = 112
) -> None:
    """Write the sections as a page, atomically; every text is shown as it is, HTML in it included.

    rule: by which the photos are decoded. tile: the longer side of a photo in CSS pixels; twice as many are stored,
    and shown when a photo is selected. A photo of some hundred pixels takes about 12 KB of the page, so the caller
    bounds their number. A file that cannot be read leaves a tile with its name.
    """
    page = environment().get_template("gallery.html")
    encode = partial(data_uri, tile=tile, rule=rule)
    text = page.render(title=title, intro=intro, sections=sections, tile=tile, encode=encode)
    artifacts.write_text(path, text.encode("utf-8", "replace").decode())


def environment() -> jinja2.Environment:
    """Return the environment of the package's own templates; it escapes every value."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("ripik"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(path: Path, tile: int, rule: PixelRule = USUAL) -> str:
    """Return the photo, oriented as the models see it, as a JPEG data URI; empty when it cannot be read.

    Its longer side has at most twice `tile` pixels; a smaller photo keeps its size.
    """
    try:
        photo = decode(path, rule)
    except (InputError, OSError):
        return ""
    return jpeg_uri(fit(photo, tile * DENSITY))


def jpeg_uri(photo: np.ndarray) -> str:
    """Return an image, uint8 (H, W, 3) RGB, as a JPEG data URI."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), quality)[1]
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def fit(photo: np.ndarray, side: int) -> np.ndarray:
    """Return an image whose longer side has at most `side` pixels; a smaller one as it is."""
    height, width = photo.shape[:2]
    shrink = side / max(height, width)
    if shrink >= 1:
        return photo
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
