"""The best of many is worth less than it says, and the correction tells how much less."""

from dataclasses import replace

import numpy as np
import pytest

from made_up_worlds import AT_ONCE, TRIALS, bias, world
from ripik.analysis.metrics import get_metric
from ripik.analysis.selection import FEWEST, Search, Trials, replay, select, survives
from ripik.errors import InputError

NOISE = np.full(TRIALS, 0.5)  # abilities


@pytest.mark.parametrize("pruned", [False, pytest.param(True, marks=pytest.mark.long)])
def test_of_equal_trials_the_best_claims_too_much_and_its_corrected_score_does_not(pruned: bool) -> None:
    found = bias(30, NOISE, "log_loss", pruned=pruned, draws=30)
    assert found.naive > 8 * found.naive_error
    assert abs(found.corrected) < 3 * found.corrected_error
    assert abs(found.corrected) < found.naive / 2
    assert (found.cost < 0.7) == pruned


@pytest.mark.parametrize("pruned", [False, True])
def test_a_trial_that_is_truly_better_is_found_and_hardly_corrected(pruned: bool) -> None:
    ability = NOISE.copy()
    ability[TRIALS - 9] = 1.5
    found = bias(10, ability, "log_loss", pruned=pruned, draws=20)
    assert found.best == [TRIALS - 9] * 10
    assert abs(found.corrected) < 3 * found.corrected_error


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "auc", "map@3"])
def test_every_kind_of_metric_is_corrected_downwards(metric: str) -> None:
    found = select(world(3, NOISE[:20], metric, pruned=True), get_metric(metric), draws=20)
    assert found.corrected.value < found.naive.value
    assert found.naive.low < found.naive.value < found.naive.high
    assert found.optimism == pytest.approx(found.naive.low - found.corrected.low)


def test_copies_of_one_photo_are_drawn_together() -> None:
    trials = world(0, NOISE, "log_loss", pruned=False)
    thrice = {name: np.repeat(getattr(trials, name), 3, axis=0) for name in ("y", "groups", "part")}
    copies = replace(trials, predictions=np.repeat(trials.predictions, 3, axis=1), **thrice)
    log_loss = get_metric("log_loss")
    one, three = (select(each, log_loss, draws=50) for each in (trials, copies))
    assert three.corrected.value == pytest.approx(one.corrected.value)
    alone = select(replace(copies, groups=np.arange(len(copies.y))), log_loss, draws=50)
    assert abs(alone.optimism) < abs(one.optimism)


@pytest.mark.parametrize(
    ("metric", "optimism", "end"), [("accuracy", 5.0, 0.0), ("accuracy", -5.0, 1.0), ("log_loss", 50.0, 0.0)]
)
def test_a_corrected_score_is_one_that_the_metric_can_have(
    metric: str, optimism: float, end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Search, "optimism", lambda *_: optimism)
    found = select(world(0, NOISE[:3], metric, pruned=False), get_metric(metric)).corrected
    assert (found.value, found.low, found.high) == (end, end, end)


def test_one_trial_alone_was_not_chosen() -> None:
    found = select(world(0, NOISE[:1], "log_loss", pruned=False), get_metric("log_loss"))
    assert found.naive == found.corrected


def test_the_same_seed_gives_the_same_score() -> None:
    trials, metric = world(1, NOISE, "log_loss", pruned=True), get_metric("log_loss")
    assert select(trials, metric, draws=10) == select(trials, metric, draws=10)
    assert select(trials, metric, draws=10, seed=1) != select(trials, metric, draws=10)


def test_a_trial_goes_on_while_it_is_no_worse_than_the_median() -> None:
    assert survives(-9.0, np.arange(FEWEST - 1.0))
    assert survives(1.5, np.arange(4.0))
    assert not survives(1.4, np.arange(4.0))
    assert not survives(float("-inf"), np.arange(4.0))


