import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from guesses import noise, skilled, softmax, targets
from ripik.decision import (
    Offsets,
    _macro_f1_and_slope,
    _SoftFit,
    adapt,
    estimate_priors,
    fit_offsets,
    vote,
)
from ripik.errors import InputError
from ripik.metrics import get_metric

F1 = get_metric("macro_f1")
EVEN, STEEP = np.full(4, 0.25), np.array([0.75, 0.15, 0.06, 0.04])


def world(seed: int, shares: np.ndarray, n: int, separation: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw classes of these shares and return their exact posterior probabilities (n, 4), and the classes (n,)."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(shares), size=n, p=shares)
    seen = separation * np.eye(len(shares))[y] + rng.normal(size=(n, len(shares)))
    return softmax(separation * seen + np.log(shares)), y


def test_a_vote_is_the_mean_of_the_group() -> None:
    p = np.array([[0.8, 0.2], [0.5, 0.5], [0.4, 0.6], [0.0, 1.0]])
    expected = [[0.6, 0.4], [0.25, 0.75], [0.6, 0.4], [0.25, 0.75]]
    assert vote(p, ["b", "a", "b", "a"]) == pytest.approx(np.array(expected))


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
@effort(max_examples=50, deadline=None)
def test_votes_are_the_same_in_a_group_and_keep_the_sum(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, groups = rng.dirichlet(np.ones(3), (2, n)), rng.integers(0, 8, n)
    voted = vote(p, groups)
    assert voted.shape == p.shape
    assert voted.sum(axis=(0, 1)) == pytest.approx(p.sum(axis=(0, 1)))
    assert vote(voted, groups) == pytest.approx(voted)
    for group in np.unique(groups):
        rows = groups == group
        assert voted[:, rows] == pytest.approx(np.repeat(p[:, rows].mean(axis=1, keepdims=True), rows.sum(), axis=1))


def test_rows_of_their_own_vote_for_themselves() -> None:
    p = noise(0, 2)
    assert np.array_equal(vote(p, np.arange(150)[::-1]), p)


def test_members_and_views_vote_apart() -> None:
    p, groups = np.random.default_rng(1).dirichlet(np.ones(3), (2, 4, 10)), np.arange(10) // 3
    voted = vote(p, groups)
    for member, view in np.ndindex(2, 4):
        assert np.array_equal(voted[member, view], vote(p[member, view], groups))


def test_a_vote_needs_a_group_a_row() -> None:
    with pytest.raises(InputError, match="one group a row"):
        vote(noise(0, 1)[0], np.arange(149))
    with pytest.raises(InputError, match="1 rows have no group"):
        vote(np.eye(2), np.array(["a", None], dtype=object))


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
    with pytest.raises(InputError, match="no stored class offsets"):
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


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "balanced_accuracy", "cohen_kappa", "quadratic_kappa"])
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


