"""Heads trained together: the same bytes as alone, and to rounding what Keras learns."""

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
from ripik.features.batches import ArrayRows
from ripik.features.row_memory import RowMemory
from ripik.features.store import Pass
from ripik.models.variables import digest_of
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training import checkpoint, pipeline
from ripik.training.head_session import HeadSession
from ripik.training.heads import predict_head, train_heads, work
from ripik.training.jobs import Training, trainings_of
from ripik.training.network import trained_network
from trainings_here import prepare_here, silent

Open = Callable[..., Run]
SHORT = ("training.epochs=3", "training.batch_size=4", "augmentation.copies=2")
HARD = ("network.dropout=0.3", "training.inner_split=0.4", "training.label_smoothing=0.1")


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


@pytest.mark.parametrize(("variant", "overrides"), [("original", HARD), ("augmented", ("training.copies_per_epoch=2",))])
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
