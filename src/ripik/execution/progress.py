"""The progress of running jobs: a bar each in a terminal, otherwise a line now and then, and the overall progress."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.progress import Progress, TaskID

from ripik.console import Pace, bars, complain, console, duration, fitted, line_style, room_for_note, say

SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_TOTALS = 60.0


@dataclass(frozen=True)
class Report:
    """A sign of life from a job: `done` of `total` units, with a note (loss, rate, …), its most telling parts first.

    done: a whole number of units, which are shown, or a float where the note tells how far the job is. Fewer than in
    the report before, or another total: the job has begun with something else.
    """

    task: str
    done: float
    total: int
    note: str = ""

    @property
    def parts(self) -> list[str]:
        """The parts of what there is to tell: the units, and those of the note."""
        units: list[str] = [] if isinstance(self.done, float) else [f"{self.done}/{self.total}"]
        return units + (self.note.split(", ") if self.note else [])


@dataclass
class Work:
    """A job under way: when it began, what it told last, and how fast it goes."""

    report: Report
    start: float = field(default_factory=lambda: time.monotonic())
    pace: Pace = field(default_factory=Pace)

    def take(self, report: Report) -> None:
        """Take note of a report."""
        self.report = report
        self.pace.note(report.done, report.total)

    def seconds(self) -> float:
        """Return for how long it has been under way."""
        return time.monotonic() - self.start


class Overview:
    """How far all jobs are together, and how long the rest will take.

    Jobs of one kind (the text before the first "/" of a name: the variant) are taken to last equally long.
    """

    def __init__(self, names: Sequence[str], at_once: int) -> None:
        self.names, self.at_once = list(names), at_once
        self.working: dict[str, Work] = {}
        self.took: dict[str, list[float]] = {}
        self.ended = 0

    def begin(self, name: str) -> None:
        """Take note that a job begins; one whose name was not known is one more."""
        if name not in self.names:
            self.names.append(name)
        self.working[name] = Work(Report(name, 0, 0))

    def take(self, report: Report) -> Work:
        """Take note of a report; return the work it is about."""
        self.working[report.task].take(report)
        return self.working[report.task]

    def end(self, name: str) -> float:
        """Take note that a job is done; return its seconds."""
        seconds = self.working.pop(name).seconds()
        self.took.setdefault(_kind(name), []).append(seconds)
        self.names.remove(name)
        self.ended += 1
        return seconds

    def __str__(self) -> str:
        """Tell how many jobs are not done yet, and the time left."""
        left = self.time_left("over ")
        return self.count + (f", {left} left" if left else "")

    @property
    def count(self) -> str:
        """How many jobs are not done yet, of those that this command found to do."""
        return f"{len(self.names)} job{'' if len(self.names) == 1 else 's'} to go"

    @property
    def done(self) -> float:
        """How many jobs are done, those under way by their part."""
        reports = [work.report for work in self.working.values()]
        return self.ended + sum(0.99 * report.done / report.total for report in reports if report.total)

    def time_left(self, over: str) -> str:
        """Return the time left as h:mm:ss, `over` before it where jobs wait of a kind that is not known yet."""
        seconds, whole = self.left()
        return f"{'' if whole else over}{duration(seconds)}" if seconds >= 0.5 else ""

    def left(self) -> tuple[float, bool]:
        """Return the seconds left as far as they are known, and whether they are known of every job."""
        lasting = self._lasting()
        each = [self._left_of(name, lasting.get(_kind(name))) for name in self.names]
        longest = max([self._left_of(name, None) or 0.0 for name in self.working], default=0.0)
        together = sum(seconds or 0.0 for seconds in each)
        return max(together / max(1, min(self.at_once, len(self.names))), longest), None not in each

    def _lasting(self) -> dict[str, float]:
        """Return the seconds that a job of each kind takes, by those done, or else by those under way."""
        lasting = {kind: sum(seconds) / len(seconds) for kind, seconds in self.took.items()}
        for name, work in self.working.items():
            left = work.pace.left()
            if left is not None:
                lasting.setdefault(_kind(name), work.seconds() + left)
        return lasting

    def _left_of(self, name: str, lasts: float | None) -> float | None:
        """Return the seconds left of a job, by its own pace, or else by what such a job takes; None: not known."""
        work = self.working.get(name)
        left = work.pace.left() if work else None
        if left is not None or lasts is None:
            return left
        return max(0.0, lasts - (work.seconds() if work else 0.0))


class View(Protocol):
    """What the jobs' engine tells how they are doing."""

    def begin(self, name: str) -> None:
        """Tell that a job begins."""

    def show(self, report: Report) -> None:
        """Tell how far a job is."""

    def end(self, name: str, outcome: str) -> None:
        """Tell that a job is done, and what it has to say."""

    def message(self, line: str, *, error: bool = False) -> None:
        """Pass on a line that a job printed."""


