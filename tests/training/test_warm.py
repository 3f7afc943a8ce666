"""Jobs that a process does one after the other leave what processes of their own would, to the last bit."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from conftest import Drawn, Tiny, copy_of, write_competition
from trainings_here import prepare_here

SCRIPT = Path(__file__).parents[1] / "jobs_in_turn.py"
SHORT = ("training.epochs=3", "training.batch_size=8", "finetuning.batch_size=4", "augmentation.copies=2")
BLOCK = "variants.finetuned.train_from=block7a"
INNER = ("training.inner_split=0.3", "finetuning.early_stopping=1", "finetuning.learning_rate=0.3")
BALANCED = "finetuning.class_weights=balanced"
DROPOUT = "network.dropout=0.4"


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Tiny:
    """Return the tiny competition with its stores filled, and the trainings that `finetuned` starts from done."""
    tiny = write_competition(tmp_path_factory.mktemp("started") / "tiny", drawn)
    folds = tiny.write_folds()
    folds.loc[folds["group"] == 4, "fold"] = 0  # folds of 12, 6 and 9 rows: trainings of unequal steps
    folds.to_csv(tiny.run / "folds.csv", index=False)
    prepare_here(tiny.settings(*SHORT))
    prepare_here(tiny.settings(*SHORT, BLOCK))
    in_turn(tiny, *(f"original/{fold} done" for fold in range(3)))
    (tiny.folder / "submissions").mkdir()
    return tiny


def in_turn(tiny: Tiny, *jobs: str, overrides: tuple[str, ...] = ()) -> str:
    """Do jobs one after the other in one process; return how many networks it built and compiled."""
    words = [" ".join([*job.split(" ")[:2], *SHORT, *overrides, *job.split(" ")[2:]]) for job in jobs]
    command = [sys.executable, str(SCRIPT), str(tiny.config), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def made(tiny: Tiny, name: str) -> dict[str, np.ndarray]:
    """Return every number that a job left: weights and what else their files hold, history, predictions."""
    folder = tiny.run / name.replace("/", "/fold")
    found = {}
    for path in folder.glob("*.h5"):
        with h5py.File(path) as file:
            file.visititems(
                lambda place, item, stem=path.name: (
                    found.update({f"{stem} {place}": item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
    with np.load(folder / "predictions.npz") as predictions:
        found |= dict(predictions)
    history = pd.read_csv(folder / "history.csv").drop(columns="seconds")
    return found | {name: values.to_numpy() for name, values in history.items()}


def compare(started: Tiny, folder: Path, jobs: Sequence[str], *overrides: str, before: str = "") -> str:
    """Hold that the last of the jobs, done in turn, leaves what it does in a process of its own.

    before: a job done beforehand, in another process, for either. Returns what `in_turn` does of all jobs.
    """
    both, told = [], ""
    for chosen in (jobs[-1:], jobs):
        tiny = copy_of(started, folder / f"{len(both)}")
        if before:
            in_turn(tiny, before, overrides=overrides)
        told = in_turn(tiny, *chosen, overrides=overrides)
        both.append(made(tiny, jobs[-1].split(" ")[0]))
    alone, after = both
    assert after.keys() == alone.keys()
    for name, values in alone.items():
        np.testing.assert_array_equal(after[name], values, err_msg=name)
    return told


def work_of(jobs: Sequence[str], built: int) -> str:
    """Return what `in_turn` tells of jobs for which so many networks are built; JAX compiles for each job."""
    compiled = built if keras.backend.backend() == "tensorflow" else len(jobs)
    return f"built {built}, compiled {compiled}"


@pytest.mark.long
def test_all_layers_after_jobs_of_more_steps_and_of_another_rate(started: Tiny, tmp_path: Path) -> None:
    jobs = ["finetuned/1 done", "finetuned/2 done finetuning.learning_rate=1e-4", "finetuned/0 done"]
    assert compare(started, tmp_path, jobs, DROPOUT) == work_of(jobs, 1)


@pytest.mark.long
def test_a_block_after_a_job_that_failed(started: Tiny, tmp_path: Path) -> None:
    jobs = ["finetuned/1 done", "finetuned/2 failed finetuning.learning_rate=1e30", "finetuned/0 done"]
    assert compare(started, tmp_path, jobs, BLOCK, DROPOUT, "finetuning.schedule=constant") == work_of(jobs, 2)


@pytest.mark.long
def test_early_stopping_with_class_weights_after_other_shapes(started: Tiny, tmp_path: Path) -> None:
    jobs = ["original/1 done", "finetuned/2 done", f"finetuned/1 done {BALANCED}", f"finetuned/0 done {BALANCED}"]
    assert compare(started, tmp_path, jobs, BLOCK, *INNER) == work_of(jobs, 3)


@pytest.mark.long
def test_a_training_resumed_within_an_epoch(started: Tiny, tmp_path: Path) -> None:
    jobs, stopped = ["finetuned/1 done", "finetuned/0 done"], "finetuned/0 stopped"
    assert compare(started, tmp_path, jobs, DROPOUT, *INNER, before=stopped) == work_of(jobs, 1)


@pytest.mark.long
def test_scaled_losses_resumed_at_a_constant_rate(started: Tiny, tmp_path: Path) -> None:
    jobs, stopped = ["finetuned/1 done finetuning.learning_rate=1e-3", "finetuned/0 done"], "finetuned/0 stopped"
    how = (DROPOUT, "finetuning.precision=mixed_float16", "finetuning.schedule=constant")
    assert compare(started, tmp_path, jobs, *how, before=stopped) == work_of(jobs, 1)
