"""How each training of a run stands: finished, running, stopped, killed, stale or missing; nothing is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ripik.console import duration
from ripik.errors import InputError
from ripik.execution.locks import Presence, look
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training import checkpoint
from ripik.training.checkpoint import Progress
from ripik.training.jobs import Training

FINISHED, TRAINED, RUNNING, STOPPED = "finished", "trained", "running", "stopped"
KILLED, STALE, MISSING = "killed", "stale", "missing"
GONE_ON_FROM = (TRAINED, STOPPED, KILLED)
SHOWN = 3  # differing inputs that are named
WORDS = {  # inputs that are hashes or long, as a person calls them
    "version": "the version of the training",
    "weights": "the initial weights",
    "folds": "folds.csv",
    "classes": "the classes",
    "pixels": "the images",
    "start": "start",
}
WORDS_OF_PREDICTIONS = {"training": "the training", "weights": "the weights", "pixels": "the images"}


@dataclass(frozen=True)
class JobState:
    """A job and how it stands; `detail` tells the rest in words. epoch: of the saved state, or of the one at work."""

    job: Job
    state: str
    detail: str = ""
    epoch: int = 0
    presence: Presence | None = None


def job_state(run: Run, job: Job) -> JobState:
    """Return how a job stands, from its files and whoever is at work on it."""
    presence, variant = look(run.layout.running(job)), run.settings.variants[job.variant]
    if presence and presence.alive:
        return running(job, presence)
    meta = artifacts.read_meta(run.layout.job(job) / "meta.json")
    if Training(run, job).is_trained:
        return _trained(run, job, presence)
    state = run.layout.state(job)
    saved = checkpoint.peek(state, Training(run, job).inputs())
    if saved:
        return _stopped(job, saved, variant.epochs, presence)
    if meta is not None:
        return JobState(job, STALE, _stale(run, job, meta["inputs"]))
    if state.exists():
        return JobState(job, STALE, "its saved state was made from other data or settings, or is broken")
    if presence:
        return JobState(job, KILLED, f"before the end of its first epoch ({presence.where})", 0, presence)
    return JobState(job, MISSING)


def _stopped(job: Job, saved: Progress, epochs: int, presence: Presence | None) -> JobState:
    """Return the state of a job that is gone on from where it was left."""
    done = len(saved.history)
    detail = f"after epoch {done} of {epochs}" if done or not saved.batches else "within its first epoch"
    detail += f" and {saved.batches} batches" if saved.batches and done else ""
    where = f" ({presence.where})" if presence else ""
    return JobState(job, KILLED if presence else STOPPED, detail + where, done, presence)


def running(job: Job, presence: Presence) -> JobState:
    """Return the state of a job that a process is at work on."""
    left = [f"{duration(presence.left)} left"] if presence.left is not None else []
    phrases = [presence.note or "starts", *left, presence.where]
    return JobState(job, RUNNING, ", ".join(phrases), int(presence.done), presence)


def _trained(run: Run, job: Job, presence: Presence | None) -> JobState:
    if Training(run, job).is_predicted:
        return JobState(job, FINISHED)
    if presence:
        return JobState(job, KILLED, f"while it predicted ({presence.where})", 0, presence)
    meta = artifacts.read_meta(Training(run, job).predictions.with_suffix(".meta.json"))
    named = (
        differences(meta["inputs"], artifacts.as_json(Training(run, job).prediction_inputs()), WORDS_OF_PREDICTIONS)
        if meta
        else []
    )
    return JobState(job, TRAINED, f"its predictions differ in {_listed(named)}" if named else "not predicted")


def _stale(run: Run, job: Job, recorded: Mapping[str, Any]) -> str:
    present = artifacts.as_json(Training(run, job).inputs())
    named = [name for name in differences(recorded, present, WORDS) if name != "start"]
    if recorded.get("start") != present["start"]:
        named.append(f"its start ({run.settings.variants[job.variant].start or 'none'})")
    return f"differs in {_listed(named)}" if named else "its files are not all there"


def differences(recorded: Mapping[str, Any], present: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    """Return what differs between two tables of inputs: `key old → new`, or for a key of `words` what it says of it."""
    named = []
    for key in [*present, *(key for key in recorded if key not in present)]:
        old, new = recorded.get(key), present.get(key)
        if old == new:
            continue
        if key in words:
            named.append(words[key])
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            named += differences(old, new, words)
        elif not all(isinstance(value, int | float | str | None) for value in (old, new)):
            named.append(key)
        else:
            named.append(f"{key} {_short(old)} → {_short(new)}")
    return named


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:8]}…"


def _listed(named: list[str]) -> str:
    more = len(named) - SHOWN
    return ", ".join(named[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def state_without_run(job: Job, presence: Presence | None, error: InputError) -> JobState:
    """Return how a job stands where folds or weights cannot be read, so that its inputs are not known."""
    if presence and presence.alive:
        return running(job, presence)
    return JobState(job, MISSING, str(error))
