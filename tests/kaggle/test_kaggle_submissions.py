"""Submissions by the real `kaggle` command to a competition of our own."""

from pathlib import Path

import pytest

from kaggle_stand_in import StandIn
from organiser import nested, zip_of
from ripik.errors import InputError, SurroundingsError
from ripik.kaggle import submissions
from ripik.kaggle.downloads import download_competition
from ripik.kaggle.submissions import list_submissions, submit_file, submit_kernel, wait_for_score

pytestmark = pytest.mark.usefixtures("login")


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "cars-20260102-030405-cv0.7771.csv"
    path.write_text("image_id,label\n7201,3\n")
    return path


def test_a_file_is_submitted_and_its_score_waited_for(csv: Path, server: StandIn) -> None:
    server.site.scores = ("0.75123", "0.74")
    assert list_submissions("cars") == []
    submit_file("cars", csv, csv.name)
    assert server.site.submissions[0]["content"] == csv.read_bytes()
    found = wait_for_score("cars", csv.name, csv.name, pause=0)
    assert (found.public, found.private, found.status, found.file_name) == (0.75123, 0.74, "complete", csv.name)
    assert server.site.left == 4


def test_a_version_of_a_kernel_is_submitted(server: StandIn) -> None:
    server.site.kernels["someone/ripik-infer-cars"] = [None, None]  # type: ignore[list-item]
    server.site.output = {"submission.csv": b"image_id,label\n"}
    submit_kernel("cars", "someone/ripik-infer-cars", 2, "submission.csv", "version 2")
    assert server.site.submissions[0]["description"] == "version 2"
    with pytest.raises(InputError, match="404"):
        submit_kernel("cars", "someone/ripik-infer-cars", 3, "submission.csv", "version 3")


def test_a_used_up_day_and_a_wrong_name_are_failures(csv: Path, server: StandIn) -> None:
    server.site.left = 0
    with pytest.raises(SurroundingsError, match="all 5 of today's submissions"):
        submit_file("cars", csv, "again")
    with pytest.raises(InputError, match=r"no Kaggle competition boats \(404\)"):
        submit_file("boats", csv, "elsewhere")


def test_a_submission_that_cannot_be_scored_and_one_that_takes_long(csv: Path, server: StandIn) -> None:
    server.site.wait = 2
    submit_file("cars", csv, csv.name)
    with pytest.raises(SurroundingsError, match=r"has not scored .*It is submitted.*log-score"):
        wait_for_score("cars", csv.name, csv.name, patience=0, pause=0)
    server.site.scores = ("", "")
    with pytest.raises(InputError, match="could not score"):
        wait_for_score("cars", csv.name, csv.name, pause=0)


def test_kaggle_may_be_out_of_reach_while_a_score_is_waited_for(
    csv: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_file("cars", csv, csv.name)
    asked, really = [], submissions.list_submissions

    def listed(competition: str) -> list[submissions.Submission]:
        asked.append(competition)
        if len(asked) == 1:
            raise SurroundingsError("no network")
        return really(competition)

    monkeypatch.setattr(submissions, "list_submissions", listed)
    assert wait_for_score("cars", csv.name, csv.name, pause=0).public == 0.75123
    asked.clear()
    with pytest.raises(SurroundingsError, match=r"has not scored .* \(no network\)\. It is submitted"):
        wait_for_score("cars", csv.name, csv.name, patience=0, pause=0)


def test_a_competitions_files_need_its_rules_accepted(tmp_path: Path, server: StandIn) -> None:
    server.site.data = zip_of(nested())
    assert download_competition("cars", tmp_path / "to").read_bytes() == server.site.data
    server.site.accepted = False
    with pytest.raises(InputError, match=r"competitions/cars/rules .*accept the rules"):
        download_competition("cars", tmp_path / "other")
