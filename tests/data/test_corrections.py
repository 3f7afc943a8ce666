"""Corrected labels are trained on; folds, scores and what is expected of the test set go by the organiser's."""

import numpy as np
import pandas as pd
import pytest

from conftest import CLASSES, Tiny
from made_up_trainings import finish, finished
from ripik import analysis
from ripik.analysis.intervals import predictive
from ripik.analysis.measures import CORRECTED
from ripik.analysis.metrics import get_metric
from ripik.data.competition import read_competition
from ripik.diagnostics.audit import _of_photos
from ripik.diagnostics.compare import compare
from ripik.ensemble import build
from ripik.errors import InputError
from ripik.features.batches import ArrayRows
from ripik.report.blocks import Beside, Table
from ripik.report.evidence import gather
from ripik.report.sections import results
from ripik.report.sections.photos import choose
from ripik.splits import witnesses
from ripik.splits.folds import read_folds
from ripik.splits.run import Run, make_folds, record_run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.examples import Course, class_weights, inner_split
from ripik.training.jobs import Training, jobs_of

F1 = get_metric("macro_f1")
ODD = ["2", "9", "20"]  # images that the user relabels


def corrections(tiny: Tiny, ids: list[str] = ODD) -> str:
    """Write corrections that give each image the next class; return the setting."""
    label = tiny.truth.set_index("image_id")["label"]
    rows = [f"{image},{CLASSES[label[image] % len(CLASSES)]}" for image in ids]
    (tiny.folder / "mine.csv").write_text("\n".join(["image_id,label", *rows]), encoding="utf-8")
    return f"competition.corrections={tiny.folder / 'mine.csv'}"


def sees_training_labels(run: Run, job: Job, view_rows: np.ndarray, sure: float = 0.8) -> np.ndarray:
    """Return probabilities of a model that believes the labels as corrected."""
    believed = np.eye(len(CLASSES))[run.training_targets()[view_rows]]
    return (sure * believed + (1 - sure) / len(CLASSES)).astype("float32")


@pytest.fixture
def blended(tiny: Tiny) -> Run:
    """Return a run with corrections after `ensemble`: its models believe the corrected labels."""
    run = finished(tiny, corrections(tiny), "decision.copies_vote=off")
    rng = np.random.default_rng(0)
    for job in jobs_of(run.settings, run.settings.variants["original"]):

        def values(job: Job, split: str, views: int, rows: int) -> np.ndarray:
            if split == "test":
                return rng.dirichlet(np.ones(len(CLASSES)), (views, rows)).astype("float32")
            return np.stack([sees_training_labels(run, job, Training(run, job).held_rows[::-1])] * views)

        finish(run, job, values)
    build.ensemble(run.settings, ["original"])
    return run


def probabilities_of(run: Run, member: str) -> np.ndarray:
    return pd.read_csv(run.layout.variant(member) / "oof.csv").filter(like="p_").to_numpy()


def test_scores_ranges_and_shares_are_by_the_organisers_labels(blended: Run) -> None:
    told = artifacts.read_json(blended.layout.ensemble / "weights.json")
    values, groups = probabilities_of(blended, "ensemble"), witnesses.train(blended)
    organisers = read_competition(replace_corrections(blended)).class_indices().to_numpy()
    assert not np.array_equal(organisers, blended.training_targets())
    assert told["scores"]["cross_fitted"] == F1.function(organisers, values) < 1
    assert told["scores"]["cross_fitted_by_corrected_labels"] == F1.function(blended.training_targets(), values)
    assert told["scores"]["cross_fitted_by_corrected_labels"] > told["scores"]["cross_fitted"]
    expected = predictive(organisers, values, groups, F1, told["test"]["photos"])
    assert told["test"]["expected_score"] == expected.__dict__
    shares = np.bincount(organisers) / len(organisers)
    assert list(told["test"]["class_shares_in_train"].values()) == shares.tolist()
    assert blended.competition.class_shares() == pytest.approx(shares)
    of_member = told["scores"]["members"]["original"]
    assert of_member["corrected"]["value"] > of_member["pooled"]["value"]


def replace_corrections(run: Run):  # type: ignore[no-untyped-def]
    """Return the run's settings without corrections."""
    how = run.settings.competition.model_copy(update={"corrections": ""})
    return run.settings.model_copy(update={"competition": how})


