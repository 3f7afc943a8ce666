"""The passes through a frozen prefix that fill the feature store; runs in a process of its own."""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from ripik import artifacts
from ripik.backbone import build_backbone, cut
from ripik.competition import Competition
from ripik.engine import Reporter
from ripik.features import Item, batches, feature_inputs, initial_weights, lacking_items, stored
from ripik.images import pixel_path
from ripik.settings import Settings, Variant
from ripik.weights import load_weights, make_initial_weights


def check_networks(settings: Settings, variants: Sequence[Variant], report: Reporter) -> None:
    """Make the variants' initial weights, and build and cut each network once.

    Raises InputError for an unknown backbone or cut, a size the network cannot take, or weights of another network.
    """
    for variant in variants:
        make_initial_weights(settings, variant)
        cut(build_backbone(variant.backbone, variant.image_size), variant.train_from)


def fill_store(settings: Settings, competition: Competition, variants: Sequence[Variant], report: Reporter) -> None:
    """Make the prefix outputs that any of the variants lacks."""
    for variant in variants:
        lacking = lacking_items(settings, competition, variant)
        if not lacking:
            continue
        prefix = build_prefix(variant, initial_weights(settings, variant))
        sizes = [len(competition.rows(item.split)) for item in lacking]
        for number, item in enumerate(lacking):
            progress = functools.partial(_report_from, sum(sizes[:number]), sum(sizes), report)
            _fill(settings, competition, variant, item, prefix, progress)


def build_prefix(variant: Variant, weights: Path) -> keras.Model:
    """Return the frozen prefix of a variant, pixels → stored outputs, with its initial weights."""
    backbone = build_backbone(variant.backbone, variant.image_size)
    load_weights(backbone, weights)
    prefix = cut(backbone, variant.train_from).prefix
    assert prefix is not None, "a variant that trains all layers has no prefix"
    prefix.jit_compile = False  # XLA on a CPU is several times slower
    return prefix


def _report_from(before: int, total: int, report: Reporter, done: int, note: str) -> None:
    report(before + done, total, note)


def _fill(
    settings: Settings,
    competition: Competition,
    variant: Variant,
    item: Item,
    prefix: keras.Model,
    report: Callable[[int, str], None],
) -> None:
    inputs = feature_inputs(settings, competition, variant, item)
    start = time.monotonic()
    source = np.load(pixel_path(settings, item.split, item.copy, variant.image_size), mmap_mode="r")
    path = stored(settings, variant, item)

    def fill(outputs: np.ndarray) -> None:
        done = 0
        for batch in batches(source, np.arange(len(source)), item.view, settings.prediction.batch_size):
            outputs[done : done + len(batch)] = prefix.predict_on_batch(batch)
            done += len(batch)
            report(done, f"{item.name}, {done / (time.monotonic() - start):.0f} images/s")

    with artifacts.making(artifacts.meta_beside(path), inputs, [path]):
        artifacts.write_array(path, (len(source), *prefix.output.shape[1:]), "float32", fill)
