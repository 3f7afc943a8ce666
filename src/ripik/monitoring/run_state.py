"""How a run stands: which of its files and trainings are there and up to date. Nothing is changed or trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ripik.analysis.submission_record import record_of, run_of
from ripik.data.competition import Competition
from ripik.ensemble.build import finished_blend
from ripik.errors import InputError
from ripik.execution.locks import look
from ripik.features.store import Reading, VariantData
from ripik.models.weight_files import initial_weights, weights_inputs
from ripik.monitoring.job_state import (
    FINISHED,
    GONE_ON_FROM,
    MISSING,
    RUNNING,
    STALE,
    JobState,
    differences,
    job_state,
    state_without_run,
)
from ripik.settings import Settings, Variant
from ripik.splits.folds import check_made_from, read_folds
from ripik.splits.groups import group_inputs, read_groups
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Layout, layout_of
from ripik.training.jobs import jobs_of

FRESH, YOURS, BROKEN = "up to date", "yours", "broken"


@dataclass(frozen=True)
class Part:
    """A file or step of the run: `state` is FRESH, YOURS (edited by hand), STALE, BROKEN or MISSING."""

    name: str
    state: str
    detail: str = ""
    value: float | None = None  # a score, where the part has one

    @property
    def ready(self) -> bool:
        """Whether it can be gone on from."""
        return self.state in (FRESH, YOURS)


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
    """How a run stands.

    images: of train and test. last: the name of the last submission, and what the log tells of it; empty without one.
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

    @property
    def jobs(self) -> list[JobState]:
        """All jobs of all variants."""
        return [found for variant in self.variants for found in variant.jobs]


def find_status(settings: Settings) -> Status:
    """Return how the run of `settings` stands.

    Raises InputError when there is no competition, or it cannot be read.
    """
    opened = Run.open(settings, check=False)
    competition, layout = opened.competition, opened.layout
    groups = _groups(settings, competition)
    folds = _folds(settings, competition, groups)
    run, error = None, InputError("")
    try:
        run = opened if len(opened.folds) else None
    except InputError as reason:
        error = reason
    variants = tuple(_variant(settings, competition, run, error, variant) for variant in settings.variants.values())
    blend = _blend(layout, run, variants)
    report = _report(layout, blend)
    return Status(
        layout.run,
        (len(competition.train), len(competition.test)),
        len(competition.classes),
        settings.competition.metric,
        groups,
        folds,
        variants,
        blend,
        _last_submission(layout.submissions / "log.csv", settings.run),
        report,
        _next(groups, folds, variants, blend, report),
    )


def _groups(settings: Settings, competition: Competition) -> Part:
    path = layout_of(settings).groups
    if not path.exists():
        return Part(path.name, MISSING)
    yours, meta = artifacts.is_the_users(path), artifacts.read_meta(artifacts.meta_beside(path))
    present = artifacts.as_json(group_inputs(settings, competition))
    named = differences(meta["inputs"], present, {"images": "the images"}) if meta and not yours else []
    if named:
        return Part(path.name, STALE, f"differs in {', '.join(named)}")
    try:
        found = read_groups(settings, competition)
    except InputError as error:
        return Part(path.name, BROKEN, str(error))
    return Part(path.name, YOURS if yours else FRESH, f"{found['group'].nunique()} groups")


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


def _variant(
    settings: Settings, competition: Competition, run: Run | None, error: InputError, variant: Variant
) -> VariantState:
    jobs, layout = jobs_of(settings, variant), layout_of(settings)
    try:
        weights_inputs(variant)
    except InputError as missing:
        run, error = None, missing
    if run is None:
        states = [state_without_run(job, look(layout.running(job)), error) for job in jobs]
        stored = Part("stored", MISSING)
    else:
        states = [job_state(run, job) for job in jobs]
        stored = _stored(settings, competition, variant)
    return VariantState(variant.name, tuple(states), stored, _oof(layout, settings, variant, states))


