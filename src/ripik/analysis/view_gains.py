"""What each view of test-time augmentation adds to a variant's out-of-fold score."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.intervals import Interval, difference
from ripik.analysis.metrics import FloatArray, get_metric
from ripik.analysis.predictions import Predictions, load
from ripik.analysis.small_files import META, REFIT, STORED, merged_jobs, read_object
from ripik.errors import InputError
from ripik.storage import artifacts


def merge(probabilities: np.ndarray, how: str) -> np.ndarray:
    """Merge the probabilities of several views, (views, n, C) → (n, C), rows summing to 1.

    `arithmetic` is the mean; `geometric` the normalised geometric mean (the mean of log-probabilities).
    """
    if how == "arithmetic":
        return probabilities.mean(axis=0)
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).mean(axis=0)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


SAME = 1e-6  # how far the merge of all views may be from oof.csv, which keeps nine digits
PREDICT_AGAIN = "Run `make predict`."
NOTHING = Interval(*[float("nan")] * 4)


def views(run: str | Path, variant: str, *, metric: str | None = None) -> pd.DataFrame:
    """Return a row a view, in the configuration's order: its score by itself, and what it adds to all the others.

    Columns: view, alone (the metric of the view by itself), without (of all other views, merged), adds (the variant's
    score less `without`: above 0 the view helps, for log loss below 0), low and high (the 95 % interval of adds, over
    groups). A single view has no others (NaN). Views are merged for each seed, and the seeds by their mean, as in
    `oof.csv`. `metric` is as for `load`. Raises InputError when a file is missing or broken, or `oof.csv` was not
    merged from the present views.
    """
    p = load(Path(run) / variant, metric=metric)
    names, stored, how = _stored(p)
    measure, y = get_metric(p.metric), p.truth(p.metric)
    _check_same(p, _merged(stored, how))
    rows = []
    for index, name in enumerate(names):
        alone = measure.function(y, _merged(stored[:, [index]], how))
        without, adds = float("nan"), NOTHING
        if len(names) > 1:
            others = _merged(np.delete(stored, index, axis=1), how)
            without = measure.function(y, others)
            adds = difference(y, others, p.probabilities, p.groups, measure)
        rows.append(
            {"view": name, "alone": alone, "without": without, "adds": adds.value, "low": adds.low, "high": adds.high}
        )
    return pd.DataFrame(rows)


def _merged(stored: np.ndarray, how: str) -> FloatArray:
    """Return the mean over seeds of the merged views: (seeds, views, n, C) → float64 (n, C)."""
    merged: FloatArray = np.stack([merge(views, how) for views in stored]).astype(np.float64).mean(axis=0)
    return merged


def _stored(p: Predictions) -> tuple[list[str], np.ndarray, str]:
    """Return the views' names, probabilities float32 (seeds, views, n, C) with the rows of `p`, and their merge."""
    folder = p.path.parent
    jobs, how = _merged_jobs(folder)
    names = {job: _view_names(folder / job) for job in jobs}
    view_names = next(iter(names.values()))
    other = [job for job, found in names.items() if found != view_names]
    if other:
        raise InputError(f"{folder / other[0]} has other views than {folder / next(iter(jobs))}. {PREDICT_AGAIN}")
    seeds = max(seed for _, seed in jobs.values()) + 1
    values = np.full((seeds, len(view_names), len(p.frame), len(p.classes)), np.nan, np.float32)
    position = pd.Index(p.frame["image_id"])
    for job, (_, seed) in jobs.items():
        found, ids = _held(folder / job / STORED)
        rows = position.get_indexer(pd.Index(ids))
        if (rows < 0).any() or found.shape != (len(view_names), len(rows), len(p.classes)):
            raise InputError(
                f"{folder / job / STORED} has other images, views or classes than oof.csv. {PREDICT_AGAIN}"
            )
        values[seed][:, rows] = found
    return view_names, values, how


def _merged_jobs(folder: Path) -> tuple[dict[str, tuple[int, int]], str]:
    """Return the jobs that oof.csv was merged from, their fold and seed by folder, and how views were merged."""
    path = folder / "meta.json"
    told = read_object(path, PREDICT_AGAIN)
    jobs = {name: job for name, job in merged_jobs(told).items() if job[0] != REFIT}
    how = told["inputs"].get("merge") if jobs else None
    if not jobs or not isinstance(how, str):
        raise InputError(f"{path} does not say which predictions oof.csv was merged from, and how. {PREDICT_AGAIN}")
    return jobs, how


def _view_names(job: Path) -> list[str]:
    content: Any = read_object(job / META, PREDICT_AGAIN)
    for key in ("inputs", "prediction", "views"):
        content = content.get(key) if isinstance(content, dict) else None
    if not isinstance(content, list) or not content:
        raise InputError(f"{job / META} does not list the views. {PREDICT_AGAIN}")
    return [str(name) for name in content]


def _held(path: Path) -> tuple[np.ndarray, np.ndarray]:
    artifacts.check_recorded(path, path.parent / META, "Run `make predict`.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return stored["oof"], stored["held_ids"]
    except FileNotFoundError:
        raise InputError(f"there is no file {path}. {PREDICT_AGAIN}") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}). Delete it and run `make predict`.") from None


def _check_same(p: Predictions, merged: FloatArray) -> None:
    off = ~(np.abs(merged - p.probabilities) <= SAME).all(axis=1)
    if off.any():
        raise InputError(
            f"{p.path} was not merged from the current {STORED} of its folds: {off.sum()} images differ, the first "
            f"{p.frame['image_id'].to_numpy()[off][0]}. {PREDICT_AGAIN}"
        )
