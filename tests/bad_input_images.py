"""The cases of `tests.bad_input` about image files."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from tests.bad_input_world import SIDE, TRAIN, Case, Spoil, draw
from tests.conftest import Tiny

from ripik.data.image_files import decode

REMEDY = ("Replace the files", "on_bad_image")
SKIP = ("folds", "--set", "competition.on_bad_image=skip")
FRAMES = ("of several frames the first is used: 1 of 16",)
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(400)
Harm = Callable[[bytes], bytes]


def image(harm: Harm, name: str = "3.jpg", split: str = "train") -> Spoil:
    """Change the bytes of an image."""

    def spoil(tiny: Tiny) -> None:
        path = tiny.input / split / "images" / name
        path.write_bytes(harm(path.read_bytes()))

    return spoil


def pixels(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def saved(kind: str, mode: str = "RGB", **more: object) -> Harm:
    """Write an image by Pillow, in another format or mode."""

    def change(data: bytes) -> bytes:
        buffer = io.BytesIO()
        picture = Image.fromarray(pixels(data)).convert(mode)
        if mode == "RGBA":
            picture.putalpha(100)
        picture.save(buffer, kind, **more)
        return buffer.getvalue()

    return change


def sixteen_bits(data: bytes) -> bytes:
    return cv2.imencode(".png", pixels(data)[..., ::-1].astype(np.uint16) * 257)[1].tobytes()


def turned(data: bytes) -> bytes:
    """Return the upper half of the photo, with the mark that it is to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(pixels(data)[: SIDE // 2]).save(buffer, "JPEG", exif=exif, quality=95, subsampling=0)
    return buffer.getvalue()


def frames(kind: str) -> Harm:
    def change(data: bytes) -> bytes:
        buffer = io.BytesIO()
        first = Image.fromarray(pixels(data))
        first.save(buffer, kind, save_all=True, append_images=[first.rotate(90)], duration=100)
        return buffer.getvalue()

    return change


def by_header(width: int, height: int) -> Harm:
    """Write a PNG of some bytes that tells of so many pixels."""

    def change(data: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        rest = _chunk(b"IDAT", zlib.compress(b"\0" * 999)) + _chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + rest

    return change


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def large_jpeg(data: bytes) -> bytes:
    """Return a JPEG whose header tells of 50,000 × 50,000 pixels."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 50_000, 50_000) + data[at + 4 :]


def of_size(width: int, height: int) -> Harm:
    return lambda data: cv2.imencode(".png", np.full((height, width, 3), 7, np.uint8))[1].tobytes()


def reads_as(wanted: Callable[[np.ndarray], np.ndarray] = np.asarray, tolerance: float = 1) -> Callable[[Tiny], None]:
    """Check that all rows are there, and that image 3 is read as this is made of its photo."""

    def check(tiny: Tiny) -> None:
        rows_without()(tiny)
        found, expected = decode(tiny.input / "train" / "images" / "3.jpg"), wanted(pixels(draw().jpegs["3.jpg"]))
        assert (found.dtype, found.shape) == (np.uint8, expected.shape)
        assert np.abs(found.astype(float) - expected).mean() < tolerance

    return check


def rows_without(*ids: str) -> Callable[[Tiny], None]:
    """Check that folds.csv has all rows but these."""

    def check(tiny: Tiny) -> None:
        frame = pd.read_csv(tiny.run / "folds.csv", dtype=str)
        assert frame["image_id"].tolist() == [text for text in tiny.truth["image_id"] if text not in ids]

    return check


def listed(split: str, image_id: str) -> Callable[[Tiny], None]:
    """Check that unreadable.csv tells of this image alone, and that nothing else is missing."""

    def check(tiny: Tiny) -> None:
        rows_without(*([image_id] if split == "train" else []))(tiny)
        found = pd.read_csv(tiny.run / "unreadable.csv", dtype=str)
        assert found[["image_id", "split"]].to_numpy().tolist() == [[image_id, split]]

    return check


def grey(photo: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))


def on_white(photo: np.ndarray) -> np.ndarray:
    return np.round(255 - (255.0 - photo) * 100 / 255)


def float_tiff(data: bytes) -> bytes:
    return cv2.imencode(".tif", pixels(data).astype(np.float32) / 255)[1].tobytes()


def four_bands(data: bytes) -> bytes:
    photo = pixels(data)
    return cv2.imencode(".tif", np.dstack([photo, photo[..., 0]]))[1].tobytes()


def fine(name: str, harm: Harm, check: Callable[[Tiny], None], *says: str) -> Case:
    return Case("images", name, image(harm), ("folds: wrote", *says), 0, ("folds",), check)


def bad(name: str, spoil: Spoil, *says: str) -> Case:
    return Case("images", name, spoil, ("unreadable training images", "3.jpg", *says, "unreadable.csv", *REMEDY), 2)


CASES = (
    *(fine(f"a {kind} named .jpg", saved(kind), reads_as()) for kind in ("PNG", "BMP")),
    fine("a WebP named .jpg", saved("WEBP", lossless=True), reads_as()),
    fine("grey", saved("JPEG", "L", quality=95), reads_as(grey, 3)),
    fine("16 bits", sixteen_bits, reads_as()),
    fine("a palette", saved("PNG", "P"), reads_as(tolerance=40)),
    fine("CMYK", saved("JPEG", "CMYK", quality=95), reads_as(tolerance=5)),
    fine("turned by EXIF", turned, reads_as(lambda photo: np.rot90(photo[: SIDE // 2], -1), 3)),
    fine("alpha", saved("PNG", "RGBA"), reads_as(on_white, 2), "transparency is composited on white: 1 of 16"),
    bad("a float TIFF", image(float_tiff), "floating-point numbers", "8- or 16-bit RGB"),
    bad("a TIFF of four bands", image(four_bands), "its 4 bands", "8- or 16-bit RGB"),
    fine("an animated PNG", frames("PNG"), reads_as(), *FRAMES),
    fine("an animated GIF", frames("GIF"), reads_as(tolerance=40), *FRAMES),
    bad("zero bytes", image(lambda data: b""), "the file is empty (0 bytes)"),
    bad("cut", image(lambda data: data[: len(data) // 2]), "truncated or damaged"),
    bad("cut at the end", image(lambda data: data[:-40]), "truncated or damaged"),
    bad("a cut PNG", image(lambda data: saved("PNG")(data)[:-400]), "truncated or damaged"),
    bad("a text", image(lambda data: b"no image"), "not an image"),
    bad("a HEIC named .jpg", image(lambda data: HEIC), "3.jpg: it is a HEIC image", "save it as JPEG"),
    bad("a web page", image(lambda data: b"<html>404 not found</html>"), "not an image"),
    bad("1 × 1 pixels", image(of_size(1, 1)), "1 × 1 pixels are too few", "8"),
    bad("7 pixels wide", image(of_size(7, 90)), "7 × 90 pixels are too few", "8"),
    bad("50,000 × 50,000 by its header, PNG", image(by_header(50_000, 50_000)), "more than 100 million pixels"),
    bad("50,000 × 50,000 by its header, JPEG", image(large_jpeg), "more than 100 million pixels"),
    bad("0 pixels by its header", image(by_header(0, 9)), "truncated or damaged"),
    bad("missing", lambda tiny: (tiny.input / "train" / "images" / "3.jpg").unlink(), "the file is missing"),
    Case(
        "images",
        "cut, to be skipped",
        image(lambda data: data[:200]),
        ("warning: unreadable training images are left out", "truncated"),
        0,
        SKIP,
        listed("train", "3"),
    ),
    Case(
        "images",
        "a test image is cut",
        image(lambda data: data[:200], "14.jpg", "test"),
        ("warning: unreadable test images", "class shares", "1 of 4", "14.jpg", "truncated"),
        0,
        ("folds",),
        listed("test", "14"),
    ),
    Case(
        "images",
        "all of a class are cut, to be skipped",
        lambda tiny: [image(lambda data: data[:200], f"{number}.jpg")(tiny) for number in range(1, TRAIN, 3)],
        ("of the class 1 no training image", "unreadable.csv", "replace"),
        2,
        SKIP,
    ),
    Case(
        "images",
        "most files are missing",
        lambda tiny: [(tiny.input / "train" / "images" / f"{number}.jpg").unlink() for number in range(1, 8)],
        ("7 of the 12 images of input/train/train.csv are not in input/train/images", "1.jpg"),
        2,
        SKIP,
    ),
)
