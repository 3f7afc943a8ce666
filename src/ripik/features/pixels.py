"""Decode photos, and pack them and their augmented copies at a network's input size."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ripik.augmentation.pipeline import PIPELINE, augmented_copies
from ripik.console import progress
from ripik.data.competition import fingerprint
from ripik.data.image_files import decode
from ripik.data.pixel_rule import PixelRule
from ripik.execution import time_limit
from ripik.execution.parallel import in_parallel
from ripik.settings import AugmentationSettings, Settings
from ripik.splits.run import Run
from ripik.storage.installed import installed_version
from ripik.storage.packed_array import Unfinished, is_packed, packing
from ripik.storage.paths import layout_of

MUCH = 1.5  # how much larger an image is that linear interpolation would alias
VERSION = 3  # to be raised when decoding or resizing changes


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Return the image stretched to size×size pixels.

    It is halved by averaging while it is at least twice as large; the rest is averaged too where much is left to
    shrink, and else linear: from 512 to 224 that is several times faster than one area average, and as sharp.
    """
    while min(image.shape[:2]) >= 2 * size:
        height, width = image.shape[:2]
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    if image.shape[:2] == (size, size):
        return image
    coarse = max(image.shape[:2]) > MUCH * size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if coarse else cv2.INTER_LINEAR)


def pixels(run: Run, split: str, copies: bool, size: int) -> Path:
    """Return the packed pixels of a split's photos, or of their augmented copies: uint8, (n, size, size, 3).

    Photos stand in the order of `competition.rows(split)`; copies follow in as many blocks of that order as there are
    copies. Missing rows are made by all cores; a photo is decoded once for all its copies. An image that is not
    `readable` is black.
    Raises InputError for an image that cannot be read all the same, and OutOfTimeError; what is done is kept.
    """
    settings, competition = run.settings, run.competition
    path, inputs = pixel_path(settings, split, copies, size), pixel_inputs(run, split, copies, size)
    rows, blocks = competition.rows(split), settings.augmentation.copies if copies else 1
    if not is_packed(path, inputs, len(rows) * blocks):
        with packing(path, len(rows) * blocks, (size, size, 3), "uint8", inputs=inputs, maker=_builds()) as unfinished:
            lacking = _lacking(unfinished, len(rows))
            ids, paths = (
                list(rows["image_id"]),
                [path if ok else None for path, ok in zip(rows["path"], rows["readable"], strict=True)],
            )
            work = [(ids[number], paths[number], number, blocks) for number, blocks in lacking.items()]
            how = settings.augmentation if copies else None
            render = functools.partial(_render, unfinished=unfinished, photos=len(rows), how=how, rule=competition.rule)
            what = f"{'augmented copies of' if copies else 'pixels of'} {split} at {size}"
            _store(render, work, what)
    return path


def pixel_path(settings: Settings, split: str, copies: bool, size: int) -> Path:
    """Return where `pixels` keeps the photos of a split, or their augmented copies."""
    how = settings.augmentation
    stem = f"{split}-copies-{how.preset}-{how.size}-seed{how.seed}" if copies else split
    return layout_of(settings).pixels(size) / f"{stem}.npy"


def pixel_inputs(run: Run, split: str, copies: bool, size: int) -> dict[str, Any]:
    """Return what determines the stored pixels; the number of copies does not, as more of them are added at the end."""
    augmentation = run.settings.augmentation.recorded(exclude={"copies"})
    return {
        "images": fingerprint(run.competition, split),
        "size": size,
        "version": [VERSION, PIPELINE] if copies else VERSION,
        "augmentation": augmentation if copies else None,
        **run.competition.rule_inputs(split),
    }


def _lacking(unfinished: Unfinished, photos: int) -> dict[int, list[int]]:
    """Return the blocks (0: the first copy) that each photo lacks."""
    lacking: dict[int, list[int]] = {}
    for block, number in zip(*divmod(unfinished.missing(), photos), strict=True):
        lacking.setdefault(int(number), []).append(int(block))
    return dict(sorted(lacking.items()))


def _builds() -> dict[str, str | None]:
    """Return the versions of the libraries that decode and transform: rows of two builds are never mixed in a file.

    Photos need no Albumentations, and an inference kernel may have none.
    """
    return {name: installed_version(name) for name in ("opencv-python-headless", "albumentations", "numpy")}


def _render(
    image_id: str,
    path: Path | None,
    number: int,
    blocks: list[int],
    *,
    unfinished: Unfinished,
    photos: int,
    how: AugmentationSettings | None,
    rule: PixelRule,
) -> int:
    """Write the photo of row `number`, or the copies of it that go into these blocks; return how many."""
    size = unfinished.row_shape[0]
    photo = decode(path, rule) if path else np.zeros((size, size, 3), np.uint8)
    images = augmented_copies(photo, image_id, [block + 1 for block in blocks], how) if how else [photo]
    for block, image in zip(blocks, images, strict=True):
        unfinished.write(block * photos + number, resize(image, size)[None])
    return len(blocks)


def _store(render: Callable[..., int], work: list[tuple], what: str) -> None:
    with progress(what, sum(len(blocks) for *_, blocks in work)) as show:
        done = 0
        for made in in_parallel(render, work):
            done += sum(made)
            show(done)
            time_limit.check()
