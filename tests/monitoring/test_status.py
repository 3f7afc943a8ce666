"""The step `status`: every state of every part is told, nothing is changed, and nothing heavy is loaded."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Tiny
from made_up_predictions import write_json
from made_up_trainings import finish, random_values
from ripik.ensemble.build import ensemble
from ripik.ensemble.finished import finished_blend, shown_inputs
from ripik.errors import InputError
from ripik.execution import locks
from ripik.execution.locks import present, turn
from ripik.monitoring.job_state import (
    FINISHED,
    KILLED,
    RUNNING,
    STOPPED,
    TRAINED,
    job_state,
)
from ripik.monitoring.outcomes import BROKEN, YOURS, Part, blend_state
from ripik.monitoring.run_state import Status, VariantState, _next, find_status
from ripik.monitoring.status import status
from ripik.report.page import REPORT
from ripik.splits.run import Run, make_folds
from ripik.storage import artifacts
from ripik.storage.paths import Job, layout_of
from ripik.storage.up_to_date import FRESH, MISSING, STALE, differences
from ripik.training import checkpoint
from ripik.training.checkpoint import Checkpoint, Progress
from ripik.training.jobs import Training, jobs_of
from ripik.training.oof import merge_variant

JOB = Job("original", 0)


@pytest.fixture
def run(tiny: Tiny) -> Run:
    tiny.write_folds()
    return Run.open(tiny.settings())


@pytest.fixture
def whole(tiny: Tiny) -> Run:
    """A run with a blend of all four variants."""
    tiny.write_folds()
    opened = Run.open(tiny.settings())
    for variant in opened.settings.variants.values():
        for job in jobs_of(opened.settings, variant):
            finish(opened, job)
    ensemble(opened.settings)
    return opened


@pytest.fixture(autouse=True)
def changes_nothing(tiny: Tiny, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test builds, `status` itself must leave every file as it is."""
    yield
    before = snapshot(tiny.folder)
    if (tiny.input / "train").exists():
        find_status(tiny.settings())
    assert snapshot(tiny.folder) == before


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def save_state(run: Run, job: Job, epochs: int) -> None:
    """Write what a training leaves behind that was stopped after some epochs."""
    folder = run.layout.job(job)
    folder.mkdir(parents=True, exist_ok=True)
    history = [{"epoch": epoch + 1, "loss": 1.0} for epoch in range(epochs)]
    saved = Checkpoint(Progress(history), {"model": [np.zeros(1)], "optimizer": []})
    checkpoint.save(run.layout.state(job), Training(run, job).inputs(), saved)


def write_page(run: Run) -> Path:
    """Write a report, made up, of the present predictions and blend."""
    page = run.layout.report / "index.html"
    page.parent.mkdir()
    inputs = {"version": REPORT, **shown_inputs(run, finished_blend(run))}
    with artifacts.making(artifacts.meta_beside(page), inputs, [page]):
        page.write_text("page")
    return page


def leave_killed(run: Run, job: Job) -> None:
    path = run.layout.running(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"host": "far", "pid": 7, "since": "2026-01-02T03:04:05"}))


def test_without_data_it_says_what_to_do(tiny: Tiny) -> None:
    shutil.rmtree(tiny.input)
    with pytest.raises(InputError, match="make data"):
        status(tiny.settings())


