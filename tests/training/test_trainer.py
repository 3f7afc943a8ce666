"""Training one job: exact resumption, the inner split, class weights, and what the folder holds."""

import errno
import os
import re
import shutil
import struct
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from test_event_log import read

from conftest import Drawn, Tiny, write_competition
from ripik.errors import InputError, OutOfTimeError, SurroundingsError
from ripik.execution import time_limit
from ripik.execution.locks import look, present
from ripik.execution.signals import TERMINATED
from ripik.execution.task import Task
from ripik.features.batches import Batches
from ripik.features.frozen_passes import check_networks, check_space, fill_store
from ripik.features.prepare import prepare
from ripik.features.store import Pass, Reading, VariantData, training_passes
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.packed_array import HEADER, checksums_path
from ripik.storage.paths import Job
from ripik.training import checkpoint
from ripik.training.examples import Course, class_weights, inner_split
from ripik.training.jobs import Training, job_seed
from ripik.training.network import trained_network
from small_network import FEATURES
from trainings_here import predict_job, prepare_here, session_of, silent, starting_network, train, work

Open = Callable[..., Run]
SHORT = ("training.epochs=3", "training.batch_size=8", "augmentation.copies=2")


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Path:
    """Return the output folder of a run whose stores are filled, to copy from."""
    first = write_competition(tmp_path_factory.mktemp("stores"), drawn)
    first.write_folds()
    return prepare_here(first.settings(*SHORT)).layout.run


@pytest.fixture
def opened(tiny: Tiny, stores: Path) -> Open:
    """Return what opens the tiny competition's run, with overrides, its stores filled."""
    shutil.copytree(stores, tiny.run)
    tiny.write_folds()
    return lambda *overrides: prepare_here(tiny.settings(*SHORT, *overrides))


def weights(run: Run, job: Job) -> list[np.ndarray]:
    return trained_network(Training(run, job)).get_weights()


class StoppedError(Exception):
    """What stands for a kill."""


def stop_after(epochs: int):  # type: ignore[no-untyped-def]
    def report(done: int, total: int, note: str = "") -> None:
        if done == epochs:
            raise StoppedError

    return report


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what, once set, ends a training as SIGTERM does in a job's process (see test_stopping), without a signal.

    A signal kills the process that runs the tests where AMX is in use: the alternate stack of pytest's faulthandler is
    too small for its state.
    """
    event = threading.Event()

    @contextmanager
    def noticing() -> Iterator[Callable[[], bool]]:
        event.clear()
        yield event.is_set
        if event.is_set():
            sys.exit(TERMINATED)

    for module in ("trainer", "heads"):
        monkeypatch.setattr(f"ripik.training.{module}.noticing", noticing)
    return event


def ask_within(epoch: int, asked: threading.Event):  # type: ignore[no-untyped-def]
    """Return a reporter that asks the training to end after the first batch of an epoch (from 1)."""

    def report(done: float, total: int, note: str = "") -> None:
        if epoch - 1 < done < epoch:
            asked.set()

    return report


@pytest.mark.parametrize(
    ("variant", "overrides"),
    [
        ("original", ["network.dropout=0.3", "training.inner_split=0.3", "training.learning_rate=0.3"]),
        ("augmented", ["training.copies_per_epoch=1"]),
        pytest.param(
            *("finetuned", ["variants.finetuned.train_from=block7a", "finetuning.batch_size=4"]),
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_training_terminated_within_its_epochs_ends_with_the_same_files(
    opened: Open, asked: threading.Event, variant: str, overrides: list[str]
) -> None:
    run = opened("training.batch_size=4", *overrides)
    job, start = Job(variant, 1), Job("original", 1)
    if variant == "finetuned":
        train(Training(run, start), silent)
    train(Training(run, job), silent)
    folder = run.layout.job(job)
    whole = [weights_of(folder / name) for name in ("last.weights.h5", "best.weights.h5")]
    history = pd.read_csv(folder / "history.csv")
    shutil.rmtree(folder)
    for epoch in (1, 2, 3):
        with pytest.raises(SystemExit, match=str(TERMINATED)):
            train(Training(run, job), ask_within(epoch, asked))
        saved = checkpoint.peek(run.layout.state(job), Training(run, job).inputs())
        assert saved is not None
        assert (len(saved.history), saved.batches) == (epoch - 1, 1)
    train(Training(run, job), silent)
    for before, name in zip(whole, ("last.weights.h5", "best.weights.h5"), strict=True):
        after = weights_of(folder / name)
        assert before.keys() == after.keys()
        for key in before:
            np.testing.assert_array_equal(before[key], after[key])
    again = pd.read_csv(folder / "history.csv")
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), again.drop(columns="seconds"))


def weights_of(path: Path) -> dict[str, np.ndarray]:
    """Return every array of an HDF5 file."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_the_time_limit_stops_before_an_epoch_that_would_not_fit(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    run, job = opened(), Job("original", 0)
    train(Training(run, job), silent)
    whole = weights(run, job)
    shutil.rmtree(run.layout.job(job))
    remaining = iter([1000.0, 1e-9])  # seconds before the first epoch and before the second
    with monkeypatch.context() as patched:
        patched.setattr(time_limit, "left", lambda: next(remaining))
        with pytest.raises(OutOfTimeError, match="run the same command again"):
            train(Training(run, job), silent)
    saved = checkpoint.peek(run.layout.state(job), Training(run, job).inputs())
    assert saved is not None
    assert len(saved.history) == 1
    train(Training(run, job), silent)
    for one, other in zip(whole, weights(run, job), strict=True):
        np.testing.assert_array_equal(one, other)


