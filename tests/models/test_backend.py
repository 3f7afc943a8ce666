"""TensorFlow and JAX: the same out-of-fold predictions, and no training that is half of one and half of the other."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from conftest import Drawn, Tiny, write_competition
from ripik.models import backend as runtime
from ripik.models.random_weights import random_backbone
from ripik.storage.artifacts import read_json
from ripik.training import checkpoint
from ripik.training.checkpoint import Checkpoint, Progress

OTHER = os.environ.get("TENSORFLOW_PYTHON", "")  # an interpreter that has TensorFlow, as `make test-jax` names one


def train(tiny: Tiny, python: str, backend: str, weights: Path) -> pd.DataFrame:
    """Train the heads with a backend and return their OOF predictions, variant by variant."""
    settings = ["network.backbone=EfficientNetB0", f"network.weights={weights}", "augmentation.copies=2"]
    settings += [
        "training.epochs=8",
        "training.learning_rate=1e-5",
    ]  # outputs of random weights reach 100, and so magnify a last bit
    command = [python, "-m", "ripik", "train", "--config", str(tiny.config), "--variants", "original", "augmented"]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, cwd=tiny.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (stored,) = (tiny.run / "features").glob("*/train.meta.json")
    assert read_json(stored)["surroundings"]["backend"] == backend
    return pd.concat([pd.read_csv(tiny.run / name / "oof.csv") for name in ("original", "augmented")])


@pytest.mark.skipif(not OTHER, reason="needs an environment of each backend: make test-jax")
def test_heads_agree_across_backends(tmp_path: Path, drawn: Drawn) -> None:
    weights = tmp_path / "same.weights.h5"
    random_backbone("EfficientNetB0").save_weights(weights)
    found = []
    for name, python in ((keras.backend.backend(), sys.executable), ("tensorflow", OTHER)):
        tiny = write_competition(tmp_path / name, drawn)
        tiny.write_folds()
        found.append(train(tiny, python, name, weights))
    columns = [column for column in found[0] if column.startswith("p_")]
    assert found[0]["image_id"].tolist() == found[1]["image_id"].tolist()
    assert found[0][columns].to_numpy().std() > 0.05
    np.testing.assert_allclose(found[0][columns], found[1][columns], atol=1e-3)


def test_what_runs_is_told() -> None:
    assert runtime.backend().split()[0] == keras.backend.backend()
    assert runtime.arithmetic("float32") == {"backend": keras.backend.backend(), "precision": "float32"}
    assert runtime.compiles() == (keras.backend.backend() == "jax")


def test_a_gradient_is_that_of_the_function() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = runtime.gradient(lambda values: keras.ops.sum(values * values), array)
    np.testing.assert_allclose(found, 2 * array)


@pytest.mark.parametrize("other", [{"backend": "jax"}, {"precision": "mixed_float16"}])
def test_a_state_of_another_backend_or_precision_is_begun_anew(
    tmp_path: Path, other: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, inputs, mine = tmp_path / "state.npz", {"a": 1}, {"backend": "tensorflow", "precision": "float32"}
    arrays = {"model": [np.ones(2)], "optimizer": []}
    checkpoint.save(path, inputs, Checkpoint(Progress([{"loss": 1.0}]), arrays, mine))
    assert checkpoint.load(path, inputs, mine) is not None
    assert checkpoint.peek(path, inputs) == Progress([{"loss": 1.0}])
    assert checkpoint.load(path, inputs, mine | other) is None
    told = " ".join(capsys.readouterr().err.split())
    assert "was saved with tensorflow in float32" in told
    assert "this training restarts from the beginning" in told
