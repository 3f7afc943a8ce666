"""From the jobs' predictions to a variant's `oof.csv` and `test.csv`; rows are joined by id, never by position."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.metrics import FloatArray
from ripik.analysis.predictions import load
from ripik.analysis.view_gains import merge
from ripik.console import table
from ripik.data.csv_tables import names_of
from ripik.errors import InputError
from ripik.features.store import VariantData
from ripik.settings import Label
from ripik.splits import witnesses
from ripik.splits.folds import check_groups
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.up_to_date import Artifact
from ripik.training.jobs import Training, predicting, trainings_of
from ripik.training.scores import CORRECTED, LEVEL, Scores, beside, score_rows
from ripik.variants import Variant

SUM_TOLERANCE = 1e-4
MERGE = 1  # to be raised when what is made of the same predictions changes: the CSVs, or the scores beside them


def probability_columns(classes: Sequence[Label]) -> list[str]:
    """Return the names of the probability columns, in class order."""
    return [f"p_{label}" for label in classes]


def merge_variant(run: Run, variant: Variant) -> None:
    """Write the variant's `oof.csv` and `test.csv` from its jobs' predictions, unless they are up to date.

    Views are merged as the configuration says, seeds and folds by their mean; with a refit, it alone predicts the test.
    Raises InputError when a job is not trained or not predicted from the present inputs, or a row is left without
    prediction.
    """
    _check_finished(trainings_of(run, variant))
    merged = merged_artifact(run, variant)
    if merged.is_fresh:
        return
    with merged.making(anew=True) as more:
        oof, test = _oof_frame(run, variant), _test_frame(run, variant)
        check_oof(oof, run)
        for path, frame in zip(merged.outputs, (oof, test), strict=True):
            artifacts.write_csv(path, frame)
        more["scores"] = score_rows(run, oof[probability_columns(run.competition.classes)].to_numpy()).as_json()


def merged_artifact(run: Run, variant: Variant) -> Artifact:
    """Return a variant's `oof.csv` and `test.csv` by what determines them; every job of it must be predicted."""
    folder = run.layout.variant(variant.name)
    return Artifact(folder / "meta.json", merge_inputs(run, variant), (folder / "oof.csv", folder / "test.csv"))


def merge_inputs(run: Run, variant: Variant) -> dict[str, Any]:
    """Return what determines a variant's `oof.csv`, `test.csv` and scores.

    Always the same keys: so what a run of an earlier version recorded, the first two, is a part of them.
    """
    predictions = {each.job.folder: each.predictions for each in trainings_of(run, variant)}
    return {
        "merge": run.settings.prediction.merge,
        "predictions": {folder: artifacts.file_digest(path) for folder, path in predictions.items()},
        "version": MERGE,
        "folds": run.folds_digest,
        "rows": rows_digest(run),
        "classes": list(run.competition.classes),
        "metric": run.settings.competition.metric,
        "witnesses": artifacts.digest(witnesses.train(run).tolist()),
    }


def rows_digest(run: Run) -> str:
    """Return a hash of the ids and labels of train.csv and the ids of the test set, in their order."""
    train = run.competition.train
    rows = [train[name].tolist() for name in ("image_id", "label", "training_label")]
    soft = list(run.competition.share_inputs().values())
    return artifacts.digest([*rows, run.competition.test["image_id"].tolist(), *soft])


def written_oof(path: Path, run: Run) -> FloatArray:
    """Return the probabilities (n, C) of an `oof.csv` of the run, rows in the order of train.csv.

    Raises InputError when it is of other images, labels or classes than the run's, and as `analysis.load` does.
    """
    found, train = load(path), run.competition.train
    columns = probability_columns(run.competition.classes)
    if found.classes != tuple(map(str, run.competition.classes)):
        raise InputError(
            f"{path} has the columns {names_of([f'p_{each}' for each in found.classes])}, not {names_of(columns)}."
        )
    labels = found.frame.set_index("image_id")["label"]
    if sorted(labels.index) != sorted(train["image_id"]):
        raise InputError(f"{path} does not list every id of train.csv exactly once. Run `make train ensemble` again.")
    if labels.loc[train["image_id"]].tolist() != train["label"].astype(str).tolist():
        raise InputError(f"{path} has other labels than train.csv. Run `make folds train ensemble` again.")
    return found.frame.set_index("image_id").loc[train["image_id"], columns].to_numpy()


def read_oof(run: Run, variant: Variant, *, merged: bool) -> FloatArray:
    """Return a variant's out-of-fold probabilities, float64 (views, n, C), rows in the order of train.csv.

    The mean over seeds; `merged`: the views merged as the configuration says, as one view.
    Raises InputError when a job is not trained or not predicted, or predicted other rows than its held fold's.
    """
    trainings = trainings_of(run, variant)
    _check_finished(trainings)
    ids = run.competition.train["image_id"]
    position = pd.Series(np.arange(len(ids)), index=ids)
    how, seen = run.settings.prediction, VariantData(run, variant).reading.predicted("train")
    total = np.zeros((1 if merged else len(seen), len(ids), len(run.competition.classes)))
    for each in trainings:
        if each.job.fold is not None:
            values, known = _stored(each, "oof")
            if sorted(known) != sorted(ids.iloc[each.held_rows]):
                raise InputError(
                    f"the predictions of {each} do not match its held-out fold. Delete them and predict again."
                )
            total[:, position.loc[known].to_numpy()] += merge(values, how.merge) if merged else values
    return total / variant.seeds


