"""What would more photos be worth? Scores of a fitted head that learns from a share of the groups of near copies.

    python -m benchmarks.quality.learning_curve --config photos.toml --variant fitted [--draws 5]

Reads a run in which a variant with `solver = "logistic"` is trained. For every share, groups are drawn from the
training folds, a head is fitted to what the variant stored of their photos in its views, with C chosen as the variant
chooses it, and the held fold is predicted: so the folds and the rows that are scored are the run's own. A line gives
the mean and the range over the draws, and the mean gain over the share before.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.harness import say
from benchmarks.quality.depths import out_of_fold
from ripik.analysis.metrics import get_metric
from ripik.config import load_settings
from ripik.features.store import Pass, VariantData
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows

SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    """Print the score of each share of the training groups."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    run = Run.open(load_settings(given.config, []))
    features, before = stored(run, given.variant), None
    for share in SHARES:
        draws = range(given.draws if share < 1 else 1)
        scores = [score(run, features, share, draw) for draw in draws]
        gain = "" if before is None else f", {np.mean(scores) - before:+.4f}"
        say(f"{share:.1%} of the groups: {np.mean(scores):.4f} ({min(scores):.4f} to {max(scores):.4f}){gain}")
        before = np.mean(scores)


def stored(run: Run, name: str) -> np.ndarray:
    """Return what a variant stored of the training photos in its views, float32 (views, n, channels)."""
    data = VariantData(run, run.settings.variants[name])
    passes = [Pass("train", view=view) for view in run.settings.prediction.views]
    return np.stack([PackedRows([data.path(each)]).read(np.arange(len(run.folds))) for each in passes])


def score(run: Run, features: np.ndarray, share: float, draw: int) -> float:
    """Return the metric of out-of-fold predictions of heads that learn from a share of the groups, drawn by a seed."""
    groups = run.folds["group"].to_numpy()
    found = out_of_fold(run, features, lambda rows: rows[np.isin(groups[rows], drawn(groups[rows], share, draw))])
    return get_metric(run.settings.competition.metric).function(run.targets(), found)


def drawn(groups: np.ndarray, share: float, draw: int) -> np.ndarray:
    """Return so large a share of the names of groups, drawn by a seed."""
    names = np.unique(groups)
    return np.random.default_rng(draw).choice(names, round(share * len(names)), replace=False)


if __name__ == "__main__":
    main()
