"""What is the best of 50 worth? The bias of its CV, naive and corrected, over worlds of which all is known.

    python -m benchmarks.quality.best_of_many [--worlds 200] [--draws 100] [--metrics log_loss accuracy macro_f1]

Worlds are those of `tests/made_up_worlds.py`: equal trials of noise, or one trial that is truly better; each is
searched whole, and with trials pruned fold by fold. Positive: the score claims too much.
"""

import argparse

import numpy as np
from tests.made_up_worlds import TRIALS, bias

from ripik.console import table

ABILITY, BETTER, WHICH = 0.5, 1.2, 41


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--metrics", nargs="+", default=["log_loss", "accuracy", "macro_f1"])
    given = parser.parse_args()
    rows = [
        row(metric, better, pruned, given.worlds, given.draws)
        for metric in given.metrics
        for better in (False, True)
        for pruned in (False, True)
    ]
    columns = ["metric", "trials", "pruned", "naive ± error", "corrected ± error", "best found", "folds tried"]
    table(f"Bias of the best of {TRIALS} over {given.worlds} worlds", columns, rows)


def row(metric: str, better: bool, pruned: bool, worlds: int, draws: int) -> list[str]:
    """Return the table's cells of one kind of worlds."""
    ability = np.full(TRIALS, ABILITY)
    ability[WHICH] = BETTER if better else ABILITY
    found = bias(worlds, ability, metric, pruned=pruned, draws=draws)
    hit = f"{np.mean([best == WHICH for best in found.best]):.0%}" if better else ""
    naive = f"{found.naive:+.4f} ± {found.naive_error:.4f}"
    corrected = f"{found.corrected:+.4f} ± {found.corrected_error:.4f}"
    kind = "one is better" if better else "all equal"
    return [metric, kind, "yes" if pruned else "no", naive, corrected, hit, f"{found.cost:.0%}"]


if __name__ == "__main__":
    main()
