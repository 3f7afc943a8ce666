"""CV against leaderboard, over all submissions so far."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from ripik.analysis.submission_record import Contest, contest_of, record_of
from ripik.analysis.submissions import runs
from ripik.console import say, table
from ripik.errors import InputError

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
        yield f"left out of the correlation, as no .json beside them tells competition and metric: {lost} submissions"


def correlation(frame: pd.DataFrame, board: str) -> str:
    """Return in words how CV and a leaderboard's scores go together: Pearson's r, and that of the ranks (Spearman's).

    frame: columns `cv` and `board`, a row a submission; rows with one of them missing do not count.
    """
    known = frame[["cv", board]].dropna()
    if len(known) < FEWEST or known.nunique().min() < 2:
        return f"CV and {board} score: too few different submissions to tell a correlation ({len(known)} with both)"
    linear, ranks = (float(test(known["cv"], known[board]).statistic) for test in (pearsonr, spearmanr))
    return f"CV and {board} score over {len(known)} submissions: r = {linear:.2f}, of the ranks {ranks:.2f}"


def _text(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if np.isfinite(value) else ""
