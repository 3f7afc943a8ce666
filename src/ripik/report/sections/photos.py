"""Photos to look at: confident errors, what is least certain, and suspected label errors, with Grad-CAM beside them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ripik import analysis
from ripik.report.album import Album
from ripik.report.blocks import Block, Photos, Section, Text
from ripik.report.charts.words import number
from ripik.report.evidence import Evidence

SHOWN, SIDE = 24, 144
Row = dict[Hashable, Any]


@dataclass(frozen=True)
class Told:
    """The text of a photo: the classes whose heat map is shown, a caption and a note."""

    explain: Sequence[str]
    caption: str
    note: str


@dataclass(frozen=True)
class Shown:
    """A gallery: what is told of each photo, by image id, one of each group; the first of `total` groups."""

    title: str
    text: str
    photos: dict[str, Told]
    total: int

    def requests(self) -> list[tuple[str, str]]:
        """Return the (image id, class) whose heat maps are shown."""
        return [(image_id, label) for image_id, photo in self.photos.items() for label in photo.explain]


def choose(evidence: Evidence, suspects: pd.DataFrame | None) -> list[Shown]:
    """Return the galleries. suspects: the table of `analyse labels`, None where there is none."""
    wrong, unsure = analysis.errors(evidence.focus), analysis.uncertain(evidence.focus)
    found = [
        _shown(
            "Most confident errors",
            "Wrong predictions with the highest confidence: wrong labels, two objects in a photo, or a misleading cue.",
            wrong,
            lambda row: Told([row["predicted"], row["label"]], _verdict(row), _certainty(row)),
        ),
        _shown(
            "Least certain",
            "Photos with the lowest confidence, predicted right or wrong.",
            unsure,
            lambda row: Told([row["predicted"]], _verdict(row), _certainty(row)),
        ),
    ]
    return found + ([_suspected(suspects)] if suspects is not None and len(suspects) else [])


def _verdict(row: Row) -> str:
    corrected = row.get("corrected", row["label"])
    label = row["label"] if corrected == row["label"] else f"{row['label']} (corrected: {corrected})"
    return f"label {label}, predicted {row['predicted']}"


def _certainty(row: Row) -> str:
    own = f"p_{row['label']}"
    return f"{row['image_id']}: p {number(row['confidence'], 2)}, of its label {number(row[own], 2)}"


def _suspected(suspects: pd.DataFrame) -> Shown:
    return _shown(
        "Suspected label errors",
        "Labels that copies of the photo or the models contradict. Many are correct labels of hard photos: check "
        "before correcting.",
        suspects,
        lambda row: Told(
            [str(row["label"]), str(row["suggested"])],
            f"label {row['label']}, suggested {row['suggested']}",
            f"{row['image_id']}: {row['reason']}, p of its label {number(row['p_label'], 2)}",
        ),
    )


def _shown(title: str, text: str, rows: pd.DataFrame, tell: Callable[[Row], Told]) -> Shown:
    photos = rows.drop_duplicates("group")
    shown = {row["image_id"]: tell(row) for row in photos.head(SHOWN).to_dict("records")}
    return Shown(title, text, shown, len(photos))


def gallery(evidence: Evidence, album: Album, galleries: list[Shown]) -> Section:
    """The galleries, each photo with its heat maps where there are some."""
    how = (
        f"Beside each photo: Grad-CAM for a class, by the model of {evidence.explained} that was not trained on it; "
        "bright regions contribute most. One photo of each group of near copies. Click, tap or tab to a photo to "
        "enlarge it."
    )
    blocks: list[Block] = [Text(how if album.maps else "One photo of each group of near copies.")]
    for shown in galleries:
        tiles = [
            album.tile(image_id, photo.caption, photo.note, photo.explain, SIDE)
            for image_id, photo in shown.photos.items()
        ]
        count = f" {len(tiles)} of {shown.total} groups." if shown.total else ""
        blocks.append(Photos(shown.title, shown.text + count, tiles, SIDE))
    return Section("photos", "Photos to look at", blocks)
