"""Image files of every odd and broken kind, made here: bytes by name."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from conftest import draw_photo


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def photo() -> Image.Image:
    return Image.fromarray(cv2.resize(draw_photo(7), (64, 40), interpolation=cv2.INTER_CUBIC))


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header tells of this size."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 99))]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*parts, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_of_size(side: int) -> bytes:
    data = encoded(photo(), "JPEG")
    start = data.index(b"\xff\xc0") + 5
    return data[:start] + struct.pack(">HH", side, side) + data[start + 4 :]


def tiff(pixels: np.ndarray, colours: int, *extra: int) -> bytes:
    """Return an uncompressed TIFF of an array (h, w, bands), with what its PhotometricInterpretation and ExtraSamples
    tags say of the bands."""
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    height, width, bands = pixels.shape
    data = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
    tags = [(256, width), (257, height), (258, *[8 * pixels.itemsize] * bands), (259, 1), (262, colours), (273, 8)]
    tags += [(277, bands), (278, height), (279, len(data)), *([(338, *extra)] if extra else []), (339, *[kind] * bands)]
    after, entries, more = 8 + len(data), b"", b""
    for tag, *values in tags:
        wide = "I" if tag in (256, 257, 273, 278, 279) else "H"
        content = struct.pack(f"<{len(values)}{wide}", *values)
        if len(content) > 4:
            place = after + 2 + 12 * len(tags) + 4 + len(more)
            more, content = more + content, struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, 4 if wide == "I" else 3, len(values)) + content.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", after) + data + struct.pack("<H", len(tags)) + entries + bytes(4) + more


def twelve_bits(kind: str = ".png", *, grey: bool = False) -> tuple[bytes, np.ndarray]:
    """Return a file of 16 bits with values of 0 to 4095, and these: uint16 (h, w, 3) RGB."""
    values = np.asarray(photo().convert("L").convert("RGB") if grey else photo()).astype(np.uint16) << 4
    values[:2, :2], values[2:4, :2] = 4095, 0
    stored = values[..., 0] if grey else values[..., ::-1]
    return cv2.imencode(kind, stored)[1].tobytes(), values


def good() -> dict[str, bytes]:
    """Return files that are fine without a word."""
    image, turned = photo(), Image.Exif()
    turned[0x0112] = 6
    sixteen = np.asarray(image)[..., ::-1].astype(np.uint16) * 257
    return {
        "jpeg": encoded(image, "JPEG"),
        "progressive": encoded(image, "JPEG", progressive=True),
        "png": encoded(image, "PNG"),
        "webp": encoded(image, "WEBP"),
        "bmp": encoded(image, "BMP"),
        "grey": encoded(image.convert("L"), "JPEG"),
        "palette": encoded(image.convert("P"), "PNG"),
        "16-bit": cv2.imencode(".png", sixteen)[1].tobytes(),
        "16-bit TIFF": cv2.imencode(".tif", sixteen)[1].tobytes(),
        "CMYK": encoded(image.convert("CMYK"), "JPEG"),
        "turned": encoded(image, "JPEG", exif=turned),
        "more bytes after its end": encoded(image, "JPEG") + b"more",
        "with a preview": encoded(image, "MPO", save_all=True, append_images=[image]),
        "8 × 8": encoded(image.resize((8, 8)), "PNG"),
    }


def bad() -> dict[str, tuple[bytes, str]]:
    """Return files that cannot be used, and a part of the problem told."""
    image = photo()
    bands = np.zeros((40, 64, 5), np.uint8)
    whole = {"JPEG": {}, "PNG": {}, "WEBP": {}, "BMP": {}, "progressive": {"progressive": True}}
    cut = {
        f"cut {kind}": encoded(image, "JPEG" if kind == "progressive" else kind, **how) for kind, how in whole.items()
    }
    return {
        "empty": (b"", "0 bytes"),
        "text": (b"no image", "not an image"),
        "page": (b"<svg/>", "not an image"),
        "1 × 1": (encoded(image.resize((1, 1)), "PNG"), "1 × 1 pixels"),
        "7 × 40": (encoded(image.resize((7, 40)), "JPEG"), "7 × 40 pixels"),
        "huge PNG": (png_of_size(50_000, 50_000), "100 million"),
        "huge JPEG": (jpeg_of_size(50_000), "100 million"),
        "just too large": (png_of_size(10_001, 10_000), "100 million"),
        "huge TIFF": (encoded(Image.new("1", (20_000, 6_000)), "TIFF", compression="group4"), "100 million"),
        "a TIFF of floats": (tiff(np.zeros((40, 64, 1), np.float32), 1), "floating-point numbers"),
        "a TIFF of floats in colour": (tiff(np.zeros((40, 64, 3), np.float32), 2), "floating-point numbers"),
        "a TIFF of 32 bits": (tiff(np.zeros((40, 64, 1), np.uint32), 1), "numbers of 32 bits"),
        "a signed TIFF": (tiff(np.zeros((40, 64, 1), np.int16), 1), "signed numbers"),
        "a TIFF of 2 bands": (tiff(bands[..., :2], 1, 0), "its 2 bands"),
        "a TIFF of 4 bands": (tiff(bands[..., :4], 2, 0), "its 4 bands"),
        "a TIFF of 4 bands, unmarked": (tiff(bands[..., :4], 2), "its 4 bands"),
        "a TIFF of 5 bands": (tiff(bands, 2, 0, 0), "its 5 bands"),
        **{name: (data[: len(data) * 2 // 3], "truncated") for name, data in cut.items()},
        "the last byte lost": (encoded(image, "JPEG")[:-1], "truncated"),
        "cut in its header": (encoded(image, "JPEG")[:100], "truncated"),
    }
