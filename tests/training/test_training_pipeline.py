"""The whole line as a user runs it, on the tiny competition: folds, four variants, blend, submission, a folder."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from conftest import FAST, MEMBERS, Drawn, Tiny, ripik, write_competition
from ripik.storage import artifacts


def submissions(tiny: Tiny) -> list[Path]:
    return sorted((tiny.folder / "submissions").glob("tiny-*[0-9].csv"))


def test_the_submission_keeps_the_contract(finished: Tiny) -> None:
    (path,) = submissions(finished)
    sample, found = pd.read_csv(finished.sample_csv), pd.read_csv(path)
    assert list(found.columns) == list(sample.columns)
    assert found["image_id"].tolist() == sample["image_id"].tolist()
    assert set(found["label"]) <= {1, 2, 3}
    log = pd.read_csv(finished.folder / "submissions" / "log.csv")
    assert log["file"].tolist() == [path.name]
    assert log["members"].tolist() == [" ".join(MEMBERS)]
    assert f"cv{log['cv'][0]:.4f}" in path.name


@pytest.mark.parametrize("member", [*MEMBERS, "ensemble"])
def test_every_row_is_predicted_once(finished: Tiny, member: str) -> None:
    oof = pd.read_csv(finished.run / member / "oof.csv", dtype={"image_id": str})
    test = pd.read_csv(finished.run / member / "test.csv", dtype={"image_id": str})
    assert list(oof.columns) == ["image_id", "fold", "label", "p_1", "p_2", "p_3"]
    assert list(test.columns) == ["image_id", "p_1", "p_2", "p_3"]
    assert oof["image_id"].tolist() == finished.truth["image_id"].tolist()
    assert oof["label"].tolist() == finished.truth["label"].tolist()
    assert len(test) == 6
    for frame in (oof, test):
        np.testing.assert_allclose(frame.filter(like="p_").sum(axis=1), 1, atol=1e-4)
    folds = pd.read_csv(finished.run / "folds.csv", dtype={"image_id": str})
    assert oof["fold"].tolist() == folds["fold"].tolist()
    photos = finished.truth["photo"]
    assert folds.groupby(photos)["fold"].nunique().max() == 1


def test_a_stored_probability_is_the_fold_models(finished: Tiny) -> None:
    oof = pd.read_csv(finished.run / "original" / "oof.csv", dtype={"image_id": str}).set_index("image_id")
    for fold in (0, 1):
        with np.load(finished.run / "original" / f"fold{fold}" / "predictions.npz") as found:
            expected = found["oof"].mean(axis=0)
            np.testing.assert_allclose(oof.loc[found["held_ids"]].filter(like="p_"), expected, rtol=1e-6)


def test_weights_json_tells_the_blend(finished: Tiny) -> None:
    told = artifacts.read_json(finished.run / "ensemble" / "weights.json")
    assert told["members"] == MEMBERS
    assert sum(told["weights"].values()) == pytest.approx(1)
    assert min(told["weights"].values()) >= 0
    assert set(told["scores"]) >= {"in_sample", "cross_fitted", "members"}
    oof = pd.read_csv(finished.run / "ensemble" / "oof.csv")
    found = oof.filter(like="p_").to_numpy().argmax(axis=1) + 1
    f1 = f1_score(oof["label"], found, average="macro")
    assert told["scores"]["cross_fitted"] == pytest.approx(f1)
    assert told["scores"]["intervals"]["pooled"]["low"] <= f1 <= told["scores"]["intervals"]["pooled"]["high"]
    assert len(told["scores"]["cross_fitted_by_partition"]) == 3
    assert len(told["recipes_without_part"]) == 4  # two folds, halved for the tuning
    assert {option["stage"] for option in told["options"]} == {
        "copies vote",
        "offsets",
    }  # one method: nothing to choose
    assert told["test"]["photos"] == 2
    test = told["test"]
    assert sum(test["class_shares_estimated"].values()) == pytest.approx(1)
    for label, share in test["class_shares_estimated"].items():
        assert 0 <= test["class_shares_low"][label] <= share <= test["class_shares_high"][label] <= 1
    assert set(test["class_shares_moved"]) <= set(test["class_shares_estimated"])
    assert told["left_out"] == []


def test_a_second_run_does_nothing_again(mine: Tiny) -> None:
    made = {path: path.stat().st_mtime_ns for path in mine.run.rglob("*") if path.suffix in (".npz", ".h5", ".npy")}
    done = ripik(mine, "train")
    assert "8 of 8 jobs are finished" in done.stdout
    again = ripik(mine, "ensemble")
    assert "up to date" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert len(submissions(mine)) == 1


@pytest.mark.long
def test_two_processes_at_once_in_another_folder_give_the_same_bytes(
    finished: Tiny, drawn: Drawn, tmp_path: Path
) -> None:
    tiny = write_competition(tmp_path, drawn)
    settings = [word for setting in (*FAST, "jobs.jobs=1", "jobs.threads=1") for word in ("--set", setting)]
    line = [sys.executable, "-m", "ripik", "train", "--config", str(tiny.config), *settings, "--variants", "original"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*line, "--folds", fold], **quiet) for fold in ("0", "1")]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    waited = [error for _, error in told if "waiting for another process" in error]
    assert len(waited) == 1
    assert f"{tiny.run} is being worked on by train (host" in " ".join(waited[0].split())
    for name in ("folds.csv", "original/oof.csv", "original/test.csv"):
        assert (tiny.run / name).read_bytes() == (finished.run / name).read_bytes(), name
    assert not (tiny.run / "running").exists()


def test_another_view_is_predicted_without_training(mine: Tiny) -> None:
    weights = mine.run / "original" / "fold0" / "last.weights.h5"
    made = weights.stat().st_mtime_ns
    arguments = ("--variants", "original", "--set", 'prediction.views=["identity", "hflip", "vflip"]')
    done = ripik(mine, "predict", *arguments)
    assert done.returncode == 0, done.stderr
    with np.load(mine.run / "original" / "fold0" / "predictions.npz") as found:
        assert found["oof"].shape[0] == 3
    assert weights.stat().st_mtime_ns == made


def test_a_folder_of_photos_is_predicted_as_the_test_set_was(finished: Tiny, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(finished.input / "test" / "images", photos)
    done = ripik(finished, "predict", "--images", str(photos), "--out", str(tmp_path / "found.csv"))
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "found.csv").set_index("filename")
    test = pd.read_csv(finished.run / "ensemble" / "test.csv", dtype={"image_id": str})
    expected = test.filter(like="p_").to_numpy()
    np.testing.assert_allclose(found.loc[test["image_id"] + ".jpg"].filter(like="p_"), expected, atol=1e-4)
    assert found["label"].tolist() == (found.filter(like="p_").to_numpy().argmax(axis=1) + 1).tolist()


def test_predictions_of_another_folder_of_that_name_are_not_replaced(finished: Tiny, tmp_path: Path) -> None:
    photos = [tmp_path / name / "photos" for name in "ab"]
    for folder in photos:
        folder.mkdir(parents=True)
        shutil.copy(next((finished.input / "test" / "images").iterdir()), folder / f"{folder.parent.name}.jpg")
    first = ripik(finished, "predict", "--images", str(photos[0]))
    assert first.returncode == 0, first.stderr
    kept = (finished.run / "predictions" / "photos.csv").read_bytes()
    other = ripik(finished, "predict", "--images", str(photos[1]))
    assert other.returncode == 2
    told = f"has the predictions of {photos[0].resolve()}. Name another file with --out"
    assert told in " ".join(other.stderr.split())
    assert (finished.run / "predictions" / "photos.csv").read_bytes() == kept
    assert ripik(finished, "predict", "--images", str(photos[0])).returncode == 0


def test_a_copy_moved_across_folds_stops_the_line(mine: Tiny) -> None:
    path = mine.run / "folds.csv"
    folds = pd.read_csv(path)
    folds.loc[0, "fold"] = 1 - folds.loc[0, "fold"]
    folds.to_csv(path, index=False)
    for step in ("train", "predict", "ensemble"):
        done = ripik(mine, step)
        assert done.returncode == 2
        assert "more than one fold" in done.stderr


def test_a_blend_is_not_scored_on_folds_that_part_the_present_groups(mine: Tiny) -> None:
    path = mine.run / "groups.csv"
    kept = path.read_bytes()
    groups, folds = pd.read_csv(path, dtype={"image_id": str}), pd.read_csv(mine.run / "folds.csv")
    other = groups["group"][folds["fold"].ne(folds["fold"][0]).idxmax()]
    groups.loc[groups["group"] == groups["group"][0], "group"] = other
    groups.to_csv(path, index=False)
    for changed in ([], ["--set", "folds.seed=5"]):
        done = ripik(mine, "ensemble", *changed)
        assert done.returncode == 2
        assert "make folds train" in done.stderr
        path.write_bytes(kept)


def test_models_of_other_folds_are_never_mixed(mine: Tiny) -> None:
    path = mine.run / "folds.csv"
    folds = pd.read_csv(path)
    folds.assign(fold=1 - folds["fold"]).to_csv(path, index=False)
    done = ripik(mine, "ensemble")
    assert done.returncode == 2
    assert "original/fold0" in done.stderr


@pytest.mark.long
def test_an_interrupted_training_goes_on_and_redoes_nothing(drawn: Drawn, tmp_path: Path) -> None:
    tiny = write_competition(tmp_path, drawn)
    slow = ["--variants", "original", "--set", "training.epochs=3000", "--set", "folds.n_splits=3"]
    command = [sys.executable, "-m", "ripik", "train", "--config", str(tiny.config), *slow]
    first = tiny.run / "original" / "fold0"
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs are born ignoring it
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=heed) as process:
        deadline = time.monotonic() + 200
        while not (first / "state.npz").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    waits, message = [line for line in told.splitlines() if not line.startswith("warning: ")]
    assert waits == "waiting for original: 3 heads to finish the current batch and save"
    assert message.startswith("ripik: stopped.")
    assert "run the same command again" in message
    assert not (first / "meta.json").exists()
    assert not list(tiny.run.rglob(".*.npz"))
    done = ripik(tiny, "train", "--variants", "original", "--folds", "0")
    assert done.returncode == 0, done.stderr
    made = (first / "last.weights.h5").stat().st_mtime_ns
    done = ripik(tiny, "train", "--variants", "original")
    assert "1 of 2 jobs are finished" in done.stdout
    assert (first / "last.weights.h5").stat().st_mtime_ns == made
    assert (tiny.run / "original" / "oof.csv").exists()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("network.backbone=EficientNetB0", "EfficientNetB0"),
        ("variants.original.train_from=blok7a", "block7a"),
        ("network.weights={config}", "is not an HDF5 weights file"),
    ],
)
def test_a_wrong_network_is_told_before_anything_long(tiny: Tiny, override: str, told: str) -> None:
    tiny.write_folds(2)
    done = ripik(tiny, "train", "--variants", "original", "--set", override.format(config=tiny.config))
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tiny.run / "pixels").exists()
