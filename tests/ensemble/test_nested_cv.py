from dataclasses import replace

import numpy as np
import pytest

from ripik.analysis.metrics import get_metric
from ripik.ensemble.blend import METHODS
from ripik.ensemble.nested_cv import Nested, nest, repartition, tuning_folds
from ripik.ensemble.recipe import Fitted, LabelledPredictions, MemberPredictions, Recipe, fit
from ripik.settings import BlendSettings, DecisionSettings

F1, ACCURACY, LOSS = (get_metric(name) for name in ("macro_f1", "accuracy", "log_loss"))
FEW = BlendSettings(methods=("equal", "best", "convex", "coordinate"), margin=0.0, partitions=0, restarts=1, bags=2)
PLAIN = DecisionSettings(copies_vote="off", offsets="off")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sample(
    seed: int, photos: int, *, copies: int = 1, members: int = 3, views: int = 1, signal: float = 1.5, folds: int = 4
) -> LabelledPredictions:
    """Return photos of three classes in copies; each member errs by a share common to all, its own, and the copy's."""
    rng = np.random.default_rng(seed)
    photo = np.repeat(np.arange(photos), copies)
    y = rng.integers(0, 3, photos)[photo]
    shared = rng.normal(0, 1, (photos, 3))[photo]
    own = rng.normal(0, 1, (members, 1, len(photo), 3)) + rng.normal(0, 0.3, (members, views, len(photo), 3))
    strength = signal * np.linspace(1, 0.6, members)[:, None, None, None]
    probabilities = softmax(strength * np.eye(3)[y] + shared + own)
    return LabelledPredictions(MemberPredictions(probabilities, photo), y, photo % folds, photo)


def nested(
    known: LabelledPredictions, how: BlendSettings = FEW, decision: DecisionSettings = PLAIN, metric: object = F1
) -> Nested:
    return nest(known, metric, how, decision, "arithmetic")  # type: ignore[arg-type]


def test_a_folds_labels_never_touch_its_own_predictions() -> None:
    known = sample(0, 90, copies=2)
    every = BlendSettings(methods=METHODS, partitions=0, restarts=1, bags=2, views="auto")
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
    plain = fitted.plain()
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


def test_members_may_have_different_numbers_of_views() -> None:
    known = sample(9, 150, views=3)
    probabilities = known.rows.probabilities.copy()
    probabilities[0, 1:] = np.nan
    ragged = replace(known, rows=replace(known.rows, probabilities=probabilities))
    for views in ("all", "auto"):
        fitted = fit(Recipe("equal", choose_views=views == "auto"), ragged, F1, FEW, "arithmetic")
        assert fitted.views[0] == [0]
        assert np.isfinite(fitted.apply(ragged.rows)).all()
        assert np.isfinite(nested(ragged, FEW.model_copy(update={"views": views})).oof).all()
    everything = fit(Recipe("equal"), ragged, F1, FEW, "arithmetic")
    assert everything.views == [[0], [0, 1, 2], [0, 1, 2]]


def test_the_same_seed_gives_the_same_result() -> None:
    a, b = (nested(sample(8, 90), decision=DecisionSettings()) for _ in range(2))
    np.testing.assert_array_equal(a.oof, b.oof)
    assert a.fitted.as_json() == b.fitted.as_json()


def test_two_folds_are_halved_by_groups_and_more_are_left() -> None:
    fold, group = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 2, 2, 1, 1, 3, 3])
    halves = tuning_folds(fold, group)
    assert len(set(halves)) == 4
    assert all(len(set(halves[group == number])) == 1 for number in group)
    assert all(len(set(fold[halves == number])) == 1 for number in halves)
    assert np.array_equal(tuning_folds(np.array([0, 1, 2]), np.arange(3)), [0, 1, 2])
    assert set(nested(sample(9, 90, folds=2)).recipes) == {0, 1, 2, 3}


def test_progress_counts_the_choices() -> None:
    seen: list[int] = []
    nest(sample(10, 60), F1, FEW, PLAIN, "arithmetic", seen.append)
    assert seen == [1, 2, 3, 4, 5]
    nest(sample(10, 60), F1, FEW.model_copy(update={"partitions": 2}), PLAIN, "arithmetic", seen.append)
    assert seen[5:] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.long
def test_the_first_method_stays_unless_another_gains_more_than_the_error_of_its_gain() -> None:
    switched = dict[float, int]()
    for margin in (0.0, 1.0, 1000.0):
        how, switched[margin] = FEW.model_copy(update={"margin": margin}), 0
        for seed in range(8):
            found = nested(sample(seed, 90), how)
            options = [option for option in found.options if option.stage == "blend"]
            (chosen,) = (option for option in options if option.chosen)
            switched[margin] += chosen is not options[0]
            for option in options[1:]:
                sure = option.gain.value > margin * option.gain.error and option.gain.value > 1e-9
                assert not sure or option.gain.value <= chosen.gain.value + 1e-9
                assert sure or not option.chosen
    assert switched[0.0] > switched[1.0] > switched[1000.0] == 0


