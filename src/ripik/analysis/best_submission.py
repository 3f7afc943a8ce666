"""Of all submissions to a competition the best CV is one that was chosen: what it is worth, by their nested OOF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.analysis.groups import joined
from ripik.analysis.metrics import FloatArray, IntArray, get_metric
from ripik.analysis.selection import Selection, Trials, select
from ripik.analysis.submission_record import Contest, contest_of, oof_path, record_of
from ripik.analysis.submissions import runs
from ripik.data.csv_tables import check_ids
from ripik.data.number_tables import read_numbers
from ripik.errors import InputError

FORM = "It has image_id, fold, label, group and a p_<label> a class, as `make ensemble` writes it."


@dataclass(frozen=True)
class Best:
    """The best of the submissions to a competition that keep their OOF: its file, and its score corrected for that.

    left_out: how many were not looked at: those that keep no OOF, or one of other images or labels.
    """

    contest: Contest
    file: str
    submissions: int
    found: Selection
    left_out: int

    def sentence(self) -> str:
        """Return what there is to say."""
        naive, corrected = self.found.naive.value, self.found.corrected
        more = f"; {self.left_out} left out, without predictions of these images beside them" if self.left_out else ""
        if self.submissions == 1:
            return f"{self.contest}: one submission with its predictions, {naive:.4f}{more}"
        interval = f" ({corrected.low:.3f}–{corrected.high:.3f})"
        return (
            f"{self.contest}: best of {self.submissions}: {naive:.4f} ({self.file}), corrected for that choice "
            f"{corrected.value:.4f}{interval}{more}"
        )


@dataclass(frozen=True, eq=False)
class _Kept:
    """The nested OOF of a submission: rows by id, classes in the order of its columns."""

    file: str
    frame: pd.DataFrame

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self.frame.columns if str(name).startswith("p_")]

    @property
    def labels(self) -> list[str]:
        return self.frame["label"].astype(str).tolist()

    def suits(self, other: _Kept) -> bool:
        """Whether both are of the same images, labels and classes."""
        alike = self.frame.index.equals(other.frame.index) and self.columns == other.columns
        return alike and self.labels == other.labels


def best_submissions(submissions: str | Path) -> list[Best]:
    """Return the best submission of every competition in the folder that holds `log.csv`, oldest competition first.

    Of each competition those are compared that were scored on the images of the newest one. Raises InputError as
    `runs` does, and for predictions that are damaged.
    """
    folder = Path(submissions)
    files: dict[Contest, list[Path]] = {}
    for file in runs(folder)["file"].unique():
        contest = contest_of(record_of(folder / file))
        if contest is not None:
            files.setdefault(contest, []).append(folder / file)
    found = [_best(contest, paths) for contest, paths in files.items()]
    return [best for best in found if best is not None]


def _best(contest: Contest, paths: Sequence[Path]) -> Best | None:
    kept = [_read(path) for path in paths if oof_path(path).is_file()]
    if not kept:
        return None
    alike = [one for one in kept if one.suits(kept[-1])]
    y, values, groups = _arrays(alike)
    found = select(Trials(y, values, groups), get_metric(contest.metric))
    return Best(contest, alike[found.best].file, len(alike), found, len(paths) - len(alike))


def _arrays(kept: Sequence[_Kept]) -> tuple[IntArray, FloatArray, IntArray]:
    first, columns = kept[0], kept[0].columns
    y = pd.Index([name.removeprefix("p_") for name in columns]).get_indexer(pd.Index(first.labels)).astype(np.int64)
    values = np.stack([one.frame[columns].to_numpy(np.float64) for one in kept])
    return y, values, joined(*(one.frame["group"].to_numpy() for one in kept))


def _read(submission: Path) -> _Kept:
    path = oof_path(submission)
    frame = read_numbers(path, ["image_id", "label", "group"], FORM, "p_")
    check_ids(frame["image_id"], path)
    kept = _Kept(submission.name, frame.set_index("image_id").sort_index())
    known = {name.removeprefix("p_") for name in kept.columns}
    finite, labelled = np.isfinite(kept.frame[kept.columns].to_numpy()).all(), frame["label"].isin(known).all()
    if len(known) < 2 or not (finite and labelled):
        raise InputError(f"{path} lacks a probability, or a label's column. {FORM} Delete it to have the rest.")
    return kept
