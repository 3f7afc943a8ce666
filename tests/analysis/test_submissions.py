from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_up_predictions import write_json
from ripik.analysis.submissions import runs
from ripik.ensemble.submission_log import LOG_COLUMNS, append_log
from ripik.errors import InputError

BASE = {"run": "car", "training": {"epochs": 3, "seed": 0}, "variants": {"a": {"data": "original"}}, "weights": ""}


def log(folder: Path, name: str, time: str, cv: float = 0.5, **more: Any) -> None:
    append_log(folder / "log.csv", {"file": name, "time": time, "members": ["a", "b"], "cv": cv, **more})


def record(folder: Path, name: str, configuration: dict[str, Any], low: float = 0.4, high: float = 0.6) -> None:
    pooled = {"value": 0.5, "low": low, "high": high, "error": 0.05}
    content = {"configuration": configuration, "scores": {"intervals": {"pooled": pooled}}}
    write_json((folder / name).with_suffix(".json"), content)


FIRST = ("car-20260101-120000-cv0.5000.csv", "2026-01-01T12:00:00")
SECOND = ("car-20260102-120000-cv0.6000.csv", "2026-01-02T12:00:00")
OTHER = ("my-car-20260101-180000-cv0.7000-again.csv", "2026-01-01T18:00:00")


def test_the_log_oldest_first_with_intervals_and_changes(tmp_path: Path) -> None:
    log(tmp_path, *SECOND, cv=0.6, public=0.55)
    log(tmp_path, *FIRST)
    log(tmp_path, *OTHER, cv=0.7, shift_auc=0.9, test_like=0.5)
    record(tmp_path, FIRST[0], BASE)
    changed = BASE | {"training": {"epochs": 5, "seed": 0, "views": ["hflip"]}, "weights": "x.h5"}
    record(tmp_path, SECOND[0], changed, 0.5, 0.7)
    record(tmp_path, OTHER[0], BASE | {"run": "my-car"})
    found = runs(tmp_path)
    assert found["file"].tolist() == [FIRST[0], OTHER[0], SECOND[0]]
    assert found["run"].tolist() == ["car", "my-car", "car"]
    assert found["time"].tolist() == [FIRST[1], OTHER[1], SECOND[1]]
    assert found["members"].tolist() == ["a b"] * 3
    assert found[["cv", "low", "high"]].to_numpy().tolist() == [[0.5, 0.4, 0.6], [0.7, 0.4, 0.6], [0.6, 0.5, 0.7]]
    assert np.isnan(found["public"]).tolist() == [True, True, False]
    assert found["public"].iloc[2] == 0.55
    assert found["private"].isna().all()
    assert found["test_like"].fillna(0).tolist() == [0, 0.5, 0]
    assert found["changed"].tolist() == [
        "",
        "",
        'training.epochs: 3 → 5; weights: "" → x.h5; training.views: none → ["hflip"]',
    ]


def test_an_older_log_knows_of_no_test_like_photos(tmp_path: Path) -> None:
    header = "file,time,commit,config_hash,members,cv,public,private\n"
    (tmp_path / "log.csv").write_text(f"{header}{','.join(FIRST)},,,a b,0.5,0.4,\n")
    found = runs(tmp_path)
    assert found["test_like"].isna().all()
    assert found[["cv", "public"]].to_numpy().tolist() == [[0.5, 0.4]]


def test_a_setting_that_went_is_told(tmp_path: Path) -> None:
    log(tmp_path, *FIRST)
    log(tmp_path, *SECOND)
    record(tmp_path, FIRST[0], BASE)
    record(tmp_path, SECOND[0], {key: value for key, value in BASE.items() if key != "variants"})
    assert runs(tmp_path)["changed"].tolist() == ["", "variants.a.data: original → none"]


def test_submissions_without_a_record_are_listed_and_skipped_in_comparing(tmp_path: Path) -> None:
    third = ("car-20260103-120000-cv0.6000.csv", "2026-01-03T12:00:00")
    for name in (FIRST, SECOND, third):
        log(tmp_path, *name)
    record(tmp_path, FIRST[0], BASE)
    record(tmp_path, third[0], BASE | {"weights": "x.h5"})
    found = runs(tmp_path)
    assert np.isnan(found["low"]).tolist() == [False, True, False]
    assert found["changed"].tolist() == ["", "", 'weights: "" → x.h5']


def test_files_renamed_by_hand_keep_their_name_as_run(tmp_path: Path) -> None:
    log(tmp_path, "best.csv", "2026-01-01T12:00:00")
    assert runs(tmp_path)["run"].tolist() == ["best"]


def test_a_file_renamed_by_hand_is_of_the_run_that_its_record_names(tmp_path: Path) -> None:
    log(tmp_path, "best.csv", "2026-01-01T12:00:00")
    log(tmp_path, *SECOND)
    record(tmp_path, "best.csv", BASE)
    record(tmp_path, SECOND[0], BASE | {"weights": "x.h5"})
    found = runs(tmp_path)
    assert found["run"].tolist() == ["car", "car"]
    assert found["changed"].tolist() == ["", 'weights: "" → x.h5']


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"time": "yesterday"}, "line 3: time 'yesterday' is not a time"),
        ({"time": ""}, "line 3: time '' is not a time"),
        ({"public": "0,78"}, "line 3: public '0,78' is not a number"),
        ({"cv": "1e999"}, "line 3: cv '1e999' is not a number"),
        ({"cv": "good"}, "line 3: cv 'good' is not a number"),
    ],
)
def test_a_broken_cell_is_told_with_its_line(tmp_path: Path, cells: dict[str, str], message: str) -> None:
    log(tmp_path, *FIRST)
    log(tmp_path, **({"name": SECOND[0], "time": SECOND[1], "cv": 0.5} | cells))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        runs(tmp_path)


def test_a_missing_or_broken_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*log\.csv.*make ensemble"):
        runs(tmp_path)
    (tmp_path / "log.csv").write_text(
        ",".join(column for column in LOG_COLUMNS if column != "cv") + "\n1,2,3,4,5,6,7\n"
    )
    with pytest.raises(InputError, match="no column cv"):
        runs(tmp_path)
    (tmp_path / "log.csv").unlink()
    log(tmp_path, *FIRST)
    (tmp_path / FIRST[0]).with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match=r"\.json is not valid JSON"):
        runs(tmp_path)


@pytest.mark.parametrize("file", ["/", "../elsewhere.csv", "a/b.csv"])
def test_a_logged_file_is_a_name_in_the_folder(tmp_path: Path, file: str) -> None:
    (tmp_path / "log.csv").write_text(
        f"file,time,commit,config_hash,members,cv,public,private\n{file},2026-01-31T18:30:00,,,a,0.5,,\n"
    )
    with pytest.raises(InputError, match="is not the name of a file"):
        runs(tmp_path)