def test_trials_are_compared_with_earlier_rounds_alone() -> None:
    utility = np.repeat(np.arange(2.0 * AT_ONCE)[::-1, None], 3, axis=1)
    alive = replay(utility, AT_ONCE)
    assert alive[:AT_ONCE].all()
    assert alive[AT_ONCE:].tolist() == [[True, False, False]] * AT_ONCE
    assert replay(utility, 0).all()


def test_what_a_dropped_trial_never_predicted_is_another_ones() -> None:
    trials = world(0, NOISE, "accuracy", pruned=True)
    tried = trials.tried()
    source = Search(trials, get_metric("accuracy"), tried).utilities(np.ones(len(trials.y), np.int64))[1]
    assert (source == np.arange(TRIALS)[:, None])[tried].all()
    assert tried[source, np.arange(source.shape[1])].all()


def test_predictions_with_holes_are_refused() -> None:
    trials = world(0, NOISE[:8], "accuracy", pruned=False)
    broken = trials.predictions.copy()
    broken[2, np.flatnonzero(trials.parts == 1)[0]] = np.nan
    with pytest.raises(InputError, match="each completely"):
        replace(trials, predictions=broken).tried()
    broken[2, trials.parts == 1] = np.nan
    with pytest.raises(InputError, match="in order"):
        replace(trials, predictions=broken).tried()
    broken[:, trials.parts > 0] = np.nan
    with pytest.raises(InputError, match="no best one"):
        select(replace(trials, predictions=broken), get_metric("accuracy"))
    with pytest.raises(InputError, match="there are 3 labels"):
        Trials(np.arange(3), trials.predictions, np.arange(3)).tried()


def test_shares_of_soft_labels_are_scored_as_shares() -> None:
    trials, metric = world(0, NOISE[:6], "log_loss", pruned=True), get_metric("log_loss")
    hard = np.eye(3)[trials.y]
    one, other = (select(each, metric, draws=10) for each in (trials, replace(trials, y=hard)))
    assert (one.best, one.naive.value, one.optimism) == pytest.approx((other.best, other.naive.value, other.optimism))
    soft = 0.8 * hard + 0.2 / 3
    found = select(replace(trials, y=soft), metric, draws=10)
    assert found.naive.value == pytest.approx(metric.function(soft, trials.predictions[found.best].astype(float)))


def test_a_score_without_value_drops_no_trial() -> None:
    nothing = float("nan")
    assert survives(nothing, np.arange(4.0))
    assert survives(0.0, np.full(FEWEST, nothing))
    assert not survives(1.4, np.append(np.arange(4.0), nothing))
    utility = np.column_stack([np.full(2 * AT_ONCE, nothing), np.arange(2.0 * AT_ONCE)])
    assert replay(utility, AT_ONCE).all()


def test_a_first_part_of_one_class_drops_no_draw() -> None:
    trials, metric = world(0, NOISE[: 2 * AT_ONCE], "auc", pruned=False), get_metric("auc")
    one = replace(trials, part=np.where(trials.y == 0, 0, 1), at_once=AT_ONCE)
    utility = Search(one, metric, one.tried()).utilities(np.ones(len(one.y), np.int64))[0]
    assert np.isnan(utility[:, 0]).all()
    assert select(one, metric, draws=5).naive == select(trials, metric, draws=5).naive


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "balanced_accuracy", "log_loss", "auc", "quadratic_kappa"])
def test_draws_without_any_row_of_the_first_parts_have_no_value_there(metric: str) -> None:
    """Three groups in three parts: of most draws a part, or two, has none."""
    rng = np.random.default_rng(0)
    y, part = np.tile([0, 1, 2], 6), np.repeat([0, 1, 2], 6)
    predictions = rng.dirichlet(np.ones(3), (12, len(y)))
    found = select(Trials(y, predictions, part, part, at_once=4), get_metric(metric), draws=40)
    assert np.isfinite(found.corrected.value)