def _stored(settings: Settings, competition: Competition, variant: Variant) -> Part:
    """Return whether what the variant's network reads is stored: pixels, or outputs of its frozen part."""
    items, lacking = Reading(settings, variant).passes, VariantData(Run(settings, competition), variant).lacking()
    weights = artifacts.meta_beside(initial_weights(settings, variant))
    if lacking or not artifacts.is_fresh(weights, weights_inputs(variant)):
        return Part("stored", MISSING, f"{len(items) - len(lacking)} of {len(items)}")
    return Part("stored", FRESH)


def _oof(layout: Layout, settings: Settings, variant: Variant, states: Sequence[JobState]) -> Part:
    path, meta = layout.variant(variant.name) / "oof.csv", layout.variant(variant.name) / "meta.json"
    if not path.exists():
        return Part("oof.csv", MISSING)
    if any(found.state != FINISHED for found in states):
        return Part("oof.csv", STALE)
    files = {found.job.folder: layout.job(found.job) / "predictions.npz" for found in states}
    digests = {folder: artifacts.file_digest(file) for folder, file in files.items()}
    if not artifacts.is_fresh(meta, {"merge": settings.prediction.merge, "predictions": digests}):
        return Part("oof.csv", STALE)
    score = (artifacts.read_meta(meta) or {}).get("scores", {}).get("pooled", {}).get("value")
    return Part("oof.csv", FRESH, "", score)


def _blend(layout: Layout, run: Run | None, variants: Sequence[VariantState]) -> Part:
    if not (layout.ensemble / "weights.json").exists():
        return Part("blend", MISSING)
    try:
        record = finished_blend(run) if run else None
    except InputError:
        record = None
    if record is None:
        return Part("blend", STALE, "made from other predictions or settings")
    stale = [variant.name for variant in variants if variant.name in record["members"] and not variant.oof.ready]
    if stale:
        return Part("blend", STALE, f"the oof.csv of {', '.join(stale)} is stale")
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in record["weights"].items() if weight > 0)
    return Part("blend", FRESH, weights, record["scores"]["cross_fitted"])


def _last_submission(path: Path, run: str) -> dict[str, str]:
    try:
        log = pd.read_csv(path, dtype=str, keep_default_na=False)
        files = [path.parent / file for file in log["file"]]
        mine = log[[run_of(file, record_of(file)) == run for file in files]]
    except (OSError, ValueError, KeyError):
        return {}
    return {str(key): str(value) for key, value in mine.iloc[-1].items()} if len(mine) else {}


def _report(layout: Layout, blend: Part) -> Part:
    """Return whether there is a report, and whether it is younger than the blend and the predictions it shows."""
    page = layout.report / "index.html"
    if not page.exists():
        return Part("report", MISSING)
    shown = [layout.ensemble / "weights.json", *layout.run.glob("*/oof.csv")]
    older = [path for path in shown if path.exists() and path.stat().st_mtime > page.stat().st_mtime]
    if older:
        return Part("report", STALE, f"older than {older[0].relative_to(layout.run)}")
    return Part("report", FRESH if blend.ready else STALE, "" if blend.ready else f"the blend is {blend.state}")


def _next(groups: Part, folds: Part, variants: Sequence[VariantState], blend: Part, report: Part) -> str:
    """Return what to run next, in one sentence."""
    jobs = [found for variant in variants for found in variant.jobs]
    running = sum(found.state == RUNNING for found in jobs)
    lacking = [found for found in jobs if found.state not in (FINISHED, RUNNING)]
    if running:
        return f"next: wait, {running} of {len(jobs)} jobs are at work, {len(lacking)} to go"
    for part in (groups, folds):
        if part.state == BROKEN:
            return f"next: mend {part.name}, which you edited: {part.detail}"
    if not (groups.ready and folds.ready):
        return "next: make folds"
    if lacking:
        on = sum(found.state in GONE_ON_FROM for found in lacking)
        left = f", {on} from where {'it was' if on == 1 else 'they were'} left" if on else ""
        return f"next: make train ({len(lacking)} of {len(jobs)} jobs{left})"
    if not all(variant.oof.ready for variant in variants):
        return "next: make train (every job is finished; it only writes oof.csv)"
    if not blend.ready:
        return "next: make ensemble"
    return "nothing to do: all is up to date" if report.ready else "next: make report"
