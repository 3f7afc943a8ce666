import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from guesses import confident, noise, skilled, targets
from ripik.analysis.metrics import get_metric
from ripik.ensemble.convex import fit_convex, least_log_loss
from ripik.ensemble.probabilities import weighted_mean
from ripik.errors import InputError

LOSS = get_metric("log_loss")


@pytest.mark.parametrize("seed", range(3))
def test_two_members_reach_the_optimum_of_a_fine_grid(seed: int) -> None:
    y = targets(seed)
    oof = np.concatenate([skilled(y, seed + 10, 1, skill=2.0), noise(seed + 20, 1)])
    shares = np.linspace(0, 1, 20_001)
    grid = [LOSS.function(y, weighted_mean(oof, np.array([w, 1 - w]))) for w in shares[::20]]
    found = fit_convex(oof, y, LOSS)
    assert found.score <= min(grid) + 1e-6
    assert found.weights[0] == pytest.approx(shares[::20][np.argmin(grid)], abs=2e-3)


def test_members_right_on_disjoint_rows_share_by_their_counts() -> None:
    # -a log(w) - b log(1 - w) is least at w = a / (a + b).
    true_class = np.array([[1.0] * 30 + [0.0] * 70, [0.0] * 30 + [1.0] * 70])
    assert least_log_loss(true_class) == pytest.approx([0.3, 0.7], abs=1e-4)


@given(st.integers(1, 6), st.floats(0.02, 5.0), st.integers(0, 2**32 - 1))
@effort(max_examples=60, deadline=None)
def test_no_weights_are_better_by_more_than_the_tolerance(members: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true_class = rng.dirichlet(np.full(5, spread), (members, 200))[:, :, 0]
    weights = least_log_loss(true_class)
    likelihood = np.maximum(true_class, np.finfo(np.float64).eps)
    loss = -np.log(weights @ likelihood).mean()
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    for other in [*np.eye(members), *rng.dirichlet(np.ones(members), 50)]:
        for step in (0.01, 0.1, 1.0):
            assert loss <= -np.log((weights + step * (other - weights)) @ likelihood).mean() + 1e-5


def test_where_the_solver_gives_up_em_still_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    y = targets(3)
    oof = skilled(y, 4, 3)
    true_class = oof[:, np.arange(len(y)), y]
    expected = least_log_loss(true_class)

    class Failed:
        x = np.full(3, np.nan)

    monkeypatch.setattr("ripik.ensemble.convex.minimize", lambda *_, **__: Failed)
    assert least_log_loss(true_class) == pytest.approx(expected, abs=5e-3)


def test_small_weights_are_exactly_nothing() -> None:
    y = targets(5, 2000)
    oof = np.stack([confident(y, 0.9), skilled(y, 6, 1, skill=0.1)[0], noise(7, 1, 2000)[0]])
    found = fit_convex(oof, y, LOSS)
    assert found.weights.tolist() == [1.0, 0.0, 0.0]


def test_the_score_is_the_metrics_and_the_trajectory_starts_at_equal_weights() -> None:
    y, f1 = targets(8), get_metric("macro_f1")
    oof = skilled(y, 9, 3)
    found = fit_convex(oof, y, f1)
    assert found.score == f1.function(y, weighted_mean(oof, found.weights))
    assert [step["step"] for step in found.trajectory] == [0, 1]
    assert found.trajectory[0]["weights"] == pytest.approx([1 / 3] * 3)


def test_a_class_all_members_exclude_does_not_break_it() -> None:
    y = np.array([0, 1, 2, 2])
    oof = np.repeat(np.array([[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 0, 0]]]), 2, axis=0)
    assert np.isfinite(fit_convex(oof, y, LOSS).weights).all()


def test_scores_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match="sum to 1"):
        fit_convex(2 * noise(0, 2), targets(0), LOSS)
