"""Cores by the quota of a control group, from made-up file trees."""

import os
from pathlib import Path

import pytest

from ripik.execution import environment
from ripik.execution.cpu_quota import cores_of_quota
from ripik.execution.runner import threads_per_job
from ripik.settings import JobSettings

V1 = {"cpu.cfs_quota_us": "{}\n", "cpu.cfs_period_us": "100000\n"}


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "0 100000\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "\n"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n"}, None),
    ],
)
def test_cores_of_the_root_group(files: dict[str, str], cores: int | None, tmp_path: Path) -> None:
    assert cores_of_quota(tree(tmp_path, **files)) == cores


def test_the_tightest_of_the_own_group_and_those_above_holds(tmp_path: Path) -> None:
    tree(tmp_path, **{"proc/self/cgroup": "0::/jobs/mine\n", "sys/fs/cgroup/jobs/mine/cpu.max": "max 100000"})
    assert cores_of_quota(tmp_path) is None
    tree(tmp_path, **{"sys/fs/cgroup/jobs/cpu.max": "400000 100000"})
    assert cores_of_quota(tmp_path) == 4
    tree(tmp_path, **{"sys/fs/cgroup/jobs/mine/cpu.max": "250000 100000", "sys/fs/cgroup/other/cpu.max": "1 100000"})
    assert cores_of_quota(tmp_path) == 3


def test_the_own_group_of_version_1_is_that_of_the_cpu_controller(tmp_path: Path) -> None:
    own = "3:cpuset:/other\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n"
    folders = {"docker/abc": "200000", "other": "100000"}
    files = {
        f"sys/fs/cgroup/cpu,cpuacct/{folder}/{name}": text.format(quota)
        for folder, quota in folders.items()
        for name, text in V1.items()
    }
    assert cores_of_quota(tree(tmp_path, **{"proc/self/cgroup": own}, **files)) == 2


def test_a_group_that_is_not_mounted_here_is_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, **{"proc/self/cgroup": "0::/../../host/docker-abc\n", "sys/fs/cgroup/cpu.max": "200000 100000"})
    assert cores_of_quota(tmp_path) == 2


@pytest.mark.parametrize(("quota", "cores"), [(None, 64), (2, 2), (100, 64)])
def test_jobs_share_the_cores_of_the_quota(quota: int | None, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(environment, "cores_of_quota", lambda: quota)
    assert environment.usable_cores() == cores
    assert threads_per_job(JobSettings(jobs=2)) == cores // 2
