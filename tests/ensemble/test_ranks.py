"""Ordered classes: the class of the expected rank between thresholds that are fitted, cross-fitted, and chosen."""

import numpy as np
import pytest

from conftest import Tiny
from made_up_grades import CLASSES, graded
from ripik.analysis.metrics import get_metric
from ripik.data.competition import read_competition
from ripik.ensemble import ranks
from ripik.ensemble.finished import blend_inputs
from ripik.ensemble.nested_cv import nest
from ripik.ensemble.ranks import Ranks, expected, fit_ranks
from ripik.ensemble.recipe import Fitted, LabelledPredictions, MemberPredictions
from ripik.errors import InputError
from ripik.settings import BlendSettings, DecisionSettings
from ripik.splits.run import Run

KAPPA = get_metric("quadratic_kappa")
HOW = BlendSettings(partitions=1, bags=2)


def known(rows: int, seed: int) -> LabelledPredictions:
    values, y = graded(rows, seed)
    numbers = np.arange(rows)
    return LabelledPredictions(MemberPredictions(values[None, None], numbers), y, numbers % 3, numbers)


def test_the_class_is_the_number_of_thresholds_below_the_expected_rank() -> None:
    values, _ = graded(200, 0)
    thresholds = np.array([0.3, 0.9, 2.2, 3.1])
    found = Ranks(thresholds, 3.0).apply(values)
    wanted = (expected(values)[:, None] > thresholds).sum(axis=1)
    assert found.argmax(axis=1).tolist() == wanted.tolist()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_kappa_of_the_sums_is_the_metric() -> None:
    values, y = graded(150, 1)
    rng = np.random.default_rng(0)
    grid = np.arange(1, (CLASSES - 1) * ranks.PLACES) / ranks.PLACES
    place = np.searchsorted(grid, expected(values), side="left")
    sums = ranks._Sums.of(place, y, np.ones(len(y)), len(grid))
    for _ in range(10):
        chosen = np.sort(rng.choice(len(grid), CLASSES - 1))
        decided = np.eye(CLASSES)[(expected(values)[:, None] > grid[chosen]).sum(axis=1)]
        assert sums.kappa(chosen) == pytest.approx(KAPPA.function(y, decided))


def test_thresholds_raise_kappa_on_fresh_rows() -> None:
    (values, y), (fresh, truth) = graded(600, 2), graded(4000, 3)
    found = fit_ranks(values, y, groups=np.arange(len(y)), seed=0)
    assert (np.diff(found.thresholds) > 0).all()
    assert KAPPA.function(truth, found.apply(fresh)) > KAPPA.function(truth, fresh) + 0.02
    assert Ranks.from_json(found.as_json()).thresholds.tolist() == found.thresholds.tolist()


def test_the_same_rows_give_the_same_thresholds_and_noise_moves_none_far() -> None:
    values, y = graded(300, 4)
    first, second = (fit_ranks(values, y, groups=np.arange(300), seed=0) for _ in range(2))
    assert first.as_json() == second.as_json()
    noise = np.random.default_rng(0).dirichlet(np.ones(CLASSES), 60)
    assert fit_ranks(noise, np.arange(60) % CLASSES, groups=np.arange(60), seed=0).shrinkage < 1


def test_ranks_are_chosen_where_they_surely_gain_and_scored_on_rows_not_fitted_to() -> None:
    rows = known(600, 5)
    found = nest(rows, KAPPA, HOW, DecisionSettings(), "arithmetic")
    looked = [option.name for option in found.options if option.stage == "offsets"]
    assert looked == ["no", "yes", "ranks"]
    plain = KAPPA.function(rows.y, rows.rows.probabilities[0, 0])
    assert found.fitted.recipe.ranks != found.fitted.recipe.offsets
    assert KAPPA.function(rows.y, found.oof) > plain
    assert found.fitted.plain().apply(rows.rows).tolist() == rows.rows.probabilities[0, 0].tolist()


def test_ranks_may_be_settled() -> None:
    rows = known(150, 6)
    found = nest(rows, KAPPA, HOW, DecisionSettings(ranks="on"), "arithmetic")
    assert [option for option in found.options if option.stage == "offsets"] == []
    assert str(found.fitted.recipe).endswith("ranks")
    again = Fitted.from_json(found.fitted.as_json())
    np.testing.assert_array_equal(again.apply(rows.rows), found.fitted.apply(rows.rows))
    none = nest(rows, KAPPA, HOW, DecisionSettings(ranks="off", offsets="off"), "arithmetic")
    assert "ranks" not in none.fitted.as_json()
    other = nest(rows, get_metric("accuracy"), HOW, DecisionSettings(ranks="on", offsets="off"), "arithmetic")
    assert not other.fitted.recipe.ranks


@pytest.mark.parametrize("content", [{}, {"thresholds": [1.0, 0.5], "slope": 1, "shrinkage": 1}])
def test_what_are_no_thresholds_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(InputError, match="hresholds"):
        Ranks.from_json(content)


def test_settings_at_their_default_are_not_recorded() -> None:
    assert "ranks" not in DecisionSettings().recorded()
    assert DecisionSettings(ranks="off").recorded()["ranks"] == "off"


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (["competition.metric=quadratic_kappa"], {"ranks": 1}),
        (["competition.metric=quadratic_kappa", "decision.ranks=off"], {}),
        ([], {}),
    ],
)
def test_a_blend_that_tries_ranks_records_them(tiny: Tiny, sets: list[str], told: dict[str, int]) -> None:
    """Or an older blend by quadratic kappa, which tried none, would count as up to date; no other is made again."""
    tiny.write_folds()
    how = tiny.settings(*sets)
    found = blend_inputs(Run(how, read_competition(how)), [])
    assert {key: value for key, value in found.items() if key == "ranks"} == told
