"""The line killed at a few moments, run again, and compared; `make torture` does it at sixty, and in more ways."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from torture import BROKEN, EXTRA, LEAST, Trial, append, attempt, break_source, read, schedule, show
from torture_compare import claims
from torture_line import STATUS, STEPS, Line
from torture_processes import alive
from torture_stops import (
    AFTER,
    ALONE,
    KINDS,
    ONE,
    PACKED,
    SAVED,
    SCORING,
    SIGNALS,
    STARTS,
    UNLOGGED,
    _wrong_end,
    _wrong_loss,
    moments,
)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("torture"))


def run_to(line: Line, name: str) -> Line:
    """Run the line up to a step, whatever of it is not yet done."""
    for step in STEPS[: [step.name for step in STEPS].index(name) + 1]:
        line.run_once(step)
    return line


def long(*values: str) -> object:
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        long("folds", "aimed"),
        long("train-original", "aimed"),
        long("train-original", SCORING),
        long("tune", "uniform"),
        long("train-augmented", ONE),
        long("train-finetuned", ONE),
        long("train-finetuned", ALONE),
        long("ensemble", UNLOGGED),
    ],
)
def test_a_killed_step_ends_with_the_same_bytes(line: Line, step: str, kind: str) -> None:
    found = attempt(run_to(line, step), Trial(0, step, kind), seed=1)
    assert found.identical == "yes", found


@pytest.mark.long
@pytest.mark.parametrize("kind", STARTS)
def test_a_signal_at_the_start_shows_no_traceback(line: Line, kind: str) -> None:
    found = attempt(run_to(line, "folds"), Trial(0, STATUS.name, kind), seed=1)
    assert found.identical == "yes", found


@pytest.mark.long
def test_a_build_that_does_not_restore_the_optimizer_is_found(line: Line, tmp_path: Path) -> None:
    broken = Line(run_to(line, "train-original").work)
    broken.source = break_source("optimizer", tmp_path)
    found = attempt(broken, Trial(0, "train-original", SAVED), seed=4)
    assert found.identical == "no", found
    assert "original/fold" in found.differs


PACKS = """
import sys
from pathlib import Path
import numpy as np
from ripik.storage.packed_array import packing

with packing(Path(sys.argv[1]), 3, (2,), "uint8", inputs={"a": 1}, maker={}) as unfinished:
    for row in unfinished.missing():
        unfinished.write(int(row), np.full((1, 2), row, np.uint8))
