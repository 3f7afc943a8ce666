"""A tiny competition that a case of `tests.bad_input` spoils, and what one command then does with it."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tests.conftest import Drawn, Tiny, in_this_process, write_competition

from ripik import cli
from ripik.data.competition import read_competition
from ripik.ensemble.submission import check_submission
from ripik.errors import InputError
from ripik.names import SubmissionKind as Kind

TRAIN, TEST, SIDE, LABELS = 12, 4, 24, (1, 2, 3)  # ids 1 … 12 and 13 … 16; row i has the label 1 + (i − 1) mod 3
QUICK = ("folds.n_splits=2", "folds.tries=1", "folds.near_copies=false")
CHECK = "check of the submission"  # part of a step: no command does it alone
EDITABLE = ("folds.csv", "groups.csv")
Spoil = Callable[[Tiny], object]


@dataclass(frozen=True)
class Case:
    """How the tiny competition is spoiled, the command that meets it, and what is to come of it.

    says: what must stand in the message, or in all that is printed where the exit code is 0. `check` looks at what a
    command that succeeds has written. "{folder}" in an argument is the folder of the competition.
    """

    topic: str
    name: str
    spoil: Spoil
    says: tuple[str, ...] = ()
    code: int = 2
    command: tuple[str, ...] = ("folds",)
    check: Callable[[Tiny], None] = lambda tiny: None

    @property
    def id(self) -> str:
        """Return the name as a test's id."""
        return f"{self.topic}: {self.name}"


@dataclass(frozen=True)
class Outcome:
    """What a command gave: its exit code, its two streams, and what of the user's files it changed."""

    code: int
    out: str
    err: str
    changed: tuple[str, ...]
    left: tuple[str, ...]  # half-written or temporary files

    @property
    def told(self) -> list[str]:
        """Return the lines on standard error that are no warnings."""
        return [line for line in self.err.split("\n") if line and not line.startswith("warning: ")]


def nothing(tiny: Tiny) -> None:
    """Leave the competition as it is: the command itself is the mistake."""


def draw() -> Drawn:
    """Return the files of a competition of 12 and 4 images of noise, none like another."""
    jpegs = {}
    for number in range(1, TRAIN + TEST + 1):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        jpegs[f"{number}.jpg"] = cv2.imencode(".jpg", pixels)[1].tobytes()
    ids = [str(number) for number in range(1, TRAIN + TEST + 1)]
    frame = pd.DataFrame({"image_id": ids, "filename": [f"{text}.jpg" for text in ids], "photo": range(len(ids))})
    labels = [LABELS[number % len(LABELS)] for number in range(TRAIN)]
    return Drawn(frame[:TRAIN].assign(label=labels), frame[TRAIN:], jpegs)


def run(case: Case, folder: Path, drawn: Drawn) -> tuple[Tiny, Outcome]:
    """Write the competition into `folder`, spoil it, and run the case's command."""
    folder.mkdir(parents=True)
    tiny = write_competition(folder, drawn)
    with _quiet():
        case.spoil(tiny)
    before = _users(tiny)
    code, out, err = command(tiny, case.command)
    after = _users(tiny)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    changed -= {name for name in after.keys() - before.keys() if Path(name).name in EDITABLE}
    return tiny, Outcome(code, out, err, tuple(sorted(changed)), _left(tiny))


def problems(case: Case, tiny: Tiny, found: Outcome) -> list[str]:
    """Return what is not as the case expects it."""
    said = shown(found.out + "\n" + found.err if case.code == 0 else found.err, tiny)
    wrong = [f"{text!r} is not said" for text in case.says if text not in said]
    if found.code != case.code:
        wrong.append(f"exit code {found.code}, not {case.code}")
    if "Traceback" in found.out + found.err:
        wrong.append("a traceback")
    if len(found.told) != bool(case.code) or not all(line.startswith("ripik: ") for line in found.told):
        wrong.append(f"{len(found.told)} messages: {found.told}")
    wrong += [f"the user's {name} was changed" for name in found.changed]
    return wrong + [f"{name} was left behind" for name in found.left]


def command(tiny: Tiny, arguments: Sequence[str]) -> tuple[int, str, str]:
    """Run a command on the competition in this process; return its exit code and what it printed on both streams."""
    step, *rest = (argument.replace("{folder}", str(tiny.folder)) for argument in arguments)
    config = [] if "--config" in rest else ["--config", str(tiny.config)]
    quick = [] if config == [] else [part for override in QUICK for part in ("--set", override)]
    with _quiet() as (out, err), in_this_process():
        try:
            code = _check(tiny, *rest) if step == CHECK else cli.main([step, *config, *quick, *rest])
        except SystemExit as error:  # argparse
            code = error.code if isinstance(error.code, int) else 1
        except Exception:
            traceback.print_exc()  # as the interpreter does
            code = 1
    return code, out.getvalue(), err.getvalue()


def _check(tiny: Tiny, path: str, kind: Kind) -> int:
    """Check a submission as `ensemble` does with its own."""
    try:
        known = read_competition(tiny.settings(*QUICK, f"competition.submission={kind}"))
        frame = pd.read_csv(path, dtype={"image_id": str})
        check_submission(frame, known.sample, known.classes, known.form)
    except InputError as error:
        print(f"ripik: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def shown(text: str, tiny: Tiny) -> str:
    """Return a message without what differs between machines and runs."""
    for folder in (str(tiny.folder), str(tiny.folder.resolve())):
        text = text.replace(f"{folder}/", "").replace(folder, ".")
    return re.sub(r"\s+", " ", text).strip()


@contextlib.contextmanager
def _quiet() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        signal.signal(signal.SIGTERM, handler)


def _users(tiny: Tiny) -> dict[str, object]:
    """Return the content of every file that is not the command's own, and of folds.csv and groups.csv."""
    found: dict[str, object] = {}
    for path in sorted(tiny.folder.rglob("*")):
        name = path.relative_to(tiny.folder)
        if name.parts[0] == "output" and name.name not in EDITABLE:
            continue
        found[str(name)] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def _left(tiny: Tiny) -> tuple[str, ...]:
    names = [path.relative_to(tiny.folder) for path in tiny.folder.rglob("*")]
    return tuple(sorted(str(name) for name in names if any(part.startswith(".") for part in name.parts)))