def test_the_corrected_score_is_shown_second_and_named(
    blended: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    (blended.layout.ensemble / "meta.json").unlink()
    build.ensemble(blended.settings, ["original"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "by corrected labels" in shown
    assert "With the corrected labels the CV would be" in shown
    found = analysis.scores(analysis.load(blended.layout.ensemble))
    told = artifacts.read_json(blended.layout.ensemble / "weights.json")["scores"]
    assert found["score"].tolist() == ["macro_f1", CORRECTED.format("macro_f1"), "accuracy", "log_loss"]
    assert found["value"].tolist()[:2] == [told["cross_fitted"], told["cross_fitted_by_corrected_labels"]]


def test_the_report_shows_it_too_and_marks_corrected_photos(blended: Run) -> None:
    told = artifacts.read_json(blended.layout.ensemble / "weights.json")
    e = gather(blended.settings, told)
    corrected = f"{told['scores']['cross_fitted_by_corrected_labels']:.4f}"
    summary, variants = results.summary(e).blocks[0], results.variants(e).blocks[-1]
    assert isinstance(summary, Table)
    assert isinstance(variants, Beside)
    assert ["by corrected labels", corrected] in summary.rows
    assert variants.blocks[0].columns[3] == "by corrected labels"
    errors = choose(e, None)[0]
    assert set(errors.photos) == set(ODD)  # one of each photo, and these are of three
    assert all("(corrected: " in told.caption for told in errors.photos.values())


def test_without_corrections_nothing_tells_of_them(tiny: Tiny) -> None:
    run = finished(tiny)
    build.ensemble(run.settings, ["original"])
    assert "corrected" not in (run.layout.ensemble / "weights.json").read_text()
    assert "corrected" not in (run.layout.variant("original") / "meta.json").read_text()
    assert pd.read_csv(run.layout.images).columns.tolist() == ["image_id", "split", "path"]
    assert "corrected" not in analysis.load(run.layout.ensemble).frame


def test_a_correction_moves_no_fold_and_is_not_written_into_folds_csv(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("folds.near_copies=false", "folds.tries=2")
    path = make_folds(tiny.settings(*quick))
    before = path.read_bytes()
    capsys.readouterr()
    make_folds(tiny.settings(*quick, corrections(tiny)))
    assert f"{path} is up to date" in capsys.readouterr().out
    path.unlink()
    make_folds(tiny.settings(*quick, corrections(tiny)))
    assert path.read_bytes() == before


def test_another_correction_makes_trainings_stale_and_none_leaves_them_fresh(tiny: Tiny) -> None:
    run, job = finished(tiny), Job("original", 0)
    assert Training(run, job).is_trained
    same = [tiny.truth["image_id"].iloc[0]]
    label = tiny.truth["label"].iloc[0]
    (tiny.folder / "same.csv").write_text(f"image_id,label\n{same[0]},{label}\n")
    assert Training(Run.open(tiny.settings(f"competition.corrections={tiny.folder / 'same.csv'}")), job).is_trained
    corrected = Run.open(tiny.settings(corrections(tiny)))
    assert not Training(corrected, job).is_trained
    finish(corrected, job)
    assert Training(corrected, job).is_trained
    assert not Training(Run.open(tiny.settings(corrections(tiny, ODD[:2]))), job).is_trained
    assert corrected.folds_digest == run.folds_digest


def test_a_training_sees_the_corrected_labels(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_folds()
    run = Run.open(tiny.settings(corrections(tiny), "training.class_weights=balanced", "training.inner_split=0.3"))
    job = next(job for job in jobs_of(run.settings, run.settings.variants["original"]) if job.fold == 0)
    rows = Training(run, job).rows
    course = Course(Training(run, job), rows)
    course.__dict__["source"] = ArrayRows(np.zeros((len(run.folds), 4), np.float32))
    targets = course.batches(0).targets.argmax(axis=1)
    assert targets.tolist() == run.training_targets().tolist() != run.targets().tolist()
    counts = np.bincount(run.training_targets()[rows], minlength=3)
    assert class_weights(run, course.variant, rows) == pytest.approx(len(rows) / (3 * counts))
    seen = []
    monkeypatch.setattr(
        "ripik.training.examples.split", lambda labels, *_: seen.append(labels) or np.zeros(len(labels), int)
    )
    inner_split(Training(run, job))
    assert seen[0].tolist() == run.training_targets()[rows].tolist()


def test_heads_of_the_audit_learn_the_corrected_labels(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_folds()
    run = Run.open(tiny.settings(corrections(tiny)))
    learned = []
    monkeypatch.setattr("ripik.diagnostics.audit.read_features", lambda *_: np.zeros((len(run.folds), 2), np.float32))
    monkeypatch.setattr("ripik.diagnostics.audit.out_of_fold", lambda features, y, *_, **__: learned.append(y))
    _of_photos(run, run.settings.variants["original"], scores_training=False, done=lambda: None)
    assert [y.tolist() for y in learned] == 2 * [run.training_targets().tolist()]


def test_runs_with_and_without_corrections_are_compared_in_pairs(blended: Run, tiny: Tiny) -> None:
    plain = tiny.folder / "plain.csv"
    frame = pd.read_csv(blended.layout.variant("original") / "oof.csv", dtype={"image_id": str})
    frame.to_csv(plain, index=False)
    before = read_competition(tiny.settings()).train.set_index("image_id")["label"]
    assert frame["label"].tolist() == before.loc[frame["image_id"]].tolist()
    assert compare(blended.settings, "original", str(plain)).scores[0].difference.value == 0


def test_images_csv_tells_the_corrections(tiny: Tiny) -> None:
    tiny.write_folds()
    run = Run.open(tiny.settings(corrections(tiny)))
    record_run(run)
    found = pd.read_csv(run.layout.images, dtype=str, keep_default_na=False)
    assert found.loc[found["corrected"] != "", "image_id"].tolist() == ODD
    record_run(Run.open(tiny.settings()))
    assert "corrected" not in pd.read_csv(run.layout.images)


def test_corrections_that_leave_a_class_in_one_fold_are_refused(tiny: Tiny) -> None:
    tiny.write_folds()
    of_three = tiny.truth[(tiny.truth["label"] == 3) & (tiny.truth["photo"] % 3 != 0)]["image_id"].tolist()
    settings = tiny.settings(corrections(tiny, of_three))
    with pytest.raises(InputError, match=r"mine\.csv: with these corrections: class 3 is in one fold only"):
        read_folds(settings, read_competition(settings))
