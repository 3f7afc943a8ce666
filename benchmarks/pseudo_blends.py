"""Does the nested CV tell the truth about a blend? Test sets made of a finished run's OOF rows, again and again.

    python -m benchmarks.pseudo_blends --run output/<run> [--members original finetuned] [--repeats 20]

Each time 40 % of the groups of near copies, drawn class by class, are a test set. On the other rows the blend is chosen
and fitted as `ensemble` does it (method, copies' vote, offsets), its nested CV and from it alone the range in which the
score of such a test set will fall with a probability of 95 % are noted; then the blend meets the test rows. All
probabilities are out of fold, so what is judged is the choice and fitting of the blend alone, without retraining.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.pseudo_tests import HELD, Outcome, Photos, draw_test, show
from ripik.bootstrap import predictive
from ripik.metrics import Metric, get_metric
from ripik.nested import nest
from ripik.recipe import Known, Rows
from ripik.settings import BlendSettings, DecisionSettings

DEFAULT = ["original", "augmented", "finetuned", "augmented_finetuned"]


def read_run(run: Path, members: list[str]) -> Known:
    """Read the members' oof.csv and the run's folds.csv; its groups are also the photos that vote."""
    folds = pd.read_csv(run / "folds.csv", dtype={"image_id": str, "label": str}).set_index("image_id")
    stored = [pd.read_csv(run / name / "oof.csv", dtype={"image_id": str}).set_index("image_id") for name in members]
    values = np.stack([frame.loc[folds.index].filter(like="p_").to_numpy()[None] for frame in stored])
    columns = [name.removeprefix("p_") for name in stored[0].columns if name.startswith("p_")]
    y, group = folds["label"].map(columns.index).to_numpy(), folds["group"].to_numpy()
    return Known(Rows(values, group), y, folds["fold"].to_numpy(), group)


def pseudo_test(known: Known, metric: Metric, seed: int) -> Outcome:
    """Choose and fit on 60 % of the groups, score on the others."""
    held = draw_test(Photos(known.rows.probabilities[0], known.y, known.group), HELD, seed)
    train, test = known[np.setdiff1d(np.arange(len(known.y)), held)], known[held]
    found = nest(train, metric, BlendSettings(), DecisionSettings(), "arithmetic")
    photos = len(np.unique(test.group))
    score = metric.function(test.y, found.fitted.apply(test.rows))
    return Outcome(
        cv=metric.function(train.y, found.oof),
        expected=predictive(train.y, found.oof, train.group, metric, photos),
        test=score,
        one_head=score,
    )


def main() -> None:
    """Run the pseudo-tests and print their table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--run", type=Path, required=True, metavar="FOLDER")
    options.add_argument("--members", nargs="+", default=DEFAULT, metavar="VARIANT")
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--metric", default="macro_f1")
    given = options.parse_args()
    known, metric = read_run(given.run, given.members), get_metric(given.metric)
    show([pseudo_test(known, metric, seed) for seed in range(given.repeats)], "blends", metric.name)


if __name__ == "__main__":
    main()
