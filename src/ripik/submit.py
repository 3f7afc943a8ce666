"""The step `submit`: check a submission once more, spend one of the day's, wait for its score, and log it."""

import sys
from pathlib import Path

import pandas as pd
from rich.filesize import decimal

from ripik.analysis.small_files import read_object
from ripik.analysis.submission_record import record_of, record_path, run_of
from ripik.console import say
from ripik.data.competition import read_competition
from ripik.data.csv_tables import line_of, read_table
from ripik.data.submission_form import LABELS, tell_form
from ripik.ensemble.submission import check_submission
from ripik.ensemble.submission_log import LOG, set_scores
from ripik.errors import InputError
from ripik.kaggle.submissions import submit_file, submit_kernel, wait_for_score
from ripik.kernel.names import identity
from ripik.leaderboard import show_leaderboard
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

OUTPUT = "submission.csv"  # of a kernel


def submit(settings: Settings, file: Path | None = None, *, version: int = 0, yes: bool = False) -> None:
    """Submit a CSV (none: the run's newest) to `kaggle.competition`, wait for its score, and write it into the log.

    version: of the run's inference kernel, for a competition that takes kernels only; what it wrote is submitted then,
    and the score logged to the CSV. Without a competition on Kaggle it says what to do by hand. Asks before it spends
    a submission, unless `yes`.
    Raises InputError for a CSV that would be refused, was changed since it was written, or has a score already, and
    where there is nobody to ask; and what Kaggle refuses.
    """
    path = file or newest(settings)
    check(settings, path)
    competition, log = settings.kaggle.competition, layout_of(settings).submissions / LOG
    if not competition:
        _tell_by_hand(path)
        return
    _check_unscored(log, path, yes)
    what = f"version {version} of {identity(settings, 'infer')}, as {path.name}," if version else str(path)
    if not (yes or _agreed(f"submit {what} to {competition}?")):
        say("submit: nothing was submitted")
        return
    if version:
        submit_kernel(competition, identity(settings, "infer"), version, OUTPUT, path.name)
    else:
        submit_file(competition, path, path.name)
    found = wait_for_score(competition, path.name)
    set_scores(log, path.name, found.public, found.private)
    boards = {"public": found.public, "private": found.private}
    told = ", ".join(f"{board} score {score}" for board, score in boards.items() if score is not None)
    say(f"submit: {path.name}: {told}")
    show_leaderboard(log.parent)


def log_score(settings: Settings, file: str, public: float | None, private: float | None) -> None:
    """Write a score that was read elsewhere into the log, and show CV against leaderboard.

    Raises InputError for no score, or a file that the log does not have.
    """
    if public is None and private is None:
        raise InputError("give the score: --public 0.786, --private 0.78, or both.")
    folder = layout_of(settings).submissions
    set_scores(folder / LOG, Path(file).name, public, private)
    show_leaderboard(folder)


def newest(settings: Settings) -> Path:
    """Return the last CSV of the run that the log tells of; InputError where there is none."""
    folder = layout_of(settings).submissions
    log = folder / LOG
    files = read_table(log, ["file"], "Mend the header.")["file"].tolist() if log.is_file() else []
    own = [name for name in files if (folder / name).is_file() and _is_of(settings.run, folder / name)]
    if not own:
        raise InputError(f"{folder} holds no submission of the run {settings.run}. Run `make ensemble` first.")
    say(f"submit: the newest submission, {folder / own[-1]}")
    return folder / own[-1]


def _is_of(run: str, submission: Path) -> bool:
    return run_of(submission, record_of(submission)) == run


def check(settings: Settings, path: Path) -> None:
    """Hold a CSV against the sample submission, and against the bytes that were written.

    Raises InputError for all that would make the organiser refuse it, and where it was changed.
    """
    competition = read_competition(settings, missing_ok=True)
    record = record_path(path)
    recorded = read_object(record, "Delete it to submit the CSV as it is.").get("sha256") if record.is_file() else None
    if recorded and not artifacts.is_whole(path, recorded):
        raise InputError(
            f"{path} was changed since it was written ({record.name} tells its checksum). Run `make ensemble`: it "
            "writes another."
        )
    frame = read_table(path, list(competition.sample.columns), "Write the sample submission's columns.")
    frame = frame.reset_index(drop=True)
    if competition.form.kind != LABELS:
        values = list(competition.form.columns)
        frame[values] = frame[values].apply(lambda column: _numbers(column, path))
    check_submission(frame, competition.sample, competition.classes, competition.form)
    tell_form(competition.form)
    say(f"submit: {path} is as the sample submission asks ({len(frame)} rows)")


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().any():
        row = numbers.index[numbers.isna()][0]
        raise InputError(f"{path}, line {line_of(row)}: {column.name} {column[row]!r} is no number. Mend the cell.")
    return numbers


def _check_unscored(log: Path, path: Path, yes: bool) -> None:
    lines = read_table(log, ["file", "public"], "Mend the header.") if log.is_file() else pd.DataFrame({"file": []})
    own = lines[lines["file"] == path.name]
    if own.empty:
        raise InputError(f"{log} does not list {path.name}, so its score could not be logged. Submit one it lists.")
    if own["public"].iloc[0] and not yes:
        raise InputError(f"{path.name} has the public score {own['public'].iloc[0]} already. YES=1 submits it again.")


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise InputError(f"{question} There is nobody to ask: YES=1 (--yes) submits without asking.")
    return input(f"{question} It is one of the day's submissions. [y/N] ").strip().lower() in ("y", "yes")


def _tell_by_hand(path: Path) -> None:
    say(
        f"submit: no kaggle.competition is set, so upload {path} ({decimal(path.stat().st_size)}) on the organiser's "
        f"own site. Then log its score: `ripik log-score {path.name} --public SCORE`."
    )
