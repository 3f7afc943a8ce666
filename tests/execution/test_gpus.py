"""GPUs: what CUDA shows a command, and one of its own for every job."""

import os
from pathlib import Path

import pytest

from ripik.execution import local
from ripik.execution.runner import execute
from ripik.execution.task import ALL, ONE, Task
from ripik.settings import JobSettings

JOBS = "small_jobs"
NO_KERAS = "class applications: ...\n"  # in the place of what a job's process loads first, for seconds


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's command that lists two GPUs, and jobs that find what they do, and an empty Keras."""
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: GPU-a)'\necho 'GPU 1: Tesla T4 (UUID: GPU-b)'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.delenv(local.VISIBLE, raising=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "keras.py").write_text(NO_KERAS)
    monkeypatch.syspath_prepend(tmp_path / "empty")  # a job's process is given the path of this one


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("0,1", ["0", "1"]), ("", []), ("-1", []), ("2,-1,0", ["2"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"])],
)
def test_the_variable_lists_what_is_visible(listed: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(local.VISIBLE, listed)
    assert local.visible() == expected


@pytest.mark.usefixtures("two_gpus")
def test_the_driver_is_asked_without_the_variable() -> None:
    assert local.visible() == ["0", "1"]


def test_no_driver_means_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(local.VISIBLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local.visible() == []
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    command.chmod(0o755)
    assert local.visible() == []


def test_the_least_used_gpu_is_given() -> None:
    assert local.least_used(["0", "1"], []) == "0"
    assert local.least_used(["0", "1"], ["0", None]) == "1"
    assert local.least_used(["0", "1"], ["0", "1", "0"]) == "1"
    assert local.least_used([], ["0"]) is None


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("devices", "together"), [(ONE, 2), (ALL, 1)])
def test_jobs_at_work_together_have_different_gpus(devices: str, together: int, tmp_path: Path) -> None:
    folder = tmp_path / "noted"
    folder.mkdir()
    function = f"{JOBS}:note_and_wait"
    tasks = [Task(name, function, (folder, name, together), devices=devices) for name in "ab"]
    execute(tasks, JobSettings(jobs=2, threads=1))
    noted = {path.read_text() for path in folder.iterdir()}
    assert noted == ({"all"} if devices == ALL else {"0", "1"})


@pytest.mark.usefixtures("two_gpus")
def test_a_job_with_all_gpus_is_at_work_by_itself(tmp_path: Path) -> None:
    kinds = {"a": ONE, "b": ALL, "c": ALL, "d": ONE}
    tasks = [Task(name, f"{JOBS}:enter", (tmp_path / "place",), False, (), kind) for name, kind in kinds.items()]
    execute(tasks, JobSettings(jobs=3, threads=1))
    assert not (tmp_path / "place").exists()


@pytest.mark.usefixtures("two_gpus")
def test_a_kept_process_does_jobs_on_its_gpu_alone_and_leaves_it_to_others(tmp_path: Path) -> None:
    shapes = {"a": "one", "b": "one", "c": "two", "d": "one"}
    before = {"b": "a", "c": "b", "d": "c"}
    tasks = [
        Task(name, f"{JOBS}:note_process", (tmp_path, name), after=(before.get(name, ""),), shape=shape)
        for name, shape in shapes.items()
    ]
    execute(tasks, JobSettings(jobs=2, threads=1))
    pids, gpus, jobs = zip(*((tmp_path / name).read_text().split() for name in "abcd"), strict=True)
    assert (pids[0] == pids[1], len(set(pids)), set(gpus), set(jobs)) == (True, 3, {"0"}, {"1"})


@pytest.mark.long
@pytest.mark.usefixtures("two_gpus")
def test_a_job_with_all_gpus_finds_no_kept_process_on_them(tmp_path: Path) -> None:
    function = f"{JOBS}:note_process"
    tasks = [
        Task("a", function, (tmp_path, "a"), shape="one"),
        Task("b", function, (tmp_path, "b"), after=("a",), devices=ALL),
        Task("c", function, (tmp_path, "c"), after=("b",), shape="one"),
    ]
    execute(tasks, JobSettings(jobs=2, threads=1))
    assert (tmp_path / "b").read_text().split()[1:] == ["all", "1"]
