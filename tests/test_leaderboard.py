"""CV against leaderboard: which submissions count, and how their correlation is told."""

from pathlib import Path

import pandas as pd
import pytest

from ripik.errors import InputError
from ripik.leaderboard import correlation, show_leaderboard
from ripik.submission_log import append_log


def test_correlation_of_known_values() -> None:
    frame = pd.DataFrame({"cv": [0.1, 0.2, 0.3, 0.4], "public": [1.0, 2.0, 3.0, 100.0]})
    assert correlation(frame, "public") == "CV and public score over 4 submissions: r = 0.79, of the ranks 1.00"
    assert correlation(frame.assign(public=[4.0, 3.0, 2.0, 1.0]), "public").endswith("r = -1.00, of the ranks -1.00")


@pytest.mark.parametrize("scores", [[0.5, 0.6, None], [0.5, 0.5, 0.5], [None, None, None]])
def test_too_few_different_submissions_have_no_correlation(scores: list[float | None]) -> None:
    frame = pd.DataFrame({"cv": [0.1, 0.2, 0.3], "public": pd.Series(scores, dtype=float)})
    assert "too few different submissions" in correlation(frame, "public")


def test_only_scored_submissions_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.csv"
    for number, public in enumerate([0.75, None, 0.76]):
        row = {"file": f"{'abc'[number]}.csv", "time": f"2026-01-0{number + 1}T00:00:00", "members": ["m"]}
        append_log(log, row | {"cv": 0.7 + number / 100, "public": public})
    show_leaderboard(tmp_path)
    shown = capsys.readouterr().out
    assert "a.csv" in shown
    assert "c.csv" in shown
    assert "b.csv" not in shown
    assert "+0.0500" in shown
    assert "CV and public score: too few" in shown


def test_without_a_score_it_says_how_to_log_one(tmp_path: Path) -> None:
    append_log(tmp_path / "log.csv", {"file": "a.csv", "time": "2026-01-01T00:00:00", "members": ["m"], "cv": 0.7})
    with pytest.raises(InputError, match=r"no leaderboard score yet.*log-score"):
        show_leaderboard(tmp_path)
