"""What a blend is applied to: what the members' jobs say of rows that all of them predict, as of the test set.

The run, a kernel and a folder of photos all come here, so they blend the same digits. The mean of several folds' models
is more or less confident than each of them, so what is calibrated out of fold must be applied fold by fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ripik.analysis.metrics import FloatArray
from ripik.analysis.view_gains import merge
from ripik.settings import Settings
from ripik.storage.paths import Job

ByFold = dict[int | None, FloatArray]


def as_blended(members: Sequence[Mapping[Job, np.ndarray]], settings: Settings, *, apart: bool) -> list[FloatArray]:
    """Return what a blend is applied to, each (members, views, n, C), of what every job of each member says.

    apart: what each fold's models say (`of_each_fold`), or else one: the mean of each member's jobs.
    """
    return of_each_fold(members, settings) if apart else [together(members, settings)]


def together(members: Sequence[Mapping[Job, np.ndarray]], settings: Settings) -> FloatArray:
    """Return the mean of what each member's jobs say, float64 (members, views, n, C)."""
    said = [[blended_views(values, settings) for values in member.values()] for member in members]
    return stacked([np.asarray(np.mean(values, axis=0, dtype=np.float64)) for values in said])


def of_each_fold(members: Sequence[Mapping[Job, np.ndarray]], settings: Settings) -> list[FloatArray]:
    """Return what each fold's models say, (members, views, n, C), of what every job of each member says (`by_fold`)."""
    said = [{job: blended_views(values, settings) for job, values in member.items()} for member in members]
    return side_by_side([by_fold(list(member), list(member.values())) for member in said])


def blended_views(values: np.ndarray, settings: Settings) -> np.ndarray:
    """Return a job's probabilities (views, n, C) as blends get them: merged, (1, n, C), unless views are chosen."""
    return values if settings.blend.views == "auto" else merge(values, settings.prediction.merge)[None]


def by_fold(jobs: Sequence[Job], values: Sequence[np.ndarray]) -> ByFold:
    """Return the mean over seeds of what a variant's jobs say, each (views, n, C), by fold; None is a refit."""
    folds = dict.fromkeys(job.fold for job in jobs)
    pairs = list(zip(jobs, values, strict=True))
    return {fold: np.mean([own for job, own in pairs if job.fold == fold], axis=0, dtype=np.float64) for fold in folds}


def side_by_side(members: Sequence[ByFold]) -> list[FloatArray]:
    """Return, for every fold, what the members' models say, (members, views, n, C); one fold where all are refits.

    A member that only its refit predicts says the same in every fold.
    """
    folds: list[int | None] = [*sorted({fold for member in members for fold in member if fold is not None})] or [None]
    return [stacked([member[fold if fold in member else None] for member in members]) for fold in folds]


def stacked(members: Sequence[np.ndarray]) -> FloatArray:
    """Return members, each (its views, n, C), as one array, NaN for views that others have and they do not."""
    most = max(map(len, members))
    return np.stack(
        [np.pad(member, ((0, most - len(member)), (0, 0), (0, 0)), constant_values=np.nan) for member in members]
    )
