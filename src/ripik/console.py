"""Terminal output: messages, tables and progress; plain text when the output is not a terminal."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any, NoReturn, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from ripik.errors import Unread
from ripik.targets import with_config

UNREAD = 141  # the exit code that a shell gives for SIGPIPE
SECONDS_BETWEEN_LINES = 15.0
SMALL = 0.05  # part of the work from which its first step tells how fast the rest will go
LONGEST = 24  # characters of a cell that is never broken
WIDEST_BAR = 30
WARNING = "warning: "
_SAID: ContextVar[set[str] | None] = ContextVar("warnings that were said", default=None)


class Output(Console):
    """A console that raises Unread when nobody reads it any more."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as any console does."""
        try:
            super().print(*objects, **how)
        except BrokenPipeError:  # of rich before 13.8
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """End the command."""
        self.quiet = True
        end_unread(self.file)


def end_unread(stream: IO[str]) -> NoReturn:
    """Raise Unread, and let what the stream still holds go nowhere, so that its last flush does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    raise Unread(UNREAD)


def write(text: str) -> None:
    """Write a text to standard output as it is."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        end_unread(sys.stdout)


def console(*, error: bool = False) -> Console:
    """Return the console on standard output, or on standard error.

    Plain text (no escape sequence, nothing is redrawn) when the stream is not a terminal, when NO_COLOR is set to
    anything but nothing (no-color.org), or on a terminal that can do no more (TERM=dumb).
    """
    able = not is_plain(sys.stderr if error else sys.stdout)
    return Output(stderr=error, highlight=False, soft_wrap=True, force_terminal=able, force_jupyter=False)


def is_plain(stream: TextIO) -> bool:
    """Whether a stream is to get plain text only."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return True
    return not stream.isatty()


def say(message: str) -> None:
    """Print one line; commands of make in it have the present configuration (`targets`)."""
    console().print(with_config(message), markup=False, emoji=False)


def warn(message: str) -> None:
    """Print one warning on standard error, but none a second time within `warnings_once`."""
    said = _SAID.get()
    if said is not None:
        if message in said:
            return
        said.add(message)
    complain(f"{WARNING}{message}")


@contextmanager
def warnings_once() -> Iterator[None]:
    """Print each warning once within the block, however often it is given."""
    before = _SAID.set(set())
    try:
        yield
    finally:
        _SAID.reset(before)


def complain(line: str) -> None:
    """Print a line on standard error, a warning in its colour; commands of make in it as `say` does."""
    console(error=True).print(with_config(line), markup=False, emoji=False, style=line_style(line))


def line_style(line: str) -> str | None:
    """Return the colour of a line: that of warnings, or none."""
    return "yellow" if line.startswith(WARNING) else None


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> None:
    """Print a table; the first column is left-aligned, the others right, as numbers are, or of words left, too."""
    drawn = Table(title=Text(title), title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        cells = max((len(row[position]) for row in rows), default=0)
        least = max([cells, *map(len, column.split())])  # in a narrow terminal only headings break, between words
        drawn.add_column(
            Text(column),
            justify="right" if position and not words else "left",
            overflow="fold",
            no_wrap=not position,
            min_width=least if least <= LONGEST else None,
        )
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console().print(drawn)


class Pace:
    """How fast a piece of work goes, by the signs of life of this session alone: what an earlier one did costs nothing.

    The time before the second sign is left out as soon as there are three: a first step warms up, and if it is a small
    part of the whole (compiling a network takes longer than many batches) it tells nothing. Less done than before, or
    another total, begins something new.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.signs: list[tuple[float, float]] = []  # (time, done): the first, the second and the last one

    def note(self, done: float, total: float) -> None:
        """Take note that so much is done by now."""
        if self.signs and (done < self.signs[-1][1] or total != self.total):
            self.signs.clear()
        self.total, self.signs = total, [*self.signs[:2], (time.monotonic(), done)]

    def left(self) -> float | None:
        """Return the seconds until all is done; None while nothing is known."""
        if len(self.signs) < 2:
            return None
        (start, before), (now, done) = self.signs[-2:]
        if len(self.signs) == 2 and done - before < SMALL * self.total:
            return None
        return (self.total - done) * (now - start) / (done - before) if done > before else None

    def __str__(self) -> str:
        """Return the time left as h:mm:ss; empty while it is not known, or nothing is left."""
        seconds = self.left()
        return duration(seconds) if seconds and seconds >= 0.5 else ""


def duration(seconds: float) -> str:
    """Return seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def size_of(count: float) -> str:
    """Return a number of bytes in MiB, or from 1 GiB on in GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a long piece of work is; yields what to call with the number of items done so far."""
    screen = console()
    if not screen.is_terminal:
        with _lines(what, total) as count:
            yield count
        return
    pace = Pace()
    pace.note(0, total)
    with bars(screen) as shown:
        task = shown.add_task(what, total=total, note=f"0/{total}", left="")

        def show(done: int) -> None:
            pace.note(done, total)
            shown.update(task, completed=done, note=f"{done}/{total}", left=str(pace))

        yield show


def bars(screen: Console) -> Progress:
    """Return the project's progress bars, one line a task: what, bar, time left, a note (fields `left`, `note`)."""
    wide = screen.width > 120
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(WIDEST_BAR if wide else None, table_column=Column(ratio=1)),
        TextColumn(
            "{task.fields[left]}", markup=False, justify="right", table_column=Column(min_width=7, no_wrap=True)
        ),
        TextColumn("{task.fields[note]}", markup=False),
        console=screen,
        expand=not wide,
        redirect_stderr=sys.stderr.isatty(),
    )


def room_for_note(screen: Console, longest: int) -> int:
    """Return how many characters a note may have beside what is as long as `longest` and a very short bar."""
    return screen.width - longest - len(" ━━━ h:mm:ss ")


def fitted(parts: Sequence[str], room: int) -> str:
    """Return the parts, in their order, of those after the first only such as still fit into `room` characters."""
    shown = ""
    for part in parts:
        longer = f"{shown}, {part}" if shown else part
        shown = longer if not shown or len(longer) <= room else shown
    return shown


@contextmanager
def _lines(what: str, total: int) -> Iterator[Callable[[int], None]]:
    start, pace = time.monotonic(), Pace()
    last = start
    pace.note(0, total)

    def show(done: int) -> None:
        nonlocal last
        pace.note(done, total)
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{what}: {done}/{total}{f', {pace} left' if str(pace) else ''}")

    yield show
    say(f"{what}: {total} done in {time.monotonic() - start:.1f} s")
