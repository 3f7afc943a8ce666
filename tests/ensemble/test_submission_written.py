"""`ensemble` from made-up predictions of two classes: what is submitted, for every metric and form of sample."""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import Tiny
from made_up_trainings import finish
from ripik.analysis import submissions
from ripik.analysis.best_submission import best_submissions
from ripik.analysis.metrics import get_metric
from ripik.data.competition import read_competition, read_test_set
from ripik.ensemble import finished, submission_files
from ripik.ensemble.build import ensemble
from ripik.kaggle.kernel.infer import _pinned
from ripik.kaggle.kernel.manifest import Manifest
from ripik.kaggle.submit import newest
from ripik.monitoring.status import status
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.jobs import jobs_of

MARK = "trials=3, cv=0.61, corrected=0.58"
MEMBERS = ["original", "augmented"]
METRICS = ["macro_f1", "accuracy", "balanced_accuracy", "cohen_kappa", "quadratic_kappa", "log_loss", "auc"]
OF_PROBABILITIES = ("log_loss", "auc")
SAMPLES: dict[str, dict[str, Any]] = {"0 or 1": {"label": "1"}, "0.5": {"y": "0.5"}, "each": {"2": "0", "1": "0"}}


def values(job: Job, split: str, views: int, rows: int) -> np.ndarray:
    seed = sum(map(ord, f"{job}{split}"))
    return np.random.default_rng(seed).dirichlet([1, 1], (views, rows)).astype("float32")


def of_two_classes(tiny: Tiny, sample: dict[str, str], folds: list[int] | None = None) -> None:
    """Make two classes of the three, another sample submission, and perhaps other folds, a number a photo."""
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=frame["label"].replace("3", "2")))
    tiny.edit(tiny.sample_csv, lambda frame: frame[["image_id"]].assign(**sample))
    made = tiny.write_folds().assign(label=lambda frame: frame["label"].replace(3, 2))
    if folds:
        made["fold"] = made["group"].map(dict(enumerate(folds)))
    made.to_csv(tiny.run / "folds.csv", index=False)


def blended(tiny: Tiny, *overrides: str) -> Path:
    """Blend two members whose trainings and predictions are made up; return the submission."""
    settings = tiny.settings(*overrides)
    run = Run.open(settings)
    for member in MEMBERS:
        for job in jobs_of(settings, settings.variants[member]):
            finish(run, job, values)
    return ensemble(settings, MEMBERS)


