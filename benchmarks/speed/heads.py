"""Time the heads of a run, from stored outputs to oof.csv, by another checkout's code and by this one's, in turn.

    python -m benchmarks.speed.heads --before CHECKOUT --config CONFIG --work FOLDER [--variants original augmented]

The run must be finished. Its folder without pixels and other variants is copied for each checkout (a copy that is
there is taken as it is), and one `train` beforehand makes what has become stale; every repeat removes the heads and
runs `train` with one job at a time. Prints the seconds, their ratio, and the largest difference of a probability
between the two. A checkout is run by the interpreter that runs this script.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import interleave, ratio, say
from ripik.config import load_settings
from ripik.storage.paths import layout_of

HERE = Path(__file__).resolve().parents[2]


def main() -> None:
    """Read the command line, copy the run, time both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--config", type=Path, required=True, help="the configuration of a finished run")
    parser.add_argument("--work", type=Path, required=True, help="a folder to work in")
    parser.add_argument("--variants", nargs="+", default=["original", "augmented"])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    folders = {"before": given.work / "before", "now": given.work / "now"}
    name, left_out = layout_of(load_settings(given.config)).run.name, others(given.config, given.variants)
    copy(layout_of(load_settings(given.config)).run, folders["now"] / name, left_out)
    now = timing(HERE, given.config, given.variants, folders["now"] / name)
    say(f"beforehand: {now():.1f} s")
    copy(folders["now"] / name, folders["before"] / name, left_out)
    before = timing(given.before.resolve(), given.config, given.variants, folders["before"] / name)
    seconds = interleave({"before": before, "now": now}, given.repeats)
    both = ratio(seconds["before"], seconds["now"]), ratio(seconds["now"], seconds["before"])
    say(f"before / now: {both[0]}; now / before: {both[1]}")
    for variant in given.variants:
        found = [probabilities(next(folder.iterdir()) / variant / "oof.csv") for folder in folders.values()]
        say(f"{variant}: the largest difference of a probability is {np.abs(found[0] - found[1]).max():.1e}")


def others(config: Path, variants: list[str]) -> set[str]:
    """Return the names in a run's folder that its heads do not need."""
    return {"pixels", "ensemble", "report", "analysis", *load_settings(config).variants} - set(variants)


def copy(source: Path, target: Path, left_out: set[str]) -> None:
    """Copy a run's folder, unless a copy is there."""

    def ignored(where: str, names: list[str]) -> set[str]:
        return left_out & set(names) if Path(where) == source else set()

    if not target.exists():
        shutil.copytree(source, target, ignore=ignored)


def timing(checkout: Path, config: Path, variants: list[str], run: Path) -> Callable[[], float]:
    """Return what trains the heads of a copied run anew by a checkout's code, and returns the seconds."""
    given = [f"paths.output={run.parent.resolve()}", "jobs.jobs=1"]
    overrides = [part for setting in given for part in ("--set", setting)]
    command = [sys.executable, "-m", "ripik", "train", "--config", str(config.resolve()), *overrides]

    def measure() -> float:
        for variant in variants:
            shutil.rmtree(run / variant, ignore_errors=True)
        (run / "threads.json").unlink(missing_ok=True)
        start = time.perf_counter()
        environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
        subprocess.run([*command, "--variants", *variants], env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return measure


def probabilities(path: Path) -> np.ndarray:
    """Return the probabilities of an oof.csv."""
    return pd.read_csv(path).filter(like="p_").to_numpy()


if __name__ == "__main__":
    main()
