"""CSVs as people, spreadsheets and broken disks spoil them; seeded."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from random import Random
from typing import Any

from tests.mutations import ODD_TEXT, odd_bytes, typo

Table = list[list[str]]
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252", "cp437", "utf-7")


def odd_csv(rng: Random, content: bytes) -> bytes:
    """Return a CSV spoiled one to three times, by cell, row, column, character, byte or encoding."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice((_by_table, _by_table, _by_table, _by_table, _by_character, odd_bytes, _by_encoding))
        content = change(rng, content)
    return content


def _by_encoding(rng: Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    if rng.random() < 0.4:
        return text.encode(rng.choice(ENCODINGS), "replace")
    end = rng.choice(("\r\n", "\r", "\n\n", "\n\r", "\u2028", "\x0b", ";\n", ",\n", " \n"))
    return text.replace("\n", end, rng.choice((1, -1))).encode()


def _by_character(rng: Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    at = rng.randrange(len(text) + 1)
    odd = rng.choice((*ODD_TEXT, '"', '"', ",", "\n", "\r", ";"))
    return (text[:at] + odd + text[at + rng.choice((0, 1)) :]).encode()


def _by_table(rng: Random, content: bytes) -> bytes:
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8", "replace"))))
    except csv.Error:
        return content
    if len(rows) < 2 or not all(rows):
        return content
    changes: tuple[Callable[[Random, Table], None], ...] = (
        _cell,
        _cell,
        _cell,
        _some_rows,
        _some_rows,
        _column,
        _header,
    )
    rng.choice(changes)(rng, rows)
    text = io.StringIO()
    delimiter, quoted = rng.choice("," * 20 + ";\t"), rng.random() < 0.3
    plain = csv.writer(text, lineterminator="\n", delimiter=delimiter)
    everywhere = csv.writer(text, lineterminator="\n", delimiter=delimiter, quoting=csv.QUOTE_ALL)
    (everywhere if quoted else plain).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(rng: Random, rows: Table) -> None:
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows[1:])
        at = rng.randrange(len(row))
        other = rng.choice(rows[1:])
        row[at] = rng.choice(
            (*rng.sample(ODD_TEXT, 4), other[-1], other[0], f" {row[at]}", f"0{row[at]}", row[at] + ".0")
        )


def _some_rows(rng: Random, rows: Table) -> None:
    at, other = rng.randrange(1, len(rows)), rng.randrange(len(rows))
    changes: tuple[Callable[[], Any], ...] = (
        lambda: rows.pop(at),
        lambda: rows.insert(at, list(rows[other])),
        lambda: rows.append(["" for _ in rows[0]]),
        lambda: rows.insert(at, []),
        lambda: rows[at].append(rng.choice(ODD_TEXT)),
        lambda: rows[at].pop(),
        lambda: rows.reverse(),
        lambda: rows.__delitem__(slice(at, None)),
        lambda: rows.extend([list(row) for row in rows[1:]]),
        lambda: rng.shuffle(rows),
    )
    rng.choice(changes)()


def _column(rng: Random, rows: Table) -> None:
    at = rng.randrange(len(rows[0]))
    kind, odd = rng.randrange(5), rng.choice(ODD_TEXT)
    for number, row in enumerate(rows):
        if at < len(row):
            if kind == 0:
                row.pop(at)
            elif kind == 1:
                row.insert(at, row[at])
            elif kind == 2:
                row.append(row.pop(at))
            elif number:
                row[at] = odd if kind == 3 else f"{row[at]}{odd}"


def _header(rng: Random, rows: Table) -> None:
    at = rng.randrange(len(rows[0]))
    if rng.random() < 0.2:
        rows.pop(0)
    else:
        rows[0][at] = rng.choice(
            (typo(rng, rows[0][at]), rng.choice(rows[0]), rng.choice(ODD_TEXT), rows[0][at].upper())
        )
