import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from guesses import CLASSES, confident, noise, skilled, softmax, targets
from ripik.analysis.metrics import get_metric
from ripik.ensemble.blend import LEVELS, METHODS, Blend, fit_blend
from ripik.errors import InputError

F1 = get_metric("macro_f1")
LOSS = get_metric("log_loss")
EQUAL = ("equal", "geometric", "rank")


def fitted(method: str, oof: np.ndarray, y: np.ndarray, metric=F1, **how) -> Blend:
    how = {"groups": np.arange(len(y)) // 3, "seed": 0, "restarts": 2, "bags": 4} | how
    return fit_blend(method, oof, y, metric, **how)


def test_blend_is_the_weighted_mean() -> None:
    first, second = np.array([[1.0, 0.0]]), np.array([[0.2, 0.8]])
    mean = Blend("convex", np.array([0.25, 0.75]), np.nan).apply(np.stack([first, second]))
    assert mean.tolist() == [pytest.approx([0.4, 0.6])]


def test_blend_takes_float32_members() -> None:
    members = noise(0, 2).astype(np.float32)
    assert Blend("convex", np.array([0.5, 0.5]), np.nan).apply(members).dtype == np.float64


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.5, -0.5], [np.nan, 1.0], [[0.5, 0.5]], [0.0, 0.0]])
def test_blend_refuses_weights_off_the_simplex(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weight"):
        Blend.from_json({"method": "convex", "weights": weights, "score": 0.0, "trajectory": [], "knots": None})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("metric", ["macro_f1", "log_loss", "auc", "quadratic_kappa"])
def test_every_method_gives_weights_on_the_simplex_and_rows_that_sum_to_one(method: str, metric: str) -> None:
    y = targets(0)
    oof = np.concatenate([skilled(y, 1, 2), noise(2, 1)])
    made = fitted(method, oof, y, get_metric(metric))
    blended = made.apply(oof)
    assert made.method == method
    assert made.weights.shape == (3,)
    assert (made.weights >= 0).all()
    assert made.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert blended.shape == (150, CLASSES)
    assert (blended >= 0).all()
    assert blended.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert made.score == pytest.approx(get_metric(metric).function(y, blended), abs=1e-12)
    assert made.trajectory[-1]["weights"] == made.weights.tolist()
    assert made.trajectory[-1]["score"] == pytest.approx(made.score, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", [slice(0, 1), slice(3, 17), np.arange(149, -1, -7)], ids=["one", "some", "backwards"])
def test_a_row_does_not_depend_on_its_neighbours(method: str, order: slice | np.ndarray) -> None:
    y = targets(3)
    oof, fresh = skilled(y, 4, 4), noise(5, 4)
    made = fitted(method, oof, y)
    assert np.array_equal(made.apply(fresh[:, order]), made.apply(fresh)[order])


@pytest.mark.parametrize("method", METHODS)
def test_one_member_is_left_as_it_is(method: str) -> None:
    y = targets(6)
    oof, fresh = noise(7, 1), noise(8, 1)
    made = fitted(method, oof, y)
    assert made.weights.tolist() == [1.0]
    assert np.array_equal(made.apply(fresh), fresh[0])
    assert made.score == F1.function(y, oof[0])


@pytest.mark.parametrize("method", METHODS)
def test_what_is_stored_as_json_blends_the_same(method: str) -> None:
    y = targets(9)
    made = fitted(method, skilled(y, 10, 3), y)
    again = Blend.from_json(json.loads(json.dumps(made.as_json())))
    assert again.as_json() == made.as_json()
    assert np.array_equal(again.apply(noise(11, 3)), made.apply(noise(11, 3)))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "magic"},
        {"weights": [0.5, 0.6]},
        {"weights": "abc"},
        {"score": None},
        {"knots": None},
        {"knots": [[0.0]]},
    ],
)
def test_a_damaged_blend_is_refused(change: dict) -> None:
    y = targets(9)
    content = fitted("rank", skilled(y, 10, 2), y).as_json()
    with pytest.raises(InputError):
        Blend.from_json(content | change)
    with pytest.raises(InputError, match="not a stored blend"):
        Blend.from_json({key: value for key, value in content.items() if key not in change})


