import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from guesses import EVEN, STEEP, noise, skilled, softmax, targets, world
from ripik.analysis.metrics import get_metric
from ripik.ensemble.offsets import Offsets, SoftFit, fit_offsets
from ripik.errors import InputError
from ripik.names import LabelMetric

F1 = get_metric("macro_f1")
LABEL_METRICS = get_args(LabelMetric)


def test_offsets_are_added_to_the_logarithms() -> None:
    moved = Offsets(np.log([2.0, 0.5])).apply(np.array([[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]]))
    assert moved[:2] == pytest.approx(np.array([[0.8, 0.2], [0.5, 0.5]]))
    assert moved.sum(axis=1) == pytest.approx(1.0)
    assert moved[2].argmax() == 0


def test_no_offsets_change_nothing() -> None:
    p = noise(2, 1)[0]
    assert Offsets(np.zeros(3)).apply(p) == pytest.approx(p, abs=1e-12)


def test_offsets_survive_json() -> None:
    p, y = world(3, STEEP, 600)
    made = fit_offsets(p, y, F1, groups=np.arange(600), seed=0)
    again = Offsets.from_json(json.loads(json.dumps(made.as_json())))
    assert again.as_json() == made.as_json()
    assert np.array_equal(again.apply(p), made.apply(p))


@pytest.mark.parametrize("content", [{}, {"values": ["a"], "penalty": 1, "shrinkage": 1}, {"values": [1.0]}, None])
def test_damaged_offsets_are_refused(content: dict) -> None:
    with pytest.raises(InputError, match="not stored class offsets"):
        Offsets.from_json(content)


def test_offsets_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        Offsets.from_json({"values": [np.nan, 0.0], "penalty": 1, "shrinkage": 1})


