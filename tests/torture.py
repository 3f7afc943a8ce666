"""Kill the line anywhere, run the same command again, compare the bytes: `python tests/torture.py --work FOLDER`.

SIGKILL to the whole process group, half of the times at a moment drawn uniformly over a step's duration, half at one
of the moments at which it renames, removes or opens a file for writing; then SIGTERM and Ctrl-C, and kills of one
worker, of the main process alone, and at moments of their own (`torture_stops`). The table in FOLDER/kills.csv grows
over several runs. `--broken` shows that the comparison finds what it is there for.
"""

import argparse
import csv
import random
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torture_compare import claims
from torture_line import STATUS, STEPS, Line
from torture_stops import (
    AFTER,
    AIMED,
    ALONE,
    AT_FILES,
    KINDS,
    ONE,
    PACKED,
    SAVED,
    SCORING,
    SIGNALS,
    STARTS,
    UNIFORM,
    UNLOGGED,
    stop,
)

SHARES = (6, 5, 8, 7, 7, 10, 6, 7, 4)  # kills of each step among sixty
LEAST, TRIES, KILLS_OF_BROKEN = 4, 6, 12
EXTRA = (  # after these: steps and kinds
    *(("train-finetuned", ONE),) * 4,
    *(("train-augmented", ONE),) * 2,
    *(("ensemble", UNLOGGED),) * 4,
    *((step, SCORING) for step in ("train-original", "train-augmented", "train-finetuned") for _ in range(2)),
    *((step, ALONE) for step in ("folds", "augment", "train-original", "tune", "train-augmented")),
    *(("train-finetuned", ALONE),) * 3,
    *((step, kind) for step in ("status", "train-original", "ensemble") for kind in STARTS),
)
_NAMES = "    unfinished.checksums.replace(sums)\n    unfinished.rows.replace(path)\n"
_MADE_FROM = (
    "    artifacts.write_meta(artifacts.meta_beside(path), inputs=inputs, outputs=outputs, seconds=seconds, **more)\n"
)
BROKEN = {  # a build broken on purpose: file, text, replacement, the steps that are killed, and when
    "optimizer": (
        "training/head_session.py",
        "        self.optimizer = Adam(momentum, velocity, int(steps))\n",
        "",
        ("train-original", "train-augmented"),
        SAVED,
    ),
    "rename": (
        "storage/atomic.py",
        "        yield temporary\n        to_disk(temporary)\n        temporary.replace(path)\n",
        "        temporary.touch()\n        temporary.replace(path)\n        yield path\n",
        ("folds",),
        AFTER,
    ),
    "packed": (  # the names before the meta file, without which nothing tells what the rows were made from
        "storage/packed_array.py",
        _MADE_FROM + _NAMES,
        _NAMES + _MADE_FROM,
        ("train-original",),
        PACKED,
    ),
}


@dataclass(frozen=True)
class Trial:
    """A kill that was drawn, or what came of it."""

    number: int
    step: str
    kind: str  # of torture_stops.KINDS
    moment: str = ""  # seconds after the start, or what it was about to do
    identical: str = ""
    differs: str = ""

    @property
    def drawn(self) -> tuple[int, str, str]:
        """What was drawn of it."""
        return self.number, self.step, self.kind


