"""One training on two devices: virtual ones of the CPU, as the backend makes them, in processes of their own."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Drawn, Tiny, write_competition
from ripik.features.batches import ArrayRows, Batches
from ripik.models.weights import read_weights
from ripik.splits.run import Run
from ripik.storage.artifacts import read_json
from ripik.storage.paths import Job
from ripik.training.jobs import Training, is_distributed
from ripik.training.trainer import train
from ripik.variants import Variant
from trainings_here import prepare_here, silent, starting_network

SCRIPT, OVERFLOW = (Path(__file__).parents[1] / name for name in ("train_on_devices.py", "overflow_on_devices.py"))
SETTINGS = (  # 18 rows to train on: the last batch of 8 has two rows, that of 5 three, which two devices cannot halve
    *("network.dropout=0", "augmentation.copies=1", "training.epochs=2", "finetuning.batch_size=5"),
    *("finetuning.learning_rate=1e-5", 'variants.finetuned.start=""', "variants.finetuned.train_from=block7a"),
    *("finetuning.distribute=data", 'finetuning.class_weights="balanced"', "training.inner_split=0.3"),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Tiny:
    """Return the tiny competition with its stores filled."""
    tiny = write_competition(tmp_path_factory.mktemp("devices") / "tiny", drawn)
    tiny.write_folds()
    prepare_here(tiny.settings(*SETTINGS))
    return tiny


def trained(tiny: Tiny, *ends: str) -> Path:
    """Train `finetuned` in its fold 0 on two devices, in a process of its own, and return the job's folder."""
    command = [sys.executable, str(SCRIPT), "2", ",".join(ends), str(tiny.config), "finetuned"]
    done = subprocess.run([*command, *SETTINGS], capture_output=True, text=True, check=False)
    assert done.returncode == (143 if ends[-1] == "stopped" else 0), done.stdout + done.stderr
    return tiny.run / "finetuned" / "fold0"


def learned(tiny: Tiny, folder: Path) -> np.ndarray:
    """Return by how much each weight has moved, all of them in a row."""
    run, job = Run.open(tiny.settings(*SETTINGS)), Job("finetuned", 0)
    trained_part = starting_network(Training(run, job))
    start = np.concatenate([values.ravel() for values in trained_part.get_weights()])
    read_weights(trained_part, folder / "last.weights.h5")
    return np.concatenate([values.ravel() for values in trained_part.get_weights()]) - start


@pytest.mark.long
def test_two_devices_learn_what_one_does_and_go_on_where_they_were_stopped(prepared: Tiny, tmp_path: Path) -> None:
    here = Training(Run.open(prepared.settings(*SETTINGS)), Job("finetuned", 0))
    train(here, silent)
    alone = here.folder.rename(tmp_path / "alone")
    trained(prepared, "done", "stopped")
    together = (prepared.run / "finetuned" / "whole").rename(tmp_path / "together")
    told = [read_json(folder / "meta.json") for folder in (alone, together)]
    assert [one["devices"] for one in told] == [1, 2]
    assert told[0]["inputs"] == told[1]["inputs"]
    losses = [pd.read_csv(folder / "history.csv") for folder in (alone, together)]
    np.testing.assert_allclose(losses[0]["inner_loss"], losses[1]["inner_loss"], rtol=1e-3)
    one, two = learned(prepared, alone), learned(prepared, together)
    assert np.linalg.norm(two - one) < 0.1 * np.linalg.norm(one)
    assert not (prepared.run / "finetuned" / "fold0" / "meta.json").exists()
    again = trained(prepared, "done")
    np.testing.assert_array_equal(learned(prepared, again), two)
    shutil.rmtree(again)


@pytest.mark.long
def test_an_overflow_on_any_device_leaves_the_step_out() -> None:
    done = subprocess.run([sys.executable, str(OVERFLOW)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["moved", "left", "left"]


def test_a_batch_that_devices_share_has_the_mean_of_the_short_one() -> None:
    rows, targets = np.arange(7.0), np.eye(2, dtype="float32")[[0, 1, 0, 1, 1, 0, 1]]
    class_weights, losses = np.array([2.0, 0.5]), np.linspace(1, 3, 7)
    for devices in (1, 2, 3, 4):
        batches = Batches(
            ArrayRows(rows), np.arange(7), 5, targets=targets, class_weights=class_weights, devices=devices
        )
        for index, chosen in enumerate((np.arange(5), np.arange(5, 7))):
            inputs, _, weights = batches[index]
            assert len(inputs) % devices == 0
            np.testing.assert_array_equal(inputs[: len(chosen)], rows[chosen])
            wanted = (losses[chosen] * (targets[chosen] @ class_weights)).mean()
            assert (losses[inputs.astype(int)] * weights).mean() == pytest.approx(wanted, rel=1e-6)


def test_without_weights_or_devices_a_batch_is_a_pair() -> None:
    targets = np.eye(2, dtype="float32")
    assert len(Batches(ArrayRows(np.arange(2.0)), np.arange(2), 2, targets=targets)[0]) == 2


def test_heads_are_not_distributed() -> None:
    assert is_distributed(Variant(name="v", train_from="all", distribute="data"))
    assert not is_distributed(Variant(name="v", train_from="head", distribute="data"))
    assert not is_distributed(Variant(name="v", train_from="all"))
