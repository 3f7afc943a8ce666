"""The best CV of all submissions to a competition was selected: its score, corrected for that, by their nested OOF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.groups import joined
from ripik.analysis.metrics import Metric, get_metric
from ripik.analysis.selection import Selection, Trials, select
from ripik.analysis.soft_labels import share_columns
from ripik.analysis.submission_record import Contest, contest_of, oof_path, record_of
from ripik.analysis.submissions import runs
from ripik.analysis.truth import OF_SHARES, Truth
from ripik.data.csv_tables import check_ids
from ripik.data.number_tables import read_numbers
from ripik.errors import InputError

FORM = "It has image_id, fold, label, group and one p_<label> per class, as `make ensemble` writes it."
AGREE = 1e-4  # relative, of a score and the recorded one: predictions are kept with nine digits


@dataclass(frozen=True)
class Best:
    """The best of the submissions to a competition that keep their OOF: its file, and its score corrected for that.

    left_out: how many were not looked at: those that keep no OOF, or a damaged one, or one of another score than is
    recorded (of an edited file, or of soft labels without their shares), or of other images or labels.
    """

    contest: Contest
    file: str
    submissions: int
    found: Selection
    left_out: int

    def sentence(self) -> str:
        """Return what there is to say."""
        naive, corrected = self.found.naive.value, self.found.corrected
        more = (
            f"; {self.left_out} left out, as they have no complete and unchanged OOF predictions of these images"
            if self.left_out
            else ""
        )
        if self.submissions == 1:
            return f"{self.contest}: one submission with its predictions, {naive:.4f}{more}"
        interval = f" ({corrected.low:.3f}–{corrected.high:.3f})"
        return (
            f"{self.contest}: best of {self.submissions}: {naive:.4f} ({self.file}), corrected for the selection "
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

    def truth(self, metric: str) -> Truth:
        """Return what the metric scores by: class indices (n,), or where labels are soft, for log loss, shares."""
        classes = [name.removeprefix("p_") for name in self.columns]
        names = share_columns(classes)
        if metric != OF_SHARES or not set(names) <= set(self.frame.columns):
            return pd.Index(classes).get_indexer(pd.Index(self.labels)).astype(np.int64)
        shares = self.frame[names].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        return shares / shares.sum(axis=1, keepdims=True)

    def suits(self, other: _Kept, metric: str) -> bool:
        """Whether both are of the same images, labels and classes."""
        alike = self.frame.index.equals(other.frame.index) and self.columns == other.columns
        return alike and self.labels == other.labels and np.array_equal(self.truth(metric), other.truth(metric))

    def scores_as(self, record: Mapping[str, Any], metric: Metric) -> bool:
        """Whether the predictions have the score that is recorded of them, where one is.

        Edited ones have another, and those of soft labels whose shares are not kept.
        """
        recorded = record.get("cv")
        if not isinstance(recorded, int | float):
            return True
        values = self.frame[self.columns].to_numpy(np.float64)
        return bool(np.isclose(metric.function(self.truth(metric.name), values), recorded, rtol=AGREE, atol=AGREE**2))


def best_submissions(submissions: str | Path) -> list[Best]:
    """Return the best submission of every competition in the folder that holds `log.csv`, oldest competition first.

    Of each competition those are compared that were scored on the images of the newest one. Raises InputError as
    `runs` does.
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
    metric = get_metric(contest.metric)
    kept = [one for path in paths if (one := _read_if_whole(path, metric)) is not None]
    if not kept:
        return None
    alike = [one for one in kept if one.suits(kept[-1], metric.name)]
    values = np.stack([one.frame[one.columns].to_numpy(np.float64) for one in alike])
    groups = joined(*(one.frame["group"].to_numpy() for one in alike))
    found = select(Trials(alike[0].truth(metric.name), values, groups), metric)
    return Best(contest, alike[found.best].file, len(alike), found, len(paths) - len(alike))


def _read_if_whole(submission: Path, metric: Metric) -> _Kept | None:
    """Return what a submission keeps; None where that is nothing, damaged, or of another score than is recorded."""
    if not oof_path(submission).is_file():
        return None
    try:
        kept = _read(submission)
        return kept if kept.scores_as(record_of(submission), metric) else None
    except InputError:
        return None


def _read(submission: Path) -> _Kept:
    path = oof_path(submission)
    frame = read_numbers(path, ["image_id", "label", "group"], FORM, "p_")
    check_ids(frame["image_id"], path)
    kept = _Kept(submission.name, frame.set_index("image_id").sort_index())
    known = {name.removeprefix("p_") for name in kept.columns}
    finite, labelled = np.isfinite(kept.frame[kept.columns].to_numpy()).all(), frame["label"].isin(known).all()
    if len(known) < 2 or not (finite and labelled and np.isfinite(kept.truth(OF_SHARES)).all()):
        raise InputError(
            f"{path} lacks a probability, or a label's column. {FORM} Delete it to get the other submissions."
        )
    return kept