def test_a_run_without_folds(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    found = status(tiny.settings())
    assert (found.images, found.classes) == ((27, 6), 3)
    assert (found.groups.state, found.folds.state, found.blend.state) == (MISSING, MISSING, MISSING)
    assert {job.state for job in found.jobs} == {MISSING}
    lines = capsys.readouterr().out.splitlines()
    assert "groups.csv: missing" in lines
    assert "submission: none yet" in lines
    assert lines[-1] == found.next == "next: make folds"


def test_a_run_without_a_sample_waits_for_no_submission(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    status(tiny.settings("competition.sample_submission="))
    assert "submission: not written, as there is no sample submission" in capsys.readouterr().out.splitlines()


def test_folds_of_the_step_and_of_the_user(tiny: Tiny) -> None:
    make_folds(tiny.settings())
    found = find_status(tiny.settings())
    assert (found.groups.state, found.folds.state) == (FRESH, FRESH)
    assert found.groups.detail.endswith(" groups of train and test images")
    assert found.next.startswith("next: make train (12 of 12 jobs)")
    other = find_status(tiny.settings("folds.seed=7"))
    assert (other.groups.state, other.folds.state, other.next) == (FRESH, STALE, "next: make folds")
    changed = find_status(tiny.settings("folds.near_copy_threshold=0.9"))
    assert changed.groups.detail == "differs in threshold 0.55 → 0.9"
    assert changed.folds.detail == "groups.csv is stale"
    tiny.write_folds()
    found = find_status(tiny.settings())
    assert (found.groups.state, found.folds.state) == (YOURS, YOURS)


def test_broken_folds_of_the_user_are_to_be_mended(tiny: Tiny, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    finish(run, JOB)
    tiny.edit(tiny.run / "folds.csv", lambda frame: frame.iloc[1:])
    found = status(tiny.settings())
    assert found.folds.state == BROKEN
    assert found.next.startswith("next: fix folds.csv, which you edited: ")
    assert {job.state for job in found.jobs} == {MISSING}
    assert capsys.readouterr().out.count("does not list the ids of train.csv") == 3  # folds, jobs, next


def test_the_states_of_a_job(run: Run) -> None:
    assert job_state(run, JOB).state == MISSING
    leave_killed(run, JOB)
    found = job_state(run, JOB)
    assert (found.state, found.epoch) == (KILLED, 0)
    assert found.detail == "before the end of its first epoch (host far, process 7, since 2026-01-02 03:04:05)"
    save_state(run, JOB, 3)
    found = job_state(run, JOB)
    assert (found.state, found.epoch) == (KILLED, 3)
    assert found.detail.startswith("after epoch 3 of 30 (host far")
    run.layout.running(JOB).unlink()
    assert job_state(run, JOB).state == STOPPED
    assert find_status(run.settings).next == "next: make train (12 of 12 jobs, 1 of them to be resumed)"
    finish(run, JOB)
    assert job_state(run, JOB).state == FINISHED
    Training(run, JOB).predictions.unlink()
    assert job_state(run, JOB).state == TRAINED
    leave_killed(run, JOB)
    assert job_state(run, JOB).detail.startswith("while it predicted (host far, process 7")


def test_a_job_at_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_WRITES", 0.0)
    finish(run, JOB)  # whatever lies there, it is being done again
    with present(run.layout.running(JOB), str(JOB)) as tell:
        tell(2.5, 30, "epoch 3/30, loss 0.512", 754.4)
        found = job_state(run, JOB)
        where = f"host {socket.gethostname()}, process {os.getpid()}, since"
        assert (found.state, found.epoch) == (RUNNING, 2)
        assert found.detail.startswith(f"epoch 3/30, loss 0.512, 0:12:34 left, {where}")
        all_of_it = find_status(run.settings)
        assert all_of_it.next == "next: wait, 1 of 12 jobs are running, 11 to go"
    assert job_state(run, JOB).state == FINISHED


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.learning_rate=0.02", "differs in learning_rate 0.001 → 0.02"),
        ("training.epochs=7", "differs in epochs 30 → 7"),
        ("network.image_size=48", "differs in image_size 32 → 48, the images"),
        ("features.store=false", "differs in store True → False"),
        ("training.class_weights=balanced", "differs in class_weights none → balanced"),
    ],
)
def test_a_stale_job_says_what_differs(tiny: Tiny, run: Run, override: str, told: str) -> None:
    finish(run, JOB)
    found = job_state(Run.open(tiny.settings(override)), JOB)
    assert (found.state, found.detail) == (STALE, told)


def test_a_stale_start_folds_and_photos_are_named(tiny: Tiny, run: Run) -> None:
    finish(run, JOB)
    finish(run, Job("finetuned", 0))
    found = job_state(Run.open(tiny.settings("variants.original.epochs=7")), Job("finetuned", 0))
    assert found.detail == "differs in its start (original)"
    os.utime(run.competition.train["path"][0])
    assert job_state(Run.open(run.settings), JOB).detail == "differs in the images"
    tiny.edit(tiny.run / "folds.csv", lambda frame: frame.iloc[::-1])
    assert job_state(Run.open(run.settings), JOB).detail == "differs in folds.csv, the images"


def test_lost_weights_and_other_states_are_stale(tiny: Tiny, run: Run) -> None:
    save_state(run, JOB, 3)
    other = job_state(Run.open(tiny.settings("training.epochs=7")), JOB)
    assert (other.state, other.epoch) == (STALE, 0)
    (run.layout.job(JOB) / "state.npz").write_bytes(b"PK\x03\x04 cut")
    assert job_state(run, JOB).state == STALE
    meta = run.layout.job(JOB) / "meta.json"
    artifacts.write_meta(meta, inputs=Training(run, JOB).inputs(), outputs={"last.weights.h5": "x"}, seconds=1)
    assert job_state(run, JOB).detail == "some of its files are missing"


def test_predictions_of_other_views_are_told(tiny: Tiny, run: Run) -> None:
    finish(run, JOB)
    found = job_state(Run.open(tiny.settings('prediction.views=["identity"]')), JOB)
    assert (found.state, found.detail) == (TRAINED, "its predictions differ in views")


def test_differences_in_tables_inside_tables() -> None:
    old = {"a": {"b": 1, "c": [1]}, "weights": "x", "gone": None, "d": "long " * 9}
    new = {"a": {"b": 2, "c": [2]}, "weights": "y", "d": "", "new": True}
    found = differences(old, new, {"weights": "the weights"})
    assert found == ["b 1 → 2", "c", "the weights", "d long lon… → ", "new none → True"]
    assert differences(old, old, {}) == []


def test_a_weights_file_that_is_gone_is_told(tiny: Tiny, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = status(tiny.settings("network.weights=gone.h5"))
    assert {job.state for job in found.jobs} == {MISSING}
    assert capsys.readouterr().out.count("there is no file gone.h5") == 1


def test_a_finished_run(tiny: Tiny, whole: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    found = status(tiny.settings())
    told = artifacts.read_json(tiny.run / "ensemble" / "weights.json")
    assert {job.state for job in found.jobs} == {FINISHED}
    assert found.blend.state == FRESH
    assert found.blend.value == told["scores"]["cross_fitted"]
    for variant in found.variants:
        meta = artifacts.read_json(tiny.run / variant.name / "meta.json")
        assert (variant.oof.state, variant.oof.value) == (FRESH, meta["scores"]["pooled"]["value"])
    (submission,) = (tiny.folder / "submissions").glob("tiny-*[0-9].csv")
    assert found.last["file"] == submission.name
    assert (found.report.state, found.next) == (MISSING, "next: make report")
    out = capsys.readouterr().out
    assert "not needed" in out  # nothing is stored, and nothing has to be
    assert f"CV macro_f1 {found.blend.value:.4f}" in out
    assert re.search("✓D?( done)?: finished", out)
    page = write_page(whole)
    os.utime(page, (1, 1))  # its time tells nothing
    assert find_status(tiny.settings()).next.startswith("nothing to train: everything is up to date")
    page.write_text("another page")
    edited = find_status(tiny.settings())
    assert (edited.report.state, edited.report.detail) == (STALE, "edited, or damaged")
    artifacts.meta_beside(page).unlink()
    late = find_status(tiny.settings())
    assert (late.report.state, late.next) == (STALE, "next: make report")


def test_a_report_of_other_predictions_is_stale(tiny: Tiny, whole: Run) -> None:
    write_page(whole)
    finish(whole, JOB, lambda *asked: random_values(*asked)[..., ::-1])
    ensemble(whole.settings)
    found = find_status(tiny.settings())
    assert (found.blend.state, found.report.state) == (FRESH, STALE)
    assert found.report.detail == "made from other predictions"


def test_a_report_that_tells_of_other_settings_is_stale(tiny: Tiny, whole: Run) -> None:
    page = write_page(whole)
    inputs = {**(artifacts.read_meta(artifacts.meta_beside(page)) or {})["inputs"], "unfinished": ["original"]}
    artifacts.write_meta(artifacts.meta_beside(page), inputs=inputs, outputs={}, seconds=1)
    found = find_status(tiny.settings()).report
    assert (found.state, found.detail) == (STALE, "made before original had all their trainings")


def test_a_blend_without_a_finished_variant_is_to_be_made_again(tiny: Tiny) -> None:
    layout = layout_of(tiny.settings())
    write_json(layout.ensemble / "weights.json", {})
    record = {"members": ["original"], "weights": {"original": 1.0}, "scores": {"cross_fitted": 0.5}}
    oofs = {name: Part("oof.csv", FRESH) for name in ("original", "added")}
    blend, done = blend_state(layout, record, oofs), Part("", FRESH)
    assert (blend.state, blend.detail) == (FRESH, "original 1.00; without added")
    variants = [VariantState(name, (), done, oof) for name, oof in oofs.items()]
    assert _next(done, done, variants, blend, done) == "next: make ensemble (the blend is without added)"
    told = _next(done, done, variants, blend, Part("report", MISSING))
    assert told == "next: make ensemble (the blend is without added), or, if it is to be so, make report"
    whole = blend_state(layout, record | {"members": list(oofs)}, oofs)
    assert _next(done, done, variants, whole, done).startswith("nothing to train: everything is up to date")


@pytest.mark.parametrize(
    "before", [False, pytest.param(True, marks=pytest.mark.long)], ids=["by this version", "by one that recorded less"]
)
def test_an_ensemble_with_nothing_to_do_writes_nothing(tiny: Tiny, whole: Run, before: bool) -> None:
    write_page(whole)
    csvs = sorted(tiny.run.glob("*/*.csv"))
    if before:
        for meta in tiny.run.glob("*/meta.json"):
            if meta.parent.name in whole.settings.variants:
                told = artifacts.read_meta(meta) or {}
                kept = {name: told["inputs"][name] for name in ("merge", "predictions")}
                outputs = {**told["outputs"]}
                artifacts.write_meta(meta, inputs=kept, outputs=outputs, seconds=1, scores=told["scores"])
        found = find_status(tiny.settings())
        assert found.next.startswith("nothing to train: everything is up to date")
        assert {variant.oof.value for variant in found.variants} == {None}  # it does not tell of which metric
        contents = [path.read_bytes() for path in csvs]
        ensemble(whole.settings)
        assert [path.read_bytes() for path in csvs] == contents
    made = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in csvs]
    ensemble(whole.settings)
    assert len(csvs) == 10
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in csvs] == made
    assert len(list((tiny.folder / "submissions").glob("tiny-*.json"))) == 1
    assert find_status(tiny.settings()).next.startswith("nothing to train: everything is up to date")


def test_a_blend_of_a_variant_that_is_no_more_is_stale_and_one_whose_csvs_are_lost_is_not(
    tiny: Tiny, whole: Run
) -> None:
    for path in tiny.run.glob("*/test.csv"):
        if path.parent.name != "ensemble":
            path.unlink()
    assert finished_blend(whole) is not None
    fewer = {name: variant for name, variant in whole.settings.variants.items() if name != "augmented"}
    assert finished_blend(Run.open(whole.settings.model_copy(update={"variants": fewer}))) is None


def test_what_follows_from_a_job_that_is_made_anew(tiny: Tiny, whole: Run) -> None:
    seed_of_blend = find_status(tiny.settings("blend.seed=9"))
    assert (seed_of_blend.blend.state, seed_of_blend.next) == (STALE, "next: make ensemble")
    changed = find_status(tiny.settings("variants.original.epochs=7"))
    assert [variant.oof.state for variant in changed.variants] == [STALE, FRESH, STALE, FRESH]
    assert changed.blend.detail == "the oof.csv of original, finetuned is stale"
    assert changed.next == "next: make train (6 of 12 jobs)"
    (tiny.run / "original" / "oof.csv").unlink()
    unmerged = find_status(tiny.settings())
    assert unmerged.variants[0].oof.state == MISSING
    assert unmerged.next == "next: make train (every job is finished; only oof.csv is still to be written)"
    merge_variant(whole, whole.settings.variants["original"])
    assert find_status(tiny.settings()).blend.state == FRESH


def test_submissions_of_other_runs_are_not_shown(tiny: Tiny) -> None:
    log = tiny.folder / "submissions" / "log.csv"
    log.parent.mkdir()
    names = [
        f"{run}-20260101-00000{number}-cv0.5.csv" for number, run in enumerate(["tiny", "tiny", "tiny-2", "other"])
    ]
    pd.DataFrame({"file": names, "cv": "0.5", "public": ["", "0.61", "", ""]}).to_csv(log, index=False)
    assert find_status(tiny.settings()).last == {"file": names[1], "cv": "0.5", "public": "0.61"}
    (log.parent / names[1]).with_suffix(".json").write_text('{"configuration": {"run": "tiny-2"}}')
    assert find_status(tiny.settings()).last["file"] == names[0]
    log.write_text("nothing\n")
    assert find_status(tiny.settings()).last == {}


def test_every_state_has_its_words(tiny: Tiny, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tiny.settings("training.refit=true", "training.seeds=2")
    opened = Run.open(settings)
    finish(opened, Job("original", 0))
    save_state(opened, Job("original", 1), 3)
    save_state(opened, Job("original", 2), 4)
    leave_killed(opened, Job("original", 2))
    with present(opened.layout.running(Job("original", None)), "refit"):
        found = status(settings)
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "original" in line)
    assert re.findall(r"1\S\w", row) == ["1✓D", "1·M", "1‖S", "1·M", "1✗K", "1·M", "1▶R", "1·M"]
    assert "original/fold1: stopped, after epoch 3 of 30" in out
    assert "original/fold2: killed, after epoch 4 of 30 (host far, process 7" in out
    assert "original/refit: running, starts, host" in out
    for told in ("✓D: finished", "▶R: running", "‖S: stopped, will resume", "✗K: killed, will resume", "·M: missing"):
        assert told in out
    assert isinstance(found, Status)


def test_jobs_that_stand_alike_share_a_line(tiny: Tiny, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for job in jobs_of(run.settings, run.settings.variants["original"]):
        finish(run, job)
    status(tiny.settings("training.epochs=7"))
    assert "original/fold0, fold1, fold2: stale, differs in epochs 30 → 7\n" in capsys.readouterr().out


def test_no_network_is_loaded(tiny: Tiny, run: Run) -> None:
    code = (
        "import sys; from pathlib import Path; from ripik.config import load_settings;"
        "from ripik.monitoring.status import status;"
        "status(load_settings(Path(sys.argv[1]), [])); assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny.config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("next: ")


def test_a_command_at_work_on_what_trainings_share_is_waited_for(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of(tiny.settings())
    with turn(layout, "folds"):
        assert find_status(tiny.settings()).next == "next: make folds"  # it is this process itself
        monkeypatch.setattr(locks, "_token", lambda: "of another")
        assert find_status(tiny.settings()).next.startswith("next: wait, folds is at work on the run (host ")


@pytest.mark.long
def test_a_record_of_a_blend_whose_values_are_gone_is_stale(tiny: Tiny, whole: Run) -> None:
    path = tiny.run / "ensemble" / "weights.json"
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()))))
    assert find_status(tiny.settings()).blend.state == STALE
