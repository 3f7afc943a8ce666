import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from guesses import EVEN, STEEP, noise, softmax, world
from ripik.analysis.metrics import get_metric
from ripik.ensemble.decision import adapt, estimate_priors, vote
from ripik.errors import InputError

F1 = get_metric("macro_f1")


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
    with pytest.raises(InputError, match="one group per row"):
        vote(noise(0, 1)[0], np.arange(149))
    with pytest.raises(InputError, match="1 rows have no group"):
        vote(np.eye(2), np.array(["a", None], dtype=object))


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
    assert shift.priors == pytest.approx(shift.train_priors)


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


@pytest.mark.parametrize("shares", [np.full(4, 0.25), np.array([0.5, 0.6, -0.1]), np.array([0.2, 0.2, 0.2])])
def test_shares_that_are_none_are_refused(shares: np.ndarray) -> None:
    with pytest.raises(InputError):
        estimate_priors(noise(0, 1)[0], shares)


def test_missing_values_are_refused() -> None:
    p = noise(0, 1)[0]
    p[3, 1] = np.nan
    with pytest.raises(InputError, match="row 3"):
        estimate_priors(p, np.full(3, 1 / 3))