@pytest.mark.parametrize("method", [method for method in METHODS if method not in EQUAL])
def test_a_member_that_adds_nothing_has_exactly_no_weight(method: str) -> None:
    y = targets(12, 600)
    oof = np.stack([skilled(y, 13, 1, skill=2.5)[0], confident((y + 1) % CLASSES, 0.98)])
    made = fitted(method, oof, y, LOSS)
    assert made.weights.tolist() == [1.0, 0.0]
    assert made.used.tolist() == [True, False]


def test_members_without_weight_do_not_matter_and_can_be_left_out() -> None:
    y = targets(14)
    oof = np.concatenate([skilled(y, 15, 2), noise(16, 1)])
    made = Blend("convex", np.array([0.3, 0.7, 0.0]), 0.0)
    assert np.array_equal(made.apply(oof), made.apply(np.concatenate([oof[:2], noise(17, 1)])))
    assert np.array_equal(made.of(np.array([0, 1])).apply(oof[:2]), made.apply(oof))
    with pytest.raises(InputError, match="sum to 1"):
        made.of(np.array([1, 2]))


@pytest.mark.parametrize("method", EQUAL)
def test_of_equal_members_the_blend_is_the_member(method: str) -> None:
    y = targets(18)
    member = skilled(y, 19, 1)
    made = fitted(method, np.repeat(member, 3, axis=0), y)
    assert made.weights == pytest.approx(1 / 3)
    assert made.apply(np.repeat(member, 3, axis=0)) == pytest.approx(member[0], abs=1e-6)


def test_best_takes_the_best_member_and_of_equals_the_lower_loss() -> None:
    y = targets(20)
    oof = np.stack([skilled(y, 21, 1)[0], confident(y, 0.3), confident(y, 0.6), confident(y, 0.5)])
    assert fitted("best", oof, y).weights.tolist() == [0, 0, 1, 0]
    assert fitted("best", oof[[0, 1, 1]], y).weights.tolist() == [0, 1, 0]
    assert fitted("best", oof[:2], y, LOSS).weights.tolist() == [0, 1]


def test_geometric_is_the_normalised_geometric_mean_and_a_zero_is_no_veto() -> None:
    oof = np.array([[[0.8, 0.2], [1.0, 0.0]], [[0.2, 0.8], [0.1, 0.9]]])
    blended = fitted("geometric", oof, np.array([0, 1])).apply(oof)
    assert blended[0] == pytest.approx([0.5, 0.5])
    tiny = np.finfo(np.float32).eps
    assert blended[1, 1] == pytest.approx(np.sqrt(0.9 * tiny) / (np.sqrt(0.9 * tiny) + np.sqrt(0.1)))


def test_rank_undoes_what_makes_one_member_bolder_than_another() -> None:
    y = targets(22, 3000)
    timid = skilled(y, 23, 2)
    bold = timid[0] ** 3 / (timid[0] ** 3).sum(axis=1, keepdims=True)
    members, even = np.stack([bold, timid[1]]), timid.mean(axis=0).argmax(axis=1)
    by_mean, by_rank = (fitted(method, members, y).apply(members).argmax(axis=1) for method in ("equal", "rank"))
    assert (by_rank == even).mean() > (by_mean == even).mean() + 0.02


