"""A configuration as it is guessed: values with the reason of each, and questions that the files leave open."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ripik.errors import InputError
from ripik.settings import CompetitionSettings

ASKED = "ASKED"  # what marks a comment on what the files do not tell


@dataclass
class Guess:
    """Settings of [competition], why each was chosen, and further notes; answers: what the user set."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seen: list[list[str]] = field(default_factory=list)  # rows of the table: what, what it is, why

    def take(self, key: str, value: Any, why: str, what: str = "") -> Any:
        """Take a value, or the user's own, and return it; `what`: what the table calls it."""
        if key in self.answers:
            value, why = self.answers[key], "set by you"
        self.values[key], self.reasons[key] = value, why
        self.seen.append([what or key, shown(value), why])
        return value

    def take_other_answers(self) -> None:
        """Take what the user set beside that which was guessed."""
        for key, value in self.answers.items():
            if key not in self.values:
                self.take(key, value, "")

    def tell(self, what: str, found: str, why: str = "") -> None:
        """Add a row to the table."""
        self.seen.append([what, found, why])

    def choose(self, key: str, question: str, options: Mapping[Any, str]) -> Any:
        """Return the one of several values that may be meant: the user's own, or what a terminal answers.

        options: values with what speaks for each. Raises InputError, which names all readings, where nobody can answer.
        """
        if key in self.answers:
            return self.answers[key]
        if len(options) == 1:
            return next(iter(options))
        if not sys.stdin.isatty():
            ways = "; or ".join(f"{key}={shown(value)}: {why}" for value, why in options.items())
            raise InputError(
                f"{question} can be read in {len(options)} ways: {ways}. Choose one with --set competition.<key>=…."
            )
        try:
            return _asked(question, options)
        except EOFError:
            raise InputError(f"{question}: no answer. Choose one with --set competition.{key}=….") from None

    def differing(self) -> dict[str, Any]:
        """Return the values that are not the defaults, in the order of the settings."""
        known = CompetitionSettings.model_fields
        return {key: self.values[key] for key in known if key in self.values and self.values[key] != known[key].default}


def _asked(question: str, options: Mapping[Any, str]) -> Any:
    values = list(options)
    lines = [f"  {number}  {shown(value)}: {options[value]}" for number, value in enumerate(values, 1)]
    while True:
        told = input("\n".join([f"{question}:", *lines, f"1–{len(values)}: "])).strip()
        if told.isdigit() and 1 <= int(told) <= len(values):
            return values[int(told) - 1]


def shown(value: Any) -> str:
    """Return a value as a table shows it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value) if value != "" else "(none)"
