"""Does the nested CV tell the truth about a blend? Test sets made of a finished run's OOF rows, again and again.

    python -m benchmarks.quality.pseudo_blends --run output/<run> [--members original …] [--repeats 20] [--methods …]

Each time 40 % of the groups of near copies, drawn class by class, are a test set. On the other rows the blend is chosen
and fitted as `ensemble` does it (method, copies' vote, offsets), its nested CV and from it alone the range in which the
score of such a test set will fall with a probability of 95 % are noted; then the blend meets the test rows. All
probabilities are out of fold, so what is judged is the choice and fitting of the blend alone, without retraining.

Some draws are easier than what they leave: the members' plain mean, in which nothing is chosen or fitted, is scored on
the same rows, and what the blend's gap has beyond the mean's is due to the choosing. Asked: that is within 0.01, and
the range holds in at least 17 of 20 cases.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality.pseudo_tests import COVERED, HELD, MEAN_GAP, Photos, draw_test
from ripik.analysis.intervals import Interval, predictive
from ripik.analysis.metrics import Metric, get_metric
from ripik.console import say, table
from ripik.ensemble.nested_cv import nest
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions
from ripik.settings import BlendSettings, DecisionSettings

DEFAULT = ["original", "augmented", "finetuned", "augmented_finetuned"]


def read_run(run: Path, members: list[str]) -> LabelledPredictions:
    """Read the members' oof.csv and the run's folds.csv; its groups are also the photos that vote."""
    folds = pd.read_csv(run / "folds.csv", dtype={"image_id": str, "label": str}).set_index("image_id")
    stored = [pd.read_csv(run / name / "oof.csv", dtype={"image_id": str}).set_index("image_id") for name in members]
    values = np.stack([frame.loc[folds.index].filter(like="p_").to_numpy()[None] for frame in stored])
    columns = [name.removeprefix("p_") for name in stored[0].columns if name.startswith("p_")]
    y, group = folds["label"].map(columns.index).to_numpy(), folds["group"].to_numpy()
    return LabelledPredictions(MemberPredictions(values, group), y, folds["fold"].to_numpy(), group)


@dataclass(frozen=True)
class Outcome:
    """What the nested CV said before a pseudo-test, what the test gave, and the gap of the plain mean on those rows."""

    cv: float
    expected: Interval
    test: float
    plain_gap: float

    @property
    def gap(self) -> float:
        """How far the test lies above the CV."""
        return self.test - self.cv

    @property
    def inside(self) -> bool:
        """Whether the test lies in the stated range."""
        return self.expected.low <= self.test <= self.expected.high


def pseudo_test(known: LabelledPredictions, metric: Metric, seed: int, how: BlendSettings | None = None) -> Outcome:
    """Choose and fit on 60 % of the groups (by the default settings, or these), score on the others."""
    held = draw_test(Photos(known.rows.probabilities[0], known.y, known.group), HELD, seed)
    train, test = known[np.setdiff1d(np.arange(len(known.y)), held)], known[held]
    how = (how or BlendSettings()).model_copy(update={"partitions": 0})
    found = nest(train, metric, how, DecisionSettings(), "arithmetic")
    on_test, on_train = (metric.function(rows.y, rows.rows.probabilities[:, 0].mean(axis=0)) for rows in (test, train))
    return Outcome(
        cv=metric.function(train.y, found.oof),
        expected=predictive(train.y, found.oof, train.group, metric, len(np.unique(test.group))),
        test=metric.function(test.y, found.fitted.apply(test.rows)),
        plain_gap=on_test - on_train,
    )


def show(outcomes: list[Outcome], metric: str) -> None:
    """Print a row a pseudo-test, and the summary."""
    rows = [
        [
            str(seed),
            f"{each.cv:.4f}",
            f"{each.expected.low:.3f}–{each.expected.high:.3f}",
            f"{each.test:.4f}",
            f"{each.gap:+.4f}",
            f"{each.plain_gap:+.4f}",
            "yes" if each.inside else "no",
        ]
        for seed, each in enumerate(outcomes)
    ]
    columns = ["seed", f"CV {metric}", "95 % of a test", "test", "gap", "gap of the mean", "inside"]
    table("Blends chosen on 60 % of the groups, scored on the others", columns, rows)
    gaps, plain = (np.array([getattr(each, name) for each in outcomes]) for name in ("gap", "plain_gap"))
    inside = sum(each.inside for each in outcomes)
    met = abs((gaps - plain).mean()) <= MEAN_GAP and inside >= COVERED * len(outcomes)
    tests = np.array([each.test for each in outcomes])
    say(f"mean test score {_told(tests).removeprefix('+')}")
    say(
        f"mean gap {_told(gaps)}, of the plain mean {_told(plain)}, so due to choosing {_told(gaps - plain)}; "
        f"inside the 95 % range {inside} of {len(outcomes)}: {'as asked' if met else 'NOT as asked'}"
    )


def _told(values: np.ndarray) -> str:
    return f"{values.mean():+.4f} ± {values.std(ddof=1) / len(values) ** 0.5:.4f}"


def main() -> None:
    """Run the pseudo-tests and print their table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--run", type=Path, required=True, metavar="FOLDER")
    options.add_argument("--members", nargs="+", default=DEFAULT, metavar="VARIANT")
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--metric", default="macro_f1")
    options.add_argument("--methods", nargs="+", metavar="METHOD", help="in place of the default of blend.methods")
    options.add_argument("--margin", type=float, default=BlendSettings().margin, help="blend.margin")
    given = options.parse_args()
    how = BlendSettings.model_validate({"methods": given.methods or BlendSettings().methods, "margin": given.margin})
    known, metric = read_run(given.run, given.members), get_metric(given.metric)
    show([pseudo_test(known, metric, seed, how) for seed in range(given.repeats)], metric.name)


if __name__ == "__main__":
    main()
