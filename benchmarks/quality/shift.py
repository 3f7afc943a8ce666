"""Does the stated range hold where the test set is of another kind? Worlds with a planted covariate shift.

    python -m benchmarks.quality.shift [--worlds 100] [--first-seed 1000] [--strengths 0 0.5 1 1.5] [--metric macro_f1]
    python -m benchmarks.quality.shift --features output/<run>/features/<store> --run output/<run> [--worlds 20]

Each world draws four classes as clusters of photos in a feature space, one to three near copies of each. Along one
direction labels become uncertain. The test set's density is that of train times exp(strength × that direction), so an
image has the same chance of every label on both sides, but the test set has more of the hard ones. Everything else is
as in a run: grouped folds, linear heads, OOF probabilities, the test set by the mean of the heads; the check of
`ensemble` (`ripik.ensemble.shift`), the plain range and the one of the weighted rows.

With a run's stored features its photos take the place of the made-up ones: 40 % of the groups are the test set, drawn
with chances that rise exponentially along one of the first principal axes. For speed the heads see `--axes` of them.

Asked: where shift is planted, the stated range (the weighted one where the check speaks, none where it says that no
range can be stated) holds in at least 90 %, and the plain one does not; without shift nothing is said in at least 95 %.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from benchmarks.quality.pseudo_tests import HELD, read_photos
from ripik.analysis.intervals import Interval, predictive
from ripik.analysis.metrics import FloatArray, IntArray, Metric, get_metric
from ripik.console import say, table
from ripik.ensemble.shift import Likeness, density_ratio, expect, likeness, separability
from ripik.models.linear_head import fit, out_of_fold
from ripik.splits.folds import split

CLASSES, COLUMNS, FOLDS, COPIES, NOISE = 4, 20, 5, 3, 0.15
APART, HARD, CONFUSED = 2.0, 1.0, 0.6  # of the clusters; where labels become uncertain; how many at most
TILTED = 10  # principal axes along which photos are parted


@dataclass(frozen=True)
class Images:
    """Features (n, d), class indices (n,) and groups (n,) of one side."""

    features: np.ndarray
    y: IntArray
    group: IntArray


@dataclass(frozen=True)
class Outcome:
    """What was said before the test set's score was known, and that score."""

    auc: Interval
    like: Likeness
    plain: Interval
    weighted: Interval
    test: float

    @property
    def said(self) -> bool:
        """Whether the two sides differ beyond chance."""
        return self.auc.low > 0.5

    @property
    def stated(self) -> Interval | None:
        """The range that `ensemble` would state; None where it states none."""
        if not self.said:
            return self.plain
        return self.weighted if self.like.speaks else None


class World:
    """Classes in a feature space, and the direction along which labels become uncertain."""

    def __init__(self, seed: int, columns: int = COLUMNS) -> None:
        self.rng = np.random.default_rng(seed)
        centers = self.rng.normal(size=(CLASSES, columns))
        self.centers = APART * centers / np.linalg.norm(centers, axis=1, keepdims=True)
        direction = self.rng.normal(size=columns)
        self.direction = direction / np.linalg.norm(direction)
        self.shares = self.rng.dirichlet(np.full(CLASSES, 8.0))
        self.steep = self.rng.uniform(1, 3)

    def draw(self, photos: int, strength: float) -> Images:
        """Return photos and their copies; the tilted mixture of Gaussians is one, of moved centers and other shares."""
        shares = self.shares * np.exp(strength * self.centers @ self.direction)
        cluster = self.rng.choice(CLASSES, photos, p=shares / shares.sum())
        seen = self.centers[cluster] + strength * self.direction + self.rng.normal(size=(photos, len(self.direction)))
        unsure = CONFUSED / (1 + np.exp(-self.steep * (seen @ self.direction - HARD)))
        y = np.where(self.rng.random(photos) < unsure, self.rng.choice(CLASSES, photos, p=self.shares), cluster)
        group = np.repeat(np.arange(photos), self.rng.integers(1, COPIES + 1, photos))
        copies = seen[group] + self.rng.normal(0, NOISE, (len(group), len(self.direction)))
        return Images(copies.astype(np.float32), y[group], group)


def trained(train: Images, test: Images) -> tuple[FloatArray, FloatArray]:
    """Return the OOF probabilities of train, and those of test by the mean of the folds' heads."""
    fold = split(train.y, train.group, FOLDS, 0)
    classes = int(max(train.y.max(), test.y.max())) + 1
    oof, on_test = np.full((len(train.y), classes), np.nan), []
    for number in range(FOLDS):
        head = fit(train.features, train.y, classes, rows=np.flatnonzero(fold != number))
        oof[fold == number] = head.probabilities(train.features[fold == number])
        on_test.append(head.probabilities(test.features))
    return oof, np.mean(on_test, axis=0, dtype=np.float64)


def checked(train: Images, test: Images, draws: int) -> tuple[Interval, Likeness]:
    """Return whether the sides can be told apart, and how train stands for test, as `analyse adversarial` finds it."""
    features = np.concatenate([train.features, test.features])
    is_test = np.repeat([0, 1], [len(train.y), len(test.y)])
    groups = np.concatenate([train.group, test.group + train.group.max() + 1])
    fold = split(is_test, groups, FOLDS, 0)
    p_test = out_of_fold(features, is_test, fold, 2, balanced=True)[:, 1]
    ratio = density_ratio(is_test, p_test, groups, fold)[is_test == 0]
    return separability(is_test, p_test, groups, draws=draws), likeness(ratio, train.group)


