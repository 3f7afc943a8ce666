"""The passes through a frozen part that fill the feature store; runs in a process of its own."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ripik.console import say
from ripik.data.competition import Competition
from ripik.errors import InputError, SurroundingsError
from ripik.execution.task import Reporter
from ripik.features.batches import Batches, first_batch, prefetched
from ripik.features.pixels import pixel_inputs, pixel_path
from ripik.features.store import (
    Pass,
    count,
    feature_inputs,
    lacking_passes,
    passes_of,
    pixel_passes,
    reads_pixels,
    source_path,
)
from ripik.models import backend
from ripik.models.backbone import build_backbone, cut
from ripik.models.engines import SAMPLE, Predictor, engine_told, make_predictor
from ripik.models.weights import load_initial_weights, make_initial_weights
from ripik.settings import Settings, Variant
from ripik.storage import artifacts
from ripik.storage.packed_array import Unfinished, is_packed, packing
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import layout_of


@dataclass(frozen=True)
class Shard:
    """A share of the passes, for one of several processes: whole batches, one block of them of every file."""

    number: int = 0
    of: int = 1

    def batches(self, count: int) -> range:
        """Return which of `count` batches are in the share."""
        return range(count * self.number // self.of, count * (self.number + 1) // self.of)


WHOLE = Shard()


def check_networks(settings: Settings, competition: Competition, variants: Sequence[Variant], report: Reporter) -> None:
    """Make the variants' initial weights, build and cut each network once, and ask whether the disk is large enough.

    Raises InputError for an unknown backbone or cut, a size the network cannot take, or weights of another network;
    SurroundingsError when what the variants read does not fit on the disk.
    """
    needed: dict[Path, int] = {}
    for variant in variants:
        parts = cut(build_backbone(variant.backbone, variant.image_size), variant.train_from)
        lacking = lacking_passes(settings, competition, variant)
        needed |= _pixel_bytes(settings, competition, variant, lacking)
        if not reads_pixels(settings, variant):
            assert parts.frozen is not None, "a variant that stores features has a frozen part"
            row = math.prod(parts.frozen.output.shape[1:]) * np.dtype(settings.features.dtype).itemsize
            needed |= {
                source_path(settings, variant, pass_): count(settings, competition, pass_) * row for pass_ in lacking
            }
    check_space(layout_of(settings).run, needed)
    for variant in variants:
        make_initial_weights(settings, variant)


def _pixel_bytes(
    settings: Settings, competition: Competition, variant: Variant, lacking: Sequence[Pass]
) -> dict[Path, int]:
    needed = {}
    for pass_ in pixel_passes(lacking):
        place = (settings, competition, pass_.split, pass_.copies, variant.image_size)
        path, images = pixel_path(settings, *place[2:]), count(settings, competition, pass_)
        if not is_packed(path, pixel_inputs(*place), images):
            needed[path] = images * variant.image_size**2 * 3
    return needed


def check_space(folder: Path, needed: dict[Path, int]) -> None:
    """Raise SurroundingsError when files of these sizes, in bytes, do not fit on the disk of `folder`."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free + sum(_written(path) for path in needed)
    if sum(needed.values()) > free:
        largest = max(needed, key=lambda path: needed[path])
        raise SurroundingsError(
            f"the run would store {_size(sum(needed.values()))} in {folder} ({_size(needed[largest])} of them in "
            f"{largest.relative_to(folder)}), but only {_size(free)} are free there. Free some, choose another "
            "paths.output, or store less: fewer augmentation.copies, a smaller image_size, a later train_from, "
            'features.dtype = "float16".'
        )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _written(path: Path) -> int:
    """Return the bytes that a file, whole or unfinished, already takes."""
    files = [path, *path.parent.glob(f".{path.name}.*.partial")]
    return sum(file.stat().st_blocks * 512 for file in files if file.exists())


def fill_store(
    settings: Settings, competition: Competition, variants: Sequence[Variant], share: tuple[int, int], report: Reporter
) -> None:
    """Make a share (its number, of how many) of the outputs of the frozen part that any of the variants lacks.

    The process that ends last names the files.

    An output depends neither on the number of shares nor on which of them it is in.
    Raises InputError when two engines would feed one variant, or an output is no finite number.
    """
    backend.make_deterministic(0)
    for variant in variants:
        lacking = lacking_passes(settings, competition, variant)
        if not lacking:
            continue
        frozen_part = build_frozen_part(settings, variant)
        whatever = passes_of(settings, variant)[0]  # the same for every share, and for one that goes on
        sample = first_batch(PackedRows([_pixels_of(settings, variant, whatever)]), SAMPLE)
        predictor = make_predictor(frozen_part, settings.prediction.engine, sample)
        _refuse_mixture(settings, competition, variant, predictor)
        fill_passes(settings, competition, variant, lacking, predictor, report, Shard(*share))


