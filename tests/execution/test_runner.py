"""The engine: processes of tasks, failures told at once, killed processes noticed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from small_jobs import (
    break_down,
    die,
    end_as_if_not_asked,
    fail,
    fail_when_there,
    kill_when_idle,
    note_children,
    note_pid,
    pid,
    sleep_long,
    stop_and_kill_soon,
    talk,
    warn_from_threads,
    write_for_long,
)

from ripik.errors import InputError, SurroundingsError
from ripik.execution.runner import execute, threads_per_job, undivided
from ripik.execution.task import Task
from ripik.settings import JobSettings

JOBS = "small_jobs"


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child find the jobs."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")


def task(function: Callable[..., None], *arguments: object) -> Task:
    return Task(function.__name__, f"{JOBS}:{function.__name__}", arguments, needs_backend=False)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_without_a_shape_has_a_process_of_its_own(tmp_path: Path, jobs: int) -> None:
    tasks = [task(note_pid, tmp_path, str(number)) for number in range(3)]
    execute(tasks, JobSettings(jobs=jobs, threads=3))
    noted = [(tmp_path / str(number)).read_text().split() for number in range(3)]
    assert len({pid for pid, _ in noted} | {str(os.getpid())}) == 4
    assert {threads for _, threads in noted} == {"3"}


def test_a_job_by_itself_gets_the_threads_of_all() -> None:
    assert undivided(JobSettings(jobs=3, threads=2)) == JobSettings(jobs=1, threads=6)
    assert undivided(JobSettings(jobs=3)) == JobSettings(jobs=1, threads=0)


def test_no_tasks_are_done_at_once() -> None:
    execute([], JobSettings())


@pytest.mark.parametrize(("waiting", "jobs"), [(0, 1), (2, 1), (2, 2)])
def test_a_failure_is_raised_and_the_rest_is_stopped(waiting: int, jobs: int) -> None:
    with pytest.raises(InputError, match="row 7 is wrong"):
        execute([task(fail), *[task(sleep_long)] * waiting], JobSettings(jobs=jobs))


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug") as caught:
        execute([task(break_down)], JobSettings())
    assert "in break_down" in "".join(caught.value.__notes__)


def test_a_killed_process_is_told_after_the_jobs_that_do_not_wait_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = f"{JOBS}:note_time"
    tasks = [
        task(die),
        Task("at work", note, (tmp_path, "at work", 1.0), needs_backend=False),
        Task("waits for it", note, (tmp_path, "waits for it", 0.0), needs_backend=False, after=("die",)),
        Task("and for that", note, (tmp_path, "and for that", 0.0), needs_backend=False, after=("waits for it",)),
        Task("waits", note, (tmp_path, "waits", 0.0), needs_backend=False),
    ]
    with pytest.raises(SurroundingsError, match=r"die was killed \(exit code -9\).*JOBS=1"):
        execute(tasks, JobSettings(jobs=2, threads=1))
    assert {path.name for path in tmp_path.iterdir()} == {"at work", "waits"}
    assert "die: its process died; the jobs that do not depend on it continue" in capsys.readouterr().err


def warm(function: Callable[..., None], name: str, *arguments: object, shape: str = "one", after: str = "") -> Task:
    """Return a task that may be done by a process that has done another of its shape."""
    given = (*arguments, name) if function is note_pid else arguments
    return Task(name, f"{JOBS}:{function.__name__}", given, False, tuple(filter(None, [after])), shape=shape)


@pytest.mark.parametrize("jobs", [1, 2])
def test_tasks_of_one_shape_share_their_processes(tmp_path: Path, jobs: int) -> None:
    shapes = ["one"] * 4 + ["two"] * 2
    tasks = [warm(note_pid, f"{number}", tmp_path, shape=shape) for number, shape in enumerate(shapes)]
    execute(tasks, JobSettings(jobs=jobs, threads=1))
    ones, twos = ({pid(tmp_path / f"{n}") for n in numbers} for numbers in (range(4), range(4, 6)))
    assert (len(ones) <= jobs, len(twos) <= jobs, ones & twos) == (True, True, set())


def test_what_comes_of_a_task_is_done_first_and_by_the_same_processes(tmp_path: Path) -> None:
    followed: list[str] = []

    def more(name: str) -> list[Task]:
        followed.append(name)
        number = int(name[1:])
        return [warm(note_pid, f"{name[0]}{number + 1}", tmp_path)] if number < 2 else []

    firsts = [warm(note_pid, name, tmp_path) for name in ("a0", "b0")]
    execute(firsts, JobSettings(jobs=1), more)
    assert followed == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert len({pid(tmp_path / name) for name in followed}) == 1


def test_a_failure_of_what_comes_next_ends_the_command(tmp_path: Path) -> None:
    def more(name: str) -> list[Task]:
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        execute([task(note_pid, tmp_path, "a")], JobSettings(jobs=1), more)


def test_no_more_processes_are_kept_than_jobs_run_at_once(tmp_path: Path) -> None:
    """The third task needs a process of its own, though the fourth would find that of the first two idle."""
    shapes = {"a": "one", "b": "one", "c": "two", "d": "one"}
    order = {"b": "a", "c": "b", "d": "c"}
    tasks = [
        warm(note_children, name, tmp_path, name, shape=s, after=order.get(name, "")) for name, s in shapes.items()
    ]
    execute(tasks, JobSettings(jobs=1, threads=1))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abcd", "1")


def test_a_failure_stops_a_process_that_is_kept(tmp_path: Path) -> None:
    tasks = [warm(note_pid, "first", tmp_path), warm(fail, "second", after="first"), warm(sleep_long, "third")]
    with pytest.raises(InputError, match="row 7 is wrong"):
        execute(tasks, JobSettings(jobs=2, threads=1))
    assert not Path(f"/proc/{pid(tmp_path / 'first')}").exists()


def test_a_kept_process_ends_though_a_task_lost_the_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.execution.local.PATIENCE", 20.0)  # after it the process would be killed
    tasks = [warm(end_as_if_not_asked, "A", tmp_path, "A"), warm(fail_when_there, "B", tmp_path, shape="two")]
    with pytest.raises(InputError):
        execute(tasks, JobSettings(jobs=2))
    assert (tmp_path / "ended").exists()


def test_a_kept_process_that_is_killed_loses_one_task(tmp_path: Path) -> None:
    tasks = [warm(note_pid, "first", tmp_path), warm(die, "second"), warm(note_pid, "third", tmp_path)]
    with pytest.raises(SurroundingsError, match=r"second was killed \(exit code -9\)"):
        execute(tasks, JobSettings(jobs=1, threads=1))
    assert pid(tmp_path / "first") != pid(tmp_path / "third")


def test_a_kept_process_that_is_killed_while_it_waits_loses_nothing(tmp_path: Path) -> None:
    tasks = [warm(note_pid, "first", tmp_path), task(kill_when_idle, tmp_path)]
    tasks += [warm(note_pid, "third", tmp_path, after="kill_when_idle")]
    execute(tasks, JobSettings(jobs=2, threads=1))
    assert pid(tmp_path / "first") != pid(tmp_path / "third")


def test_a_task_that_a_kept_process_died_before_taking_is_given_to_another(tmp_path: Path) -> None:
    killer = replace(task(stop_and_kill_soon, tmp_path), after=("first",))
    tasks = [warm(note_pid, "first", tmp_path), killer]
    tasks += [warm(note_pid, "third", tmp_path, after="stop_and_kill_soon")]
    execute(tasks, JobSettings(jobs=2, threads=1))
    assert pid(tmp_path / "first") != pid(tmp_path / "third")


def test_what_a_task_prints_does_not_reach_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [Task(name, f"{JOBS}:talk", (name,), needs_backend=False, shape="one") for name in "AB"]
    execute(tasks, JobSettings(jobs=1, threads=1))
    out, error = capsys.readouterr()
    assert [line for line in out.splitlines() if "done in" not in line] == [
        *("A says [/b]", "no end of line", "B says [/b]", "no end of line")
    ]
    assert error == "warning: A warns\nwarning: B warns\n"


def test_a_task_waits_for_the_one_it_names(tmp_path: Path) -> None:
    first = Task("first", f"{JOBS}:note_time", (tmp_path, "first", 0.5), needs_backend=False)
    second = Task("second", f"{JOBS}:note_time", (tmp_path, "second", 0.0), needs_backend=False, after=("first", "x"))
    execute([second, first], JobSettings(jobs=2))
    started, ended = ((tmp_path / name).read_text().split() for name in ("second", "first"))
    assert float(started[0]) >= float(ended[1])


def test_a_terminated_task_removes_its_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        execute([task(write_for_long, tmp_path), task(fail_when_there, tmp_path)], JobSettings(jobs=2))
    assert list(tmp_path.iterdir()) == []


def test_threads_are_the_cores_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert threads_per_job(JobSettings(jobs=3)) == 2
    assert threads_per_job(JobSettings(jobs=16)) == 1
    assert threads_per_job(JobSettings(jobs=2, threads=5)) == 5


def test_a_jobs_lines_reach_the_streams_they_are_meant_for(capsys: pytest.CaptureFixture[str]) -> None:
    execute([task(talk, "A")], JobSettings())
    out, error = capsys.readouterr()
    assert out.splitlines()[:2] == ["A says [/b]", "no end of line"]
    assert out.splitlines()[2].startswith("talk: done in ")
    assert out.endswith(" s, A is content\n")
    assert error == "warning: A warns\n"


def test_reports_and_lines_of_several_threads_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    execute([task(warn_from_threads)], JobSettings())
    lines = capsys.readouterr().out.splitlines()[:-1]
    assert sorted(lines) == sorted(f"{number}" * 50 for number in range(4) for _ in range(200))


@pytest.mark.parametrize("kind", ["memory", "gpu", "jax"])
def test_memory_that_runs_out_in_a_job_is_told(kind: str) -> None:
    with pytest.raises(SurroundingsError, match=r"needy: out of memory\. Run it with fewer jobs"):
        execute([Task("needy", f"{JOBS}:run_out", (kind,), needs_backend=False)], JobSettings(jobs=1, threads=1))


def test_an_error_that_cannot_travel_is_told_all_the_same() -> None:
    with pytest.raises(RuntimeError, match="HTTPError: HTTP Error 503: busy"):
        execute([Task("web", f"{JOBS}:run_out", ("http",), needs_backend=False)], JobSettings(jobs=1, threads=1))


ALONE = """
import sys
from pathlib import Path
from ripik.execution.runner import execute
from ripik.execution.task import Task
from ripik.settings import JobSettings
task = Task("long", f"small_jobs:{sys.argv[2]}", (Path(sys.argv[1]),), needs_backend=False)
execute([task], JobSettings(jobs=1, threads=1))
"""


def test_jobs_are_terminated_though_nobody_reads_what_is_said(tmp_path: Path) -> None:
    with _of_its_own(tmp_path / "told", "sleep_until_told") as process:
        assert process.stderr is not None
        process.stderr.close()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        _wait_until_gone(process.pid)


def test_a_second_ctrl_c_does_not_wait_for_the_jobs(tmp_path: Path) -> None:
    with _of_its_own(tmp_path / "told", "hold_on") as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        while "waiting for long to finish" not in (line := process.stderr.readline()):
            assert line, "it ended after the first Ctrl-C"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(60)
        _wait_until_gone(process.pid)


@contextmanager
def _of_its_own(told: Path, job: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a process group that is at a job, its main process first; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE, str(told), job],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    try:
        limit = time.monotonic() + 60
        while not told.with_suffix(".begun").exists():
            assert time.monotonic() < limit, "the job has not begun"
            time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_gone(group: int) -> None:
    limit = time.monotonic() + 60
    while _is_there(group):
        assert time.monotonic() < limit, "the job is still at work"
        time.sleep(0.1)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
