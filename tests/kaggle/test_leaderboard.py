"""CV against leaderboard: which submissions count, and how their correlation is told."""

from pathlib import Path

import pandas as pd
import pytest

from ripik.ensemble.submission_log import append_log
from ripik.errors import InputError
from ripik.kaggle.submit import correlation, show_leaderboard
from ripik.storage import artifacts


def test_correlation_of_known_values() -> None:
    frame = pd.DataFrame({"cv": [0.1, 0.2, 0.3, 0.4], "public": [1.0, 2.0, 3.0, 100.0]})
    assert correlation(frame, "public") == "CV and public score over 4 submissions: Pearson r = 0.79, Spearman r = 1.00"
    assert correlation(frame.assign(public=[4.0, 3.0, 2.0, 1.0]), "public").endswith(
        "Pearson r = -1.00, Spearman r = -1.00"
    )


@pytest.mark.parametrize("scores", [[0.5, 0.6, None], [0.5, 0.5, 0.5], [None, None, None]])
def test_too_few_different_submissions_have_no_correlation(scores: list[float | None]) -> None:
    frame = pd.DataFrame({"cv": [0.1, 0.2, 0.3], "public": pd.Series(scores, dtype=float)})
    assert "too few different submissions" in correlation(frame, "public")


def submissions(folder: Path, run: str, metric: str, scores: list[tuple[float, float]], *, told: bool = True) -> None:
    """Log a run's submissions, each (CV, public score), with their records."""
    for number, (cv, public) in enumerate(scores):
        name = f"{run}-{number}.csv"
        row = {"file": name, "time": f"2026-01-0{number + 1}T00:00:00", "members": ["m"], "cv": cv, "public": public}
        append_log(folder / "log.csv", row)
        if told:
            configuration = {"run": run, "competition": {"root": run.split("-")[0], "metric": metric}}
            artifacts.write_json(folder / f"{run}-{number}.json", {"metric": metric, "configuration": configuration})


def test_each_competition_and_metric_has_a_correlation_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pooled, these go together with r = 0.99."""
    submissions(tmp_path, "cars", "macro_f1", [(0.70, 0.72), (0.71, 0.71), (0.72, 0.70)])
    submissions(tmp_path, "leaves", "accuracy", [(0.90, 0.91), (0.91, 0.90), (0.92, 0.93)])
    submissions(tmp_path, "leaves-big", "accuracy", [(0.93, 0.94)])
    submissions(tmp_path, "cars-too", "log_loss", [(0.3, 0.3)])
    submissions(tmp_path, "old", "", [(0.1, 0.1), (0.2, 0.2)], told=False)
    show_leaderboard(tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if "public score" in line]
    assert lines == [
        "cars, macro_f1: CV and public score over 3 submissions: Pearson r = -1.00, Spearman r = -1.00",
        "leaves, accuracy: CV and public score over 4 submissions: Pearson r = 0.85, Spearman r = 0.80",
        "cars, log_loss: CV and public score: too few different submissions for a correlation (1 with both)",
    ]


def test_submissions_without_a_record_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submissions(tmp_path, "cars", "auc", [(0.70, 0.72), (0.71, 0.71), (0.72, 0.70)])
    submissions(tmp_path, "old", "", [(0.1, 0.1), (0.2, 0.2)], told=False)
    show_leaderboard(tmp_path)
    shown = capsys.readouterr().out
    assert "cars, auc: CV and public score over 3 submissions: Pearson r = -1.00" in shown
    assert "no .json with competition and metric: 2 submissions" in shown


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