class Lines:
    """Tells how jobs are doing in lines of plain text."""

    def __init__(self, overview: Overview) -> None:
        self.overview, self.last = overview, dict[str, float]()
        self.last_total = time.monotonic()

    def begin(self, name: str) -> None:
        """Say nothing yet."""
        self.overview.begin(name)
        self.last[name] = time.monotonic()

    def show(self, report: Report) -> None:
        """Print the report if the job's last line is some time ago."""
        work, now = self.overview.take(report), time.monotonic()
        if now - self.last[report.task] > SECONDS_BETWEEN_LINES:
            self.last[report.task] = now
            left = [f"{work.pace} left"] if str(work.pace) else []
            due = now - self.last_total > SECONDS_BETWEEN_TOTALS
            say(f"{report.task}: {', '.join([*report.parts, *left])}{self._total() if due else ''}")

    def end(self, name: str, outcome: str) -> None:
        """Print that a job is done, and what it has to say."""
        seconds = self.overview.end(name)
        say(ended(name, seconds, outcome) + self._total())

    def message(self, line: str, *, error: bool = False) -> None:
        """Print a line of a job's."""
        (complain if error else say)(line)

    def _total(self) -> str:
        self.last_total = time.monotonic()
        return f" ({self.overview})" if self.overview.ended + len(self.overview.names) > 1 else ""


class Bars:
    """Shows a bar for every job at work, and one for all; a job that is done leaves a line above them."""

    def __init__(self, overview: Overview, progress: Progress) -> None:
        self.overview, self.progress = overview, progress
        self.room = room_for_note(progress.console, max(map(len, overview.names), default=0))
        self.bars: dict[str, TaskID] = {}
        several = len(overview.names) > 1
        self.all = progress.add_task("all", total=len(overview.names), note="", left="") if several else None

    def begin(self, name: str) -> None:
        """Add the job's bar, at rest until it reports."""
        self.overview.begin(name)
        if name not in self.bars:
            self.bars[name] = self.progress.add_task(name, total=None, note="starts", left="")
        self._show_all()

    def show(self, report: Report) -> None:
        """Move the job's bar."""
        work = self.overview.take(report)
        note = fitted(report.parts, self.room)
        self.progress.update(
            self.bars[report.task], completed=report.done, total=report.total, note=note, left=str(work.pace)
        )
        self._show_all()

    def end(self, name: str, outcome: str) -> None:
        """Take the job's bar away and leave a line above the others."""
        seconds = self.overview.end(name)
        self.progress.remove_task(self.bars.pop(name))
        self.message(ended(name, seconds, outcome))
        self._show_all()

    def message(self, line: str, *, error: bool = False) -> None:
        """Print a line above the bars; of standard error where that is another place, there."""
        if error and not sys.stderr.isatty():
            complain(line)
        else:
            self.progress.console.print(line, markup=False, emoji=False, style=line_style(line))

    def _show_all(self) -> None:
        if self.all is not None:
            left = self.overview.time_left(">")
            self.progress.update(self.all, completed=self.overview.done, note=self.overview.count, left=left)


def ended(name: str, seconds: float, outcome: str) -> str:
    """Return the line that a finished job leaves."""
    return f"{name}: done in {seconds:.0f} s{f', {outcome}' if outcome else ''}"


@contextmanager
def view(names: Sequence[str], at_once: int) -> Iterator[View]:
    """Show the jobs of these names while the block runs, `at_once` of which work at a time."""
    screen, overview = console(), Overview(names, at_once)
    if not screen.is_terminal:
        yield Lines(overview)
        return
    with bars(screen) as progress:
        yield Bars(overview, progress)


def _kind(name: str) -> str:
    return name.split("/")[0]
