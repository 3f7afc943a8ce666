from dataclasses import dataclass, replace

import numpy as np
import pytest

from guesses import softmax
from ripik.analysis.metrics import get_metric
from ripik.ensemble.calibration import Calibration, calibrate, curvature, score_rows
from ripik.ensemble.class_shares import ClassShares, estimate_shares
from ripik.ensemble.decision import estimate_priors
from ripik.ensemble.fold_models import by_fold, side_by_side
from ripik.ensemble.nested_cv import nest
from ripik.ensemble.probabilities import logs
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions, Recipe, fit
from ripik.errors import InputError
from ripik.settings import BlendSettings, DecisionSettings
from ripik.storage.paths import Job

TRAIN = np.array([0.4, 0.3, 0.2, 0.1])
PLANTED = {
    "reversed": np.array([0.1, 0.2, 0.3, 0.4]),
    "one class": np.array([0.8, 0.1, 0.06, 0.04]),
    "rare": np.array([0.2, 0.15, 0.15, 0.5]),
}
TRAININGS = ("plain", "class weights", "label smoothing", "overconfident")


@dataclass(frozen=True)
class World:
    """What five folds' models say out of fold and of a test set, photos in three copies."""

    oof: np.ndarray
    y: np.ndarray
    group: np.ndarray
    models: list[np.ndarray]
    test: np.ndarray
    test_group: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        return np.bincount(self.test, minlength=4) / len(self.test)

    def estimated(self, draws: int = 60) -> ClassShares:
        return estimate_shares(self.oof, self.y, self.group, self.models, self.test_group, draws=draws)


