"""A case of the fuzzing, and how it is made smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

TRIALS = 400  # to make a case smaller


@dataclass(frozen=True)
class Case:
    """Files to be written over the world's own, by their path below it, and the commands to be run one by one."""

    name: str
    files: dict[str, bytes]
    commands: tuple[tuple[str, ...], ...]


def smaller(case: Case, same: Callable[[Case], bool]) -> Case:
    """Return the case with as much of its files and arguments taken away as leaves it the `same`."""
    trials = iter(range(TRIALS))
    for path, content in case.files.items():
        case = _smallest(content.splitlines(keepends=True), partial(_with_file, case, path), same, trials)
        single = [bytes([byte]) for byte in case.files[path]]
        case = _smallest(single, partial(_with_file, case, path), same, trials)
    for at in range(len(case.commands)):
        case = _smallest(case.commands[at], partial(_with_command, case, at), same, trials)
        for number, argument in enumerate(case.commands[at]):
            case = _smallest(argument, partial(_with_argument, case, at, number), same, trials)
    return case


def _smallest(
    parts: Sequence[Any], made_of: Callable[[list[Any]], Case], same: Callable[[Case], bool], trials: Iterator[int]
) -> Case:
    """Take away ever smaller runs of parts as long as the case stays the same and trials are left."""
    left, size = list(parts), len(parts) // 2
    while size:
        at = 0
        while at < len(left) and next(trials, None) is not None:
            fewer = left[:at] + left[at + size :]
            left, at = (fewer, at) if same(made_of(fewer)) else (left, at + size)
        size //= 2
    return made_of(left)


def _with_file(case: Case, path: str, parts: list[bytes]) -> Case:
    return replace(case, files=case.files | {path: b"".join(parts)})


def _with_command(case: Case, at: int, command: list[str]) -> Case:
    return replace(case, commands=(*case.commands[:at], tuple(command), *case.commands[at + 1 :]))


def _with_argument(case: Case, at: int, number: int, letters: list[str]) -> Case:
    command = case.commands[at]
    return _with_command(case, at, [*command[:number], "".join(letters), *command[number + 1 :]])
