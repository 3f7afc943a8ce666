"""`make bench-gpu`: finetuning, frozen passes and TTA on the GPU that is there, input chain on, against the bare step.

    python -m benchmarks.speed.gpu [--dry-run] [--sizes 224,512] [--precision float32,mixed_float16] [--only passes,tta]

Writes benchmarks/speed/results/<date>-gpu-<chip>.md and .json, anew after every row. The backend is the one that Keras
takes: KERAS_BACKEND, or its default. A dry run is tiny, needs no GPU, and writes its page into its folder.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import Results, say
from benchmarks.processes import ROOT, commit, describe_machine, versions
from benchmarks.speed.on_gpu import DRY, FULL, KINDS, Case, OnGpu, Peaks, Scale
from benchmarks.speed.peaks import PRECISIONS

PACKAGES = ("ripik", "keras", "tensorflow", "jax", "jaxlib", "numpy")
HEADINGS = ("what", "input chain on (share of the peak)", "bare step (share)", "chain / bare (spread)", "asked")
NOTES = (
    "Every row is a process of its own; its sides take turns (A B A B …), and each repeat waits for its last result. A "
    "repeat of finetuning is a call of `fit`, its first reading included; building and compiling are not timed. A "
    "ratio is the median over pairs of repeats, with the smallest and largest.",
    "Input chain: batches of random images read from a packed file in the page cache, each row against its checksum, "
    "and brought to the chip. Every view of an image counts as one; the bare step has one batch in memory throughout.",
    "A share is images/s × the operations of convolutions and dense layers (a multiplication and an addition are two; "
    "a training step is three forward passes) / the published dense peak, or without one the matrix product's.",
    "EfficientNetB0 at 224 pixels as NVIDIA publishes it for TensorFlow 2 on one A100 80GB (DeepLearningExamples, "
    "efficientnet_v1): training 3,454 images/s in mixed precision and 1,209 in TF32; inference 9,730 images/s in "
    "float16 and 5,253 in TF32. Another chip is not to be held against these.",
)
DRY_NOTE = "A DRY RUN: images, batches and repeats are far too small to tell anything of speed."


def main() -> int:
    """Measure and write the table; return 1 when a measurement failed, 3 when there is no GPU."""
    given = _arguments()
    on_gpu = OnGpu(_scale(given), given.folder.resolve())
    chip = on_gpu.child("chip").json()
    if not (chip["gpu"] or given.dry_run):
        told = f"no GPU was found by {chip['backend']}; DRY=1 (--dry-run) tries the command without one"
        print(told, file=sys.stderr)
        return 3
    results, path = _results(chip, given.dry_run), _page(given, chip)
    done = [_measured(on_gpu, chip, precision, results, path) for precision in on_gpu.scale.precision]
    say(f"written: {path}")
    return 0 if all(done) else 1


def _measured(on_gpu: OnGpu, chip: Mapping[str, Any], precision: str, results: Results, path: Path) -> bool:
    """Add the rows of a precision, each written at once; return whether all of them could be measured."""
    peaks, scale = on_gpu.peaks(chip["chip"], precision), on_gpu.scale
    results.machine = {**results.machine, f"peak in {precision}": str(peaks)}
    done = []
    for case in (Case(kind, size, precision) for size in scale.sizes for kind in scale.only):
        done.append(_added(on_gpu, case, peaks, results))
        results.write(path)
    return all(done)


def _added(on_gpu: OnGpu, case: Case, peaks: Peaks, results: Results) -> bool:
    """Add the row of a case; a failure is noted, and the others go on."""
    try:
        results.add(on_gpu.row(case, peaks))
    except RuntimeError as error:
        results.notes.append(f"{case} failed: {str(error).strip().splitlines()[-1]}")
        say(f"{case} FAILED: {error}")
        return False
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="try the command in some minutes, without a GPU too")
    parser.add_argument("--sizes", type=_listed(int), help="pixels a side (default: 224,512)")
    parser.add_argument("--precision", type=_listed(str, PRECISIONS), help="default: float32,mixed_float16")
    parser.add_argument("--only", type=_listed(str, KINDS), metavar="KINDS", help=", ".join(KINDS))
    parser.add_argument("--batch-size", type=int, help="default: the best of a trial, for each row")
    parser.add_argument("--seconds", type=float, help=f"of a repeat (default: {FULL.seconds})")
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "bench-gpu", help="where pixels are kept")
    parser.add_argument("--results", type=Path, help="default: benchmarks/speed/results, and the folder for a dry run")
    return parser.parse_args()


def _scale(given: argparse.Namespace) -> Scale:
    chosen = {name: getattr(given, name) for name in ("sizes", "precision", "only", "batch_size", "seconds")}
    return replace(DRY if given.dry_run else FULL, **{name: value for name, value in chosen.items() if value})


def _listed(kind: Callable[[str], Any], known: Iterable[str] = ()) -> Callable[[str], tuple[Any, ...]]:
    """Return what reads a list with commas, each of its parts one of the known, if any are."""

    def read(text: str) -> tuple[Any, ...]:
        for part in text.split(","):
            if known and part not in known:
                raise argparse.ArgumentTypeError(f"{part!r} is none of {', '.join(known)}")
        return tuple(map(kind, text.split(",")))

    return read


def _results(chip: Mapping[str, Any], dry: bool) -> Results:
    title = f"{chip['chip'] or 'No GPU'}, {chip['backend']}, {time.strftime('%Y-%m-%d')}"
    found = Results(
        f"DRY RUN: {title}" if dry else title,
        {"chip": chip["chip"] or "the processor", "backend": chip["backend"], **_driver(), **describe_machine()},
        {"Ours": versions(sys.executable, PACKAGES)},
        commit(),
        headings=HEADINGS,
    )
    found.notes += [DRY_NOTE, *NOTES] if dry else NOTES
    return found


def _driver() -> dict[str, str]:
    """Return the driver's version and the memory of the first GPU, where NVIDIA's command tells them."""
    if shutil.which("nvidia-smi") is None:
        return {}
    query = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
    told = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = told.stdout.splitlines() if told.returncode == 0 else []
    return dict(zip(("driver", "memory of the chip"), lines[0].split(", "), strict=False)) if lines else {}


def _page(given: argparse.Namespace, chip: Mapping[str, Any]) -> Path:
    """Return where the table goes: a run of a few kinds does not write over one of all."""
    name = "dry-run" if given.dry_run else f"{time.strftime('%Y-%m-%d')}-gpu-{_slug(chip['chip'])}"
    folder = given.results or (given.folder if given.dry_run else ROOT / "benchmarks" / "speed" / "results")
    return folder / f"{'-'.join([name, *(given.only or ())])}.md"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("nvidia ").removeprefix("tesla ")).strip("-")


if __name__ == "__main__":
    sys.exit(main())
