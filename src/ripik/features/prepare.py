"""Make what the trainings read: pixels, first weights, frozen passes."""

from collections.abc import Sequence
from pathlib import Path

from ripik.data.competition import Competition
from ripik.errors import SurroundingsError
from ripik.execution.runner import at_once, run, with_run_threads
from ripik.execution.task import Task
from ripik.features.pixels import pixels
from ripik.features.store import count, is_prepared, lacking_passes, pixel_passes, reads_pixels, shares, source_path
from ripik.models.weight_files import initial_weights
from ripik.settings import JobSettings, Settings, Variant


def prepare(settings: Settings, competition: Competition, variants: Sequence[Variant]) -> None:
    """Make whatever the variants read and the run does not hold yet: initial weights, pixels, frozen outputs.

    The networks are built first of all, so that a wrong backbone, cut or weights file, or a disk too small, is told
    before the long passes.
    """
    lacking = [variant for variant in variants if not is_prepared(settings, competition, variant)]
    if not lacking:
        return
    how = with_run_threads(settings)
    run([Task("initial weights", "ripik.features.frozen_passes:check_networks", (settings, competition, lacking))], how)
    by_weights: dict[Path, list[Variant]] = {}
    for variant in lacking:
        for pass_ in pixel_passes(lacking_passes(settings, competition, variant)):
            pixels(settings, competition, pass_.split, pass_.copies, variant.image_size)
        if not reads_pixels(settings, variant):
            by_weights.setdefault(initial_weights(settings, variant), []).append(variant)
    if by_weights:
        _pass_all(settings, competition, list(by_weights.values()), how)


def _pass_all(settings: Settings, competition: Competition, groups: Sequence[list[Variant]], how: JobSettings) -> None:
    """Run the passes; once more for rows that got lost on the way, as they may on a shared folder."""
    most = at_once(how)
    for _ in range(2):
        tasks = [task for group in groups for task in _passes(settings, competition, group, most)]
        run(tasks, how)
    lost = [variant for group in groups for variant in group if lacking_passes(settings, competition, variant)]
    if lost:
        pass_ = lacking_passes(settings, competition, lost[0])[0]
        raise SurroundingsError(
            f"{source_path(settings, lost[0], pass_)} lacks rows that were written: the folder loses what several "
            "machines write at once. Run the same command again with JOBS=1 and without a cluster."
        )


def _passes(settings: Settings, competition: Competition, group: list[Variant], most: int) -> list[Task]:
    """Return the tasks, at most so many, that share the passes of the variants of one backbone by rows."""
    lacking = {
        (variant.train_from, pass_) for variant in group for pass_ in lacking_passes(settings, competition, variant)
    }
    if not lacking:
        return []
    images = sum(count(settings, competition, pass_) for _, pass_ in lacking)
    of, name = shares(images, most), f"frozen passes of {group[0].backbone}"
    return [
        Task(
            f"{name} {number + 1}/{of}" if of > 1 else name,
            "ripik.features.frozen_passes:fill_store",
            (settings, competition, group, (number, of)),
        )
        for number in range(of)
    ]
