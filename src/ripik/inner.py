"""The inner split: a part of the training folds that chooses the epoch, so that nothing looks at the held fold."""

import numpy as np

from ripik.errors import InputError
from ripik.jobs import job_seed
from ripik.splits.run import Run
from ripik.splits.splitting import split
from ripik.storage.paths import Job

INNER_PARTS = 20  # parts of the training folds of which the inner split is made


def inner_split(run: Run, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows to train on, rows of the inner split); the latter is empty without `inner_split`.

    The inner split is a grouped, stratified part of the training folds, so that choosing an epoch never looks at the
    held fold.
    """
    rows = run.training_rows(job)
    share = run.settings.variants[job.variant].inner_split
    if not share:
        return rows, rows[:0]
    groups = run.folds["group"].to_numpy()[rows]
    seed = job_seed(run.settings.variants[job.variant], job)
    targets = run.training_targets()[rows]
    number = min(INNER_PARTS, len(np.unique(groups)), np.bincount(targets).max())
    if number < 2:
        raise InputError(f"{job}: too few photos for an inner split. Set inner_split = 0.")
    inner = split(targets, groups, number, seed) < max(1, round(share * number))
    return rows[~inner], rows[inner]
