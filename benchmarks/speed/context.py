"""What every section of the benchmark works with: places, interpreters, sizes, results."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.harness import Results, say
from benchmarks.processes import ROOT, Finished, run
from benchmarks.speed import data

THREADS = 2
PEERS = ROOT / "benchmarks" / "speed" / "peers"
POOL = ("folds.csv", "folds.meta.json", "pixels", "backbones")  # what stays of a run for `again`
BATCH_SIZES = (32, 16, 64)  # the first is what a quick run takes


@dataclass
class Bench:
    """One run of the benchmark.

    folder: where data and runs are kept; peers_python: the interpreter that has PyTorch; weights: of EfficientNetB0, or
    "" for random ones.
    """

    folder: Path
    peers_python: Path
    photos: Path | None
    weights: str
    quick: bool
    results: Results
    threads: int = THREADS
    _best: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def size(self, quick: int, full: int) -> int:
        """Return the size that belongs to this run."""
        return quick if self.quick else full

    @cached_property
    def source(self) -> list[data.Photo]:
        """The photos everything is made of."""
        return data.source(self.folder, data.DRAWN_AT_MOST if not self.quick else 150, self.photos)

    def competition(self, count: int) -> Path:
        """Return the root of a competition of `count` training images."""
        return data.build_competition(self.folder, self.source, count)

    def config(self, name: str, count: int, variants: Mapping[str, Any], **tables: Any) -> Path:
        """Return the configuration of a new run on `count` images."""
        network = {"weights": self.weights or "random", **tables.pop("network", {})}
        jobs = {"jobs": self.threads, "threads": 1} | tables.pop("jobs", {})
        made = {"network": network, "jobs": jobs, "variants": dict(variants), **tables}
        return data.new_run(self.folder, name, self.competition(count), len(self.source), made)

    def ripik(self, step: str, config: Path, *options: str) -> Finished:
        """Run one of our steps as users run it."""
        say(f"  ours: {step} {config.stem} {' '.join(options)}".rstrip())
        return run([sys.executable, "-m", "ripik", step, "--config", config, *options], threads=self.threads)

    def ours(self, script: str, *options: Any) -> dict[str, Any]:
        """Run one of `benchmarks/speed/ours` and return what it printed."""
        say(f"  ours: {script} {_words(options)}")
        return run(
            [sys.executable, "-m", f"benchmarks.speed.ours.{script}", *map(str, options)], threads=self.threads
        ).json()

    def peer(self, script: str, *options: Any, torch: bool = False) -> dict[str, Any]:
        """Run one of `benchmarks/speed/peers` and return what it printed."""
        say(f"  peer: {script} {_words(options)}")
        python = self.peers_python if torch else sys.executable
        return run([python, PEERS / f"{script}.py", *map(str, options)], threads=self.threads).json()

    def best(self, script: str, *options: Any, torch: bool = False) -> tuple[Any, ...]:
        """Return the batch size (and PyTorch's workers) with which a peer is fastest in a short trial, and note it."""
        trials: list[tuple[Any, ...]] = [("--batch-size", size) for size in BATCH_SIZES]
        if torch:
            trials = [(*trial, "--workers", number) for trial in trials for number in (self.threads, 0)]
        if self.quick:
            self.results.notes.append(f"{script} ran with {_words(trials[0])}; a quick run does not look for its best.")
            return trials[0]
        key = f"{script} {_words(options)}"
        if key not in self._best:
            found = [self.peer(script, *options, *trial, torch=torch) for trial in trials]
            rates = [each["images"] / each["seconds"] for each in found]
            self._best[key] = trials[rates.index(max(rates))]
            tried = ", ".join(f"{_words(trial)}: {rate:.1f}" for trial, rate in zip(trials, rates, strict=True))
            self.results.notes.append(f"{script} ran with {_words(self._best[key])}, its best (images/s: {tried}).")
        return self._best[key]

    def again(self, config: Path, *, keep: Sequence[str] = POOL) -> None:
        """Take away what a run made, except its folds, its pool and its initial weights."""
        for path in (config.parent / "output" / config.stem).iterdir():
            if path.name in keep:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def history(config: Path, variant: str, fold: int) -> list[dict[str, float]]:
    """Return the rows of a job's history.csv."""
    path = config.parent / "output" / config.stem / variant / f"fold{fold}" / "history.csv"
    with path.open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _words(options: Sequence[Any]) -> str:
    return " ".join(option.name if isinstance(option, Path) else str(option) for option in options)
