"""A job's probabilities of held-out rows and of the test set, through the same views and the same code.

Whatever engine predicts: nothing here imports Keras.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ripik.execution.task import Reporter
from ripik.features.batches import Batches, Source, prefetched
from ripik.features.store import Pass
from ripik.models.head_files import read_head
from ripik.models.predictor import Predictor
from ripik.models.softmax_head import head_predictor
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.training.diverged import diverged
from ripik.training.jobs import Training

AtSize = Callable[[int], Predictor]  # pixels a side, 0 for the size of the training → what predicts photos of it


def predict_rows(predictor: Predictor, source: Source, rows: np.ndarray, view: str, batch_size: int) -> np.ndarray:
    """Return the outputs of rows of a source, float32 (len(rows), …); pixels are seen through `view`."""
    batches = Batches(source, rows, batch_size, view=view)
    return np.concatenate([np.empty((0, *predictor.output), "float32"), *predictor.stream(prefetched(batches))])


def predict_views(
    at_size: AtSize,
    sources: Mapping[Pass, Source],
    rows: np.ndarray,
    batch_size: int,
    report: Reporter | None = None,
) -> np.ndarray:
    """Return the outputs of rows through every view, float32 (views, len(rows), …).

    at_size: returns the network that reads photos of a pass's size. sources: by pass, what it reads: pixels, not yet
    seen through the view, or outputs of frozen layers, which are.
    """
    found = []
    for number, (pass_, source) in enumerate(sources.items(), start=1):
        found.append(predict_rows(at_size(pass_.size), source, rows, pass_.view, batch_size))
        if report is not None:
            report(float(number), len(sources), f"{number}/{len(sources)}, {pass_.name}")
    return np.stack(found)


def open_rows(path: Path) -> Source:
    """Return the rows of a packed file, read where they lie."""
    return PackedRows([path])


def head_of(training: Training) -> Predictor:
    """Return what predicts with a finished head alone."""
    return head_predictor(*read_head(training.checked_weights()))


def write_predictions(
    training: Training, make: AtSize, report: Reporter, opened: Callable[[Path], Source] = open_rows
) -> None:
    """Write a training's probabilities of its held rows and of the test set, through every view, unless they are there.

    predictions.npz: oof (views, held, C), test (views, m, C), float32, with held_ids and test_ids. make: what loads the
    trained network; it is called only when something is to be predicted, once a size. opened: returns the rows of a
    packed file.
    """
    predicted = training.predicted
    if predicted.is_fresh:
        return
    training.check_stores()
    competition = training.run.competition
    with predicted.making() as more:
        at_size = functools.cache(make)
        more |= {"engine": at_size(first_pass(training).size).record(), "frozen": _frozen_engine(training)}
        held = training.held_rows
        arrays = {
            "oof": predict_split(training, at_size, "train", held, report, opened),
            "test": predict_test(training, at_size, report, opened),
            "held_ids": competition.train["image_id"].to_numpy(dtype=str)[held],
            "test_ids": competition.test["image_id"].to_numpy(dtype=str),
        }
        with artifacts.replacing(training.predictions) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def predict_test(
    training: Training, at_size: AtSize, report: Reporter, opened: Callable[[Path], Source] = open_rows
) -> np.ndarray:
    """Return what a finished training says of the test set by view, float32 (views, m, C).

    Images that cannot be read have the class shares of the training rows in every view.
    """
    competition = training.run.competition
    predicted = predict_split(training, at_size, "test", np.arange(len(competition.test)), report, opened)
    predicted[:, ~competition.test["readable"].to_numpy()] = competition.class_shares()
    return predicted


def first_pass(training: Training) -> Pass:
    """Return the first pass of train.csv that a training predicts."""
    return training.data.reading.predicted("train")[0]


def _frozen_engine(training: Training) -> dict | None:
    """Return what the store records of the engine that made the frozen outputs; None where the network reads pixels."""
    path = training.data.path(first_pass(training))
    return (artifacts.read_meta(artifacts.meta_beside(path)) or {}).get("engine")


def predict_split(
    training: Training,
    at_size: AtSize,
    split: str,
    rows: np.ndarray,
    report: Reporter,
    opened: Callable[[Path], Source] = open_rows,
) -> np.ndarray:
    """Return what a finished training says of rows of a split by view, float32 (views, len(rows), C).

    Raises DivergedError where it says NaN: its last step made its weights so large that its outputs overflow.
    """

    def told(done: float, total: int, note: str = "") -> None:
        report(done, total, f"predicted {split} {note}")

    how = training.run.settings.prediction
    sources = {pass_: opened(training.data.path(pass_)) for pass_ in training.data.reading.predicted(split)}
    found = predict_views(at_size, sources, rows, how.batch_size, told)
    if not np.isfinite(found).all():
        precision = (artifacts.read_meta(training.meta) or {}).get("precision", "")
        raise diverged(training, f"its probabilities of {split} photos are NaN or infinite", precision)
    return found
