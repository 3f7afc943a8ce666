"""The fit of a blend by each method, in-sample and cross-fitted, on made-up members of different strength.

python -m benchmarks.speed.ours.blend [--members 8] [--rows 7200] [--classes 6]
"""

import argparse
import json
import time

import numpy as np

from ripik.analysis.metrics import Metric, get_metric
from ripik.ensemble.blend import METHODS, Blend, fit_blend

FOLDS, COPIES = 5, 3
SLOWEST = METHODS[-1]  # whose seconds and scores stand first


def members_of(number: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (members, rows, classes), right in 70–85 % of the rows, and the classes (rows,)."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, rows)
    shared = rng.normal(0, 1, (rows, classes))  # what is hard for one is hard for all
    signal = np.eye(classes)[truth] * 2.2
    logits = np.stack([signal + shared + rng.normal(0, 0.4 + 0.1 * member, shared.shape) for member in range(number)])
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True), truth


def fitted(
    method: str, probabilities: np.ndarray, truth: np.ndarray, rows: np.ndarray, metric: Metric
) -> tuple[Blend, float]:
    """Return the method's blend, fitted on these rows, and the seconds it took."""
    start = time.perf_counter()
    made = fit_blend(method, probabilities[:, rows], truth[rows], metric, groups=rows // COPIES, seed=0)
    return made, time.perf_counter() - start


def cross_fitted(method: str, probabilities: np.ndarray, truth: np.ndarray, metric: Metric) -> tuple[float, float]:
    """Return the score of all rows, each blended as fitted on the other folds, and the seconds of the fits."""
    every = np.arange(len(truth))
    fold, blended, seconds = every // COPIES % FOLDS, np.empty(probabilities.shape[1:]), 0.0
    for held in range(FOLDS):
        made, took = fitted(method, probabilities, truth, every[fold != held], metric)
        blended[fold == held] = made.apply(probabilities[:, fold == held])
        seconds += took
    return float(metric.function(truth, blended)), seconds


def main() -> None:
    """Fit each method once on all rows and once a fold; print the seconds of each and the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--rows", type=int, default=7200)
    parser.add_argument("--classes", type=int, default=6)
    given = parser.parse_args()
    probabilities, truth = members_of(given.members, given.rows, given.classes)
    metric, methods = get_metric("macro_f1"), {}
    for method in METHODS:
        made, seconds = fitted(method, probabilities, truth, np.arange(len(truth)), metric)
        honest, cross_fit_seconds = cross_fitted(method, probabilities, truth, metric)
        methods[method] = {
            "seconds": seconds,
            "cross_fit_seconds": cross_fit_seconds,
            "score": made.score,
            "cross_fitted": honest,
        }
    members = [float(metric.function(truth, member)) for member in probabilities]
    print(json.dumps(methods[SLOWEST] | {"members": members, "methods": methods}))


if __name__ == "__main__":
    main()