"""


@pytest.mark.parametrize(
    ("broken", "found"), [pytest.param(False, False, marks=pytest.mark.long), pytest.param(True, True, id="packed")]
)
def test_packed_names_before_their_meta_file_are_found(tmp_path: Path, broken: bool, found: bool) -> None:
    source = break_source("packed", tmp_path / "source") if broken else None
    target, told = tmp_path / "packed" / "a.npy", tmp_path / "told"

    def pack(kill: int | None) -> str:
        files = [f"{target.parent}/", str(tmp_path / "count"), str(kill), str(told)]
        path = [*([str(source)] if source else []), os.environ["PYTHONPATH"]]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
        environment |= {} if kill is None else {"RIPIK_KILL": "\n".join(files)}
        command = [sys.executable, "-c", PACKS, str(target)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, start_new_session=True
        )
        assert done.returncode == (0 if not kill else -signal.SIGKILL), done.stderr
        return done.stdout + done.stderr

    pack(0)
    last = int([line.split()[0] for line in told.read_text().splitlines() if line.endswith(".partial")][-1])
    shutil.rmtree(target.parent)
    (tmp_path / "count").unlink()
    pack(last)  # before the last of the names, whichever that is
    assert bool(claims(pack(None))) == found
    assert np.load(target, allow_pickle=False).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_every_step_is_killed_often_enough() -> None:
    for seed in range(20):
        trials = schedule(60, 9, seed)
        assert trials == schedule(60, 9, seed)
        fell = Counter(trial.step for trial in trials[:60])
        assert min(fell[step.name] for step in STEPS) >= LEAST
        assert Counter(trial.kind for trial in trials[:60]) == {"uniform": 30, "aimed": 30}
        assert {trial.kind for trial in trials[60:69]} == {"SIGTERM", "SIGTERM to all", "Ctrl-C"}
        assert [(trial.step, trial.kind) for trial in trials[69:]] == list(EXTRA)
    assert schedule(60, 9, 0) != schedule(60, 9, 1)
    assert {trial.kind for trial in trials} == {*KINDS} - {AFTER, SAVED, PACKED}
    assert {trial.step for trial in trials} <= {step.name for step in (*STEPS, STATUS)}


def test_moments_of_their_own_are_those_around_the_names(tmp_path: Path) -> None:
    step = next(step for step in STEPS if step.name == "ensemble")
    told = [
        "os.rename output/tiny/p/.a.npy.1.partial",
        "os.rename submissions/.1-a.tiny-1-cv0.5.oof.csv",
        "os.rename submissions/.1-a.tiny-1-cv0.5.csv",
        "open submissions/log.lock",
        "open submissions/.1-a.log.csv",
        "os.rename submissions/.1-a.log.csv",
        "os.remove submissions/.1-a.log.csv",
    ]
    folder = tmp_path / "kept" / step.name
    folder.mkdir(parents=True)
    (folder / "moments.txt").write_text("".join(f"{n} {moment}\n" for n, moment in enumerate(told, start=5)))
    line = Line(tmp_path)
    assert moments(line, step, UNLOGGED) == [8, 9, 10, 11]
    assert moments(line, step, PACKED) == [2, 3, 4, 5]
    assert moments(line, step, AFTER) == [6, 7, 8, 11]


@pytest.mark.parametrize(
    ("kind", "code", "said", "wrong"),
    [
        ("Ctrl-C", 130, "stopped. run the same\ncommand again", ""),
        ("Ctrl-C", 130, "Traceback: run the same command again", "it shows a traceback"),
        ("Ctrl-C", 143, "run the same command again", "exit code 143"),
        ("SIGTERM", 143, "terminated", "it does not say how to go on"),
    ],
)
def test_the_end_after_a_signal_is_judged(kind: str, code: int, said: str, wrong: str) -> None:
    found = _wrong_end(code, said, SIGNALS[kind])
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)


def test_the_processes_of_a_group_are_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        assert [told.split(":")[0] for told in alive(process.pid)] == [str(process.pid)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert alive(process.pid) == []


def test_the_table_grows(tmp_path: Path) -> None:
    trials = [
        Trial(0, "folds", "aimed", "3: os.rename a/b", "yes", ""),
        Trial(1, "report", "uniform", "1.0 s", "no", "report"),
    ]
    for trial in trials:
        append(tmp_path / "kills.csv", trial)
    assert read(tmp_path / "kills.csv") == trials
    told = show(trials)
    assert "aimed kills came before: os.rename 1" in told
    assert told.endswith("1 report uniform 1.0 s: report")


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_on_purpose_is_there(name: str, tmp_path: Path) -> None:
    folder = break_source(name, tmp_path)
    file, text, *_ = BROKEN[name]
    assert text not in (folder / "ripik" / file).read_text()


@pytest.mark.parametrize(
    ("code", "named", "done", "wrong"),
    [
        (3, "finetuned/fold0", True, ""),
        (3, "finetuned: 2 heads", False, ""),
        (3, "finetuned/fold1", True, "it does not name the job of fold0"),
        (3, "finetuned/fold0", False, "it has not done fold1"),
        (143, "finetuned/fold0", True, "exit code 143"),
    ],
)
def test_the_end_after_the_loss_of_a_worker_is_judged(
    tmp_path: Path, code: int, named: str, done: bool, wrong: str
) -> None:
    step = next(step for step in STEPS if step.name == "train-finetuned")
    line = Line(tmp_path)
    after = tmp_path / "kept" / step.name / "after" / "output" / "tiny" / "finetuned"
    for job in (after / "fold0", after / "fold1", *([line.run / "finetuned" / "fold1"] if done else [])):
        job.mkdir(parents=True)
        (job / "oof.csv").write_text("1")
    said = f"the process of {named} was killed (exit code -9).\nThe same command resumes from the last saved state."
    found = _wrong_loss(line, step, code, said, {"fold0"})
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)
