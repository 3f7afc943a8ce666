"""`submit` as a user runs it: the real `kaggle` command, a competition of our own, a log with the score."""

import io
from pathlib import Path

import pandas as pd
import pytest

from conftest import Tiny
from kaggle_stand_in import StandIn
from ripik.ensemble.submission_log import append_log
from ripik.kaggle import submissions
from ripik.kaggle.submissions import submit_file, submit_kernel

NAME = "tiny-20260102-030405-cv0.7771.csv"
COMPETITION = ("--set", "kaggle.competition=cars", "--set", "kaggle.user=someone")
pytestmark = pytest.mark.usefixtures("login")


@pytest.fixture
def submission(tiny: Tiny) -> Path:
    """Write a submission of the tiny competition, and its line in the log."""
    folder = tiny.folder / "submissions"
    path = folder / NAME
    folder.mkdir()
    path.write_bytes(tiny.sample_csv.read_bytes())
    row = {"file": NAME, "time": "2026-01-02T03:04:05", "members": ["original"], "cv": 0.7771}
    append_log(folder / "log.csv", row)
    return path


def logged(submission: Path) -> str:
    return pd.read_csv(submission.parent / "log.csv", dtype=str, keep_default_na=False)["public"].iloc[0]


def test_the_newest_is_submitted_and_its_score_logged(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    server.site.wait = 0
    assert tiny.cli("submit", *COMPETITION, "--yes") == 0
    assert server.site.submissions[0]["content"] == submission.read_bytes()
    assert server.site.submissions[0]["description"] == NAME
    assert logged(submission) == "0.75123"
    shown = capsys.readouterr().out
    assert "4 submissions remaining today" in shown
    assert "CV against leaderboard" in shown
    assert tiny.cli("submit", *COMPETITION) == 2
    assert "already has the public score 0.75123" in capsys.readouterr().err


@pytest.mark.parametrize("failed", [False, True])
def test_what_kaggle_has_already_is_waited_for_and_not_submitted_again(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str], failed: bool
) -> None:
    server.site.wait, server.site.scores = 0, ("", "") if failed else ("0.75123", "0.74")
    submit_file("cars", submission, NAME)
    code = tiny.cli("submit", *COMPETITION, "--yes")
    assert (code, len(server.site.submissions)) == ((2, 2) if failed else (0, 1))
    if not failed:
        assert f"Kaggle has {NAME} already" in capsys.readouterr().out
        assert logged(submission) == "0.75123"
        assert tiny.cli("submit", *COMPETITION, "--yes") == 0  # scored by now, so it is submitted again
        assert len(server.site.submissions) == 2


def test_the_score_of_an_earlier_submission_is_not_taken_for_that_of_a_new_one(
    tiny: Tiny, submission: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions.time, "sleep", lambda seconds: None)
    server.site.wait, server.site.scores = 0, ("", "")
    submit_file("cars", submission, NAME)
    assert tiny.cli("submit", *COMPETITION, "--yes") == 2  # Kaggle could not score either
    server.site.scores, server.site.unlisted = ("0.75123", "0.74"), 2
    for told in server.site.submissions:
        told["scores"] = ("", "")
    assert tiny.cli("submit", *COMPETITION, "--yes") == 0
    assert logged(submission) == "0.75123"
    assert len(server.site.submissions) == 3


def test_a_kernels_version_is_submitted_in_its_place(tiny: Tiny, submission: Path, server: StandIn) -> None:
    server.site.wait = 0
    server.site.kernels["someone/ripik-infer-tiny"] = [None]  # type: ignore[list-item]
    server.site.output = {"submission.csv": b"what the kernel wrote"}
    assert tiny.cli("submit", *COMPETITION, "--yes", "--version", "1") == 0
    assert server.site.submissions[0]["content"] == b"what the kernel wrote"
    assert logged(submission) == "0.75123"


