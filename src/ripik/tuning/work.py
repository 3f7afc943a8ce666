"""The tasks of a search: folds of trials, trained and predicted in a process that keeps what they share."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.metrics import FloatArray, get_metric, score_part
from ripik.analysis.view_gains import merge
from ripik.errors import InputError
from ripik.execution.signals import noticing
from ripik.execution.task import Reporter
from ripik.features.batches import Source
from ripik.features.row_memory import RowMemory
from ripik.models.predictor import Predictor
from ripik.models.softmax_head import head_predictor, one_blas_thread
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.training.diverged import DivergedError
from ripik.training.head_session import HeadSession
from ripik.training.heads import Together, run_sessions, session_kind
from ripik.training.jobs import Training
from ripik.training.predictions import AtSize, open_rows, predict_split
from ripik.tuning.trial import Outcome, Proposal, Trial

DRAWN = 128  # batches whose dropout is remembered; trials of one batch size share it, epoch after epoch
_KEPT: dict[str, tuple[Run, RowMemory]] = {}  # by this process, for the next task of the same search


def heads(settings: Settings, name: str, wanted: Sequence[tuple[Proposal, int]], report: Reporter) -> str:
    """Train folds of trials of a head, all at once, and keep what they say of the held rows.

    Each learns what it would alone, to the byte. Nothing is saved on the way: a head takes seconds.
    """
    run, memory = _opened(settings)
    trials = [(Trial(run, run.settings.variants[name], proposal), fold) for proposal, fold in wanted]
    sessions = [[unsaved(each, memory) for each in trial.trainings(fold)] for trial, fold in trials]
    flat = [session for of_trial in sessions for session in of_trial]
    together = Together(flat, report)
    with one_blas_thread(), noticing() as asked:
        failed = run_sessions(flat, {session.training: together for session in flat}, asked)
    _raise_others(failed.values())
    scores = []
    for (trial, fold), of_trial in zip(trials, sessions, strict=True):
        diverged = any(session.training in failed for session in of_trial)
        outcome = Outcome(None, [], 0.0) if diverged else _of_heads(of_trial, memory, report)
        trial.result(fold).write(outcome)
        scores.append(_score(trial, fold, outcome))
    return _told(run, scores)


def _raise_others(errors: Iterable[InputError]) -> None:
    """Raise an error that is no divergence, which is all that a trial may end by."""
    for error in errors:
        if not isinstance(error, DivergedError):
            raise error


def one(settings: Settings, name: str, proposal: Proposal, fold: int, report: Reporter) -> str:
    """Train a fold of a trial by Keras, and keep what it says of the held rows; it resumes within the fold."""
    run, _ = _opened(settings)
    trial = Trial(run, run.settings.variants[name], proposal)
    trainings = trial.trainings(fold)
    said = [_by_keras(each, report) for each in trainings]
    history = [row for each in trainings for row in _history(each)]
    known = [values for values in said if values is not None]
    oof = _mean(known) if len(known) == len(said) else None
    outcome = Outcome(oof, history, sum(row["seconds"] for row in history))
    result = trial.result(fold)
    result.write(outcome)
    result.clear()
    return _told(run, [_score(trial, fold, outcome)])


def unsaved(training: Training, memory: RowMemory) -> HeadSession:
    """Return a head in training of which nothing is kept but what it predicts."""
    kind = session_kind(training)
    made: type[HeadSession] = type(f"Unsaved{kind.__name__}", (_Unsaved, kind), {})
    return made.create(training, memory)


class _Silent:
    """A log that keeps nothing."""

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Forget the numbers."""


class _Unsaved(HeadSession):
    """Neither its state nor a log is written."""

    log: Any = _Silent()

    def save(self) -> None:
        """Save nothing."""


def _opened(settings: Settings) -> tuple[Run, RowMemory]:
    """Return the run and the rows that this process has in memory, as an earlier task left them."""
    key = settings.model_dump_json() + artifacts.file_digest(layout_of(settings).folds)
    if key not in _KEPT:
        memory = RowMemory.of_job(settings.jobs)
        memory.share_draws(DRAWN)
        _KEPT.clear()
        _KEPT[key] = Run.open(settings), memory
    return _KEPT[key]


def _of_heads(sessions: Sequence[HeadSession], memory: RowMemory, report: Reporter) -> Outcome:
    history = [row for session in sessions for row in session.history]
    try:
        oof = _mean([_said_by_head(session, memory, report) for session in sessions])
    except DivergedError:
        oof = None
    return Outcome(oof, history, sum(row["seconds"] for row in history))


def _said_by_head(session: HeadSession, memory: RowMemory, report: Reporter) -> FloatArray:
    values = session.best if session.variant.inner_split > 0 else session.predicting()
    predictor = head_predictor(*session.head.parts(values[0]))
    return _held(session.training, _whatever(predictor), report, memory.open)


def _mean(of_seeds: Sequence[FloatArray]) -> FloatArray:
    total: FloatArray = np.sum(of_seeds, axis=0)
    return total / len(of_seeds)


def _whatever(predictor: Predictor) -> AtSize:
    """Return what predicts photos of any size: a head, which reads stored outputs."""
    return lambda size: predictor


def _by_keras(training: Training, report: Reporter) -> FloatArray | None:
    """Train unless it is trained, and return what it says of the held rows; None where it diverged."""
    from ripik.models import backend
    from ripik.training.predict import at_size
    from ripik.training.trainer import train
    from ripik.training.warm import network_of

    with network_of(training) as network:
        backend.make_deterministic(training.seed)
        try:
            if not training.is_trained:
                train(training, report, network)
            return _held(training, functools.cache(lambda size: at_size(training, network, size)), report, open_rows)
        except DivergedError:
            return None


def _held(training: Training, made: AtSize, report: Reporter, opened: Callable[[Path], Source]) -> FloatArray:
    """Return what a network says of the held rows, its views merged, float64 (held, C), as `oof.csv` would have it.

    made: what predicts photos of each size.
    """
    said = predict_split(training, made, "train", training.held_rows, report, opened)
    return merge(said, training.run.settings.prediction.merge).astype(np.float64)


def _history(training: Training) -> list[dict[str, float]]:
    path = training.folder / "history.csv"
    if not path.exists():
        return []
    return [{str(key): float(value) for key, value in row.items()} for row in pd.read_csv(path).to_dict("records")]


def _score(trial: Trial, fold: int, outcome: Outcome) -> float:
    """Return the score of the held rows; NaN where the trial diverged."""
    if outcome.oof is None:
        return float("nan")
    held = trial.trainings(fold)[0].held_rows
    return score_part(get_metric(trial.base.settings.competition.metric), trial.base.truth()[held], outcome.oof)


def _told(run: Run, scores: Sequence[float]) -> str:
    metric = run.settings.competition.metric
    known = [score for score in scores if np.isfinite(score)]
    ends = f"{min(known):.4f}" + (f" to {max(known):.4f}" if len(known) > 1 else "") if known else ""
    diverged = [f"{len(scores) - len(known)} diverged"] if len(known) < len(scores) else []
    return ", ".join([*([f"{metric} {ends}"] if ends else []), *diverged])
