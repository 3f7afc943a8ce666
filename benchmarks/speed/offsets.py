"""How long does choosing class offsets take? The whole stage of `ensemble`, by metric and size.

    python -m benchmarks.speed.offsets [--rows 20000] [--classes 100] [--folds 5] [--metrics accuracy macro_f1]

One member's predictions are made up; the blend is chosen with `decision.offsets` "auto" and "off"; the difference is
the stage: fits without every fold, without every two folds and on all rows, each with its bootstrap draws, and the
stage's scores and gains. Asked: below 60 s at 100 classes and 20,000 rows, whatever the metric of labels.
"""

import argparse
import time

import numpy as np

from ripik.analysis.metrics import get_metric
from ripik.console import table
from ripik.ensemble.nested_cv import Nested, nest
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions
from ripik.settings import BlendSettings, DecisionSettings

METRICS = ["macro_f1", "accuracy", "balanced_accuracy", "cohen_kappa", "quadratic_kappa"]


def made_up(rows: int, classes: int, folds: int, seed: int = 0) -> LabelledPredictions:
    """Return one member's predictions of uneven classes, photos in three copies; about 3 of 4 rows are right."""
    rng = np.random.default_rng(seed)
    group = np.arange(rows) // 3
    y = rng.choice(classes, group[-1] + 1, p=rng.dirichlet(np.full(classes, 3.0)))[group]
    values = rng.normal(size=(rows, classes), scale=1.3)
    values[np.arange(rows), y] += 4.0 + 0.3 * np.log(classes)
    values = np.exp(values)
    return LabelledPredictions(
        MemberPredictions((values / values.sum(axis=1, keepdims=True))[None, None], group), y, group % folds, group
    )


def timed(known: LabelledPredictions, metric: str, offsets: str) -> tuple[float, float, Nested]:
    """Return the seconds of the choice, those of the processor alone, and what was chosen."""
    decision = DecisionSettings.model_validate({"copies_vote": "off", "offsets": offsets})
    start, busy = time.monotonic(), time.process_time()
    found = nest(known, get_metric(metric), BlendSettings(), decision, "arithmetic")
    return time.monotonic() - start, time.process_time() - busy, found


def main() -> None:
    """Time the metrics and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 20_000), ("classes", 100), ("folds", 5)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--metrics", nargs="+", default=METRICS, choices=METRICS)
    given = options.parse_args()
    known, told = made_up(given.rows, given.classes, given.folds), []
    for metric in given.metrics:
        (without, idle, _), (seconds, busy, found) = timed(known, metric, "off"), timed(known, metric, "auto")
        what = f"{found.left_out[0].split(':')[0]}" if found.left_out else "yes" if found.fitted.offsets else "no"
        told.append([metric, f"{seconds - without:.1f}", f"{busy - idle:.1f}", f"{seconds:.1f}", what])
    title = f"{given.rows} rows, {given.classes} classes, {given.folds} folds, one member"
    table(title, ["metric", "offsets, s", "of processor", "whole choice, s", "chosen"], told)


if __name__ == "__main__":
    main()