@given(st.integers(0, 2**32 - 1), st.sampled_from(["macro_f1", "accuracy", "cohen_kappa"]))
@effort(max_examples=20, deadline=None)
def test_the_slope_of_the_fit_is_that_of_its_loss(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    y = targets(seed, 60)
    fit = _SoftFit(np.log(skilled(y, seed, 1)[0]), np.eye(3)[y], get_metric(metric), np.array([0.1, 0.2, 0.3]))
    offsets, counts = rng.normal(size=3), rng.integers(0, 3, 60).astype(float)
    _, slope = fit._loss(offsets, counts)
    for c, step in enumerate(1e-5 * np.eye(3)):
        numeric = (fit._loss(offsets + step, counts)[0] - fit._loss(offsets - step, counts)[0]) / 2e-5
        assert slope[c] == pytest.approx(numeric, abs=2e-4)


def test_soft_macro_f1_is_macro_f1() -> None:
    confusion = np.random.default_rng(8).integers(0, 50, (5, 5)).astype(float)
    assert F1.from_confusion is not None
    assert _macro_f1_and_slope(confusion)[0] == pytest.approx(F1.from_confusion(confusion))
    assert np.isfinite(_macro_f1_and_slope(np.diag([3.0, 0.0, 2.0]))[1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_known_shifts_of_the_class_shares_are_found(seed: int) -> None:
    train, test = STEEP, np.array([0.3, 0.4, 0.1, 0.2])
    rng = np.random.default_rng(seed)
    y = rng.choice(4, size=6000, p=test)
    seen = 2.0 * np.eye(4)[y] + rng.normal(size=(6000, 4))
    p, exact = softmax(2.0 * seen + np.log(train)), softmax(2.0 * seen + np.log(test))
    shift = estimate_priors(p, train)
    # Confusable classes are less sure than counted ones: twice their standard error is the sampling error here.
    assert shift.priors == pytest.approx(test, abs=4 * 2 * np.sqrt(0.25 / 6000))
    assert np.abs(adapt(p, shift) - exact).mean() < 0.01
    assert F1.function(y, adapt(p, shift)) > F1.function(y, p)


@pytest.mark.parametrize("seed", range(4))
def test_without_a_shift_none_is_found(seed: int) -> None:
    p, _ = world(seed, STEEP, 6000)
    shift = estimate_priors(p, STEEP)
    assert shift.priors == pytest.approx(STEEP, abs=4 * np.sqrt(0.25 / 6000))
    assert shift.priors.sum() == pytest.approx(1.0)


def test_certain_rows_are_counted() -> None:
    p = np.eye(3)[[0, 0, 0, 1, 2, 2]]
    shift = estimate_priors(p, np.full(3, 1 / 3))
    assert shift.priors == pytest.approx([1 / 2, 1 / 6, 1 / 3], abs=1e-5)
    assert adapt(p, shift) == pytest.approx(p, abs=1e-5)


def test_adapting_to_the_shares_of_training_changes_nothing() -> None:
    p = noise(9, 1)[0]
    shift = estimate_priors(p, p.mean(axis=0))
    assert adapt(p, shift) == pytest.approx(p, abs=1e-6)
    assert shift.iterations <= 3


def test_each_round_makes_the_rows_likelier() -> None:
    p, _ = world(10, EVEN, 500)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    found = estimate_priors(p, shares).priors

    def likelihood(priors: np.ndarray) -> float:
        return float(np.log((p * priors / shares).sum(axis=1)).mean())

    assert likelihood(found) > likelihood(shares)
    for other in np.random.default_rng(0).dirichlet(np.ones(4), 200):
        assert likelihood(found) >= likelihood(0.9 * found + 0.1 * other) - 1e-6


def test_a_class_training_never_saw_is_not_adapted() -> None:
    p = noise(11, 1)[0]
    shift = estimate_priors(p, np.array([0.5, 0.5, 0.0]))
    assert np.isfinite(adapt(p, shift)).all()
    assert adapt(p, shift).sum(axis=1) == pytest.approx(1.0)


def test_a_shift_is_told_in_plain_numbers() -> None:
    told = json.loads(json.dumps(estimate_priors(noise(12, 1)[0], np.full(3, 1 / 3)).as_json()))
    assert set(told) == {"priors", "train_priors", "iterations"}
    assert sum(told["priors"]) == pytest.approx(1.0)


@pytest.mark.parametrize("shares", [np.full(4, 0.25), np.array([0.5, 0.6, -0.1]), np.array([0.2, 0.2, 0.2])])
def test_shares_that_are_none_are_refused(shares: np.ndarray) -> None:
    with pytest.raises(InputError):
        estimate_priors(noise(0, 1)[0], shares)


@pytest.mark.parametrize("use", [Offsets(np.zeros(3)).apply, lambda p: estimate_priors(p, np.full(3, 1 / 3))])
def test_missing_values_are_refused(use) -> None:
    p = noise(0, 1)[0]
    p[3, 1] = np.nan
    with pytest.raises(InputError, match="row 3"):
        use(p)