def test_rank_keeps_a_rare_class_rare() -> None:
    rng = np.random.default_rng(24)
    y = rng.choice(3, size=4000, p=[0.02, 0.38, 0.6])
    logits = np.log([0.02, 0.38, 0.6]) + 1.5 * np.eye(3)[y] + rng.normal(size=(3, 4000, 3))
    oof = softmax(logits)
    shares = np.bincount(fitted("rank", oof, y).apply(oof).argmax(axis=1), minlength=3) / 4000
    expected = np.bincount(oof.mean(axis=0).argmax(axis=1), minlength=3) / 4000
    assert shares == pytest.approx(expected, abs=0.02)


def test_rank_stretches_no_further_than_the_fitted_rows() -> None:
    y = targets(25)
    oof = confident(y, 0.5)[None] * np.ones((2, 1, 1))
    made = fitted("rank", oof, y)
    assert made.knots is not None
    assert made.knots.shape == (2, CLASSES, len(LEVELS))
    extreme = np.array([[[1.0, 0.0, 0.0]]] * 2)
    assert made.apply(extreme)[0] == pytest.approx([4 / 6, 1 / 6, 1 / 6], abs=1e-9)


members_and_classes = st.tuples(st.integers(2, 4), st.integers(0, 2**32 - 1))


@given(members_and_classes, st.sampled_from(["best", "equal", "geometric", "rank", "convex", "greedy"]))
@effort(max_examples=40, deadline=None)
def test_members_in_another_order_have_their_weights_in_that_order(made_of: tuple[int, int], method: str) -> None:
    number, seed = made_of
    y = targets(seed, 90)
    oof, order = skilled(y, seed, number), np.random.default_rng(seed).permutation(number)
    straight, turned = fitted(method, oof, y), fitted(method, oof[order], y)
    assert turned.weights == pytest.approx(straight.weights[order], abs=2e-3)
    assert turned.score == pytest.approx(straight.score, abs=0.02)


@given(st.sampled_from(METHODS), st.integers(0, 2**32 - 1))
@effort(max_examples=30, deadline=None)
def test_blends_of_any_members_are_probabilities(method: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.choice([0.01, 1.0, 50.0])  # from nearly one-hot, with exact zeros, to nearly flat
    oof = rng.dirichlet(np.full(4, shares), (3, 40)).astype(np.float32)
    blended = fitted(method, oof, rng.integers(0, 4, 40), restarts=1).apply(oof)
    assert (blended >= 0).all()
    assert blended.sum(axis=1) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_blend(method: str) -> None:
    y = targets(26)
    oof = skilled(y, 27, 3)
    assert fitted(method, oof, y, seed=5).as_json() == fitted(method, oof, y, seed=5).as_json()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_missing_row_is_refused(method: str, value: float) -> None:
    y, oof = targets(25), noise(26, 3)
    made = fitted(method, oof, y)
    oof[1, 42, 0] = value
    message = r"blend member 1 have 1 of 150 rows .*first: row 42"
    with pytest.raises(InputError, match=message):
        fitted(method, oof, y)
    with pytest.raises(InputError, match=message):
        made.apply(oof)


def test_scores_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match=r"member 1 have 150 of 150 rows that are negative or do not sum to 1"):
        fitted("equal", noise(0, 2) * [[[1.0]], [[2.0]]], targets(0))
    with pytest.raises(InputError, match="negative"):
        fitted("equal", noise(0, 2) + np.array([-2.0, 1.0, 1.0]), targets(0))


@pytest.mark.parametrize("oof", [np.ones((5, 3)), np.ones((0, 5, 3))])
def test_members_of_another_shape_are_refused(oof: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"\(members, rows, classes\)"):
        fitted("equal", oof, np.zeros(5, dtype=int))


def test_other_members_than_fitted_are_refused() -> None:
    made = fitted("rank", noise(0, 2), targets(0))
    with pytest.raises(InputError, match="2 members cannot blend 3"):
        made.apply(noise(0, 3))
    with pytest.raises(InputError, match="3 classes cannot blend 2"):
        made.apply(np.full((2, 5, 2), 0.5))


def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean greedy"):
        fitted("gredy", noise(0, 2), targets(0))