def damage_largest_array(packed: Path) -> None:
    """Flip a bit in the midst of a packed file's largest array; its other bytes may say nothing, such as a date."""
    with zipfile.ZipFile(packed) as arrays:
        largest = max(arrays.infolist(), key=lambda info: info.compress_size)
    content = bytearray(packed.read_bytes())
    name, extra = struct.unpack_from("<HH", content, largest.header_offset + 26)
    content[largest.header_offset + 30 + name + extra + largest.compress_size // 2] ^= 1
    packed.write_bytes(content)


def test_a_damaged_state_begins_anew(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    run, job = opened(), Job("original", 0)
    with pytest.raises(StoppedError):
        train(Training(run, job), stop_after(2))
    state = run.layout.state(job)
    damage_largest_array(state)
    trainer = session_of(Training(run, job))
    trainer.restore()
    assert trainer.history == []
    told = " ".join(capsys.readouterr().err.split())
    assert "state.npz is damaged, or from another version: this training restarts from the beginning" in told


def test_a_state_that_cannot_be_read_now_is_kept(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    run, job = opened(), Job("original", 0)
    with pytest.raises(StoppedError):
        train(Training(run, job), stop_after(2))
    kept = run.layout.state(job).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "testzip", mock.Mock(side_effect=OSError(errno.ESTALE, "Stale file handle")))
        with pytest.raises(OSError, match="Stale file handle"):
            session_of(Training(run, job)).restore()
    assert run.layout.state(job).read_bytes() == kept
    again = session_of(Training(run, job))
    again.restore()
    assert len(again.history) + again.progress.batches > 0


def test_an_inner_split_leaves_every_class_to_train_on(opened: Open) -> None:
    run, job = opened("training.inner_split=0.4"), Job("original", 0)
    training = Training(run, job)
    targets, groups = run.training_targets().copy(), run.folds["group"].to_numpy()
    only = groups[training.rows][0]
    targets[training.rows] = np.where(groups[training.rows] == only, 2, targets[training.rows] % 2)
    held = set()
    for seed in range(12):
        with (
            mock.patch.object(type(run), "training_targets", return_value=targets),
            mock.patch.object(Training, "seed", seed),
        ):
            rows, inner = inner_split(training)
        assert set(targets[training.rows]) == set(targets[rows])
        assert sorted([*rows, *inner]) == sorted(training.rows)
        held |= set(groups[inner])
    assert only not in held
    assert len(held) > 1


@pytest.mark.parametrize(
    ("variant", "override"),
    [
        ("original", "network.dropout=0.3"),
        ("augmented", "training.copies_per_epoch=1"),
        ("finetuned", "variants.finetuned.train_from=block7a"),
    ],
)
def test_a_resumed_training_ends_with_the_same_weights(opened: Open, variant: str, override: str) -> None:
    run = opened(override)
    job, start = Job(variant, 1), Job("original", 1)
    if variant == "finetuned":
        train(Training(run, start), silent)
    train(Training(run, job), silent)
    whole = weights(run, job)
    history = pd.read_csv(run.layout.job(job) / "history.csv")
    for path in run.layout.job(job).glob("*.*"):
        path.unlink()
    with pytest.raises(StoppedError):
        train(Training(run, job), stop_after(2))
    assert not Training(run, job).is_trained
    train(Training(run, job), silent)
    assert Training(run, job).is_trained
    for one, other in zip(whole, weights(run, job), strict=True):
        np.testing.assert_array_equal(one, other)
    again = pd.read_csv(run.layout.job(job) / "history.csv")
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), again.drop(columns="seconds"))


