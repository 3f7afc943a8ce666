"""The step `submit`: check a submission again, submit it, wait for its score, and log it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.filesize import decimal
from scipy.stats import pearsonr, spearmanr

from ripik.analysis.small_files import read_object
from ripik.analysis.submission_record import Contest, contest_of, record_of, record_path, run_of
from ripik.analysis.submissions import runs
from ripik.console import say, table
from ripik.data.competition import read_competition
from ripik.data.csv_tables import line_of, read_table
from ripik.data.submission_form import tell_form
from ripik.ensemble.submission import check_submission
from ripik.ensemble.submission_log import LOG, check_log, set_scores
from ripik.errors import InputError
from ripik.kaggle.kernel.names import identity
from ripik.kaggle.submissions import Submission, list_submissions, submit_file, submit_kernel, wait_for_score
from ripik.names import PROBABILITIES, PROBABILITY
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

BOARDS = ("public", "private")
FEWEST = 3  # submissions, of which a correlation is told
COLUMNS = ["file", "members", "CV", "public", "private", "public − CV"]


def show_leaderboard(submissions: Path) -> None:
    """Show every submission that has a leaderboard score, its CV beside, and how far the two go together.

    Correlations are told by competition and metric, as the submissions' `.json` records tell them.

    Raises InputError where the log is missing or broken, or no score is logged.
    """
    frame = runs(submissions)
    scored = frame[frame[list(BOARDS)].notna().any(axis=1)]
    if scored.empty:
        raise InputError(
            f"{submissions / 'log.csv'} has no leaderboard score yet. `make submit` writes it, or, for a leaderboard "
            "elsewhere, `ripik log-score FILE --public SCORE`."
        )
    numbers = scored[["cv", *BOARDS]].to_numpy(dtype=float)
    names = scored[["file", "members"]].astype(str).to_numpy().tolist()
    rows = [
        [*name, f"{cv:.4f}", _text(public), _text(private), _text(public - cv, "+")]
        for name, (cv, public, private) in zip(names, numbers.tolist(), strict=True)
    ]
    table("CV against leaderboard", COLUMNS, rows)
    contests = [contest_of(record_of(submissions / file)) for file in scored["file"]]
    for line in _correlations(scored, contests):
        say(line)


def _correlations(scored: pd.DataFrame, contests: Sequence[Contest | None]) -> Iterator[str]:
    """Yield a line for each contest and board, and one that counts the submissions of which none is known.

    scored: a row a submission; contests: what each was scored for. Scores of different competitions or metrics have
    nothing to do with each other.
    """
    known = [contest for contest in dict.fromkeys(contests) if contest]
    for contest in known:
        rows = scored[[each == contest for each in contests]]
        yield from (f"{contest}: {correlation(rows, board)}" for board in BOARDS)
    if not known:
        yield from (correlation(scored[:0], board) for board in BOARDS)
    if lost := contests.count(None):
        yield f"left out of the correlation, as they have no .json with competition and metric: {lost} submissions"


def correlation(frame: pd.DataFrame, board: str) -> str:
    """Return in words how CV and a leaderboard's scores go together: Pearson's r, and that of the ranks (Spearman's).

    frame: columns `cv` and `board`, a row a submission; rows with one of them missing do not count.
    """
    known = frame[["cv", board]].dropna()
    if len(known) < FEWEST or known.nunique().min() < 2:
        return f"CV and {board} score: too few different submissions for a correlation ({len(known)} with both)"
    linear, ranks = (float(test(known["cv"], known[board]).statistic) for test in (pearsonr, spearmanr))
    return f"CV and {board} score over {len(known)} submissions: Pearson r = {linear:.2f}, Spearman r = {ranks:.2f}"


def _text(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if np.isfinite(value) else ""


OUTPUT = "submission.csv"  # of a kernel


def submit(settings: Settings, file: Path | None = None, *, version: int = 0, yes: bool = False) -> None:
    """Submit a CSV (none: the run's newest) to `kaggle.competition`, wait for its score, and write it into the log.

    A CSV, or a kernel's version for it, that Kaggle has already, as after an interrupted wait, is not submitted again:
    its score is waited for.

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
    again = _is_scored(log, path, yes)
    what = f"version {version} of {identity(settings, 'infer')}, as {path.name}," if version else str(path)
    if not (yes or _agreed(f"submit {what} to {competition}?")):
        say("submit: nothing was submitted")
        return
    message = f"{path.name} version {version}" if version else path.name
    before = [each for each in list_submissions(competition) if each.description == message]
    is_new = again or not _is_there(before)
    if is_new:
        if version:
            submit_kernel(competition, identity(settings, "infer"), version, OUTPUT, message)
        else:
            submit_file(competition, path, message)
    found = wait_for_score(competition, message, path.name, but=[each.ref for each in before if is_new])
    set_scores(log, path.name, found.public, found.private)
    boards = {"public": found.public, "private": found.private}
    if scores := ", ".join(f"{board} score {score}" for board, score in boards.items() if score is not None):
        say(f"submit: {path.name}: {scores}")
        show_leaderboard(log.parent)
        return
    later = f"Log it when it is told: `ripik log-score {path.name} --public SCORE`."
    say(f"submit: {path.name} is submitted, and Kaggle shows no score of it. {later}")


def log_score(settings: Settings, file: str, public: float | None = None, private: float | None = None) -> None:
    """Write a score that was read elsewhere into the log, and show CV against leaderboard.

    Raises InputError for no score, or a file that the log does not have.
    """
    if public is None and private is None:
        raise InputError("give a score: --public 0.786, --private 0.78, or both.")
    folder = layout_of(settings).submissions
    set_scores(folder / LOG, Path(file).name, public, private)
    show_leaderboard(folder)


def newest(settings: Settings) -> Path:
    """Return the last CSV of the run in the log; InputError where there is none."""
    folder = layout_of(settings).submissions
    log = folder / LOG
    files = read_table(log, ["file"], "Fix the header.")["file"].tolist() if log.is_file() else []
    own = [name for name in files if (folder / name).is_file() and _is_of(settings.run, folder / name)]
    if not own:
        raise InputError(f"{folder} has no submission of the run {settings.run}. Run `make ensemble` first.")
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
            f"{path} was changed since it was written ({record.name} records its checksum). Run `make ensemble`: it "
            "writes a new one."
        )
    form = competition.asked
    columns, hint = list(competition.sample.columns), "Use the sample submission's columns."
    frame = read_table(path, columns, hint, as_is=True)
    frame = frame.reset_index(drop=True)
    if form.kind in (PROBABILITY, PROBABILITIES):
        values = list(form.columns)
        frame[values] = frame[values].apply(lambda column: _numbers(column, path))
    check_submission(frame, competition.sample, competition.classes, form)
    tell_form(form)
    say(f"submit: {path} matches the sample submission's format ({len(frame)} rows)")


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().any():
        row = numbers.index[numbers.isna()][0]
        raise InputError(
            f"{path}, line {line_of(row)}: {column.name} {column[row]!r} is not a number. Correct the cell."
        )
    return numbers


def _is_scored(log: Path, path: Path, yes: bool) -> bool:
    """Return whether the log has a score of it.

    Raises InputError when it does and nobody said `yes`, and where its score could not be logged: it is not there, or
    twice, or the log's columns are others.
    """
    check_log(log)
    lines = read_table(log, ["file", "public"], "Fix the header.") if log.is_file() else pd.DataFrame({"file": []})
    own = lines[lines["file"] == path.name]
    if own.empty:
        raise InputError(
            f"{log} does not list {path.name}, so its score could not be logged. Submit one that it lists."
        )
    if len(own) > 1:
        raise InputError(f"{log} lists {path.name} more than once. Remove the wrong lines.")
    scored = bool(own["public"].iloc[0])
    if scored and not yes:
        raise InputError(f"{path.name} already has the public score {own['public'].iloc[0]}. YES=1 submits it again.")
    return scored


def _is_there(before: Sequence[Submission]) -> bool:
    """Whether the newest of the submissions of a CSV has, or will have, a score."""
    if not before or before[0].status == "error":
        return False
    say(f"submit: Kaggle has {before[0].description} already, submitted {before[0].date}")
    return True


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise InputError(f"{question} No terminal to ask on: YES=1 (--yes) submits without asking.")
    try:
        return input(f"{question} It is one of the day's submissions. [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _tell_by_hand(path: Path) -> None:
    say(
        f"submit: no kaggle.competition is set, so upload {path} ({decimal(path.stat().st_size)}) on the organiser's "
        f"own site. Then log its score: `ripik log-score {path.name} --public SCORE`."
    )