def test_another_version_is_submitted_after_an_interrupted_wait_for_the_first(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    server.site.wait = 0
    server.site.kernels["someone/ripik-infer-tiny"] = [None, None]  # type: ignore[list-item]
    server.site.output = {"submission.csv": b"what the kernel wrote"}
    submit_kernel("cars", "someone/ripik-infer-tiny", 1, "submission.csv", f"{NAME} version 1")
    assert tiny.cli("submit", *COMPETITION, "--yes", "--version", "2") == 0
    assert [each["description"] for each in server.site.submissions] == [f"{NAME} version {k}" for k in (2, 1)]
    assert "already" not in capsys.readouterr().out


def test_a_version_that_kaggle_has_is_waited_for(tiny: Tiny, submission: Path, server: StandIn) -> None:
    server.site.wait = 0
    server.site.kernels["someone/ripik-infer-tiny"] = [None]  # type: ignore[list-item]
    server.site.output = {"submission.csv": b"what the kernel wrote"}
    submit_kernel("cars", "someone/ripik-infer-tiny", 1, "submission.csv", f"{NAME} version 1")
    assert tiny.cli("submit", *COMPETITION, "--yes", "--version", "1") == 0
    assert len(server.site.submissions) == 1
    assert logged(submission) == "0.75123"


def test_one_without_a_score_until_the_end_is_submitted_once(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    server.site.wait, server.site.scores = 0, ("None", "")
    for _ in range(2):
        assert tiny.cli("submit", *COMPETITION, "--yes") == 0
        assert "Kaggle shows no score of it" in capsys.readouterr().out
    assert len(server.site.submissions) == 1
    assert logged(submission) == ""


def test_nothing_is_spent_where_the_score_could_not_be_logged(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    log = submission.parent / "log.csv"
    header, line = log.read_text().splitlines(keepends=True)
    for text, told in [(header + line + line, "more than once"), (header.replace("cv", "CV") + line, "columns")]:
        log.write_text(text)
        assert tiny.cli("submit", *COMPETITION, "--file", str(submission), "--yes") == 2
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tiny.cli("submit", *COMPETITION, "--yes", "--version", "-1")
    assert "whole number" in capsys.readouterr().err
    assert server.asked == []


def test_nothing_is_spent_unasked(
    tiny: Tiny, submission: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert tiny.cli("submit", *COMPETITION) == 2
    assert "YES=1" in capsys.readouterr().err
    for answer in ("n\n", ""):  # the second: Ctrl-D
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)
        assert tiny.cli("submit", *COMPETITION) == 0
        assert "nothing was submitted" in capsys.readouterr().out
    assert server.asked == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda text: text.replace("label", "class", 1), "no column label"),
        (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "missing 1 id"),
        (lambda text: text.replace(",1", ",9", 1), "not a class"),
    ],
)
def test_a_csv_that_would_be_refused_is_not_submitted(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str], spoil, told: str
) -> None:
    submission.write_text(spoil(submission.read_text()))
    assert tiny.cli("submit", *COMPETITION, "--yes") == 2
    assert told in capsys.readouterr().err
    assert server.asked == []


def test_a_csv_with_a_line_for_excel_is_not_submitted(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    submission.write_text(f"sep=,\n{submission.read_text()}")
    assert tiny.cli("submit", *COMPETITION, "--yes") == 2
    assert "its first line, sep=,, is only for Excel" in capsys.readouterr().err
    assert server.site.submissions == []


def test_a_csv_changed_since_it_was_written_is_not_submitted(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    submission.with_suffix(".json").write_text('{"sha256": "0"}')
    assert tiny.cli("submit", *COMPETITION, "--yes") == 2
    assert "was changed since it was written" in capsys.readouterr().err
    assert server.asked == []


def test_without_a_competition_it_says_what_to_do_by_hand(
    tiny: Tiny, submission: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.cli("submit") == 0
    assert f"upload {submission}" in capsys.readouterr().out
    assert tiny.cli("log-score", NAME, "--public", "0.786") == 0
    assert logged(submission) == "0.786"
    assert tiny.cli("log-score", NAME) == 2
    assert tiny.cli("log-score", "tiny-1.csv", "--public", "0.5") == 2
    assert "does not list tiny-1.csv" in capsys.readouterr().err
    assert server.asked == []


def test_the_newest_of_another_run_whose_name_begins_alike_is_not_submitted(
    tiny: Tiny, submission: Path, server: StandIn
) -> None:
    server.site.wait = 0
    other, renamed = "tiny-big-20260203-040506-cv0.9000.csv", "by hand.csv"
    for name in (other, renamed):
        submission.with_name(name).write_bytes(submission.read_bytes() + b"not asked for\n")
        row = {"file": name, "time": "2026-02-03T04:05:06", "members": ["original"], "cv": 0.9}
        append_log(submission.parent / "log.csv", row)
    submission.with_name("by hand.json").write_text('{"configuration": {"run": "tiny-big"}}')
    assert tiny.cli("submit", *COMPETITION, "--yes") == 0
    assert server.site.submissions[0]["description"] == NAME


def test_a_renamed_csv_is_of_the_run_that_its_record_names(
    tiny: Tiny, submission: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submission.rename(submission.with_name("best.csv"))
    append_log(submission.parent / "log.csv", {"file": "best.csv", "time": "2026-02-03T04:05:06", "members": ["a"]})
    submission.with_name("best.json").write_text('{"configuration": {"run": "tiny"}}')
    assert tiny.cli("submit") == 0
    assert "the newest submission, " in capsys.readouterr().out
    submission.with_name("best.json").write_text("{")
    assert tiny.cli("submit", "--file", str(submission.with_name("best.csv"))) == 2
    assert "best.json is not valid JSON" in capsys.readouterr().err


def test_a_run_without_a_submission(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.cli("submit") == 2
    assert "has no submission of the run tiny" in capsys.readouterr().err
