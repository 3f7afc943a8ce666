"""Models whose backbone is frozen: the whole of Models 1 and 2, the passes alone, the input chain alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Row, interleave, ratio
from benchmarks.speed import data
from benchmarks.speed.context import Bench
from benchmarks.speed.sections.augmentation import COPIES, middle, rate_of

EPOCHS = 10
MODELS: dict[str, Any] = {"original": {"data": "original"}, "augmented": {"data": "augmented"}}
TRAINING = {"epochs": EPOCHS, "batch_size": 64}
FOLDS = ("folds.csv", "folds.meta.json", "backbones")  # what stays for everything "from photos on"


def heads(bench: Bench) -> None:
    """Train Models 1 and 2 on all folds: against Keras `fit`, and against PyTorch."""
    count, sizes = bench.size(100, 1250), (bench.size(24, 150), bench.size(72, 300))
    config = bench.config("heads", count, MODELS, augmentation={"copies": COPIES}, training=TRAINING)
    bench.ours("pool", config)
    ours, peer, batch = _against_fit(bench, config, count, sizes)
    bench.results.add(
        Row(
            "Models 1 and 2, from stored copies, against Keras `fit`",
            f"{middle(ours):.0f} s",
            f"{middle(peer):.0f} s, extrapolated",
            ratio(peer, ours),
            40,
            note=f"{count} photos and {COPIES} copies of each, 5 folds, {EPOCHS} epochs. The peer was measured on "
            f"{sizes[0]} and {sizes[1]} photos (one epoch of {1 + COPIES} rows each, batch {batch}) and extrapolated "
            "linearly, without its imports and predictions; ours is the whole command, predictions included.",
        )
    )
    _against_torch(bench, bench.competition(count), middle(ours), count)


def _against_fit(
    bench: Bench, config: Path, count: int, sizes: tuple[int, int]
) -> tuple[list[float], list[float], int]:
    """Return our seconds from stored copies, the peer's extrapolated to the same, and its batch size."""
    stored, weights = bench.folder / "stored", bench.weights
    data.write_stored_copies(stored, bench.source, sizes[1], 1 + COPIES)
    common = (bench.competition(count), "--copies", stored, "--rows-per-photo", 1 + COPIES, "--weights", weights)
    batch = bench.best("keras_fit", *common, "--limit", bench.size(sizes[0], sizes[0] // 3))

    def fit(photos: int) -> float:
        return float(bench.peer("keras_fit", *common, "--limit", photos, *batch)["seconds"])

    def from_copies() -> float:
        bench.again(config)
        return bench.ripik("train", config).seconds

    measured = {"fit, small": lambda: fit(sizes[0]), "fit, large": lambda: fit(sizes[1]), "ours": from_copies}
    small, large, ours = interleave(measured, bench.size(1, 2)).values()
    return ours, [_extrapolated(a, b, sizes, count) for a, b in zip(small, large, strict=True)], batch[1]


def parts(bench: Bench) -> None:
    """Train Models 1 and 2 on all folds, everything from photos on: against their own parts, in turns."""
    count = 1250
    config = bench.config("heads", count, MODELS, augmentation={"copies": COPIES}, training=TRAINING)
    bench.ours("pool", config)
    first = bench.ours("passes", config, "--limit", 2048)
    images, peak = count * (1 + COPIES), 0.0

    def alone() -> float:
        bench.again(config, keep=FOLDS)
        pool = float(bench.ours("pool", config)["seconds"])
        return pool + images / rate_of(bench.ours("passes", config, "--limit", 2048))

    def whole() -> float:
        nonlocal peak
        bench.again(config, keep=FOLDS)
        done = bench.ripik("train", config)
        peak = max(peak, done.peak_mb)
        return done.seconds

    ours, bare = interleave({"whole": whole, "parts": alone}, 3).values()
    bench.results.add(
        Row(
            f"Models 1 and 2, everything from photos on, {images:,} images: against pool + bare passes alone",
            f"{middle(ours):.0f} s",
            f"{middle(bare):.0f} s",
            ratio(ours, bare),
            1.25,
            at_most=True,
            note=f"The pool made by itself; passes by {first['engine']} at the rate of {first['images']} images. "
            f"Largest process {peak:.0f} MB.",
        )
    )


def _extrapolated(small: float, large: float, sizes: tuple[int, int], count: int) -> float:
    """Return the peer's seconds for all folds and epochs of both models, from one epoch of each of two sizes."""
    a_row = (large - small) / ((sizes[1] - sizes[0]) * (1 + COPIES))
    start = max(0.0, small - a_row * sizes[0] * (1 + COPIES))
    rows = count * (data.N_SPLITS - 1) / data.N_SPLITS
    return data.N_SPLITS * (2 * start + a_row * EPOCHS * rows * (1 + 1 + COPIES))


def _against_torch(bench: Bench, root: Path, ours: float, count: int) -> None:
    photos = bench.size(160, 384)
    common = (root, "--train", "head", "--limit", photos)
    found = bench.peer("torch_loop", *common, *bench.best("torch_loop", *common, torch=True), torch=True)
    rows = count * (data.N_SPLITS - 1) * EPOCHS * (2 + COPIES)
    bench.results.add(
        Row(
            "the same against PyTorch, head only, augmenting anew",
            f"{ours:.0f} s",
            f"{rows / rate_of(found):.0f} s, extrapolated",
            ratio([rows / rate_of(found)], [ours]),
            note=f"From {rate_of(found):.1f} images/s over {found['images']} images, batch {found['batch_size']}.",
        )
    )


def agreement(bench: Bench) -> None:
    """Compare OOF probabilities with and without the feature store, same seeds."""
    count, copies, folds = bench.size(24, 60), bench.size(1, 3), bench.size(2, 5)
    tables: dict[str, Any] = {"augmentation": {"copies": copies}, "training": {"epochs": 2, "batch_size": 32}}
    tables |= {"folds": {"n_splits": folds}, "network": {"dropout": 0.0}}  # its draws are the batches' or the network's
    with_store = bench.config("with-store", count, MODELS, **tables)
    without = bench.config("without-store", count, MODELS, **tables, features={"store": False})
    seconds = [bench.ripik("train", config).seconds for config in (with_store, without)]
    found = max(_oof_difference(with_store, without, variant) for variant in MODELS)
    bench.results.add(
        Row(
            "OOF probabilities with the feature store, against our own mode without it",
            f"differ by {found:.1e} at most",
            bound=1e-3,
            at_most=True,
            value=found,
            note=f"{count} photos, {copies} copies, 2 epochs, {folds} folds; {seconds[0]:.0f} s with it, "
            f"{seconds[1]:.0f} s without.",
        )
    )


def _oof_difference(one: Path, other: Path, variant: str) -> float:
    tables = []
    for config in (one, other):
        path = config.parent / "output" / config.stem / variant / "oof.csv"
        with path.open(encoding="utf-8") as file:
            rows = {row["image_id"]: row for row in csv.DictReader(file)}
        columns = [name for name in next(iter(rows.values())) if name.startswith("p_")]
        tables.append({key: [float(row[name]) for name in columns] for key, row in rows.items()})
    assert tables[0].keys() == tables[1].keys(), "the two runs predicted other images"
    return max(abs(a - b) for key in tables[0] for a, b in zip(tables[0][key], tables[1][key], strict=True))


def passes(bench: Bench) -> None:
    """Run the frozen backbone over the pool: the chosen engine against `keras.Model.predict`."""
    config, limit = _small_pool(bench), bench.size(256, 1024)
    outputs = [bench.folder / name for name in ("ours.npy", "peer.npy")]
    first = bench.ours("passes", config, "--limit", limit, "--out", outputs[0])
    common = (Path(first["pool"]), "--weights", Path(first["weights"]), "--limit", limit)
    batch = bench.best("keras_predict", *common)
    bench.peer("keras_predict", *common, *batch, "--out", outputs[1])
    measured = {
        "ours": lambda: rate_of(bench.ours("passes", config, "--limit", limit)),
        "predict": lambda: rate_of(bench.peer("keras_predict", *common, *batch)),
    }
    ours, peer = interleave(measured, bench.size(2, 3)).values()
    found, wanted = (np.load(path) for path in outputs)
    difference = float((np.abs(found - wanted).max(axis=1) / np.abs(wanted).max(axis=1)).max())
    note = f"{limit} copies from the pool by {first['engine']}; the peer has them in memory, in batches of {batch[1]}."
    bench.results.add(
        Row(
            "frozen passes against `keras.Model.predict`",
            f"{middle(ours):.0f} images/s",
            f"{middle(peer):.0f} images/s",
            ratio(ours, peer),
            1.6,
            note=note,
        ),
        Row(
            "the same: largest difference, relative to the image's largest feature",
            f"{difference:.1e}",
            bound=1e-4,
            at_most=True,
            value=difference,
        ),
    )


def chain(bench: Bench) -> None:
    """Read shuffled batches from the pool."""
    config = _small_pool(bench)
    rates = [rate_of(bench.ours("chain", config)) for _ in range(bench.size(2, 5))]
    bench.results.add(
        Row(
            "the input chain alone, 224 px, from the pool",
            f"{middle(rates):.0f} images/s",
            bound=1500,
            value=middle(rates),
            unit="images/s",
            note="Batches of 64 in an epoch's order, every row's checksum compared; the file is in the page cache.",
        )
    )


def _small_pool(bench: Bench) -> Path:
    count = bench.size(40, 150)
    return bench.config("passes", count, {"augmented": {"data": "augmented"}}, augmentation={"copies": COPIES})
