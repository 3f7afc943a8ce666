"""What a terminal shows of a program's output: the codes that `rich` writes, with their colours, as HTML."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

CODE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")
COLOURS = ("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4")
BRIGHT = ("#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc")
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #0d1117; }}
pre {{ margin: 0; padding: 16px; width: max-content; color: #c9d1d9; }}
pre {{ font: 14px/1.35 'DejaVu Sans Mono', 'Liberation Mono', monospace; }}
</style><pre>{}</pre>"""
Cell = tuple[str, str]  # a character and its CSS


@dataclass
class Screen:
    """Lines of cells, and where the next character goes."""

    columns: int
    lines: list[list[Cell]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0
    style: str = ""
    rest: str = ""  # a code whose end has not come yet

    def feed(self, text: str) -> None:
        """Show what a program writes."""
        text, self.rest = self.rest + text, ""
        end = text.rfind("\x1b")
        if end >= 0 and not re.match(r"\x1b\[[?0-9;]*[A-Za-z]", text[end:]):
            text, self.rest = text[:end], text[end:]
        for numbers, code, move, character in CODE.findall(text):
            if character:
                self._put(character)
            elif move:
                self._go(self.row + (move == "\n"))
            else:
                self._obey(code, numbers)

    def text(self, rows: int) -> list[str]:
        """Return the last lines as plain text."""
        return ["".join(character for character, _ in line) for line in self.lines[-rows:]]

    def snapshot(self, rows: int) -> list[list[Cell]]:
        """Return a copy of the last lines."""
        return [list(line) for line in self.lines[-rows:]]

    def _put(self, character: str) -> None:
        if self.column >= self.columns:
            self._go(self.row + 1)
        line = self.lines[self.row]
        line.extend([(" ", "")] * (self.column + 1 - len(line)))
        line[self.column] = (character, self.style)
        self.column += 1

    def _go(self, row: int) -> None:
        self.row, self.column = max(row, 0), 0
        self.lines.extend([] for _ in range(self.row + 1 - len(self.lines)))

    def _obey(self, code: str, numbers: str) -> None:
        if code == "A":
            self.row = max(self.row - int(numbers or 1), 0)
        elif code == "K":
            self.lines[self.row] = [] if numbers == "2" else self.lines[self.row][: self.column]
        elif code == "m":
            self.style = _styled(self.style, [int(number or 0) for number in numbers.split(";")])


def _styled(style: str, numbers: list[int]) -> str:
    for number in numbers:
        if number in (0, 39):
            style = ""
        elif number == 1:
            style += "font-weight:bold;"
        elif 30 <= number <= 37 or 90 <= number <= 97:
            style += f"color:{(COLOURS if number < 90 else BRIGHT)[number % 10]};"
    return style


def page(lines: list[list[Cell]]) -> str:
    """Return lines of cells as an HTML page."""
    return PAGE.format("\n".join("".join(_spans(line)) for line in lines))


def _spans(line: list[Cell]) -> Iterator[str]:
    for style, cells in groupby(line, key=lambda cell: cell[1]):
        text = html.escape("".join(character for character, _ in cells))
        yield f'<span style="{style}">{text}</span>' if style else text
