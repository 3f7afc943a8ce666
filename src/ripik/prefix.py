"""The passes through a frozen prefix that fill the feature store; runs in a process of its own."""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from ripik.backbone import build_backbone, cut
from ripik.batches import Batches, first_batch, prefetched
from ripik.competition import Competition
from ripik.console import say
from ripik.engine import Reporter
from ripik.errors import SurroundingsError
from ripik.features import (
    Item,
    count,
    feature_inputs,
    initial_weights,
    items_of,
    lacking_items,
    pixel_items,
    reads_pixels,
    source_path,
)
from ripik.images import pixel_inputs, pixel_path
from ripik.layout import layout_of
from ripik.packed import PackedRows, is_packed, packing
from ripik.predictors import SAMPLE, Predictor, make_predictor
from ripik.settings import Settings, Variant
from ripik.weights import load_weights, make_initial_weights

GIB = 2**30


def check_networks(settings: Settings, competition: Competition, variants: Sequence[Variant], report: Reporter) -> None:
    """Make the variants' initial weights, build and cut each network once, and ask whether the disk is large enough.

    Raises InputError for an unknown backbone or cut, a size the network cannot take, or weights of another network;
    SurroundingsError when what the variants read does not fit on the disk.
    """
    needed: dict[Path, int] = {}
    for variant in variants:
        make_initial_weights(settings, variant)
        parts = cut(build_backbone(variant.backbone, variant.image_size), variant.train_from)
        needed |= _pixel_bytes(settings, competition, variant)
        if not reads_pixels(settings, variant):
            assert parts.prefix is not None, "a variant that stores features has a prefix"
            needed |= _feature_bytes(settings, competition, variant, parts.prefix.output.shape[1:])
    check_space(layout_of(settings).run, needed)


def _pixel_bytes(settings: Settings, competition: Competition, variant: Variant) -> dict[Path, int]:
    needed = {}
    for item in pixel_items(items_of(settings, variant)):
        place = (settings, competition, item.split, item.copies, variant.image_size)
        path, images = pixel_path(settings, *place[2:]), count(settings, competition, item)
        if not is_packed(path, pixel_inputs(*place), images):
            needed[path] = images * variant.image_size**2 * 3
    return needed


def _feature_bytes(
    settings: Settings, competition: Competition, variant: Variant, shape: Sequence[int]
) -> dict[Path, int]:
    row = math.prod(shape) * np.dtype(settings.features.dtype).itemsize
    return {
        source_path(settings, variant, item): count(settings, competition, item) * row
        for item in lacking_items(settings, competition, variant)
    }


def check_space(folder: Path, needed: dict[Path, int]) -> None:
    """Raise SurroundingsError when files of these sizes, in bytes, do not fit on the disk of `folder`."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free + sum(_written(path) for path in needed)
    if sum(needed.values()) > free:
        largest = max(needed, key=lambda path: needed[path])
        raise SurroundingsError(
            f"the run would store {sum(needed.values()) / GIB:.1f} GiB in {folder} ({needed[largest] / GIB:.1f} GiB of "
            f"them in {largest.relative_to(folder)}), but only {free / GIB:.1f} GiB are free there. Free some, choose "
            "another paths.output, or store less: fewer augmentation.copies, a smaller image_size, a later train_from, "
            'features.dtype = "float16".'
        )


def _written(path: Path) -> int:
    """Return the bytes that a file, or its unfinished part, already takes."""
    files = (path, path.with_name(f".{path.name}.partial"))
    return sum(file.stat().st_blocks * 512 for file in files if file.exists())


def fill_store(settings: Settings, competition: Competition, variants: Sequence[Variant], report: Reporter) -> None:
    """Make the prefix outputs that any of the variants lacks."""
    for variant in variants:
        lacking = lacking_items(settings, competition, variant)
        if not lacking:
            continue
        prefix = build_prefix(variant, initial_weights(settings, variant))
        first = PackedRows([_pixels_of(settings, variant, lacking[0])])
        predictor = make_predictor(prefix, settings.prediction.engine, first_batch(first, SAMPLE))
        say(f"frozen passes of {variant.backbone} before {variant.train_from}: {predictor}")
        progress = _Progress(report, sum(count(settings, competition, item) for item in lacking))
        for item in lacking:
            _fill(settings, competition, variant, item, prefix.output.shape[1:], predictor, progress)


def build_prefix(variant: Variant, weights: Path) -> keras.Model:
    """Return the frozen prefix of a variant, pixels → stored outputs, with its initial weights."""
    backbone = build_backbone(variant.backbone, variant.image_size)
    load_weights(backbone, weights)
    prefix = cut(backbone, variant.train_from).prefix
    assert prefix is not None, "a variant that trains all layers has no prefix"
    prefix.jit_compile = False  # XLA on a CPU is several times slower
    return prefix


class _Progress:
    """Counts images over several items and reports them with their rate."""

    def __init__(self, report: Reporter, total: int) -> None:
        self.report, self.total = report, total
        self.done = self.passed = 0
        self.start = time.monotonic()

    def skip(self, images: int) -> None:
        self.done += images

    def add(self, images: int) -> None:
        self.done, self.passed = self.done + images, self.passed + images
        self.report(self.done, self.total, f"{self.passed / (time.monotonic() - self.start):.0f} images/s")


def _pixels_of(settings: Settings, variant: Variant, item: Item) -> Path:
    return pixel_path(settings, item.split, item.copies, variant.image_size)


def _fill(
    settings: Settings,
    competition: Competition,
    variant: Variant,
    item: Item,
    shape: Sequence[int],
    predictor: Predictor,
    progress: _Progress,
) -> None:
    images, how = PackedRows([_pixels_of(settings, variant, item)]), settings.prediction
    with packing(
        source_path(settings, variant, item),
        count(settings, competition, item),
        shape,
        settings.features.dtype,
        inputs=feature_inputs(settings, competition, variant, item),
        maker=predictor.record(),
    ) as making:
        missing = making.missing()
        progress.skip(making.count - len(missing))
        batches = Batches(images, missing, how.batch_size, view=item.view)
        _write_outputs(predictor, batches, making.write, progress)


def _write_outputs(
    predictor: Predictor, batches: Batches, write: Callable[[int, np.ndarray], None], progress: _Progress
) -> None:
    done = 0
    for outputs in predictor.stream(prefetched(batches)):
        rows = batches.examples[done : done + len(outputs)]
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for part, found in zip(np.split(rows, breaks), np.split(outputs, breaks), strict=True):
            write(int(part[0]), found)
        done += len(outputs)
        progress.add(len(outputs))
