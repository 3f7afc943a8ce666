import json
from itertools import pairwise

import numpy as np
import pytest

from guesses import CLASSES, confident, noise, skilled, targets
from ripik.analysis.metrics import Metric, get_metric
from ripik.ensemble.coordinate import search_weights
from ripik.ensemble.probabilities import weighted_mean
from ripik.errors import InputError

F1 = get_metric("macro_f1")
LOSS = get_metric("log_loss")


@pytest.mark.parametrize("metric", [F1, LOSS, get_metric("auc"), get_metric("accuracy")], ids=lambda m: m.name)
def test_weights_lie_on_the_simplex_and_beat_every_start(metric: Metric) -> None:
    y = targets(0)
    oof = np.concatenate([skilled(y, 1, 3), noise(2, 2)])
    found = search_weights(oof, y, metric, seed=0)
    assert found.weights.shape == (5,)
    assert (found.weights >= 0).all()
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    for start in (np.full(5, 0.2), *np.eye(5)):
        start_score = metric.function(y, weighted_mean(oof, start))
        assert metric.utility(found.score) >= metric.utility(start_score) - 1e-12


@pytest.mark.parametrize("metric", [F1, LOSS], ids=lambda m: m.name)
def test_trajectory_climbs_from_equal_weights_to_the_result(metric: Metric) -> None:
    y = targets(3)
    oof = skilled(y, 4, 4)
    found = search_weights(oof, y, metric, seed=0)
    trajectory = json.loads(json.dumps(found.trajectory))
    utilities = [metric.utility(point["score"]) for point in trajectory]
    assert trajectory[0]["weights"] == [0.25] * 4
    assert len(trajectory) > 2
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(utilities))
    steps = [point["step"] for point in trajectory]
    assert steps == sorted(set(steps))
    assert trajectory[-1]["weights"] == found.weights.tolist()
    for point in trajectory:
        assert point["score"] == metric.function(y, weighted_mean(oof, np.array(point["weights"])))
    assert trajectory[-1]["score"] == found.score


@pytest.mark.parametrize("metric", [F1, LOSS], ids=lambda m: m.name)
def test_same_seed_same_weights(metric: Metric) -> None:
    y = targets(5)
    oof = skilled(y, 6, 4)
    first, again = (search_weights(oof, y, metric, seed=9) for _ in range(2))
    assert np.array_equal(first.weights, again.weights)
    assert first.trajectory == again.trajectory


def test_equal_members_keep_equal_weights() -> None:
    y = targets(7)
    oof = np.repeat(skilled(y, 8, 1), 4, axis=0)
    found = search_weights(oof, y, F1, seed=0)
    assert found.weights.tolist() == [0.25] * 4
    assert found.score == F1.function(y, oof[0])
    for weights in np.random.default_rng(0).dirichlet(np.ones(4), 5):
        assert F1.function(y, weighted_mean(oof, weights)) == found.score


def test_a_perfect_member_gets_all_the_weight_by_log_loss() -> None:
    y = targets(9)
    oof = np.stack([*noise(10, 2), confident(y, 1.0), *noise(11, 1)])
    found = search_weights(oof, y, LOSS, seed=0)
    assert found.weights.tolist() == [0, 0, 1, 0]
    assert found.score == pytest.approx(0.0, abs=1e-12)


def test_a_perfect_member_reaches_a_perfect_macro_f1_at_the_most_equal_weights_found() -> None:
    y = targets(9)
    oof = np.stack([confident(y, 0.05), confident((y + 1) % CLASSES, 0.9)])
    found = search_weights(oof, y, F1, seed=0)
    assert found.score == 1.0
    # Perfect wherever 0.05 w > 0.9 (1 - w).
    assert 0.9 / 0.95 < found.weights[0] <= 1.0


def test_a_harmful_member_is_lowered_to_exactly_nothing() -> None:
    first = np.array([[0.9, 0.1], [0.5, 0.5]])
    second, harmful = first[::-1, ::-1], np.array([[0.01, 0.99], [0.99, 0.01]])
    oof = np.stack([first, second, harmful])
    found = search_weights(oof, np.array([0, 1]), LOSS, seed=0, restarts=0, steps=(0.5,))
    assert found.weights.tolist() == [0.5, 0.5, 0.0]


def test_log_loss_weights_reach_the_optimum_of_a_fine_grid() -> None:
    y = targets(12)
    oof = np.concatenate([skilled(y, 13, 1, skill=2.0), noise(14, 1)])
    grid = [LOSS.function(y, weighted_mean(oof, np.array([w, 1 - w]))) for w in np.linspace(0, 1, 1001)]
    assert search_weights(oof, y, LOSS, seed=0).score == pytest.approx(min(grid), abs=1e-3)


def test_macro_f1_search_comes_near_an_exhaustive_grid() -> None:
    y = targets(15)
    oof = skilled(y, 16, 3)
    ticks = np.linspace(0, 1, 41)
    grid = [(a, b, 1 - a - b) for a in ticks for b in ticks if a + b <= 1]
    best = max(F1.function(y, weighted_mean(oof, np.abs(np.array(w)))) for w in grid)
    assert search_weights(oof, y, F1, seed=0).score >= best - 0.01


def test_one_member_needs_no_search() -> None:
    y = targets(17)
    oof = noise(18, 1)
    found = search_weights(oof, y, F1, seed=0)
    assert found.weights.tolist() == [1.0]
    assert [point["step"] for point in found.trajectory] == [1]
    assert found.score == F1.function(y, oof[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_missing_row_is_refused(value: float) -> None:
    y, oof = targets(25), noise(26, 3)
    oof[1, 42, 0] = value
    with pytest.raises(InputError, match=r"blend member 1 have 1 of 150 rows .*first: row 42"):
        search_weights(oof, y, F1, seed=0)


@pytest.mark.parametrize("oof", [np.ones((5, 3)), np.ones((0, 5, 3))])
def test_members_of_another_shape_are_refused(oof: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"\(members, rows, classes\)"):
        search_weights(oof, np.zeros(5, dtype=int), F1, seed=0)


def test_targets_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="149"):
        search_weights(noise(0, 2), targets(0, 149), F1, seed=0)
