"""Predict with finished models: held-out rows and the test set, through the same views and the same code."""

import numpy as np
import pandas as pd

from ripik.console import Pace
from ripik.execution.locks import Tell, present
from ripik.execution.task import Reporter
from ripik.features.store import Pass, source_path
from ripik.models import backend
from ripik.models.engines import Predictor
from ripik.settings import RAY, Settings
from ripik.splits.run import Run, open_run
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job, layout_of
from ripik.training.callbacks import scores_told
from ripik.training.jobs import check_stores, is_predicted, is_trained, job_seed, prediction_inputs, predictions_path
from ripik.training.network import predict_rows, predictor_of, trained_network
from ripik.training.trainer import train


def work(settings: Settings, job: Job, report: Reporter) -> str:
    """Do one job in this process: train it unless it is finished, then predict unless that is done.

    Returns the last epoch's scores as text. Raises SurroundingsError when another process is doing the same job; on a
    cluster, where it may be a lost worker that is not quite gone, it is waited for.
    """
    with present(layout_of(settings).running(job), str(job), wait=settings.jobs.engine == RAY) as tell:
        run, progress = open_run(settings), _telling(report, tell)
        backend.make_deterministic(job_seed(settings.variants[job.variant], job))
        if not is_trained(run, job):
            train(run, job, progress)
        predict_job(run, job, progress)
        return _last_scores(run, job)


def _telling(report: Reporter, tell: Tell) -> Reporter:
    """Return a reporter that also tells whoever asks for the run's status, with the time left."""
    pace = Pace()

    def both(done: float, total: int, note: str = "") -> None:
        pace.note(done, total)
        tell(done, total, note, pace.left())
        report(done, total, note)

    return both


def _last_scores(run: Run, job: Job) -> str:
    history = pd.read_csv(run.layout.job(job) / "history.csv")
    return scores_told({str(name): float(value) for name, value in history.iloc[-1].items()})


def predict_job(run: Run, job: Job, report: Reporter) -> None:
    """Write a job's probabilities of its held rows and of the test set, one array a view, unless they are there.

    predictions.npz: oof (views, held, C), test (views, m, C), float32, with held_ids and test_ids. Test images that
    cannot be read have the class shares of the training rows in every view.
    """
    if is_predicted(run, job):
        return
    check_stores(run, job)
    inputs, path = prediction_inputs(run, job), predictions_path(run, job)
    with artifacts.making(path.with_suffix(".meta.json"), inputs, [path]) as more:
        predictor = _predictor(run, job)
        more |= {"engine": predictor.record(), "frozen": _frozen_engine(run, job)}
        held, everything = run.held_rows(job), np.arange(len(run.competition.test))
        arrays = {
            "oof": _all_views(run, job, predictor, "train", held, report),
            "test": _with_shares(run, _all_views(run, job, predictor, "test", everything, report)),
            "held_ids": run.competition.train["image_id"].to_numpy(dtype=str)[held],
            "test_ids": run.competition.test["image_id"].to_numpy(dtype=str),
        }
        with artifacts.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def _with_shares(run: Run, predicted: np.ndarray) -> np.ndarray:
    """Return predictions of the test set, (views, m, C), with the class shares for images that cannot be read."""
    unreadable = ~run.competition.test["readable"].to_numpy()
    predicted[:, unreadable] = run.competition.class_shares()
    return predicted


def _frozen_engine(run: Run, job: Job) -> dict | None:
    """Return what the store tells of the engine that made the frozen outputs; None when the job reads pixels."""
    path = source_path(run.settings, run.settings.variants[job.variant], Pass("train"))
    return (artifacts.read_meta(artifacts.meta_beside(path)) or {}).get("engine")


def _predictor(run: Run, job: Job) -> Predictor:
    variant = run.settings.variants[job.variant]
    source = PackedRows([source_path(run.settings, variant, Pass("train"))])
    return predictor_of(run, variant, trained_network(run, job), source)


def _all_views(run: Run, job: Job, predictor: Predictor, split: str, rows: np.ndarray, report: Reporter) -> np.ndarray:
    variant, how = run.settings.variants[job.variant], run.settings.prediction
    found = []
    for number, view in enumerate(how.views):
        source = PackedRows([source_path(run.settings, variant, Pass(split, view=view))])
        found.append(predict_rows(predictor, source, rows, view, how.batch_size))
        report(float(number + 1), len(how.views), f"predicted {split} {number + 1}/{len(how.views)}, {view}")
    return np.stack(found)
