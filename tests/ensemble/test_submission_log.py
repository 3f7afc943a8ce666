"""The log of submissions: what is appended or scored, and that nothing else of it ever changes."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from ripik.ensemble.submission_log import LOG_COLUMNS, append_log, check_log, set_scores
from ripik.errors import InputError, SurroundingsError

ROW = {
    "file": "a.csv",
    "time": datetime(2026, 11, 23, 13, 45, 1),
    "members": ["original", "finetuned"],
    "cv": 0.7421345678912,
    "public": None,
}
LINE = b"a.csv,2026-11-23T13:45:01,,,original finetuned,0.742134568,,,,\n"
HEADER = ",".join(LOG_COLUMNS).encode() + b"\n"
OLD_HEADER = b"file,time,commit,config_hash,members,cv,public,private\n"  # before test sets of another kind were told


def test_log_is_created_with_its_columns(tmp_path: Path) -> None:
    log, empty = tmp_path / "submissions" / "log.csv", tmp_path / "log.csv"
    empty.touch()
    for path in (log, empty):
        append_log(path, ROW)
        assert path.read_bytes() == HEADER + LINE
    assert list(log.parent.iterdir()) == [log]


@pytest.mark.parametrize(
    "before",
    [
        HEADER,
        HEADER + b'old.csv,,,,"a, b",0.70,0.6,\n\nodd line\n',
        HEADER.replace(b"\n", b"\r\n") + b"old.csv,,,,,0.7,,\r\n",
        b"\xef\xbb\xbf" + HEADER + b"old.csv,,,,,0.7,,\n",
    ],
    ids=["header", "quoted", "windows", "bom"],
)
def test_log_keeps_what_is_there_byte_for_byte(tmp_path: Path, before: bytes) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(before)
    append_log(log, ROW)
    append_log(log, {"file": "b, c.csv"})
    assert log.read_bytes() == before + LINE + b'"b, c.csv",,,,,,,,,\n'


def test_log_is_replaced_whole_and_an_unfinished_line_ended_first(tmp_path: Path) -> None:
    log, reader = tmp_path / "log.csv", tmp_path / "opened before"
    log.write_bytes(HEADER + b"old.csv,,,,,0.7,,")
    reader.hardlink_to(log)
    append_log(log, ROW)
    assert log.read_bytes() == HEADER + b"old.csv,,,,,0.7,,\n" + LINE
    assert reader.read_bytes() == HEADER + b"old.csv,,,,,0.7,,"


def test_a_log_of_other_columns_is_refused_and_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(b"file,score\na.csv,1\n")
    with pytest.raises(InputError, match="has the columns file,score, not file,time"):
        append_log(log, ROW)
    with pytest.raises(InputError, match="has the columns file,score, not file,time"):
        check_log(log)
    assert log.read_bytes() == b"file,score\na.csv,1\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_an_older_log_is_taken_over_and_its_rows_stay(tmp_path: Path, mark: bytes, end: bytes) -> None:
    log, rows = tmp_path / "log.csv", b'old.csv,,,,"a, b",0.70,0.6,' + end + b"older.csv,,,,a,0.5,," + end
    log.write_bytes(mark + OLD_HEADER.replace(b"\n", end) + rows)
    check_log(log)
    append_log(log, ROW | {"shift_auc": 0.93, "test_like": 0.67})
    line = LINE.replace(b",,,,\n", b",,,0.93,0.67\n")
    assert log.read_bytes() == mark + HEADER.replace(b"\n", end) + rows + line
    set_scores(log, "older.csv", 0.55, None)
    scored = rows.replace(b"older.csv,,,,a,0.5,," + end, b"older.csv,,,,a,0.5,0.55,,,\n")
    assert log.read_bytes() == mark + HEADER.replace(b"\n", end) + scored + line


def test_a_log_of_its_own_or_none_passes(tmp_path: Path) -> None:
    check_log(tmp_path / "log.csv")
    append_log(tmp_path / "log.csv", ROW)
    check_log(tmp_path / "log.csv")


def test_an_unknown_key_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column score: it has file, time"):
        append_log(tmp_path / "log.csv", {"file": "a.csv", "score": 1})
    assert not list(tmp_path.iterdir())


def test_a_log_that_cannot_be_written_is_the_surroundings(tmp_path: Path) -> None:
    (tmp_path / "submissions").write_text("a file where the folder should be")
    with pytest.raises(SurroundingsError, match=r"submissions is a file where a folder should be"):
        append_log(tmp_path / "submissions" / "log.csv", ROW)


def test_a_failed_write_keeps_the_log_and_leaves_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(HEADER)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(SurroundingsError, match="No space left"):
        append_log(log, ROW)
    assert log.read_bytes() == HEADER
    assert list(tmp_path.iterdir()) == [log]


APPEND = """
import sys
from pathlib import Path
from ripik.ensemble.submission_log import append_log
for number in range(15):
    append_log(Path(sys.argv[1]), {"file": f"{sys.argv[2]}-{number}.csv", "cv": 0.5})
"""


def test_two_runs_that_log_at_once_lose_no_row(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    both = [subprocess.Popen([sys.executable, "-c", APPEND, str(log), name]) for name in ("a", "b")]
    assert [process.wait(120) for process in both] == [0, 0]
    files = sorted(line.split(",")[0] for line in log.read_text().splitlines()[1:])
    assert files == sorted(f"{name}-{number}.csv" for name in ("a", "b") for number in range(15))
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_a_score_changes_its_own_line_alone(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    other = b'"b, c.csv",2026-11-23T13:45:01,,,x,0.70,,\r\n'
    log.write_bytes(HEADER + other + LINE)
    set_scores(log, "a.csv", 0.75123, None)
    assert log.read_bytes() == HEADER + other + LINE.replace(b",,,,\n", b",0.75123,,,\n")
    set_scores(log, "a.csv", None, 0.5)
    assert log.read_bytes() == HEADER + other + LINE.replace(b",,,,\n", b",0.75123,0.5,,\n")
    set_scores(log, "b, c.csv", 1.0, 0.0)
    assert b'"b, c.csv",2026-11-23T13:45:01,,,x,0.70,1,0,,\n' in log.read_bytes()


@pytest.mark.parametrize(
    ("file", "score", "told"),
    [
        ("a.cvs", 0.5, r"does not list a\.cvs \(did you mean a\.csv\?\)"),
        ("twice.csv", 0.5, "lists twice.csv more than once"),
        ("a.csv", float("nan"), "public score nan of a.csv is NaN or infinite"),
    ],
)
def test_what_cannot_be_scored_leaves_the_log_as_it_is(tmp_path: Path, file: str, score: float, told: str) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(HEADER + LINE + 2 * LINE.replace(b"a.csv", b"twice.csv"))
    before = log.read_bytes()
    with pytest.raises(InputError, match=told):
        set_scores(log, file, score, None)
    assert log.read_bytes() == before


def test_without_a_log_nothing_is_scored(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not list"):
        set_scores(tmp_path / "log.csv", "a.csv", 0.5, None)
    assert not (tmp_path / "log.csv").exists()


def test_a_log_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(HEADER + LINE + "gr\u00fcn.csv,,,,,,,,,\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"log\.csv, line 3: not UTF-8"):
        set_scores(log, "a.csv", 0.5, None)
    assert log.read_bytes().startswith(HEADER + LINE)
