"""The prefix store: what the frozen part of a network makes of every image copy and view, computed once.

With `train_from = "all"` the prefix is empty and the store is the images' pixels themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ripik.data.competition import Competition
from ripik.features.pixels import pixel_inputs, pixel_path
from ripik.features.tta import IDENTITY
from ripik.models.weight_files import initial_weights, weights_inputs
from ripik.settings import ALL, AUTO, HEAD, Settings, Variant
from ripik.storage import artifacts
from ripik.storage.packed_array import is_packed
from ripik.storage.paths import layout_of

SHARE = 1000  # images that are worth a process of their own for frozen passes
PASSES = 1  # to be raised when the passes through frozen layers change


@dataclass(frozen=True)
class Item:
    """One pass: the photos of a split through a view, or the augmented copies of its photos."""

    split: str
    copies: bool = False
    view: str = IDENTITY


def count(settings: Settings, competition: Competition, item: Item) -> int:
    """Return how many images the item has."""
    return len(competition.rows(item.split)) * (settings.augmentation.copies if item.copies else 1)


def training_items(variant: Variant) -> list[Item]:
    """Return what the variant trains on: the photos, their augmented copies, or both, photos first."""
    photos, copies = Item("train"), Item("train", copies=True)
    if variant.data == "original":
        return [photos]
    return [photos, copies] if variant.with_original else [copies]


def versions(settings: Settings, variant: Variant) -> int:
    """Return how many versions of each photo the variant trains on: itself, its copies, or both."""
    per_item = {False: 1, True: settings.augmentation.copies}
    return sum(per_item[item.copies] for item in training_items(variant))


def shown(settings: Settings, variant: Variant) -> int:
    """Return how many versions of each photo an epoch shows."""
    there = versions(settings, variant)
    return min(variant.copies_per_epoch or (there if variant.train_from == HEAD else 1), there)


def items_of(settings: Settings, variant: Variant) -> list[Item]:
    """Return everything the variant trains on and predicts."""
    seen = [Item(split, view=view) for split in ("train", "test") for view in settings.prediction.views]
    inner = [Item("train")] if variant.inner_split else []
    return list(dict.fromkeys(training_items(variant) + inner + seen))


def reads_pixels(settings: Settings, variant: Variant) -> bool:
    """Whether the variant's network reads images: it trains all layers, or nothing of frozen ones is to be kept."""
    return variant.train_from == ALL or not settings.features.store


def trains_head_alone(settings: Settings, variant: Variant) -> bool:
    """Whether all that the variant's network is, is a head on stored outputs."""
    return variant.train_from == HEAD and not reads_pixels(settings, variant)


def source_path(settings: Settings, variant: Variant, item: Item) -> Path:
    """Return the packed file of what the variant's network reads for `item`, rows in the order of the split.

    Outputs of its frozen part, (n, …) of `features.dtype`, or uint8 (n, S, S, 3) pixels, not yet seen through the view.
    """
    pixels = pixel_path(settings, item.split, item.copies, variant.image_size)
    if reads_pixels(settings, variant):
        return pixels
    return _folder(settings, variant) / (pixels.stem + ("" if item.view == IDENTITY else f"-{item.view}") + ".npy")


def feature_inputs(settings: Settings, competition: Competition, variant: Variant, item: Item) -> dict[str, Any]:
    """Return what determines the stored prefix outputs of `item`."""
    return {
        "version": PASSES,
        "weights": weights_inputs(variant),
        "train_from": variant.train_from,
        "precision": variant.precision,
        "view": item.view,
        "engine": settings.prediction.engine,
        "pixels": pixel_inputs(settings, competition, item.split, item.copies, variant.image_size),
    }


def is_prepared(settings: Settings, competition: Competition, variant: Variant) -> bool:
    """Whether the run holds the variant's initial weights and everything it reads, made from the present inputs."""
    if not artifacts.is_fresh(artifacts.meta_beside(initial_weights(settings, variant)), weights_inputs(variant)):
        return False
    return not lacking_items(settings, competition, variant)


def lacking_items(settings: Settings, competition: Competition, variant: Variant) -> list[Item]:
    """Return the items of which what the variant reads is not stored whole, or was made from other inputs."""

    def is_there(item: Item) -> bool:
        path, inputs = source_path(settings, variant, item), source_inputs(settings, competition, variant, item)
        return is_packed(path, inputs, count(settings, competition, item))

    return [item for item in items_of(settings, variant) if not is_there(item)]


def source_inputs(settings: Settings, competition: Competition, variant: Variant, item: Item) -> dict[str, Any]:
    """Return what determines the packed file at `source_path`."""
    if reads_pixels(settings, variant):
        return pixel_inputs(settings, competition, item.split, item.copies, variant.image_size)
    return feature_inputs(settings, competition, variant, item)


def shares(images: int, most: int) -> int:
    """Return among how many processes, at most so many, passes of images are shared: starting one must be worth it."""
    return max(1, min(most, images // SHARE))


def pixel_items(items: Iterable[Item]) -> list[Item]:
    """Return the items without their views: whose pixels are read for them."""
    return list(dict.fromkeys(Item(item.split, item.copies) for item in items))


def _folder(settings: Settings, variant: Variant) -> Path:
    key = artifacts.digest(weights_inputs(variant))[:8]
    name = f"{variant.backbone}-{key}-{variant.train_from}-{variant.image_size}-{settings.features.dtype}"
    computed = "" if variant.precision == AUTO else f"-by-{variant.precision}"
    return layout_of(settings).features(name + computed)
