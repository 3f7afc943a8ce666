"""Scores, views, blends and decisions: probabilities stay probabilities, and names and orders do not matter."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sklearn import metrics as sk

from guesses import skilled, targets
from ripik.analysis.confusions import confusion_matrix, per_class_f1
from ripik.analysis.metrics import get_metric, log_loss
from ripik.analysis.view_gains import merge
from ripik.ensemble.blend import METHODS, Blend, fit_blend
from ripik.ensemble.decision import PriorShift, adapt, estimate_priors, vote
from ripik.ensemble.offsets import Offsets, fit_offsets
from ripik.ensemble.recipe import Fitted, LabelledPredictions, MemberPredictions, Recipe, choose_views, fit
from ripik.features.tta import VIEWS
from ripik.settings import BlendSettings

EFFORT = effort(derandomize=True, deadline=None, database=None, max_examples=100)
FEW = effort(EFFORT, max_examples=60)
SEEDS = st.integers(0, 2**31 - 1)
MERGES = st.sampled_from(["arithmetic", "geometric"])
TURNS = [name for name in VIEWS if not name.startswith("crop")]
UNDOES = {name: name for name in TURNS} | {"rot90": "rot270", "rot270": "rot90"}


@st.composite
def distributions(draw: st.DrawFn, *leading: int) -> np.ndarray:
    """Rows that sum to 1, (*leading, n, C): nearly flat or certain, exact zeros, ties, float32's errors."""
    rng, n, classes = np.random.default_rng(draw(SEEDS)), draw(st.integers(1, 25)), draw(st.integers(2, 6))
    found = rng.dirichlet(np.full(classes, draw(st.sampled_from([0.005, 0.3, 5.0]))), (*leading, n))
    if draw(st.booleans()):
        found = np.round(found * 4) + 1e-3
        found = found / found.sum(axis=-1, keepdims=True)
    return found.astype(draw(st.sampled_from([np.float64, np.float32])))


def sums_to_one(rows: np.ndarray) -> None:
    assert np.isfinite(rows).all()
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=-1), 1, atol=1e-5)


@EFFORT
@given(distributions(), SEEDS)
def test_metrics_are_scikit_learns_whatever_classes_are_there(p: np.ndarray, seed: int) -> None:
    p = p.astype(np.float64)
    rng, (n, classes) = np.random.default_rng(seed), p.shape
    y, all_of_them = rng.integers(0, rng.integers(1, classes + 1), n), range(classes)
    predicted = p.argmax(axis=1)
    confusion = confusion_matrix(y, predicted, classes)
    assert np.array_equal(confusion, sk.confusion_matrix(y, predicted, labels=all_of_them))
    f1 = sk.f1_score(y, predicted, average=None, labels=all_of_them, zero_division=0)
    np.testing.assert_allclose(per_class_f1(confusion), f1, atol=1e-12)
    recalls = sk.recall_score(y, predicted, average="macro", labels=all_of_them, zero_division=0)
    expected = {"macro_f1": f1.mean(), "accuracy": (y == predicted).mean(), "balanced_accuracy": recalls}
    expected["log_loss"] = sk.log_loss(y, p / p.sum(axis=1, keepdims=True), labels=all_of_them)
    if len({*y, *predicted}) > 1:
        expected["cohen_kappa"] = sk.cohen_kappa_score(y, predicted, labels=all_of_them)
        expected["quadratic_kappa"] = sk.cohen_kappa_score(y, predicted, labels=all_of_them, weights="quadratic")
    there = [c for c in ([1] if classes == 2 else all_of_them) if 0 < (y == c).sum() < n]
    if there:
        expected["auc"] = np.mean([sk.roc_auc_score(y == c, p[:, c]) for c in there])
    for name, value in expected.items():
        assert get_metric(name).function(y, p) == pytest.approx(value, abs=1e-7), name


