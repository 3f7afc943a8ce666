"""What `ensemble` says of a test set of another kind: beside the CV, in weights.json, record, log and report."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import FAST, Tiny
from html_page import Page
from ripik.analysis.submissions import runs
from ripik.ensemble import expectation, train_or_test
from ripik.ensemble.build import ensemble
from ripik.ensemble.shift import Likeness
from ripik.report import page as step
from ripik.splits.run import Run
from ripik.storage import artifacts

WEIGHTS = np.repeat([0.25, 1.0, 1.75], 9)  # of the 27 training images


def blend(tiny: Tiny) -> tuple[Path, dict]:
    """Return the submission, and what weights.json expects of the test set."""
    submission = ensemble(tiny.settings(*FAST))
    return submission, artifacts.read_json(tiny.run / "ensemble" / "weights.json")["test"]


def last_line(tiny: Tiny) -> pd.Series:
    return pd.read_csv(tiny.folder / "submissions" / "log.csv").iloc[-1]


@pytest.fixture
def shifted(mine: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Return the finished competition, its stored features those of a test set of another kind."""

    def read(*arguments: object) -> np.ndarray:
        features = read_features(*arguments)
        features[27:] += 50 * features.std()
        return features

    read_features = train_or_test.read_features
    monkeypatch.setattr(train_or_test, "read_features", read)
    monkeypatch.setattr(expectation, "FEWEST", 2)
    return mine


def test_two_photos_are_too_few_to_be_told_apart_and_nothing_is_said(
    mine: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    _, test = blend(mine)
    assert test["shift"] == {"left_out": "too few photos: 9 training and 2 test"}
    assert test["expected_score"]["low"] < test["expected_score"]["high"]
    assert last_line(mine)[["shift_auc", "test_like"]].isna().all()
    assert "another kind" not in capsys.readouterr().out
    assert not (mine.run / "analysis" / "adversarial.csv").exists()


def test_without_stored_features_the_check_is_left_out_and_no_pass_is_made(
    mine: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectation, "FEWEST", 2)
    shutil.rmtree(mine.run / "features")
    shutil.rmtree(mine.run / "ensemble")
    _, test = blend(mine)
    assert test["shift"] == {"left_out": "no features of train and test are stored"}
    assert test["expected_score"] is not None
    assert not (mine.run / "features").exists()


def test_a_head_whose_weights_are_gone_is_told_as_the_reason(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectation, "FEWEST", 2)
    gone = tiny.settings(f"network.weights={tmp_path / 'gone.weights.h5'}")
    told = expectation.why_left_out(Run.open(gone))
    assert "can be read" in told
    assert "gone.weights.h5" in told
    all_layers = tiny.settings().variants["original"].model_copy(update={"train_from": "all"})
    none = tiny.settings().model_copy(update={"variants": {"original": all_layers}})
    assert expectation.why_left_out(Run.open(none)) == "no variant trains only its head"


def test_a_test_set_that_train_does_not_hold_has_no_range(shifted: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    (plain,) = (shifted.folder / "submissions").glob("tiny-*[0-9].csv")
    submission, test = blend(shifted)
    told = capsys.readouterr()
    assert test["expected_score"] is None
    assert test["shift"]["differs"]
    assert test["shift"]["auc"]["value"] == 1
    assert test["shift"]["expected_score"] is None
    assert "AUC of 1.000" in told.out + told.err
    assert "the CV does not apply to it, so no range is given" in " ".join((told.out + told.err).split())
    assert artifacts.read_json(submission.with_suffix(".json"))["test"] == test
    assert last_line(shifted)["shift_auc"] == 1
    assert np.isnan(last_line(shifted)["test_like"])
    assert submission != plain
    assert submission.read_bytes() == plain.read_bytes()


def test_the_range_of_test_like_photos_takes_the_place_of_the_plain_one(
    shifted: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectation, "likeness", lambda ratio, groups: Likeness(WEIGHTS, 12.4, 0.9))
    submission, test = blend(shifted)
    oof = pd.read_csv(shifted.run / "ensemble" / "oof.csv")
    expected = test["shift"]["expected_score"]
    assert test["expected_score"] is None
    assert expected["value"] == pytest.approx(weighted_f1(oof))
    assert expected["low"] < expected["value"] < expected["high"]
    assert (test["shift"]["effective_photos"], test["shift"]["training_photos"]) == (12.4, 9)
    assert last_line(shifted)["test_like"] == pytest.approx(expected["value"])
    assert runs(shifted.folder / "submissions")["test_like"].iloc[-1] == pytest.approx(expected["value"])
    written = capsys.readouterr()
    told = " ".join((written.out + written.err).split())
    assert f"(12 effective of 9), have macro_f1 {expected['value']:.4f}" in told
    assert "sampling noise of both sets included" not in told
    assert ensemble(shifted.settings(*FAST)) == submission


def weighted_f1(oof: pd.DataFrame) -> float:
    found = oof.filter(like="p_").to_numpy().argmax(axis=1) + 1
    label = oof["label"].to_numpy()
    scores = []
    for one in (1, 2, 3):
        right = WEIGHTS[(label == one) & (found == one)].sum()
        scores.append(2 * right / (WEIGHTS[label == one].sum() + WEIGHTS[found == one].sum()))
    return float(np.mean(scores))


@pytest.mark.long
@pytest.mark.parametrize("speaks", [True, False])
def test_the_report_tells_it_first(shifted: Tiny, monkeypatch: pytest.MonkeyPatch, speaks: bool) -> None:
    like = Likeness(WEIGHTS, 12.4, 0.9 if speaks else 0.1)
    monkeypatch.setattr(expectation, "likeness", lambda ratio, groups: like)
    monkeypatch.setattr(step, "heat_maps", lambda run, name, requests: {})
    _, test = blend(shifted)
    page = Page(step.report(shifted.settings(*FAST)))
    rows = {name: cells["ensemble"] for name, cells in page.table("ensemble", "summary").items()}
    assert "expected test score (95 % interval)" not in rows
    if speaks:
        value = test["shift"]["expected_score"]["value"]
        assert rows["CV weighted towards the test set; expected test score (95 %)"].startswith(f"{value:.4f}; ")
    else:
        assert rows["expected test score"] == "unknown: the test set differs from the training set"
    summary = page.section("summary").text
    assert summary.index("The test set differs from train") < summary.index("Next: ")


def test_ids_that_pandas_takes_for_missing_have_their_own_likeness(tmp_path: Path) -> None:
    ids = ["NA", "null", "a", "b"]
    table = pd.DataFrame(
        {"image_id": [*ids, "NA"], "split": ["train"] * 4 + ["test"], "ratio": [0.5, 0.75, 1.25, 1.5, 9]}
    )
    table.to_csv(tmp_path / "adversarial.csv", index=False)
    run = SimpleNamespace(competition=SimpleNamespace(train=pd.DataFrame({"image_id": ids})))
    found = expectation._likeness(run, tmp_path / "adversarial.csv", np.arange(4))
    np.testing.assert_allclose(found.weights, [0.5, 0.75, 1.25, 1.5])
