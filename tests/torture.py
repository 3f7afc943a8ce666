"""Kill the line anywhere, run the same command again, compare the bytes: `python tests/torture.py --work FOLDER`.

SIGKILL to the whole process group, half of the times at a moment drawn uniformly over a step's duration, half at one
of the moments at which it renames, removes or opens a file for writing; then SIGTERM and Ctrl-C. The table in
FOLDER/kills.csv grows over several runs. `--broken` shows that the comparison finds what it is there for.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torture_line import STEPS, Line, Step

SHARES = (6, 5, 9, 8, 12, 7, 8, 5)  # kills of each step among sixty
LEAST, TRIES, KILLS_OF_BROKEN = 4, 6, 12
AFTER = "after renaming"
SAVED = "after a saved state"
SIGNALS = {"SIGTERM": (signal.SIGTERM, 143), "SIGTERM to all": (signal.SIGTERM, 143), "Ctrl-C": (signal.SIGINT, 130)}
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
}


@dataclass(frozen=True)
class Trial:
    """A kill that was drawn, or what came of it."""

    number: int
    step: str
    kind: str  # uniform, aimed, AFTER, SAVED, or a name of SIGNALS
    moment: str = ""  # seconds after the start, or what it was about to do
    identical: str = ""
    differs: str = ""


def schedule(kills: int, signals: int, seed: int) -> list[Trial]:
    """Return the trials, of which the first `kills` hit every step at least four times if there are sixty or more."""
    rng = random.Random(seed)
    names = [step.name for step in STEPS]
    sure = [name for name in names for _ in range(LEAST)] if kills >= sum(SHARES) else []
    rest = [max(0, share - LEAST * bool(sure)) for share in SHARES]
    steps = sure + rng.choices(names, rest, k=kills - len(sure))
    rng.shuffle(steps)
    trials = [Trial(number, step, ("uniform", "aimed")[number % 2]) for number, step in enumerate(steps)]
    trains = [name for name in names if name.startswith("train")]
    kinds = list(SIGNALS)
    more = [Trial(kills + n, trains[n % len(trains)], kinds[n // len(trains) % len(kinds)]) for n in range(signals)]
    return trials + more


def attempt(line: Line, trial: Trial, seed: int) -> Trial:
    """Kill the step as drawn, run it again, compare; returns the trial with what came of it."""
    step = next(step for step in STEPS if step.name == trial.step)
    rng = random.Random(f"{seed} {trial.number}")
    for _ in range(TRIES):
        line.bring(line.kept / step.name / "before")
        moment, problem = _stop(line, step, trial.kind, rng)
        if moment:
            break
    else:
        raise RuntimeError(f"{trial}: it always ended before it was killed")
    with line.start(step) as process:
        said = process.communicate()[0]
    wrong = [problem] if problem else []
    wrong += [f"exit code {process.returncode}: {said[-300:]}"] if process.returncode else line.differences(step)
    return Trial(trial.number, trial.step, trial.kind, moment, "no" if wrong else "yes", "; ".join(wrong))


def _stop(line: Line, step: Step, kind: str, rng: random.Random) -> tuple[str, str]:
    """Start the step and stop it; return when or where (empty: it ended first) and what was wrong with its end."""
    if kind != "uniform" and kind not in SIGNALS:
        return _killed_at(line, step, rng.choice(_moments(line, step, kind))), ""
    after = rng.uniform(0.02, 0.98) * line.seconds(step)
    with line.start(step) as process:
        try:
            said = process.communicate(timeout=after)[0]
            return "", ""
        except subprocess.TimeoutExpired:
            signum, code = SIGNALS.get(kind, (signal.SIGKILL, -signal.SIGKILL))
            (os.kill if kind == "SIGTERM" else os.killpg)(process.pid, signum)
            said = process.communicate()[0]
        _wait_for_all(process.pid)
    if process.returncode != code:
        return (
            ("", "")
            if process.returncode == 0
            else (f"{after:.1f} s", f"exit code {process.returncode}: {said[-300:]}")
        )
    silent = kind in SIGNALS and "run the same command again" not in " ".join(said.split())
    return f"{after:.1f} s", "it does not say how to go on" if silent else ""


def _moments(line: Line, step: Step, kind: str) -> list[int]:
    """Return the numbers of the step's moments of this kind: all, or those just after a rename, or a state's rename.

    Of the states, those in the middle: the first are young, and after the last there is nothing left to train.
    """
    moments = line.moments(step)
    renamed = [number + 1 for number, moment in sorted(moments.items()) if moment.startswith("os.rename")]
    saved = [number for number in renamed if moments[number - 1].endswith("state.npz")]
    middle = saved[len(saved) // 4 : -(len(saved) // 4) or None]
    return {AFTER: renamed, SAVED: middle}.get(kind, sorted(moments))


def _killed_at(line: Line, step: Step, moment: int) -> str:
    killed = line.work / "killed"
    for path in (killed, line.work / "count"):
        path.unlink(missing_ok=True)
    with line.start(step, kill=moment) as process:
        process.communicate()
        _wait_for_all(process.pid)
    return f"{moment}: {killed.read_text()}" if killed.exists() and process.returncode == -signal.SIGKILL else ""


def _wait_for_all(group: int) -> None:
    """Return when no process of the group is left."""
    limit = time.monotonic() + 90
    while time.monotonic() < limit:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise RuntimeError(f"processes of group {group} are still there")


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
    head = f"{'step':18}{'stopped':>9}{'identical':>11}" + "".join(f"{kind:>16}" for kind in kinds)
    rows = [head]
    for name in [*(step.name for step in STEPS), "all"]:
        own = [trial for trial in trials if name in (trial.step, "all")]
        same, fell = sum(trial.identical == "yes" for trial in own), Counter(trial.kind for trial in own)
        rows.append(f"{name:18}{len(own):>9}{same:>11}" + "".join(f"{fell[kind]:>16}" for kind in kinds))
    aimed = Counter(trial.moment.split()[1] for trial in trials if trial.kind in ("aimed", AFTER, SAVED))
    rows.append("aimed kills came before: " + ", ".join(f"{event} {number}" for event, number in aimed.most_common()))
    return "\n".join([*rows, *(f"{t.number} {t.step} {t.kind} {t.moment}: {t.differs}" for t in trials if t.differs)])


def main() -> int:
    """Run the trials that are not in the table yet, show all; 1 when one ended with other bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the runs and the table")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--signals", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--broken", choices=list(BROKEN), help="a build that must fail")
    options = parser.parse_args()
    work, trials = options.work.absolute(), schedule(options.kills, options.signals, options.seed)
    line, table = Line(work), work / "kills.csv"
    needed = STEPS
    if options.broken:
        *_, steps, kind = BROKEN[options.broken]
        trials = [Trial(number, steps[number % len(steps)], kind) for number in range(KILLS_OF_BROKEN)]
        table = work / f"kills-{options.broken}.csv"
        needed = STEPS[: max(number for number, step in enumerate(STEPS) if step.name in steps) + 1]
    for step in needed:
        print(f"uninterrupted: {step.name}", flush=True)
        line.run_once(step)
    if options.broken:
        line.source = break_source(options.broken, work / options.broken)
    done = {trial.number for trial in read(table)}
    for trial in trials:
        if trial.number not in done:
            result = attempt(line, trial, options.seed)
            append(table, result)
            print(
                f"{trial.number} {trial.step} {trial.kind} at {result.moment}: identical {result.identical}", flush=True
            )
    found = [trial for trial in read(table) if trial.number in {trial.number for trial in trials}]
    print(show(found))
    return int(any(trial.identical != "yes" for trial in found))


if __name__ == "__main__":
    sys.exit(main())
