"""The steps `train` and `predict`: prepare what the jobs read, run the missing ones in order, merge and show."""

from collections.abc import Sequence

import pandas as pd

from ripik import artifacts
from ripik.augmentation import check_preset
from ripik.console import say, table
from ripik.engine import Task, run
from ripik.errors import InputError
from ripik.features import prepare
from ripik.folds import make_folds
from ripik.jobs import Run, chain, check_folds, choose_variants, is_predicted, is_trained, jobs_of, open_run
from ripik.layout import Job
from ripik.metrics import get_metric
from ripik.oof import merge_variant, probability_columns, read_predictions
from ripik.settings import Settings, Variant
from ripik.views import check_views


def train(settings: Settings, variants: Sequence[str] = (), folds: Sequence[int] = ()) -> None:
    """Train and predict every missing job of the variants (none: all) and folds (none: all), after making the folds.

    Raises InputError for an unknown variant, fold, view or metric, and whatever the earlier steps raise.
    """
    _check(settings, folds)
    chosen = choose_variants(settings, variants)
    make_folds(settings)
    _finish_jobs(open_run(settings), chosen, folds)


def predict(settings: Settings, variants: Sequence[str] = ()) -> None:
    """Predict whatever the trained jobs of the variants have not predicted yet, and merge it.

    Raises InputError when a job is not trained.
    """
    _check(settings, ())
    chosen = choose_variants(settings, variants)
    opened = open_run(settings)
    untrained = [job for variant in chosen for job in jobs_of(settings, variant) if not is_trained(opened, job)]
    if untrained:
        raise InputError(
            f"{len(untrained)} trainings are missing or were made from other data or settings, the first "
            f"{untrained[0]}. Run `make train`."
        )
    _finish_jobs(opened, chosen, ())


def _check(settings: Settings, folds: Sequence[int]) -> None:
    get_metric(settings.competition.metric)
    check_views(settings.prediction.views)
    check_preset(settings.augmentation.preset)
    check_folds(settings, folds)


def _finish_jobs(opened: Run, variants: Sequence[Variant], folds: Sequence[int]) -> None:
    settings = opened.settings
    wanted = {variant.name: jobs_of(settings, variant, folds) for variant in variants}
    lacking = {name: [job for job in jobs if not _is_done(opened, job)] for name, jobs in wanted.items()}
    done = sum(len(jobs) for jobs in wanted.values()) - sum(len(jobs) for jobs in lacking.values())
    if done:
        say(f"train: {done} of {sum(map(len, wanted.values()))} jobs are finished and up to date")
    if any(lacking.values()):
        prepare(settings, opened.competition, [variant for variant in variants if lacking[variant.name]])
    for depth in range(1, 1 + max(len(chain(settings, variant)) for variant in variants)):
        level = [variant for variant in variants if len(chain(settings, variant)) == depth]
        jobs = [job for variant in level for job in lacking[variant.name]]
        run([Task(str(job), "ripik.prediction:work", (settings, job)) for job in jobs], settings.jobs)
    _merge(opened, variants)


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


def show_scores(opened: Run, variants: Sequence[Variant]) -> None:
    """Print each variant's OOF score, the mean over folds, accuracy and seconds."""
    metric = opened.settings.competition.metric
    rows = [score_row(opened, variant) for variant in variants]
    table("Out-of-fold scores", ["variant", f"OOF {metric}", "mean of folds", "accuracy", "seconds"], rows)


def score_row(opened: Run, variant: Variant) -> list[str]:
    """Return the variant's name, pooled OOF score, mean of folds, accuracy, and the seconds of its jobs."""
    frame = read_predictions(opened.layout.variant(variant.name) / "oof.csv", opened, "train")
    pooled, by_fold, accuracy = scores(opened, frame)
    return [variant.name, f"{pooled:.4f}", f"{by_fold:.4f}", f"{accuracy:.4f}", f"{_seconds(opened, variant):.0f}"]


def scores(opened: Run, oof: pd.DataFrame) -> tuple[float, float, float]:
    """Return (metric over all pooled rows, mean of the folds' metrics, accuracy) of an OOF frame."""
    metric, accuracy = get_metric(opened.settings.competition.metric), get_metric("accuracy")
    truth = opened.targets()
    values = oof[probability_columns(opened.competition.classes)].to_numpy()
    by_fold = [
        metric.function(truth[oof["fold"] == fold], values[oof["fold"] == fold])
        for fold in sorted(oof["fold"].unique())
    ]
    return metric.function(truth, values), sum(by_fold) / len(by_fold), accuracy.function(truth, values)


def _seconds(opened: Run, variant: Variant) -> float:
    folders = [opened.layout.job(job) for job in jobs_of(opened.settings, variant)]
    names = ("meta.json", "predictions.meta.json")
    return sum(artifacts.read_json(folder / name)["seconds"] for folder in folders for name in names)
