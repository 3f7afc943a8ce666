from dataclasses import replace

import numpy as np
import pytest

from ripik.metrics import get_metric
from ripik.nested import Nested, nest, parts
from ripik.recipe import Fitted, Known, Recipe, Rows, fit
from ripik.settings import BlendSettings, DecisionSettings

F1, ACCURACY, LOSS = (get_metric(name) for name in ("macro_f1", "accuracy", "log_loss"))
FEW = BlendSettings(methods=("equal", "best", "convex", "coordinate"), restarts=1, bags=2)
PLAIN = DecisionSettings(copies_vote="off", offsets="off")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sample(
    seed: int, photos: int, *, copies: int = 1, members: int = 3, views: int = 1, signal: float = 1.5, folds: int = 4
) -> Known:
    """Return photos of three classes in copies; each member errs by a share common to all, its own, and the copy's."""
    rng = np.random.default_rng(seed)
    photo = np.repeat(np.arange(photos), copies)
    y = rng.integers(0, 3, photos)[photo]
    shared = rng.normal(0, 1, (photos, 3))[photo]
    own = rng.normal(0, 1, (members, 1, len(photo), 3)) + rng.normal(0, 0.3, (members, views, len(photo), 3))
    strength = signal * np.linspace(1, 0.6, members)[:, None, None, None]
    probabilities = softmax(strength * np.eye(3)[y] + shared + own)
    return Known(Rows(probabilities, photo), y, photo % folds, photo)


def nested(known: Known, how: BlendSettings = FEW, decision: DecisionSettings = PLAIN, metric: object = F1) -> Nested:
    return nest(known, metric, how, decision, "arithmetic")  # type: ignore[arg-type]


def test_a_folds_labels_never_touch_its_own_predictions() -> None:
    known = sample(0, 90, copies=2)
    every = BlendSettings(restarts=1, bags=2, views="auto")
    before = nested(known, every, DecisionSettings())
    y = known.y.copy()
    rows = known.fold == 1
    y[rows] = (y[rows] + 1) % 3
    after = nested(replace(known, y=y), every, DecisionSettings())
    np.testing.assert_array_equal(before.oof[rows], after.oof[rows])
    assert before.recipes[1] == after.recipes[1]
    assert not np.array_equal(before.oof[~rows], after.oof[~rows])  # the others were tuned on the changed labels


def test_every_fold_is_predicted_by_its_own_recipe_fitted_on_the_others() -> None:
    known = sample(1, 120)
    found = nested(known)
    for held, recipe in found.recipes.items():
        rows = known.fold == held
        other = fit(recipe, known[np.flatnonzero(~rows)], F1, FEW, "arithmetic")
        np.testing.assert_allclose(found.oof[rows], other.apply(known.rows[rows]), rtol=1e-12)
    assert found.in_sample == F1.function(known.y, found.fitted.apply(known.rows))


def test_one_option_of_every_stage_is_chosen_and_the_gain_is_over_the_first() -> None:
    found = nested(sample(2, 120, copies=2), decision=DecisionSettings())
    stages = list(dict.fromkeys(option.stage for option in found.options))
    assert stages == ["copies vote", "blend", "offsets"]
    for stage in stages:
        options = [option for option in found.options if option.stage == stage]
        assert sum(option.chosen for option in options) == 1
        assert options[0].gain.value == 0
        for option in options:
            assert option.gain.value == pytest.approx(option.score - options[0].score)
    assert found.fitted.recipe == next(option.recipe for option in found.options[::-1] if option.chosen)


def test_copies_vote_where_it_helps_and_not_where_there_are_none() -> None:
    assert nested(sample(3, 200, copies=3, members=1), decision=DecisionSettings()).fitted.recipe.copies_vote
    alone = nested(sample(3, 200, members=1), decision=DecisionSettings())
    assert not alone.fitted.recipe.copies_vote
    assert "copies vote" not in {option.stage for option in alone.options}


def test_members_alike_are_averaged_and_a_useless_one_is_dropped() -> None:
    known = sample(4, 400, members=2)
    alike = np.concatenate([known.rows.probabilities[:1]] * 3)
    assert nested(replace(known, rows=replace(known.rows, probabilities=alike))).fitted.recipe.method == "equal"
    rng = np.random.default_rng(0)
    noise = softmax(rng.normal(0, 6, known.rows.probabilities[:1].shape))
    bad = np.concatenate([known.rows.probabilities[:1], noise, noise[:, :, ::-1]])
    fitted = nested(replace(known, rows=replace(known.rows, probabilities=bad)), metric=LOSS).fitted
    assert fitted.blend.weights[0] > 0.8


def test_settings_force_or_forbid_a_step() -> None:
    known = sample(5, 90, copies=2, views=2)
    on = nested(known, replace_methods("geometric"), DecisionSettings(copies_vote="on", offsets="on"))
    assert on.fitted.recipe == Recipe("geometric", copies_vote=True, offsets=True)
    assert not on.options
    off = nested(known, replace_methods("rank"), PLAIN)
    assert off.fitted.recipe == Recipe("rank")
    loss = nested(known, decision=DecisionSettings(offsets="on"), metric=LOSS)
    assert not loss.fitted.recipe.offsets  # offsets move labels; log loss has none


