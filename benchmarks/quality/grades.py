"""Are thresholds on the expected rank worth it? The three decisions on ordered classes, by quadratic kappa.

    python -m benchmarks.quality.grades [--noise 0.6 0.8 1.0 1.3] [--rows 600] [--fresh 5000] [--repeats 6]

Grades are those of `tests/made_up_grades.py`: probabilities of a model that is biased towards the common low grade,
whose sight of the grade has normal noise. Class offsets and thresholds are fitted on some rows, as `ensemble` fits
them, and all three decisions are scored on fresh rows; means over repeats.
"""

import argparse

import numpy as np
from tests.made_up_grades import graded

from ripik.analysis.metrics import get_metric
from ripik.console import table
from ripik.ensemble.offsets import fit_offsets
from ripik.ensemble.ranks import fit_ranks

METRIC = get_metric("quadratic_kappa")
FIRST_FRESH_SEED = 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.6, 0.8, 1.0, 1.3])
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--fresh", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=6)
    given = parser.parse_args()
    rows = []
    for noise in given.noise:
        found = np.mean([kappas(noise, given.rows, given.fresh, seed) for seed in range(given.repeats)], axis=0)
        rows.append([f"{noise:g}", *(f"{value:.3f}" for value in found)])
    title = f"Quadratic kappa on {given.fresh} fresh rows, fitted on {given.rows}; means of {given.repeats}"
    table(title, ["noise", "most probable class", "offsets", "ranks"], rows)


def kappas(noise: float, rows: int, fresh: int, seed: int) -> list[float]:
    """Return quadratic kappa on fresh rows of the most probable class, with class offsets, and of ranks."""
    (values, y), (new, truth) = graded(rows, seed, noise), graded(fresh, FIRST_FRESH_SEED + seed, noise)
    groups = np.arange(rows)
    offsets = fit_offsets(values, y, METRIC, groups=groups, seed=seed)
    ranks = fit_ranks(values, y, groups=groups, seed=seed)
    return [METRIC.function(truth, decided) for decided in (new, offsets.apply(new), ranks.apply(new))]


if __name__ == "__main__":
    main()
