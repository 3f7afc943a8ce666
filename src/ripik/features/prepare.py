"""Make what the trainings read: pixels, first weights, frozen passes."""

from collections.abc import Sequence
from pathlib import Path

from ripik.errors import SurroundingsError
from ripik.execution.runner import at_once, execute, with_pass_threads, with_run_threads
from ripik.execution.task import Task
from ripik.features.pixels import pixels
from ripik.features.store import VariantData, pixel_passes, shares
from ripik.models.weight_files import initial_weights
from ripik.settings import JobSettings
from ripik.splits.run import Run
from ripik.variants import Variant


def prepare(run: Run, variants: Sequence[Variant]) -> None:
    """Make whatever the variants read and the run does not hold yet: initial weights, pixels, frozen outputs.

    The networks are built first of all, so that a wrong backbone, cut or weights file, or a disk too small, is told
    before the long passes.
    """
    lacking = [data for data in (VariantData(run, variant) for variant in variants) if not data.is_prepared()]
    if not lacking:
        return
    check = Task("initial weights", "ripik.features.frozen_passes:check_networks", (lacking,))
    execute([check], with_run_threads(run.settings))
    by_weights: dict[Path, list[VariantData]] = {}
    for data in lacking:
        for pass_ in pixel_passes(data.lacking()):
            pixels(run, pass_.split, pass_.copies, data.reading.side(pass_))
        if not data.reading.from_pixels:
            by_weights.setdefault(initial_weights(run.settings, data.variant), []).append(data)
    if by_weights:
        _pass_all(list(by_weights.values()), with_pass_threads(run.settings))


def _pass_all(groups: Sequence[list[VariantData]], how: JobSettings) -> None:
    """Run the passes; once more for rows that got lost on the way, as they may on a shared folder."""
    most = at_once(how)
    for _ in range(2):
        execute([task for group in groups for task in _passes(group, most)], how)
    lost = [(data, pass_) for group in groups for data in group for pass_ in data.lacking()]
    if lost:
        data, pass_ = lost[0]
        raise SurroundingsError(
            f"{data.path(pass_)} lacks rows that were written: this file system loses data when several "
            "machines write to one file at once. Run the same command again with JOBS=1 and without a cluster."
        )


def _passes(group: list[VariantData], most: int) -> list[Task]:
    """Return the tasks, at most so many, that share the passes of the variants of one backbone by rows."""
    lacking = {(data.variant.train_from, pass_): data.count(pass_) for data in group for pass_ in data.lacking()}
    if not lacking:
        return []
    of, name = shares(sum(lacking.values()), most), f"frozen passes of {group[0].variant.backbone}"
    return [
        Task(
            f"{name} {number + 1}/{of}" if of > 1 else name,
            "ripik.features.frozen_passes:fill_store",
            (group, (number, of)),
        )
        for number in range(of)
    ]
