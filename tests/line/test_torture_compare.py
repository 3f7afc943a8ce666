"""What `make torture` compares, and what it finds."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ripik.storage import artifacts
from torture_compare import claims, content_of, differences, same, unvouched


def test_what_differs_is_found(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "submissions").mkdir(parents=True)
        (folder / "output" / "tiny" / "a").mkdir(parents=True)
        (folder / "output" / "tiny" / "a" / "oof.csv").write_text("image_id,p_1\n1,0.5\n")
        submit(folder / "submissions", f"tiny-{folder.name}-cv0.5")
    assert differences(one, other) == []
    (other / "output" / "tiny" / "a" / "oof.csv").write_text("image_id,p_1\n1,0.6\n")
    (other / "output" / "tiny" / "a" / ".77.test.csv").write_text("")
    (other / "submissions" / "tiny-other-cv0.5.csv").write_text("id,label\n1,3\n")
    assert differences(one, other) == ["left behind: .77.test.csv", "a/.77.test.csv", "a/oof.csv", "submission"]


def submit(folder: Path, name: str) -> None:
    """Write a submission, what stands beside it, and its line of the log."""
    (folder / f"{name}.csv").write_text("id,label\n1,2\n")
    (folder / f"{name}.oof.csv").write_text("image_id,p_1\n1,0.5\n")
    (folder / f"{name}.json").write_text(json.dumps({"file": f"{name}.csv", "time": name, "cv": 0.5}))
    log = folder / "log.csv"
    log.write_text((log.read_text() if log.exists() else "file,time\n") + f"{name}.csv,now\n")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "log.csv").unlink(), "logged: ; there: tiny-1-cv0.5.csv"),
        (lambda folder: (folder / "tiny-1-cv0.5.csv").unlink(), "logged: tiny-1-cv0.5.csv; there: "),
        (lambda folder: (folder / "tiny-1-cv0.5.json").unlink(), "submission"),
        (lambda folder: submit(folder, "tiny-2-cv0.5"), "submission"),
        (lambda folder: (folder / "tiny-2-cv0.5.json").write_text("{}"), "incomplete: tiny-2-cv0.5"),
        (lambda folder: (folder / ".1-a.log.csv").touch(), "left behind: .1-a.log.csv"),
    ],
)
def test_a_submission_that_is_not_logged_once_is_found(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "submissions").mkdir(parents=True)
        submit(tmp_path / name / "submissions", "tiny-1-cv0.5")
    spoil(tmp_path / "other" / "submissions")
    assert told in differences(tmp_path / "one", tmp_path / "other")


def test_meta_files_are_compared_but_for_their_seconds(tmp_path: Path) -> None:
    written = [tmp_path / str(number) / "a.meta.json" for number in range(3)]
    for number, meta in enumerate(written):
        meta.parent.mkdir()
        (meta.parent / "a.csv").write_text("1")
        outputs = {"a.csv": artifacts.file_digest(meta.parent / "a.csv")}
        artifacts.write_meta(meta, inputs={"rows": number // 2}, outputs=outputs, seconds=number)
    first, second, third = map(content_of, written)
    assert same(first, second)
    assert not same(first, third)
    assert unvouched(written[0].parent) == []
    (tmp_path / "0" / "a.csv").write_text("2")
    written[1].write_text("{")
    assert unvouched(tmp_path) == ["not as its meta file says: 0/a.csv", "not as its meta file says: 1/a.meta.json"]


def test_a_saved_state_is_compared_but_for_its_seconds(tmp_path: Path) -> None:
    def saved(seconds: float, batches: int) -> Path:
        path = tmp_path / f"{seconds}-{batches}.npz"
        told = {"history": [{"loss": 1.0, "seconds": seconds}], "batches": batches, "seconds": seconds}
        np.savez(path, allow_pickle=False, told=np.array(json.dumps(told)), values=np.ones(2))
        return path

    assert same(content_of(saved(1, 2)), content_of(saved(3, 2)))
    assert not same(content_of(saved(1, 2)), content_of(saved(1, 3)))


def test_a_storage_is_compared_by_its_rows_but_for_times_of_day(tmp_path: Path) -> None:
    def stored(name: str, rows: list[tuple[int, str]]) -> Path:
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("create table trials (number integer, datetime_start text)")
            database.executemany("insert into trials values (?, ?)", rows)
        return path

    one = stored("one.db", [(0, "now"), (1, "now")])
    assert same(content_of(one), content_of(stored("two.db", [(1, "then"), (0, "then")])))
    assert not same(content_of(one), content_of(stored("three.db", [(0, "now")])))


def test_what_no_resumed_command_may_say_is_found() -> None:
    said = "train: x\n/a/b.npy is rebuilt: the existing file was made from other inputs, or by other software\ndone\n"
    assert claims(said) == [said.splitlines()[1]]
    assert claims("train: 1 of 4 jobs are finished and up to date\n") == []
