"""Is a recipe better than another, where it was chosen on one half of the groups and scored on the other?

    python -m benchmarks.quality.halves --run output/photos --base strong --others soup3 trivial [--seed 0]

Reads `predictions.npz` of the folds (one seed of each variant, means over its views). For every variant: its score, its
paired gain over the base by group. Then, many times: the groups are halved at random, the best of all (base included)
is chosen on one half, and scored on the other, beside the base there. Choosing is worth what it gains there.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.harness import say
from ripik import analysis
from ripik.analysis.intervals import difference
from ripik.analysis.metrics import get_metric

HALVES = 500


def main() -> None:
    """Print every variant's gain, and what choosing among them is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, with folds.csv")
    parser.add_argument("--base", required=True)
    parser.add_argument("--others", nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=0, help="the seed whose predictions are read")
    given = parser.parse_args()
    known = analysis.load(given.run / given.base / "oof.csv")
    y, groups, metric = known.targets, known.frame["group"].to_numpy(), get_metric(known.metric)
    names = [given.base, *given.others]
    said = [seen(given.run / name, known.frame, given.seed) for name in names]
    for name, found in zip(names, said, strict=True):
        gain = difference(y, said[0], found, groups, metric)
        words = f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
        say(f"{name}: {metric.name} {metric.function(y, found):.4f}, over {given.base} {words}")
    chosen, gains = halved(y, groups, said, metric.function)
    times = ", ".join(f"{names[place]} {count / HALVES:.0%}" for place, count in Counter(chosen).most_common())
    low, high = np.quantile(gains, (0.025, 0.975))
    worth = f"{np.mean(gains):+.4f} ({low:+.4f} to {high:+.4f}) over the base"
    say(f"chosen on one half: {times}; on the other half {worth}")


def seen(variant: Path, frame, seed: int) -> np.ndarray:
    """Return a seed's out-of-fold probabilities, means over views: float64 (n, C), rows as in the frame."""
    place = {name: row for row, name in enumerate(frame["image_id"])}
    found = None
    for fold in sorted(frame["fold"].unique()):
        with np.load(variant / f"fold{fold}{f'-seed{seed}' if seed else ''}" / "predictions.npz") as stored:
            held = np.asarray(stored["oof"], np.float64).mean(axis=0)
            rows = [place[str(name)] for name in stored["held_ids"]]
        found = np.full((len(frame), held.shape[1]), np.nan) if found is None else found
        found[rows] = held
    return found


def halved(y: np.ndarray, groups: np.ndarray, said: list[np.ndarray], score) -> tuple[list[int], list[float]]:
    """Return, of many halvings, which was the best on one half, and what it scores above the first on the other."""
    rng, names, chosen, gains = np.random.default_rng(0), np.unique(groups), [], []
    for _ in range(HALVES):
        one = np.isin(groups, rng.permutation(names)[: len(names) // 2])
        best = int(np.argmax([score(y[one], each[one]) for each in said]))
        chosen.append(best)
        gains.append(score(y[~one], said[best][~one]) - score(y[~one], said[0][~one]))
    return chosen, gains


if __name__ == "__main__":
    main()
