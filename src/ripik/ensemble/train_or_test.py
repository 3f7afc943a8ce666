"""Can the training and test images be separated? Adversarial validation with a linear head on stored features.

Near copies stay on one side of its folds, too, or it would recognise a photo of the test set by its
copy. If it cannot separate the two, the CV is valid for the test set.
"""

import itertools
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.intervals import Interval
from ripik.console import progress, say
from ripik.data.competition import Competition
from ripik.ensemble.shift import density_ratio, separability
from ripik.errors import InputError
from ripik.features.head_inputs import photo_head, read_features, stored_settings
from ripik.features.prepare import prepare
from ripik.features.store import Pass, VariantData
from ripik.models.linear_head import ITERATIONS, STRENGTH, TOLERANCE, out_of_fold
from ripik.settings import Settings
from ripik.splits import witnesses
from ripik.splits.run import Run
from ripik.splits.splitting import split
from ripik.storage import artifacts

ADVERSARIAL = 2  # to be raised when the classifier changes
ITEMS = [Pass("train"), Pass("test")]


def tell_apart(run: Run) -> Path:
    """Write `analysis/adversarial.csv`; return its path.

    Columns: image_id, split, p_test (out of fold; 0.5: as like one side as the other, whatever their sizes), ratio (how
    many times more photos like it the test set holds, `shift.density_ratio`), in the order of train.csv, then test.csv,
    without images that cannot be read. The AUC's 95 % interval is drawn over groups of near copies. Makes the features
    that are missing; nothing is done twice while the recorded inputs match.
    Raises InputError when there is no test set, and when no variant trains its head alone.
    """
    check_test_set(run.settings)
    data, path, groups = _read(run), run.layout.analysis / "adversarial.csv", witnesses.both(run)
    inputs, meta = _inputs(data, groups), artifacts.meta_beside(path)
    if artifacts.is_fresh(meta, inputs):
        say(f"adversarial: {path} is up to date")
        return path
    prepare(data.run, [data.variant])
    features = read_features(data, ITEMS)
    with artifacts.making(meta, inputs, [path]) as more:
        more["auc"] = _make(run, features, groups, path)
    return path


def check_test_set(settings: Settings) -> None:
    """Raise InputError where the settings name no test set, to which nothing can be compared."""
    if not settings.competition.image_folders("test"):
        raise InputError(
            "competition.test_images is empty: there is no test set to compare the training images with. "
            "Set it to the folder of the test images."
        )


def is_at_hand(run: Run) -> bool:
    """Whether `tell_apart` needs no passes through frozen layers: its table is there, or what it reads is stored.

    Raises InputError when no variant trains its head alone.
    """
    data, path = _read(run), run.layout.analysis / "adversarial.csv"
    if data.is_prepared():
        return True
    return artifacts.is_fresh(artifacts.meta_beside(path), _inputs(data, witnesses.both(run)))


def _read(run: Run) -> VariantData:
    """Return what the classifier reads: the plain view of the first frozen backbone's outputs."""
    settings = stored_settings(run.settings)
    return VariantData(replace(run, settings=settings), photo_head(settings))


def _inputs(data: VariantData, groups: np.ndarray) -> dict[str, Any]:
    settings = data.run.settings
    return {
        "version": ADVERSARIAL,
        "head": [STRENGTH, TOLERANCE, ITERATIONS],
        "groups": artifacts.digest(groups.tolist()),
        "folds": [settings.folds.n_splits, settings.folds.seed],
        "features": settings.features.dtype,
        "read": [data.feature_inputs(pass_) for pass_ in ITEMS],
    }


def read_auc(path: Path) -> Interval:
    """Return the AUC with its interval that was found with the table `path`."""
    return Interval.from_json(artifacts.read_json(artifacts.meta_beside(path))["auc"])


def _make(run: Run, features: np.ndarray, groups: np.ndarray, path: Path) -> dict[str, Any]:
    """Write the table; return the AUC and its interval."""
    images, how = both_sides(run.competition).assign(group=groups), run.settings.folds
    readable = images["readable"].to_numpy()  # the others are stored as black
    images, features, groups = images[readable], features[readable], groups[readable]
    is_test = np.where(images["split"] == "test", 1, 0)
    fold = split(is_test, groups, how.n_splits, how.seed)
    with progress("adversarial: heads", how.n_splits) as show:
        number = itertools.count(1)
        found = out_of_fold(features, is_test, fold, 2, balanced=True, done=lambda: show(next(number)))
    auc = separability(is_test, found[:, 1].astype(np.float64), groups)
    images = images.assign(p_test=found[:, 1], ratio=density_ratio(is_test, found[:, 1], groups, fold))
    artifacts.write_csv(path, images[["image_id", "split", "p_test", "ratio"]])
    return asdict(auc)


def both_sides(competition: Competition) -> pd.DataFrame:
    """Return image_id, path, label as text (empty in test), split and readable, train above test."""
    train = competition.train.assign(split="train", label="label " + competition.train["label"].astype(str))
    test = competition.test.assign(split="test", label="")
    both = pd.concat([frame[["image_id", "path", "label", "split", "readable"]] for frame in (train, test)])
    return both.reset_index(drop=True)