def test_a_state_of_other_settings_is_not_gone_on_from(opened: Open) -> None:
    job = Job("original", 0)
    with pytest.raises(StoppedError):
        train(Training(opened(), job), stop_after(2))
    trainer = session_of(Training(opened("training.learning_rate=0.02"), job))
    trainer.restore()
    assert trainer.history == []


def test_the_folder_of_a_finished_job(opened: Open) -> None:
    run, job = opened("training.epochs=12", "network.dropout=0"), Job("original", 0)
    train(Training(run, job), silent)
    folder = run.layout.job(job)
    names = {path.name for path in folder.iterdir()}
    assert names == {"state.npz", "history.csv", "best.weights.h5", "last.weights.h5", "meta.json", "logs"}
    assert list((folder / "logs").rglob("events*"))
    history = pd.read_csv(folder / "history.csv")
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    meta = artifacts.read_json(folder / "meta.json")
    assert meta["inputs"] == Training(run, job).inputs()
    assert meta["outputs"]["last.weights.h5"] == artifacts.file_digest(folder / "last.weights.h5")


def test_finetuning_starts_from_the_weights_of_the_same_fold(opened: Open) -> None:
    run = opened()
    for fold in (0, 1):
        train(Training(run, Job("original", fold)), silent)
        start = starting_network(Training(run, Job("finetuned", fold)))
        for one, other in zip(start.get_layer("head").get_weights(), weights(run, Job("original", fold)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_no_training_row_of_a_job_is_a_held_one_or_its_copy(opened: Open) -> None:
    run = opened("training.inner_split=0.4")
    for fold in range(3):
        job = Job("original", fold)
        rows, inner = inner_split(Training(run, job))
        held = Training(run, job).held_rows
        groups = run.folds["group"].to_numpy()
        assert sorted([*rows, *inner, *held]) == list(range(len(run.folds)))
        assert len(inner)
        assert not set(groups[rows]) & set(groups[inner])
        assert not set(groups[[*rows, *inner]]) & set(groups[held])


def test_an_inner_split_chooses_the_epoch_and_the_weights(opened: Open) -> None:
    run, job = opened("training.inner_split=0.4", "training.epochs=4"), Job("original", 0)
    train(Training(run, job), silent)
    history = pd.read_csv(run.layout.job(job) / "history.csv")
    assert {"inner_loss", "inner_macro_f1"} <= set(history.columns)
    assert artifacts.read_json(run.layout.job(job) / "meta.json")["best_epoch"] == history["inner_loss"].idxmin() + 1
    assert Training(run, job).weights.name == "best.weights.h5"


def test_early_stopping_ends_after_epochs_without_gain(opened: Open) -> None:
    overrides = ("training.inner_split=0.4", "training.early_stopping=2", "training.epochs=50")
    run, job = opened(*overrides, "training.learning_rate=3.0", "training.schedule=constant"), Job("original", 0)
    train(Training(run, job), silent)
    losses = pd.read_csv(run.layout.job(job) / "history.csv")["inner_loss"]
    assert len(losses) < 50
    assert len(losses) == losses.idxmin() + 1 + 2


def test_class_weights(opened: Open) -> None:
    run = opened()
    variant = run.settings.variants["original"]
    rows = np.flatnonzero(run.targets() != 2)[:15]
    assert class_weights(run, variant, rows) is None
    balanced = class_weights(run, variant.model_copy(update={"class_weights": "balanced"}), rows)
    counts = np.bincount(run.targets()[rows], minlength=3)
    there = counts > 0
    np.testing.assert_array_equal(balanced[there], 15 / (3 * counts[there]))
    given = variant.model_copy(update={"class_weights": {"3": 2.5}})
    np.testing.assert_array_equal(class_weights(run, given, rows), [1, 1, 2.5])
    with pytest.raises(InputError, match="'7' is not a class"):
        class_weights(run, variant.model_copy(update={"class_weights": {"7": 1.0}}), rows)


def test_seeds_differ_by_fold_and_seed_number(tiny: Tiny) -> None:
    variant = tiny.settings().variants["original"]
    jobs = [Job("original", fold, seed) for fold in (0, 1, None) for seed in (0, 1)]
    assert len({job_seed(variant, job) for job in jobs}) == 6


def test_oof_and_test_go_through_the_same_views(opened: Open) -> None:
    """A flipped view of a photo equals the plain view of the flipped photo, for held rows and test rows alike."""
    run, job = opened(), Job("original", 0)
    train(Training(run, job), silent)
    predict_job(Training(run, job), silent)
    with np.load(run.layout.job(job) / "predictions.npz") as found:
        assert found["oof"].shape == (2, len(Training(run, job).held_rows), 3)
        assert found["test"].shape == (2, len(run.competition.test), 3)
        np.testing.assert_allclose(found["oof"].sum(axis=2), 1, atol=1e-5)
        variant = run.settings.variants["original"]
        trained_part = trained_network(Training(run, job))
        for split, rows in (("train", Training(run, job).held_rows), ("test", np.arange(len(run.competition.test)))):
            for number, view in enumerate(run.settings.prediction.views):
                item = Pass(split, view=view)
                features = np.load(Reading(run.settings, variant).path(item))[rows]
                expected = keras.ops.convert_to_numpy(trained_part(features, training=False))
                key = "oof" if split == "train" else "test"
                np.testing.assert_allclose(found[key][number], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "cut"), [("augmented", "head"), pytest.param("original", "block7a", marks=pytest.mark.long)]
)
def test_without_the_store_the_predictions_are_the_same(opened: Open, variant: str, cut: str) -> None:
    """Frozen layers run again in every epoch come to what training on their stored outputs does."""
    job, found = Job(variant, 0), []
    for store in ("true", "false"):
        cut_there = f"variants.{variant}.train_from={cut}"
        run = opened(f"features.store={store}", cut_there, "finetuning.batch_size=8", "network.dropout=0")
        assert Reading(run.settings, run.settings.variants[variant]).from_pixels == (store == "false")
        assert not Training(run, job).is_trained
        train(Training(run, job), silent)
        predict_job(Training(run, job), silent)
        with np.load(run.layout.job(job) / "predictions.npz") as predictions:
            found.append(np.concatenate([predictions["oof"], predictions["test"]], axis=1))
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_a_refit_is_trained_and_predicts_the_test_set_alone(opened: Open) -> None:
    run, job = opened("training.refit=true"), Job("original", None)
    train(Training(run, job), silent)
    predict_job(Training(run, job), silent)
    with np.load(run.layout.job(job) / "predictions.npz") as found:
        assert found["oof"].shape == (2, 0, 3)
        assert found["test"].shape == (2, len(run.competition.test), 3)


@pytest.mark.parametrize("change", ["a photo", "the order of train.csv"])
def test_a_job_refuses_stores_of_other_data(opened: Open, tiny: Tiny, change: str) -> None:
    run, job = opened(), Job("original", 0)
    train(Training(run, job), silent)
    if change == "a photo":
        os.utime(run.competition.train["path"][0])
    else:
        tiny.edit(tiny.train_csv, lambda frame: frame.iloc[::-1])
    changed = Run.open(run.settings)
    for step in (train, predict_job):
        with pytest.raises(
            InputError, match=r"original/fold0: the stored images or features of train .*made from other"
        ):
            step(Training(changed, job), silent)
    assert not Training(changed, job).is_trained


def test_raising_a_version_makes_trainings_stale(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    run, jobs = opened(), [Job("original", 0), Job("augmented", 0)]
    for job in jobs:
        train(Training(run, job), silent)
    assert all(Training(run, job).is_trained for job in jobs)
    monkeypatch.setattr("ripik.features.pixels.PIPELINE", 1000)
    assert [Training(run, job).is_trained for job in jobs] == [True, False]
    monkeypatch.setattr("ripik.features.pixels.VERSION", 1000)
    assert [Training(run, job).is_trained for job in jobs] == [False, False]


def test_a_row_damaged_late_in_an_epoch_stops_the_training_with_its_message(opened: Open) -> None:
    run, job = opened("training.batch_size=1", "augmentation.copies=2"), Job("augmented", 0)
    path = Reading(run.settings, run.settings.variants["augmented"]).path(Pass("train", copies=True))
    examples, photos = (
        Course(Training(run, job), Training(run, job).rows).batches(0).examples,
        len(run.competition.train),
    )
    late = examples[examples >= photos][-1] - photos
    content = bytearray(path.read_bytes())
    content[HEADER + int(late) * FEATURES * 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(SurroundingsError, match="does not match its checksum"):
        train(Training(run, job), silent)


def test_a_stopped_pass_ends_with_the_bytes_of_a_whole_one(opened: Open) -> None:
    run = opened("prediction.batch_size=4")
    variant = run.settings.variants["original"]
    path = Reading(run.settings, variant).path(Pass("test"))
    artifacts.meta_beside(path).unlink()  # the fixture's pass was in other batches
    fill_store([VariantData(run, variant)], (0, 1), silent)
    whole = path.read_bytes()
    numbers = np.fromfile(checksums_path(path), "<u4")
    for lost in ([1], [0, 5], list(range(2, len(numbers)))):
        numbers_now = numbers.copy()
        numbers_now[lost] = 0
        numbers_now.tofile(checksums_path(path))
        fill_store([VariantData(run, variant)], (0, 1), silent)
        assert path.read_bytes() == whole


def test_passes_over_the_test_set_need_no_pixels_of_the_training_images(opened: Open) -> None:
    run = opened()
    variant = run.settings.variants["original"]
    reading = Reading(run.settings, variant)
    path = reading.path(Pass("test"))
    whole = path.read_bytes()
    for file in (path, artifacts.meta_beside(path), checksums_path(path)):
        file.unlink()
    for pass_ in reading.passes:
        if pass_.split == "train":
            reading.pixels_path(pass_).unlink(missing_ok=True)
    fill_store([VariantData(run, variant)], (0, 1), silent)
    assert path.read_bytes() == whole


def test_two_engines_do_not_feed_one_variant(opened: Open) -> None:
    run = opened()
    variant = run.settings.variants["original"]
    meta = artifacts.meta_beside(Reading(run.settings, variant).path(Pass("train")))
    told = artifacts.read_meta(meta)
    artifacts.write_meta(meta, **{**told, "engine": told["engine"] | {"name": "openvino 2020"}})
    more = run.settings.model_copy(
        update={"prediction": run.settings.prediction.model_copy(update={"views": ("identity", "rot90")})}
    )
    with pytest.raises(
        InputError, match=r"train\.npy was computed by openvino 2020.*, and keras .* would compute the rest"
    ) as refused:
        fill_store([VariantData(replace(run, settings=more), variant)], (0, 1), silent)
    pinned = run.settings.prediction.engine == "keras"
    assert ("prediction.engine" in str(refused.value)) is not pinned


def test_an_infinite_output_is_refused(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened()
    settings = run.settings.model_copy(
        update={"features": run.settings.features.model_copy(update={"dtype": "float16"})}
    )
    monkeypatch.setattr(
        "ripik.models.engines.Predictor.stream",
        lambda self, batches: (np.full((len(b), FEATURES), 7e4) for b in batches),
    )
    with pytest.raises(InputError, match=r'is NaN or infinite; set features\.dtype = "float32"'):
        fill_store([VariantData(replace(run, settings=settings), settings.variants["original"])], (0, 1), silent)


def test_half_precision_halves_the_store_and_hardly_moves_a_prediction(opened: Open) -> None:
    job, found, sizes = Job("original", 0), [], []
    for dtype in ("float32", "float16"):
        run = opened(f"features.dtype={dtype}")
        train(Training(run, job), silent)
        predict_job(Training(run, job), silent)
        path = Reading(run.settings, run.settings.variants["original"]).path(Pass("train"))
        sizes.append(np.load(path).nbytes)
        with np.load(run.layout.job(job) / "predictions.npz") as predictions:
            found.append(predictions["oof"])
    assert sizes[0] == 2 * sizes[1]
    np.testing.assert_allclose(found[0], found[1], atol=0.01)


def test_a_disk_too_small_is_told_before_anything_is_stored(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened()
    settings = run.settings.model_copy(
        update={"augmentation": run.settings.augmentation.model_copy(update={"copies": 7})}
    )
    variant = settings.variants["augmented"].model_copy(update={"train_from": "block6a"})
    free = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr("ripik.features.frozen_passes.shutil.disk_usage", lambda path: free)
    with pytest.raises(SurroundingsError, match=r"would store \d+ MiB .*fewer augmentation\.copies.*later train_from"):
        check_networks([VariantData(replace(run, settings=settings), variant)], silent)


def test_the_space_a_store_needs_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = type("Usage", (), {"free": 3 * 2**30})
    monkeypatch.setattr("ripik.features.frozen_passes.shutil.disk_usage", lambda path: free)
    check_space(tmp_path / "not" / "there", {tmp_path / "not" / "there" / "a": 3 * 2**30})
    with pytest.raises(
        SurroundingsError, match=r"would store 4\.0 GiB in .*3\.5 GiB of them in a.* only 3\.0 GiB are free"
    ):
        check_space(tmp_path, {tmp_path / "a": 7 * 2**29, tmp_path / "b": 2**29})


def test_the_store_is_fresh_until_its_inputs_change(opened: Open) -> None:
    run = opened()
    variant = run.settings.variants["original"]
    paths: list[Path] = [Reading(run.settings, variant).path(item) for item in Reading(run.settings, variant).passes]
    assert all(path.exists() for path in paths)
    made = [path.stat().st_mtime_ns for path in paths]
    fill_store([VariantData(run, variant)], (0, 1), silent)
    assert [path.stat().st_mtime_ns for path in paths] == made
    item, other = Reading(run.settings, variant).passes[:2]
    meta = artifacts.meta_beside(Reading(run.settings, variant).path(item))
    assert artifacts.is_fresh(meta, VariantData(run, variant).feature_inputs(item))
    assert not artifacts.is_fresh(meta, VariantData(run, variant).feature_inputs(other))


def test_prepare_leaves_nothing_to_do_when_all_is_there(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened()
    started: list[Task] = []
    monkeypatch.setattr("ripik.training.pipeline.execute", lambda tasks, settings: started.extend(tasks))
    prepare(run, list(run.settings.variants.values()))
    assert started == []


def test_an_interrupted_other_training_leaves_nothing_that_passes_for_the_first(opened: Open) -> None:
    job = Job("original", 0)
    first = opened("training.inner_split=0.4")
    train(Training(first, job), silent)
    assert Training(first, job).is_trained
    with pytest.raises(StoppedError):
        train(Training(opened("training.inner_split=0.4", "training.learning_rate=0.1"), job), stop_after(2))
    assert not Training(opened("training.inner_split=0.4"), job).is_trained


def test_a_state_belongs_to_the_folds_that_were_read(opened: Open) -> None:
    """Folds replaced during a training must not make its weights pass for those of the new folds."""
    job, run = Job("original", 0), opened()
    path = run.layout.folds
    before = pd.read_csv(path)["fold"]

    def replace_folds(done: int, total: int, note: str = "") -> None:
        folds = pd.read_csv(path)
        if done == 1 and folds["fold"].equals(before):
            folds.assign(fold=(folds["fold"] + 1) % 3).to_csv(path, index=False)
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(Training(run, job), replace_folds)
    again = session_of(Training(opened(), job))
    again.restore()
    assert again.history == []


def test_a_loss_that_is_no_number_stops_the_training(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    run, job = opened(), Job("original", 0)
    good = Batches.make
    monkeypatch.setattr(Batches, "make", lambda self, index: (good(self, index)[0] * np.nan, good(self, index)[1]))
    with pytest.raises(InputError, match=r"original/fold0: the loss became NaN or infinite.*learning_rate"):
        train(Training(run, job), silent)
    assert not Training(run, job).is_trained


def test_the_photo_itself_stands_among_its_copies_unless_it_is_not_to(tiny: Tiny) -> None:
    variant = tiny.settings().variants["augmented"]
    assert training_passes(variant) == [Pass("train"), Pass("train", copies=True)]
    assert training_passes(variant.model_copy(update={"with_original": False})) == [Pass("train", copies=True)]
    assert training_passes(variant.model_copy(update={"data": "original"})) == [Pass("train")]


class Listener:
    """Keeps what a training reports."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, int, str]] = []

    def __call__(self, done: float, total: int, note: str = "") -> None:
        self.heard.append((done, total, note))


def test_a_training_reports_parts_of_epochs_with_loss_score_and_rate(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ripik.training.signs.SECONDS", 0.0)
    run, job, listener = opened("training.batch_size=2", "training.inner_split=0.4"), Job("original", 0), Listener()
    train(Training(run, job), listener)
    done = [heard[0] for heard in listener.heard]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == 3
    batches = -(-len(session_of(Training(run, job)).course.rows) // 2)
    assert {round(part % 1 * batches) for part in done} == set(range(batches))
    assert all(isinstance(part, float) and total == 3 for part, total, _ in listener.heard)
    within = [note for part, _, note in listener.heard if part > 1 and part % 1]
    told = r"epoch [23]/3, loss \d+\.\d{3}, accuracy [01]\.\d{3}, inner macro_f1 [01]\.\d{3}, \d+ images/s"
    assert any(re.fullmatch(told, note) for note in within)
    history = pd.read_csv(run.layout.job(job) / "history.csv").iloc[-1]
    last = f"epoch 3/3, loss {history['loss']:.3f}, accuracy {history['accuracy']:.3f}"
    assert listener.heard[-1][2] == f"{last}, inner macro_f1 {history['inner_macro_f1']:.3f}"


def test_a_resumed_training_reports_from_where_it_goes_on(opened: Open) -> None:
    run, job, listener = opened(), Job("original", 0), Listener()
    with pytest.raises(StoppedError):
        train(Training(run, job), stop_after(2))
    train(Training(run, job), listener)
    assert listener.heard[0][:2] == (2.0, 3)
    assert re.match(r"epoch 3/3, loss \d", listener.heard[0][2])


def test_the_tensorboard_logs_of_a_resumed_training(opened: Open) -> None:
    run, job = opened("training.inner_split=0.4", "training.batch_size=4"), Job("original", 0)
    with pytest.raises(StoppedError):
        train(Training(run, job), stop_after(2))
    train(Training(run, job), silent)
    folder = run.layout.job(job)
    assert len(list((folder / "logs").iterdir())) == 2  # one a session
    found = read(folder / "logs")
    history = pd.read_csv(folder / "history.csv")
    for name in ("loss", "accuracy", "inner_loss", "inner_macro_f1"):
        steps, values = zip(*found[f"epoch/{name}"], strict=True)
        assert steps == (1, 2, 3)
        np.testing.assert_allclose(values, history[name], rtol=1e-6)
    trainer = session_of(Training(run, job))
    batches = trainer.course.epoch_steps
    assert [step for step, _ in found["batch/loss"]] == list(range(1, 3 * batches + 1))
    expected = [trainer.course.rate(step) for step in range(1, 3 * batches + 1)]
    np.testing.assert_allclose([value for _, value in found["batch/learning_rate"]], expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose([value for _, value in found["epoch/learning_rate"]], expected[batches - 1 :: batches])


def test_a_job_makes_itself_known_while_it_works(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.execution.locks.SECONDS_BETWEEN_WRITES", 0.0)
    run, job = opened(), Job("original", 0)
    path, seen = run.layout.running(job), []

    def watch(done: float, total: int, note: str = "") -> None:
        seen.append(look(path))

    history = work(run, job, watch)
    assert re.fullmatch(r"loss \d+\.\d{3}, accuracy \d\.\d{3}", history)
    assert all(found and found.alive and found.pid == os.getpid() for found in seen)
    notes = [found.note for found in seen if found]
    assert notes[0] == "epoch 1/3"
    assert notes[-1].startswith("predicted test 2/2")
    assert not path.exists()
    assert work(run, job, silent) == history


def test_a_job_that_another_process_does_is_refused(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.execution.locks.PAUSE", 0.001)
    run, job = opened(), Job("original", 0)
    with (
        present(run.layout.running(job), str(job)),
        pytest.raises(SurroundingsError, match=r"original/fold0 is already being worked on \(host"),
    ):
        work(run, job, silent)
    assert not run.layout.job(job).exists()


def test_a_failed_job_is_no_longer_known(opened: Open) -> None:
    run, job = opened(), Job("original", 0)
    with pytest.raises(StoppedError):
        work(run, job, stop_after(1))
    assert not run.layout.running(job).exists()
