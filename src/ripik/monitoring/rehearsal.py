"""A run rehearsed on a few rows: the real passes and trainings, in processes as they will have them, with their times.

Each function here is a job's, and leaves what it saw in a JSON file.
"""

import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ripik.execution.task import Reporter
from ripik.features.frozen_passes import fill_store
from ripik.features.store import VariantData
from ripik.models import backend
from ripik.models.backbone import build_backbone, cut
from ripik.models.weights import make_initial_weights
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.heads import predict_head, train_heads
from ripik.training.jobs import Training
from ripik.training.predict import predict_job
from ripik.training.shapes import shape_of
from ripik.training.trainer import train
from ripik.training.warm import Network
from ripik.variants import Variant

Way = Callable[[Reporter], Any]
Sign = tuple[float, float, int]  # seconds since the beginning, units done, most bytes of memory so far


def begin(report: Reporter) -> None:
    """Do nothing, in a process that has loaded all that a job loads."""


def look_at_networks(settings: Settings, variants: Sequence[Variant], target: Path, report: Reporter) -> None:
    """Build and cut every network and write initial weights, as a run does first; note the seconds, and shapes.

    rows: the shape of a stored output by variant. gpus: whether the backend has one.
    """
    start, rows = time.monotonic(), {}
    for number, variant in enumerate(variants):
        parts = cut(build_backbone(variant.backbone, variant.image_size), variant.train_from)
        if parts.frozen is not None:
            rows[variant.name] = list(parts.frozen.output.shape[1:])
        make_initial_weights(settings, variant)
        report(number + 1, len(variants))
    record = {"seconds": time.monotonic() - start, "rows": rows, "gpus": "cpu" not in backend.devices()[0]}
    artifacts.write_json(target, record)


def pass_images(
    data: VariantData,
    share: tuple[int, int],
    target: Path,
    report: Reporter,
) -> None:
    """Make a share of the frozen outputs of some photos, and note how fast."""
    signs, start, noting = _noting(report)
    fill_store([data], share, noting)
    artifacts.write_json(target, _seen(start, signs))


def do_job(run: Run, job: Job, target: Path, report: Reporter) -> str:
    """Train and predict a job of few rows, and note how fast; return what a person may want to know of it.

    And once more, as a worker does a job after another of its shape. again: the seconds of that.
    """
    signs, start, noting = _noting(report)
    training = Training(run, job)
    trains, predicts = _ways(training)
    trains(noting)
    trained = len(signs)
    predicts(noting)
    seen, start = _seen(start, signs), time.monotonic()
    shutil.rmtree(training.folder)
    for way in (trains, predicts):
        way(lambda done, total, note="": None)
    again = {"again": time.monotonic() - start, "memory": _memory(), "disk": _bytes(training.folder)}
    artifacts.write_json(target, {**seen, "trained": trained, **again})
    return f"{signs[-1][0]:.0f} s"


def _ways(training: Training) -> tuple[Way, Way]:
    """Return what trains, and what predicts, again and again."""
    if training.data.reading.head_alone:
        return partial(train_heads, [training]), partial(predict_head, training)
    shape = shape_of(training)
    network = Network(shape) if shape else None
    return partial(train, training, network=network), partial(predict_job, training, network=network)


def _noting(report: Reporter) -> tuple[list[Sign], float, Reporter]:
    signs, start = list[Sign](), time.monotonic()

    def noting(done: float, total: int, note: str = "") -> None:
        signs.append((time.monotonic() - start, done, _memory()))
        report(done, total, note)

    return signs, start, noting


def _seen(start: float, signs: list[Sign]) -> dict[str, Any]:
    return {"seconds": time.monotonic() - start, "signs": signs, "memory": _memory()}


def _memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
