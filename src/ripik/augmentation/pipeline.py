"""Augmented copies of a photo: the source's Albumentations 1.3 pipeline with its 1.3 meaning, on 2.0.8.

Where 2.0.8 still has a transform of the same statistics it is used, every parameter written out; those it changed,
dropped or slowed stand in `albumentations13`. All of it sees RGB: the source handed over OpenCV's BGR, which turned
hue, saturation and CLAHE into something else by mistake.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ripik.augmentation import albumentations13 as own
from ripik.names import Preset
from ripik.settings import AugmentationSettings

if TYPE_CHECKING:
    import albumentations as alb

NAMES = (  # what the source called the steps of a preset
    *("Resize", "Flip", "Transpose", "RandomBrightnessContrast", "MedianBlur", "MotionBlur", "GaussNoise"),
    *("OpticalDistortion", "GridDistortion", "ElasticTransform", "HueSaturationValue", "CLAHE", "ShiftScaleRotate"),
    "CoarseDropout",
)


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

    plain = _function_transform()
    return [
        alb.Resize(size, size, interpolation=cv2.INTER_LINEAR, area_for_downscale=None, p=1.0),
        plain(own.flip, p=0.5),
        plain(own.transpose, p=0.5),
        alb.RandomBrightnessContrast((-0.2, 0.2), (-0.2, 0.2), brightness_by_max=True, ensure_safe_range=False, p=0.5),
        alb.MedianBlur(blur_limit=(3, 3), p=0.1),
        plain(partial(own.motion_blur, sizes=(3, 5, 7)), p=0.2),
        plain(partial(own.gauss_noise, variance=(10.0, 50.0)), p=0.1),
        plain(partial(own.optical_distortion, limit=0.05), p=0.3),
        plain(partial(own.grid_distortion, steps=5, limit=0.3), p=0.1),
        plain(partial(own.elastic, alpha=120.0, sigma=6.0, alpha_affine=3.6), p=0.1),
        plain(partial(own.shift_hsv, hue=20.0, saturation=30.0, value=20.0), p=0.5),
        alb.CLAHE(clip_limit=(1.0, 4.0), tile_grid_size=(8, 8), p=0.5),
        plain(partial(own.shift_scale_rotate, shift=0.0625, scale=0.2, rotate=45.0), p=0.5),
        # 2.0.8's default is 1–2 holes of 10–20 % of the side
        alb.CoarseDropout(num_holes_range=(8, 8), hole_height_range=(8, 8), hole_width_range=(8, 8), fill=0, p=0.1),
    ]


def _albumentations2(size: int) -> list[Any]:
    """The same names with 2.0.8's own defaults wherever the source gave no value: for comparison, not for training.

    `Flip` is what replaces it in 2.x: a horizontal or a vertical flip, never both.
    """
    import albumentations as alb

    warped = {"interpolation": cv2.INTER_LINEAR, "border_mode": cv2.BORDER_CONSTANT, "fill": 0}
    mirrors = [alb.HorizontalFlip(p=1.0), alb.VerticalFlip(p=1.0)]
    return [
        alb.Resize(size, size, interpolation=cv2.INTER_LINEAR, area_for_downscale=None, p=1.0),
        alb.OneOf(mirrors, p=0.5),
        alb.Transpose(p=0.5),
        alb.RandomBrightnessContrast((-0.2, 0.2), (-0.2, 0.2), brightness_by_max=True, ensure_safe_range=False, p=0.5),
        alb.MedianBlur(blur_limit=(3, 3), p=0.1),
        alb.MotionBlur((3, 7), allow_shifted=True, angle_range=(0.0, 360.0), direction_range=(-1.0, 1.0), p=0.2),
        alb.GaussNoise((0.2, 0.44), mean_range=(0.0, 0.0), per_channel=True, noise_scale_factor=1.0, p=0.1),
        alb.OpticalDistortion((-0.05, 0.05), mode="camera", p=0.3, **warped),
        alb.GridDistortion(num_steps=5, distort_limit=(-0.3, 0.3), normalized=True, p=0.1, **warped),
        alb.ElasticTransform(
            120.0, 6.0, approximate=False, same_dxdy=False, noise_distribution="gaussian", p=0.1, **warped
        ),
        alb.HueSaturationValue((-20.0, 20.0), (-30.0, 30.0), (-20.0, 20.0), p=0.5),
        alb.CLAHE(clip_limit=(1.0, 4.0), tile_grid_size=(8, 8), p=0.5),
        alb.ShiftScaleRotate((-0.0625, 0.0625), (-0.2, 0.2), (-45.0, 45.0), p=0.5, **warped),
        alb.CoarseDropout((1, 2), hole_height_range=(0.1, 0.2), hole_width_range=(0.1, 0.2), fill=0, p=0.1),
    ]


PIPELINE = 2  # to be raised when a preset changes
PRESETS: Mapping[Preset, Callable[[int], list[Any]]] = MappingProxyType(
    {"source": _source, "albumentations2": _albumentations2}
)


def build_pipeline(preset: Preset, size: int) -> alb.Compose:
    """Resize to size×size and the 14 transforms of a preset; for one thread, as every copy re-seeds it.

    Sets OpenCV to one thread in this process: the processes above it already use every core.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else the import asks the network for a newer version
    import albumentations as alb

    cv2.setNumThreads(1)
    with warnings.catch_warnings():  # 2.0.8 would have ShiftScaleRotate written as Affine
        warnings.filterwarnings("ignore", "ShiftScaleRotate is a special case")
        steps = PRESETS[preset](size)
    return alb.Compose(steps, p=1.0, strict=True)


