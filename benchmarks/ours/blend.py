"""The search of a blend's weights, in-sample and cross-fitted, on made-up members of different strength.

python -m benchmarks.ours.blend [--members 8] [--rows 7200] [--classes 6]
"""

import argparse
import json
import time

import numpy as np

from ripik.blend import cross_fit, search_weights
from ripik.metrics import get_metric

FOLDS = 5


def members_of(number: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (members, rows, classes), right in 70–85 % of the rows, and the classes (rows,)."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, rows)
    shared = rng.normal(0, 1, (rows, classes))  # what is hard for one is hard for all
    signal = np.eye(classes)[truth] * 2.2
    logits = np.stack([signal + shared + rng.normal(0, 0.4 + 0.1 * member, shared.shape) for member in range(number)])
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True), truth


def main() -> None:
    """Search once for all rows and once a fold; print the seconds of each and the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--rows", type=int, default=7200)
    parser.add_argument("--classes", type=int, default=6)
    given = parser.parse_args()
    probabilities, truth = members_of(given.members, given.rows, given.classes)
    fold, metric = np.arange(given.rows) % FOLDS, get_metric("macro_f1")
    start = time.perf_counter()
    found = search_weights(probabilities, truth, metric, seed=0)
    middle = time.perf_counter()
    fitted = cross_fit(probabilities, truth, fold, metric, seed=0)
    end = time.perf_counter()
    print(
        json.dumps(
            {
                "seconds": middle - start,
                "cross_fit_seconds": end - middle,
                "score": found.score,
                "cross_fitted": fitted.score,
                "members": [float(metric.function(truth, member)) for member in probabilities],
            }
        )
    )


if __name__ == "__main__":
    main()
