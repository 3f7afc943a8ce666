"""Heads fitted by logistic regression."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from conftest import Drawn, Tiny, write_competition
from ripik.features.store import Pass, Reading, training_passes
from ripik.models.linear_head import fit, fit_path
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training.fitted_session import STRENGTHS
from ripik.training.heads import work
from ripik.training.jobs import Training
from ripik.training.network import trained_network
from trainings_here import prepare_here, silent

Open = Callable[..., Run]
FITTED = ("variants.original.solver=logistic", "variants.augmented.solver=logistic", "augmentation.copies=2")
JOBS = [Job("original", fold) for fold in range(3)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Path:
    first = write_competition(tmp_path_factory.mktemp("fitted"), drawn)
    first.write_folds()
    return prepare_here(first.settings(*FITTED)).layout.run


@pytest.fixture
def opened(tiny: Tiny, stores: Path) -> Open:
    shutil.copytree(stores, tiny.run)
    tiny.write_folds()
    return lambda *overrides: Run.open(tiny.settings(*FITTED, *overrides))


def predicted(run: Run, job: Job) -> np.ndarray:
    with np.load(Training(run, job).predictions) as found:
        return found["oof"]


def test_it_is_the_logistic_regression_of_the_chosen_strength(opened: Open) -> None:
    run = opened()
    work(run.settings, JOBS, silent)
    for job in JOBS:
        training = Training(run, job)
        strength = pd.read_csv(training.folder / "history.csv")["strength"].item()
        assert strength in STRENGTHS
        sides = [PackedRows([training.data.path(Pass("train", view=v))]) for v in run.settings.prediction.views]
        x = np.concatenate([side.read(training.rows) for side in sides])
        y = np.tile(run.training_targets()[training.rows], len(sides))
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(C=strength, max_iter=2000, tol=1e-6).fit(scaler.transform(x), y)
        held = [model.predict_proba(scaler.transform(side.read(training.held_rows))) for side in sides]
        np.testing.assert_allclose(predicted(run, job), np.stack(held), atol=0.01)


def test_the_bytes_are_the_same_alone_and_together(opened: Open) -> None:
    run = opened()
    work(run.settings, JOBS, silent)
    together = predicted(run, JOBS[1])
    shutil.rmtree(run.layout.variant("original"))
    work(run.settings, JOBS[1:2], silent)
    np.testing.assert_array_equal(predicted(run, JOBS[1]), together)


def test_copies_are_learned_from_too_and_keras_reads_the_weights(opened: Open) -> None:
    run, job = opened(), Job("augmented", 0)
    work(run.settings, [job], silent)
    training = Training(run, job)
    features = PackedRows([training.data.path(Pass("train"))]).read(training.held_rows)
    said = trained_network(training).predict(features, verbose=0)
    np.testing.assert_allclose(predicted(run, job)[0], said, atol=1e-5)


def test_copies_that_are_no_longer_asked_for_are_not_learned_from(opened: Open) -> None:
    job, one = Job("augmented", 0), "augmentation.copies=1"  # the stores have two copies of each photo

    def said(*overrides: str) -> np.ndarray:
        work(opened(*overrides).settings, [job], silent)
        return predicted(opened(*overrides), job)

    of_two, of_one = said(), said(one)
    assert np.abs(of_two - of_one).max() > 1e-3
    training = Training(opened(one), job)
    photos, copies = training_passes(training.variant)
    views = [Pass("train", view=view) for view in training.run.settings.prediction.views]
    stored = {each: PackedRows([training.data.path(each)]) for each in (photos, copies, *views)}
    assert len(stored[copies]) == 2 * len(training.run.folds)
    learned = np.concatenate([each.read(training.rows) for each in stored.values()])
    y = np.tile(training.run.training_targets()[training.rows], len(stored))
    strength = pd.read_csv(training.folder / "history.csv")["strength"].item()
    head = fit(learned, y, 3, strength=strength)
    expected = [head.probabilities(stored[view].read(training.held_rows)) for view in views]
    np.testing.assert_allclose(of_one, expected, atol=1e-4)


def test_a_fitted_head_does_not_depend_on_what_an_epoch_would_show(opened: Open) -> None:
    plain = Training(opened(), JOBS[0]).inputs()
    one = Training(opened("variants.original.near_copies_per_epoch=one"), JOBS[0]).inputs()
    assert "near_copies" not in one
    assert set(one) == set(plain)


def test_views_are_what_a_fitted_head_is_made_from(opened: Open) -> None:
    views = 'prediction.views=["identity"]'
    assert Training(opened(), JOBS[0]).inputs() != Training(opened(views), JOBS[0]).inputs()
    plain = Training(opened("variants.original.solver=adam"), JOBS[0]).inputs()
    assert "views" not in plain
    assert "solver" not in plain["variant"]


def test_a_path_ends_where_a_single_fit_does() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    x = (rng.normal(size=(120, 8)) + np.eye(3, 8)[y] * 2).astype("float32")
    *_, last = fit_path(x, y, 3, [1e-3, 1e-2, 1e-1])
    alone = fit(x, y, 3, strength=1e-1)
    np.testing.assert_allclose(last.probabilities(x), alone.probabilities(x), atol=5e-3)


def test_a_dense_layer_says_what_the_head_says_and_a_class_without_rows_stays_finite() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80) * 2
    x = (rng.normal(size=(80, 5)) * [1, 10, 0.1, 1, 1] + np.eye(3, 5)[y]).astype("float32")
    x[:, 4] = 3
    head = fit(x, y, 3)
    kernel, bias = head.dense()
    logits = x @ kernel + bias
    said = np.exp(logits - logits.max(axis=1, keepdims=True))
    said /= said.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(said, head.probabilities(x), atol=1e-5)
    assert (said[:, 1] > 0).all()
    assert (said[:, 1] < 1e-5).all()


def test_the_photos_that_its_strength_is_chosen_on_are_stored_whatever_it_learns_from(tiny: Tiny) -> None:
    alone = ("variants.augmented.solver=logistic", "variants.augmented.with_original=false")
    settings = tiny.settings(*alone, 'prediction.views=["hflip"]')
    passes = Reading(settings, settings.variants["augmented"]).passes
    assert set(passes) == {
        *(Pass("train", copies=True), Pass("train")),
        *(Pass("train", view="hflip"), Pass("test", view="hflip")),
    }
