"""The task of a job that Keras trains: train it, then predict with it."""

from ripik.execution.locks import present
from ripik.execution.task import Reporter
from ripik.features.store import Pass
from ripik.models import backend
from ripik.models.predictor import Predictor
from ripik.names import RAY
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job, layout_of
from ripik.training.jobs import Training
from ripik.training.predictions import first_pass, write_predictions
from ripik.training.signs import last_scores, scores_told, telling
from ripik.training.trainer import train
from ripik.training.warm import Network, network_of


def work(settings: Settings, job: Job, report: Reporter) -> str:
    """Do one job in this process: train it unless it is finished, then predict unless that is done.

    Returns the last epoch's scores as text. Raises SurroundingsError when another process is doing the same job; on a
    cluster, where it may be a lost worker that is not quite gone, it is waited for.
    """
    with present(layout_of(settings).running(job), str(job), wait=settings.jobs.engine == RAY) as tell:
        training, progress = Training(Run.open(settings), job), telling(report, tell)
        with network_of(training) as network:
            backend.make_deterministic(training.seed)
            if not training.is_trained:
                train(training, progress, network)
            predict_job(training, progress, network)
        return scores_told(last_scores(training.folder), copies=training.variant.scores_copies)


def predict_job(training: Training, report: Reporter, network: Network | None = None) -> None:
    """Write a training's probabilities unless they are there; see `write_predictions`.

    network: one for trainings of this shape; None: a new one.
    """
    write_predictions(training, lambda size: at_size(training, network or Network(), size), report)


def at_size(training: Training, network: Network, size: int) -> Predictor:
    """Return what predicts photos of a size with a finished training."""
    source = PackedRows([training.data.path(Pass("train", view=first_pass(training).view, size=size))])
    return network.trained(training, source, size)
