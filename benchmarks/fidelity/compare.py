"""Our two presets against the record of Albumentations 1.3.1, as a markdown table:

    .venv/bin/python benchmarks/fidelity/compare.py > table.md

Ours are averages over three seeds, 0, 1 and 2. z is their distance from 1.3.1's number, in standard errors of one
seed of 1.3.1 against its others; equal transforms give z of about ±0.6.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from measures import SMALLER, Apply, levels, measure
from photos import COUNT, SIZE, photos

from ripik.augmentation.pipeline import NAMES, build_pipeline, make_copy

CHAIN = "chain"
SEEDS = (0, 1, 2)
RECORD = Path(__file__).with_name("albumentations-1.3.1.json")
EXACT = 1e-9  # what is left of rounding where nothing is random

Values = dict[str, np.ndarray]
Comparison = dict[tuple[str, str, str], dict[str, float]]


def read_record() -> dict:
    """Return the record of 1.3.1."""
    return json.loads(RECORD.read_text(encoding="utf-8"))


@functools.cache
def photos_and_levels() -> tuple[np.ndarray, np.ndarray]:
    """Return the images of the comparison and their levels, made once."""
    images = photos(COUNT)
    return images, np.array([levels(image) for image in images])


def measure_preset(preset: str, names: Sequence[str], seeds: Sequence[int] = SEEDS) -> dict[str, Values]:
    """Return name → statistic → values (seeds, n), of a preset's transforms for certain or of its whole chain."""
    return {name: measure_seeds(name, functools.partial(_apply, preset, name), seeds) for name in names}


def measure_seeds(name: str, apply_of: Callable[[int], Apply], seeds: Sequence[int] = SEEDS) -> Values:
    """Return statistic → values (seeds, n) of what `apply_of` gives for each seed, measured as `name`."""
    images, before = photos_and_levels()
    runs = [measure(name, apply_of(seed), images, before) for seed in seeds]
    return {what: np.array([run[what] for run in runs]) for what in runs[0]}


def _apply(preset: str, name: str, seed: int) -> Apply:
    if name == CHAIN:
        pipeline, numbers = build_pipeline(preset, SIZE), itertools.count()
        return lambda image: make_copy(image, next(numbers), 1, pipeline=pipeline, seed=seed)
    pipeline, position = build_pipeline(preset, SMALLER if name == "Resize" else SIZE), NAMES.index(name)
    step = pipeline.transforms[position]
    step.set_random_state(np.random.default_rng([seed, position]), random.Random(1000 * position + seed))
    return lambda image: step(image=image, force_apply=True)["image"]


def compare(measured: dict[str, Values], record: dict) -> Comparison:
    """Return (transform, statistic, mean or spread) → ours, theirs, error and z.

    z: (ours − theirs) over the standard error; where that is 0, 0 for equal numbers and infinity for others.
    """
    found = {}
    for name, values in measured.items():
        for what, theirs in record["transforms"][name].items():
            for kind, ours in (("mean", values[what].mean()), ("spread", values[what].std(1).mean())):
                error, distance = theirs[f"{kind}_error"], ours - theirs[kind]
                z = distance / error if error > EXACT else np.inf if abs(distance) > EXACT else 0.0
                found[name, what, kind] = {"ours": ours, "theirs": theirs[kind], "error": error, "z": z}
    return found


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds of ours: 0, 1, …")
    seeds, record = range(options.parse_args().seeds), read_record()
    ours, newer = (
        compare(measure_preset(preset, [*NAMES, CHAIN], seeds), record) for preset in ("source", "albumentations2")
    )
    print("| transform | statistic | 1.3.1 | its error | `source` | z | `albumentations2` | z |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for key, cell in ours.items():
        numbers = [cell["theirs"], cell["error"], cell["ours"], newer[key]["ours"]]
        theirs, error, first, second = (f"{number if abs(number) > EXACT else 0:.4g}" for number in numbers)
        print(
            f"| {key[0]} | {key[1]}, {key[2]} | {theirs} | {error} | {first} | {cell['z']:+.1f} "
            f"| {second} | {newer[key]['z']:+.1f} |"
        )


if __name__ == "__main__":
    main()
