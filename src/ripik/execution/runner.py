"""Where jobs run: in processes of this machine, or on the nodes of a Ray cluster; one progress view for all."""

from collections.abc import Sequence

from ripik.errors import InputError
from ripik.execution import environment, local
from ripik.execution.local import run_here
from ripik.execution.progress import view
from ripik.execution.task import More, Task, distinct
from ripik.names import LOCAL, RAY
from ripik.settings import JobSettings, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

JOBS, PASSES = "threads", "threads of frozen passes"  # in the run's threads.json


def threads_per_job(settings: JobSettings) -> int:
    """Return the threads each job gets: the setting, or the usable cores divided among the jobs."""
    return settings.threads or max(1, environment.usable_cores() // settings.jobs)


def undivided(settings: JobSettings) -> JobSettings:
    """Return the settings of a job that runs by itself, here: it gets the threads of all."""
    return settings.model_copy(update={"engine": LOCAL, "jobs": 1, "threads": settings.threads * settings.jobs})


def at_once(settings: JobSettings) -> int:
    """Return how many jobs may be expected to run at once: on a cluster that RAY_ADDRESS names, as many as fit."""
    if settings.engine != RAY:
        return settings.jobs
    from ripik.execution.ray_cluster import slots

    return slots(settings.jobs, threads_per_job(settings))


def execute(tasks: Sequence[Task], settings: JobSettings, more: More | None = None) -> None:
    """Run the tasks where `settings.engine` says; the first failure stops the rest and is raised here.

    more: called in this process when a task is done, with its name, for the tasks that come of it, under names of their
    own; they are begun before others that wait, and workers are kept for them.

    What a task makes does not depend on where it runs, nor on how many run at once, nor on what its process has done
    before: each has as many threads as any other. Raises what `run_here` or `run_on_cluster` do.
    """
    named, threads = distinct(tasks), threads_per_job(settings)
    if not named:
        return
    if settings.engine == RAY:
        from ripik.execution.ray_cluster import run_on_cluster

        run_on_cluster(named, settings.jobs, threads, more)
        return
    with view([task.name for task in named], settings.jobs) as shown:
        run_here(named, settings.jobs, threads, shown, *([more] if more else []))


def recorded_threads(settings: Settings) -> int | None:
    """Return the number of threads of each job that the run began with; None before it did."""
    return _recorded(settings).get(JOBS)


def with_run_threads(settings: Settings) -> JobSettings:
    """Return where and how jobs run, with the run's own number of threads for each, which its first job decided.

    So that no result depends on how many jobs ran at once. Raises InputError when the settings ask for another number.
    """
    how, threads = settings.jobs, recorded_threads(settings)
    if threads is None:
        return how.model_copy(update={"threads": _record(settings, JOBS, threads_per_job(how))})
    if how.threads not in (0, threads):
        path = layout_of(settings).threads
        raise InputError(
            f"jobs.threads = {how.threads}, but the run started with {threads} per job ({path}), and another number "
            f"changes the last digits. Leave jobs.threads out, train under another run name, or delete {path.name} "
            "to mix both in one run."
        )
    return how.model_copy(update={"threads": threads})


def passes_alone(how: JobSettings) -> bool:
    """Whether frozen passes run in one process with the cores of all jobs: on this machine's CPUs.

    Two of half the cores are slower there. On GPUs, and on a cluster, each job does a share.
    """
    return how.engine == LOCAL and not local.visible()


def for_passes(settings: Settings, how: JobSettings) -> JobSettings:
    """Return where and how frozen passes run: as jobs do by `how`, or as one process of all cores, if that is faster.

    The one process has the threads that the run's first passes had, whatever the number of jobs is.
    """
    if not passes_alone(how):
        return how
    threads = _recorded(settings).get(PASSES) or max(how.threads, environment.usable_cores())
    return how.model_copy(update={"jobs": 1, "threads": threads})


def with_pass_threads(settings: Settings) -> JobSettings:
    """Return what `for_passes` does for the run's jobs, and record the number of threads."""
    how = for_passes(settings, with_run_threads(settings))
    if passes_alone(how):
        _record(settings, PASSES, how.threads)
    return how


def _recorded(settings: Settings) -> dict[str, int]:
    recorded = artifacts.read_if_whole(layout_of(settings).threads)
    found = recorded.items() if isinstance(recorded, dict) else ()
    return {name: threads for name, threads in found if isinstance(threads, int) and threads > 0}


def _record(settings: Settings, name: str, threads: int) -> int:
    recorded = _recorded(settings)
    if recorded.get(name) != threads:
        artifacts.write_json(layout_of(settings).threads, recorded | {name: threads})
    return threads
