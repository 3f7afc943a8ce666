"""A search on a run of yours: how long, how much it gains, what it is worth; killed in the middle, the same trials?

    python -m benchmarks.quality.tuning --config photos.toml --variant original --trials 40 [--kill 0.3 0.6] [--anew]

The search is made twice: in the run, at one go, and in a copy of the run's folder beside it, where the command gets
SIGKILL after these shares of the first search's seconds, and is started again.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ripik.config import load_settings
from ripik.console import say
from ripik.storage.paths import layout_of
from ripik.tuning.record import sentences


def main() -> None:
    """Search, search again with kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kill", type=float, nargs="*", default=[0.3, 0.6])
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    run = layout_of(load_settings(given.config, given.set)).run
    copy = run.parent.with_name(f"{run.parent.name}-killed")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy / run.name, ignore=shutil.ignore_patterns("tune", "running"))
    seconds = search(given, [])
    record = read(run, given.variant)
    say(f"at one go: {seconds:.0f} s, {sum(trial['seconds'] for trial in record['trials']):.0f} s of them training")
    for sentence in sentences(record):
        say(sentence)
    if given.kill:
        elsewhere = [f"paths.output={copy}"]
        for share in given.kill:
            say(f"killed after {search(given, elsewhere, share * seconds):.0f} s")
        say(f"resumed: {search(given, elsewhere):.0f} s more")
        say(f"the same trials: {told(record) == told(read(copy / run.name, given.variant))}")


def search(given: argparse.Namespace, overrides: list[str], kill_after: float | None = None) -> float:
    """Search in a process of its own, which may be killed; return its seconds."""
    words = ["--config", str(given.config), "--variant", given.variant, "--trials", str(given.trials)]
    sets = [part for override in [*given.set, *overrides] for part in ("--set", override)]
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "ripik", "tune", *words, *sets])
    try:
        if process.wait(kill_after) != 0:
            sys.exit("the search failed")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return time.monotonic() - start


def read(run: Path, variant: str) -> dict[str, Any]:
    """Return the record of a search."""
    found: dict[str, Any] = json.loads((run / "tune" / f"{variant}.json").read_text(encoding="utf-8"))
    return found


def told(record: dict[str, Any]) -> list[Any]:
    """Return what does not depend on the clock."""
    trials = [[trial[key] for key in ("number", "values", "scores", "whole")] for trial in record["trials"]]
    return [*trials, record["naive"], record["corrected"], record["gain"]]


if __name__ == "__main__":
    main()
