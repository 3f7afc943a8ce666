"""Heads trained together: the same bytes as alone, and to rounding what Keras learns."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Drawn, Tiny, write_competition
from ripik.errors import InputError, SurroundingsError
from ripik.execution.locks import look, present
from ripik.execution.signals import TERMINATED
from ripik.execution.task import Task
from ripik.features.batches import Batches
from ripik.features.row_memory import RowMemory
from ripik.features.store import Pass
from ripik.features.tta import IDENTITY
from ripik.models.engines import make_predictor
from ripik.models.variables import digest_of
from ripik.names import KERAS
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training import checkpoint, pipeline, trainer
from ripik.training.head_session import HeadSession
from ripik.training.heads import work
from ripik.training.jobs import Training, trainings_of
from ripik.training.network import trained_network
from ripik.training.predictions import predict_rows
from trainings_here import prepare_here, silent

Open = Callable[..., Run]
SHORT = ("training.epochs=3", "training.batch_size=4", "augmentation.copies=2")
LARGEST = 3e38  # of float32 about: a step of it makes logits that overflow
HARD = ("network.dropout=0.3", "training.inner_split=0.4", "training.label_smoothing=0.1", "training.weight_decay=0.5")


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


def done(run: Run, jobs: list[Job]) -> dict[Job, list[bytes]]:
    """Do jobs in one process; return what each leaves, but for dates, seconds and logs."""
    work(run.settings, jobs, silent)
    return {job: left(run, job) for job in jobs}


def left(run: Run, job: Job) -> list[bytes]:
    """Return a job's history without seconds, the digests of its weights, its state's arrays, its predictions."""
    folder = run.layout.job(job)
    history = pd.read_csv(folder / "history.csv").drop(columns="seconds").to_csv().encode()
    digests = str(artifacts.read_json(folder / "meta.json")["weights"]).encode()
    arrays = []
    for name in ("state.npz", "predictions.npz"):
        with np.load(folder / name) as found:
            arrays += [found[key].tobytes() for key in sorted(found.files) if key != "told"]
    return [history, digests, *arrays]


@pytest.mark.parametrize(
    ("variant", "overrides"), [("original", HARD), ("augmented", ("training.copies_per_epoch=2",))]
)
def test_a_head_is_the_same_whichever_are_trained_beside_it(
    opened: Open, variant: str, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(*overrides, f"variants.{variant}.seeds=2")
    jobs = [Job(variant, fold, seed) for fold in range(3) for seed in range(2)]
    together = done(run, jobs)
    shutil.rmtree(run.layout.variant(variant))
    for some in ([jobs[0]], [jobs[4], jobs[2], jobs[5]]):
        assert done(run, some) == {job: together[job] for job in some}
    shutil.rmtree(run.layout.variant(variant))
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr("ripik.features.row_memory.SHARE", 0.0)  # read batch by batch
    assert done(run, jobs) == together


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what, once set, ends a training as SIGTERM does; no real signal, which would end the tests."""
    event = threading.Event()

    @contextmanager
    def noticing() -> Iterator[Callable[[], bool]]:
        event.clear()
        yield event.is_set
        if event.is_set():
            sys.exit(TERMINATED)

    monkeypatch.setattr("ripik.training.heads.noticing", noticing)
    return event


