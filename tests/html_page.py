"""A page as a tree: what its tests ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


@dataclass
class Node:
    """An element, with its attributes, and its texts and elements in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list[str | Node] = field(default_factory=list)

    def __iter__(self) -> Iterator[Node]:
        """Yield this element and all below it, in the order of the page."""
        yield self
        for part in self.content:
            if isinstance(part, Node):
                yield from part

    def all(self, *tags: str, **attributes: str) -> list[Node]:
        """Return the elements of these tags (none: any) with these attributes (`class_` is one of its classes)."""
        wanted = attributes.pop("class_", "")
        return [
            node
            for node in self
            if (not tags or node.tag in tags)
            and (not wanted or wanted in node.get("class").split())
            and all(node.attributes.get(name) == value for name, value in attributes.items())
        ]

    def get(self, name: str) -> str:
        """Return an attribute; empty where there is none."""
        return self.attributes.get(name, "")

    @property
    def text(self) -> str:
        """All text inside, with single spaces."""
        return " ".join(self._texts().split())

    def _texts(self) -> str:
        return "".join(part if isinstance(part, str) else part._texts() for part in self.content)


class Page(HTMLParser):
    """A page's elements below `root`; what is not well formed stands in `faults`."""

    def __init__(self, source: str | Path) -> None:
        super().__init__()
        self.root = Node("page")
        self.faults: list[str] = []
        self.source = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        self._open = [self.root]
        self.feed(self.source)
        self.close()
        self.faults += [f"<{node.tag}> is not closed" for node in self._open[1:]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.faults += [f"<{tag}> has {name} twice" for name in set(names) if names.count(name) > 1]
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].content.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if len(self._open) > 1 and self._open[-1].tag == tag:
            self._open.pop()
        else:
            self.faults.append(f"</{tag}> closes <{self._open[-1].tag}>")

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)

    def all(self, *tags: str, **attributes: str) -> list[Node]:
        """Return elements as `Node.all` does."""
        return self.root.all(*tags, **attributes)

    def section(self, anchor: str) -> Node:
        """Return the section under the heading with this id; KeyError where there is none."""
        found = self.all("section", **{"aria-labelledby": anchor})
        if not found:
            raise KeyError(anchor)
        return found[0]

    def table(self, column: str, where: str = "") -> dict[str, dict[str, str]]:
        """Return the rows, by their first cell, of the one table (in a section) with this column; cells by column."""
        tables = [table for table in self.tables(where) if column in table[0]]
        assert len(tables) == 1, f"{len(tables)} tables have a column {column!r}"
        columns, rows = tables[0]
        return {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}

    def tables(self, where: str = "") -> list[tuple[list[str], list[list[str]]]]:
        """Return the columns and rows of every table (in a section) but the matrix."""
        found = []
        for table in (self.section(where) if where else self.root).all("table"):
            if "matrix" not in table.get("class").split():
                lines = [[cell.text for cell in row.all("th", "td")] for row in table.all("tr")]
                found.append((lines[0], lines[1:]))
        return found

    def matrix(self) -> list[list[Node]]:
        """Return the cells of the confusion matrix."""
        (table,) = self.all("table", class_="matrix")
        (body,) = table.all("tbody")
        return [row.all("td") for row in body.all("tr")]
