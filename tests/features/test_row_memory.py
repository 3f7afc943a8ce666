"""Packed files in memory: the same rows, checked, as long as there is room."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ripik.errors import SurroundingsError
from ripik.execution.memory import usable_memory
from ripik.features import row_memory
from ripik.features.batches import ArrayRows
from ripik.features.row_memory import RowMemory
from ripik.settings import JobSettings
from ripik.storage import packed_rows
from ripik.storage.packed_array import HEADER, packing
from ripik.storage.packed_rows import PackedRows


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return two packed files of 7 and 4 rows of 5 numbers."""
    paths = [tmp_path / "one.npy", tmp_path / "two.npy"]
    for path, rows in zip(paths, (7, 4), strict=True):
        with packing(path, rows, (5,), "f4", inputs={}, maker={}) as unfinished:
            unfinished.write(0, np.random.default_rng(rows).random((rows, 5), "f4"))
    return paths


@pytest.mark.parametrize("block", [1, 50, 2**20])
def test_rows_in_memory_are_those_on_the_disk(files: list[Path], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_rows, "BLOCK", block)
    memory, numbers = RowMemory(1000), np.array([10, 0, 6, 7, 3])
    source = memory.open(*files)
    assert isinstance(source, ArrayRows)
    assert source.row_shape == (5,)
    assert memory.open(*files) is source
    np.testing.assert_array_equal(source.read(numbers), PackedRows(files).read(numbers))


def test_rows_stay_on_the_disk_once_the_room_is_used_up(files: list[Path]) -> None:
    memory = RowMemory(150)
    assert isinstance(memory.open(files[0]), ArrayRows)  # 140 bytes
    assert isinstance(memory.open(files[1]), PackedRows)


def test_threads_that_ask_for_the_same_file_read_it_once(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read = PackedRows.read_all

    def slowly(rows: PackedRows) -> np.ndarray:
        time.sleep(0.05)
        return read(rows)

    monkeypatch.setattr(PackedRows, "read_all", slowly)
    memory = RowMemory(1000)
    with ThreadPoolExecutor(4) as pool:
        opened = [each.result() for each in [pool.submit(memory.open, files[0]) for _ in range(4)]]
    assert {id(each) for each in opened} == {id(opened[0])}
    assert memory.room == 1000 - 140


@pytest.mark.parametrize(
    ("jobs", "threads", "beside"),
    [({}, 2, 1), ({"jobs": 4}, 2, 4), ({"engine": "ray"}, 2, 8), ({"engine": "ray", "jobs": 2}, 16, 1)],
)
def test_jobs_of_one_machine_share_a_quarter_of_its_memory(
    jobs: dict, threads: int, beside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_memory, "usable_memory", lambda: 16_000)
    monkeypatch.setattr(row_memory, "usable_cores", lambda: 16)
    monkeypatch.setattr(row_memory, "threads", lambda: threads)
    assert RowMemory.of_job(JobSettings(**jobs)).room == 4000 // beside


def test_a_damaged_row_is_found(files: list[Path]) -> None:
    content = bytearray(files[0].read_bytes())
    content[HEADER + 3 * 20 + 1] ^= 1
    files[0].write_bytes(content)
    with pytest.raises(SurroundingsError, match=r"row 3 of .*one\.npy does not match its checksum, and 1 of its 7"):
        RowMemory().open(*files)


def test_the_memory_is_the_machines_or_what_a_container_leaves(tmp_path: Path) -> None:
    machine = usable_memory(tmp_path)
    assert machine > 2**20
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    limit.parent.mkdir(parents=True)
    for text, wanted in (("max\n", machine), ("1048576\n", 2**20)):
        limit.write_text(text)
        assert usable_memory(tmp_path) == wanted


@pytest.mark.parametrize(
    ("own", "limit"),
    [
        ("0::/user.slice/job.scope\n", "user.slice/job.scope/memory.max"),
        ("0::/user.slice/job.scope\n", "user.slice/memory.max"),
        ("4:memory:/job\n3:cpu:/other\n", "memory/job/memory.limit_in_bytes"),
    ],
)
def test_a_limit_of_the_processs_own_group_counts(tmp_path: Path, own: str, limit: str) -> None:
    files = {"proc/self/cgroup": own, f"sys/fs/cgroup/{limit}": "2097152\n", "sys/fs/cgroup/memory.max": "max\n"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_memory(tmp_path) == 2**21
