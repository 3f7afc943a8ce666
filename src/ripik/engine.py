"""Where jobs run: in processes of this machine, or on the nodes of a Ray cluster; one progress view for all."""

from collections.abc import Sequence

from ripik import runtime
from ripik.live import view
from ripik.processes import run_here
from ripik.settings import LOCAL, RAY, JobSettings
from ripik.tasks import Task, distinct


def threads_per_job(settings: JobSettings) -> int:
    """Return the threads each job gets: the setting, or the usable cores divided among the jobs."""
    return settings.threads or max(1, runtime.usable_cores() // settings.jobs)


def undivided(settings: JobSettings) -> JobSettings:
    """Return the settings of a job that runs by itself, here: it gets the threads of all."""
    return settings.model_copy(update={"engine": LOCAL, "jobs": 1, "threads": settings.threads * settings.jobs})


def at_once(settings: JobSettings) -> int:
    """Return how many jobs may be expected to run at once: on a cluster that RAY_ADDRESS names, as many as fit."""
    if settings.engine != RAY:
        return settings.jobs
    from ripik.cluster import slots

    return slots(settings.jobs, threads_per_job(settings))


def run(tasks: Sequence[Task], settings: JobSettings) -> None:
    """Run the tasks where `settings.engine` says; the first failure stops the rest and is raised here.

    What a task makes does not depend on where it runs, nor on how many run at once: each has its own process, and as
    many threads as any other. Raises what `run_here` or `run_on_cluster` do.
    """
    named, threads = distinct(tasks), threads_per_job(settings)
    if not named:
        return
    if settings.engine == RAY:
        from ripik.cluster import run_on_cluster

        run_on_cluster(named, settings.jobs, threads)
        return
    with view([task.name for task in named], settings.jobs) as shown:
        run_here(named, settings.jobs, threads, shown)
