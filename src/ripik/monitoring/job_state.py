"""The state of each training of a run: finished, running, stopped, killed, stale or missing; read-only."""

from dataclasses import dataclass

from ripik.console import duration
from ripik.errors import InputError
from ripik.execution.locks import Presence, look
from ripik.splits.run import Run
from ripik.storage.paths import Job
from ripik.storage.up_to_date import MISSING, STALE, Artifact
from ripik.training import checkpoint
from ripik.training.checkpoint import Progress
from ripik.training.jobs import Training

FINISHED, TRAINED, RUNNING, STOPPED = "finished", "trained", "running", "stopped"
KILLED = "killed"
GONE_ON_FROM = (TRAINED, STOPPED, KILLED)
SHOWN = 3  # differing inputs that are named
WORDS = {  # inputs that are hashes or long, as a person calls them
    "version": "the version of the training",
    "weights": "the initial weights",
    "folds": "folds.csv",
    "near_copies": "groups.csv",
    "classes": "the classes",
    "pixels": "the images",
}
WORDS_OF_PREDICTIONS = {"training": "the training", "weights": "the weights", "pixels": "the images"}


@dataclass(frozen=True)
class JobState:
    """A job and its state; `detail` has the rest in words. epoch: of the saved state, or of the running job."""

    job: Job
    state: str
    detail: str = ""
    epoch: int = 0
    presence: Presence | None = None


def job_state(run: Run, job: Job) -> JobState:
    """Return the state of a job, from its files and whether a process runs it."""
    training, presence = Training(run, job), look(run.layout.running(job))
    if presence and presence.alive:
        return running(job, presence)
    trained = training.trained
    if trained.is_fresh:
        return _trained(training, presence)
    state = run.layout.state(job)
    saved = checkpoint.peek(state, trained.inputs)
    if saved:
        return _stopped(job, saved, training.variant.epochs, presence)
    if trained.record is not None:
        return JobState(job, STALE, _stale(training, trained))
    if state.exists():
        return JobState(job, STALE, "its saved state is from other data or settings, or damaged")
    if presence:
        return JobState(job, KILLED, f"before the end of its first epoch ({presence.where})", 0, presence)
    return JobState(job, MISSING)


def _stopped(job: Job, saved: Progress, epochs: int, presence: Presence | None) -> JobState:
    """Return the state of a job that will be resumed."""
    done = len(saved.history)
    detail = f"after epoch {done} of {epochs}" if done or not saved.batches else "within its first epoch"
    detail += f" and {saved.batches} batches" if saved.batches and done else ""
    where = f" ({presence.where})" if presence else ""
    return JobState(job, KILLED if presence else STOPPED, detail + where, done, presence)


def running(job: Job, presence: Presence) -> JobState:
    """Return the state of a running job."""
    left = [f"{duration(presence.left)} left"] if presence.left is not None else []
    phrases = [presence.note or "starts", *left, presence.where]
    return JobState(job, RUNNING, ", ".join(phrases), int(presence.done), presence)


def _trained(training: Training, presence: Presence | None) -> JobState:
    predicted, job = training.predicted, training.job
    if predicted.is_fresh:
        return JobState(job, FINISHED)
    if presence:
        return JobState(job, KILLED, f"while it predicted ({presence.where})", 0, presence)
    named = predicted.differences(WORDS_OF_PREDICTIONS)
    return JobState(job, TRAINED, f"its predictions differ in {_listed(named)}" if named else "not predicted")


def _stale(training: Training, trained: Artifact) -> str:
    start = f"its start ({training.variant.start or 'none'})"
    named = trained.differences(WORDS | {"start": start})
    named = [name for name in named if name != start] + [name for name in named if name == start]
    return f"differs in {_listed(named)}" if named else "some of its files are missing"


def _listed(named: list[str]) -> str:
    more = len(named) - SHOWN
    return ", ".join(named[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def state_without_run(job: Job, presence: Presence | None, error: InputError) -> JobState:
    """Return the state of a job whose inputs are unknown, as folds or weights cannot be read."""
    if presence and presence.alive:
        return running(job, presence)
    return JobState(job, MISSING, str(error))