def read_test(training: Training) -> np.ndarray:
    """Return a training's probabilities of the test set by view, float32 (views, m, C), in the order of the test set.

    Raises InputError when it is not predicted.
    """
    _check_finished([training])
    values, known = _stored(training, "test")
    position = pd.Series(np.arange(len(known)), index=known)
    return np.take(values, position.loc[training.run.competition.test["image_id"]].to_numpy(), axis=1)


def check_oof(oof: pd.DataFrame, run: Run) -> None:
    """Raise InputError unless every training row has probabilities, in its own fold, and no group crosses folds."""
    values = oof[probability_columns(run.competition.classes)].to_numpy()
    bad = ~np.isfinite(values).all(axis=1) | (values < 0).any(axis=1)
    bad |= np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE
    if bad.any():
        ids = oof.loc[bad, "image_id"].head().tolist()
        raise InputError(f"{bad.sum()} training images have no out-of-fold probabilities, the first {', '.join(ids)}.")
    joined = oof.merge(run.folds, on="image_id", suffixes=("", "_of_folds"), validate="one_to_one")
    moved = joined[(joined["fold"] != joined["fold_of_folds"]) | (joined["label"] != joined["label_of_folds"])]
    if len(moved) or len(joined) != len(run.folds):
        which = ", ".join(moved["image_id"].head()) or "some are missing"
        raise InputError(
            f"the out-of-fold predictions have other folds or labels than folds.csv (images: {which}). "
            "Run `make folds train ensemble` again."
        )
    check_groups(joined[["image_id", "group", "fold"]], run.layout.folds)


def _check_finished(trainings: Sequence[Training]) -> None:
    for what, lacking in (
        ("train", [each for each in trainings if not each.is_trained]),
        ("predict", [each for each in trainings if not each.is_predicted]),
    ):
        if lacking:
            names = ", ".join(map(str, lacking[:6]))
            raise InputError(
                f"{names}{', …' if len(lacking) > 6 else ''}: not {what}ed with the current folds, data and "
                f"configuration. Run `make {what}`."
            )


def _stored(training: Training, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a training's probabilities (views, n, C) of `oof` or `test`, and the ids of the rows."""
    artifacts.check_recorded(training.predictions, training.predictions_meta, "Run `make predict` again.")
    with np.load(training.predictions, allow_pickle=False) as stored:
        return stored[split], stored["held_ids" if split == "oof" else "test_ids"]


def _oof_frame(run: Run, variant: Variant) -> pd.DataFrame:
    probabilities = pd.DataFrame(
        read_oof(run, variant, merged=True)[0], columns=probability_columns(run.competition.classes)
    )
    known = run.competition.train[["image_id"]].assign(fold=run.folds["fold"], label=run.competition.train["label"])
    return pd.concat([known, probabilities], axis=1)


def _test_frame(run: Run, variant: Variant) -> pd.DataFrame:
    """Return the content of a variant's `test.csv`: the mean of what its jobs say, in float32 as they say it."""
    merged = [merge(read_test(each), run.settings.prediction.merge) for each in predicting(run, variant)]
    frame = pd.DataFrame(np.mean(merged, axis=0), columns=probability_columns(run.competition.classes))
    frame.insert(0, "image_id", run.competition.test["image_id"])
    return frame


def show_scores(opened: Run, variants: Sequence[Variant]) -> None:
    """Print each variant's OOF score, the one by corrected labels, the mean over folds, accuracy and seconds.

    Accuracy stands there once, where it is the metric.
    """
    metric = opened.settings.competition.metric
    rows = [score_row(opened, variant, accuracy=bool(beside(metric))) for variant in variants]
    corrected = [CORRECTED] if opened.competition.is_corrected.any() else []
    columns = ["variant", f"OOF {metric}", LEVEL, *corrected, "mean of folds", *beside(metric), "seconds"]
    table("Out-of-fold scores", columns, rows)


def score_row(opened: Run, variant: Variant, *, accuracy: bool = True) -> list[str]:
    """Return a merged variant's name, its scores' cells, and the seconds of its jobs."""
    scores = Scores.from_json(artifacts.read_json(opened.layout.variant(variant.name) / "meta.json")["scores"])
    return [variant.name, *scores.cells(accuracy=accuracy), f"{_seconds(opened, variant):.0f}"]


def _seconds(opened: Run, variant: Variant) -> float:
    metas = [meta for each in trainings_of(opened, variant) for meta in (each.meta, each.predictions_meta)]
    return sum(artifacts.read_json(meta)["seconds"] for meta in metas)
