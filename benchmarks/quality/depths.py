"""Are features of several depths and sizes worth a member of the blend (the idea of Head2Toe, Evci et al. 2022)?

    python -m benchmarks.quality.depths --config photos.toml --sizes 160 224 [--beside strong larger]

Reads a run whose folds are there. Every photo and its mirror pass through the frozen backbone of the first variant; the
means over the picture of what each stage puts out (`block1` … `top`) stand side by side. A head by logistic regression
is fitted out of fold, as `solver = "logistic"` does it: on photos and mirrors, C by a grouped split of the training
folds. The last stage alone at one size is what that solver reads. `--beside`: variants of the run whose mean the heads
are blended with; the share of the head is chosen on the other folds (of 0, 0.05, … 0.5).
"""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from benchmarks.harness import say
from ripik import analysis
from ripik.analysis.intervals import difference
from ripik.analysis.metrics import get_metric
from ripik.config import load_settings
from ripik.features.pixels import pixels
from ripik.models.backbone import build_backbone
from ripik.models.linear_head import fit_path
from ripik.models.weights import load_initial_weights
from ripik.splits.run import Run
from ripik.splits.splitting import split
from ripik.storage.packed_rows import PackedRows
from ripik.training.fitted_session import PARTS, STRENGTHS

SHARES = np.arange(0, 0.55, 0.05)
BATCH = 64
TOP = "top"


def main() -> None:
    """Fit heads on the last stage, on all stages, at one size and at all, and print what each adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[160, 224])
    parser.add_argument("--stages", nargs="+", default=["block4", "block5", "block6", "block7", TOP])
    parser.add_argument("--beside", nargs="*", default=[])
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    run = Run.open(load_settings(given.config, given.set))
    seen = {size: pooled(run, size) for size in given.sizes}
    beside = [analysis.load(run.layout.run / name / "oof.csv").probabilities for name in given.beside]
    base = heads(run, seen, given.sizes[:1], [TOP])
    report(run, f"{TOP} at {given.sizes[0]}", base, base, beside)
    for sizes in dict.fromkeys([(given.sizes[0],), tuple(given.sizes)]):
        for stages in ([TOP], given.stages):
            if (sizes, stages) != ((given.sizes[0],), [TOP]):
                found = heads(run, seen, sizes, stages)
                report(run, f"{'+'.join(stages)} at {'+'.join(map(str, sizes))}", found, base, beside)


def pooled(run: Run, size: int) -> dict[str, np.ndarray]:
    """Return, for every stage, means over the picture of photos and mirrors: float32 (2, n, channels)."""
    variant = next(iter(run.settings.variants.values()))
    backbone = build_backbone(variant.backbone, size)
    load_initial_weights(backbone, run.settings, variant)
    tensors = {stage: keras.layers.GlobalAveragePooling2D()(tensor) for stage, tensor in ends(backbone).items()}
    model = keras.Model(backbone.inputs[0], {**tensors, TOP: backbone.output})
    photos = PackedRows([pixels(run, "train", False, size)]).read(np.arange(len(run.folds)))
    say(f"{len(photos)} photos and mirrors at {size}")
    both = [model.predict(images, batch_size=BATCH, verbose=0) for images in (photos, photos[:, :, ::-1])]
    return {stage: np.stack([each[stage] for each in both]) for stage in both[0]}


def ends(backbone: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the last tensor of every block, by the name of the block without its letter."""
    found = {}
    for layer in backbone.layers:
        if block := re.match(r"block\d+", layer.name):
            found[block.group()] = layer.output
    return found


def heads(run: Run, seen: dict[int, dict[str, np.ndarray]], sizes: Sequence[int], stages: Sequence[str]) -> np.ndarray:
    """Return out-of-fold probabilities, means over photo and mirror: float64 (n, C)."""
    return out_of_fold(run, np.concatenate([seen[size][stage] for size in sizes for stage in stages], axis=2))


def out_of_fold(run: Run, features: np.ndarray, chosen: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """Return out-of-fold probabilities of heads, means over the views: float64 (n, C); features: (views, n, channels).

    chosen: returns those of a fold's training rows that its head is to learn from; None: all.
    """
    fold, found = run.folds["fold"].to_numpy(), np.zeros((features.shape[1], len(run.competition.classes)))
    for held in np.unique(fold):
        rows = np.flatnonzero(fold != held)
        rows = rows if chosen is None else chosen(rows)
        head = next(fitted(run, features, rows, [strength(run, features, rows)]))
        found[fold == held] = np.mean([head.probabilities(view[fold == held]) for view in features], axis=0)
    return found


def strength(run: Run, features: np.ndarray, rows: np.ndarray) -> float:
    """Return the C of the least log loss on photos of other groups."""
    y, groups = run.training_targets(), run.folds["group"].to_numpy()
    part, losses = split(y[rows], groups[rows], PARTS, 0), np.zeros(len(STRENGTHS))
    for held in range(PARTS):
        for place, head in enumerate(fitted(run, features, rows[part != held], STRENGTHS)):
            said = head.probabilities(features[0][rows[part == held]]).astype(np.float64)
            losses[place] += get_metric("log_loss").function(y[rows[part == held]], said) * (part == held).sum()
    return STRENGTHS[int(losses.argmin())]


def fitted(run: Run, features: np.ndarray, rows: np.ndarray, strengths: Sequence[float]):
    """Yield heads of rising strength, fitted to photos and mirrors."""
    both = np.concatenate([view[rows] for view in features])
    return fit_path(both, np.tile(run.training_targets()[rows], 2), len(run.competition.classes), strengths)


def report(run: Run, name: str, found: np.ndarray, base: np.ndarray, beside: Sequence[np.ndarray]) -> None:
    """Print a head's score, its gain over the last stage at one size, and what it adds to the variants beside it."""
    metric, y = get_metric(run.settings.competition.metric), run.targets()
    words = f"{name}: {metric.name} {metric.function(y, found):.4f}, {gain(run, base, found)}"
    if beside:
        others = np.mean(beside, axis=0)
        mixed = blended(others, found, y, run.folds["fold"].to_numpy(), metric.function)
        words += f"; beside others {metric.function(y, others):.4f}, {gain(run, others, mixed)}"
    say(words)


def gain(run: Run, a: np.ndarray, b: np.ndarray) -> str:
    """Return what b scores more than a, with its interval over groups, in words."""
    metric = get_metric(run.settings.competition.metric)
    found = difference(run.targets(), a, b, run.photos("train"), metric)
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def blended(others: np.ndarray, found: np.ndarray, y: np.ndarray, fold: np.ndarray, score) -> np.ndarray:
    """Return a blend whose share of `found` is chosen, for every fold, on the other folds."""
    mixed = np.empty_like(others)
    for held in np.unique(fold):
        rows = fold != held
        best = max(SHARES, key=lambda share: score(y[rows], (1 - share) * others[rows] + share * found[rows]))
        mixed[~rows] = (1 - best) * others[~rows] + best * found[~rows]
    return mixed


if __name__ == "__main__":
    main()