def strictly(path: Path) -> Any:
    """Read JSON as other programs do, for which NaN is no JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in {path}")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("sample", "metric"),
    [
        pytest.param(sample, metric, marks=() if row == column % len(SAMPLES) else pytest.mark.long)
        for row, sample in enumerate(SAMPLES)
        for column, metric in enumerate(METRICS)
    ],
)
def test_the_submission_is_what_the_sample_asks_for(
    tiny: Tiny, metric: str, sample: str, capsys: pytest.CaptureFixture[str]
) -> None:
    of_two_classes(tiny, SAMPLES[sample])
    path = blended(tiny, f"competition.metric={metric}", "blend.restarts=1", "blend.bags=2")
    found = pd.read_csv(path, dtype={"image_id": str}).set_index("image_id")
    assert found.index.tolist() == pd.read_csv(tiny.sample_csv, dtype=str)["image_id"].tolist()
    assert list(found.columns) == list(SAMPLES[sample])
    test = pd.read_csv(tiny.run / "ensemble" / "test.csv", dtype={"image_id": str}).set_index("image_id")
    p = test.loc[found.index]
    said = capsys.readouterr().out
    if sample == "each":
        assert found.to_numpy().tolist() == p[["p_2", "p_1"]].to_numpy().tolist()
    elif sample == "0.5" or metric in OF_PROBABILITIES:
        assert found.iloc[:, 0].tolist() == p["p_2"].tolist()
        assert f"submission: the probability of class 2 in the column {found.columns[0]}" in said
    else:
        assert found["label"].tolist() == (p.to_numpy().argmax(axis=1) + 1).tolist()
        assert "submission: labels in label: the sample's values (1) could be either" in said
    oof = pd.read_csv(tiny.run / "ensemble" / "oof.csv")
    cv = get_metric(metric).function(oof["label"].to_numpy() - 1, oof[["p_1", "p_2"]].to_numpy())
    assert strictly(path.with_suffix(".json"))["cv"] == pytest.approx(cv)
    assert tiny.cli("submit", "--set", f"competition.metric={metric}") == 0
    assert "matches the sample submission's format (6 rows)" in capsys.readouterr().out


def test_a_ranking_is_written_for_a_metric_of_one(tiny: Tiny) -> None:
    of_two_classes(tiny, {"y": "?"})
    path = blended(tiny, "competition.metric=map@3", "blend.restarts=1", "blend.bags=2")
    found = pd.read_csv(path, dtype=str).set_index("image_id")["y"]
    test = pd.read_csv(tiny.run / "ensemble" / "test.csv", dtype={"image_id": str}).set_index("image_id")
    assert (
        found.tolist() == np.where(test.loc[found.index, "p_2"] > test.loc[found.index, "p_1"], "2 1", "1 2").tolist()
    )
    told = strictly(tiny.run / "ensemble" / "weights.json")
    assert 0.5 <= told["scores"]["cross_fitted"] <= 1  # of two classes the second rank counts a half


@pytest.mark.parametrize("folds", [[0, 0, 1, 0, 1, 2, 0, 1, 2], [2, 0, 0, 0, 1, 2, 0, 1, 2]])
def test_auc_with_a_class_absent_from_a_fold_or_from_what_is_tuned_on(tiny: Tiny, folds: list[int]) -> None:
    of_two_classes(tiny, {"y": "0.5"}, folds)
    path = blended(tiny, "competition.metric=auc", "blend.restarts=1", "blend.bags=2")
    told = strictly(tiny.run / "ensemble" / "weights.json")
    assert None in told["scores"]["cross_fitted_by_fold"]
    for meta in tiny.run.rglob("*meta.json"):
        strictly(meta)
    assert strictly(path.with_suffix(".json"))["cv"] == told["scores"]["cross_fitted"]
    assert ensemble(tiny.settings("competition.metric=auc", "blend.restarts=1", "blend.bags=2"), MEMBERS) == path


@pytest.mark.long
def test_another_positive_class_makes_another_submission_of_the_same_cv(tiny: Tiny) -> None:
    of_two_classes(tiny, {"y": "0.5"})
    how = ["competition.metric=auc", "blend.methods=['equal']"]
    first = blended(tiny, *how)
    other = ensemble(tiny.settings(*how, "competition.positive_class=1"), MEMBERS)
    assert other != first
    sums = pd.read_csv(first)["y"] + pd.read_csv(other)["y"]
    np.testing.assert_allclose(sums, 1, atol=1e-6)
    assert strictly(first.with_suffix(".json"))["cv"] == strictly(other.with_suffix(".json"))["cv"]
    assert ensemble(tiny.settings(*how, "competition.positive_class=2"), MEMBERS) != other
    assert newest(tiny.settings()).exists()


def test_a_csv_of_one_probability_is_checked_before_it_is_submitted(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    of_two_classes(tiny, {"y": "0.5"})
    ids = pd.read_csv(tiny.sample_csv, dtype=str)["image_id"]
    for cell, told in (
        ("1.5", "a probability outside [0, 1] for 1 id"),
        ("x", "y 'x' is not a number"),
        ("", "y '' is not a number"),
    ):
        pd.DataFrame({"image_id": ids, "y": [cell, *["0.25"] * 5]}).to_csv(tiny.folder / "mine.csv", index=False)
        assert tiny.cli("submit", "--file", str(tiny.folder / "mine.csv"), "--set", "competition.metric=auc") == 2
        assert told in capsys.readouterr().err


def test_what_is_submitted_is_resolved_once_and_kept_for_a_kernel(tiny: Tiny) -> None:
    """A hidden test set's sample may hold other values than the one that was read."""
    of_two_classes(tiny, {"label": "0.5"})
    settings = tiny.settings("competition.positive_class=1")
    known = read_competition(settings)
    assert (known.form.kind, known.form.columns, known.form.positive) == ("probability", ("label",), 1)
    tiny.edit(tiny.sample_csv, lambda frame: frame.assign(label="0"))
    assert read_competition(settings).form.kind == "labels"
    manifest = Manifest(
        "tiny", "models", {}, form=known.form.as_settings(), jobs={"a": {"engine": {"name": "keras 3"}}}
    )
    pinned = _pinned(settings, manifest, tiny.folder)
    hidden = read_test_set(pinned, known.train[["image_id", "label"]], known.classes)
    assert (hidden.form.kind, hidden.form.columns, hidden.form.positive) == ("probability", ("label",), 1)


