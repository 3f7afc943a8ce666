"""What a person sees: messages, tables and progress; plain text when the output is not a terminal."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

SECONDS_BETWEEN_LINES = 15.0
LONGEST = 24  # characters of a cell that is never broken


def console() -> Console:
    """Return the console on standard output (rich honours NO_COLOR and pipes)."""
    return Console(highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Print one line."""
    console().print(message, markup=False, emoji=False)


def warn(message: str) -> None:
    """Print one warning on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"warning: {message}", markup=False, emoji=False, style="yellow"
    )


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is left-aligned, the others right."""
    drawn = Table(title=Text(title), title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        cells = max((len(row[position]) for row in rows), default=0)
        least = max([cells, *map(len, column.split())])  # in a narrow terminal only headings break, between words
        drawn.add_column(
            Text(column),
            justify="right" if position else "left",
            overflow="fold",
            no_wrap=not position,
            min_width=least if least <= LONGEST else None,
        )
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console().print(drawn)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far a long piece of work is; yields what to call with the number of items done so far."""
    screen = console()
    if screen.is_terminal:
        with bar(screen) as shown:
            task = shown.add_task(what, total=total, note="")
            yield lambda done: shown.update(task, completed=done)
    else:
        with _lines(what, total) as count:
            yield count


def bar(screen: Console) -> Progress:
    """Return the project's progress bar: what, bar, n of m, time left, a note."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=screen,
    )


@contextmanager
def _lines(what: str, total: int) -> Iterator[Callable[[int], None]]:
    start = last = time.monotonic()

    def show(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{what}: {done}/{total}")

    yield show
    say(f"{what}: {total} done in {time.monotonic() - start:.1f} s")