def test_heads_asked_to_end_within_an_epoch_end_with_the_same_bytes(
    opened: Open, asked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ripik.training.signs.SECONDS", 0.0)
    run = opened(*HARD)
    jobs = [Job("original", fold) for fold in range(3)]
    whole = done(run, jobs)
    shutil.rmtree(run.layout.variant("original"))
    reports: list[float] = []

    def ask(part: float, total: int, note: str = "") -> None:
        reports.append(part)
        if len(reports) == 5:
            asked.set()

    with pytest.raises(SystemExit, match=str(TERMINATED)):
        work(run.settings, jobs, ask)
    saved = [checkpoint.peek(run.layout.state(job), Training(run, job).inputs()) for job in jobs]
    assert any(one and one.batches for one in saved)
    assert not any(Training(run, job).is_trained for job in jobs)
    assert not run.layout.running(jobs[0]).exists()
    asked.clear()
    assert done(run, jobs) == whole


@pytest.mark.parametrize("overrides", [HARD, ("training.class_weights=balanced", "training.schedule=constant")])
def test_a_head_learns_what_keras_does_on_the_same_batches(opened: Open, overrides: tuple[str, ...]) -> None:
    run, job = opened(*overrides, "training.learning_rate=0.1"), Job("augmented", 1)
    training = Training(run, job)
    work(run.settings, [job], silent)
    folder = run.layout.job(job)
    ours, history = trained_network(training).get_weights(), pd.read_csv(folder / "history.csv")
    meta = artifacts.read_json(folder / "meta.json")
    assert meta["weights"][training.weights.name] == digest_of(trained_network(training))
    with np.load(training.predictions) as found:
        oof = found["oof"]
    shutil.rmtree(folder)
    trainer.train(training, silent)
    for one, other in zip(ours, trained_network(training).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    by_keras = pd.read_csv(folder / "history.csv")
    assert list(history.columns) == list(by_keras.columns)
    np.testing.assert_allclose(history.drop(columns="seconds"), by_keras.drop(columns="seconds"), rtol=1e-4)
    assert meta.keys() == artifacts.read_json(folder / "meta.json").keys()
    engine = make_predictor(trained_network(training), KERAS, np.empty(0))
    rows = PackedRows([training.data.path(Pass("train"))])
    np.testing.assert_allclose(oof[0], predict_rows(engine, rows, training.held_rows, IDENTITY, 8), atol=1e-5)


def test_a_head_starts_from_another(opened: Open) -> None:
    run = opened("variants.augmented.start=original")
    work(run.settings, [Job("original", 0)], silent)
    session = HeadSession.create(Training(run, Job("augmented", 0)), RowMemory())
    kernel, bias = trained_network(Training(run, Job("original", 0))).get_weights()
    np.testing.assert_array_equal(session.head.kernel, kernel)
    np.testing.assert_array_equal(session.head.bias, bias)


def test_a_head_that_diverges_ends_the_command_when_the_others_are_done(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened()
    jobs = [Job("original", fold) for fold in range(3)]
    bad, good = Training(run, jobs[1]).seed, Batches.make

    def make(self: Batches, index: int) -> tuple[np.ndarray, ...]:
        batch = good(self, index)
        return (batch[0] * np.nan, batch[1]) if self.seed[:1] == (bad,) else batch

    monkeypatch.setattr(Batches, "make", make)
    with pytest.raises(InputError, match=r"original/fold1: the loss became NaN or infinite in epoch 1\."):
        work(run.settings, jobs, silent)
    assert [Training(run, job).is_done for job in jobs] == [True, False, True]
    assert not (run.layout.at_work.parent).exists()


@pytest.mark.parametrize(
    ("inner", "told"),
    [
        ("0", "its probabilities of train photos are NaN or infinite"),
        ("0.4", "probabilities of the inner split became NaN or infinite"),
    ],
)
def test_a_last_step_that_diverges_is_told_by_its_job(opened: Open, inner: str, told: str) -> None:
    one_step = ("training.epochs=1", "training.batch_size=64", "training.schedule=constant", "training.warmup=0")
    wild = f"variants.original.learning_rate={LARGEST}"
    run, jobs = opened(*one_step, wild, f"training.inner_split={inner}"), [Job("original", fold) for fold in range(2)]
    for _ in range(2):
        with pytest.raises(InputError, match=rf"original/fold\d: {told}.*learning_rate"):
            work(run.settings, jobs, silent)
        assert not any(Training(run, job).is_predicted for job in jobs)


def test_a_head_is_predicted_anew_without_training(opened: Open) -> None:
    run, jobs = opened(), [Job("original", fold) for fold in range(2)]
    first = done(run, jobs)
    Training(run, jobs[0]).predictions.unlink()
    made = Training(run, jobs[0]).weights.stat().st_mtime_ns
    assert done(run, jobs) == first
    assert Training(run, jobs[0]).weights.stat().st_mtime_ns == made
    assert artifacts.read_json(Training(run, jobs[0]).predictions_meta)["engine"]["name"].startswith("numpy ")


def test_a_state_that_keras_saved_is_of_an_older_version(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    run, job = opened(), Job("original", 0)
    training = Training(run, job)
    with pytest.raises(RuntimeError):
        trainer.train(training, stop_after_first)
    assert checkpoint.peek(run.layout.state(job), training.inputs()) is not None
    session = HeadSession.create(training, RowMemory())
    session.restore()
    assert session.history == []
    told = " ".join(capsys.readouterr().err.split())
    assert "in float32, but this is numpy in float32: this training restarts from the beginning" in told


def test_resuming_is_told_once_with_the_epoch_and_the_batch(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    training = Training(opened(), Job("original", 0))
    session = HeadSession.create(training, RowMemory())
    session.restore()
    assert capsys.readouterr().out == ""
    for begun, told in (((), "epoch 2"), ((False, True), "epoch 2, batch 3")):
        asked = iter(begun)
        session.run_epoch(silent, lambda asked=asked: next(asked, False))  # type: ignore[misc]
        session = HeadSession.create(training, RowMemory())
        session.restore()
        assert capsys.readouterr().out == f"resuming original/fold0 at {told}\n"


def stop_after_first(part: float, total: int, note: str = "") -> None:
    if part >= 1:
        raise RuntimeError


def test_a_job_in_other_hands_leaves_the_rest_alone(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.execution.locks.PAUSE", 0.001)
    run, jobs = opened(), [Job("original", fold) for fold in range(2)]
    with (
        present(run.layout.running(jobs[1]), str(jobs[1])),
        pytest.raises(SurroundingsError, match="original/fold1 is already being worked on"),
    ):
        work(run.settings, jobs, silent)
    assert not run.layout.job(jobs[0]).exists()
    assert not run.layout.running(jobs[0]).exists()


def test_heads_report_together_and_are_seen_each(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.execution.locks.SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr("ripik.training.signs.SECONDS", 0.0)
    run, jobs = opened(), [Job("original", fold) for fold in range(3)]
    heard: list[tuple[float, int, str]] = []
    seen: list[str] = []

    def report(part: float, total: int, note: str = "") -> None:
        heard.append((part, total, note))
        seen.extend(found.note for found in map(look, map(run.layout.running, jobs)) if found)

    outcome = work(run.settings, jobs, report)
    assert any(re.fullmatch(r"epoch 2/3, loss \d\.\d{3}, accuracy \d\.\d{3}", note) for _, _, note in heard)
    parts = [part for part, _, note in heard if note.startswith("epoch")]
    assert parts[0] == 0
    assert parts[-1] == 3
    assert heard[-1] == (3, 3, "predicted test 2/2, hflip")
    assert {"epoch 1/3", "predicted test 2/2, hflip"} <= set(seen)
    last = [pd.read_csv(run.layout.job(job) / "history.csv").iloc[-1] for job in jobs]
    means = [float(np.mean([row[name] for row in last])) for name in ("loss", "accuracy")]
    assert outcome == f"loss {means[0]:.3f}, accuracy {means[1]:.3f}"


def test_the_heads_of_a_variant_are_one_task_that_its_followers_wait_for(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task] = []
    monkeypatch.setattr(pipeline, "execute", lambda some, settings: tasks.extend(some))
    run = opened("variants.original.seeds=2", "variants.original.refit=true")
    variants = [run.settings.variants[name] for name in ("original", "finetuned")]
    unfinished = [each for variant in variants for each in trainings_of(run, variant, ())]
    found = pipeline._tasks(unfinished)
    assert [task.name for task in found] == ["original: 8 heads", *(f"finetuned/fold{fold}" for fold in range(3))]
    assert {task.after for task in found[1:]} == {("original: 8 heads",)}
    assert not found[0].needs_backend
    (one,) = pipeline._tasks(trainings_of(run, run.settings.variants["augmented"], [2]))
    assert one.name == "augmented/fold2"


def test_neither_keras_nor_its_backend_is_loaded(opened: Open, tiny: Tiny) -> None:
    opened()
    overrides = [*SHORT, "network.dropout=0.3"]
    code = f"""
import sys
from pathlib import Path
from ripik.config import load_settings
from ripik.storage.paths import Job
from ripik.training.heads import work
settings = load_settings(Path({str(tiny.config)!r}), {overrides!r})
print(work(settings, [Job("original", 0), Job("original", 1)], lambda done, total, note="": None))
loaded = {{"keras", "tensorflow", "jax", "openvino"}} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
