"""From the jobs' predictions to a variant's `oof.csv` and `test.csv`; rows are joined by id, never by position."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.analysis.view_gains import merge
from ripik.console import table
from ripik.data.csv_tables import names_of
from ripik.errors import InputError
from ripik.settings import Label, Variant
from ripik.splits.folds import check_groups
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.jobs import is_predicted, is_trained, jobs_of, predicting_jobs, predictions_path
from ripik.training.scores import CORRECTED, LEVEL, probabilities, score_rows

SUM_TOLERANCE = 1e-4


def probability_columns(classes: Sequence[Label]) -> list[str]:
    """Return the names of the probability columns, in class order."""
    return [f"p_{label}" for label in classes]


def merge_variant(run: Run, variant: Variant) -> None:
    """Write the variant's `oof.csv` and `test.csv` from its jobs' predictions.

    Views are merged as the configuration says, seeds and folds by their mean; with a refit, it alone predicts the test.
    Raises InputError when a job is not trained or not predicted from the present inputs, or a row is left without
    prediction.
    """
    jobs = jobs_of(run.settings, variant)
    _check_finished(run, jobs)
    folder = run.layout.variant(variant.name)
    inputs = {job.folder: artifacts.file_digest(predictions_path(run, job)) for job in jobs}
    meta = {"merge": run.settings.prediction.merge, "predictions": inputs}
    with artifacts.making(folder / "meta.json", meta, [folder / "oof.csv", folder / "test.csv"], anew=True) as more:
        oof, test = _oof_frame(run, variant, jobs), _test_frame(run, variant)
        check_oof(oof, run)
        artifacts.write_csv(folder / "oof.csv", oof)
        artifacts.write_csv(folder / "test.csv", test)
        more["scores"] = score_rows(run, probabilities(run, oof)).as_json()


def read_predictions(path: Path, run: Run, split: str) -> pd.DataFrame:
    """Return an `oof.csv` or `test.csv` in the order of the split's rows.

    Raises InputError when columns or ids are not those of the run.
    """
    if not path.exists():
        raise InputError(f"there is no {path}. Run `make train` and `make predict` first.")
    artifacts.check_recorded(path, path.parent / "meta.json", "Run `make train ensemble` again.")
    probabilities = probability_columns(run.competition.classes)
    frame = pd.read_csv(
        path,
        dtype={"image_id": str, "label": str},
        keep_default_na=False,
        na_values={column: [""] for column in probabilities},
    )
    first = ["image_id", "fold", "label"] if split == "train" else ["image_id"]
    wanted = [*first, *probabilities]
    if list(frame.columns) != wanted:
        raise InputError(f"{path} has the columns {names_of(list(frame.columns))}, not {names_of(wanted)}.")
    ids = run.competition.rows(split)["image_id"]
    if sorted(frame["image_id"]) != sorted(ids):
        raise InputError(f"{path} does not list the ids of {split}.csv, each once. Run `make predict` again.")
    frame = frame.set_index("image_id").loc[ids].reset_index()
    return _with_own_labels(frame, run) if split == "train" else frame


def _with_own_labels(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Give each row the organiser's label value when its text is that value's; leave another text as it is."""
    own = run.competition.train["label"]
    same = frame["label"] == own.astype(str)
    return frame.assign(label=own.astype(object).where(same, frame["label"]))


def read_views(run: Run, variant: Variant, split: str) -> np.ndarray:
    """Return a variant's probabilities of a split by view, float64 (views, n, C), rows in the order of the split.

    The mean over seeds and, for the test set, folds. Raises InputError when a job is not predicted.
    """
    jobs = jobs_of(run.settings, variant) if split == "train" else predicting_jobs(run.settings, variant)
    _check_finished(run, jobs)
    ids = run.competition.rows(split)["image_id"]
    position = pd.Series(np.arange(len(ids)), index=ids)
    shape = len(run.settings.prediction.views), len(ids), len(run.competition.classes)
    total, times = np.zeros(shape), np.zeros(len(ids))
    for job in jobs:
        if split == "test" or job.fold is not None:
            values, known = _stored(run, job, "oof" if split == "train" else "test")
            rows = position.loc[known].to_numpy()
            total[:, rows] += values
            times[rows] += 1
    return total / times[:, None]


