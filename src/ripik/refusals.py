"""What is wrong with a configuration, by its keys as the user wrote them."""

import datetime
import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import ValidationError

from ripik.errors import nearest
from ripik.settings import LimitSettings, Section

KINDS = ("literal", "dict[", "a text", "a list")  # what pydantic puts into a path for each kind that a value may be of
LONGEST = 100  # characters of a value that are shown


def dates(value: Any, where: str) -> list[str]:
    """Return what is wrong with the dates and times of a table, a list or a value."""
    if isinstance(value, datetime.date | datetime.time):
        return [f"{where} = {value}: no setting is a date or time; if a string is meant, put it in quotes"]
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [problem for key, item in inside for problem in dates(item, f"{where}.{key}" if where else str(key))]


def described(error: ValidationError, section: type[Section], where: str) -> list[str]:
    """Return a text for every mistake that pydantic found in a table; one for a value that fits none of several kinds.

    where: the table's name, or nothing for the whole configuration, whose kind `section` is.
    """
    problems = error.errors()
    return [_describe(problem, section, where) for problem in problems if not _is_told(problem, problems)]


def _is_told(problem: Any, problems: Sequence[Any]) -> bool:
    """Whether another problem tells more of a value that may be of several kinds, or of a list's items."""
    keys, kind = _keys(problem), problem["type"]
    if kind == "literal_error" and isinstance(problem["input"], dict):
        return _is_union(problem)
    if kind == "dict_type":
        return any(_keys(other) == keys and other["type"] == "literal_error" for other in problems)
    return kind == "too_short" and any(_keys(other)[: len(keys)] == keys for other in problems if other is not problem)


def _describe(problem: Any, section: type[Section], where: str) -> str:
    keys = list(_keys(problem))
    dotted = ".".join([where, *keys] if where else keys)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(section, keys[:-1]) + (list(LimitSettings.model_fields) if where == "training" else [])
        return f"unknown key {dotted}{nearest(keys[-1], known)}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if problem["type"] == "literal_error" and _is_union(problem):
        message += ", or a table"
    elif problem["type"] == "literal_error":
        message += _close_to(problem)
    if problem["type"] == "too_short":
        message = "give at least one"
    if problem["type"] == "value_error":
        return f"{where}: {message}" if where else message
    return f"{dotted} = {_short(repr(problem['input']))}: {message[0].lower()}{message[1:]}"


def _close_to(problem: Any) -> str:
    """Return a hint that names the nearest of the texts that the value may be; empty where none is near."""
    hint = nearest(str(problem["input"]), re.findall(r"'([^']*)'", problem["ctx"]["expected"]))
    return hint if "did you mean" in hint else ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _keys(problem: Any) -> tuple[str, ...]:
    return tuple(str(key) for key in problem["loc"] if not str(key).startswith(KINDS))


def _is_union(problem: Any) -> bool:
    return any(str(key).startswith(KINDS) for key in problem["loc"])


def _known_keys(section: type[Section], parents: list[str]) -> list[str]:
    for parent in parents:
        annotation = section.model_fields[parent].annotation
        candidates = [annotation, *get_args(annotation)]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, Section))
    return [key for key in section.model_fields if key != "name"]
