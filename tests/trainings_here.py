"""What trainings read, made in the test's own process."""

from ripik.features.frozen_passes import check_networks, fill_store
from ripik.features.pixels import pixels
from ripik.features.store import (
    is_prepared,
    passes_of,
    pixel_passes,
    reads_pixels,
)
from ripik.settings import Settings
from ripik.splits.run import Run, open_run


def silent(done: int, total: int, note: str = "") -> None:
    """Report nothing."""


def prepare_here(settings: Settings) -> Run:
    """Open the run with all that the jobs read, made in this process."""
    run = open_run(settings)
    for variant in settings.variants.values():
        for item in pixel_passes(passes_of(settings, variant)):
            pixels(settings, run.competition, item.split, item.copies, variant.image_size)
    lacking = [variant for variant in settings.variants.values() if not is_prepared(settings, run.competition, variant)]
    check_networks(settings, run.competition, lacking, silent)
    stored = [variant for variant in lacking if not reads_pixels(settings, variant)]
    fill_store(settings, run.competition, stored, (0, 1), silent)
    return run
