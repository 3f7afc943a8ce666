"""Augmented copies of a photo: the source's Albumentations 1.3 pipeline with its 1.3 meaning, on 2.0.8.

Where 2.0.8 still has a transform of the same statistics it is used, every parameter written out; the six it
changed or dropped are plain functions of (image, generator) here. All of it sees RGB: the source handed over
OpenCV's BGR, which turned hue, saturation and CLAHE into something else by mistake.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ripik.errors import InputError, nearest

if TYPE_CHECKING:
    import albumentations as alb

REFLECT = cv2.BORDER_REFLECT_101  # 1.3's border everywhere; 2.0.8's default is constant black


def flip(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror vertically, horizontally or both, each with probability 1/3 (2.0.8 has no `Flip`)."""
    return cv2.flip(image, int(rng.integers(-1, 2)))


def motion_blur(image: np.ndarray, rng: np.random.Generator, *, sizes: tuple[int, ...]) -> np.ndarray:
    """Average along a line between two distinct random cells of a k×k kernel, k drawn from `sizes`.

    2.0.8 draws the line through the kernel's centre instead: about a sixth less pixel change.
    """
    size = int(rng.choice(sizes))
    x1, x2 = rng.integers(0, size, 2).tolist()
    y1, y2 = (rng.choice(size, 2, replace=False) if x1 == x2 else rng.integers(0, size, 2)).tolist()
    kernel = cv2.line(np.zeros((size, size), np.uint8), (x1, y1), (x2, y2), (1.0,), thickness=1)
    return cv2.filter2D(image, -1, kernel.astype(np.float32) / kernel.sum())


def gauss_noise(image: np.ndarray, rng: np.random.Generator, *, variance: tuple[float, float]) -> np.ndarray:
    """Add noise per pixel and channel; its variance (0–255 scale, squared) is uniform over the range.

    2.0.8 draws the deviation uniformly, which makes the mean variance 27.5 where it was 30, and rounds
    where 1.3 cut off the fraction.
    """
    deviation = np.float32(rng.uniform(*variance) ** 0.5)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * deviation
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _bent_axis(length: int, rng: np.random.Generator, steps: int, limit: float) -> np.ndarray:
    """Source coordinate of each pixel along an axis; a last, cut-off cell ends at the image's edge."""
    step, axis, position = length // steps, np.empty(length, np.float32), 0.0
    for start in range(0, length, step):
        end = start + step
        factor = 1 + rng.uniform(-limit, limit)
        target = length if end > length else position + step * factor
        axis[start:end] = np.linspace(position, target, min(end, length) - start)
        position = target
    return axis


def grid_distortion(image: np.ndarray, rng: np.random.Generator, *, steps: int, limit: float) -> np.ndarray:
    """Stretch columns and rows of a steps×steps grid by 1±limit, not normalised to the image's bounds.

    2.0.8 squeezes a whole cell into the few pixels left over when the side is no multiple of `steps`.
    """
    height, width = image.shape[:2]
    x, y = np.meshgrid(_bent_axis(width, rng, steps, limit), _bent_axis(height, rng, steps, limit))
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=REFLECT)


def elastic(
    image: np.ndarray, rng: np.random.Generator, *, alpha: float, sigma: float, alpha_affine: float
) -> np.ndarray:
    """Move three anchors by up to alpha_affine pixels (affine), then every pixel by smoothed uniform noise.

    After Simard et al. 2003, as 1.3 had it. 2.0.8 lacks the affine part, and blurs both fields as one
    array with a replicated border, which more than doubles the displacement at the edges.
    """
    height, width = image.shape[:2]
    centre, reach = np.array([height, width]) // 2, min(height, width) // 3
    anchors = (centre + reach * np.array([[1, 1], [1, -1], [-1, -1]])).astype(np.float32)
    moved = anchors + rng.uniform(-alpha_affine, alpha_affine, anchors.shape).astype(np.float32)
    matrix = cv2.getAffineTransform(anchors, moved)
    image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=REFLECT)
    noise = rng.random((2, height, width), dtype=np.float32) * 2 - 1
    dx, dy = (cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) * alpha for field in noise)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=REFLECT)


