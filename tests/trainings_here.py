"""What trainings read, made in the test's own process."""

from ripik.features.frozen_passes import check_networks, fill_store
from ripik.features.pixels import pixels
from ripik.features.store import VariantData, pixel_passes
from ripik.settings import Settings
from ripik.splits.run import Run


def silent(done: int, total: int, note: str = "") -> None:
    """Report nothing."""


def prepare_here(settings: Settings) -> Run:
    """Open the run with all that the jobs read, made in this process."""
    run = Run.open(settings)
    wanted = [VariantData(run, variant) for variant in settings.variants.values()]
    for data in wanted:
        for item in pixel_passes(data.reading.passes):
            pixels(run, item.split, item.copies, data.variant.image_size)
    lacking = [data for data in wanted if not data.is_prepared()]
    check_networks(lacking, silent)
    fill_store([data for data in lacking if not data.reading.from_pixels], (0, 1), silent)
    return run
