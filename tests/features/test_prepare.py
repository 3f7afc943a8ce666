"""Where frozen passes run, and with how many threads: whatever the number of jobs is, the same."""

import os
from collections.abc import Sequence

import pytest

from conftest import Tiny
from ripik.execution import local
from ripik.execution.runner import for_passes, with_pass_threads, with_run_threads
from ripik.execution.task import Task
from ripik.features import prepare as prepare_module
from ripik.features.prepare import prepare
from ripik.settings import JobSettings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import layout_of


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of four cores without a GPU."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    monkeypatch.setattr("ripik.execution.environment.cores_of_quota", lambda: None)
    monkeypatch.setattr(local, "visible", list)


def passes(tiny: Tiny, *overrides: str) -> tuple[int, int]:
    """Return how many processes the frozen passes have, and their threads."""
    how = with_pass_threads(tiny.settings(*overrides))
    return how.jobs, how.threads


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["jobs.jobs=1"], (1, 4)),
        (["jobs.jobs=2"], (1, 4)),
        (["jobs.jobs=3"], (1, 4)),
        (["jobs.jobs=2", "jobs.threads=1"], (1, 4)),
        (["jobs.jobs=8"], (1, 4)),
        (["jobs.jobs=2", "jobs.threads=8"], (1, 8)),
    ],
)
def test_passes_have_one_process_with_the_cores_of_all_jobs(
    tiny: Tiny, overrides: list[str], expected: tuple[int, int]
) -> None:
    assert passes(tiny, *overrides) == expected


def test_a_run_keeps_the_threads_of_its_first_passes(tiny: Tiny) -> None:
    assert passes(tiny, "jobs.jobs=2", "jobs.threads=8") == (1, 8)
    assert passes(tiny, "jobs.jobs=1") == passes(tiny, "jobs.jobs=4") == (1, 8)
    assert with_run_threads(tiny.settings("jobs.jobs=4")) == JobSettings(jobs=4, threads=8)


def test_a_run_made_before_keeps_the_threads_of_its_jobs(tiny: Tiny) -> None:
    settings = tiny.settings("jobs.jobs=2")
    artifacts.write_json(layout_of(settings).threads, {"threads": 1})
    assert passes(tiny, "jobs.jobs=2") == (1, 4)
    assert with_run_threads(settings).threads == 1


def test_looking_records_nothing(tiny: Tiny) -> None:
    settings = tiny.settings("jobs.jobs=2")
    assert for_passes(settings, settings.jobs).threads == 4
    assert not layout_of(settings).threads.exists()


def test_passes_on_gpus_and_on_a_cluster_are_shared_by_the_jobs(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passes(tiny, "jobs.jobs=2", "jobs.engine=ray") == (2, 2)
    monkeypatch.setattr(local, "visible", lambda: ["0", "1"])
    assert passes(tiny, "jobs.jobs=2") == (2, 2)


def test_preparing_hands_each_backbones_passes_to_one_process(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[list[str], JobSettings]] = []

    def execute(tasks: Sequence[Task], how: JobSettings) -> None:
        given.append(([task.name for task in tasks], how))

    monkeypatch.setattr(prepare_module, "execute", execute)
    monkeypatch.setattr("ripik.features.store.SHARE", 1)
    tiny.write_folds()
    run = Run.open(tiny.settings("jobs.jobs=2", "augmentation.copies=1"))
    with pytest.raises(Exception, match="lacks rows"):
        prepare(run, [run.settings.variants["original"]])
    weights, first, _again = given
    assert weights == (["initial weights"], JobSettings(jobs=2, threads=2))
    assert first == (["frozen passes of SmallNet"], JobSettings(jobs=1, threads=4))
