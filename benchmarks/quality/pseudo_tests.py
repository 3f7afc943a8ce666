"""Does the CV tell the truth? Test sets made of training photos, again and again, on a finished run's features.

    python -m benchmarks.quality.pseudo_tests --features output/<run>/features/<store> --run output/<run> [--repeats 20]

Each time 40 % of the groups of near copies, drawn class by class, are a test set. On the rest everything is done as in
a run: grouped folds, a linear head a fold on the stored outputs, OOF probabilities, the CV and from it alone the range
in which the score of such a test set will fall with a probability of 95 % (chance in both sets counted). The fold
heads' mean predicts the test set through the same views. Asked: CV and test agree on average within 0.01, and the
range holds in at least 17 of 20 cases.

"one head" is the mean score of the fold heads taken one by one, which is what the CV measures: the test set is
predicted by the mean of all of them, and a mean of heads is a better head. The CV is not corrected for that, so it
errs on the safe side, by what the two columns differ; more folds make it less (--folds 10). Features are rows in the
order of train.csv; groups and labels are those of the run's folds.csv.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.analysis.intervals import DRAWS, Interval, predictive
from ripik.analysis.metrics import FloatArray, IntArray, Metric, get_metric
from ripik.console import say, table
from ripik.ensemble.decision import vote
from ripik.models.linear_head import LinearHead, fit
from ripik.splits.splitting import split

HELD = 0.4  # share of the groups
VIEWS = {"identity": "train.npy", "hflip": "train-hflip.npy"}
MEAN_GAP, COVERED = 0.01, 0.85  # what is asked: at most, at least


@dataclass(frozen=True)
class Photos:
    """Features of every view (views, n, d), class indices (n,) and groups (n,)."""

    features: np.ndarray
    y: IntArray
    group: IntArray

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.y.max()) + 1

    def __getitem__(self, rows: IntArray) -> "Photos":
        """Return some of the rows."""
        return Photos(self.features[:, rows], self.y[rows], self.group[rows])


@dataclass(frozen=True)
class Outcome:
    """What the CV said before a pseudo-test, and what the test then gave."""

    cv: float
    expected: Interval
    test: float
    one_head: float

    @property
    def gap(self) -> float:
        """How far the test lies above the CV."""
        return self.test - self.cv

    @property
    def inside(self) -> bool:
        """Whether the test lies in the stated range."""
        return self.expected.low <= self.test <= self.expected.high


def read_photos(features: Path, run: Path) -> Photos:
    """Read a run's stored outputs and its folds.csv."""
    folds = pd.read_csv(run / "folds.csv", dtype={"image_id": str, "label": str})
    stored = np.stack([np.load(features / name) for name in VIEWS.values()]).astype(np.float32)
    if stored.shape[1] != len(folds):
        raise SystemExit(f"{features} has {stored.shape[1]} rows, {run / 'folds.csv'} has {len(folds)}")
    y = np.unique(folds["label"].to_numpy(), return_inverse=True)[1]
    return Photos(stored, y, folds["group"].to_numpy())


def draw_test(photos: Photos, share: float, seed: int) -> IntArray:
    """Return the rows of a seeded draw of this share of the groups, class by class; a group goes by its first row."""
    groups, first = np.unique(photos.group, return_index=True)
    rng, chosen = np.random.default_rng(seed), []
    for label in np.unique(photos.y):
        members = groups[photos.y[first] == label]
        chosen.append(rng.permutation(members)[: round(share * len(members))])
    return np.flatnonzero(np.isin(photos.group, np.concatenate(chosen)))


def pseudo_test(photos: Photos, metric: Metric, n_splits: int, seed: int, draws: int = DRAWS) -> dict[bool, Outcome]:
    """Return the outcome without (False) and with (True) the vote of near copies."""
    held = draw_test(photos, HELD, seed)
    test, train = photos[held], photos[np.setdiff1d(np.arange(len(photos.y)), held)]
    fold = split(train.y, train.group, n_splits, seed)
    oof, by_head = np.full((len(train.y), photos.n_classes), np.nan), []
    for number in range(n_splits):
        head = _fit(train[np.flatnonzero(fold != number)], photos.n_classes)
        oof[fold == number] = _predict(head, train[np.flatnonzero(fold == number)])
        by_head.append(_predict(head, test))
    return {voted: _outcome(train, oof, test, np.stack(by_head), metric, voted, draws) for voted in (False, True)}


def _fit(photos: Photos, n_classes: int) -> LinearHead:
    return fit(photos.features[0], photos.y, n_classes)


def _predict(head: LinearHead, photos: Photos) -> FloatArray:
    return np.mean([head.probabilities(view) for view in photos.features], axis=0, dtype=np.float64)


def _outcome(
    train: Photos, oof: FloatArray, test: Photos, by_head: FloatArray, metric: Metric, voted: bool, draws: int
) -> Outcome:
    if voted:
        oof, by_head = vote(oof, train.group), vote(by_head, test.group)
    number = len(np.unique(test.group))
    return Outcome(
        cv=metric.function(train.y, oof),
        expected=predictive(train.y, oof, train.group, metric, number, draws=draws),
        test=metric.function(test.y, by_head.mean(axis=0)),
        one_head=float(np.mean([metric.function(test.y, head) for head in by_head])),
    )


def summary(outcomes: list[Outcome]) -> str:
    """Say the mean gap with its standard error, of the blend and of one head, and how often the range held."""
    gaps, one = (np.array([getattr(each, name) - each.cv for each in outcomes]) for name in ("test", "one_head"))
    inside = sum(each.inside for each in outcomes)
    met = abs(gaps.mean()) <= MEAN_GAP and inside >= COVERED * len(outcomes)
    return (
        f"mean gap {gaps.mean():+.4f} ± {_error(gaps):.4f} (one head {one.mean():+.4f} ± {_error(one):.4f}), "
        f"inside the 95 % range {inside} of {len(outcomes)}: {'as asked' if met else 'NOT as asked'}"
    )


def _error(values: FloatArray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")


def show(outcomes: list[Outcome], title: str, metric: str) -> None:
    """Print a row a pseudo-test, and the summary."""
    rows = [
        [
            str(seed),
            f"{each.cv:.4f}",
            f"{each.expected.low:.3f} to {each.expected.high:.3f}",
            f"{each.test:.4f}",
            f"{each.one_head:.4f}",
            f"{each.gap:+.4f}",
            "yes" if each.inside else "no",
        ]
        for seed, each in enumerate(outcomes)
    ]
    table(title, ["seed", f"CV {metric}", "95 % range of a test", "test", "one head", "gap", "inside"], rows)
    say(summary(outcomes))


def main() -> None:
    """Run the pseudo-tests and print both tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--features", type=Path, required=True, metavar="FOLDER")
    options.add_argument("--run", type=Path, required=True, metavar="FOLDER")
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--metric", default="macro_f1")
    given = options.parse_args()
    photos, metric = read_photos(given.features, given.run), get_metric(given.metric)
    found = [pseudo_test(photos, metric, given.folds, seed) for seed in range(given.repeats)]
    for voted, title in ((False, "every photo by itself"), (True, "near copies vote")):
        show([outcomes[voted] for outcomes in found], title, metric.name)


if __name__ == "__main__":
    main()
