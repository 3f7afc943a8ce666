"""The prefix store: what the frozen part of a network makes of every image copy and view, computed once.

With `train_from = "all"` the prefix is empty and the store is the images' pixels themselves.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ripik import artifacts
from ripik.competition import Competition
from ripik.errors import InputError
from ripik.images import ORIGINAL, pixel_inputs, pixel_path
from ripik.layout import layout_of
from ripik.settings import ALL, Settings, Variant
from ripik.views import get_view

IDENTITY = "identity"
IMAGENET, RANDOM = "imagenet", "random"


@dataclass(frozen=True)
class Item:
    """One pass over a split: which copy of each image (0: the photo itself), seen through which view."""

    split: str
    copy: int = ORIGINAL
    view: str = IDENTITY

    @property
    def name(self) -> str:
        """`train`, `train-copy03`, `test-hflip`: the stem of the stored file."""
        copy = f"-copy{self.copy:02d}" if self.copy else ""
        return self.split + copy + ("" if self.view == IDENTITY else f"-{self.view}")


def training_items(variant: Variant, copies: int) -> list[Item]:
    """Return what the variant trains on: the originals, every augmented copy, or both."""
    original = [Item("train")]
    if variant.data == "original":
        return original
    augmented = [Item("train", copy) for copy in range(1, copies + 1)]
    return original + augmented if variant.with_original else augmented


def items_of(settings: Settings, variant: Variant) -> list[Item]:
    """Return everything the variant trains on and predicts."""
    seen = [Item(split, ORIGINAL, view) for split in ("train", "test") for view in settings.prediction.views]
    inner = [Item("train")] if variant.inner_split else []
    return list(dict.fromkeys(training_items(variant, settings.augmentation.copies) + inner + seen))


def stored(settings: Settings, variant: Variant, item: Item) -> Path:
    """Return the file that holds what the variant's suffix reads for `item`, rows in the order of the split.

    float32 (n, …) prefix outputs, or uint8 (n, S, S, 3) pixels, unviewed, when the prefix is empty.
    """
    if variant.train_from == ALL:
        return pixel_path(settings, item.split, item.copy, variant.image_size)
    return _folder(settings, variant) / f"{item.name}.npy"


def batches(array: np.ndarray, rows: np.ndarray, view: str, batch_size: int) -> Iterator[np.ndarray]:
    """Yield the rows of a stored array in batches, the last one short; pixels are seen through `view`."""
    for start in range(0, len(rows), batch_size):
        batch = np.asarray(array[rows[start : start + batch_size]])
        yield np.ascontiguousarray(get_view(view).apply(batch)) if is_pixels(array) else batch


def is_pixels(array: np.ndarray) -> bool:
    """Whether a stored array holds images rather than a prefix's outputs."""
    return array.dtype == np.uint8


def weights_inputs(variant: Variant) -> dict[str, str]:
    """Return what determines a backbone's initial weights; InputError when they are a file that is not there."""
    inputs = {"backbone": variant.backbone, "weights": variant.weights}
    if variant.weights not in (IMAGENET, RANDOM):
        path = Path(variant.weights).expanduser()
        if not path.is_file():
            raise InputError(
                f"network.weights: there is no file {path}. Give the path of a weights file, "
                f'"{IMAGENET}" (Keras cache or download) or "{RANDOM}".'
            )
        inputs["weights"] = _digest(path, path.stat().st_mtime_ns)
    return inputs


@functools.lru_cache
def _digest(path: Path, modified: int) -> str:
    return artifacts.file_digest(path)


def initial_weights(settings: Settings, variant: Variant) -> Path:
    """Return where the run keeps the initial weights of the variant's backbone."""
    key = artifacts.digest(weights_inputs(variant))[:8]
    return layout_of(settings).backbone(f"{variant.backbone}-{key}")


def feature_inputs(settings: Settings, competition: Competition, variant: Variant, item: Item) -> dict[str, Any]:
    """Return what determines the stored prefix outputs of `item`."""
    return {
        "weights": weights_inputs(variant),
        "train_from": variant.train_from,
        "view": item.view,
        "pixels": pixel_inputs(settings, competition, item.split, item.copy, variant.image_size),
    }


def is_prepared(settings: Settings, competition: Competition, variant: Variant) -> bool:
    """Whether the run holds the variant's initial weights and prefix outputs, made from the present inputs."""
    if not artifacts.is_fresh(artifacts.meta_beside(initial_weights(settings, variant)), weights_inputs(variant)):
        return False
    return variant.train_from == ALL or not lacking_items(settings, competition, variant)


def lacking_items(settings: Settings, competition: Competition, variant: Variant) -> list[Item]:
    """Return the items whose prefix outputs are not stored, or were made from other inputs."""

    def fresh(item: Item) -> bool:
        meta = artifacts.meta_beside(stored(settings, variant, item))
        return artifacts.is_fresh(meta, feature_inputs(settings, competition, variant, item))

    return [item for item in items_of(settings, variant) if not fresh(item)]


def _folder(settings: Settings, variant: Variant) -> Path:
    key = artifacts.digest(weights_inputs(variant))[:8]
    return layout_of(settings).features(f"{variant.backbone}-{key}-{variant.train_from}-{variant.image_size}")
