"""Finetuning with live augmentation, mixed batches, rates by depth and a running mean of the weights."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Drawn, Tiny, write_competition
from ripik.errors import InputError
from ripik.features.store import Pass
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training.jobs import Training
from ripik.training.network import trained_network
from ripik.training.optimizer import averages_of
from ripik.training.predict import predict_job
from ripik.training.trainer import Trainer, train
from ripik.training.warm import network_of
from trainings_here import prepare_here, silent
from trainings_here import train as train_any

Open = Callable[..., Run]
SHORT = ("training.epochs=2", "augmentation.copies=2")
STRONG = (
    "finetuning.live=1.0",
    "finetuning.crop_from=48",
    'finetuning.mix="mixup"',
    "finetuning.weight_decay=0.05",
    "finetuning.rate_decay=0.8",
    "finetuning.clip=1.0",
    "finetuning.average=0.9",
    "finetuning.soup=2",
    "finetuning.epochs=3",
    "finetuning.batch_size=4",
)
JOB = Job("finetuned", 1)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Path:
    """Return the run's folder with its stores filled and the head trained that finetuning starts from."""
    first = write_competition(tmp_path_factory.mktemp("strong"), drawn)
    first.write_folds()
    run = prepare_here(first.settings(*SHORT, *STRONG))
    train_any(Training(run, Job("original", 1)), silent)
    return run.layout.run


@pytest.fixture
def opened(tiny: Tiny, stores: Path) -> Open:
    shutil.copytree(stores, tiny.run)
    tiny.write_folds()
    return lambda *overrides: prepare_here(tiny.settings(*SHORT, *STRONG, *overrides))


def stop_after(epochs: float) -> Callable[..., None]:
    def report(done: float, total: int, note: str = "") -> None:
        if done >= epochs:
            raise KeyboardInterrupt

    return report


@pytest.mark.long
def test_it_resumes_to_the_same_weights(opened: Open) -> None:
    training = Training(opened(), JOB)
    train(training, silent)
    whole = trained_network(training).get_weights()
    history = pd.read_csv(training.folder / "history.csv").drop(columns="seconds")
    shutil.rmtree(training.folder)
    with pytest.raises(KeyboardInterrupt):
        train(training, stop_after(2))
    trainer = Trainer.create(training)
    trainer.restore()
    assert len(trainer.history) == 2
    assert trainer.soup
    train(training, silent)
    for one, other in zip(whole, trained_network(training).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(history, pd.read_csv(training.folder / "history.csv").drop(columns="seconds"))


def test_what_predicts_are_the_running_means(opened: Open) -> None:
    trainer = Trainer.create(Training(opened(), JOB))
    trainer.restore()
    trainer.run_epoch(silent, lambda: False)
    means = [np.array(each) for each in averages_of(trainer.model)]
    last = [np.array(each) for each in trainer.model.trainable_variables]
    assert any(np.abs(a - b).max() > 0 for a, b in zip(means, last, strict=True))
    said = dict(zip(map(id, trainer.model.variables), trainer.predicting(), strict=True))
    for variable, mean in zip(trainer.model.trainable_variables, means, strict=True):
        np.testing.assert_array_equal(said[id(variable)], mean)


def test_a_soup_is_the_mean_of_the_last_epochs(opened: Open) -> None:
    training = Training(opened(), JOB)
    trainer, found = Trainer.create(training), []
    trainer.restore()
    while trainer.wants_more():
        trainer.run_epoch(silent, lambda: False)
        found.append(trainer.predicting())
    trainer.finish()
    last = [(a + b) / 2 for a, b in zip(*found[1:], strict=True)]
    values = dict(zip(map(id, trainer.model.variables), last, strict=True))
    for variable, weight in zip(trainer.trained_part.weights, trained_network(training).get_weights(), strict=True):
        np.testing.assert_allclose(weight, values[id(variable)], rtol=1e-6, atol=1e-9)
    assert (
        np.abs(
            values[id(trainer.trained_part.weights[-2])]
            - dict(zip(map(id, trainer.model.variables), found[2], strict=True))[id(trainer.trained_part.weights[-2])]
        ).max()
        > 1e-7
    )


def test_photos_for_crops_are_stored_at_their_own_size(opened: Open, tiny: Tiny) -> None:
    run = opened()
    assert (tiny.run / "pixels" / "48" / "train.npy").exists()
    assert (tiny.run / "pixels" / str(run.settings.variants["finetuned"].image_size) / "test.npy").exists()
    images = Trainer.create(Training(run, JOB)).course.batches(0)[0][0]
    assert images.shape[1:] == (run.settings.variants["finetuned"].image_size,) * 2 + (3,)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["training.live=1.0"], "live and mix alter pixels"),
        (["variants.original.average=0.9"], "not apply to a head"),
        (["variants.finetuned.solver=logistic"], "fits a head"),
        (["variants.original.solver=logistic", "variants.original.label_smoothing=0.1"], "label_smoothing"),
        (["variants.original.solver=logistic", "features.store=false"], "features.store must be true"),
        (["variants.original.soup=1"], "not apply to a head"),
        (["finetuning.soup=9"], "more than the number of epochs"),
        (["training.inner_split=0.2", "finetuning.soup=1"], "chooses one of them"),
        (["finetuning.crop_from=8"], "at least 32"),
        (["variants.original.predict_sizes=[64]"], "needs train_from"),
        (["finetuning.predict_sizes=[64, 64]"], "a size twice"),
    ],
)
def test_what_does_not_go_together_is_refused(tiny: Tiny, overrides: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        tiny.settings(*overrides)


@pytest.mark.long
def test_it_predicts_at_other_sizes_than_it_was_trained_at(opened: Open) -> None:
    run = opened()
    train(Training(run, JOB), silent)
    assert Training(opened("finetuning.predict_sizes=[32, 64]"), JOB).is_trained  # what is predicted changes no weights
    both = Training(opened("finetuning.predict_sizes=[32, 64]"), JOB)
    predict_job(both, silent)
    with np.load(both.predictions) as stored:
        found = stored["oof"]
    predict_job(Training(run, JOB), silent)
    with np.load(both.predictions) as stored:
        np.testing.assert_array_equal(found[:2], stored["oof"])
    photos = PackedRows([both.data.path(Pass("train", size=64))]).read(both.held_rows)
    wanted = trained_network(both, 64).predict(photos, verbose=0)
    np.testing.assert_allclose(found[2], wanted, atol=1e-5)
    assert np.abs(found[2] - found[0]).max() > 1e-4
    assert both.prediction_inputs()["prediction"]["views"] == ["identity", "hflip", "identity@64", "hflip@64"]


@pytest.mark.long
def test_a_kept_network_predicts_the_same_at_another_size(opened: Open) -> None:
    training = Training(opened("finetuning.predict_sizes=[64]"), JOB)
    train(training, silent)
    predict_job(training, silent)
    alone = training.predictions.read_bytes()
    with network_of(training) as network:
        for _ in range(2):
            training.predictions_meta.unlink()
            predict_job(training, silent, network)
            assert training.predictions.read_bytes() == alone
