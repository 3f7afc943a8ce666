"""Decode photos, and store them at a network's input size: one `.npy` of pixels a split or copy."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import joblib
import numpy as np

from ripik import artifacts
from ripik.augmentation import PIPELINE, build_pipeline, make_copy
from ripik.competition import Competition, fingerprint
from ripik.console import progress
from ripik.errors import InputError
from ripik.layout import layout_of
from ripik.settings import AugmentationSettings, Settings

CHUNK = 16
VERSION = 1  # to be raised when decoding or resizing changes
ORIGINAL = 0  # copy number of the photo itself; augmented copies are 1…n


def decode(path: Path) -> np.ndarray:
    """Return the photo of a file as uint8 RGB, H×W×3, turned as its EXIF orientation says.

    Raises InputError when the file is not an image that OpenCV reads.
    """
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise InputError(
            f"{path} cannot be read as an image. Replace or remove the file (and its row in the CSV, if it has one)."
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Return the image stretched to size×size pixels; area averaging where it shrinks, linear where it grows."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def pixels(settings: Settings, competition: Competition, split: str, copy: int, size: int) -> Path:
    """Return the stored pixels of a split's originals (copy 0) or of one augmented copy: uint8, (n, size, size, 3).

    The rows stand in the order of `competition.rows(split)`. The file is made on the first call, by all cores.
    Raises InputError for an unreadable image.
    """
    path = pixel_path(settings, split, copy, size)
    inputs = pixel_inputs(settings, competition, split, copy, size)
    meta = artifacts.meta_beside(path)
    if not artifacts.is_fresh(meta, inputs):
        rows = competition.rows(split)
        render = functools.partial(_render, size=size, copy=copy, augmentation=settings.augmentation)
        what = f"{'decode' if copy == ORIGINAL else f'copy {copy} of'} {split} images at {size}"
        with artifacts.making(meta, inputs, [path]):
            _store(path, render, list(zip(rows["image_id"], rows["path"], strict=True)), size, what)
    return path


def pixel_path(settings: Settings, split: str, copy: int, size: int) -> Path:
    """Return where `pixels` keeps the originals (copy 0) or an augmented copy of a split."""
    stem = split if copy == ORIGINAL else f"{split}-copy{copy:02d}"
    return layout_of(settings).pixels(size) / f"{stem}.npy"


def pixel_inputs(settings: Settings, competition: Competition, split: str, copy: int, size: int) -> dict[str, Any]:
    """Return what determines the stored pixels."""
    augmentation = settings.augmentation.model_dump(mode="json", exclude={"copies"})
    return {
        "images": fingerprint(competition, split),
        "size": size,
        "copy": copy,
        "version": VERSION if copy == ORIGINAL else [VERSION, PIPELINE],
        "augmentation": None if copy == ORIGINAL else augmentation,
    }


def augmented_copy(image: np.ndarray, image_id: str, copy: int, how: AugmentationSettings) -> np.ndarray:
    """Return one augmented copy at the pipeline's own size: uint8, (how.size, how.size, 3)."""
    return make_copy(image, image_id, copy, pipeline=_pipeline(how.preset, how.size), seed=how.seed)


@functools.lru_cache(maxsize=2)
def _pipeline(preset: str, size: int) -> Any:
    return build_pipeline(preset, size)


def _render(image_id: str, path: Path, *, size: int, copy: int, augmentation: AugmentationSettings) -> np.ndarray:
    image = decode(path)
    return resize(image if copy == ORIGINAL else augmented_copy(image, image_id, copy, augmentation), size)


def _store(path: Path, render: Callable[[str, Path], np.ndarray], rows: list, size: int, what: str) -> None:
    def fill(array: np.ndarray) -> None:
        with progress(what, len(rows)) as show:
            done = 0
            for images in in_parallel(render, rows):
                array[done : done + len(images)] = images
                done += len(images)
                show(done)

    artifacts.write_array(path, (len(rows), size, size, 3), "uint8", fill)


def in_parallel(function: Callable[..., Any], rows: Sequence[tuple]) -> Iterator[list]:
    """Call `function(*row)` for every row on all cores; yield the results in chunks, in order."""
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    workers = joblib.Parallel(n_jobs=-1, return_as="generator", pre_dispatch="4*n_jobs")
    yield from workers(joblib.delayed(_call_all)(function, chunk) for chunk in chunks)


def _call_all(function: Callable[..., Any], rows: Iterable[tuple]) -> list:
    cv2.setNumThreads(1)  # the workers are the parallelism
    return [function(*row) for row in rows]