def replace_methods(*methods: str) -> BlendSettings:
    return FEW.model_copy(update={"methods": methods})


def test_prior_shift_follows_the_rows_it_predicts() -> None:
    known = sample(6, 600, members=1)
    fitted = nested(known, decision=DecisionSettings(copies_vote="off", offsets="off", prior_shift=True)).fitted
    few = np.flatnonzero((known.y != 0) | (np.arange(len(known.y)) % 5 == 0))
    plain = replace(fitted, recipe=replace(fitted.recipe, prior_shift=False))
    assert fitted.apply(known.rows[few])[:, 0].mean() < plain.apply(known.rows[few])[:, 0].mean() - 0.02


def test_a_recipe_comes_back_from_json_and_without_its_unused_members() -> None:
    known = sample(7, 150, copies=2, views=2)
    every = DecisionSettings(copies_vote="on", offsets="on")
    for method in ("best", "rank", "greedy"):
        fitted = nested(known, replace_methods(method).model_copy(update={"views": "auto"}), every).fitted
        again = Fitted.from_json(fitted.as_json())
        np.testing.assert_allclose(again.apply(known.rows), fitted.apply(known.rows), rtol=1e-12)
        used = replace(known.rows, probabilities=known.rows.probabilities[np.flatnonzero(fitted.blend.weights)])
        np.testing.assert_allclose(fitted.of_used().apply(used), fitted.apply(known.rows), rtol=1e-9)


def test_the_same_seed_gives_the_same_result() -> None:
    a, b = (nested(sample(8, 90), decision=DecisionSettings()) for _ in range(2))
    np.testing.assert_array_equal(a.oof, b.oof)
    assert a.fitted.as_json() == b.fitted.as_json()


def test_two_folds_are_halved_by_groups_and_more_are_left() -> None:
    fold, group = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 2, 2, 1, 1, 3, 3])
    halves = parts(fold, group)
    assert len(set(halves)) == 4
    assert all(len(set(halves[group == number])) == 1 for number in group)
    assert all(len(set(fold[halves == number])) == 1 for number in halves)
    assert np.array_equal(parts(np.array([0, 1, 2]), np.arange(3)), [0, 1, 2])
    assert set(nested(sample(9, 90, folds=2)).recipes) == {0, 1, 2, 3}


def test_progress_counts_the_choices() -> None:
    seen: list[int] = []
    nest(sample(10, 60), F1, FEW, PLAIN, "arithmetic", seen.append)
    assert seen == [1, 2, 3, 4, 5]


def test_in_sample_is_optimistic_and_the_nested_score_is_not_when_there_is_nothing_to_learn() -> None:
    """Members and truth are independent: whatever is chosen, its true accuracy is a third."""
    in_sample, looked_at, honest = [], [], []
    for seed in range(40):
        found = nested(sample(seed, 120, members=6, signal=0.0), metric=ACCURACY)
        in_sample.append(found.in_sample)
        looked_at.append(max(option.score for option in found.options))
        honest.append((found.oof.argmax(axis=1) == sample(seed, 120, members=6, signal=0.0).y).mean())
    error = np.std(honest) / np.sqrt(len(honest))
    assert np.mean(in_sample) - 1 / 3 > 5 * error
    assert np.mean(looked_at) - 1 / 3 > 2 * error  # choosing by a cross-fitted score is tuning, too
    assert abs(np.mean(honest) - 1 / 3) < 3 * error


def test_the_nested_score_tells_the_score_of_fresh_photos() -> None:
    """The same with members that know something: fresh photos are the judge."""
    in_sample, honest, fresh = [], [], []
    new = sample(999, 20_000, members=5)
    for seed in range(24):
        known = sample(seed, 150, members=5)
        found = nested(known, decision=DecisionSettings())
        in_sample.append(found.in_sample)
        honest.append(F1.function(known.y, found.oof))
        fresh.append(F1.function(new.y, found.fitted.apply(new.rows)))
    gap = np.array(honest) - np.array(fresh)
    error = gap.std() / np.sqrt(len(gap))
    assert abs(gap.mean()) < 3 * error
    assert np.mean(in_sample) - np.mean(fresh) > 3 * error


def test_offsets_are_left_out_and_said_so_where_their_fits_would_take_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    known, auto = sample(10, 90), DecisionSettings(copies_vote="off")
    monkeypatch.setattr("ripik.nested.MOST_CELLS", (90 + 15) * 3 * 11)  # four folds: 10 without two or one, and on all
    assert nested(known, decision=auto).left_out == []
    monkeypatch.setattr("ripik.nested.MOST_CELLS", (90 + 15) * 3 * 11 - 1)
    found = nested(known, decision=auto)
    assert "11 fits on 90 rows of 3 classes" in found.left_out[0]
    assert {option.stage for option in found.options} == {"blend"}
    assert nested(known, decision=DecisionSettings(copies_vote="off", offsets="on")).fitted.recipe.offsets
    assert nested(known, decision=auto, metric=LOSS).left_out == []
