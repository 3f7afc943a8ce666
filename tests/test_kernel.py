"""Both kinds of kernel on a Kaggle machine in small: the code file alone, read-only inputs, no network."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from conftest import FAST, Tiny, copy_of
from kaggle_machine import KaggleMachine

ACCOUNT = ("kaggle.user=Someone", "kaggle.competition=cars")
TWO_VARIANTS = """
[variants]
original = { data = "original", train_from = "head" }
finetuned = { data = "original", train_from = "block7a", start = "original" }
"""
SETS = [part for override in (*FAST, *ACCOUNT) for part in ("--set", override)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[KaggleMachine]:
    made = KaggleMachine(tmp_path / "kaggle")
    made.input.mkdir(parents=True)
    yield made
    made.open()


@pytest.fixture(scope="module")
def built(finished: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return a copy of the finished competition with both kernels."""
    tiny = copy_of(finished, tmp_path_factory.mktemp("kernel") / "tiny")
    assert tiny.cli("kernel", *SETS) == 0
    tiny.config.write_text(tiny.config.read_text() + TWO_VARIANTS)
    sets = [part for override in (*FAST[:-1], *ACCOUNT) for part in ("--set", override)]
    assert tiny.cli("kernel", "--kind", "train", *sets) == 0
    return tiny


def kernel(tiny: Tiny, kind: str) -> Path:
    return tiny.run / "kernel" / kind


def submission(tiny: Tiny) -> Path:
    (path,) = (tiny.folder / "submissions").glob("tiny-*.csv")
    return path


def test_inference_gives_the_bytes_of_the_run(built: Tiny, machine: KaggleMachine) -> None:
    machine.mount(built.input.resolve(), "competitions/cars")
    machine.mount(kernel(built, "infer") / "datasets" / "models", "datasets/someone/ripik-models-tiny")
    done = machine.run(kernel(built, "infer") / "ripik-infer-tiny.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (machine.working / "submission.csv").read_bytes() == submission(built).read_bytes()
    assert [path.name for path in machine.working.iterdir()] == ["submission.csv"]


def test_the_metadata_is_what_kaggle_asks_for(built: Tiny) -> None:
    for kind in ("train", "infer"):
        told = json.loads((kernel(built, kind) / "kernel-metadata.json").read_text())
        assert told["id"] == f"someone/ripik-{kind}-tiny"
        assert told["title"] == f"ripik {kind} tiny"
        assert (kernel(built, kind) / told["code_file"]).stat().st_size < 1_000_000
        assert not told["enable_internet"]
        assert told["is_private"]
        assert told["competition_sources"] == ["cars"]
    models = json.loads((kernel(built, "infer") / "datasets" / "models" / "dataset-metadata.json").read_text())
    assert models["id"] == "someone/ripik-models-tiny"
    assert told["dataset_sources"] == [models["id"]]


def test_training_goes_through_and_the_next_version_goes_on(built: Tiny, machine: KaggleMachine) -> None:
    machine.mount(built.input.resolve(), "cars")
    code = kernel(built, "train") / "ripik-train-tiny.py"
    done = machine.run(code)
    assert done.returncode == 0, done.stdout + done.stderr
    first = (machine.working / "submission.csv").read_bytes()
    assert pd.read_csv(machine.working / "submission.csv").shape == (6, 2)
    assert not (machine.working / "output" / "tiny" / "pixels").exists()
    next_one = KaggleMachine(machine.root / "next")
    next_one.mount(machine.input / "cars", "cars")
    next_one.mount(machine.working, "notebooks/someone/ripik-train-tiny")
    again = next_one.run(code)
    next_one.open()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "going on from" in again.stdout
    assert "4 of 4 jobs are finished and up to date" in again.stdout
    assert (next_one.working / "submission.csv").read_bytes() == first
