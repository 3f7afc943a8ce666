"""The steps `train` and `predict`: prepare what the jobs read, run the missing ones in order, merge and show."""

import importlib.util
from collections.abc import Sequence

from ripik.console import say
from ripik.errors import InputError
from ripik.execution.environment import usable_cores
from ripik.execution.locks import refuse_if_at_work, turn
from ripik.execution.runner import run, threads_per_job, with_run_threads
from ripik.execution.task import ALL, ONE, Task
from ripik.features.prepare import prepare
from ripik.models.weight_files import weights_inputs
from ripik.settings import LOCAL, OPENVINO, Settings, Variant
from ripik.splits.folds import make_folds
from ripik.splits.run import Run, open_run, record_run
from ripik.storage.paths import Job, layout_of
from ripik.training.jobs import (
    check_folds,
    choose_variants,
    is_distributed,
    is_predicted,
    is_trained,
    jobs_of,
    start_job,
)
from ripik.training.oof import merge_variant, show_scores


def train(settings: Settings, variants: Sequence[str] = (), folds: Sequence[int] = ()) -> None:
    """Train and predict every missing job of the variants (none: all) and folds (none: all), after making the folds.

    Raises InputError for an unknown variant, fold, view or metric, and whatever the earlier steps raise.
    """
    check_settings(settings, folds)
    chosen = choose_variants(settings, variants)
    for variant in chosen:
        weights_inputs(variant)
    with turn(layout_of(settings), "train"):
        make_folds(settings)
        opened = open_run(settings)
        jobs = _prepare_jobs(opened, chosen, folds)
    _finish_jobs(opened, chosen, folds, jobs)


def predict(settings: Settings, variants: Sequence[str] = ()) -> None:
    """Predict whatever the trained jobs of the variants have not predicted yet, and merge it.

    Raises InputError when a job is not trained.
    """
    check_settings(settings)
    chosen = choose_variants(settings, variants)
    opened = open_run(settings)
    untrained = [job for variant in chosen for job in jobs_of(settings, variant) if not is_trained(opened, job)]
    if untrained:
        raise InputError(
            f"{len(untrained)} trainings are missing or were made from other data or settings, the first "
            f"{untrained[0]}. Run `make train`."
        )
    _finish_jobs(opened, chosen, (), _prepare_jobs(opened, chosen, ()))


def check_settings(settings: Settings, folds: Sequence[int] = ()) -> None:
    """Raise InputError for an unknown fold, or an engine that is not installed."""
    check_folds(settings, folds)
    if settings.prediction.engine == OPENVINO and importlib.util.find_spec(OPENVINO) is None:
        raise InputError(
            'prediction.engine = "openvino": the package openvino is not installed. Set "auto" or "keras".'
        )


def _prepare_jobs(opened: Run, variants: Sequence[Variant], folds: Sequence[int]) -> list[Job]:
    """Make what the jobs that are not finished read, and return these jobs.

    Raises SurroundingsError when another process is at work on one of them.
    """
    settings = opened.settings
    record_run(opened)
    wanted = sum(len(jobs_of(settings, variant, folds)) for variant in variants)
    jobs = _unfinished(opened, variants, folds)
    if len(jobs) < wanted:
        say(f"train: {wanted - len(jobs)} of {wanted} jobs are finished and up to date")
    for job in jobs:
        refuse_if_at_work(opened.layout.running(job), str(job))
    if jobs:
        _tell_threads(settings)
        names = {job.variant for job in jobs}
        prepare(settings, opened.competition, [variant for variant in variants if variant.name in names])
    return jobs


def _unfinished(opened: Run, variants: Sequence[Variant], folds: Sequence[int]) -> list[Job]:
    jobs = [job for variant in variants for job in jobs_of(opened.settings, variant, folds)]
    return [job for job in jobs if not _is_done(opened, job)]


def _finish_jobs(opened: Run, variants: Sequence[Variant], folds: Sequence[int], jobs: Sequence[Job]) -> None:
    """Run the jobs, and those that start from one of them and are stale now; merge what is whole."""
    tried: list[Job] = []
    while jobs:
        run([_task(opened, job) for job in jobs], with_run_threads(opened.settings))
        tried += jobs
        jobs = [job for job in _unfinished(opened, variants, folds) if job not in tried]
    with turn(opened.layout, "train"):
        _merge(opened, variants)


def _tell_threads(settings: Settings) -> None:
    how, cores = with_run_threads(settings), usable_cores()
    if how.engine == LOCAL and how.threads != threads_per_job(settings.jobs):
        say(f"train: {how.jobs} × {how.threads} threads on {cores} cores: the run began with {how.threads} a job")


def _task(opened: Run, job: Job) -> Task:
    start = start_job(opened, job)
    after = (str(start),) if start else ()
    devices = ALL if is_distributed(opened.settings.variants[job.variant]) else ONE
    return Task(str(job), "ripik.training.predict:work", (opened.settings, job), after=after, devices=devices)


def _is_done(opened: Run, job: Job) -> bool:
    return is_trained(opened, job) and is_predicted(opened, job)


def _merge(opened: Run, variants: Sequence[Variant]) -> None:
    whole = []
    for variant in variants:
        lacking = [job for job in jobs_of(opened.settings, variant) if not _is_done(opened, job)]
        if lacking:
            say(f"{variant.name}: {', '.join(job.folder for job in lacking)} still to train before it has an oof.csv")
        else:
            merge_variant(opened, variant)
            whole.append(variant)
    if whole:
        show_scores(opened, whole)
