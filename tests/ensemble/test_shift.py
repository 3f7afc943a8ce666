"""Weights by likeness to the test set on planted shifts; `benchmarks.quality.shift` runs the worlds a hundred times."""

import numpy as np
import pytest
from benchmarks.quality.shift import holds, planted

from ripik.analysis.metrics import get_metric
from ripik.ensemble.shift import density_ratio, expect, likeness, separability
from ripik.splits.folds import split

F1 = get_metric("macro_f1")


def sides(shift: float, seed: int = 0, train: int = 600, test: int = 400) -> tuple[np.ndarray, ...]:
    """Return is_test, the true log-odds of unit Gaussians `shift` apart, groups of two copies, and folds by group."""
    rng, is_test = np.random.default_rng(seed), np.repeat([0, 1], [train, test])
    seen = rng.normal(0, 1, train + test) + shift * is_test
    log_odds, group = shift * seen - shift**2 / 2, np.arange(train + test)
    is_test, log_odds, group = (np.repeat(each, 2) for each in (is_test, log_odds, group))
    return is_test, log_odds, group, split(is_test, group, 5, 0)


def probability(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def test_ratios_are_those_of_the_densities_however_sure_the_classifier_claims_to_be() -> None:
    is_test, log_odds, group, fold = sides(1.0)
    for claimed in (0.5, 1.0, 3.0):
        found = density_ratio(is_test, probability(claimed * log_odds + 1), group, fold)
        assert np.log(found) == pytest.approx(log_odds, abs=0.5)


def test_copies_share_a_ratio_and_a_guess_weighs_all_alike() -> None:
    is_test, _, group, fold = sides(0.0)
    guessed = np.random.default_rng(1).uniform(0.2, 0.8, len(group))
    found = density_ratio(is_test, guessed, group, fold)
    assert (found[::2] == found[1::2]).all()
    assert found == pytest.approx(np.ones(len(found)), abs=0.5)


def test_weights_have_mean_one_and_no_photo_counts_for_all() -> None:
    found = likeness(np.array([1.0, 1.0, 1.0, 1000.0]), np.arange(4))
    assert found.weights.mean() == pytest.approx(1)
    assert found.weights.max() / found.weights.min() == pytest.approx(2)  # the root of four
    assert likeness(np.ones(40), np.repeat(np.arange(20), 2)).effective == pytest.approx(20)


def test_sides_that_do_not_overlap_do_not_speak_for_each_other() -> None:
    is_test, log_odds, group, fold = sides(8.0)
    ratio = density_ratio(is_test, probability(log_odds), group, fold)
    found = likeness(ratio[is_test == 0], group[is_test == 0])
    assert found.covered < 0.1
    assert not found.speaks
    near = density_ratio(*sides(1.0)[:1], probability(sides(1.0)[1]), *sides(1.0)[2:])
    assert likeness(near[is_test == 0], group[is_test == 0]).speaks


def test_the_auc_of_folds_that_judge_each_other_is_less_sure_than_draws_say() -> None:
    is_test, log_odds, group, _ = sides(1.0)
    found = separability(is_test, probability(log_odds), group, draws=300)
    assert found.low < 0.76 < found.high  # of unit Gaussians one apart
    assert found.error > 1.25 * 0.0156  # of the AUC of 600 and 400 independent photos (Hanley & McNeil 1982)


def test_a_range_reaches_as_far_as_the_weights_moved_it() -> None:
    rng, hard = np.random.default_rng(2), np.arange(400) % 2
    y, groups = rng.integers(0, 2, 400), np.arange(400)
    p = np.eye(2)[np.where(rng.random(400) < np.where(hard, 0.5, 0.95), y, 1 - y)]
    like = likeness(np.where(hard, 1.9, 0.1), groups)
    found = expect(y, p, groups, F1, 300, like, draws=300)
    moved = F1.function(y, p) - found.value
    assert moved > 0.15
    assert found.high - found.value > moved
    assert found.value - found.low > moved
    same = expect(y, p, groups, F1, 300, likeness(np.ones(400), groups), draws=300)
    assert same.value == pytest.approx(F1.function(y, p))


@pytest.mark.long
def test_the_range_holds_where_shift_is_planted_and_the_plain_one_does_not() -> None:
    found = [planted(seed, 1.5, F1, (300, 200), draws=150) for seed in range(12)]
    assert all(each.said for each in found)
    assert sum(holds(each.plain, each.test) for each in found) <= 6
    assert sum(holds(each.weighted, each.test) for each in found) >= 10
    assert all(each.stated in (each.weighted, None) for each in found)


def test_nothing_is_said_where_no_shift_is() -> None:
    found = [planted(seed, 0.0, F1, (300, 200), draws=150) for seed in range(12)]
    assert sum(each.said for each in found) <= 1
    assert all(each.stated == each.plain for each in found if not each.said)
