"""Predict with finished models: held-out rows and the test set, through the same views and the same code."""

import numpy as np
import pandas as pd

from ripik.console import Pace
from ripik.execution.locks import Tell, present
from ripik.execution.task import Reporter
from ripik.features.store import Pass
from ripik.models import backend
from ripik.models.engines import Predictor
from ripik.settings import RAY, Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job, layout_of
from ripik.training.callbacks import scores_told
from ripik.training.jobs import Training
from ripik.training.network import predict_views
from ripik.training.trainer import train
from ripik.training.warm import Network, network_of


def work(settings: Settings, job: Job, report: Reporter) -> str:
    """Do one job in this process: train it unless it is finished, then predict unless that is done.

    Returns the last epoch's scores as text. Raises SurroundingsError when another process is doing the same job; on a
    cluster, where it may be a lost worker that is not quite gone, it is waited for.
    """
    with present(layout_of(settings).running(job), str(job), wait=settings.jobs.engine == RAY) as tell:
        training, progress = Training(Run.open(settings), job), _telling(report, tell)
        with network_of(training) as network:
            backend.make_deterministic(training.seed)
            if not training.is_trained:
                train(training, progress, network)
            predict_job(training, progress, network)
        return _last_scores(training)


def _telling(report: Reporter, tell: Tell) -> Reporter:
    """Return a reporter that also tells whoever asks for the run's status, with the time left."""
    pace = Pace()

    def both(done: float, total: int, note: str = "") -> None:
        pace.note(done, total)
        tell(done, total, note, pace.left())
        report(done, total, note)

    return both


def _last_scores(training: Training) -> str:
    history = pd.read_csv(training.folder / "history.csv")
    return scores_told({str(name): float(value) for name, value in history.iloc[-1].items()})


def predict_job(training: Training, report: Reporter, network: Network | None = None) -> None:
    """Write a training's probabilities of its held rows and of the test set, one array a view, unless they are there.

    predictions.npz: oof (views, held, C), test (views, m, C), float32, with held_ids and test_ids. network: one for
    trainings of this shape; None: a new one.
    """
    predicted = training.predicted
    if predicted.is_fresh:
        return
    training.check_stores()
    competition = training.run.competition
    with predicted.making() as more:
        predictor = (network or Network()).trained(training, PackedRows([training.data.path(Pass("train"))]))
        more |= {"engine": predictor.record(), "frozen": _frozen_engine(training)}
        held = training.held_rows
        arrays = {
            "oof": _predict_split(training, predictor, "train", held, report),
            "test": predict_test(training, predictor, report),
            "held_ids": competition.train["image_id"].to_numpy(dtype=str)[held],
            "test_ids": competition.test["image_id"].to_numpy(dtype=str),
        }
        with artifacts.replacing(training.predictions) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def predict_test(training: Training, predictor: Predictor, report: Reporter) -> np.ndarray:
    """Return what a finished training says of the test set by view, float32 (views, m, C).

    Images that cannot be read have the class shares of the training rows in every view.
    """
    competition = training.run.competition
    predicted = _predict_split(training, predictor, "test", np.arange(len(competition.test)), report)
    predicted[:, ~competition.test["readable"].to_numpy()] = competition.class_shares()
    return predicted


def _frozen_engine(training: Training) -> dict | None:
    """Return what the store tells of the engine that made the frozen outputs; None where the network reads pixels."""
    path = training.data.path(Pass("train"))
    return (artifacts.read_meta(artifacts.meta_beside(path)) or {}).get("engine")


def _predict_split(
    training: Training, predictor: Predictor, split: str, rows: np.ndarray, report: Reporter
) -> np.ndarray:
    def told(done: float, total: int, note: str = "") -> None:
        report(done, total, f"predicted {split} {note}")

    how = training.run.settings.prediction
    sources = {view: PackedRows([training.data.path(Pass(split, view=view))]) for view in how.views}
    return predict_views(predictor, sources, rows, how.batch_size, told)