def drawn(rng: np.random.Generator, photos: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    group = np.repeat(np.arange(photos), 3)
    y = rng.choice(4, photos, p=shares)[group]
    return 1.6 * np.eye(4)[y] + 0.9 * rng.normal(size=(photos, 4))[group] + 0.4 * rng.normal(size=(len(y), 4)), y, group


def said(seen: np.ndarray, errors: np.ndarray, training: str) -> np.ndarray:
    logits = 1.6 * seen @ errors + np.log(TRAIN)
    if training == "class weights":
        logits = logits - np.log(TRAIN)
    values = softmax(2.5 * logits if training == "overconfident" else logits)
    return 0.7 * values + 0.3 / 4 if training == "label smoothing" else values


def world(seed: int, training: str, shares: np.ndarray, photos: int = 300, tested: int = 200) -> World:
    """Draw photos of the training shares and of others, and what models of five folds, each with its errors, say."""
    rng = np.random.default_rng(seed)
    (seen, y, group), (fresh, test, test_group) = drawn(rng, photos, TRAIN), drawn(rng, tested, shares)
    errors = np.eye(4) + 0.1 * rng.normal(size=(5, 4, 4))
    oof = np.empty((len(y), 4))
    for fold in range(5):
        oof[group % 5 == fold] = said(seen[group % 5 == fold], errors[fold], training)
    return World(oof, y, group, [said(fresh, own, training) for own in errors], test, test_group)


def distance(shares: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(shares - truth).sum() / 2)


@pytest.mark.parametrize("training", TRAININGS)
def test_planted_shares_are_found_and_covered_however_the_members_were_trained(training: str) -> None:
    found, held = [], []
    for shift in PLANTED.values():
        for seed in range(4):
            made = world(seed, training, shift)
            shares = made.estimated()
            found.append(distance(shares.estimated, made.truth))
            held.append((shares.low <= made.truth) & (made.truth <= shares.high))
            assert shares.estimated.sum() == pytest.approx(1)
            assert (shares.low <= shares.estimated).all()
            assert (shares.estimated <= shares.high).all()
    assert np.mean(found) < 0.08
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("training", ["class weights", "label smoothing"])
def test_the_mean_of_the_models_uncalibrated_is_far_off(training: str) -> None:
    made = world(0, training, PLANTED["one class"])
    before = estimate_priors(np.mean(made.models, axis=0), np.bincount(made.y) / len(made.y)).priors
    assert distance(before, made.truth) > 3 * distance(made.estimated().estimated, made.truth)


def test_a_shift_is_spoken_of_and_none_is_not() -> None:
    assert world(1, "class weights", PLANTED["one class"]).estimated().moved[0]
    silent = [not world(seed, TRAININGS[seed % 4], TRAIN, 150, 100).estimated(100).moved.any() for seed in range(20)]
    assert sum(silent) >= 17
    made = world(2, "plain", PLANTED["rare"], photos=60, tested=20).estimated()
    assert not (made.moved & (made.low <= made.train) & (made.train <= made.high)).any()


def test_copies_are_no_more_witnesses() -> None:
    made = world(3, "plain", TRAIN)
    alone = replace(made, group=np.arange(len(made.y)), test_group=np.arange(len(made.test)))
    together, apart = (each.estimated() for each in (made, alone))
    assert (together.high - together.low).mean() > 1.3 * (apart.high - apart.low).mean()


def test_a_calibration_undoes_what_training_did() -> None:
    rng = np.random.default_rng(4)
    seen, y, _ = drawn(rng, 4000, TRAIN)
    fair = said(seen, np.eye(4), "plain")
    fitted = calibrate(softmax(2.5 * (np.log(fair) - np.log(TRAIN))), y)
    expected = calibrate(fair, y)
    assert np.exp(fitted.parameters[0]) == pytest.approx(np.exp(expected.parameters[0]) / 2.5, rel=0.05)
    again = fitted.apply(softmax(2.5 * (np.log(fair) - np.log(TRAIN))))
    assert np.abs(again - expected.apply(fair)).max() < 0.03
    assert again.mean(axis=0) == pytest.approx(np.bincount(y) / len(y), abs=1e-3)
    assert Calibration.from_json(fitted.as_json()).parameters.tolist() == fitted.parameters.tolist()


def test_the_slopes_and_the_curvature_of_a_calibration_are_its_losses() -> None:
    made = world(5, "overconfident", TRAIN, photos=100)
    fitted, values = calibrate(made.oof, made.y), logs(made.oof)
    rows = score_rows(fitted, values, made.y)
    assert rows.sum(axis=0) == pytest.approx(-0.25 * fitted.parameters, abs=0.02)  # at the optimum, the prior's pull
    step = np.array([0.0, 1e-4, 0, 0, 0])
    ahead, behind = (
        score_rows(Calibration(fitted.parameters + move), values, made.y).sum(axis=0) for move in (step, -step)
    )
    assert curvature(fitted, values)[1] == pytest.approx((ahead - behind) / 2e-4 + 0.25 * (step > 0), abs=1e-3)


@pytest.mark.parametrize("content", [["a"], [1.0, 2.0], [1.0, np.nan, 0.0, 0.0]])
def test_a_damaged_calibration_is_refused(content: list) -> None:
    with pytest.raises(InputError, match="calibration"):
        Calibration.from_json(content)


def test_rows_all_right_and_classes_without_rows_are_survived() -> None:
    certain = np.eye(3)[[0, 0, 0, 1, 1, 1]]
    found = estimate_shares(certain, np.array([0, 0, 0, 1, 1, 1]), np.arange(6), [certain[:2]], np.arange(2), draws=5)
    assert np.isfinite(found.low).all()
    assert found.estimated[0] > 0.7


def test_models_are_told_fold_by_fold_and_a_refit_in_every_fold() -> None:
    jobs = [Job("a", 0), Job("a", 1), Job("a", 0, 1), Job("a", 1, 1)]
    values = [np.full((1, 2, 3), number, np.float32) for number in range(4)]
    a = by_fold(jobs, values)
    assert {fold: own[0, 0, 0] for fold, own in a.items()} == {0: 1.0, 1: 2.0}
    b = by_fold([Job("b", None), Job("b", None, 1)], [values[2], values[3]])
    assert [own[:, 0, 0, 0].tolist() for own in side_by_side([a, b])] == [[1.0, 2.5], [2.0, 2.5]]
    assert [own.shape for own in side_by_side([b])] == [(1, 1, 2, 3)]


@pytest.mark.parametrize("training", ["class weights", "overconfident"])
def test_followed_shares_are_the_calibrated_ones_and_help(training: str) -> None:
    made = world(6, training, PLANTED["one class"], photos=600, tested=400)
    known = LabelledPredictions(MemberPredictions(made.oof[None, None], made.group), made.y, made.group % 5, made.group)
    models = [MemberPredictions(own[None, None], made.test_group) for own in made.models]
    loss, scores = get_metric("log_loss"), {}
    for followed in (False, True):
        fitted = fit(Recipe("equal", prior_shift=followed), known, loss, BlendSettings(), "arithmetic")
        scores[followed] = loss.function(made.test, fitted.apply(models))
    exact = loss.function(made.test, fitted.apply(models, made.truth))
    assert scores[True] < 0.8 * scores[False]
    assert scores[True] == pytest.approx(exact, abs=0.02)


def test_a_held_folds_labels_touch_neither_its_calibration_nor_its_shares() -> None:
    made = world(7, "class weights", TRAIN, photos=120)
    known = LabelledPredictions(MemberPredictions(made.oof[None, None], made.group), made.y, made.group % 5, made.group)
    decision = DecisionSettings(copies_vote="off", offsets="off", prior_shift=True)
    before = nest(known, get_metric("macro_f1"), BlendSettings(), decision, "arithmetic").oof
    held = known.fold == 1
    moved = replace(known, y=np.where(held, (known.y + 1) % 4, known.y))
    after = nest(moved, get_metric("macro_f1"), BlendSettings(), decision, "arithmetic").oof
    np.testing.assert_array_equal(before[held], after[held])
    assert not np.array_equal(before[~held], after[~held])