@EFFORT
@given(distributions(), SEEDS)
def test_metrics_do_not_depend_on_the_order_of_rows_and_stay_in_their_range(p: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, order = rng.integers(0, p.shape[1], len(p)), rng.permutation(len(p))
    for name in ("macro_f1", "accuracy", "log_loss", "balanced_accuracy", "cohen_kappa", "quadratic_kappa", "auc"):
        metric = get_metric(name)
        found = metric.function(y, p)
        assert metric.function(y[order], p[order]) == pytest.approx(found, abs=1e-9, nan_ok=True)
        assert np.isnan(found) or metric.ends[0] - 1e-12 <= found <= metric.ends[1] + 1e-12


@EFFORT
@given(st.sampled_from(TURNS), st.sampled_from(TURNS), st.integers(1, 20), st.integers(1, 3), SEEDS)
def test_turns_are_undone_and_two_of_them_are_a_third(first: str, then: str, size: int, count: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)
    turned = VIEWS[first].apply(images)
    assert np.array_equal(VIEWS[UNDOES[first]].apply(turned), images)
    both = VIEWS[then].apply(turned)
    assert any(np.array_equal(both, VIEWS[name].apply(images)) for name in TURNS)


@EFFORT
@given(distributions(4), MERGES, SEEDS)
def test_a_merge_of_views_is_probabilities_in_any_order_and_with_copies(views: np.ndarray, how: str, seed: int) -> None:
    found = merge(views, how)
    sums_to_one(found)
    np.testing.assert_allclose(merge(np.random.default_rng(seed).permutation(views), how), found, atol=1e-4)
    np.testing.assert_allclose(merge(np.concatenate([views, views]), how), found, atol=1e-4)  # float32's logarithms
    np.testing.assert_allclose(merge(views[:1], how), views[0], atol=1e-6)
    np.testing.assert_array_equal(merge(views[:, ::-1], how), found[::-1])
    if how == "arithmetic":
        assert (found <= views.max(axis=0) + 1e-6).all()
        assert (found >= views.min(axis=0) - 1e-6).all()


@FEW
@given(distributions(4), MERGES, SEEDS)
def test_chosen_views_are_no_worse_than_any_alone_and_the_same_in_another_order(views, how, seed) -> None:
    rng = np.random.default_rng(seed)
    y, order = rng.integers(0, views.shape[2], views.shape[1]), rng.permutation(4)
    chosen = choose_views(views, y, how)
    assert chosen == sorted(set(chosen))
    loss = log_loss(y, merge(views[chosen], how))
    assert loss <= min(log_loss(y, merge(views[[one]], how)) for one in range(4)) + 1e-12
    again = choose_views(views[order], y, how)
    assert log_loss(y, merge(views[order][again], how)) == pytest.approx(loss, abs=1e-5)


@EFFORT
@given(distributions(3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_a_mean_of_probabilities_is_probabilities_between_its_members(members, shares) -> None:
    assume(sum(shares) > 1e-3)
    weights = np.array(shares) / sum(shares)
    found = Blend("convex", weights, np.nan).apply(members)
    sums_to_one(found)
    used = members[weights > 0]
    assert (found <= used.max(axis=0) + 1e-6).all()
    assert (found >= used.min(axis=0) - 1e-6).all()
    turned = Blend("convex", weights[::-1], np.nan).apply(members[::-1])
    np.testing.assert_allclose(turned, found, atol=1e-12)


def fitted(method: str, oof: np.ndarray, y: np.ndarray, metric: str = "macro_f1") -> Blend:
    return fit_blend(method, oof, y, get_metric(metric), groups=np.arange(len(y)) // 3, seed=3, restarts=2, bags=4)


@FEW
@given(st.sampled_from(METHODS), distributions(3), SEEDS)
def test_a_stored_blend_is_the_blend_for_any_rows(method: str, oof: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = fitted(method, oof, rng.integers(0, oof.shape[2], oof.shape[1]))
    back = Blend.from_json(json.loads(json.dumps(found.as_json())))
    fresh = rng.dirichlet(np.full(oof.shape[2], 0.3), (3, 9))
    assert np.array_equal(back.apply(fresh), found.apply(fresh))
    assert back.as_json() == found.as_json()
    sums_to_one(found.apply(fresh))
    assert (found.weights >= 0).all()
    assert found.weights.sum() == pytest.approx(1)


@FEW
@given(st.sampled_from(["best", "convex", "greedy", "coordinate"]), SEEDS)
def test_a_member_given_twice_does_no_harm(method: str, seed: int) -> None:
    y = targets(seed, 90)
    oof = skilled(y, seed, 3)
    plain, doubled = fitted(method, oof, y, "log_loss"), fitted(method, oof[[0, 1, 2, 2]], y, "log_loss")
    assert doubled.score <= plain.score + 1e-4
    np.testing.assert_allclose(fitted(method, oof[[1, 1]], y).apply(oof[[1, 1]]), oof[1], atol=1e-12)


@FEW
@given(st.sampled_from(["equal", "geometric", "rank", "best", "convex"]), SEEDS)
def test_the_names_of_classes_and_the_order_of_rows_do_not_matter(method: str, seed: int) -> None:
    rng, y = np.random.default_rng(seed), targets(seed, 60)
    oof, rows, classes = skilled(y, seed, 3), rng.permutation(60), rng.permutation(3)
    found = fitted(method, oof, y)
    moved = fitted(method, oof[:, rows][:, :, classes], np.argsort(classes)[y[rows]])
    np.testing.assert_allclose(moved.weights, found.weights, atol=2e-3)
    np.testing.assert_allclose(moved.apply(oof[:, :, classes]), found.apply(oof)[:, classes], atol=2e-3)


@EFFORT
@given(distributions(), SEEDS, st.floats(-5, 5))
def test_offsets_add_up_and_a_common_one_changes_nothing(p: np.ndarray, seed: int, common: float) -> None:
    p = np.maximum(p.astype(np.float64), 1e-3)
    p /= p.sum(axis=1, keepdims=True)
    a, b = np.random.default_rng(seed).normal(size=(2, p.shape[1]))
    found = Offsets(a).apply(p)
    sums_to_one(found)
    np.testing.assert_allclose(Offsets(a + common).apply(p), found, atol=1e-9)
    np.testing.assert_allclose(Offsets(b).apply(found), Offsets(a + b).apply(p), atol=1e-4)
    np.testing.assert_allclose(Offsets(-a).apply(found), p, atol=1e-4)
    back = Offsets.from_json(json.loads(json.dumps(Offsets(a).as_json())))
    assert np.array_equal(back.apply(p), found)


@EFFORT
@given(distributions(), st.lists(st.floats(-700, 700), min_size=6, max_size=6))
def test_any_offsets_leave_probabilities(p: np.ndarray, values: list[float]) -> None:
    found = Offsets(np.array(values[: p.shape[1]])).apply(p)
    sums_to_one(found)
    assert set(found.argmax(axis=1)) <= set(range(p.shape[1]))


@FEW
@given(st.sampled_from(["macro_f1", "accuracy", "cohen_kappa"]), distributions(), SEEDS)
def test_offsets_can_be_fitted_on_any_rows(metric: str, p: np.ndarray, seed: int) -> None:
    y = np.random.default_rng(seed).integers(0, p.shape[1], len(p))
    found = fit_offsets(p, y, get_metric(metric), groups=np.arange(len(p)) // 2, seed=1, bags=3)
    assert found.values.shape == p.shape[1:]
    assert found.values.mean() == pytest.approx(0, abs=1e-9)
    assert 0 <= found.shrinkage <= 1
    sums_to_one(found.apply(p))


@EFFORT
@given(distributions(), SEEDS)
def test_class_shares_are_estimated_and_followed_whatever_the_rows(p: np.ndarray, seed: int) -> None:
    rng, classes = np.random.default_rng(seed), p.shape[1]
    train = rng.dirichlet(np.ones(classes))
    if rng.random() < 0.3:
        train = np.eye(classes)[rng.integers(classes)]
    found = estimate_priors(p, train)
    sums_to_one(found.priors)
    sums_to_one(adapt(p, found))
    sums_to_one(adapt(p, PriorShift(rng.dirichlet(np.ones(classes)), train)))
    order = rng.permutation(len(p))
    np.testing.assert_allclose(estimate_priors(p[order], train).priors, found.priors, atol=1e-6)
    np.testing.assert_allclose(adapt(p[order], found), adapt(p, found)[order], atol=1e-12)


@EFFORT
@given(distributions(2), SEEDS)
def test_votes_follow_the_rows_and_not_the_names_of_groups(p: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, order = rng.integers(0, 5, p.shape[1]), rng.permutation(p.shape[1])
    found = vote(p, groups)
    sums_to_one(found)
    np.testing.assert_allclose(vote(p[:, order], groups[order]), found[:, order], atol=1e-9)
    np.testing.assert_allclose(vote(p, np.array(list("edcba"))[groups]), found, atol=1e-9)


@effort(EFFORT, max_examples=60)
@given(
    *(st.sampled_from(METHODS), st.booleans(), st.booleans(), st.booleans(), st.booleans(), MERGES),
    *(distributions(2, 2), SEEDS),
)
def test_a_stored_recipe_predicts_what_the_fitted_one_does(method, votes, offsets, views, shift, how, p, seed) -> None:
    rng, (n, classes) = np.random.default_rng(seed), p.shape[2:]
    known = LabelledPredictions(
        MemberPredictions(p, np.arange(n) // 3), rng.integers(0, classes, n), np.arange(n) % 3, np.arange(n) // 3
    )
    recipe = Recipe(method, copies_vote=votes, offsets=offsets, choose_views=views, prior_shift=shift)
    found = fit(recipe, known, get_metric("macro_f1"), BlendSettings(restarts=1, bags=2), how)
    back = Fitted.from_json(json.loads(json.dumps(found.as_json())))
    fresh = MemberPredictions(rng.dirichlet(np.full(classes, 0.3), (2, 2, 7)), np.arange(7) // 2)
    predicted = found.apply(fresh)
    sums_to_one(predicted)
    assert np.array_equal(back.apply(fresh), predicted)
    used = found.of_used().apply(MemberPredictions(fresh.probabilities[found.blend.used], fresh.photo))
    np.testing.assert_allclose(used, predicted, atol=1e-12)
