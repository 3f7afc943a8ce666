"""Classes that some folds lack, and some tuning parts, too: whatever is fitted, chosen and scored lives with them."""

import warnings

import numpy as np
import pytest

from conftest import Tiny
from ripik.analysis.intervals import per_class_f1
from ripik.analysis.metrics import get_metric, score_part
from ripik.diagnostics.audit import _random_folds
from ripik.diagnostics.suspects import find_suspects
from ripik.ensemble.nested_cv import nest
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions
from ripik.settings import BlendSettings, DecisionSettings
from ripik.splits.run import Run
from ripik.splits.splitting import split

CLASSES, PHOTOS, FOLDS, MEMBERS = 12, 2, 5, 3


def known(seed: int = 0) -> LabelledPredictions:
    """Return predictions of classes of two photos each, which stand in two of five folds."""
    rng, y = np.random.default_rng(seed), np.repeat(np.arange(CLASSES), PHOTOS)
    values = rng.dirichlet(np.ones(CLASSES), (MEMBERS, 2, len(y))) + 0.5 * np.eye(CLASSES)[y]
    values /= values.sum(axis=-1, keepdims=True)
    group = np.arange(len(y))
    return LabelledPredictions(MemberPredictions(values, group), y, split(y, group, FOLDS, seed), group)


METRICS = ("macro_f1", "accuracy", "log_loss", "balanced_accuracy", "quadratic_kappa")


@pytest.mark.parametrize("metric", [*METRICS, pytest.param("auc", marks=pytest.mark.long)])
def test_a_blend_is_chosen_where_parts_lack_classes(metric: str) -> None:
    rows = known()
    assert min(len(np.unique(rows.y[rows.fold != fold])) for fold in range(FOLDS)) == CLASSES
    assert min(len(np.unique(rows.y[rows.fold > fold])) for fold in range(2)) < CLASSES  # two folds left out
    decision = DecisionSettings(offsets="auto", prior_shift=True, copies_vote="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = nest(rows, get_metric(metric), BlendSettings(views="auto", restarts=1, bags=2), decision, "mean")
    assert found.oof.sum(axis=1) == pytest.approx(1)
    assert np.isfinite([option.score for option in found.options]).all()
    parts = [score_part(get_metric(metric), rows.y[rows.fold == k], found.oof[rows.fold == k]) for k in range(FOLDS)]
    assert np.isfinite(parts).all()


def test_scores_and_suspects_of_rare_classes() -> None:
    rows = known(1)
    values = rows.rows.probabilities.mean(axis=(0, 1))
    assert len(per_class_f1(rows.y, values, rows.group)) == CLASSES
    assert set(find_suspects(rows.y, values, rows.group)["row"]) <= set(range(len(rows.y)))


def test_random_folds_of_rare_classes_are_made_for_the_audit(tiny: Tiny) -> None:
    tiny.write_folds()
    run = Run.open(tiny.settings())
    y = np.repeat(np.arange(CLASSES), PHOTOS)
    fold = _random_folds(run, y)
    assert sorted(set(fold)) == [0, 1, 2]
    assert [len(set(fold[y == label])) for label in range(CLASSES)] == CLASSES * [PHOTOS]
