"""Bytes of memory that a job's process will hold: what was measured on few rows, and the rows that it keeps."""

from collections.abc import Sequence

from ripik.execution.memory import usable_memory
from ripik.features.row_memory import SHARE
from ripik.features.store import Pass, Reading, training_passes
from ripik.monitoring.forecast import Costs, Size, pass_images, pass_key
from ripik.names import LOGISTIC
from ripik.settings import Settings
from ripik.variants import Variant

FITTED = 2 * 4  # bytes of a number in the two float32 copies of its rows that a fitted head works with


def job_memory(settings: Settings, variant: Variant, size: Size, costs: Costs) -> int:
    """Return the bytes of the process of a variant's jobs; one of heads keeps stored rows while there is room."""
    measured, reading = costs.jobs[variant.name].memory, Reading(settings, variant)
    if not reading.head_alone:
        return measured
    row = costs.rows[pass_key(variant)]
    room = int(SHARE * usable_memory() / settings.jobs.jobs)
    held = min(room, row * pass_images(settings, size, *reading.passes))
    return measured + held + _fitted(settings, variant, size, row)


def memory(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs) -> int:
    """Return the bytes of all jobs at once on a machine, when each is one of the variant that needs the most."""
    return settings.jobs.jobs * max(job_memory(settings, variant, size, costs) for variant in variants)


def _fitted(settings: Settings, variant: Variant, size: Size, row: int) -> int:
    """Return the bytes of the rows that a head is fitted to, as the solver holds them: the photos through all views."""
    if variant.solver != LOGISTIC:
        return 0
    own = training_passes(variant)
    views = len(settings.prediction.views) - 1 if Pass("train") in own else 0
    rows = pass_images(settings, size, *own) + views * size.train
    return FITTED * rows * row // (2 if settings.features.dtype == "float16" else 4)
