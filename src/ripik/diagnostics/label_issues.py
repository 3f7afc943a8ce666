"""The step `analyse labels`: training images whose label is likely wrong, as a table and a page to look at.

Near copies with different labels come first: at least one of them is wrong. Then come those that the out-of-fold
probabilities contradict, found by confident learning (Northcutt, Jiang and Chuang 2021, in the library cleanlab).
Nothing is relabelled; `competition.corrections` is where its user does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.console import say, table, warn
from ripik.data.competition import fingerprint
from ripik.diagnostics.photo_page import Picture, Row, Section, write_gallery
from ripik.diagnostics.suspects import COPIES, MODEL, find_suspects
from ripik.ensemble.finished import finished_blend
from ripik.errors import InputError
from ripik.settings import Label, Settings
from ripik.splits.groups import groups_of
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.targets import make
from ripik.training.jobs import told_unfinished, unfinished
from ripik.training.oof import written_oof

COLUMNS = [
    *("image_id", "filename", "label", "suggested", "p_label", "p_suggested", "quality", "group", "reason", "copies")
]
SHOWN, BESIDE, LISTED = 60, 5, 10  # photos a section of the page, copies beside each, rows in the terminal
MEANING = {
    COPIES: "Near copies of one photo have different labels, so at least one is wrong. Suggested is the label of most "
    "copies, or in a tie the more probable one. If these are different photos, the grouping is wrong instead.",
    MODEL: "Models that did not train on the photo give its label little probability. Many of these are hard or show "
    "two things at once, and are labelled correctly: look before correcting. The least probable labels come first.",
}


@dataclass(frozen=True)
class _Evidence:
    """What is known of the training images: probabilities (n, C) out of fold, and near-copy groups (n,)."""

    run: Run
    sources: list[Path]
    probabilities: np.ndarray
    groups: np.ndarray

    @property
    def source(self) -> str:
        """Whose the probabilities are, in words."""
        names = [path.parent.name for path in self.sources]
        if names == ["ensemble"]:
            return "the blend"
        return f"the mean of {', '.join(names)}" if len(names) > 1 else f"the variant {names[0]}"

    def others(self, row: int) -> np.ndarray:
        """Return the rows of the other copies of a row's photo."""
        rows = np.flatnonzero(self.groups == self.groups[row])
        return rows[rows != row]


def label_issues(settings: Settings) -> Path:
    """Make the table and page of `find_label_issues`, print what was found, and return the path of the table.

    Warns of variants with a training that is missing or was made with other settings or data.
    """
    run = Run.open(settings)
    if names := unfinished(run):
        warn(f"labels: {told_unfinished(names)}")
    path, found = find_label_issues(run)
    _print_issues(_evidence(run), found)
    say(f"labels: wrote {path} and {path.with_suffix('.html')}. Nothing was relabelled. {_how_to_correct(run)}")
    return path


def find_label_issues(run: Run) -> tuple[Path, pd.DataFrame]:
    """Write `analysis/labels.csv` and the page `analysis/labels.html`; return the path of the table, and the table.

    Probabilities are those of `ensemble/oof.csv`, or else the mean of the variants' `oof.csv` that are there. One row
    per suspected image, the most suspicious first: image_id, filename, label, suggested, p_label and p_suggested (mean
    over the photo's copies), quality (cleanlab's score in [0, 1], low is bad), group, reason (`copies disagree` or
    `model disagrees`), copies (ids of the other images of the group, with spaces between); the returned one also has
    `row`, the place in train.csv.
    Raises InputError when there are no out-of-fold predictions, or they are not those of the present folds and labels.
    """
    evidence = _evidence(run)
    path = run.layout.analysis / "labels.csv"
    page = path.with_suffix(".html")
    inputs = {
        "oof": {source.parent.name: artifacts.file_digest(source) for source in evidence.sources},
        "labels": artifacts.digest(run.competition.train["training_label"].tolist()),
        "groups": artifacts.digest(evidence.groups.tolist()),
        "images": fingerprint(run.competition, "train"),
        **run.competition.rule_inputs("train"),
        "cleanlab": version("cleanlab"),
    }
    with artifacts.making(artifacts.meta_beside(path), inputs, [path, page]):
        suspects = find_suspects(run.training_targets(), evidence.probabilities, evidence.groups)
        found = _named(evidence, suspects)
        artifacts.write_csv(path, found[COLUMNS])
        _write_page(evidence, page, found)
    return path, found


def _evidence(run: Run) -> _Evidence:
    blend = run.layout.ensemble / "oof.csv"
    members = [run.layout.variant(name) / "oof.csv" for name in run.settings.variants]
    sources = [path for path in ([blend] if finished_blend(run) else members) if path.exists()]
    if not sources:
        raise InputError(
            f"there is no oof.csv below {run.layout.run}. Run `make train`, then `make analyse TOPIC=labels`."
        )
    mean = np.mean([written_oof(path, run) for path in sources], axis=0)
    return _Evidence(run, sources, mean, _groups(run))