def test_the_nested_predictions_stand_beside_the_submission(tiny: Tiny) -> None:
    of_two_classes(tiny, {"label": "1"})
    submission = blended(tiny, "competition.metric=accuracy")
    kept = pd.read_csv(submission.with_suffix(".oof.csv"), dtype={"image_id": str})
    nested = pd.read_csv(tiny.run / "ensemble" / "oof.csv", dtype={"image_id": str})
    pd.testing.assert_frame_equal(kept.drop(columns="group"), nested)
    assert kept.groupby("group").size().tolist() == [3] * kept["group"].nunique()
    (best,) = best_submissions(submission.parent)
    assert (best.file, best.submissions, best.left_out) == (submission.name, 1, 0)
    assert best.found.naive.value == pytest.approx(strictly(submission.with_suffix(".json"))["cv"])


@pytest.mark.long
def test_a_tuned_member_is_named_wherever_its_cv_stands(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    of_two_classes(tiny, {"label": "1"})
    plain = strictly(blended(tiny).with_suffix(".json"))
    assert "tuned" not in plain
    assert not any("tuned" in variant for variant in plain["configuration"]["variants"].values())
    (tiny.run / "ensemble" / "weights.json").unlink()
    mark = {"trials": 40, "cv": 0.61, "corrected": 0.58}
    submission = blended(tiny, "variants.original.tuned={trials=40, cv=0.61, corrected=0.58}")
    record = strictly(submission.with_suffix(".json"))
    assert record["tuned"] == {"original": mark}
    assert record["configuration"]["variants"]["original"]["tuned"] == mark
    said = capsys.readouterr().out
    assert "original was tuned, the best of 40 trials: 0.6100, corrected 0.5800. The CV of the blend does not" in said
    status(tiny.settings("variants.original.tuned={trials=40, cv=0.61, corrected=0.58}"))
    assert "original was tuned: the best of 40 trials: 0.6100, corrected 0.5800" in capsys.readouterr().out


def test_a_mark_of_a_search_determines_the_blend_and_its_record(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_folds()
    monkeypatch.setattr(finished, "trainings_of", lambda run, variant: [])
    plain = finished.blend_inputs(Run.open(tiny.settings()), MEMBERS)
    mark = {"trials": 3, "cv": 0.61, "corrected": 0.58}
    marked = finished.blend_inputs(Run.open(tiny.settings(f"variants.original.tuned={{{MARK}}}")), MEMBERS)
    assert "tuned" not in plain
    assert marked == {**plain, "tuned": {"original": mark}}
    assert finished.blend_inputs(Run.open(tiny.settings(f"variants.original.tuned={{{MARK}}}")), MEMBERS[1:]) == (
        finished.blend_inputs(Run.open(tiny.settings()), MEMBERS[1:])
    )


def test_what_is_beside_a_submission_stands_before_it(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    for name in ("write_csv", "write_json", "write_text"):
        real = getattr(artifacts, name)

        def noting(path: Path, content: Any, real: Any = real) -> None:
            if path.parent.name == "submissions" and str(path) not in written:
                written.append(str(path))
            real(path, content)

        monkeypatch.setattr(artifacts, name, noting)
    of_two_classes(tiny, SAMPLES["0 or 1"])
    path = blended(tiny, "blend.restarts=1", "blend.bags=2")
    beside = [str(path.with_suffix(".json")), str(path.with_suffix(".oof.csv"))]
    assert written[:3] == [*beside, str(path)]
    assert strictly(path.with_suffix(".json"))["sha256"] == artifacts.file_digest(path)


@pytest.mark.parametrize("killed", ["at the log", "at the CSV", "before the meta file"])
def test_a_submission_that_a_killed_command_began_is_completed(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    def kill_at_csv(path: Path, text: str, real: Any = artifacts.write_text) -> None:
        (kill if path.parent.name == "submissions" and path.name.endswith("00.csv") else real)(path, text)

    of_two_classes(tiny, SAMPLES["0 or 1"])
    how = ("blend.methods=['equal']",)
    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(submission_files.artifacts, "write_text", kill_at_csv) if killed == "at the CSV" else None
        patched.setattr(submission_files, "append_log", kill) if killed == "at the log" else None
        blended(tiny, *how)
    (tiny.run / "ensemble" / "meta.json").unlink(missing_ok=True)
    path = ensemble(tiny.settings(*how), MEMBERS)
    folder = tiny.folder / "submissions"
    assert sorted(folder.iterdir()) == sorted(
        [*(path.with_suffix(end) for end in (".csv", ".json", ".oof.csv")), folder / "log.csv"]
    )
    assert pd.read_csv(folder / "log.csv")["file"].tolist() == [path.name]
    assert submissions.runs(folder)["cv"].tolist() == pytest.approx([strictly(path.with_suffix(".json"))["cv"]])


def test_a_submission_that_was_changed_or_moved_away_is_not_taken_up(tiny: Tiny) -> None:
    of_two_classes(tiny, SAMPLES["0 or 1"])
    how = ("blend.methods=['equal']",)
    first = blended(tiny, *how)
    first.write_text(first.read_text() + "\n")
    second = ensemble(tiny.settings(*how), MEMBERS)
    second.unlink()
    third = ensemble(tiny.settings(*how), MEMBERS)
    assert len({first, second, third}) == 3
    assert pd.read_csv(first.parent / "log.csv")["file"].tolist() == [first.name, second.name, third.name]


@pytest.mark.long
def test_a_blend_that_is_made_again_after_another_is_the_newest(tiny: Tiny) -> None:
    """A setting is changed and set back; and the log was saved by a program that does not write UTF-8."""
    of_two_classes(tiny, SAMPLES["0 or 1"])
    how, other = ("blend.methods=['equal']",), ("blend.methods=['equal']", "prediction.merge=geometric")
    first = blended(tiny, *how)
    log = first.parent / "log.csv"
    assert ensemble(tiny.settings(*other), MEMBERS) != first
    log.write_bytes(log.read_bytes().replace(b"original augmented", "origin\u00e4l augmented".encode("cp1252"), 1))
    again = ensemble(tiny.settings(*how), MEMBERS)
    assert again != first
    log.write_bytes(log.read_bytes().replace(b"\xe4", b"a"))
    assert newest(tiny.settings(*how)) == again


def test_the_commit_is_of_the_repository_that_holds_this_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*command: str) -> None:
        named = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *named, *command], check=True, capture_output=True)

    module = tmp_path / "module.py"
    module.touch()
    monkeypatch.setattr(submission_files, "__file__", str(module))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert submission_files._commit() == ""
    git("init")
    git("commit", "--allow-empty", "--message", "of somebody else")
    assert submission_files._commit() == ""
    git("add", "module.py")
    git("commit", "--message", "its own")
    commit = submission_files._commit()
    assert commit
    assert not commit.endswith("-dirty")
    module.write_text("changed")
    assert submission_files._commit() == f"{commit}-dirty"
