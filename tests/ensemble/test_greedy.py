import numpy as np
import pytest

from guesses import CLASSES, confident, noise, skilled, targets
from ripik.analysis.metrics import Metric, get_metric
from ripik.ensemble.greedy import select_greedily
from ripik.ensemble.probabilities import weighted_mean
from ripik.errors import InputError

F1 = get_metric("macro_f1")
LOSS = get_metric("log_loss")


def own(y: np.ndarray) -> np.ndarray:
    return np.arange(len(y))


def by_the_book(oof: np.ndarray, y: np.ndarray, metric: Metric, rounds: int) -> np.ndarray:
    """Greedy selection written plainly: all rows, no bags, every candidate scored by the metric itself."""
    selected, reached = [], []
    for _ in range(rounds):
        scored = []
        for member in range(len(oof)):
            mean = oof[[*selected, member]].mean(axis=0)
            scored.append((metric.utility(metric.function(y, mean)), LOSS.function(y, mean)))
        best = max(utility for utility, _ in scored)
        equal = [member for member, (utility, _) in enumerate(scored) if utility >= best - 1e-12]
        equal = [member for member in equal if member in selected] or equal
        selected.append(min(equal, key=lambda member: scored[member][1]))
        reached.append(best)
    length = next(k for k, utility in enumerate(reached) if utility >= max(reached) - 1e-12) + 1
    return np.bincount(selected[:length], minlength=len(oof)) / length


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "quadratic_kappa", "log_loss", "auc"])
@pytest.mark.parametrize("seed", range(3))
def test_one_bag_selects_as_the_book_says(metric: str, seed: int) -> None:
    y = targets(seed)
    oof = np.concatenate([skilled(y, seed + 50, 3), noise(seed, 1)])
    found = select_greedily(oof, y, get_metric(metric), groups=own(y), seed=0, bags=1, rounds=12)
    expected = by_the_book(oof, y, get_metric(metric), 12)
    assert found.weights == pytest.approx(expected, abs=1e-12)


def test_the_metric_never_falls_below_the_best_member_on_the_selected_rows() -> None:
    for seed in range(5):
        y = targets(seed)
        oof = skilled(y, seed + 100, 4)
        found = select_greedily(oof, y, F1, groups=own(y), seed=0, bags=1)
        assert found.score >= max(F1.function(y, member) for member in oof) - 1e-12


def test_equal_members_are_not_both_selected() -> None:
    y = targets(7)
    oof = np.repeat(skilled(y, 8, 1), 3, axis=0)
    assert select_greedily(oof, y, F1, groups=own(y), seed=0, bags=6).weights.tolist() == [1.0, 0.0, 0.0]


def test_equal_scores_go_to_the_lower_log_loss() -> None:
    y = targets(9)
    oof = np.stack([confident(y, 0.2), confident(y, 0.8), confident(y, 0.5)])
    assert select_greedily(oof, y, F1, groups=own(y), seed=0).weights.tolist() == [0.0, 1.0, 0.0]


def test_members_that_complement_each_other_share_as_the_log_loss_wants() -> None:
    y = np.arange(600) % CLASSES
    flat, right = np.full((600, CLASSES), 1 / 3), confident(y, 0.9)
    first, second = np.where((y == 0)[:, None], right, flat), np.where((y != 0)[:, None], right, flat)
    found = select_greedily(np.stack([first, second, noise(11, 1, 600)[0]]), y, LOSS, groups=own(y), seed=0)
    # A third of log(a w + b (1 - w)) + two thirds of log(b w + a (1 - w)) is most at w = (a - 2 b) / (3 (a - b)).
    a, b = 0.1 / 3 + 0.9, 1 / 3
    assert found.weights == pytest.approx([(a - 2 * b) / (3 * (a - b)), (2 * a - b) / (3 * (a - b)), 0.0], abs=0.03)
    assert found.weights[2] == 0.0


def test_a_step_of_the_trajectory_is_the_mean_of_that_many_bags() -> None:
    y = targets(12)
    oof = skilled(y, 13, 3)
    found = select_greedily(oof, y, F1, groups=own(y), seed=4, bags=5)
    assert [step["step"] for step in found.trajectory] == [1, 2, 3, 4, 5]
    shorter = select_greedily(oof, y, F1, groups=own(y), seed=4, bags=3)
    assert shorter.trajectory == found.trajectory[:3]
    for step in found.trajectory:
        assert step["score"] == F1.function(y, weighted_mean(oof, np.array(step["weights"])))


def test_copies_of_rows_in_their_groups_change_nothing() -> None:
    y = targets(14)
    oof, group = skilled(y, 15, 3), np.arange(150) // 5
    once = select_greedily(oof, y, F1, groups=group, seed=0, bags=5)
    thrice = select_greedily(np.tile(oof, (1, 3, 1)), np.tile(y, 3), F1, groups=np.tile(group, 3), seed=0, bags=5)
    assert np.array_equal(once.weights, thrice.weights)


def test_bags_are_of_groups_and_not_of_rows() -> None:
    y = targets(16)
    oof = skilled(y, 17, 3)
    by_row, by_group = (
        select_greedily(oof, y, F1, groups=group, seed=0, bags=5).weights for group in (own(y), own(y) // 15)
    )
    named = select_greedily(oof, y, F1, groups=[f"g{each:02}" for each in own(y) // 15], seed=0, bags=5).weights
    assert not np.array_equal(by_row, by_group)
    assert np.array_equal(named, by_group)


def test_bags_spread_weights_that_one_selection_gambles_on() -> None:
    """Five members of equal skill: the fair weights are equal, and bags come nearer to them."""
    far = {1: [], 20: []}
    for seed in range(6):
        y = targets(seed, 300)
        oof = skilled(y, 200 + seed, 5)
        for bags, found in far.items():
            weights = select_greedily(oof, y, F1, groups=own(y), seed=0, bags=bags).weights
            found.append(((weights - 0.2) ** 2).sum())
    assert np.mean(far[20]) < np.mean(far[1])


def test_a_bag_without_a_class_to_score_is_survived() -> None:
    y = np.array([0, 0, 0, 0, 0, 1])
    oof = noise(18, 2, 6)[:, :, :2]
    oof /= oof.sum(axis=2, keepdims=True)
    found = select_greedily(oof, y, get_metric("auc"), groups=np.arange(6), seed=0, bags=12)
    assert found.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("groups", "message"),
    [(np.arange(149), "one group per row"), (np.r_[np.nan, np.arange(149)], "1 rows have no group")],
)
def test_groups_are_checked(groups: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select_greedily(noise(0, 2), targets(0), F1, groups=groups, seed=0)
