"""The step `plan`: measure for some minutes, and estimate the whole run here and on more machines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ripik.console import duration, say, size_of, table
from ripik.data.competition import Competition
from ripik.data.image_check import open_competition
from ripik.execution.environment import usable_cores
from ripik.execution.runner import recorded_threads, threads_per_job
from ripik.models.weight_files import check_weights
from ripik.monitoring.forecast import Costs, Size, Step, disk, steps, total
from ripik.monitoring.gpu_estimate import show_gpu
from ripik.monitoring.measure import measure
from ripik.monitoring.memory_cost import job_memory, memory
from ripik.monitoring.search_cost import show_searches
from ripik.names import LOGISTIC
from ripik.settings import JobSettings, Settings
from ripik.splits.folds import kept
from ripik.splits.groups import groups_of, read_groups
from ripik.training.jobs import choose_variants
from ripik.training.pipeline import check_settings
from ripik.variants import Variant

DEVICES, MACHINES, IMAGES = (2, 4), (2, 4), (7_200, 108_000, 1_000_000)


@dataclass(frozen=True)
class Plan:
    """What was found: the costs, the parts of this machine's run, and its seconds, bytes on disk and in memory."""

    costs: Costs
    parts: list[Step]
    seconds: float
    disk: int
    memory: int


def plan(
    settings: Settings,
    variants: Sequence[str] = (),
    devices: Sequence[int] = DEVICES,
    machines: Sequence[int] = MACHINES,
    images: Sequence[int] = IMAGES,
    speed: float = 0.0,
) -> Plan:
    """Print what `folds train ensemble` will take from its beginning, and return it. Changes nothing.

    Groups and folds that are there and up to date, or the user's, are not made again.

    devices: numbers of GPUs of one machine, each as the one here (without any: of jobs at once, with as many more
    cores); machines: numbers of such machines; images: numbers of training images, the test set in proportion.
    speed: images a second that a GPU finetunes at 224 pixels, for an estimate that nothing here measures; 0: none.
    Raises InputError for whatever the run would refuse at its beginning.
    """
    check_settings(settings)
    chosen = choose_variants(settings, variants)
    for variant in chosen:
        check_weights(variant)
    competition = open_competition(settings, check=False)
    how = JobSettings(jobs=settings.jobs.jobs, threads=recorded_threads(settings) or threads_per_job(settings.jobs))
    say(f"plan: {_about(how, competition)}. Parts of the run are measured on a few rows; this takes some minutes.")
    size, at_once = _size(settings, competition), settings.jobs.jobs
    costs = measure(settings, competition, chosen, how)
    parts = steps(settings, chosen, size, costs, at_once)
    needed = memory(settings, chosen, size, costs)
    found = Plan(costs, parts, total(parts, at_once), disk(settings, chosen, size, costs), needed)
    _show_parts(found, at_once)
    _show_jobs(settings, chosen, size, costs)
    _show_scale(settings, chosen, costs, size, devices, machines, images)
    show_searches(settings, chosen, size, costs, at_once)
    if speed:
        show_gpu(settings, chosen, size, speed)
    say(f"plan: {duration(found.seconds)} in total on this machine, {size_of(found.disk)} on disk")
    return found


def _size(settings: Settings, competition: Competition) -> Size:
    grouped, split = kept(settings, competition)
    photos = len(np.unique(groups_of(read_groups(settings, competition), "train"))) if grouped else 0
    return Size(len(competition.train), len(competition.test), grouped, split, photos)


def _about(how: JobSettings, competition: Competition) -> str:
    rows = f"{len(competition.train):,} training and {len(competition.test):,} test images"
    return f"{rows}; {how.jobs} jobs × {how.threads} threads on {usable_cores()} cores of this machine"


def _show_parts(found: Plan, at_once: int) -> None:
    rows = []
    for part in found.parts:
        longest = max(piece.seconds for piece in part.pieces)
        pieces = f"{len(part.pieces)}" if part.spread else "1"
        each = duration(longest) if part.spread else ""
        rows.append([part.name, part.what, pieces, each, duration(part.seconds(at_once))])
    title = "Estimate for this machine, part by part"
    table(title, ["part", "what", "processes", "longest", "together"], rows)


def _show_jobs(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs) -> None:
    rows = []
    for variant in variants:
        cost = costs.jobs[variant.name]
        after = f"{variant.start}, same fold" if variant.start else ""
        fitted = variant.solver == LOGISTIC
        epochs = "fitted at once" if fitted else f"{variant.epochs} × {cost.epoch:.2f} s"
        steps_told = "" if fitted else f"{cost.step * 1000:.0f} ms for {variant.batch_size}"
        held = size_of(job_memory(settings, variant, size, costs))
        rows.append([variant.name, after, f"{cost.fixed:.0f} s", epochs, steps_told, held])
    columns = ["variant", "a job waits for", "start and end", "epochs (beside steps)", "a step", "memory"]
    table("A job", columns, rows)


def _show_scale(
    settings: Settings,
    variants: Sequence[Variant],
    costs: Costs,
    size: Size,
    devices: Sequence[int],
    machines: Sequence[int],
    images: Sequence[int],
) -> None:
    jobs = settings.jobs.jobs
    columns = (
        {"this machine": jobs} | {f"{k} devices": k for k in devices} | {f"{n} machines": n * jobs for n in machines}
    )
    rows = []
    for train in dict.fromkeys([size.train, *images]):
        scaled = size.scaled(train)
        times = [total(steps(settings, variants, scaled, costs, count), count) for count in columns.values()]
        sizes = (disk(settings, variants, scaled, costs), memory(settings, variants, scaled, costs))
        rows.append([f"{train:,}", *map(size_of, sizes), *map(duration, times)])
    title = f"The whole run, by number of training images; memory for a machine's {jobs} parallel jobs"
    table(title, ["images", "disk", "memory", *columns], rows)