def fill_passes(
    settings: Settings,
    competition: Competition,
    variant: Variant,
    passes: Sequence[Pass],
    predictor: Predictor,
    report: Reporter,
    shard: Shard = WHOLE,
) -> None:
    """Make a share of these passes by `predictor`, which runs the variant's frozen part."""
    if shard.number == 0:
        say(f"frozen passes of {variant.backbone} before {variant.train_from}: {predictor}")
    size = settings.prediction.batch_size
    shares = [_rows_of(shard, size, count(settings, competition, pass_)) for pass_ in passes]
    progress = _Progress(report, sum(map(len, shares)))
    for pass_, rows in zip(passes, shares, strict=True):
        _fill(settings, competition, variant, pass_, rows, predictor, progress)


def _rows_of(shard: Shard, batch_size: int, count: int) -> range:
    batches = shard.batches(-(-count // batch_size))
    return range(batches.start * batch_size, min(count, batches.stop * batch_size))


def _refuse_mixture(settings: Settings, competition: Competition, variant: Variant, predictor: Predictor) -> None:
    """Raise InputError when outputs that stay were made by another engine: one variant is never fed by two."""
    lacking, own = lacking_passes(settings, competition, variant), engine_told(predictor.record())
    for pass_ in passes_of(settings, variant):
        path = source_path(settings, variant, pass_)
        meta = artifacts.read_meta(artifacts.meta_beside(path))
        made = engine_told(meta.get("engine") or {}) if meta and pass_ not in lacking else own
        if made != own:
            raise InputError(
                f"{path} was made by {made}, and {own} would make the rest. Use the former, "
                f'or remove the folder {path.parent}, or pin prediction.engine = "{predictor.engine}": then all are '
                "made anew."
            )


def build_frozen_part(settings: Settings, variant: Variant) -> keras.Model:
    """Return the frozen part of a variant, pixels → stored outputs, with its initial weights."""
    backbone = build_backbone(variant.backbone, variant.image_size, precision=variant.precision)
    load_initial_weights(backbone, settings, variant)
    frozen_part = cut(backbone, variant.train_from).frozen
    assert frozen_part is not None, "a variant that trains all layers has no frozen part"
    frozen_part.jit_compile = backend.compiles()
    return frozen_part


class _Progress:
    """Counts images over several passes and reports them with their rate."""

    def __init__(self, report: Reporter, total: int) -> None:
        self.report, self.total = report, total
        self.done = self.passed = 0
        self.start = time.monotonic()

    def skip(self, images: int) -> None:
        self.done += images

    def add(self, images: int) -> None:
        self.done, self.passed = self.done + images, self.passed + images
        self.report(self.done, self.total, f"{self.passed / (time.monotonic() - self.start):.0f} images/s")


def _pixels_of(settings: Settings, variant: Variant, pass_: Pass) -> Path:
    return pixel_path(settings, pass_.split, pass_.copies, variant.image_size)


def _fill(
    settings: Settings,
    competition: Competition,
    variant: Variant,
    pass_: Pass,
    share: range,
    predictor: Predictor,
    progress: _Progress,
) -> None:
    images, how = PackedRows([_pixels_of(settings, variant, pass_)]), settings.prediction
    with packing(
        source_path(settings, variant, pass_),
        count(settings, competition, pass_),
        predictor.output,
        settings.features.dtype,
        inputs=feature_inputs(settings, competition, variant, pass_),
        maker=predictor.decides_bits(how.batch_size),
        together=True,
        engine=predictor.record(),
    ) as unfinished:
        missing = unfinished.missing()
        missing = missing[(missing >= share.start) & (missing < share.stop)]
        rows = _whole_batches(missing, how.batch_size, unfinished.count)
        progress.skip(len(share) - len(rows))
        _write_outputs(predictor, Batches(images, rows, how.batch_size, view=pass_.view), unfinished, progress)


def _whole_batches(missing: np.ndarray, batch_size: int, count: int) -> np.ndarray:
    """Return the rows of all batches that miss a row: a row's last bits may depend on its place in the batch."""
    rows = np.unique(missing // batch_size)[:, None] * batch_size + np.arange(batch_size)
    return rows[rows < count]


def _write_outputs(predictor: Predictor, batches: Batches, unfinished: Unfinished, progress: _Progress) -> None:
    done = 0
    for outputs in predictor.stream(prefetched(batches)):
        rows = batches.examples[done : done + len(outputs)]
        with np.errstate(over="ignore"):  # told below
            outputs = outputs.astype(unfinished.dtype)
        if not np.isfinite(outputs).all():
            raise InputError(
                f"an output of the frozen layers for {unfinished.target} is no finite number"
                + ('; set features.dtype = "float32".' if outputs.dtype == np.float16 else ". Check network.weights.")
            )
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for part, found in zip(np.split(rows, breaks), np.split(outputs, breaks), strict=True):
            unfinished.write(int(part[0]), found)
        done += len(outputs)
        progress.add(len(outputs))