def shift_hsv(
    image: np.ndarray, rng: np.random.Generator, *, hue: float, saturation: float, value: float
) -> np.ndarray:
    """Shift OpenCV's hue (0–179, cyclic), saturation and value by up to ± the given limits.

    1.3 cut off fractions and tinted greys (hue 0) when saturation rose; 2.0.8 rounds and leaves greys alone.
    """
    shifts = rng.uniform(-1, 1, 3) * (hue, saturation, value)
    table = np.arange(256)[:, None] + shifts
    table[:, 0] %= 180
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), np.clip(table, 0, 255).astype(np.uint8)[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


@cache
def _function_transform() -> Callable[..., alb.ImageOnlyTransform]:
    import albumentations as alb

    class FunctionTransform(alb.ImageOnlyTransform):
        """A plain function of (image, generator) as an Albumentations transform."""

        def __init__(self, function: Callable[..., np.ndarray], p: float):
            super().__init__(p=p)
            self.function = function

        def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
            return self.function(img, self.random_generator)

    return FunctionTransform


def _source(size: int) -> list[Any]:
    import albumentations as alb

    own = _function_transform()
    return [
        alb.Resize(size, size, interpolation=cv2.INTER_LINEAR, area_for_downscale=None, p=1.0),
        own(flip, p=0.5),
        alb.Transpose(p=0.5),
        alb.RandomBrightnessContrast((-0.2, 0.2), (-0.2, 0.2), brightness_by_max=True, ensure_safe_range=False, p=0.5),
        alb.MedianBlur(blur_limit=(3, 3), p=0.1),
        own(partial(motion_blur, sizes=(3, 5, 7)), p=0.2),
        own(partial(gauss_noise, variance=(10.0, 50.0)), p=0.1),
        # 1.3's shift_limit=0.05 was rounded to whole pixels, so to none
        alb.OpticalDistortion((-0.05, 0.05), interpolation=cv2.INTER_LINEAR, mode="camera", border_mode=REFLECT, p=0.3),
        own(partial(grid_distortion, steps=5, limit=0.3), p=0.1),
        own(partial(elastic, alpha=120.0, sigma=6.0, alpha_affine=3.6), p=0.1),
        own(partial(shift_hsv, hue=20.0, saturation=30.0, value=20.0), p=0.5),
        alb.CLAHE(clip_limit=(1.0, 4.0), tile_grid_size=(8, 8), p=0.5),
        # 1.3's ShiftScaleRotate(0.0625, 0.2, 45), but for the shift, which is cut to whole pixels here
        alb.Affine(
            scale=(0.8, 1.2),
            translate_percent=(-0.0625, 0.0625),
            rotate=(-45.0, 45.0),
            shear=(0.0, 0.0),
            interpolation=cv2.INTER_LINEAR,
            keep_ratio=True,
            border_mode=REFLECT,
            p=0.5,
        ),
        # 2.0.8's default is 1–2 holes of 10–20 % of the side
        alb.CoarseDropout(num_holes_range=(8, 8), hole_height_range=(8, 8), hole_width_range=(8, 8), fill=0, p=0.1),
    ]


PIPELINE = 1  # to be raised when a preset changes
PRESETS: Mapping[str, Callable[[int], list[Any]]] = MappingProxyType({"source": _source})


def check_preset(preset: str) -> None:
    """Raise InputError for a preset that does not exist."""
    if preset not in PRESETS:
        raise InputError(f"augmentation.preset: there is no preset {preset!r}{nearest(preset, list(PRESETS))}.")


def build_pipeline(preset: str, size: int) -> alb.Compose:
    """Resize to size×size and the 14 transforms of a preset; for one thread, as every copy re-seeds it.

    Sets OpenCV to one thread in this process: the processes above it already use every core.
    Raises InputError for an unknown preset.
    """
    check_preset(preset)
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else the import asks the network for a newer version
    import albumentations as alb

    cv2.setNumThreads(1)
    return alb.Compose(PRESETS[preset](size), p=1.0, strict=True)


def copy_seed(image_id: int | str, copy: int, seed: int) -> int:
    """64-bit seed of one copy, the same on every platform and in every process; ids 7 and "7" are one."""
    key = json.dumps([int(seed), str(image_id), int(copy)])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def make_copy(image: np.ndarray, image_id: int | str, copy: int, *, pipeline: alb.Compose, seed: int) -> np.ndarray:
    """One augmented copy, a pure function of (image, id, copy number, seed, pipeline).

    image: uint8, H×W×3, RGB, left as it was; returns uint8, size×size×3, RGB. Raises ValueError for others.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 H×W×3 RGB image, got {image.dtype} {image.shape}")
    number = copy_seed(image_id, copy, seed)
    # Not set_random_seed: it gives every transform a generator of its own with the same seed, so that all
    # the draws "does it apply?" are equal, and half of the copies would be the bare photo.
    pipeline.set_random_state(np.random.default_rng(number), random.Random(number))
    return pipeline(image=image.copy())["image"]
