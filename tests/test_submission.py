import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ripik.errors import InputError, SurroundingsError
from ripik.submission import LOG_COLUMNS, append_log, check_log, check_submission, submission_frame, submission_name

CLASSES = [1, 2, 3]
NAMES: dict[str, Any] = {"id_column": "image_id", "label_column": "label"}
LABELS: dict[str, Any] = {**NAMES, "kind": "labels"}
PROBABILITIES: dict[str, Any] = {**NAMES, "kind": "probabilities"}
IDS = [12, 10, 13, 11]


def sample() -> pd.DataFrame:
    return pd.DataFrame({"image_id": IDS, "label": 1})


def wide_sample() -> pd.DataFrame:
    return pd.DataFrame({"image_id": IDS, "3": 0.0, "1": 0.0, "2": 0.0})


def predictions() -> tuple[list[int], np.ndarray]:
    return [10, 11, 12, 13], np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])


def made(**changes: Any) -> pd.DataFrame:
    ids, probabilities = predictions()
    given = {"sample": sample(), "ids": ids, "probabilities": probabilities, "classes": CLASSES, **LABELS}
    return submission_frame(**{**given, **changes})


def test_labels_are_joined_by_id_in_the_samples_order() -> None:
    frame = made()
    assert frame.to_csv(index=False) == "image_id,label\n12,3\n10,1\n13,2\n11,2\n"
    check_submission(frame, sample(), CLASSES, **LABELS)


def test_the_order_of_predictions_and_the_samples_row_labels_do_not_matter() -> None:
    ids, probabilities = predictions()
    shuffled = [2, 0, 3, 1]
    odd = sample().set_index(pd.Index([7, 7, 0, 1]))
    again = made(sample=odd, ids=[ids[i] for i in shuffled], probabilities=probabilities[shuffled])
    pd.testing.assert_frame_equal(again, made())


def test_probabilities_follow_the_samples_columns() -> None:
    frame = made(sample=wide_sample(), **PROBABILITIES)
    assert list(frame.columns) == ["image_id", "3", "1", "2"]
    assert frame.iloc[0].tolist() == [12, 0.7, 0.1, 0.2]
    check_submission(frame, wide_sample(), CLASSES, **PROBABILITIES)


def test_text_labels_other_names_and_column_order() -> None:
    own = pd.DataFrame({"Class": "?", "Photo": ["b", "a"]})
    names: dict[str, Any] = {"id_column": "Photo", "label_column": "Class", "kind": "labels"}
    frame = submission_frame(own, ["a", "b"], np.array([[0.6, 0.4], [0.1, 0.9]]), ["dent", "lamp"], **names)
    assert frame.to_csv(index=False) == "Class,Photo\nlamp,b\ndent,a\n"
    check_submission(frame, own, ["dent", "lamp"], **names)


def test_a_submission_read_back_from_its_csv_passes(tmp_path: Path) -> None:
    for own, kind in ((sample(), LABELS), (wide_sample(), PROBABILITIES)):
        made(sample=own, **kind).to_csv(tmp_path / "s.csv", index=False, float_format="%.9g")
        check_submission(pd.read_csv(tmp_path / "s.csv"), own, CLASSES, **kind)


def test_equal_probabilities_take_the_first_class() -> None:
    assert made(probabilities=np.full((4, 3), 1 / 3))["label"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": [10, 11, 12, 99]}, r"missing 1 id \(13\); extra 1 id \(99\)"),
        ({"ids": [10, 11, 12, 12]}, r"missing 1 id \(13\); repeated 1 id \(12\)"),
        ({"ids": ["010", "11", "12", "13"]}, r"missing 1 id \(10\); extra 1 id \(010\)"),
        ({"ids": [1, 2, 3, 4]}, r"missing 4 ids \(12, 10, 13 and 1 more\)"),
        ({"ids": [10, 11, 12]}, r"shape \(4, 3\), not \(3 ids, 3 classes\)"),
        ({"classes": [1, 2]}, r"shape \(4, 3\), not \(4 ids, 2 classes\)"),
        ({"probabilities": np.full((4, 3), np.nan)}, "predictions to submit have 4 of 4 rows"),
        ({"sample": pd.DataFrame({"id": IDS, "label": 1})}, "columns are id, label, .* has image_id, label"),
        ({"sample": sample().assign(note="")}, "columns are image_id, label, note"),
        ({"sample": pd.concat([sample(), sample()])}, r"sample submission .*repeated 4 ids \(12, 10, 13"),
        ({"kind": "probabilities"}, "probabilities has image_id, 1, 2, 3"),
        ({"sample": wide_sample()}, "labels has image_id, label"),
        (
            {"sample": wide_sample().rename(columns={"3": "p_3"}), "kind": "probabilities"},
            "columns are image_id, p_3, 1, 2",
        ),
    ],
)
def test_what_does_not_fit_the_sample_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(**changes)


