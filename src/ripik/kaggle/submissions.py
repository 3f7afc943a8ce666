"""Submit a CSV, or a kernel's, to a Kaggle competition, and wait for its score."""

import csv
import io
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ripik.console import say
from ripik.errors import InputError, RipikError, SurroundingsError
from ripik.kaggle.client import failure, run_kaggle

TAKEN = "successfully submitted"
COLUMNS = ("ref", "fileName", "date", "description", "status", "publicScore", "privateScore")
PATIENCE, PAUSE = 3600.0, 10.0  # seconds


@dataclass(frozen=True)
class Submission:
    """A submission as Kaggle lists it; scores are None until there are some."""

    ref: str
    file_name: str
    date: str
    description: str
    status: str  # pending, complete, error
    public: float | None
    private: float | None


def submit_file(competition: str, file: Path, message: str) -> None:
    """Submit a CSV with a message. Raises InputError and SurroundingsError, also for what the client only prints."""
    _submit(competition, ["--file", str(file), "--message", message])


def submit_kernel(competition: str, kernel: str, version: int, file_name: str, message: str) -> None:
    """Submit the file that a version of the kernel `owner/slug` wrote, to a code competition; raises likewise."""
    options = ["--kernel", kernel, "--version", str(version), "--file", file_name, "--message", message]
    _submit(competition, options)


def list_submissions(competition: str) -> list[Submission]:
    """Return the newest two hundred of one's own submissions, newest first."""
    code, said = run_kaggle(["competitions", "submissions", competition, "--csv", "--quiet", "--page-size", "200"])
    if code:
        raise _failure(competition, code, said)
    start = said.find(",".join(COLUMNS))
    rows = csv.DictReader(io.StringIO(said[start:])) if start >= 0 else []
    return [
        Submission(
            ref=row["ref"],
            file_name=row["fileName"],
            date=row["date"],
            description=row["description"],
            status=row["status"].rpartition(".")[2].lower(),
            public=_score(row["publicScore"]),
            private=_score(row["privateScore"]),
        )
        for row in rows
    ]


def wait_for_score(
    competition: str,
    message: str,
    file: str,
    *,
    but: Collection[str] = (),
    patience: float = PATIENCE,
    pause: float = PAUSE,
) -> Submission:
    """Return the newest submission with this message once it has a score; asks every `pause` seconds.

    file: the CSV's name in the log, for what is told when it takes too long. but: refs of those submitted before.
    Kaggle may be out of reach meanwhile. Raises InputError when Kaggle could not score it, and SurroundingsError when
    `patience` seconds are over.
    """
    page, end = f"https://www.kaggle.com/competitions/{competition}/submissions", time.monotonic() + patience
    say(f"kaggle: waiting for the score of {message}")
    while True:
        found, problem = None, ""
        try:
            found = submitted(competition, message, but)
        except SurroundingsError as error:
            problem = f" ({error})"
        if found and found.status == "error":
            raise InputError(f"Kaggle could not score {message}: see {page}.")
        if found and found.status == "complete":
            return found
        if time.monotonic() > end:
            raise SurroundingsError(
                f"Kaggle has not scored {message} yet{problem}. It is submitted: when {page} shows the score, log it "
                f"with `ripik log-score {file} --public SCORE`."
            )
        time.sleep(pause)


def submitted(competition: str, message: str, but: Collection[str] = ()) -> Submission | None:
    """Return the newest of one's own submissions that has this message, and none of these refs; None without one."""
    known = (each for each in list_submissions(competition) if each.description == message)
    return next((each for each in known if each.ref not in but), None)


def _submit(competition: str, arguments: list[str]) -> None:
    code, said = run_kaggle(["competitions", "submit", competition, *arguments])
    if code or TAKEN not in said.lower():
        raise _failure(competition, code, said)
    for line in said.splitlines():
        if "remaining today" in line:
            say(f"kaggle: {line.strip()}")


def _score(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # empty, or None in words
        return None


def _failure(competition: str, code: int, said: str) -> RipikError:
    return failure(
        f"the Kaggle competition {competition}", f"https://www.kaggle.com/competitions/{competition}", code, said
    )
