"""A run rehearsed on a few rows: the real passes and trainings, in processes as they will have them, with their times.

Each function here is a job's, and leaves what it saw in a JSON file.
"""

import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
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
Sign = tuple[float, float]  # seconds since the beginning, units done


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


def do_job(run: Run, job: Job, batch_size: int, target: Path, report: Reporter) -> str:
    """Train and predict a job of few rows, and note how fast; return what a person may want to know of it.

    And once more, as a worker does a job after another of its shape. again: the seconds of that. by_batch: the most
    memory after the first time, by its batch size, and if it is below the real one, `batch_size`, after a training by
    batches of twice that, or of the real ones; where the rows are enough for one.
    """
    signs, start, noting = _noting(report)
    training = Training(run, job)
    network = _network(training)
    trains, predicts = _ways(training, network)
    trains(noting)
    trained = len(signs)
    predicts(noting)
    seen, small = _seen(start, signs), training.variant.batch_size
    by_batch, large = [(small, _memory())], min(2 * small, batch_size)
    shutil.rmtree(training.folder)
    if small < large <= len(training.rows):
        train(_by_batches(training, large), _silent, network=network)
        by_batch.append((large, _memory()))
        shutil.rmtree(training.folder)
    start = time.monotonic()
    for way in (trains, predicts):
        way(_silent)
    again = {"again": time.monotonic() - start, "memory": _memory(), "disk": _bytes(training.folder)}
    artifacts.write_json(target, {**seen, "trained": trained, "by_batch": by_batch, **again})
    return f"{signs[-1][0]:.0f} s"


def _network(training: Training) -> Network | None:
    shape = None if training.data.reading.head_alone else shape_of(training)
    return Network(shape) if shape else None


def _ways(training: Training, network: Network | None) -> tuple[Way, Way]:
    """Return what trains, and what predicts, again and again."""
    if training.data.reading.head_alone:
        return partial(train_heads, [training]), partial(predict_head, training)
    return partial(train, training, network=network), partial(predict_job, training, network=network)


def _by_batches(training: Training, size: int) -> Training:
    """Return the training for one epoch by batches of another size."""
    settings = training.run.settings
    other = training.variant.model_copy(update={"batch_size": size, "epochs": 1})
    variants = {**settings.variants, other.name: other}
    return Training(replace(training.run, settings=settings.model_copy(update={"variants": variants})), training.job)


def _silent(done: float, total: int, note: str = "") -> None:
    """Report to nobody."""


def _noting(report: Reporter) -> tuple[list[Sign], float, Reporter]:
    signs, start = list[Sign](), time.monotonic()

    def noting(done: float, total: int, note: str = "") -> None:
        signs.append((time.monotonic() - start, done))
        report(done, total, note)

    return signs, start, noting


def _seen(start: float, signs: list[Sign]) -> dict[str, Any]:
    return {"seconds": time.monotonic() - start, "signs": signs}


def _memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