def gains(shares: np.ndarray, separation: float, tilt: np.ndarray, sets: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return the gains on fresh data, and the largest offsets, of offsets fitted on data sets of 600 rows."""
    found, largest = [], []
    for seed in range(sets):
        p, y = world(seed, shares, 600, separation)
        fresh, truth = world(1000 + seed, shares, 8000, separation)
        made = fit_offsets(softmax(np.log(p) + tilt), y, F1, groups=np.arange(600) // 2, seed=0)
        fresh = softmax(np.log(fresh) + tilt)
        found.append(F1.function(truth, made.apply(fresh)) - F1.function(truth, fresh))
        largest.append(np.abs(made.values).max())
    return np.array(found), np.array(largest)


def test_offsets_stay_near_zero_where_probabilities_are_calibrated_and_classes_balanced() -> None:
    found, largest = gains(EVEN, 1.5, np.zeros(4))
    assert largest.mean() < 0.1
    assert found.mean() > -0.002
    assert found.min() > -0.015


def test_offsets_lose_next_to_nothing_where_classes_are_well_apart() -> None:
    found, _ = gains(STEEP, 3.5, np.zeros(4))
    assert found.mean() > -0.003


def test_offsets_help_rare_classes_on_fresh_data() -> None:
    found, _ = gains(STEEP, 1.5, np.zeros(4))
    assert found.mean() > 0.01
    assert found.mean() > 3 * found.std(ddof=1) / np.sqrt(len(found))


def test_offsets_undo_a_tilt() -> None:
    tilt = np.array([0.9, -0.3, 0.3, -0.9])
    found, _ = gains(EVEN, 2.0, tilt)
    assert found.mean() > 0.02
    p, y = world(0, EVEN, 20_000)
    made = fit_offsets(softmax(np.log(p) + tilt), y, F1, groups=np.arange(20_000), seed=0, bags=5)
    assert made.values == pytest.approx(-tilt, abs=0.15)
    assert made.shrinkage > 0.95


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_offsets_are_found_for_every_label_metric(metric: str) -> None:
    p, y = world(4, EVEN, 900)
    tilted = softmax(np.log(p) + np.array([1.5, 0.0, 0.0, -1.5]))
    made = fit_offsets(tilted, y, get_metric(metric), groups=np.arange(900), seed=0, bags=5)
    score = get_metric(metric).function
    assert made.values.mean() == pytest.approx(0.0, abs=1e-9)
    assert score(y, made.apply(tilted)) > score(y, tilted) + 0.02


@pytest.mark.parametrize("metric", ["log_loss", "auc"])
def test_metrics_of_probabilities_have_no_offsets(metric: str) -> None:
    with pytest.raises(InputError, match=metric):
        fit_offsets(noise(0, 1)[0], targets(0), get_metric(metric), groups=np.arange(150), seed=0)


def test_offsets_do_not_depend_on_the_order_of_rows_or_the_names_of_classes() -> None:
    p, y = world(5, STEEP, 600)
    groups, order, classes = np.arange(600) // 3, np.random.default_rng(0).permutation(600), np.array([2, 0, 3, 1])
    made = fit_offsets(p, y, F1, groups=groups, seed=0).values
    assert fit_offsets(p[order], y[order], F1, groups=groups[order], seed=0).values == pytest.approx(made, abs=1e-3)
    turned = fit_offsets(p[:, classes], np.argsort(classes)[y], F1, groups=groups, seed=0).values
    assert turned == pytest.approx(made[classes], abs=1e-3)


def test_a_heavier_penalty_holds_offsets_nearer_to_zero_and_rows_in_few_groups_are_trusted_less() -> None:
    p, y = world(6, STEEP, 900, 1.5)
    sizes = [
        np.abs(fit_offsets(p, y, F1, groups=np.arange(900), seed=0, penalty=penalty).values).sum()
        for penalty in (0.1, 3.0, 100.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]
    alone, together = (fit_offsets(p, y, F1, groups=np.arange(900) // size, seed=0) for size in (1, 30))
    assert np.abs(together.values).sum() < np.abs(alone.values).sum()


def test_a_class_without_rows_is_survived() -> None:
    p, y = world(7, EVEN, 300)
    made = fit_offsets(p, np.where(y == 3, 0, y), F1, groups=np.arange(300), seed=0)
    assert np.isfinite(made.values).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(LABEL_METRICS))
@effort(max_examples=40, deadline=None)
def test_the_slope_of_the_fit_is_that_of_its_loss(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    y = targets(seed, 60)
    fit = SoftFit.of(skilled(y, seed, 1)[0], y, get_metric(metric), np.array([0.1, 0.2, 0.3]))
    offsets, counts = rng.normal(size=3), rng.integers(0, 3, 60).astype(float)
    _, slope = fit.loss(offsets, counts)
    for c, step in enumerate(1e-5 * np.eye(3)):
        numeric = (fit.loss(offsets + step, counts)[0] - fit.loss(offsets - step, counts)[0]) / 2e-5
        assert slope[c] == pytest.approx(numeric, abs=1e-6)


def test_what_is_climbed_is_the_metric_of_the_expected_counts() -> None:
    p, y = world(8, STEEP, 200)
    soft = softmax(2 * (np.log(p) + np.array([0.3, 0.1, -0.2, -0.2])))
    expected = np.eye(4)[y].T @ soft
    for name in LABEL_METRICS:
        metric = get_metric(name)
        assert metric.from_confusion is not None
        fit = SoftFit.of(p, y, metric, np.zeros(4))
        loss, _ = fit.loss(np.array([0.3, 0.1, -0.2, -0.2]), np.ones(200))
        assert -loss == pytest.approx(metric.from_confusion(expected), abs=1e-12)


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_many_classes_ask_for_few_steps_and_no_score_a_cell(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    monkeypatch.setattr(SoftFit, "loss", lambda fit, *given, own=SoftFit.loss: steps.append(1) or own(fit, *given))
    scores = []
    counted = replace(get_metric(metric), from_confusion=lambda counts: scores.append(1) or 0.0)
    rng = np.random.default_rng(9)
    y = rng.integers(0, 120, 150)
    p = softmax(3.0 * np.eye(120)[y] + rng.normal(size=(150, 120)))
    made = fit_offsets(p, y, counted, groups=np.arange(150), seed=0, bags=3)
    assert made.values.shape == (120,)
    assert len(steps) < 4 * 70
    assert not scores


def test_missing_values_are_refused() -> None:
    p = noise(0, 1)[0]
    p[3, 1] = np.nan
    with pytest.raises(InputError, match="row 3"):
        Offsets(np.zeros(3)).apply(p)
