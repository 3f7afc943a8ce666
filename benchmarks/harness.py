"""Measure things side by side: interleaved repeats, medians, ratios with their spread, one table of results.

Standard library only: the peers' interpreter can import it too.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


def say(text: str) -> None:
    """Print a line of progress with the time of day."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def interleave(things: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Call the things one after the other, `repeats` times over (A B A B …), and return what each gave."""
    values: dict[str, list[float]] = {name: [] for name in things}
    for repeat in range(repeats):
        for name, measure in things.items():
            values[name].append(measure())
            say(f"  {repeat + 1}/{repeats} {name}: {values[name][-1]:.4g}")
    return values


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of paired repeats, and the smallest and largest of them."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.3g}"
        return f"{self.median:.3g} ({self.low:.3g}–{self.high:.3g})"


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Divide paired repeats: rates as (ours, peer), seconds as (peer, ours), so that more is better for us."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


@dataclass(frozen=True)
class Row:
    """A line of the table. `bound`: at least (or with `at_most` at most) this was asked of the ratio or value."""

    what: str
    ours: str
    peer: str = ""
    ratio: Ratio | None = None
    bound: float | None = None
    at_most: bool = False
    value: float | None = None  # judged where there is no ratio
    unit: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median reaches what was asked; None where nothing was."""
        judged = self.ratio.median if self.ratio else self.value
        if self.bound is None or judged is None:
            return None
        return judged <= self.bound if self.at_most else judged >= self.bound

    @property
    def asked(self) -> str:
        """`≥ 0.8: yes`, `≤ 1.2: no`, or that it was to be reported."""
        if self.bound is None:
            return "report"
        words = {True: ": yes", False: ": **no**", None: ""}[self.met]
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}{' ' if self.unit else ''}{self.unit}{words}"


@dataclass
class Results:
    """What a run of the benchmark found."""

    title: str
    machine: Mapping[str, str]
    versions: Mapping[str, Mapping[str, str]]
    commit: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    headings: Sequence[str] = ("what", "ours", "peer", "ratio (spread)", "asked")

    def add(self, *rows: Row) -> None:
        """Keep rows, and print them at once."""
        for row in rows:
            self.rows.append(row)
            say(f"{row.what}: ours {row.ours}; peer {row.peer or '—'}; ratio {row.ratio or '—'}; asked {row.asked}")

    def markdown(self) -> str:
        """Return the whole result as a page of markdown."""
        cells = [[row.what, row.ours, row.peer, str(row.ratio or ""), row.asked] for row in self.rows]
        lines = [f"# {self.title}", "", *markdown_table(self.headings, cells), ""]
        remarks = [f"- {row.what}: {row.note}" for row in self.rows if row.note] + [f"- {note}" for note in self.notes]
        lines += ["## How it was measured", "", *dict.fromkeys(remarks), ""] if remarks else []
        lines += ["## Machine", "", *markdown_table(["", ""], list(self.machine.items())), "", f"Commit {self.commit}."]
        for name, packages in self.versions.items():
            lines += ["", f"{name}: " + ", ".join(f"{package} {number}" for package, number in packages.items()) + "."]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Write the page, and the same as JSON beside it."""
        write_text(path, self.markdown())
        write_text(path.with_suffix(".json"), json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
