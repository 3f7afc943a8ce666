"""Two commands at once on one run."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import Tiny
from ripik.errors import OutOfTimeError, SurroundingsError
from ripik.execution import locks, time_limit
from ripik.execution.locks import present, refuse_while_training, turn
from ripik.splits.run import make_folds
from ripik.storage.paths import Job, Layout, layout_of

HOLD = """
import sys, time
from pathlib import Path
from ripik.execution.locks import present
with present(Path(sys.argv[1]), "it", note="folds"):
    print("there", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def hold(path: Path, seconds: float) -> Iterator[subprocess.Popen]:
    """Have another process be at work there for so long, or until the block ends."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def layout(tiny: Tiny) -> Layout:
    return layout_of(tiny.settings())


def test_a_turn_waits_for_another_process_and_names_it(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(layout.at_work, 2) as other:
        with turn(layout, "train"):
            assert other.wait(5) == 0  # it has ended
            assert json.loads(layout.at_work.read_text())["note"] == "train"
        told = " ".join(capsys.readouterr().err.split())
    expected = f"waiting for another process: {layout.run} is being worked on by folds (host {socket.gethostname()}, "
    assert f"{expected}process {other.pid}, since 2" in told
    assert not layout.run.exists()


def test_a_killed_process_is_not_waited_for(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(layout.at_work, 100) as other:
        other.kill()
        other.wait()
        assert layout.at_work.exists()
        with turn(layout, "train"):
            assert json.loads(layout.at_work.read_text())["pid"] == os.getpid()
    assert capsys.readouterr().err == ""


def test_turns_of_one_process_are_nested(layout: Layout) -> None:
    with turn(layout, "ensemble"):
        with turn(layout, "train"):
            assert layout.at_work.exists()
        assert json.loads(layout.at_work.read_text())["note"] == "ensemble"
    assert not layout.at_work.exists()


def test_waiting_ends_at_the_time_limit(layout: Layout) -> None:
    with hold(layout.at_work, 100):
        start = time.monotonic()
        with time_limit.limited(0.2), pytest.raises(OutOfTimeError), turn(layout, "train"):
            pass
        assert time.monotonic() - start < 50


def test_folds_are_not_made_anew_under_a_training(tiny: Tiny, layout: Layout) -> None:
    make_folds(tiny.settings())
    before = layout.folds.read_bytes()
    with hold(layout.running(Job("original", 1)), 100) as other:
        make_folds(tiny.settings())  # up to date: nothing changes
        with pytest.raises(
            SurroundingsError, match=f"folds.csv would change under original-fold1.*process {other.pid}"
        ):
            make_folds(tiny.settings("folds.seed=3"))
        with pytest.raises(SurroundingsError, match=r"groups\.csv would change under original-fold1"):
            make_folds(tiny.settings("folds.near_copy_threshold=0.7"))
    assert layout.folds.read_bytes() == before
    refuse_while_training(layout, "folds.csv")


def test_a_job_at_work_is_refused_before_anything_is_prepared(
    tiny: Tiny, layout: Layout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 1)
    make_folds(tiny.settings())
    with hold(layout.running(Job("original", 1)), 100) as other:
        assert tiny.cli("train", "--variants", "original") == 3
        told = " ".join(capsys.readouterr().err.split())
        assert f"original/fold1 is already being worked on (host {socket.gethostname()}, process {other.pid}" in told
    assert not (layout.run / "backbones").exists()


def test_nothing_is_left_behind_where_there_was_nothing(tmp_path: Path) -> None:
    path = tmp_path / "output" / "run" / "running" / "run.json"
    with present(path, "it"):
        assert path.exists()
    assert list((tmp_path / "output").iterdir()) == []