def copy_seed(image_id: int | str, copy: int, seed: int) -> int:
    """64-bit seed of one copy, the same on every platform and in every process; ids 7 and "7" are one."""
    key = json.dumps([int(seed), str(image_id), int(copy)])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def make_copies(
    image: np.ndarray, image_id: int | str, copies: Sequence[int], *, pipeline: alb.Compose, seed: int
) -> Iterator[np.ndarray]:
    """Yield the augmented copies of these numbers, each a pure function of (image, id, its number, seed, pipeline).

    image: uint8, H×W×3, RGB, left as it was and resized once; yields uint8, size×size×3, RGB, each an array of its
    own. Raises ValueError for other images.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 H×W×3 RGB image, got {image.dtype} {image.shape}")
    resized = pipeline.transforms[0](image=image)["image"].view()
    resized.flags.writeable = False
    for copy in copies:
        number = copy_seed(image_id, copy, seed)
        # Not set_random_seed: it gives every transform a generator of its own with the same seed, so that all
        # the draws "does it apply?" are equal, and half of the copies would be the bare photo.
        pipeline.set_random_state(np.random.default_rng(number), random.Random(number))
        made = pipeline(image=resized)["image"]
        yield made.copy() if np.may_share_memory(made, resized) else made


def make_copy(image: np.ndarray, image_id: int | str, copy: int, *, pipeline: alb.Compose, seed: int) -> np.ndarray:
    """Return one augmented copy: `make_copies` for a single number."""
    (made,) = make_copies(image, image_id, [copy], pipeline=pipeline, seed=seed)
    return made


def alone(image: np.ndarray, pipeline: alb.Compose, seed: int) -> Iterator[np.ndarray]:
    """Yield the image under each step of the pipeline by itself, applied for certain, in the order of NAMES."""
    for step in pipeline.transforms:
        step.set_random_state(np.random.default_rng(seed), random.Random(seed))
        yield step(image=image, force_apply=True)["image"]


def augmented_copies(
    image: np.ndarray, image_id: str, copies: Sequence[int], how: AugmentationSettings
) -> Iterator[np.ndarray]:
    """Yield the augmented copies of these numbers (from 1): uint8, (how.size, how.size, 3)."""
    return make_copies(image, image_id, copies, pipeline=_pipeline(how.preset, how.size), seed=how.seed)


@functools.lru_cache(maxsize=2)
def _pipeline(preset: Preset, size: int) -> Any:
    return build_pipeline(preset, size)
