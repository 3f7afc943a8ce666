"""The steps `train` and `predict`: prepare what the jobs read, run the missing ones in order, merge and show."""

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from ripik.console import say
from ripik.errors import InputError
from ripik.execution.environment import usable_cores
from ripik.execution.locks import refuse_if_at_work, training_under_way, turn
from ripik.execution.runner import execute, threads_per_job, with_run_threads
from ripik.execution.task import ALL, ONE, Task
from ripik.features.prepare import prepare
from ripik.models.weight_files import check_weights
from ripik.names import LOCAL, OPENVINO
from ripik.settings import Settings
from ripik.splits.run import Run, record_run, split_run
from ripik.storage.paths import Job, layout_of
from ripik.training.examples import check_class_weights
from ripik.training.jobs import Training, check_folds, choose_variants, is_distributed, trainings_of
from ripik.training.oof import merge_variant, show_scores
from ripik.training.shapes import shape_of
from ripik.variants import Variant


def train(settings: Settings, variants: Sequence[str] = (), folds: Sequence[int] = ()) -> None:
    """Train and predict every missing job of the variants (none: all) and folds (none: all), after making the folds.

    Raises InputError for an unknown variant, fold, view or metric, and whatever the earlier steps raise.
    """
    check_settings(settings, folds)
    chosen = choose_variants(settings, variants)
    for variant in chosen:
        check_weights(variant)
    with ExitStack() as whole:
        with turn(layout_of(settings), "train"):
            run = Run.open(settings)
            for variant in chosen:
                check_class_weights(run, variant)
            split_run(run)
            unfinished = _prepare(run, chosen, folds)
            whole.enter_context(training_under_way(run.layout))  # until all is merged, also between two trainings
        _train_and_merge(run, chosen, folds, unfinished)


def predict(settings: Settings, variants: Sequence[str] = ()) -> None:
    """Predict whatever the trained jobs of the variants have not predicted yet, and merge it.

    Raises InputError when a job is not trained.
    """
    check_settings(settings)
    choose_variants(settings, variants)
    predict_run(Run.open(settings), variants)


def predict_run(run: Run, variants: Sequence[str] = (), *, scores: bool = True) -> None:
    """Do what `predict` does, for a run that is open and settings that were checked.

    scores: show them even where nothing is left to be predicted.
    """
    chosen = choose_variants(run.settings, variants)
    untrained = [each for variant in chosen for each in trainings_of(run, variant) if not each.is_trained]
    if untrained:
        raise InputError(
            f"{len(untrained)} trainings are missing or were made with other data or settings, the first "
            f"{untrained[0]}. Run `make train`."
        )
    unfinished = _prepare(run, chosen, ())
    _train_and_merge(run, chosen, (), unfinished, scores=scores or bool(unfinished))


def check_settings(settings: Settings, folds: Sequence[int] = ()) -> None:
    """Raise InputError for an unknown fold, or an engine that is not installed."""
    check_folds(settings, folds)
    if settings.prediction.engine == OPENVINO and importlib.util.find_spec(OPENVINO) is None:
        raise InputError(
            'prediction.engine = "openvino": the package openvino is not installed. Set "auto" or "keras".'
        )


def _prepare(run: Run, variants: Sequence[Variant], folds: Sequence[int]) -> list[Training]:
    """Make what the unfinished trainings read, and return them.

    Raises SurroundingsError when another process is at work on one of them.
    """
    record_run(run)
    wanted = [each for variant in variants for each in trainings_of(run, variant, folds)]
    unfinished = [each for each in wanted if not each.is_done]
    if len(unfinished) < len(wanted):
        say(f"train: {len(wanted) - len(unfinished)} of {len(wanted)} jobs are finished and up to date")
    for each in unfinished:
        refuse_if_at_work(run.layout.running(each.job), str(each))
    if unfinished:
        _tell_threads(run.settings)
        names = {each.variant.name for each in unfinished}
        prepare(run, [variant for variant in variants if variant.name in names])
    return unfinished


def _train_and_merge(
    run: Run, variants: Sequence[Variant], folds: Sequence[int], unfinished: Sequence[Training], *, scores: bool = True
) -> None:
    """Do the trainings, and those that start from one of them and are stale now; merge what is whole."""
    tried: list[Job] = []
    while unfinished:
        execute(_tasks(unfinished), with_run_threads(run.settings))
        tried += [each.job for each in unfinished]
        wanted = [each for variant in variants for each in trainings_of(run, variant, folds)]
        unfinished = [each for each in wanted if each.job not in tried and not each.is_done]
    with turn(run.layout, "train"):
        whole = _merge(run, variants)
    if whole and scores:
        show_scores(run, whole)


def _tell_threads(settings: Settings) -> None:
    how, cores = with_run_threads(settings), usable_cores()
    if how.engine == LOCAL and how.threads != threads_per_job(settings.jobs):
        say(f"train: {how.jobs} × {how.threads} threads on {cores} cores: the run started with {how.threads} per job")


def _tasks(trainings: Sequence[Training]) -> list[Task]:
    """Return the tasks that do the trainings: one for all heads of a variant, else one for each."""
    heads: dict[str, list[Training]] = {}
    for each in trainings:
        if each.data.reading.head_alone:
            heads.setdefault(each.variant.name, []).append(each)
    names = {each.job: _name(of) for of in heads.values() for each in of}
    others = [each for each in trainings if each.job not in names]
    return [*(_heads_task(of, names) for of in heads.values()), *(_task(each, names) for each in others)]


def _name(heads: Sequence[Training]) -> str:
    return str(heads[0]) if len(heads) == 1 else f"{heads[0].variant.name}: {len(heads)} heads"


def _heads_task(heads: Sequence[Training], names: Mapping[Job, str]) -> Task:
    arguments = heads[0].run.settings, [each.job for each in heads]
    after = tuple(dict.fromkeys(name for each in heads for name in _after(each, names)))
    return Task(_name(heads), "ripik.training.heads:work", arguments, needs_backend=False, after=after)


def _task(training: Training, names: Mapping[Job, str]) -> Task:
    devices = ALL if is_distributed(training.variant) else ONE
    arguments, function = (training.run.settings, training.job), "ripik.training.predict:work"
    after, shape = _after(training, names), shape_of(training)
    return Task(str(training), function, arguments, after=after, devices=devices, shape=shape)


def _after(training: Training, names: Mapping[Job, str]) -> tuple[str, ...]:
    """Return the name of the task that does the training's start."""
    start = training.start
    return (names.get(start.job, str(start)),) if start else ()


def _merge(run: Run, variants: Sequence[Variant]) -> list[Variant]:
    """Merge the variants that are whole, and return them."""
    whole = []
    for variant in variants:
        lacking = [each.job.folder for each in trainings_of(run, variant) if not each.is_done]
        if lacking:
            say(f"{variant.name}: {', '.join(lacking)} still to be trained before it has an oof.csv")
        else:
            merge_variant(run, variant)
            whole.append(variant)
    return whole