def schedule(kills: int, signals: int, seed: int) -> list[Trial]:
    """Return the trials, of which the first `kills` hit every step at least four times if there are sixty or more."""
    rng = random.Random(seed)
    names = [step.name for step in STEPS]
    sure = [name for name in names for _ in range(LEAST)] if kills >= sum(SHARES) else []
    rest = [max(0, share - LEAST * bool(sure)) for share in SHARES]
    steps = sure + rng.choices(names, rest, k=kills - len(sure))
    rng.shuffle(steps)
    trains = [name for name in names if name.startswith("train")]
    kinds = list(SIGNALS)
    drawn = [(step, (UNIFORM, AIMED)[number % 2]) for number, step in enumerate(steps)]
    drawn += [(trains[n % len(trains)], kinds[n // len(trains) % len(kinds)]) for n in range(signals)]
    return [Trial(number, *each) for number, each in enumerate([*drawn, *EXTRA])]


def attempt(line: Line, trial: Trial, seed: int) -> Trial:
    """Kill the step as drawn, run it again, compare; returns the trial with what came of it."""
    step = next(step for step in (*STEPS, STATUS) if step.name == trial.step)
    rng = random.Random(f"{seed} {trial.number}")
    for _ in range(TRIES):
        line.bring_before(step)
        moment, problem = stop(line, step, trial.kind, rng)
        if moment:
            break
    else:
        raise RuntimeError(f"{trial}: it always ended before it was killed")
    wrong = [problem] if problem else []
    if trial.kind not in STARTS:
        with line.start(step) as process:
            said = process.communicate()[0]
        ended = [f"exit code {process.returncode}: {said[-300:]}"] if process.returncode else line.differences(step)
        wrong += [*ended, *(f"it says: {claim}" for claim in claims(said))]
    return Trial(*trial.drawn, moment, "no" if wrong else "yes", "; ".join(wrong))


def break_source(name: str, folder: Path) -> Path:
    """Copy the package into a folder with one edit; return what is put before the path."""
    import ripik

    file, text, replacement, *_ = BROKEN[name]
    target = folder / "ripik"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(Path(ripik.__file__).parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    source = (target / file).read_text()
    if source.count(text) != 1:
        raise RuntimeError(f"{file} does not hold the text that is to be broken: {text!r}")
    (target / file).write_text(source.replace(text, replacement))
    return folder


def read(path: Path) -> list[Trial]:
    """Return the trials of a table; none where there is no table."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [Trial(int(row.pop("number")), **row) for row in csv.DictReader(file)]


def append(path: Path, trial: Trial) -> None:
    """Add a trial to the table."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Trial)])
        writer.writeheader() if new else None
        writer.writerow(asdict(trial))


def show(trials: Sequence[Trial]) -> str:
    """Return the table of where the kills fell and what came of them."""
    kinds = list(dict.fromkeys([trial.kind for trial in trials]))
    head = f"{'step':16}{'stopped':>9}{'identical':>11}" + "".join(f"  {kind}" for kind in kinds)
    rows = [head]
    for name in [*(step.name for step in (*STEPS, STATUS)), "all"]:
        own = [trial for trial in trials if name in (trial.step, "all")]
        same, fell = sum(trial.identical == "yes" for trial in own), Counter(trial.kind for trial in own)
        numbers = [f"{fell[kind]:>{len(kind) + 2}}" for kind in kinds]
        rows.append(f"{name:16}{len(own):>9}{same:>11}" + "".join(numbers))
    aimed = Counter(trial.moment.split()[1] for trial in trials if trial.kind in AT_FILES)
    rows.append("aimed kills came before: " + ", ".join(f"{event} {number}" for event, number in aimed.most_common()))
    return "\n".join([*rows, *(f"{t.number} {t.step} {t.kind} {t.moment}: {t.differs}" for t in trials if t.differs)])


def main() -> int:
    """Run the trials that are not in the table yet, show all; 1 when one ended with other bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the runs and the table")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--signals", type=int, default=9)
    parser.add_argument("--only", choices=KINDS, nargs="+", help="of the trials, those of these kinds alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--broken", choices=list(BROKEN), help="a build that must fail")
    options = parser.parse_args()
    work, trials = options.work.absolute(), schedule(options.kills, options.signals, options.seed)
    trials = [trial for trial in trials if not options.only or trial.kind in options.only]
    if not trials:
        parser.error(f"no trial is of the kinds {', '.join(options.only)}: they are those of BROKEN=")
    line, table = Line(work), work / "kills.csv"
    if options.broken:
        *_, steps, kind = BROKEN[options.broken]
        trials = [Trial(number, steps[number % len(steps)], kind) for number in range(KILLS_OF_BROKEN)]
        table = work / f"kills-{options.broken}.csv"
    wanted = {trial.step for trial in trials}
    for step in STEPS[: max(number for number, step in enumerate(STEPS) if step.name in wanted | {"folds"}) + 1]:
        print(f"uninterrupted: {step.name}", flush=True)
        line.run_once(step)
    if options.broken:
        line.source = break_source(options.broken, work / options.broken)
    done = {trial.drawn for trial in read(table)}
    for trial in trials:
        if trial.drawn not in done:
            result = attempt(line, trial, options.seed)
            append(table, result)
            where = f"{trial.number} {trial.step} {trial.kind} at {result.moment}"
            print(f"{where}: identical {result.identical} {result.differs}", flush=True)
    found = [trial for trial in read(table) if trial.drawn in {trial.drawn for trial in trials}]
    print(show(found))
    return int(any(trial.identical != "yes" for trial in found))


if __name__ == "__main__":
    sys.exit(main())