@pytest.mark.long
def test_choosing_by_default_costs_no_more_than_greedy_always() -> None:
    """On fresh rows of the same worlds, in the mean: what is chosen by default, one method always, and the mean."""
    new, scores = sample(999, 3000, members=5), dict[str, list[float]]()
    ways = {"default": BlendSettings().methods, "greedy": ("greedy",), "equal": ("equal",)}
    for seed in range(6):
        known = sample(seed, 120, members=5)
        for name, methods in ways.items():
            fitted = nested(known, BlendSettings(methods=methods, partitions=0)).fitted
            scores.setdefault(name, []).append(F1.function(new.y, fitted.apply(new.rows)))
    mean = {name: np.mean(of) for name, of in scores.items()}
    assert mean["default"] > max(mean["greedy"], mean["equal"]) - 0.002


def test_near_copies_vote_unless_that_surely_harms() -> None:
    how = replace_methods("equal").model_copy(update={"margin": BlendSettings().margin})
    few = [sample(seed, 20, copies=4, members=2) for seed in range(8)]  # on so few, no gain is sure
    auto = DecisionSettings(offsets="off")
    assert sum(nested(known, how, auto).fitted.recipe.copies_vote for known in few) >= 7
    mixed = sample(3, 200, members=2)
    rows, wrong = np.argsort(mixed.fold, kind="stable"), np.arange(200) // 4  # four photos taken for one
    parted = LabelledPredictions(
        MemberPredictions(mixed.rows.probabilities[:, :, rows], wrong), mixed.y[rows], mixed.fold[rows], wrong
    )
    assert not nested(parted, how, auto).fitted.recipe.copies_vote


def test_other_partitions_keep_groups_whole_and_sizes_alike_and_tell_the_spread_of_the_cv() -> None:
    known = sample(11, 120, copies=2, members=4)
    a, again, b = (repartition(known, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, again)
    assert not np.array_equal(a, b)
    assert set(a) == set(known.fold)
    assert all(len(set(a[known.group == group])) == 1 for group in known.group)
    assert np.ptp(np.bincount(a)) <= 2
    assert np.ptp([np.bincount(a[known.y == c], minlength=4) for c in range(3)], axis=1).max() <= 4
    found = nested(known, BlendSettings(partitions=3))
    assert len(found.by_partition) == 3
    assert abs(np.mean(found.by_partition) - F1.function(known.y, found.oof)) < 0.05
    first = nested(replace(known, fold=a), BlendSettings(partitions=0))
    assert found.by_partition[0] == pytest.approx(F1.function(known.y, first.oof))


@pytest.mark.long
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


@pytest.mark.long
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


def test_a_class_absent_from_what_a_recipe_is_tuned_on_ranks_last_and_stops_nothing() -> None:
    """Both photos of the second class stand in fold 0, then in folds 0 and 1: AUC has no value without them."""
    rng = np.random.default_rng(0)
    for folds_of_the_rare in ((0, 0), (0, 1)):
        photo, fold = np.arange(24), np.arange(24) % 3
        y = np.zeros(24, np.int64)
        for number, held in enumerate(folds_of_the_rare):
            y[np.flatnonzero(fold == held)[number]] = 1
        p = rng.uniform(0.05, 0.95, (3, 1, 24)) * np.array([0.2, 0.6, 1.0])[:, None, None]
        known = LabelledPredictions(MemberPredictions(np.stack([1 - p, p], axis=-1), photo), y, fold, photo)
        found = nested(known, BlendSettings(restarts=1, bags=2), metric=get_metric("auc"))
        assert np.isfinite(found.oof).all()
        assert all(np.isfinite(option.score) for option in found.options)


def test_a_member_without_a_score_is_never_the_best() -> None:
    assert F1.utility(float("nan")) == LOSS.utility(float("nan")) == -np.inf
    assert max([float("nan"), 0.1], key=F1.utility) == 0.1


def test_offsets_are_left_out_and_said_so_where_their_fits_would_take_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    known, auto = sample(10, 90), DecisionSettings(copies_vote="off")
    monkeypatch.setattr(
        "ripik.ensemble.nested_cv.MOST_CELLS", (90 + 15) * 3 * 11
    )  # four folds: 10 without two or one, and on all
    assert nested(known, decision=auto).left_out == []
    monkeypatch.setattr("ripik.ensemble.nested_cv.MOST_CELLS", (90 + 15) * 3 * 11 - 1)
    found = nested(known, decision=auto)
    assert "11 fits on 90 rows of 3 classes" in found.left_out[0]
    assert {option.stage for option in found.options} == {"blend"}
    assert nested(known, decision=DecisionSettings(copies_vote="off", offsets="on")).fitted.recipe.offsets
    assert nested(known, decision=auto, metric=LOSS).left_out == []
