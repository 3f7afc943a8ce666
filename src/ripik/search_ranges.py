"""The settings of a search: the keys it may look over, with their ranges and choices."""

import sys
from typing import Any

from pydantic import Field, model_validator

from ripik.errors import nearest
from ripik.sections import Count, Section, Seed
from ripik.variants import SharedSettings

NOT_SEARCHED = (  # they change nothing, or what trials share, or are lists themselves
    *("weights", "seed", "seeds", "refit", "distribute", "predict_sizes"),
)
SEARCHED = [key for key in SharedSettings.model_fields if key not in NOT_SEARCHED]
FORM = "write a list of choices, or { low = …, high = …, log = true or false }"


OF_STORES = (
    "backbone",
    "image_size",
    "crop_from",
    "precision",
)  # for each choice, all photos are stored or passed once
READ_WHERE_SET = ("live", "inner_split", "with_original")  # which of the stores are read depends on whether these are 0


def choices_problem(where: list[Any]) -> str:
    """Return what is wrong with a list of choices; empty where nothing is."""
    if len(where) < 2 or len({str(choice) for choice in where}) < len(where):
        return "needs at least two choices, all different"
    odd = [choice for choice in where if not isinstance(choice, int | float | str)]
    return f"has the choice {odd[0]!r}, which is not a number, a string, true or false" if odd else ""


def range_problem(key: str, where: Any) -> str:
    """Return what is wrong with a key's range; empty where nothing is."""
    if key in OF_STORES:
        return "needs a list of choices, not a range: photos or outputs of frozen layers are stored for each choice"
    if not isinstance(where, dict) or not {"low", "high"} <= set(where) <= {"low", "high", "log"}:
        return f"= {where!r}: {FORM}"
    if kind_of(key) not in (int, float):
        return "is not a number: it needs a list of choices"
    low, high, log = where["low"], where["high"], where.get("log", False)
    if not (_is_number(low) and _is_number(high) and isinstance(log, bool)):
        return f"= {where!r}: {FORM}"
    if kind_of(key) is int and not (float(low).is_integer() and float(high).is_integer()):
        return f"takes whole numbers, but {low if not float(low).is_integer() else high} is not one"
    if not low < high:
        return f"is empty: low = {low} must be below high = {high}"
    return f"cannot be logarithmic from low = {low}: set low above 0, or log = false" if log and low <= 0 else ""


def kind_of(key: str) -> Any:
    """Return the type of a key's values: int and float, of which a range is searched, or another one."""
    return SharedSettings.model_fields[key].annotation


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


class TuneSettings(Section):
    """Where `tune` searches, and how; trials of one variant, whose settings these are."""

    ranges: dict[str, Any] = Field(default={})  # by key of [training], [network], [finetuning]; empty: the usual ones
    at_once: Count = 8  # trials of a round, which are proposed together; the results of a round decide on the next
    pruning: bool = True  # whether a trial ends at the first fold after which it is worse than the median
    seed: Seed = 0

    @model_validator(mode="after")
    def _ranges_can_be_searched(self) -> "TuneSettings":
        for key, where in self.ranges.items():
            if key in NOT_SEARCHED:
                raise ValueError(f"tune.ranges.{key}: {key} cannot be searched")
            if key not in SEARCHED:
                raise ValueError(f"unknown key tune.ranges.{key}{nearest(key, SEARCHED)}")
            problem = choices_problem(where) if isinstance(where, list) else range_problem(key, where)
            if problem:
                raise ValueError(f"tune.ranges.{key} {problem}")
        return self
