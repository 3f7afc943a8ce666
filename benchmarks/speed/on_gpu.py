"""What `benchmarks.speed.gpu` measures and how: its scale, the chip's peak, the best batch, a row of the table.

Every measurement is a process of `benchmarks/speed/ours`, so that this one never holds the chip's memory.
"""

from __future__ import annotations

import math
import os
import re
import signal
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, ratio, say
from benchmarks.processes import Finished, run
from benchmarks.speed.peaks import find_peak
from ripik.execution import environment as environment_module

KINDS = {
    "finetuning": ("finetuning of all layers", "images/s"),
    "passes": ("passes through the frozen backbone", "images/s"),
    "tta": ("prediction through two views, identity and hflip", "views/s"),
}
LARGEST = {"finetuning": 512, "passes": 1024, "tta": 1024}  # batches tried first at 224 pixels
SMALLEST = 8
OUT_OF_MEMORY = re.compile(r"RESOURCE_?EXHAUSTED|out of memory|\bOOM\b", re.IGNORECASE)


@dataclass(frozen=True)
class Scale:
    """What is measured and how much.

    batch_size: None for the best of a trial, case by case; rows: images in the packed file; side: of the matrices whose
    product is timed.
    """

    sizes: tuple[int, ...] = (224, 512)
    precision: tuple[str, ...] = ("float32", "mixed_float16")
    only: tuple[str, ...] = tuple(KINDS)
    batch_size: int | None = None
    seconds: float = 3  # of a repeat
    repeats: int = 5
    rows: int = 512
    side: int = 8192
    environment: Mapping[str, str] = field(default_factory=dict)


FULL = Scale()
DRY = Scale(
    sizes=(64, 96),
    precision=("float32",),
    batch_size=4,
    seconds=0.1,
    repeats=2,
    rows=16,
    side=512,
    environment={"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},  # on a CPU nearly all of the time is compiling
)


@dataclass(frozen=True)
class Case:
    """A row of the table to be."""

    kind: str
    size: int
    precision: str

    def __str__(self) -> str:
        return f"{KINDS[self.kind][0]}, {self.size} pixels, {self.precision}"


@dataclass(frozen=True)
class Peaks:
    """TFLOP/s in a precision: those published for a chip, if they are known, and those of a product of matrices."""

    chip: str
    published: float | None
    matmul: float

    @property
    def judge(self) -> float:
        """What shares are of."""
        return self.published or self.matmul

    def __str__(self) -> str:
        known = (
            f"{self.published:g} TFLOP/s published for the {self.chip}" if self.published else "none published known"
        )
        return f"{known}; {self.matmul:.3g} TFLOP/s by a product of matrices"


@dataclass(frozen=True)
class OnGpu:
    """The measurements of a run; packed pixels are kept in `folder`."""

    scale: Scale
    folder: Path

    def child(self, script: str, *options: Any, check: bool = True) -> Finished:
        """Run one of `benchmarks/speed/ours` with the backend, the GPUs and the variables that a job would have."""
        ours = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "KERAS_BACKEND")}
        command = [sys.executable, "-m", f"benchmarks.speed.ours.{script}", *map(str, options)]
        extra = {**environment_module.ENVIRONMENT, **self.scale.environment, **ours}
        return run(command, threads=environment_module.usable_cores(), extra=extra, check=check)

    def peaks(self, chip: str | None, precision: str) -> Peaks:
        """Time products of matrices, and look the chip up."""
        say(f"== peak in {precision}")
        sheet = find_peak(chip or "")
        found = self.child("chip", "--precision", precision, "--side", self.scale.side).json()
        return Peaks(sheet.chip if sheet else "", sheet.of(precision) if sheet else None, found["tflops"])

    def row(self, case: Case, peaks: Peaks) -> Row:
        """Measure a case. Raises RuntimeError when its process fails, or no batch fits."""
        say(f"== {case}")
        found: dict[int, dict[str, Any]] = {}
        for batch in [self.scale.batch_size] if self.scale.batch_size else batch_sizes(case):
            measured = self._measured(case, batch)
            if measured is None:
                say(f"  batches of {batch}: out of memory")
                continue
            found[batch] = measured
            if chain_rate(measured) < max(map(chain_rate, found.values())):
                break
        if not found:
            raise RuntimeError("no batch fits into the chip's memory")
        return row_of(case, found, peaks)

    def _measured(self, case: Case, batch: int) -> dict[str, Any] | None:
        """Return what the measuring process found; None when the memory was too small for it."""
        which = (case.kind, "--size", case.size, "--precision", case.precision, "--batch-size", batch)
        scale = self.scale
        much = ("--seconds", scale.seconds, "--repeats", scale.repeats, "--rows", scale.rows)
        finished = self.child("gpu_step", *which, *much, "--folder", self.folder, check=False)
        if finished.rc == 0:
            found = finished.json()
            assert found["precision"] == case.precision, f"the network computed in {found['precision']}"
            return found
        if finished.rc == -signal.SIGKILL or OUT_OF_MEMORY.search(finished.output):
            return None
        raise RuntimeError(finished.output[-3000:])


def batch_sizes(case: Case) -> list[int]:
    """Return the batches to try, the largest first; a batch has about as many pixels at every size."""
    power = round(math.log2(LARGEST[case.kind] * (224 / case.size) ** 2))
    return [2**exponent for exponent in range(power, 0, -1) if 2**exponent >= SMALLEST] or [SMALLEST]


def chain_rate(measured: Mapping[str, Any]) -> float:
    """Return the median images/s with the input chain on, which every process tells first."""
    return statistics.median(next(iter(measured["rates"].values())))


def row_of(case: Case, found: Mapping[int, Mapping[str, Any]], peaks: Peaks) -> Row:
    """Return the row of the batch that was the fastest, against the fastest of its bare steps."""
    batch = max(found, key=lambda size: chain_rate(found[size]))
    (_, chain), *others = found[batch]["rates"].items()
    name, bare = max(others, key=lambda side: statistics.median(side[1]))
    operations, unit = found[batch]["flops"], KINDS[case.kind][1]
    tried = ", ".join(f"{size}: {_number(chain_rate(measured))}" for size, measured in found.items())
    best = f", the best of those tried ({unit} by batch: {tried})" if len(found) > 1 else ""
    return Row(
        str(case),
        *(_cell(statistics.median(rates), operations, unit, peaks) for rates in (chain, bare)),
        ratio(chain, bare),
        value=statistics.median(chain),
        note=f"batches of {batch}{best}; bare step: {name}; {operations / 1e9:.3g} GFLOP an image.",
    )


def _cell(rate: float, operations: float, unit: str, peaks: Peaks) -> str:
    return f"{_number(rate)} {unit} ({rate * operations / 1e12 / peaks.judge:.1%})"


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
