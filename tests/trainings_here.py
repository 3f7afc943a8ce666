"""What trainings read, made in the test's own process, and trainings done there, whichever way they go."""

import keras

from ripik.execution.task import Reporter
from ripik.features.frozen_passes import check_networks, fill_store
from ripik.features.pixels import pixels
from ripik.features.row_memory import RowMemory
from ripik.features.store import VariantData, pixel_passes
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage.paths import Job
from ripik.training import heads, predict, trainer
from ripik.training.head_session import HeadSession
from ripik.training.jobs import Training
from ripik.training.network import Parts
from ripik.training.session import Session
from ripik.training.trainer import Trainer


def silent(done: int, total: int, note: str = "") -> None:
    """Report nothing."""


def prepare_here(settings: Settings) -> Run:
    """Open the run with all that the jobs read, made in this process."""
    run = Run.open(settings)
    wanted = [VariantData(run, variant) for variant in settings.variants.values()]
    for data in wanted:
        for item in pixel_passes(data.reading.passes):
            pixels(run, item.split, item.copies, data.reading.side(item))
    lacking = [data for data in wanted if not data.is_prepared()]
    check_networks(lacking, silent)
    fill_store([data for data in lacking if not data.reading.from_pixels], (0, 1), silent)
    return run


def train(training: Training, report: Reporter) -> None:
    """Train a job by itself."""
    if not training.data.reading.head_alone:
        trainer.train(training, report)
        return
    for error in heads.train_heads([training], report).values():
        raise error


def predict_job(training: Training, report: Reporter) -> None:
    """Predict with a finished training."""
    (heads.predict_head if training.data.reading.head_alone else predict.predict_job)(training, report)


def work(run: Run, job: Job, report: Reporter) -> str:
    """Do the task of one job."""
    if Training(run, job).data.reading.head_alone:
        return heads.work(run.settings, [job], report)
    return predict.work(run.settings, job, report)


def starting_network(training: Training) -> keras.Model:
    """Return the trained part as its training finds it."""
    parts = Parts.build(training)
    parts.set_start(training)
    return parts.trained_part


def session_of(training: Training) -> Session:
    """Return a training as its process begins with it."""
    if training.data.reading.head_alone:
        return HeadSession.create(training, RowMemory())
    return Trainer.create(training)
