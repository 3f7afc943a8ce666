"""Spoiled configurations, overrides and CSVs through the command: is every one told in a message, without a traceback?

    python -m tests.fuzz --minutes 10 --seed 0 --out findings

Cases are a function of the seed and their number alone: --first 812 --cases 1 repeats one. A finding is an exception,
an exit code that is not 0, 2 or 3, a traceback, a refusal without a message, a run of more than 20 seconds, a file of
the user's that was changed, or a printed configuration that is not read back. Exit code 1 when there are findings.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.csv_mutations import odd_csv
from tests.fuzz_cases import Case, smaller
from tests.fuzz_world import CORRECTIONS, FOLDS, GROUPS, LOG, OOF_A, OOF_B, SAMPLE, TEST, TRAIN, World, documented
from tests.mutations import odd_config, odd_override

from ripik import cli
from ripik.console import progress

SECONDS = 20.0  # of one command
KINDS = ("config", "override", "csv", "csv", "csv", "scores", "scores")
WAYS = (  # of reading the CSVs
    *((), (), (), ("folds.n_splits=3",), ("competition.label_type=string",), ("competition.filename_column=",)),
    *(("competition.group_column=photo",), ("competition.submission=probabilities",), ("competition.classes=[1,2,3]",)),
    *(("folds.n_splits=6",), ("competition.corrections=corrections.csv",), ("competition.on_bad_image=skip",)),
)
SCORES = (("compare", OOF_A, OOF_B), ("compare", OOF_A, OOF_B, "--set=competition.metric=auc"), ("analyse", "runs"))


@dataclass(frozen=True)
class Outcome:
    """The last command's exit code, and what is wrong with it; `key` is equal for findings of one cause."""

    code: int
    key: str = ""
    told: str = ""


@dataclass
class Totals:
    """What came of the cases: how often each exit code, and the findings by key."""

    codes: Counter[int] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        refused = sorted((code, count) for code, count in self.codes.items() if code)
        told = ", ".join(f"{count} with exit code {code}" for code, count in refused) or "none"
        found = f"{sum(self.findings.values())} findings of {len(self.findings)} kinds"
        return f"{self.codes.total()} cases: {self.codes[0]} accepted, refused: {told}; {found}"


class Hang(BaseException):
    """A command took too long; no `except Exception` is to catch it."""


def case_of(seed: int, number: int, world: World) -> Case:
    """Return one case, the same for the same seed and number."""
    rng, name = Random(f"{seed}/{number}"), f"case {number} of seed {seed}"
    kind = rng.choice(KINDS)
    if kind == "csv":
        paths = rng.sample((TRAIN, TRAIN, TEST, SAMPLE, GROUPS, FOLDS, CORRECTIONS), rng.choice((1, 1, 1, 2)))
        how = [part for override in rng.choice(WAYS) for part in ("--set", override)]
        steps = rng.choice((("folds",), ("folds", "status"), ("status",)))
        return Case(name, {path: odd_csv(rng, world.files[path]) for path in paths}, tuple((s, *how) for s in steps))
    if kind == "scores":
        command = rng.choice(SCORES)
        paths = [LOG] if command[0] == "analyse" else rng.sample((OOF_A, OOF_B, FOLDS), rng.choice((1, 1, 2)))
        return Case(name, {path: odd_csv(rng, world.files[path]) for path in paths}, (command,))
    if kind == "config":
        return Case(name, {"tiny.toml": odd_config(rng, world.texts)}, (("config",),))
    overrides = [odd_override(rng, documented(world.texts)) for _ in range(rng.choice((1, 1, 2, 4)))]
    arguments = tuple(f"--set={text}" for text in overrides)
    return Case(name, {}, (("config", *arguments), ("status", *arguments)))


def outcome(case: Case, world: World) -> Outcome:
    """Run a case's commands until one is refused; the world is as before afterwards."""
    with world.spoiled(case.files):
        for command in case.commands:
            found = _checked(command, world)
            if found.code or found.key:
                break
    return found


