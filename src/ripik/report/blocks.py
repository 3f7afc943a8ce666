"""What a page of the report is made of: sections of texts, tables, charts, photos and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pandas as pd

from ripik.report.charts.svg import Chart
from ripik.report.charts.words import number


@dataclass(frozen=True)
class Text:
    """A paragraph; `notable` ones stand out."""

    kind: ClassVar[str] = "text"
    text: str
    notable: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column heads its row. `marked`: rows that stand out; `wrapped`: long cells break."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Sequence[int] = ()
    wrapped: bool = False


@dataclass(frozen=True)
class Charts:
    """Charts side by side where there is room."""

    kind: ClassVar[str] = "charts"
    charts: Sequence[Chart]


@dataclass(frozen=True)
class View:
    """One picture of a photo: what it shows in words, and its data URI (empty: it cannot be read)."""

    alt: str
    uri: str
    caption: str = ""


@dataclass(frozen=True)
class Tile:
    """A photo, what else is shown of it (Grad-CAM), its caption and a smaller note."""

    views: Sequence[View]
    caption: str
    note: str = ""


@dataclass(frozen=True)
class Photos:
    """Photos that belong together; `side` is the width of a picture in CSS pixels."""

    kind: ClassVar[str] = "photos"
    title: str
    text: str
    tiles: Sequence[Tile]
    side: int


@dataclass(frozen=True)
class Cell:
    """Images of one label with one predicted class: their number, share of the label's images, and some photos."""

    anchor: str
    count: int
    share: float
    title: str
    photos: Photos | None


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix: a row a label, a column a predicted class; a cell leads to its photos."""

    kind: ClassVar[str] = "matrix"
    caption: str
    classes: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Listing:
    """Text kept as it is, folded away under a title."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str


@dataclass(frozen=True)
class Beside:
    """Charts and tables side by side where there is room."""

    kind: ClassVar[str] = "beside"
    blocks: Sequence[Charts | Table]


Block = Text | Table | Charts | Photos | Matrix | Listing | Beside


@dataclass(frozen=True)
class Section:
    """A heading, its anchor, and its blocks."""

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def drawn(*charts: Chart | None) -> list[Charts]:
    """Return the charts that make sense, as a block; nothing where none does."""
    kept = [chart for chart in charts if chart is not None]
    return [Charts(kept)] if kept else []


def numbers(caption: str, frame: pd.DataFrame, digits: int = 4, corner: str = "") -> Table:
    """Return a table of numbers; the frame's index heads the rows, `corner` is its title."""
    values = frame.to_numpy(dtype="float64")
    rows = [[str(name), *(number(each, digits) for each in row)] for name, row in zip(frame.index, values, strict=True)]
    return Table(caption, [corner, *map(str, frame.columns)], rows)
