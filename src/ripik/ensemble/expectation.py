"""The expected score on the test set, and whether the test set differs from train."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.intervals import Interval, predictive
from ripik.analysis.metrics import FloatArray, get_metric
from ripik.ensemble.shift import Likeness, expect, likeness
from ripik.ensemble.train_or_test import is_at_hand, read_auc, tell_apart
from ripik.errors import InputError
from ripik.names import HEAD
from ripik.splits import witnesses
from ripik.splits.run import Run
from ripik.training.scores import LEVEL, ends

NO_TEST_SET = "there is no test set"
FEWEST = 20  # groups a side, below which train and test are not told apart


def expectation(run: Run, oof: FloatArray) -> dict[str, Any]:
    """Return `expected_score` and `shift` of weights.json, by the blend's OOF probabilities (n, C).

    expected_score: where the score of a test set like train will fall; None where the two differ beyond chance, and
    where there is no test set.
    shift: `left_out` (why train and test were not told apart; empty where they were) and, where they were, `auc`,
    `differs` and, where they differ, `effective_photos`, `covered`, and `expected_score` by the training rows weighted
    by their likeness to the test set; None where they cannot speak for it.
    """
    photos, groups = witnesses.count_test(run), witnesses.train(run)
    metric, left_out = get_metric(run.settings.competition.metric), why_left_out(run)
    table = None if left_out else tell_apart(run)
    shift = {"left_out": left_out} | ({} if table is None else _difference(table))
    if not len(run.competition.test):
        return {"expected_score": None, "shift": shift}
    if table is None or not shift["differs"]:
        return {"expected_score": asdict(predictive(run.truth(), oof, groups, metric, photos)), "shift": shift}
    like = _likeness(run, table, groups)
    counts = {"training_photos": len(np.unique(groups)), "effective_photos": like.effective, "covered": like.covered}
    expected = expect(run.truth(), oof, groups, metric, photos, like) if like.speaks else None
    return {"expected_score": None, "shift": shift | counts | {"expected_score": expected and asdict(expected)}}


def why_left_out(run: Run) -> str:
    """Return why train and test cannot be told apart without passes through frozen layers; empty where they can."""
    if not len(run.competition.test):
        return NO_TEST_SET
    if not any(variant.train_from == HEAD for variant in run.settings.variants.values()):
        return "no variant trains only its head"
    if problem := _not_at_hand(run):
        return problem
    if "group" in run.competition.train and "group" not in run.competition.test:
        return f"test.csv has no column {run.settings.competition.group_column}, which groups train.csv"
    groups = {"training": len(np.unique(witnesses.train(run))), "test": witnesses.count_test(run)}
    few = [f"{count} {side}" for side, count in groups.items() if count < FEWEST]
    return f"too few photos: {' and '.join(few)}" if few else ""


def _not_at_hand(run: Run) -> str:
    """Return why no features of both sides can be read; empty where they are at hand."""
    try:
        return "" if is_at_hand(run) else "no features of train and test are stored"
    except InputError as error:
        return f"no features of train and test can be read: {error}"


def sentence(test: dict[str, Any], metric: str) -> str:
    """Describe the shift of a test set that differs from train, by the part `test` of weights.json; else empty."""
    shift = test["shift"]
    if not shift.get("differs"):
        return ""
    auc = Interval.from_json(shift["auc"])
    of = f"{shift['effective_photos']:.0f} effective of {shift['training_photos']}"
    start = (
        "The test set differs from train: a linear classifier on stored features separates them with an AUC of "
        f"{auc.value:.3f} ({ends(auc)})."
    )
    if shift["expected_score"] is None:
        return (
            f"{start} Too little of it is like train ({of} photos): the CV does not apply to it, so no range is given."
        )
    expected = Interval.from_json(shift["expected_score"])
    return (
        f"{start} The training photos, weighted by similarity to it ({of}), have {metric} {expected.value:.4f}. "
        f"{size_told(test)} is expected to score {ends(expected)} with {LEVEL} probability, "
        "as far as these features can show."
    )


def size_told(test: dict[str, Any]) -> str:
    """Return how large a test set is, by the part `test` of weights.json: its images, and groups where copies are."""
    groups = test["photos"]
    images = test.get("images", groups)  # runs of earlier versions recorded the groups alone
    return f"A test set of {images} such images{f' ({groups} groups)' if images != groups else ''}"


def _difference(table: Path) -> dict[str, Any]:
    auc = read_auc(table)
    return {"auc": asdict(auc), "differs": auc.low > 0.5}


def _likeness(run: Run, path: Path, groups: np.ndarray) -> Likeness:
    """Return how the training rows stand for the test set; of those that cannot be read, as their mean does."""
    table = pd.read_csv(path, dtype={"image_id": str}, keep_default_na=False)
    train = table[table["split"] == "train"].set_index("image_id")["ratio"]
    ratio = train.reindex(run.competition.train["image_id"])
    return likeness(ratio.fillna(train.mean()).to_numpy(), groups)
