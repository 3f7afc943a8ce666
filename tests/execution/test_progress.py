"""What is seen of jobs at work: lines in plain text, bars in a terminal, and the time left of all of them."""

import os
from pathlib import Path

import pytest

from ripik.execution import progress
from ripik.execution.progress import Lines, Overview, Report
from test_console import Clock, in_terminal

NAMES = ["original/fold0", "original/fold1", "finetuned/fold0"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress.time, "monotonic", found)
    return found


def run_through(overview: Overview, clock: Clock, name: str, seconds: float) -> None:
    overview.begin(name)
    clock.now += seconds
    overview.end(name)


def test_the_time_left_of_all_counts_jobs_by_their_kind(clock: Clock) -> None:
    overview = Overview([*NAMES, "finetuned/fold1"], at_once=1)
    assert str(overview) == "4 jobs to go"
    run_through(overview, clock, "original/fold0", 60)
    assert str(overview) == "3 jobs to go, over 0:01:00 left"
    run_through(overview, clock, "original/fold1", 60)
    run_through(overview, clock, "finetuned/fold0", 3600)
    assert str(overview) == "1 job to go, 1:00:00 left"
    run_through(overview, clock, "finetuned/fold1", 3600)
    assert str(overview) == "0 jobs to go"


def test_the_time_left_of_all_follows_the_jobs_under_way(clock: Clock) -> None:
    overview = Overview(["a/0", "a/1", "a/2", "a/3"], at_once=2)
    for name in ("a/0", "a/1"):
        overview.begin(name)
        overview.take(Report(name, 0.0, 10))
    clock.now += 10
    for name in ("a/0", "a/1"):
        overview.take(Report(name, 1.0, 10))
    assert overview.left() == (pytest.approx((90 + 90 + 100 + 100) / 2), True)
    assert overview.done == pytest.approx(2 * 0.099)


def test_the_longest_job_bounds_the_time_left(clock: Clock) -> None:
    overview = Overview(["a/0"], at_once=4)
    overview.begin("a/0")
    for done in (0.0, 1.0):
        overview.take(Report("a/0", done, 10))
        clock.now += 10
    assert overview.left() == (pytest.approx(90), True)


def test_lines_come_now_and_then_and_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(Overview(NAMES, at_once=1))
    lines.begin("original/fold0")
    for tenth in range(11):
        lines.show(Report("original/fold0", tenth / 10, 1, f"epoch 1/1, loss 0.{tenth} [/b]"))
        clock.now += 8
    lines.end("original/fold0", "loss 0.9")
    lines.message("a line")
    lines.message("warning: careful", error=True)
    out, error = capsys.readouterr()
    assert out.splitlines() == [
        "original/fold0: epoch 1/1, loss 0.2 [/b], 0:01:04 left",
        "original/fold0: epoch 1/1, loss 0.4 [/b], 0:00:48 left",
        "original/fold0: epoch 1/1, loss 0.6 [/b], 0:00:32 left",
        "original/fold0: epoch 1/1, loss 0.8 [/b], 0:00:16 left (3 jobs to go, over 0:01:36 left)",
        "original/fold0: epoch 1/1, loss 0.10 [/b]",
        "original/fold0: done in 88 s, loss 0.9 (2 jobs to go, over 0:01:28 left)",
        "a line",
    ]
    assert error == "warning: careful\n"


def test_whole_units_are_counted_and_one_job_has_no_total(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(Overview(["frozen passes"], at_once=1))
    lines.begin("frozen passes")
    for done in (0, 100):
        lines.show(Report("frozen passes", done, 300, "5 images/s"))
        clock.now += 20
        lines.show(Report("frozen passes", done + 50, 300, "5 images/s"))
    lines.end("frozen passes", "")
    assert capsys.readouterr().out.splitlines() == [
        "frozen passes: 50/300, 5 images/s, 0:01:40 left",
        "frozen passes: 150/300, 5 images/s, 0:00:30 left",
        "frozen passes: done in 40 s",
    ]


JOBS = 8
SCRIPT = f"""
if __name__ == "__main__":  # each job's process runs this file, too
    from ripik.execution.runner import execute
    from ripik.execution.task import Task
    from ripik.settings import JobSettings

    names = [f"original/fold{{number}}" for number in range({JOBS})]
    execute([Task(name, "small_jobs:train", (), needs_backend=False) for name in names], JobSettings(jobs=4))
"""


@pytest.mark.parametrize("plain", [pytest.param(True, marks=pytest.mark.long), False])
def test_more_jobs_than_run_at_once_in_a_terminal(plain: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent), os.environ["PYTHONPATH"]]))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1" if plain else "")
    script = tmp_path / "jobs.py"
    script.write_text(SCRIPT)
    found = in_terminal(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')").decode()
    assert found.count("s, loss 0.125") == JOBS
    assert found.count("a line of the job") == JOBS
    assert (("\x1b" in found), ("━" in found)) == (not plain, not plain)
    if plain:
        assert len(found.splitlines()) == 2 * JOBS
        assert "(0 jobs to go)" in found.splitlines()[-1]
    else:
        frames = found.split("\x1b[1A")
        assert max(frame.count("original/fold") for frame in frames) <= 6  # a bar for each of four, and lines above
        assert "0 jobs to go" in found
