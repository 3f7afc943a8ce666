"""Formats in which a pool of images can be kept: each writes a file, and reads batches of its rows at random."""

from __future__ import annotations

import importlib
import os
import zlib
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np


class Reader(Protocol):
    """An opened pool."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the images of these rows: uint8, (n, S, S, 3)."""


class Memmap:
    """Raw rows behind a `.npy` header, read by fancy indexing of a memory map."""

    name = "raw uint8, np.memmap"

    @staticmethod
    def write(path: Path, images: np.ndarray) -> None:
        """Append row after row."""
        with path.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": images.shape}
            np.lib.format.write_array_header_2_0(file, header)
            for image in images:
                file.write(image.data)

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.array = np.load(path, mmap_mode="r")

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Copy the rows out of the map."""
        return np.asarray(self.array[rows])


class Pread(Memmap):
    """The same file, each row read by `os.preadv` into its place in the batch."""

    name = "raw uint8, os.preadv"

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape, self.file = shape, path.open("rb")
        np.lib.format.read_magic(self.file)
        np.lib.format.read_array_header_2_0(self.file)
        self.start, self.bytes = self.file.tell(), int(np.prod(shape))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read each row."""
        batch = np.empty((len(rows), *self.shape), np.uint8)
        for row, place in zip(rows.tolist(), batch, strict=True):
            os.preadv(self.file.fileno(), [place], self.start + row * self.bytes)
            self.check(place, row)
        return batch

    def check(self, place: np.ndarray, row: int) -> None:
        """Trust the file."""


class CheckedPread(Pread):
    """The same with the CRC-32 of every row compared on reading."""

    name = "raw uint8, os.preadv + crc32"

    @staticmethod
    def write(path: Path, images: np.ndarray) -> None:
        """Write the rows, and their checksums beside them."""
        Memmap.write(path, images)
        path.with_suffix(".crc").write_bytes(
            np.array([zlib.crc32(image.tobytes()) for image in images], np.uint32).tobytes()
        )

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        super().__init__(path, shape)
        self.sums = np.fromfile(path.with_suffix(".crc"), np.uint32).tolist()

    def check(self, place: np.ndarray, row: int) -> None:
        """Raise ValueError for a row that is not what was written."""
        if zlib.crc32(place.data) != self.sums[row]:
            raise ValueError(f"row {row} is damaged")


def _encode(image: np.ndarray) -> bytes:
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert encoded
    return bytes(data)


def _decode(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


class PackedJpeg:
    """JPEGs of quality 95 one after the other, and their offsets. Colours stay in the order they have."""

    name = "packed JPEG q95"

    @staticmethod
    def write(path: Path, images: np.ndarray) -> None:
        """Encode and append."""
        offsets = [0]
        with path.open("wb") as file:
            for image in images:
                offsets.append(offsets[-1] + file.write(_encode(image)))
        path.with_suffix(".offsets").write_bytes(np.array(offsets, np.int64).tobytes())

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.file, self.shape = path.open("rb"), shape
        self.offsets = np.fromfile(path.with_suffix(".offsets"), np.int64).tolist()

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read and decode each row."""
        batch = np.empty((len(rows), *self.shape), np.uint8)
        for row, place in zip(rows.tolist(), batch, strict=True):
            start, end = self.offsets[row : row + 2]
            place[:] = _decode(os.pread(self.file.fileno(), end - start, start))
        return batch


class RawRecords:
    """ArrayRecord, one uncompressed record an image, read in batches by its own data source."""

    name, options = "ArrayRecord, uncompressed", "group_size:1,uncompressed"

    @staticmethod
    def pack(image: np.ndarray) -> bytes:
        """Return a record."""
        return image.tobytes()

    def unpack(self, record: bytes) -> np.ndarray:
        """Return an image."""
        return np.frombuffer(record, np.uint8).reshape(self.shape)

    @classmethod
    def write(cls, path: Path, images: np.ndarray) -> None:
        """Write one record an image."""
        module = importlib.import_module("array_record.python.array_record_module")
        writer = module.ArrayRecordWriter(str(path), cls.options)
        for image in images:
            writer.write(cls.pack(image))
        writer.close()

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        module = importlib.import_module("array_record.python.array_record_data_source")
        self.source, self.shape = module.ArrayRecordDataSource([str(path)]), shape  # its defaults are for random reads

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read a batch in one call."""
        return np.stack([self.unpack(record) for record in self.source.__getitems__(rows.tolist())])


class ZstdRecords(RawRecords):
    """ArrayRecord with its default compression."""

    name, options = "ArrayRecord, zstd", "group_size:1"


class JpegRecords(RawRecords):
    """ArrayRecord of JPEGs."""

    name = "ArrayRecord of JPEG q95"

    @staticmethod
    def pack(image: np.ndarray) -> bytes:
        """Return a record."""
        return _encode(image)

    def unpack(self, record: bytes) -> np.ndarray:
        """Return an image."""
        return _decode(record)


FORMATS: tuple[type[Any], ...] = (Memmap, Pread, CheckedPread, PackedJpeg, RawRecords, ZstdRecords, JpegRecords)
