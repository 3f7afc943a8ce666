"""The gallery of near-copy groups, to check before the folds are trusted."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ripik.console import say
from ripik.data.competition import Competition, fingerprint
from ripik.data.image_check import open_competition
from ripik.diagnostics.audit import audit as audit_splits
from ripik.diagnostics.photo_page import Picture, Row, Section, write_gallery
from ripik.settings import Settings
from ripik.splits.groups import conflicting, read_groups
from ripik.splits.run import make_folds
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.storage.up_to_date import Artifact

GROUPS, PICTURES = 20, 9  # shown in a section, and of a group
DIFFERENT = "Copies with different labels", "One photo cannot have two labels."
SHARED = (
    "In train and in test",
    "The CV never trains on a copy of what it scores; the test score will include such copies.",
)
LARGEST = "Largest", "Many copies of one photo, or different photos grouped by mistake?"
UNCERTAIN = (
    "Least certain",
    "The groups with the weakest similarity; if they are wrong, raise folds.near_copy_threshold.",
)


def folds(settings: Settings, *, audit: bool = False) -> None:
    """Write the groups and the folds, and a page of the groups to look at: the step `folds`.

    audit: also show what other splits would have claimed. Raises as `make_folds` and `audit_splits` do.
    """
    if audit:
        audit_splits(settings)
    else:
        make_folds(settings)
    competition = open_competition(settings)
    make_groups_page(settings, competition, read_groups(settings, competition))


def make_groups_page(settings: Settings, competition: Competition, groups: pd.DataFrame) -> Path:
    """Write `near-copies.html` unless it shows the present images, groups and labels; return its path.

    groups: the frame of `groups.csv`.
    """
    path = layout_of(settings).groups_page
    inputs = {
        "images": [fingerprint(competition, split) for split in ("train", "test")],
        "groups": artifacts.digest(groups.to_csv(index=False)),
        "labels": artifacts.digest(competition.train["training_label"].tolist()),
        **competition.rule_inputs("train", "test"),
    }
    made = Artifact.of(path, inputs)
    if not made.is_fresh:
        with made.making():
            write_groups_page(path, groups, competition)
        say(f"folds: wrote {path}, a page of the near copies to check")
    return path


def write_groups_page(path: Path, groups: pd.DataFrame, competition: Competition) -> None:
    """Write the page: groups with several labels, groups in both splits, the largest, and the least certain ones.

    groups: the frame of `groups.csv`. A group is as certain as its least similar image is to its best match.
    """
    rows = _with_photos(groups, competition)
    several = rows[rows.groupby("group")["group"].transform("size") > 1]
    sizes = several.groupby("group").size().sort_values(ascending=False, kind="stable")
    least = several.groupby("group")["similarity"].min().sort_values(kind="stable")
    shared = several.groupby("group")["split"].nunique()
    chosen = {
        DIFFERENT: conflicting(groups, competition),
        SHARED: shared.index[shared > 1].tolist(),
        LARGEST: sizes.index.tolist(),
        UNCERTAIN: least.index.tolist(),
    }
    sections = [_section(*told, several, which) for told, which in chosen.items()]
    intro = (
        f"{len(rows)} images in {rows['group'].nunique()} groups; {len(sizes)} groups have several images. Under each "
        "photo: its id, label and similarity to its best match (1: the same file)."
    )
    write_gallery(path, "Near copies", intro, [section for section in sections if section.rows], rule=competition.rule)


def _with_photos(groups: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    """Return the frame with each image's path, and its label as corrected, as text (empty in test)."""
    train = competition.train.assign(split="train", label=competition.train["training_label"].astype(str))
    test = competition.test.assign(split="test", label="")
    both = pd.concat([frame[["split", "image_id", "path", "label"]] for frame in (train, test)])
    return groups.merge(both, on=["split", "image_id"], validate="one_to_one")


def _section(title: str, text: str, rows: pd.DataFrame, numbers: Sequence[int]) -> Section:
    shown = [_row(number, rows[rows["group"] == number]) for number in numbers[:GROUPS]]
    return Section(title, text, shown, total=len(numbers))


def _row(number: int, images: pd.DataFrame) -> Row:
    usual = images.loc[images["label"] != "", "label"].mode()
    shown = images.head(PICTURES)
    pictures = [
        Picture(
            path,
            f"{image_id} ({f'label {label}' if label else 'test'})",
            f"similarity {similarity:.2f}",
            alarm=label not in ("", *usual),
        )
        for path, image_id, label, similarity in zip(
            shown["path"], shown["image_id"], shown["label"], shown["similarity"], strict=True
        )
    ]
    more = f", the first {PICTURES} shown" if len(images) > PICTURES else ""
    return Row(f"group {number}: {len(images)} images{more}", pictures)
