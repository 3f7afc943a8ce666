"""The feature store: what the frozen part of a network makes of every image copy and view, computed once.

With `train_from = "all"` the frozen part is empty and the store is the images' pixels themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ripik.features.pixels import pixel_inputs, pixel_path
from ripik.features.tta import IDENTITY
from ripik.models.weight_files import initial_weights, weights_inputs
from ripik.names import ALL, AUTO, HEAD, LOGISTIC
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.packed_array import is_packed
from ripik.storage.paths import layout_of
from ripik.variants import Variant

SHARE = 1000  # images that are worth a process of their own for frozen passes
PASSES = 1  # to be raised when the passes through frozen layers change


@dataclass(frozen=True)
class Pass:
    """One pass: the photos of a split through a view, or the augmented copies of its photos."""

    split: str
    copies: bool = False
    view: str = IDENTITY
    size: int = 0  # pixels a side that are stored; 0: of what the network sees

    @property
    def name(self) -> str:
        """The view, with its size where that is not the one the network was trained at."""
        return f"{self.view}@{self.size}" if self.size else self.view


def training_passes(variant: Variant) -> list[Pass]:
    """Return what the variant trains on: the photos, their augmented copies, or both, photos first."""
    size = variant.crop_from if variant.live else 0
    photos, copies = Pass("train", size=size), Pass("train", copies=True, size=size)
    if variant.data == "original":
        return [photos]
    return [photos, copies] if variant.with_original else [copies]


@dataclass(frozen=True)
class Reading:
    """How a variant's network reads images, whatever the images are: which passes, from which files."""

    settings: Settings
    variant: Variant

    @property
    def versions_per_photo(self) -> int:
        """How many versions of each photo the variant trains on: itself, its copies, or both."""
        per_pass = {False: 1, True: self.settings.augmentation.copies}
        return sum(per_pass[pass_.copies] for pass_ in training_passes(self.variant))

    @property
    def examples_per_photo(self) -> int:
        """How many versions of each photo an epoch shows."""
        there = self.versions_per_photo
        return min(self.variant.copies_per_epoch or (there if self.variant.train_from == HEAD else 1), there)

    @property
    def passes(self) -> list[Pass]:
        """Everything the variant trains on and predicts."""
        seen = [*self.predicted("train"), *self.predicted("test")]
        inner = [Pass("train")] if self.variant.inner_split or self.variant.solver == LOGISTIC else []
        return list(dict.fromkeys(training_passes(self.variant) + inner + seen))

    def predicted(self, split: str) -> list[Pass]:
        """Return what is predicted of a split: every view, at every size that the variant predicts."""
        own = self.variant.image_size
        sizes = [0 if size == own else size for size in self.variant.predict_sizes or (own,)]
        return [Pass(split, view=view, size=size) for size in sizes for view in self.settings.prediction.views]

    @property
    def from_pixels(self) -> bool:
        """Whether the network reads images: it trains all layers, or nothing of frozen ones is to be kept."""
        return self.variant.train_from == ALL or not self.settings.features.store

    @property
    def head_alone(self) -> bool:
        """Whether all that the variant's network is, is a head on stored outputs."""
        return self.variant.train_from == HEAD and not self.from_pixels

    def pixels_path(self, pass_: Pass) -> Path:
        """Return the packed file of the pass's pixels."""
        return pixel_path(self.settings, pass_.split, pass_.copies, self.side(pass_))

    def side(self, pass_: Pass) -> int:
        """Return the pixels a side of the images that are stored for a pass."""
        return pass_.size or self.variant.image_size

    @property
    def sides(self) -> list[int]:
        """The pixels a side of the photos that are predicted."""
        return list(dict.fromkeys(self.side(pass_) for pass_ in self.predicted("test")))

    def path(self, pass_: Pass) -> Path:
        """Return the packed file of what the network reads for a pass, rows in the order of the split.

        Outputs of its frozen part, (n, …) of `features.dtype`, or uint8 (n, S, S, 3) pixels, not yet seen through the
        view.
        """
        pixels = self.pixels_path(pass_)
        if self.from_pixels:
            return pixels
        return self._folder / (pixels.stem + ("" if pass_.view == IDENTITY else f"-{pass_.view}") + ".npy")

    @property
    def _folder(self) -> Path:
        variant = self.variant
        key = artifacts.digest(weights_inputs(variant))[:8]
        name = f"{variant.backbone}-{key}-{variant.train_from}-{variant.image_size}-{self.settings.features.dtype}"
        computed = "" if variant.precision == AUTO else f"-by-{variant.precision}"
        return layout_of(self.settings).features(name + computed)


@dataclass(frozen=True)
class VariantData:
    """What a variant's network reads in a run: where a pass is stored, what determines it, whether it is there."""

    run: Run
    variant: Variant

    @property
    def reading(self) -> Reading:
        """Which passes the variant reads, from which files."""
        return Reading(self.run.settings, self.variant)

    def count(self, pass_: Pass) -> int:
        """Return how many images the pass reads."""
        copies = self.run.settings.augmentation.copies if pass_.copies else 1
        return len(self.run.competition.rows(pass_.split)) * copies

    def path(self, pass_: Pass) -> Path:
        """Return the packed file of what the network reads for a pass; see `Reading.path`."""
        return self.reading.path(pass_)

    def pixel_inputs(self, pass_: Pass) -> dict[str, Any]:
        """Return what determines the stored pixels of a pass."""
        return pixel_inputs(self.run, pass_.split, pass_.copies, self.reading.side(pass_))

    def feature_inputs(self, pass_: Pass) -> dict[str, Any]:
        """Return what determines the stored outputs of a pass."""
        return {
            "version": PASSES,
            "weights": weights_inputs(self.variant),
            "train_from": self.variant.train_from,
            "precision": self.variant.precision,
            "view": pass_.view,
            "engine": self.run.settings.prediction.engine,
            "pixels": self.pixel_inputs(pass_),
        }

    def inputs(self, pass_: Pass) -> dict[str, Any]:
        """Return what determines the packed file at `path`."""
        return self.pixel_inputs(pass_) if self.reading.from_pixels else self.feature_inputs(pass_)

    def lacking(self) -> list[Pass]:
        """Return the passes of which what the network reads is not stored whole, or was made from other inputs."""
        return [pass_ for pass_ in self.reading.passes if not self._is_stored(pass_)]

    def _is_stored(self, pass_: Pass) -> bool:
        return is_packed(self.path(pass_), self.inputs(pass_), self.count(pass_))

    def is_prepared(self) -> bool:
        """Whether the run holds the initial weights and everything the network reads, made from the present inputs."""
        weights = artifacts.meta_beside(initial_weights(self.run.settings, self.variant))
        return artifacts.is_fresh(weights, weights_inputs(self.variant)) and not self.lacking()


def shares(images: int, most: int) -> int:
    """Return among how many processes, at most so many, passes of images are shared: starting one must be worth it."""
    return max(1, min(most, images // SHARE))


def pixel_passes(passes: Iterable[Pass]) -> list[Pass]:
    """Return the passes without their views: whose pixels are read for them."""
    return list(dict.fromkeys(Pass(pass_.split, pass_.copies, size=pass_.size) for pass_ in passes))
