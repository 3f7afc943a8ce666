"""Both kinds of kernel on a Kaggle machine in small: the code file alone, read-only inputs, no network."""

import base64
import io
import json
import lzma
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import FAST, Tiny, copy_of
from kaggle_machine import KAGGLE, PYTHON, KaggleMachine
from kaggle_stand_in import StandIn

ACCOUNT = ("kaggle.user=Someone", "kaggle.competition=cars")
TWO_VARIANTS = """
[variants]
original = { data = "original", train_from = "head" }
finetuned = { data = "original", train_from = "block7a", start = "original" }
"""
WHO = [part for override in ACCOUNT for part in ("--set", override)]
SETS = [part for override in (*FAST, *ACCOUNT) for part in ("--set", override)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[KaggleMachine]:
    made = KaggleMachine(tmp_path / "kaggle")
    made.input.mkdir(parents=True)
    yield made
    made.open()


@pytest.fixture(scope="module")
def built(finished: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return a copy of the finished competition, with a blend of two variants, and both kernels."""
    tiny = copy_of(finished, tmp_path_factory.mktemp("kernel") / "tiny")
    assert tiny.cli("ensemble", "--variants", "original", "finetuned", *SETS) == 0
    assert tiny.cli("kernel", *SETS) == 0
    tiny.config.write_text(tiny.config.read_text() + TWO_VARIANTS)
    sets = [part for override in (*FAST[:-1], *ACCOUNT) for part in ("--set", override)]
    assert tiny.cli("kernel", "--kind", "train", *sets) == 0
    return tiny


def kernel(tiny: Tiny, kind: str) -> Path:
    return tiny.run / "kernel" / kind


def submission(tiny: Tiny) -> Path:
    return Path(json.loads((tiny.run / "ensemble" / "meta.json").read_text())["submission"])


@pytest.fixture
def real_paths(tmp_path: Path) -> Iterator[KaggleMachine]:
    """Return a machine with Kaggle's own paths where they may be made here, or else another place."""
    if KAGGLE.exists() or not os.access("/", os.W_OK):
        made = KaggleMachine(tmp_path / "kaggle")
        made.input.mkdir(parents=True)
        yield made
        made.open()
        return
    try:
        KaggleMachine(KAGGLE).input.mkdir(parents=True)
        yield KaggleMachine(KAGGLE)
    finally:
        KaggleMachine(KAGGLE).open()
        shutil.rmtree(KAGGLE)


def test_inference_gives_the_bytes_of_the_run(built: Tiny, real_paths: KaggleMachine) -> None:
    real_paths.mount(built.input.resolve(), "competitions/cars")
    real_paths.mount(kernel(built, "infer") / "datasets" / "models", "datasets/someone/ripik-models-tiny")
    done = real_paths.run(kernel(built, "infer") / "ripik-infer-tiny.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (real_paths.working / "submission.csv").read_bytes() == submission(built).read_bytes()
    assert [path.name for path in real_paths.working.iterdir()] == ["submission.csv"]
    predicted = sorted((real_paths.scratch / "output" / "tiny").glob("*/fold*/test.npy"))
    assert predicted
    for path in predicted:
        with np.load(built.run / path.parent.parent.name / path.parent.name / "predictions.npz") as own:
            if sys.executable == PYTHON:
                np.testing.assert_array_equal(np.load(path), own["test"])
            else:  # other versions of the packages
                np.testing.assert_allclose(np.load(path), own["test"], atol=1e-4)


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


@pytest.mark.long
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
    assert "resuming from" in again.stdout
    assert "4 of 4 jobs are finished and up to date" in again.stdout
    assert (next_one.working / "submission.csv").read_bytes() == first


@pytest.mark.long
def test_another_test_set_is_predicted_too_and_a_lagging_dataset_is_told(built: Tiny, machine: KaggleMachine) -> None:
    """The hidden test set of a code competition: more images, no train folder, one of them cut."""
    data = machine.input / "cars"
    (data / "test" / "images").mkdir(parents=True)
    test = pd.read_csv(built.input / "test" / "test.csv", dtype=str)
    more = pd.concat([test, test.assign(image_id="9" + test["image_id"], filename="9" + test["filename"])])
    for name in more["filename"]:
        image = (built.input / "test" / "images" / name.removeprefix("9")).read_bytes()
        (data / "test" / "images" / name).write_bytes(image if name != more["filename"].iloc[-1] else image[:20])
    more.to_csv(data / "test" / "test.csv", index=False)
    more[["image_id"]].assign(label=1).to_csv(data / "sample_submission.csv", index=False)
    models = machine.mount(kernel(built, "infer") / "datasets" / "models", "ripik-models-tiny")
    code = kernel(built, "infer") / "ripik-infer-tiny.py"
    done = machine.run(code)
    assert done.returncode == 0, done.stdout + done.stderr
    found = pd.read_csv(machine.working / "submission.csv", dtype=str).set_index("image_id")["label"]
    assert found.index.tolist() == more["image_id"].tolist()
    assert "predicted with the class shares of the training images: 1 of 12" in done.stderr
    machine.open()
    (models / "manifest.json").write_text("{}")
    late = machine.run(code)
    assert late.returncode == 2
    assert "is a different version of the dataset than the kernel was built with" in late.stderr
    assert "Traceback" not in late.stderr


@pytest.mark.usefixtures("login")
def test_a_kernel_goes_to_kaggle_and_back_and_no_credential_with_it(
    built: Tiny, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert built.cli("kernel-push", *WHO) == 0
    (first, second) = server.site.kernels["someone/ripik-infer-tiny"]
    assert first.text == (kernel(built, "infer") / "ripik-infer-tiny.py").read_text()
    assert first.dataset_data_sources == ["someone/ripik-models-tiny"]
    assert first.kernel_data_sources == second.kernel_data_sources == []
    for _ in range(2):
        assert built.cli("kernel-push", "--kind", "train", *WHO) == 0
    sent = server.site.kernels["someone/ripik-train-tiny"]
    assert [each.kernel_data_sources for each in sent] == [[], ["someone/ripik-train-tiny"]]
    server.site.output = {"submission.csv": b"image_id,label\n"}
    assert built.cli("kernel-status", *WHO) == 0
    assert built.cli("kernel-output", *WHO) == 0
    assert (kernel(built, "infer") / "output" / "submission.csv").read_bytes() == b"image_id,label\n"
    told = capsys.readouterr()
    assert "is up to date, version 1" in told.out
    assert "someone/ripik-infer-tiny: complete" in told.out
    assert "secret-key" not in told.out + told.err
    written = [path for path in built.run.rglob("*") if path.is_file()]
    assert not [path for path in written if b"secret-key" in path.read_bytes()]
    packed = [base64.b64decode(each.text.split('"""')[5]) for each in (first, sent[0])]
    inside = [archive.read(name) for archive in map(opened, packed) for name in archive.namelist()]
    assert len(inside) > 100
    assert not [content for content in inside if b"secret-key" in content]


def opened(content: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(lzma.decompress(content)))


@pytest.mark.long
def test_a_time_limit_ends_a_training_kernel_well(built: Tiny, machine: KaggleMachine) -> None:
    sets = [*WHO, "--set", "kaggle.time_limit=30s"]  # too short to begin anything
    assert built.cli("kernel", "--kind", "train", *sets) == 0
    machine.mount(built.input.resolve(), "cars")
    done = machine.run(kernel(built, "train") / "ripik-train-tiny.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT FINISHED" in done.stderr
    assert not (machine.working / "submission.csv").exists()
    nothing = KaggleMachine(machine.root / "nothing")
    nothing.input.mkdir(parents=True)
    told = nothing.run(kernel(built, "train") / "ripik-train-tiny.py")
    assert told.returncode == 2
    assert "cars is not mounted below" in told.stderr
    assert "(there: nothing)" in told.stderr
