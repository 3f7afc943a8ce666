"""Damaged files, full disks, limits and killed workers: a clear error or a redo of exactly what was hit."""

import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Drawn, Tiny, write_competition
from faults import FAULTS, Outcome, World, show
from ripik.splits.run import make_folds

SLOW = {"pixels", "last weights", "features' checksums", "blend's meta"}
SOME = ["folds.csv", "pixels", "features' checksums", "last weights", "predictions", "oof.csv", "blend's meta"]
SMALL_FILES = 3000  # bytes a file may have


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("faults"))
    made.finish()
    return made


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.long) if kind in SLOW else kind for kind in SOME]
)
def test_a_damaged_file_is_mended_or_told(world: World, kind: str) -> None:
    fault = FAULTS[SOME.index(kind) % 2]  # all faults in all kinds of files: `make faults`
    outcome = world.suffer(kind, fault, seed=7)
    assert outcome.good, outcome


def test_what_is_wrong_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.storage.artifacts.is_whole", lambda path, recorded: path.exists())
    assert world.suffer("blend's oof.csv", "flipped", 3).verdict.startswith("SILENT")
    assert world.suffer("history", "flipped", 3).verdict.startswith("UNNOTICED")


def test_the_table_counts_silent_errors() -> None:
    told = show([Outcome("oof.csv", "cut", "redone", ""), Outcome("oof.csv", "cut", "SILENT: folds.csv differ", "")])
    assert told.endswith("2 faults: 1 mended, silent wrong results: 1")


def limited(limit: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(limit, (value, value))


def run(tiny: Tiny, step: str, before: Callable[[], None], *settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ripik", step, "--config", str(tiny.config)]
    command += [word for setting in settings for word in ("--set", setting)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tiny.folder, preexec_fn=before)


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.mark.parametrize("size", [0, *(pytest.param(size, marks=pytest.mark.long) for size in (700, SMALL_FILES))])
def test_a_full_disk_is_told_and_the_next_run_ends_as_if_there_had_been_room(
    tiny: Tiny, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    failed = run(tiny, "folds", limited(resource.RLIMIT_FSIZE, size))
    assert failed.returncode == 3, failed.stderr
    message = " ".join(failed.stderr.split())
    assert "ripik: " in message
    assert "File too large. Free space, and run again." in message
    assert "Traceback" not in message
    assert not hidden(tiny.run)
    other = write_competition(tmp_path_factory.mktemp("room"), drawn)
    for each in (tiny, other):
        make_folds(each.settings())
    assert (tiny.run / "folds.csv").read_bytes() == (other.run / "folds.csv").read_bytes()


def test_too_few_files_allowed_is_told(tiny: Tiny) -> None:
    failed = run(tiny, "folds", limited(resource.RLIMIT_NOFILE, 12))
    assert failed.returncode == 3, failed.stderr
    assert "Too many open files. Allow more open files (ulimit -n), and run again." in " ".join(failed.stderr.split())
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("made_before", [True, False])
def test_permission_lost(tiny: Tiny, made_before: bool) -> None:
    if made_before:
        make_folds(tiny.settings())
    folder = tiny.run if made_before else tiny.folder / "output"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert tiny.cli("folds", "--set", "folds.seed=4") == 3
    folder.chmod(0o755)
    assert tiny.cli("folds", "--set", "folds.seed=4") == 0


DIE = """
import os, signal, sys
from ripik import cli
from ripik.execution import parallel

def die(parent, function, rows):
    os.kill(os.getpid(), signal.SIGKILL)

parallel._call_all = die
sys.exit(cli.main(["augment", "--config", sys.argv[1]]))
"""


def test_a_worker_that_the_kernel_kills_is_told(tiny: Tiny) -> None:
    done = subprocess.run([sys.executable, "-c", DIE, str(tiny.config)], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "a worker process was killed, most likely because memory ran out" in " ".join(done.stderr.split())
    assert not hidden(tiny.run)


def test_a_clock_that_goes_backwards_loses_no_submission(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.restore()
    before = sorted(world.submissions.glob("*.csv"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 10_000_000)
    (world.run / "ensemble" / "weights.json").unlink()
    for path in before:
        path.with_suffix(".json").unlink(missing_ok=True)  # else the very same submission would be the run's last
    code, said = world.step("ensemble")
    assert code == 0, said
    assert set(before) < set(world.submissions.glob("*.csv"))
    assert not world.differences()


@pytest.mark.long
def test_a_process_of_a_job_that_is_killed_is_told_by_name(tiny: Tiny) -> None:
    command = [sys.executable, "-m", "ripik", "train", "--config", str(tiny.config), "--variants", "original"]
    command += ["--folds", "0", "--set", "training.epochs=3000", "--set", "folds.n_splits=2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        running = tiny.run / "running" / "original-fold0.json"
        limit = time.monotonic() + 200
        while not (tiny.run / "original" / "fold0" / "state.npz").exists() and time.monotonic() < limit:
            time.sleep(0.1)
        pid = int(running.read_text().split('"pid": ')[1].split(",")[0])
        os.kill(pid, signal.SIGKILL)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "the process of original/fold0 was killed (exit code -9), most likely because memory ran out" in told
    assert "resumes from the last saved state" in told
