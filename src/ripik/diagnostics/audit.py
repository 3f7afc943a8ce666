"""The step `folds --audit`: the scores of other splits of the same photos, compared with the grouped folds.

Linear heads on stored features stand in for the networks: they take seconds, and profit from copies of what they were
trained on just as the networks do.
"""

import itertools
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from ripik.analysis.intervals import Interval, interval
from ripik.analysis.metrics import get_metric
from ripik.console import progress, say, table
from ripik.features.head_inputs import copies_head, photo_head, read_features, stored_settings
from ripik.features.prepare import prepare
from ripik.features.store import Pass, VariantData, training_passes
from ripik.models.linear_head import ITERATIONS, STRENGTH, TOLERANCE, LinearHead, fit, out_of_fold
from ripik.settings import Settings
from ripik.splits.run import Run, make_folds
from ripik.splits.splitting import split
from ripik.storage import artifacts
from ripik.storage.up_to_date import Artifact
from ripik.training.scores import LEVEL, ends
from ripik.variants import Variant

AUDIT = 2  # to be raised when the splits or the heads change
TRAINED = "rows the head trained on"
AUGMENTED = "random split of augmented rows"
RANDOM = "random folds of photos"
GROUPED = "grouped folds"
GROUPED_AUGMENTED = "grouped folds, augmented rows"
PHOTOS = Pass("train")


@dataclass(frozen=True)
class _Claim:
    """What a split says: probabilities (n, C) of the rows it scores, and which photo each row shows."""

    split: str
    photo: np.ndarray
    probabilities: np.ndarray


def audit(settings: Settings) -> Path:
    """Write `audit.csv`, one row a split, unless the recorded inputs still match; print it and return its path.

    Columns: split, rows (scored), then the competition's metric and accuracy, each with the ends of its 95 %
    interval, drawn over groups of near copies: <metric>, <metric>_low, <metric>_high. The splits, the most
    credulous first: the rows the head was trained on; a random split of photos and augmented copies, mixed (both where
    a variant trains its head on augmented data); stratified random folds of photos; the grouped folds, scored on
    photos, trained on photos and on augmented rows. Makes the folds and the features that are missing.
    Raises InputError when no variant trains its head alone.
    """
    photos, settings = photo_head(settings), stored_settings(settings)
    copies = copies_head(settings)
    get_metric(settings.competition.metric)
    make_folds(settings)
    run = Run.open(settings)
    path = run.layout.run / "audit.csv"
    made = Artifact.of(path, _inputs(run, photos, copies))
    if made.is_fresh:
        say(f"audit: {path} is up to date")
    else:
        prepare(run, [photos, *([_with_photos(copies)] if copies else [])])
        with made.making():
            artifacts.write_csv(path, _frame(run, photos, copies))
        say(f"audit: wrote {path}")
    _print_scores(pd.read_csv(path), run, copies is not None)
    return path


def _with_photos(copies: Variant) -> Variant:
    """Return the variant as one that reads the photos too: grouped folds are scored on them."""
    return copies.model_copy(update={"with_original": True})


def _inputs(run: Run, photos: Variant, copies: Variant | None) -> dict[str, Any]:
    passes = [(photos, PHOTOS)]
    if copies:
        passes += [(copies, pass_) for pass_ in dict.fromkeys([PHOTOS, *training_passes(copies)])]
    return {
        "version": AUDIT,
        "head": [STRENGTH, TOLERANCE, ITERATIONS],
        "folds": run.folds_digest,
        **run.competition.correction_inputs(),
        "seed": run.settings.folds.seed,
        "metric": run.settings.competition.metric,
        "classes": list(run.competition.classes),
        "copies": run.settings.augmentation.copies if copies else None,
        "with_original": copies.with_original if copies else None,
        "features": run.settings.features.dtype,
        "read": [[pass_.copies, VariantData(run, variant).feature_inputs(pass_)] for variant, pass_ in passes],
    }


def _frame(run: Run, photos: Variant, copies: Variant | None) -> pd.DataFrame:
    folds = run.settings.folds.n_splits
    with progress("audit: heads", 2 * folds + 1 + (folds if copies else 0)) as show:
        number = itertools.count(1)

        def done() -> None:
            show(next(number))

        claims = _of_photos(run, photos, scores_training=copies is None, done=done)
        if copies:
            claims = [*_of_copies(run, copies, done), *claims]
    order = [TRAINED, AUGMENTED, RANDOM, GROUPED, GROUPED_AUGMENTED]
    return pd.DataFrame([_row(run, claim) for claim in sorted(claims, key=lambda claim: order.index(claim.split))])


