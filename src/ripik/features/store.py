"""The feature store: what the frozen part of a network makes of every image copy and view, computed once.

With `train_from = "all"` the frozen part is empty and the store is the images' pixels themselves.
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
class Pass:
    """One pass: the photos of a split through a view, or the augmented copies of its photos."""

    split: str
    copies: bool = False
    view: str = IDENTITY


def count(settings: Settings, competition: Competition, pass_: Pass) -> int:
    """Return how many images the pass reads."""
    return len(competition.rows(pass_.split)) * (settings.augmentation.copies if pass_.copies else 1)


def training_passes(variant: Variant) -> list[Pass]:
    """Return what the variant trains on: the photos, their augmented copies, or both, photos first."""
    photos, copies = Pass("train"), Pass("train", copies=True)
    if variant.data == "original":
        return [photos]
    return [photos, copies] if variant.with_original else [copies]


def versions_per_photo(settings: Settings, variant: Variant) -> int:
    """Return how many versions of each photo the variant trains on: itself, its copies, or both."""
    per_pass = {False: 1, True: settings.augmentation.copies}
    return sum(per_pass[pass_.copies] for pass_ in training_passes(variant))


def examples_per_photo(settings: Settings, variant: Variant) -> int:
    """Return how many versions of each photo an epoch shows."""
    there = versions_per_photo(settings, variant)
    return min(variant.copies_per_epoch or (there if variant.train_from == HEAD else 1), there)


def passes_of(settings: Settings, variant: Variant) -> list[Pass]:
    """Return everything the variant trains on and predicts."""
    seen = [Pass(split, view=view) for split in ("train", "test") for view in settings.prediction.views]
    inner = [Pass("train")] if variant.inner_split else []
    return list(dict.fromkeys(training_passes(variant) + inner + seen))


def reads_pixels(settings: Settings, variant: Variant) -> bool:
    """Whether the variant's network reads images: it trains all layers, or nothing of frozen ones is to be kept."""
    return variant.train_from == ALL or not settings.features.store


def trains_head_alone(settings: Settings, variant: Variant) -> bool:
    """Whether all that the variant's network is, is a head on stored outputs."""
    return variant.train_from == HEAD and not reads_pixels(settings, variant)


def source_path(settings: Settings, variant: Variant, pass_: Pass) -> Path:
    """Return the packed file of what the variant's network reads for `pass_`, rows in the order of the split.

    Outputs of its frozen part, (n, …) of `features.dtype`, or uint8 (n, S, S, 3) pixels, not yet seen through the view.
    """
    pixels = pixel_path(settings, pass_.split, pass_.copies, variant.image_size)
    if reads_pixels(settings, variant):
        return pixels
    return _folder(settings, variant) / (pixels.stem + ("" if pass_.view == IDENTITY else f"-{pass_.view}") + ".npy")


def feature_inputs(settings: Settings, competition: Competition, variant: Variant, pass_: Pass) -> dict[str, Any]:
    """Return what determines the stored outputs of a pass."""
    return {
        "version": PASSES,
        "weights": weights_inputs(variant),
        "train_from": variant.train_from,
        "precision": variant.precision,
        "view": pass_.view,
        "engine": settings.prediction.engine,
        "pixels": pixel_inputs(settings, competition, pass_.split, pass_.copies, variant.image_size),
    }


def is_prepared(settings: Settings, competition: Competition, variant: Variant) -> bool:
    """Whether the run holds the variant's initial weights and everything it reads, made from the present inputs."""
    if not artifacts.is_fresh(artifacts.meta_beside(initial_weights(settings, variant)), weights_inputs(variant)):
        return False
    return not lacking_passes(settings, competition, variant)


def lacking_passes(settings: Settings, competition: Competition, variant: Variant) -> list[Pass]:
    """Return the passes of which what the variant reads is not stored whole, or was made from other inputs."""

    def is_there(pass_: Pass) -> bool:
        path, inputs = source_path(settings, variant, pass_), source_inputs(settings, competition, variant, pass_)
        return is_packed(path, inputs, count(settings, competition, pass_))

    return [pass_ for pass_ in passes_of(settings, variant) if not is_there(pass_)]


def source_inputs(settings: Settings, competition: Competition, variant: Variant, pass_: Pass) -> dict[str, Any]:
    """Return what determines the packed file at `source_path`."""
    if reads_pixels(settings, variant):
        return pixel_inputs(settings, competition, pass_.split, pass_.copies, variant.image_size)
    return feature_inputs(settings, competition, variant, pass_)


def shares(images: int, most: int) -> int:
    """Return among how many processes, at most so many, passes of images are shared: starting one must be worth it."""
    return max(1, min(most, images // SHARE))


def pixel_passes(passes: Iterable[Pass]) -> list[Pass]:
    """Return the passes without their views: whose pixels are read for them."""
    return list(dict.fromkeys(Pass(pass_.split, pass_.copies) for pass_ in passes))


def _folder(settings: Settings, variant: Variant) -> Path:
    key = artifacts.digest(weights_inputs(variant))[:8]
    name = f"{variant.backbone}-{key}-{variant.train_from}-{variant.image_size}-{settings.features.dtype}"
    computed = "" if variant.precision == AUTO else f"-by-{variant.precision}"
    return layout_of(settings).features(name + computed)