def changed(column: str, row: int, value: Any) -> pd.DataFrame:
    frame = made().astype({column: object})
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (made().iloc[1:], r"missing 1 id \(12\)"),
        (changed("image_id", 0, 99), r"missing 1 id \(12\); extra 1 id \(99\)"),
        (changed("image_id", 0, 10), r"missing 1 id \(12\); repeated 1 id \(10\)"),
        (pd.concat([made(), made().iloc[:1]]), r"refused: repeated 1 id \(12\)\. Give"),
        (made().iloc[::-1], "ids are not in the sample's order"),
        (made()[["label", "image_id"]], "columns are not in the sample's order"),
        (made()[["image_id"]], "columns are image_id, the sample's image_id, label"),
        (made().rename(columns={"label": "class"}), "columns are image_id, class"),
        (changed("label", 1, np.nan), r"refused: no value for 1 id \(10\)\. Give"),
        (made().assign(label=[3, np.nan, 2, 2]), r"refused: no value for 1 id \(10\)\. Give"),
        (
            made().assign(label=[3, np.nan, 9, 2]),
            r"no value for 1 id \(10\); a label that is no class \(9\) for 1 id \(13\)",
        ),
        (made().astype({"label": float}), r"no class \(3.0, 1.0, 2.0\) for 4 ids"),
        (changed("label", 1, 9), r"a label that is no class \(9\) for 1 id \(10\)\. .* one of the classes\.$"),
        (changed("label", 1, "dent"), r"no class \(dent\)"),
        (made().astype({"image_id": float}), r"missing 4 ids .*extra 4 ids \(12.0"),
    ],
)
def test_check_names_what_is_wrong_with_labels(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_submission(frame, sample(), CLASSES, **LABELS)


def test_check_lists_all_that_is_wrong() -> None:
    frame = changed("label", 1, 9)
    frame.loc[2, "image_id"] = 99
    with pytest.raises(
        InputError,
        match=r"missing 1 id \(13\); extra 1 id \(99\); a label that is no class \(9\) for 1 id \(10\)\. Give it",
    ):
        check_submission(frame, sample(), CLASSES, **LABELS)


def test_check_refuses_a_sample_of_another_kind() -> None:
    with pytest.raises(InputError, match="sample submission cannot be followed"):
        check_submission(made(), wide_sample(), CLASSES, **LABELS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.7, 0.2, 0.2], r"refused: a sum other than 1 for 1 id \(10\)\. Give"),
        ([1.2, -0.1, -0.1], r"refused: a probability outside \[0, 1\] for 1 id \(10\)\. Give"),
        (
            [1.2, 0.1, 0.1],
            r"outside \[0, 1\] for 1 id \(10\); a sum other than 1 for 1 id \(10\)\. .* that sum to 1\.$",
        ),
        ([np.nan, 0.5, 0.5], r"refused: no value for 1 id \(10\)\. Give"),
        (["a", "b", "c"], r"not numbers \(3, 1, 2\)"),
    ],
)
def test_check_names_what_is_wrong_with_probabilities(row: list[Any], message: str) -> None:
    frame = made(sample=wide_sample(), **PROBABILITIES)
    frame = frame.astype(dict.fromkeys("123", object)) if isinstance(row[0], str) else frame
    frame.loc[1, ["3", "1", "2"]] = row
    with pytest.raises(InputError, match=message):
        check_submission(frame, wide_sample(), CLASSES, **PROBABILITIES)


def test_name_carries_run_time_and_cv() -> None:
    time = datetime(2026, 11, 23, 13, 45, 1)
    assert submission_name("ripik", time, 0.74214) == "ripik-20261123-134501-cv0.7421.csv"
    with pytest.raises(InputError, match="no CV"):
        submission_name("ripik", time, float("nan"))


ROW = {
    "file": "a.csv",
    "time": datetime(2026, 11, 23, 13, 45, 1),
    "members": ["original", "finetuned"],
    "cv": 0.7421345678912,
    "public": None,
}
LINE = b"a.csv,2026-11-23T13:45:01,,,original finetuned,0.742134568,,\n"
HEADER = ",".join(LOG_COLUMNS).encode() + b"\n"


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
    assert log.read_bytes() == before + LINE + b'"b, c.csv",,,,,,,\n'


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
from ripik.submission import append_log
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
