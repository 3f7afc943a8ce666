"""What a search may look over: the keys, and the ranges and choices as they stand in a configuration."""

from typing import Any

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


def choices_problem(where: list[Any]) -> str:
    """Return what is wrong with a list of choices; empty where nothing is."""
    if len(where) < 2 or len({str(choice) for choice in where}) < len(where):
        return "needs two choices at least, all different"
    odd = [choice for choice in where if not isinstance(choice, int | float | str)]
    return f"has the choice {odd[0]!r}, which is neither a number nor a text nor true or false" if odd else ""


def range_problem(key: str, where: Any) -> str:
    """Return what is wrong with a key's range; empty where nothing is."""
    if key in OF_STORES:
        return "needs a list of choices: for each of them photos, or the outputs of frozen layers, are stored once"
    if not isinstance(where, dict) or not {"low", "high"} <= set(where) <= {"low", "high", "log"}:
        return f"= {where!r}: {FORM}"
    low, high, log = where["low"], where["high"], where.get("log", False)
    if not (_is_number(low) and _is_number(high) and isinstance(log, bool)):
        return f"= {where!r}: {FORM}"
    if not low < high:
        return f"is empty: low = {low} must be below high = {high}"
    return f"has no logarithm from {low} on: low must be above 0, or log = false" if log and low <= 0 else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