def _of_photos(run: Run, variant: Variant, *, scores_training: bool, done: Callable[[], None]) -> list[_Claim]:
    """Return what random folds and grouped folds say of the photos, and if asked what the training rows say.

    As in training, heads are fitted to none of the rows that the competition leaves out; these are scored all the same.
    """
    y, classes, every = run.training_targets(), len(run.competition.classes), np.arange(len(run.folds))
    features = read_features(VariantData(run, variant), [PHOTOS])
    splits = {RANDOM: _random_folds(run, run.targets()), GROUPED: run.folds["fold"].to_numpy()}
    fitted = ~run.competition.ignored
    claims = [
        _Claim(name, every, out_of_fold(features, y, fold, classes, fitted=fitted, done=done))
        for name, fold in splits.items()
    ]
    if scores_training:
        rows = np.flatnonzero(fitted)
        claims.append(_Claim(TRAINED, rows, fit(features, y, classes, rows=rows).probabilities(features[rows])))
        done()
    return claims


def _of_copies(run: Run, variant: Variant, done: Callable[[], None]) -> list[_Claim]:
    """Return what the training rows, a random split and the grouped folds say of heads on augmented rows."""
    passes = training_passes(variant)
    features = read_features(VariantData(run, variant), passes)
    every = np.arange(len(run.folds))
    photo = np.tile(every, len(features) // len(every))
    held = _random_folds(run, run.targets()[photo]) == 0
    fitted = ~held & ~run.competition.ignored[photo]
    claims = []
    head = _fit_copies(run, features, photo, np.flatnonzero(fitted))
    for name, rows in ((TRAINED, fitted), (AUGMENTED, held)):
        claims.append(_Claim(name, photo[rows], head.probabilities(features[rows])))
    done()
    seen = features if passes[0] == PHOTOS else read_features(VariantData(run, variant), [PHOTOS])
    return [*claims, _Claim(GROUPED_AUGMENTED, every, _grouped_copies(run, features, photo, seen, done))]


def _grouped_copies(
    run: Run, features: np.ndarray, photo: np.ndarray, seen: np.ndarray, done: Callable[[], None]
) -> np.ndarray:
    """Return out-of-fold probabilities of the photos, (n, C), by heads on the other folds' augmented rows."""
    fold, fitted = run.folds["fold"].to_numpy(), ~run.competition.ignored[photo]
    found = np.full((len(fold), len(run.competition.classes)), np.nan, np.float32)
    for held in np.unique(fold):
        head = _fit_copies(run, features, photo, np.flatnonzero((fold[photo] != held) & fitted))
        found[fold == held] = head.probabilities(seen[np.flatnonzero(fold == held)])
        done()
    return found


def _fit_copies(run: Run, features: np.ndarray, photo: np.ndarray, rows: np.ndarray) -> LinearHead:
    """Fit a head to augmented rows; the versions of a photo weigh together as much as the photo would alone."""
    strength = STRENGTH * len(run.folds) / len(features)
    return fit(features, run.training_targets()[photo], len(run.competition.classes), strength=strength, rows=rows)


def _random_folds(run: Run, y: np.ndarray) -> np.ndarray:
    """Return the fold of every row, stratified by class and blind to groups."""
    fold, how = np.full(len(y), -1), run.settings.folds
    if np.bincount(y).max() < how.n_splits:  # scikit-learn refuses
        return split(y, np.arange(len(y)), how.n_splits, how.seed)
    splitter = StratifiedKFold(how.n_splits, shuffle=True, random_state=how.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, held) in enumerate(splitter.split(y, y)):
            fold[held] = number
    return fold


def _row(run: Run, claim: _Claim) -> dict[str, Any]:
    y, groups = run.targets()[claim.photo], run.folds["group"].to_numpy()[claim.photo]
    row: dict[str, Any] = {"split": claim.split, "rows": len(y)}
    for name in _metrics(run):
        found = interval(y, claim.probabilities.astype(np.float64), groups, get_metric(name))
        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return row


def _metrics(run: Run) -> list[str]:
    return list(dict.fromkeys([run.settings.competition.metric, "accuracy"]))


def _print_scores(found: pd.DataFrame, run: Run, has_copies: bool) -> None:
    names = _metrics(run)
    columns = ["split", "rows", *(f"{name}, {LEVEL}" for name in names)]
    rows = [[row["split"], str(row["rows"]), *(_cell(row, name) for name in names)] for row in found.to_dict("records")]
    table(
        "Scores that each way of splitting reports on the same photos (linear heads on frozen features)", columns, rows
    )
    if not has_copies:
        say("audit: no variant trains its head on augmented data, so a random split of augmented rows is skipped")
    say(_sentence(found.set_index("split")[names[0]], names[0]))


def _cell(row: Mapping[Hashable, Any], name: str) -> str:
    found = Interval(row[name], row[f"{name}_low"], row[f"{name}_high"], float("nan"))
    return f"{found.value:.4f}, {ends(found)}"


def _sentence(score: pd.Series, metric: str) -> str:
    """Say which number to believe. score: by split."""
    claims = {TRAINED: "the rows a head was trained on claim", AUGMENTED: "a random split of augmented rows"}
    claims |= {RANDOM: "random folds of photos", GROUPED: "grouped folds"}
    phrases = ", ".join(f"{words} {score[split]:.2f}" for split, words in claims.items() if split in score)
    return (
        f"{metric}: {phrases}. Only the last is reliable: in the others a photo, or a copy of it, is "
        "on both sides of the split, so they measure leakage."
    )
