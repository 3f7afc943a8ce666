"""The passes through a frozen part that fill the feature store; runs in a process of its own."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ripik.console import say, size_of
from ripik.errors import InputError, SurroundingsError
from ripik.execution.task import Reporter
from ripik.features.batches import Batches, Source, first_batch, prefetched
from ripik.features.store import Pass, VariantData, pixel_passes
from ripik.models import backend
from ripik.models.backbone import build_backbone, cut
from ripik.models.engines import SAMPLE, Predictor, engine_told, make_predictor
from ripik.models.weights import load_initial_weights, make_initial_weights
from ripik.storage import artifacts
from ripik.storage.packed_array import Unfinished, is_packed, packing
from ripik.storage.packed_rows import PackedRows


@dataclass(frozen=True)
class Shard:
    """A share of the passes, for one of several processes: whole batches, one block of them of every file."""

    number: int = 0
    of: int = 1

    def batches(self, count: int) -> range:
        """Return which of `count` batches are in the share."""
        return range(count * self.number // self.of, count * (self.number + 1) // self.of)


WHOLE = Shard()


def check_networks(wanted: Sequence[VariantData], report: Reporter) -> None:
    """Make the variants' initial weights, build and cut each network once, and ask whether the disk is large enough.

    Raises InputError for an unknown backbone or cut, a size the network cannot take, or weights of another network;
    SurroundingsError when what the variants read does not fit on the disk.
    """
    needed: dict[Path, int] = {}
    for data in wanted:
        variant, lacking = data.variant, data.lacking()
        parts = cut(build_backbone(variant.backbone, variant.image_size), variant.train_from)
        needed |= _pixel_bytes(data, lacking)
        if not data.reading.from_pixels:
            assert parts.frozen is not None, "a variant that stores features has a frozen part"
            row = math.prod(parts.frozen.output.shape[1:]) * np.dtype(data.run.settings.features.dtype).itemsize
            needed |= {data.path(pass_): data.count(pass_) * row for pass_ in lacking}
    if wanted:
        check_space(wanted[0].run.layout.run, needed)
    for data in wanted:
        make_initial_weights(data.run.settings, data.variant)


def _pixel_bytes(data: VariantData, lacking: Sequence[Pass]) -> dict[Path, int]:
    needed = {}
    for pass_ in pixel_passes(lacking):
        path, images = data.reading.pixels_path(pass_), data.count(pass_)
        if not is_packed(path, data.pixel_inputs(pass_), images):
            needed[path] = images * data.reading.side(pass_) ** 2 * 3
    return needed


def check_space(folder: Path, needed: dict[Path, int]) -> None:
    """Raise SurroundingsError when files of these sizes, in bytes, do not fit on the disk of `folder`."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free + sum(_written(path) for path in needed)
    if sum(needed.values()) > free:
        largest = max(needed, key=lambda path: needed[path])
        raise SurroundingsError(
            f"the run would store {size_of(sum(needed.values()))} in {folder} ({size_of(needed[largest])} of them in "
            f"{largest.relative_to(folder)}), but only {size_of(free)} are free there. Free some space, choose another "
            "paths.output, or store less: fewer augmentation.copies, a smaller image_size, a later train_from, "
            'features.dtype = "float16".'
        )


def _written(path: Path) -> int:
    """Return the bytes that a file, whole or unfinished, already takes."""
    files = [path, *path.parent.glob(f".{path.name}.*.partial")]
    return sum(file.stat().st_blocks * 512 for file in files if file.exists())


def fill_store(wanted: Sequence[VariantData], share: tuple[int, int], report: Reporter) -> None:
    """Make a share (its number, of how many) of the outputs of the frozen part that any of the variants lacks.

    The process that ends last names the files.

    An output depends neither on the number of shares nor on which of them it is in.
    Raises InputError when two engines would feed one variant, or an output is no finite number.
    """
    backend.make_deterministic(0)
    for data in wanted:
        lacking = data.lacking()
        if not lacking:
            continue
        there = [pass_ for pass_ in data.reading.passes if data.reading.pixels_path(pass_).exists()]
        predictor = frozen_predictor(data, PackedRows([data.reading.pixels_path(there[0])]))  # the same for all shares
        _refuse_mixture(data, predictor)
        fill_passes(data, lacking, predictor, report, Shard(*share))


def fill_passes(
    data: VariantData, passes: Sequence[Pass], predictor: Predictor, report: Reporter, shard: Shard = WHOLE
) -> None:
    """Make a share of these passes by `predictor`, which runs the variant's frozen part."""
    if shard.number == 0:
        say(f"frozen passes of {data.variant.backbone} before {data.variant.train_from}: {predictor}")
    size = data.run.settings.prediction.batch_size
    shares = [_rows_of(shard, size, data.count(pass_)) for pass_ in passes]
    progress = _Progress(report, sum(map(len, shares)))
    for pass_, rows in zip(passes, shares, strict=True):
        _fill(data, pass_, rows, predictor, progress)


def _rows_of(shard: Shard, batch_size: int, count: int) -> range:
    batches = shard.batches(-(-count // batch_size))
    return range(batches.start * batch_size, min(count, batches.stop * batch_size))


def _refuse_mixture(data: VariantData, predictor: Predictor) -> None:
    """Raise InputError when outputs that stay were made by another engine: one variant is never fed by two."""
    lacking, own = data.lacking(), engine_told(predictor.record())
    pinned = data.run.settings.prediction.engine == predictor.engine
    pin = "" if pinned else f', or set prediction.engine = "{predictor.engine}"'
    for pass_ in data.reading.passes:
        path = data.path(pass_)
        meta = artifacts.read_meta(artifacts.meta_beside(path))
        made = engine_told(meta.get("engine") or {}) if meta and pass_ not in lacking else own
        if made != own:
            raise InputError(
                f"{path} was computed by {made}, and {own} would compute the rest. Use the former, or delete the "
                f"folder {path.parent}{pin}: then all are recomputed."
            )


def frozen_predictor(data: VariantData, source: Source) -> Predictor:
    """Return what runs the frozen part of a variant; source: pixels, on whose first rows engines are compared."""
    engine = data.run.settings.prediction.engine
    return make_predictor(build_frozen_part(data), engine, first_batch(source, SAMPLE))


def build_frozen_part(data: VariantData) -> keras.Model:
    """Return the frozen part of a variant, pixels → stored outputs, with its initial weights."""
    variant = data.variant
    backbone = build_backbone(variant.backbone, variant.image_size, precision=variant.precision)
    load_initial_weights(backbone, data.run.settings, variant)
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


def _fill(data: VariantData, pass_: Pass, share: range, predictor: Predictor, progress: _Progress) -> None:
    images, settings = PackedRows([data.reading.pixels_path(pass_)]), data.run.settings
    how = settings.prediction
    with packing(
        data.path(pass_),
        data.count(pass_),
        predictor.output,
        settings.features.dtype,
        inputs=data.feature_inputs(pass_),
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
                f"an output of the frozen layers for {unfinished.target} is NaN or infinite"
                + ('; set features.dtype = "float32".' if outputs.dtype == np.float16 else ". Check network.weights.")
            )
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for part, found in zip(np.split(rows, breaks), np.split(outputs, breaks), strict=True):
            unfinished.write(int(part[0]), found)
        done += len(outputs)
        progress.add(len(outputs))
