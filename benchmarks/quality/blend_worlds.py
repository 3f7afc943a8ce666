"""Made-up members of known worlds: blends are tuned on some rows and meet fresh ones of the same world."""

from dataclasses import dataclass

import numpy as np

from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions

FRESH = 15_000  # rows
FOLDS = 5
FAMILIES = 3  # members of one err together
USELESS = 0.2  # probability that a member sees nothing
COPIES = 3  # of a photo, at most


@dataclass(frozen=True, eq=False)
class World:
    """What stays when rows are drawn: class shares (C,), how far classes lie apart, and what each member is like."""

    shares: np.ndarray
    apart: float
    shared: float  # deviation of what is hard for all
    family: np.ndarray  # (members,)
    own: np.ndarray  # deviation of each member's own error, (members,)
    useless: np.ndarray  # (members,)
    sharpness: np.ndarray  # 1: calibrated; more: too sure, (members,)
    tilt: np.ndarray  # added to the logits, (members, C)

    def draw(self, rows: int, rng: np.random.Generator) -> LabelledPredictions:
        """Return about this many rows: photos in one to three near copies, folds by photo."""
        copies = rng.integers(1, COPIES + 1, rows)
        photo = np.repeat(np.arange(rows), copies)[:rows]
        of_photo = rng.permutation(np.arange(rows)[: photo[-1] + 1] % FOLDS)
        y = rng.choice(len(self.shares), photo[-1] + 1, p=self.shares)[photo]
        return LabelledPredictions(
            MemberPredictions(self._probabilities(y, photo, rng), photo), y, of_photo[photo], photo
        )

    def _probabilities(self, y: np.ndarray, photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size, members = (photo[-1] + 1, len(self.shares)), len(self.own)
        common = self.shared * rng.normal(size=size)
        families = 0.6 * rng.normal(size=(FAMILIES, *size))
        logits = np.empty((members, len(y), len(self.shares)))
        for m in range(members):
            noise = common + families[self.family[m]] + self.own[m] * rng.normal(size=size)
            noise = noise[photo] + 0.5 * rng.normal(size=logits.shape[1:])
            variance = self.shared**2 + 0.6**2 + self.own[m] ** 2 + 0.5**2
            seen = noise if self.useless[m] else self.apart * np.eye(size[1])[y] + noise
            logits[m] = self.sharpness[m] * (self.apart / variance * seen + np.log(self.shares)) + self.tilt[m]
        powers = np.exp(logits - logits.max(axis=2, keepdims=True))
        return (powers / powers.sum(axis=2, keepdims=True))[:, None]


def draw_world(members: int, seed: int) -> World:
    """Return a world of 3 to 8 classes of unequal shares; its first member always sees something."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 9))
    shares = rng.dirichlet(np.full(classes, 2.0)) + 0.02
    return World(
        shares=shares / shares.sum(),
        apart=rng.uniform(1.5, 3.5),
        shared=rng.uniform(0.6, 1.4),
        family=rng.integers(0, FAMILIES, members),
        own=rng.uniform(0.2, 1.0, members),
        useless=(rng.random(members) < USELESS) & (np.arange(members) > 0),
        sharpness=np.exp(rng.normal(0.0, 0.5, members)),
        tilt=rng.normal(0.0, 0.3, (members, classes)),
    )


def simulated(members: int, rows: int, seed: int) -> tuple[LabelledPredictions, LabelledPredictions]:
    """Return the rows to tune on and fresh ones, of a world of this many members."""
    world, rng = draw_world(members, seed), np.random.default_rng([seed, 1])
    return world.draw(rows, rng), world.draw(FRESH, rng)
