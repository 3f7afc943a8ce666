"""The state of a run: which of its files and trainings exist and are up to date. Nothing is changed or trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ripik.data.competition import Competition
from ripik.ensemble.submission_log import LOG
from ripik.errors import InputError
from ripik.execution.locks import look
from ripik.features.store import VariantData
from ripik.models.weight_files import check_weights
from ripik.monitoring.job_state import (
    FINISHED,
    GONE_ON_FROM,
    MISSING,
    RUNNING,
    STALE,
    JobState,
    job_state,
    state_without_run,
)
from ripik.monitoring.outcomes import (
    BROKEN,
    FRESH,
    YOURS,
    Part,
    blend_record,
    blend_state,
    last_submission,
    oof_state,
    report_state,
)
from ripik.names import ONE
from ripik.settings import Settings
from ripik.splits.folds import check_made_from, read_folds
from ripik.splits.groups import group_inputs, read_groups
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Layout, layout_of
from ripik.storage.up_to_date import Artifact
from ripik.targets import make
from ripik.training.jobs import jobs_of
from ripik.variants import Variant


@dataclass(frozen=True)
class VariantState:
    """A variant: its jobs, what they read (`stored`), and its oof.csv with the score."""

    name: str
    jobs: tuple[JobState, ...]
    stored: Part
    oof: Part

    def count(self, *states: str) -> int:
        """Return how many of its jobs stand so."""
        return sum(found.state in states for found in self.jobs)


@dataclass(frozen=True)
class Status:
    """The state of a run.

    images: of train and test. last: the name of the last submission, and what the log tells of it; empty without one.
    written: whether there is a sample submission, without which no submission is.
    """

    folder: Path
    images: tuple[int, int]
    classes: int
    metric: str
    groups: Part
    folds: Part
    variants: tuple[VariantState, ...]
    blend: Part
    last: dict[str, str]
    report: Part
    next: str
    written: bool = True

    @property
    def jobs(self) -> list[JobState]:
        """All jobs of all variants."""
        return [found for variant in self.variants for found in variant.jobs]


def find_status(settings: Settings) -> Status:
    """Return the state of the run of `settings`.

    Raises InputError when there is no competition, or it cannot be read.
    """
    opened = Run.open(settings, check=False)
    competition, layout = opened.competition, opened.layout
    groups = _groups(settings, competition)
    folds = _folds(settings, competition, groups)
    run, error = None, InputError("")
    try:
        run = opened if _is_split(opened) else None
    except InputError as reason:
        error = reason
    variants = tuple(_variant(settings, run, error, variant) for variant in settings.variants.values())
    record = blend_record(run)
    blend = blend_state(layout, record, {variant.name: variant.oof for variant in variants})
    report = report_state(layout, run, record, blend)
    return Status(
        layout.run,
        (len(competition.train), len(competition.test)),
        len(competition.classes),
        settings.competition.metric,
        groups,
        folds,
        variants,
        blend,
        last_submission(layout.submissions / LOG, settings.run),
        report,
        _waiting(layout) or _next(groups, folds, variants, blend, report),
        competition.form is not None,
    )


def _waiting(layout: Layout) -> str:
    """Return that a command is at work on what all trainings share, in one sentence; empty where none is."""
    at_it = look(layout.at_work)
    if at_it is None or not at_it.alive or at_it.is_this_process:
        return ""
    return f"next: wait, {at_it.note or 'a command'} is at work on the run ({at_it.where})"


def _is_split(run: Run) -> bool:
    """Whether there are folds, and groups where trainings go by them. Raises InputError where they cannot be read."""
    sampled = any(variant.near_copies_per_epoch == ONE for variant in run.settings.variants.values())
    return bool(len(run.folds)) and (not sampled or bool(len(run.groups)))


def _groups(settings: Settings, competition: Competition) -> Part:
    path = layout_of(settings).groups
    if not path.exists():
        return Part(path.name, MISSING)
    yours, made = artifacts.is_the_users(path), Artifact.of(path, group_inputs(settings, competition))
    named = made.differences({"images": "the images"}) if not yours else []
    if named:
        return Part(path.name, STALE, f"differs in {', '.join(named)}")
    try:
        found = read_groups(settings, competition)
    except InputError as error:
        return Part(path.name, BROKEN, str(error))
    return Part(path.name, YOURS if yours else FRESH, _groups_told(found))


def _groups_told(found: pd.DataFrame) -> str:
    both = found["split"].nunique() > 1
    return f"{found['group'].nunique()} groups of {'train and test' if both else 'training'} images"


def _folds(settings: Settings, competition: Competition, groups: Part) -> Part:
    path = layout_of(settings).folds
    if not path.exists():
        return Part(path.name, MISSING)
    yours = artifacts.is_the_users(path)
    try:
        found = read_folds(settings, competition)
        if not yours and groups.ready:
            check_made_from(settings, competition, read_groups(settings, competition))
    except InputError as error:
        return Part(path.name, BROKEN if yours else STALE, str(error))
    if not yours and not groups.ready:
        return Part(path.name, STALE, f"groups.csv is {groups.state}")
    return Part(path.name, YOURS if yours else FRESH, f"{found['fold'].nunique()} folds")


def _variant(settings: Settings, run: Run | None, error: InputError, variant: Variant) -> VariantState:
    jobs, layout = jobs_of(settings, variant), layout_of(settings)
    try:
        check_weights(variant)
    except InputError as missing:
        run, error = None, missing
    if run is None:
        states = [state_without_run(job, look(layout.running(job)), error) for job in jobs]
        stored = Part("stored", MISSING)
    else:
        states = [job_state(run, job) for job in jobs]
        stored = _stored(run, variant)
    return VariantState(variant.name, tuple(states), stored, oof_state(layout, run, variant, states))


def _stored(run: Run, variant: Variant) -> Part:
    """Return whether what the variant's network reads is stored: pixels, or outputs of its frozen part."""
    data = VariantData(run, variant)
    if data.is_prepared():
        return Part("stored", FRESH)
    passes = data.reading.passes
    return Part("stored", MISSING, f"{len(passes) - len(data.lacking())} of {len(passes)}")


def _next(groups: Part, folds: Part, variants: Sequence[VariantState], blend: Part, report: Part) -> str:
    """Return what to run next, in one sentence."""
    jobs = [found for variant in variants for found in variant.jobs]
    running = sum(found.state == RUNNING for found in jobs)
    lacking = [found for found in jobs if found.state not in (FINISHED, RUNNING)]
    if running:
        return f"next: wait, {running} of {len(jobs)} jobs are running, {len(lacking)} to go"
    for part in (groups, folds):
        if part.state == BROKEN:
            return f"next: fix {part.name}, which you edited: {part.detail}"
    if not (groups.ready and folds.ready):
        return f"next: {make('folds')}"
    if lacking:
        on = sum(found.state in GONE_ON_FROM for found in lacking)
        left = f", {on} of them to be resumed" if on else ""
        return f"next: {make('train')} ({len(lacking)} of {len(jobs)} jobs{left})"
    if not all(variant.oof.ready for variant in variants):
        return f"next: {make('train')} (every job is finished; only oof.csv is still to be written)"
    if not blend.ready:
        return f"next: {make('ensemble')}"
    if blend.without:
        meant = "" if report.ready else f", or, if it is to be so, {make('report')}"
        return f"next: {make('ensemble')} (the blend is without {', '.join(blend.without)}){meant}"
    if not report.ready:
        return f"next: {make('report')}"
    return f"nothing to train: everything is up to date. Look at the report, and at {make('analyse TOPIC=labels')}"