def outcome(train: Images, test: Images, metric: Metric, draws: int) -> Outcome:
    """Say of one pair of sides what `ensemble` would say, and score the test set."""
    (auc, like), (oof, on_test) = checked(train, test, draws), trained(train, test)
    photos = len(np.unique(test.group))
    known = train.y, oof, train.group, metric, photos
    plain, weighted = predictive(*known, draws=draws), expect(*known, like, draws=draws)
    return Outcome(auc, like, plain, weighted, metric.function(test.y, on_test))


def planted(
    seed: int, strength: float, metric: Metric, photos: tuple[int, int] = (500, 350), draws: int = 500
) -> Outcome:
    """Return the outcome of one world; photos: of train and test."""
    world = World(seed)
    train, test = world.draw(photos[0], 0.0), world.draw(photos[1], strength)
    return outcome(train, test, metric, draws)


def read_images(features: Path, run: Path, axes: int) -> Images:
    """Return a run's photos on the first principal axes of their stored features, each of its own scale."""
    photos = read_photos(features, run)
    return Images(
        PCA(axes, random_state=0).fit_transform(photos.features[0]).astype(np.float32), photos.y, photos.group
    )


def tilted(images: Images, seed: int, strength: float, metric: Metric, draws: int = 500) -> Outcome:
    """Return the outcome of photos parted by chances that rise with their place on one of the first axes."""
    rng, member = np.random.default_rng(seed), np.unique(images.group, return_inverse=True)[1].ravel()
    place = np.bincount(member, images.features[:, seed % TILTED]) / np.bincount(member)
    place *= rng.choice([-1, 1]) / place.std()
    keys = (
        rng.gumbel(size=len(place)) + strength * place
    )  # the largest: draws without replacement by exp(strength x place)
    held = np.isin(member, np.argsort(-keys)[: round(HELD * len(place))])
    train, test = (Images(images.features[rows], images.y[rows], member[rows]) for rows in (~held, held))
    return outcome(train, test, metric, draws)


def holds(expected: Interval, score: float) -> bool:
    """Whether a score lies in a range."""
    return expected.low <= score <= expected.high


def row(strength: float, found: Sequence[Outcome]) -> list[str]:
    """Return a line of the table: what was said, and how often plain, weighted and stated ranges held."""
    stated = [(each.stated, each.test) for each in found]
    ranges = [(expected, test) for expected, test in stated if expected is not None]
    share = [
        np.mean([each.said for each in found]),
        np.mean([holds(each.plain, each.test) for each in found]),
        np.mean([holds(each.weighted, each.test) for each in found]),
        np.mean([holds(*each) for each in ranges]) if ranges else np.nan,
    ]
    means = [
        np.mean([each.plain.value for each in found]),
        np.mean([each.weighted.value for each in found]),
        np.mean([each.test for each in found]),
        np.mean([each.weighted.high - each.weighted.low for each in found]),
    ]
    return [
        f"{strength:g}",
        f"{np.mean([each.auc.value for each in found]):.2f}",
        *(f"{value:.2f}" for value in share),
        f"{len(ranges)} of {len(found)}",
        *(f"{value:.3f}" for value in means),
        f"{np.mean([each.like.effective for each in found]):.0f}",
        f"{np.mean([each.like.covered for each in found]):.2f}",
    ]


COLUMNS_SHOWN = [
    *("strength", "AUC", "said", "plain holds", "weighted holds", "stated holds", "stated"),
    *("CV", "weighted", "test", "width", "effective", "covered"),
]


def main() -> None:
    """Run the worlds and print a line a strength."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--worlds", type=int, default=100)
    options.add_argument("--first-seed", type=int, default=1000)
    options.add_argument("--strengths", type=float, nargs="+", default=[0, 0.5, 1, 1.5])
    options.add_argument("--photos", type=int, nargs=2, default=[500, 350], metavar=("TRAIN", "TEST"))
    options.add_argument("--metric", default="macro_f1")
    options.add_argument("--draws", type=int, default=500)
    options.add_argument("--features", type=Path, metavar="FOLDER")
    options.add_argument("--run", type=Path, metavar="FOLDER")
    options.add_argument("--axes", type=int, default=128)
    given = options.parse_args()
    metric, seeds = get_metric(given.metric), range(given.first_seed, given.first_seed + given.worlds)
    rows = []
    for strength in given.strengths:
        if given.features:
            images = read_images(given.features, given.run, given.axes)
            found = [tilted(images, seed, strength, metric, given.draws) for seed in seeds]
        else:
            found = [planted(seed, strength, metric, tuple(given.photos), given.draws) for seed in seeds]
        rows.append(row(strength, found))
        say(" | ".join(rows[-1]))
    table(f"{given.worlds} worlds, {metric.name}", COLUMNS_SHOWN, rows)


if __name__ == "__main__":
    main()
