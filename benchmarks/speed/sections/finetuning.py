"""Training more than the head: fed by the chain, from several cuts, against PyTorch."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import Any

from benchmarks.harness import Ratio, Row, ratio
from benchmarks.speed.context import Bench, history
from benchmarks.speed.sections.augmentation import middle, rate_of

BATCH = 32
CUTS: dict[str, tuple[str, float | None]] = {
    "all": ("all layers", None),
    "block6a": ("block 6", 5.0),
    "block5a": ("block 5", 3.5),
}
ONE_PROCESS = {"jobs": 1, "threads": 2}


def _config(bench: Bench, name: str, count: int, epochs: int) -> Path:
    variants: dict[str, Any] = {cut: {"data": "original", "train_from": cut} for cut in CUTS}
    tables = {"finetuning": {"epochs": epochs, "batch_size": BATCH}, "jobs": ONE_PROCESS}
    return bench.config(name, count, variants, **tables)


def fed(bench: Bench) -> None:
    """Compare training from the chain with training on one batch in memory."""
    steps = {"all": 3, "block6a": 12} if bench.quick else {"all": 8, "block5a": 40, "block6a": 40}
    config = _config(bench, "fed", 40 + max(steps.values()) * BATCH * 5 // 4, 1)
    for cut, number in steps.items():
        found = bench.ours("step", config, cut, "--steps", number, "--rounds", bench.size(2, 4))
        bench.results.add(
            Row(
                f"finetuning from {CUTS[cut][0]}, fed by the chain, against `train_on_batch` on one batch in memory",
                f"{middle(found['fed']):.1f} images/s",
                f"{middle(found['in_memory']):.1f} images/s",
                ratio(found["fed"], found["in_memory"]),
                0.97,
                note=f"{number} batches of {BATCH} a round, the two in turn in one process.",
            )
        )


def cuts(bench: Bench) -> None:
    """Compare an epoch from several cuts once their inputs are stored."""
    count, repeats = bench.size(128, 1280), bench.size(1, 2)
    config = _config(bench, "cuts", count, 2)
    rates: dict[str, list[float]] = {cut: [] for cut in CUTS}
    for fold in range(repeats):
        for cut, values in rates.items():
            values.append(_epoch_rate(bench, config, cut, fold))
    for cut, (words, bound) in CUTS.items():
        if bound:
            bench.results.add(_cut_row(words, rates[cut], rates["all"], bound, count))


def torch(bench: Bench) -> None:
    """Compare an epoch of all layers with PyTorch."""
    count = bench.size(128, 320)
    config = _config(bench, "torch", count, 2)
    common = (bench.competition(count), "--train", "all", "--limit", count)
    batch = bench.best("torch_loop", *common, torch=True)
    ours, peer = [], []
    for fold in range(bench.size(1, 3)):
        ours.append(_epoch_rate(bench, config, "all", fold))
        peer.append(rate_of(bench.peer("torch_loop", *common, *batch, torch=True)))
    bench.results.add(
        Row(
            "finetuning all layers against PyTorch",
            f"{middle(ours):.1f} images/s",
            f"{middle(peer):.1f} images/s",
            ratio(ours, peer),
            note=f"224 pixels, ours batches of {BATCH}, the peer's of {batch[1]}; it augments as it goes.",
        )
    )


def _epoch_rate(bench: Bench, config: Path, cut: str, fold: int) -> float:
    """Train a fold and return the images/s of its epochs but the first, which builds the graph."""
    bench.ripik("train", config, "--variants", cut, "--folds", str(fold))
    seconds = statistics.median(epoch["seconds"] for epoch in history(config, cut, fold)[1:])
    return _training_rows(config, fold) / seconds


def _cut_row(words: str, rates: list[float], base: list[float], bound: float, count: int) -> Row:
    found: Ratio = ratio(rates, base)
    note = f"{count} photos, batches of {BATCH}; the second epoch of each fold."
    ours, peer = f"{middle(rates):.1f} images/s", f"{middle(base):.1f} images/s"
    return Row(f"an epoch from {words} against all layers, once stored", ours, peer, found, bound, note=note)


def _training_rows(config: Path, fold: int) -> int:
    path = config.parent / "output" / config.stem / "folds.csv"
    with path.open(encoding="utf-8") as file:
        return sum(int(row["fold"]) != fold for row in csv.DictReader(file))