def read_test(run: Run, job: Job) -> np.ndarray:
    """Return a job's probabilities of the test set by view, (views, m, C), rows in the order of the test set.

    Raises InputError when the job is not predicted.
    """
    _check_finished(run, [job])
    values, known = _stored(run, job, "test")
    position = pd.Series(np.arange(len(known)), index=known)
    return values[:, position.loc[run.competition.test["image_id"]].to_numpy()]


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


def _check_finished(run: Run, jobs: Sequence[Job]) -> None:
    for what, done in (("trained", is_trained), ("predicted", is_predicted)):
        lacking = [job for job in jobs if not done(run, job)]
        if lacking:
            raise InputError(
                f"{', '.join(str(job) for job in lacking[:6])}{', …' if len(lacking) > 6 else ''}: not {what} with the "
                f"present folds, data and configuration. Run `make {'train' if what == 'trained' else 'predict'}`."
            )


def _load(run: Run, job: Job, split: str) -> pd.DataFrame:
    values, ids = _stored(run, job, split)
    merged = merge(values, run.settings.prediction.merge)
    return pd.DataFrame(merged, index=ids, columns=probability_columns(run.competition.classes))


def _stored(run: Run, job: Job, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the job's probabilities (views, n, C) of `oof` or `test`, and the ids of the rows."""
    path = predictions_path(run, job)
    artifacts.check_recorded(path, path.with_suffix(".meta.json"), "Run `make predict` again.")
    with np.load(path, allow_pickle=False) as stored:
        return stored[split], stored["held_ids" if split == "oof" else "test_ids"]


def _oof_frame(run: Run, variant: Variant, jobs: Sequence[Job]) -> pd.DataFrame:
    columns = probability_columns(run.competition.classes)
    ids = run.competition.train["image_id"]
    total = np.full((variant.seeds, len(ids), len(columns)), np.nan)
    position = pd.Series(np.arange(len(ids)), index=ids)
    for job in jobs:
        if job.fold is not None:
            found = _load(run, job, "oof")
            if sorted(found.index) != sorted(ids.iloc[run.held_rows(job)]):
                raise InputError(f"the predictions of {job} are not its held fold's. Delete them and predict again.")
            total[job.seed, position.loc[found.index].to_numpy()] = found.to_numpy()
    probabilities = pd.DataFrame(total.mean(axis=0), columns=columns)
    known = pd.DataFrame({"image_id": ids, "fold": run.folds["fold"], "label": run.competition.train["label"]})
    return pd.concat([known, probabilities], axis=1)


def _test_frame(run: Run, variant: Variant) -> pd.DataFrame:
    ids = run.competition.test["image_id"]
    merged = [_load(run, job, "test").loc[ids].to_numpy() for job in predicting_jobs(run.settings, variant)]
    return test_frame(run, merged)


def test_frame(run: Run, merged: Sequence[np.ndarray]) -> pd.DataFrame:
    """Return the content of a variant's `test.csv`: the mean of what its jobs say, each (m, C), views merged."""
    frame = pd.DataFrame(np.mean(merged, axis=0), columns=probability_columns(run.competition.classes))
    frame.insert(0, "image_id", run.competition.test["image_id"])
    return frame


def show_scores(opened: Run, variants: Sequence[Variant]) -> None:
    """Print each variant's OOF score, the one by corrected labels, the mean over folds, accuracy and seconds."""
    metric = opened.settings.competition.metric
    rows = [score_row(opened, variant) for variant in variants]
    corrected = [CORRECTED] if opened.competition.is_corrected.any() else []
    columns = ["variant", f"OOF {metric}", LEVEL, *corrected, "mean of folds", "accuracy", "seconds"]
    table("Out-of-fold scores", columns, rows)


def score_row(opened: Run, variant: Variant) -> list[str]:
    """Return the variant's name, its scores' cells, and the seconds of its jobs."""
    frame = read_predictions(opened.layout.variant(variant.name) / "oof.csv", opened, "train")
    return [variant.name, *score_rows(opened, probabilities(opened, frame)).cells(), f"{_seconds(opened, variant):.0f}"]


def _seconds(opened: Run, variant: Variant) -> float:
    folders = [opened.layout.job(job) for job in jobs_of(opened.settings, variant)]
    names = ("meta.json", "predictions.meta.json")
    return sum(artifacts.read_json(folder / name)["seconds"] for folder in folders for name in names)