def _checked(command: Sequence[str], world: World) -> Outcome:
    before = world.users_files()
    found, printed, told = _run([*command, "--config", "tiny.toml"])
    if found.key:
        return found
    if "Traceback" in printed + told:
        return Outcome(found.code, "a traceback is printed", printed + told)
    if found.code not in (0, 2, 3):
        return Outcome(found.code, f"exit code {found.code}", told)
    if found.code and not told.strip():
        return Outcome(found.code, f"exit code {found.code} without a message", printed)
    if world.users_files() != before:
        return Outcome(found.code, f"{command[0]} changed a file of the user's", told)
    if found.code == 0 and command[0] == "config":
        return _read_back(printed, world)
    return found


def _read_back(printed: str, world: World) -> Outcome:
    with world.spoiled({"tiny.toml": printed.encode("utf-8", "surrogatepass")}):
        found, again, told = _run(["config", "--config", "tiny.toml"])
    if found.key or found.code or again != printed:
        return Outcome(found.code, "the printed configuration is not read back", found.told + told + again)
    return found


def _run(arguments: list[str]) -> tuple[Outcome, str, str]:
    """Run the command in this process; return its outcome and what it printed, on both streams as a terminal's are."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with _no_longer_than(SECONDS):
                found = Outcome(cli.main(arguments))
        except SystemExit as error:
            found = Outcome(error.code if isinstance(error.code, int) else 1)
        except Hang:
            found = Outcome(1, f"{arguments[0]} took more than {SECONDS:g} s")
        except Exception as error:
            found = Outcome(1, _cause(error), traceback.format_exc(limit=-8))
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]
    return found, texts[0], texts[1]


@contextlib.contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _cause(error: Exception) -> str:
    """Return the exception's type and the innermost line of this package that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}ripik{os.sep}" in frame.filename] or frames
    return f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name}"


def _is_found(key: str, world: World, case: Case) -> bool:
    return outcome(case, world).key == key


def tell(case: Case, found: Outcome, out: Path | None) -> None:
    """Print a finding with all that repeats it, and write it to a folder of its own."""
    lines = [f"finding: {found.key} ({case.name})"]
    lines += [f"  {shlex.join(['ripik', *command, '--config', 'tiny.toml'])[:2000]}" for command in case.commands]
    lines += [f"  {path} = {content[:2000]!r}" for path, content in case.files.items()]
    text = "\n".join([*lines, found.told[-3000:]]).encode("utf-8", "backslashreplace").decode()
    print(text, flush=True)
    if out is not None:
        folder = out / case.name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "finding.txt").write_text(text, encoding="utf-8")
        for path, content in case.files.items():
            (folder / Path(path).name).write_bytes(content)


def fuzz(seed: int, first: int, cases: int, minutes: float, out: Path | None) -> Totals:
    """Run cases from number `first` on, as many or as long as asked for, and tell each kind of finding once."""
    totals, end = Totals(), time.monotonic() + 60 * minutes
    length = round(60 * minutes) if minutes < float("inf") else cases
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), progress("fuzz", length) as show:
        world = World(Path(folder))
        for number in range(first, first + cases):
            if time.monotonic() > end:
                break
            case = case_of(seed, number, world)
            found = outcome(case, world)
            totals.codes[found.code] += 1
            if found.key and not totals.findings[found.key]:
                less = smaller(case, partial(_is_found, found.key, world))
                again = outcome(less, world)
                tell(less, again, out) if again.key == found.key else tell(case, found, out)
            totals.findings.update([found.key] * bool(found.key))
            show(length - round(end - time.monotonic()) if length != cases else number - first + 1)
    return totals


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, and print the counts; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="how long (default: as many as --cases)")
    parser.add_argument("--cases", type=int, help="how many (default: as many as fit into --minutes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the first case")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where findings are written")
    given = parser.parse_args(arguments)
    cases = given.cases or (sys.maxsize // 2 if given.minutes < float("inf") else 1000)
    out = given.out.resolve() if given.out else None
    totals = fuzz(given.seed, given.first, cases, given.minutes, out)
    print(f"fuzz, seed {given.seed}: {totals}")
    return int(bool(totals.findings))


if __name__ == "__main__":
    sys.exit(main())
