"""The search space: ranges and choices by key, from the configuration or the defaults of a variant."""

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ripik.errors import InputError
from ripik.names import ALL, HEAD, LOGISTIC
from ripik.refusals import described
from ripik.search_ranges import OF_STORES, READ_WHERE_SET, kind_of
from ripik.settings import Settings
from ripik.variants import Variant

MOST_CHECKED = 300  # combinations
Ranges = dict[str, Any]  # by key: a list of choices, or a table of low, high and log
Values = Mapping[str, Any]


def ranges_of(settings: Settings, variant: Variant) -> Ranges:
    """Return the configuration's ranges, or else the usual ones of the variant.

    Raises InputError where there are none, or a value of theirs would be refused in a configuration.
    """
    ranges = dict(settings.tune.ranges) or usual(variant)
    if not ranges:
        raise InputError(
            f'variants.{variant.name} has solver = "{LOGISTIC}", which chooses its own regularisation: set what to '
            "search in [tune.ranges], for instance image_size = [160, 224]."
        )
    for values in _combinations(ranges):
        _check(settings, variant, values)
    return ranges


def _combinations(ranges: Ranges) -> list[dict[str, Any]]:
    """Return every combination of all ends and choices, or where there are too many, those of every two keys."""
    every = {key: _ends(key, where) for key, where in ranges.items()}
    keys: list[tuple[str, ...]] = [tuple(every)]
    if math.prod(len(ends) for ends in every.values()) > MOST_CHECKED:
        keys = list(itertools.combinations(every, 2))
    return [
        dict(zip(some, values, strict=True))
        for some in keys
        for values in itertools.product(*(every[key] for key in some))
    ]


def _check(settings: Settings, variant: Variant, values: Values) -> None:
    """Raise InputError where these values would be refused, in as few of them as are refused by themselves."""
    try:
        with_values(settings, variant, values)
    except InputError:
        for key, value in values.items():
            with_values(settings, variant, {key: value})
        raise


def usual(variant: Variant) -> Ranges:
    """Return ranges that a head, or a finetuning, is worth searching in; the variant's own values are in them."""
    if variant.solver == LOGISTIC:
        return {}
    rate = variant.learning_rate
    wide = 30.0 if variant.train_from == HEAD else 10.0
    decays = (0.0, 0.01, 0.1, 1.0) if variant.train_from == HEAD else (0.0, 0.01, 0.05)
    found: Ranges = {
        "learning_rate": {"low": rate / wide, "high": rate * wide, "log": True},
        "weight_decay": sorted({*decays, variant.weight_decay}),
        "label_smoothing": {"low": 0.0, "high": max(0.2, variant.label_smoothing)},
    }
    if variant.train_from == HEAD:
        found["dropout"] = {"low": 0.0, "high": max(0.6, variant.dropout)}
        found["batch_size"] = sorted({32, 64, 128, variant.batch_size})
    elif variant.train_from == ALL:
        found["rate_decay"] = sorted({0.8, 0.9, 1.0, variant.rate_decay})
    return found


def with_values(settings: Settings, variant: Variant, values: Values) -> Settings:
    """Return the settings with other values of a variant.

    Raises InputError where a configuration with such values would be refused.
    """
    table = {**variant.model_dump(mode="json"), **values, "tuned": {}}
    try:
        changed = Variant.model_validate_json(json.dumps(table), strict=True)
        tables = {**settings.model_dump(mode="json"), "variants": None}
        others = {name: each.model_dump(mode="json") for name, each in settings.variants.items()}
        return Settings.model_validate(
            {**tables, "variants": {**others, variant.name: changed.model_dump(mode="json")}}
        )
    except ValidationError as error:
        told = "; ".join(dict.fromkeys(described(error, Variant, f"variants.{variant.name}")))
        named = ", ".join(f"{key} = {value!r}" for key, value in values.items())
        raise InputError(f"tune.ranges: with {named}, {told.removesuffix('.')}. Change that range.") from None


def stores_of(settings: Settings, variant: Variant, ranges: Ranges) -> list[Settings]:
    """Return settings that together read all stores of any trial: one for each combination of choices, or ends."""
    keys = [key for key in (*OF_STORES, *READ_WHERE_SET) if key in ranges]
    every = itertools.product(*(_ends(key, ranges[key]) for key in keys))
    return [with_values(settings, variant, dict(zip(keys, values, strict=True))) for values in every]


def holds(ranges: Ranges, values: Values) -> bool:
    """Whether values, one a key, all lie where the search looks."""
    return all(_holds(where, values[key]) for key, where in ranges.items())


def _holds(where: Any, value: Any) -> bool:
    if isinstance(where, list):
        return value in where
    return bool(where["low"] <= value <= where["high"])


def _ends(key: str, where: Any) -> list[Any]:
    return where if isinstance(where, list) else [kind_of(key)(where[end]) for end in ("low", "high")]
