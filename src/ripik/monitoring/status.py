"""The step `status`: show what is finished, running, stale or missing in a run, and what to run next."""

from collections import Counter
from collections.abc import Sequence

from ripik.console import console, say, table
from ripik.monitoring.job_state import FINISHED, KILLED, MISSING, RUNNING, STALE, STOPPED, TRAINED, JobState
from ripik.monitoring.outcomes import FRESH, Part
from ripik.monitoring.run_state import Status, VariantState, find_status
from ripik.settings import Settings

SYMBOLS = {
    FINISHED: ("✓", "done", "finished"),
    TRAINED: ("◐", "trained", "trained, to be predicted"),
    RUNNING: ("▶", "runs", "running"),
    STOPPED: ("‖", "stopped", "stopped, will resume from its saved state"),
    KILLED: ("✗", "killed", "killed, will resume from its saved state"),
    STALE: ("~", "stale", "made from other data or settings"),
    MISSING: ("·", "missing", "missing"),
}
TOLD = (RUNNING, STOPPED, KILLED, STALE, TRAINED)  # states that get a line of their own
MOST_LINES = 20


def status(settings: Settings) -> Status:
    """Print the state of the run of `settings`, ending with what to run next; return all of it. Changes nothing.

    Raises InputError when there is no competition, or it cannot be read.
    """
    found = find_status(settings)
    say(f"{found.folder}: {found.images[0]} training and {found.images[1]} test images, {found.classes} classes")
    for part in (found.groups, found.folds):
        say(_line(part))
    _show_variants(found)
    for job in _lines(found.jobs):
        say(job)
    for variant in settings.variants.values():
        if variant.search:
            say(f"{variant.name} was tuned: {variant.search}")
    say(_line(found.blend, f"CV {found.metric}"))
    say(_last(found))
    say(_line(found.report))
    say(found.next)
    return found


def _line(part: Part, score: str = "") -> str:
    fields = [part.state, *([f"{score} {part.value:.4f}"] if part.value is not None else []), part.detail]
    return f"{part.name}: {', '.join(text for text in fields if text)}"


def _last(found: Status) -> str:
    if not found.last:
        return "submission: none yet" if found.written else "submission: not written, as there is no sample submission"
    scores = [f"{name} score {found.last[name]}" for name in ("public", "private") if found.last.get(name)]
    return ", ".join([f"submission: {found.last.get('file', '')}", *scores])


def _show_variants(found: Status) -> None:
    names = list(dict.fromkeys(_column(job) for variant in found.variants for job in variant.jobs))
    columns = ["variant", *names, "stored", f"OOF {found.metric}"]
    words = _rows(found, names, short=False)
    widths = [3 + max(map(len, [*heading.split(), *(row[at] for row in words)])) for at, heading in enumerate(columns)]
    fits = sum(widths) < console().width
    table("Trainings", columns, words if fits else _rows(found, names, short=True))
    seen = [state for state in SYMBOLS if any(job.state == state for job in found.jobs)]
    say(", ".join(f"{_mark(state, short=not fits)}: {SYMBOLS[state][2]}" for state in seen))


def _rows(found: Status, names: Sequence[str], *, short: bool) -> list[list[str]]:
    return [
        [
            variant.name,
            *(_cell([job for job in variant.jobs if _column(job) == name], short=short) for name in names),
            _stored(variant),
            f"{variant.oof.value:.4f}" if variant.oof.value is not None else variant.oof.state,
        ]
        for variant in found.variants
    ]


def _column(found: JobState) -> str:
    return "refit" if found.job.fold is None else f"fold {found.job.fold}"


def _cell(jobs: Sequence[JobState], *, short: bool) -> str:
    """Return the states of a fold's jobs, one a seed: symbol and word, or symbol and the word's first letter."""
    counts = Counter(found.state for found in jobs)
    several = len(jobs) > 1
    return " ".join(
        f"{count if several else ''}{_mark(state, short=short)}" for state in SYMBOLS if (count := counts[state])
    )


def _mark(state: str, *, short: bool) -> str:
    symbol, word, _ = SYMBOLS[state]
    return f"{symbol}{word[0].upper()}" if short else f"{symbol} {word}"


def _stored(variant: VariantState) -> str:
    """Return how much of what the variant's network reads is stored; nothing more is wanted once all jobs are done."""
    if variant.count(FINISHED) == len(variant.jobs) and variant.stored.state != FRESH:
        return "not needed"
    return "ready" if variant.stored.state == FRESH else variant.stored.detail or MISSING


def _lines(jobs: Sequence[JobState]) -> list[str]:
    """Return a line a job that is neither finished nor simply missing, one for those of a variant that stand alike."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for state in TOLD:
        for found in jobs:
            if found.state == state:
                alike.setdefault((found.job.variant, state, found.detail), []).append(found.job.folder)
    shown = [
        f"{variant}/{', '.join(folders)}: {state}{', ' if detail else ''}{detail}"
        for (variant, state, detail), folders in alike.items()
    ]
    more = [f"… and {len(shown) - MOST_LINES} lines more"] if len(shown) > MOST_LINES else []
    problems = dict.fromkeys(found.detail for found in jobs if found.state == MISSING and found.detail)
    return [*shown[:MOST_LINES], *more, *problems]
