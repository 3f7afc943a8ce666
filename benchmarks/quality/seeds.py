"""Does `ripik compare` stay silent where nothing differs but the seed, and speak where something does?

    .venv/bin/python -m benchmarks.quality.seeds --features <npy> --folds output/<run>/folds.csv --store <folder>

Heads (dropout, softmax; the project's network, optimizer and schedule, its defaults) are trained on stored features.
(a) 40 seeds make 20 disjoint pairs: "better" or "worse" should be said of one pair in twenty. All 780 pairs tell the
rate more sharply. (b) Heads on half the training groups against heads on all: told apart. 1,722 rows of 1,280 numbers
take about 10 s a seed on one core; seeds already in the store are not trained again. Rows are shuffled by Keras.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from benchmarks.harness import say
from ripik.analysis.intervals import Interval, difference, verdict
from ripik.analysis.metrics import get_metric
from ripik.console import table
from ripik.training.jobs import Training
from ripik.training.network import build_trained_part
from ripik.training.optimizer import compile_model
from ripik.variants import Variant

HEAD = Variant(name="head")
FEWER_DRAWS = 500  # for all pairs


@dataclass(frozen=True)
class Photos:
    """Stored features and what folds.csv says of their rows."""

    features: np.ndarray  # (n, d)
    targets: np.ndarray  # (n,) class indices
    group: np.ndarray
    fold: np.ndarray

    @classmethod
    def read(cls, features: Path, folds: Path) -> "Photos":
        """Read both files; their rows must correspond."""
        known, values = pd.read_csv(folds, dtype={"label": str}), np.load(features).astype(np.float32)
        if len(known) != len(values):
            raise SystemExit(f"{features} has {len(values)} rows, {folds} has {len(known)}")
        targets = np.unique(known["label"], return_inverse=True)[1]
        return cls(values, targets, known["group"].to_numpy(), known["fold"].to_numpy())

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.targets.max()) + 1

    def training_rows(self, held: int, share: float, seed: int) -> np.ndarray:
        """Return the rows outside a fold, of a random share of the groups there."""
        rows = np.flatnonzero(self.fold != held)
        groups = np.unique(self.group[rows])
        if share < 1:
            groups = np.random.default_rng([seed, held]).choice(groups, int(share * len(groups)), replace=False)
        return rows[np.isin(self.group[rows], groups)]


@dataclass
class Heads:
    """Trains heads; a network is compiled once for every number of steps and then set back to fresh weights."""

    photos: Photos
    networks: dict[int, keras.Model] = field(default_factory=dict)

    def oof(self, seed: int, share: float) -> np.ndarray:
        """Return out-of-fold probabilities, float64 (n, C), of heads on a share of each fold's training groups."""
        photos = self.photos
        found = np.full((len(photos.targets), photos.classes), np.nan)
        for fold in np.unique(photos.fold):
            held = photos.fold == fold
            network = self._fit(Training(photos, fold).rows, 1000 * seed + int(fold))
            found[held] = network.predict(photos.features[held], verbose=0, batch_size=512)
        return found / found.sum(axis=1, keepdims=True)

    def _fit(self, rows: np.ndarray, seed: int) -> keras.Model:
        network = self._fresh(-(-len(rows) // HEAD.batch_size), seed)
        targets = np.eye(self.photos.classes, dtype="float32")[self.photos.targets[rows]]
        keras.utils.set_random_seed(seed)
        network.fit(self.photos.features[rows], targets, batch_size=HEAD.batch_size, epochs=HEAD.epochs, verbose=0)
        return network

    def _fresh(self, steps: int, seed: int) -> keras.Model:
        new = self._build(seed)
        if steps not in self.networks:
            compile_model(new, HEAD, HEAD.epochs * steps)
            new.steps_per_execution = steps
            new.optimizer.build(new.trainable_variables)
            self.networks[steps] = new
            return new
        network = self.networks[steps]
        for variable, value in zip(network.variables, new.variables, strict=True):
            variable.assign(value)
        for variable in network.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(keras.ops.zeros_like(variable))
        return network

    def _build(self, seed: int) -> keras.Model:
        photos = self.photos
        return build_trained_part(photos.features.shape[1:], None, photos.classes, dropout=HEAD.dropout, seed=seed)


def stored_oof(heads: Heads, store: Path, name: str, count: int, share: float) -> list[np.ndarray]:
    """Return the out-of-fold predictions of seeds 0 … count-1, training those that the store lacks."""
    store.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        path = store / f"{name}{seed}.npy"
        if not path.exists():
            np.save(path, heads.oof(seed, share))
            say(f"{name}, seed {seed} of {count}: trained")
    return [np.load(store / f"{name}{seed}.npy") for seed in range(count)]


def compare_pairs(photos: Photos, pairs: Sequence[tuple[np.ndarray, np.ndarray]], metric: str) -> list[Interval]:
    """Return the difference of every pair."""
    return [difference(photos.targets, a, b, photos.group, get_metric(metric)) for a, b in pairs]


def show(title: str, found: Sequence[Interval], metric: str) -> None:
    """Print every difference, and how often each thing was said."""
    said = [verdict(one, get_metric(metric)) for one in found]
    rows = [
        [str(i), f"{d.value:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}", word]
        for i, (d, word) in enumerate(zip(found, said, strict=True))
    ]
    table(f"{title}: {metric}", ["pair", "b - a", "95 %", "b is"], rows)
    say(f"{title}, {metric}: {dict(Counter(said))}")


def show_all_pairs(photos: Photos, oof: Sequence[np.ndarray], metric: str) -> None:
    """Print how often any two seeds are told apart, and the spread of their differences in standard errors."""
    how, y = get_metric(metric), photos.targets
    found = [difference(y, a, b, photos.group, how, draws=FEWER_DRAWS) for a, b in combinations(oof, 2)]
    told = np.mean([verdict(one, how) != "cannot tell" for one in found])
    spread = np.sqrt(np.mean([(one.value / one.error) ** 2 for one in found]))
    say(
        f"all {len(found)} pairs of seeds, {metric}: {told:.1%} told apart, differences of {spread:.2f} standard errors"
    )


def main() -> None:
    """Train what is missing and print both parts."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--features", type=Path, required=True, help="stored outputs of the frozen layers, a row a photo"
    )
    options.add_argument("--folds", type=Path, required=True, help="folds.csv of the same photos")
    options.add_argument("--store", type=Path, required=True, help="folder for the out-of-fold predictions")
    options.add_argument("--seeds", type=int, default=40)
    options.add_argument("--halves", type=int, default=10)
    chosen = options.parse_args()
    photos = Photos.read(chosen.features, chosen.folds)
    heads = Heads(photos)
    whole = stored_oof(heads, chosen.store, "full", chosen.seeds, 1.0)
    halves = stored_oof(heads, chosen.store, "half", min(chosen.halves, chosen.seeds), 0.5)
    for metric in ("macro_f1", "accuracy"):
        seeds = list(zip(whole[::2], whole[1::2], strict=False))
        show("Pairs of seeds", compare_pairs(photos, seeds, metric), metric)
        show(
            "Half the groups (a), all (b)",
            compare_pairs(photos, list(zip(halves, whole, strict=False)), metric),
            metric,
        )
        show_all_pairs(photos, whole, metric)


if __name__ == "__main__":
    main()
