"""The estimated time of a search over a variant, from the cost of its trainings."""

from collections.abc import Sequence
from dataclasses import replace

from ripik.console import duration, table
from ripik.execution.runner import threads_per_job
from ripik.features.store import Reading
from ripik.monitoring.forecast import Costs, Size, job_seconds
from ripik.settings import Settings
from ripik.training.jobs import jobs_of
from ripik.variants import Variant

TRIALS = 40
PRUNED = 0.5  # of the folds, where trials are pruned; about so many on noise, fewer once a search has found its place


def search_seconds(
    settings: Settings, variant: Variant, size: Size, costs: Costs, at_once: int, trials: int = TRIALS
) -> float:
    """Return the seconds of a search whose trials all go through all folds; stores and starts are there.

    A trial costs what the variant's own trainings do, and predicts no test set. at_once: jobs.
    """
    of_train = replace(size, test=0)
    jobs = [job for job in jobs_of(settings, variant) if job.fold is not None]
    each = sum(job_seconds(settings, variant, job, of_train, costs, first=False) for job in jobs)
    alone = Reading(settings, variant).head_alone
    beside = at_once * (threads_per_job(settings.jobs) if alone else 1)
    return costs.command + costs.process + trials * each / max(1, beside)


def show_searches(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs, at_once: int) -> None:
    """Print how long a search over each variant takes: of all folds, and with half of them pruned."""
    rows = []
    for variant in variants:
        whole = search_seconds(settings, variant, size, costs, at_once)
        rows.append([variant.name, duration(whole), duration(whole * (1 - PRUNED))])
    title = f"A search (make tune) of {TRIALS} trials as costly as the variant itself, with stores and start finished"
    table(title, ["variant", "all folds", "half of them pruned"], rows)
