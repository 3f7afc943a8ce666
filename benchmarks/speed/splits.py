"""How long does the split into folds take? scikit-learn's against the dealing of very many groups, in time and memory.

    python -m benchmarks.speed.splits [--rows 40000] [--many 1000000] [--classes 100] [--tries 20]

Made-up rows in groups of 1–3, every tenth row of another class than its group, are split into five folds, each time in
a process of its own: as many as `--rows` by either way, and `--many` by the dealing alone. Asked: a million images
within 2 minutes and 4 GB. The search for near copies is no part of it.
"""

import argparse
import json
import sys
import time

import numpy as np

from benchmarks.processes import Finished, run
from ripik.console import table
from ripik.splits import splitting

FOLDS, MIXED = 5, 0.1


def made_up(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return label and group of every row, (rows,)."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(rows), rng.integers(1, 4, rows))[:rows]
    shares = rng.dirichlet(np.full(classes, 3.0))
    label, other = rng.choice(classes, rows, p=shares)[group], rng.choice(classes, rows, p=shares)
    return np.where(rng.random(rows) < MIXED, other, label), group


def measured(way: str, rows: int, classes: int, tries: int) -> Finished:
    """Split in a child process, by `scikit-learn` or `dealing`, and return what it took."""
    command = [sys.executable, "-m", "benchmarks.speed.splits", "--way", way, "--rows", str(rows)]
    return run([*command, "--classes", str(classes), "--tries", str(tries)], threads=1)


def split_here(way: str, rows: int, classes: int, tries: int) -> None:
    """Split and print, as JSON, the seconds and how even the split is."""
    splitting.MANY = 0 if way == "dealing" else rows
    label, group = made_up(rows, classes)
    start = time.monotonic()
    fold = splitting.split(label, group, FOLDS, 0, tries)
    seconds = time.monotonic() - start
    absences, unevenness = splitting.imbalance(label, group, fold, FOLDS)
    print(json.dumps({"seconds": seconds, "absences": absences, "unevenness": unevenness}))


def main() -> None:
    """Measure both ways and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=40_000, help="for both ways")
    options.add_argument("--many", type=int, default=1_000_000, help="for the dealing alone")
    options.add_argument("--classes", type=int, default=100)
    options.add_argument("--tries", type=int, default=20)
    options.add_argument("--way", choices=["scikit-learn", "dealing"], help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.way:
        split_here(given.way, given.rows, given.classes, given.tries)
        return
    sizes = [("scikit-learn", given.rows), ("dealing", given.rows), ("dealing", given.many)]
    done = [measured(way, rows, given.classes, given.tries) for way, rows in sizes]
    told = [each.json() for each in done]
    rows = [
        [way, f"{count:,}", f"{found['seconds']:.1f}", f"{each.peak_mb:.0f}", f"{found['unevenness']:.6f}"]
        for (way, count), each, found in zip(sizes, done, told, strict=True)
    ]
    title = f"{given.classes} classes, {FOLDS} folds, {given.tries} tries"
    table(title, ["way", "images", "seconds", "peak, MB", "unevenness"], rows)
    ratio = told[0]["seconds"] / told[1]["seconds"]
    print(f"dealing is {ratio:.1f} times as fast as scikit-learn on {given.rows:,} images")


if __name__ == "__main__":
    main()
