"""Trials an hour of `ripik tune` against Optuna driven plainly over `ripik train`: a process a trial, none dropped.

    python -m benchmarks.speed.tuning --config photos.toml --variant original [--trials 40] [--plain 6] [--rounds 2]

Both search the same ranges in copies of one run whose folds and stores are there, with the configuration's jobs, in
turns: some plain trials, a whole search, and so on. The ratio is that of trials a second of wall time.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna

from ripik.config import load_settings
from ripik.console import say
from ripik.storage.paths import layout_of
from ripik.tuning.ranges import ranges_of


def main() -> None:
    """Measure in turns, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--plain", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    run = layout_of(load_settings(given.config)).run
    place = run.parent.with_name(f"{run.parent.name}-speed")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run, place / run.name, ignore=shutil.ignore_patterns("tune", "running"))
    plain, ours = np.zeros(2), np.zeros(2)
    for _ in range(given.rounds):
        plain += told("plainly", plainly(given, place / run.name) / given.plain)
        shutil.rmtree(place / run.name / "tune", ignore_errors=True)
        words = ["--variant", given.variant, "--trials", str(given.trials)]
        ours += told("ripik tune", command(given, "tune", words) / given.trials)
    a, b = 3600 * given.rounds / ours[0], 3600 * given.rounds / plain[0]
    wall, cpu = plain / ours
    say(f"trials an hour: {a:.0f} against {b:.0f}; ratio {wall:.1f} by the clock, {cpu:.1f} by CPU time")


def told(name: str, seconds: np.ndarray) -> np.ndarray:
    """Print and return seconds a trial: of wall and of CPU time."""
    say(f"{name}: {seconds[0]:.1f} s a trial, {seconds[1]:.1f} s of CPU time")
    return seconds


def plainly(given: argparse.Namespace, run: Path) -> np.ndarray:
    """Do some trials as one would with Optuna alone; return their seconds of wall and CPU time."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings = load_settings(given.config)
    ranges, total = ranges_of(settings, settings.variants[given.variant]), np.zeros(2)

    def score(trial: optuna.Trial) -> float:
        sets = []
        for key, where in ranges.items():
            if isinstance(where, list):
                value = trial.suggest_categorical(key, where)
            else:
                value = trial.suggest_float(key, where["low"], where["high"], log=where.get("log", False))
            sets += ["--set", f"variants.{given.variant}.{key}={value}"]
        nonlocal total
        total = total + command(given, "train", ["--variants", given.variant, *sets])
        meta = json.loads((run / given.variant / "meta.json").read_text(encoding="utf-8"))
        return float(meta["scores"]["pooled"]["value"])

    optuna.create_study(direction="maximize").optimize(score, n_trials=given.plain)
    return total


def command(given: argparse.Namespace, step: str, words: list[str]) -> np.ndarray:
    """Run a step in a process of its own, in the copy; return its seconds of wall and CPU time."""
    place = layout_of(load_settings(given.config)).run.parent
    elsewhere = ["--set", f"paths.output={place.with_name(f'{place.name}-speed')}"]
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, "-m", "ripik", step, "--config", str(given.config), *elsewhere, *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return np.array([time.monotonic() - start, cpu])


if __name__ == "__main__":
    main()