def _groups(run: Run) -> np.ndarray:
    """Return every training row's near-copy group: of groups.csv, or of folds.csv where no other rule made them."""
    if run.layout.groups.exists():
        return groups_of(run.groups, "train")
    if "group" in run.competition.train:
        return np.arange(len(run.folds))
    return run.folds["group"].to_numpy()


def _named(evidence: _Evidence, suspects: pd.DataFrame) -> pd.DataFrame:
    """Return the suspects as labels.csv has them: ids, names and labels, as corrected; and their `row`."""
    run, rows = evidence.run, suspects["row"]
    train, classes = run.competition.train, run.competition.classes
    folders = [run.layout.input / name for name in run.settings.competition.image_folders("train")]
    return suspects.assign(
        image_id=train["image_id"].iloc[rows].to_numpy(),
        filename=[_name_in(folders, path) for path in train["path"].iloc[rows]],
        label=[classes[index] for index in suspects["label"]],
        suggested=[classes[index] for index in suspects["suggested"]],
        group=evidence.groups[rows],
        copies=[" ".join(train["image_id"].iloc[evidence.others(row)]) for row in rows],
    )


def _name_in(folders: Sequence[Path], path: Path) -> str:
    return next(path.relative_to(folder).as_posix() for folder in folders if path.is_relative_to(folder))


def _write_page(evidence: _Evidence, page: Path, found: pd.DataFrame) -> None:
    sections = []
    for reason, meaning in MEANING.items():
        photos = found[found["reason"] == reason].groupby("group", sort=False)
        rows = [_row(evidence, same) for _, same in list(photos)[:SHOWN]]
        sections.append(Section(reason.capitalize(), meaning, rows, total=len(photos)))
    how = evidence.run.settings.competition
    corrected = (
        f" Labels include the corrections of {how.corrections}." if evidence.run.competition.is_corrected.any() else ""
    )
    intro = (
        f"{len(found)} of {len(evidence.groups)} training images have a label that their copies or the models "
        f"contradict. Probabilities are out of fold, from {evidence.source}. Copies of a photo are side by side; where "
        f"only some of them are suspected, those are marked.{corrected}\n"
        f"Nothing was relabelled. {_how_to_correct(evidence.run)}"
    )
    title = f"Labels of {evidence.run.settings.run} to look at"
    write_gallery(page, title, intro, sections, rule=evidence.run.competition.rule)


def _row(evidence: _Evidence, same: pd.DataFrame) -> Row:
    """Return a photo's row of the page: its suspects, then its other copies."""
    rows, suggested = same["row"].tolist(), same["suggested"].iloc[0]
    everyone = [*rows, *(row for row in evidence.others(rows[0]) if row not in rows)]
    hidden = len(everyone) - BESIDE - 1
    mixed = len(rows) < len(everyone)  # a mark on all of them would tell nothing
    pictures = [_picture(evidence, row, suggested, alarm=mixed and row in rows) for row in everyone[: BESIDE + 1]]
    given = ", ".join(dict.fromkeys(str(label) for label in same["label"]))
    title = f"labelled {given}, suggested {suggested}"
    return Row(f"{title} ({hidden} more copies are not shown)" if hidden > 0 else title, pictures)


def _picture(evidence: _Evidence, row: int, suggested: Label, *, alarm: bool) -> Picture:
    competition, probabilities = evidence.run.competition, evidence.probabilities[row]
    image_id, path, label = (competition.train[column].iloc[row] for column in ("image_id", "path", "training_label"))
    chance = dict(zip(competition.classes, probabilities, strict=True))
    labels = dict.fromkeys([label, suggested, competition.classes[int(probabilities.argmax())]])
    note = "\n".join(f"{'or' if number else 'label'} {one}: p {chance[one]:.2f}" for number, one in enumerate(labels))
    return Picture(path, image_id, note, alarm)


def _print_issues(evidence: _Evidence, found: pd.DataFrame) -> None:
    photos = found.drop_duplicates(["group", "reason"])
    cells = photos.head(LISTED).assign(
        copies=[str(len(evidence.others(row))) for row in photos["row"].head(LISTED)],
        p_label=photos["p_label"].map("{:.3f}".format),
        p_suggested=photos["p_suggested"].map("{:.3f}".format),
        reason=photos["reason"].str.split().str[0],
    )
    if len(cells):
        names = ["image_id", "copies", "label", "suggested", "p_label", "p_suggested", "reason"]
        title = f"the first {len(cells)} of {len(photos)} photos with a suspected label, by {evidence.source}"
        heads = ["image", "copies", "label", "suggested", "p(label)", "p(suggested)", "who disagrees"]
        table(title, heads, cells[names].astype(str).to_numpy().tolist())
    by_copies = (found["reason"] == COPIES).sum()
    say(
        f"labels: of {len(evidence.groups)} images {by_copies} disagree with their copies, and "
        f"{len(found) - by_copies} with {evidence.source}"
    )


def _how_to_correct(run: Run) -> str:
    place = run.settings.competition.corrections
    named = "" if place else ' set competition.corrections = "corrections.csv",'
    return (
        f"To correct some, write {place or 'corrections.csv'} with the columns image_id and label, a line for every "
        f"image and what its label should be,{named} and run `{make('folds train ensemble')}` again."
    )
