"""The time limit of a command."""

import os
import sys
from pathlib import Path

import pytest

from conftest import Tiny
from ripik.errors import InputError, OutOfTimeError
from ripik.execution import time_limit
from ripik.execution.runner import execute
from ripik.execution.task import Task
from ripik.settings import JobSettings, LimitSettings


@pytest.mark.parametrize(
    ("text", "seconds"), [("", None), ("45s", 45), ("90m", 5400), ("8h30m", 30600), ("1h2m3s", 3723)]
)
def test_durations(text: str, seconds: float | None) -> None:
    assert LimitSettings(time_limit=text).seconds == seconds


@pytest.mark.parametrize("text", ["5", "h", "-1h", "1.5h", "30m1h", "0s", "8h 30m", "eight hours"])
def test_what_is_no_duration_is_told(tiny: Tiny, text: str) -> None:
    with pytest.raises(InputError, match="is not a duration: write it as 8h30m"):
        tiny.settings(f'training.time_limit="{text}"')


def test_a_limit_is_no_part_of_a_training(tiny: Tiny) -> None:
    with_limit, without = tiny.settings("training.time_limit=1h"), tiny.settings()
    assert with_limit.variants == without.variants
    assert with_limit.training.seconds == 3600


def test_the_limit_is_known_while_the_block_runs() -> None:
    assert time_limit.left() is None
    with time_limit.limited(100):
        left = time_limit.left()
        assert left is not None
        assert 0 < left <= 100
        time_limit.check(50)
        with pytest.raises(OutOfTimeError):
            time_limit.check(101)
        with time_limit.limited(None):
            assert time_limit.left() is None
        assert time_limit.left() is not None
    assert time_limit.VARIABLE not in os.environ


@pytest.fixture
def found_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")


@pytest.mark.usefixtures("found_here")
def test_when_a_job_stops_at_the_limit_the_others_end_and_none_begins(tmp_path: Path) -> None:
    tasks = [
        Task("stops", "small_jobs:out_of_time", (), needs_backend=False),
        Task("ends", "small_jobs:note", (tmp_path / "ends",), needs_backend=False),
        Task("later", "small_jobs:note", (tmp_path / "later",), needs_backend=False, after=("stops", "ends")),
    ]
    with pytest.raises(OutOfTimeError, match="another epoch"):
        execute(tasks, JobSettings(jobs=2, threads=1))
    assert (tmp_path / "ends").exists()
    assert not (tmp_path / "later").exists()


def test_the_command_ends_with_75(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    with time_limit.limited(None):
        assert tiny.cli("train", "--variants", "original", "--set", "training.time_limit=1s") == 75
    told = " ".join(capsys.readouterr().err.split())
    assert "ripik: stopped by training.time_limit. Finished work is kept: run the same command again" in told
    assert sys.exc_info() == (None, None, None)
