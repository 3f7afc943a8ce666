"""The result of a search, stored next to its database: a record for the report, and the best trial as TOML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from ripik.analysis.intervals import Interval
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.variants import TUNED

DIGITS = 6  # of the scores in the mark `tuned`; the values that were searched for have all of theirs
KEYS = {"variant", "metric", "trials", "best", "naive", "corrected", "importances", "ranges"}
LEFT = (
    "Not corrected: the search adapts, so later trials were proposed because they suit these same rows. "
    "The true score may be a little lower."
)


def record_path(settings: Settings, variant: str) -> Path:
    """Return the path of a search's record."""
    return layout_of(settings).tune(variant).with_suffix(".json")


def toml_path(settings: Settings, variant: str) -> Path:
    """Return where the lines of the best trial stand."""
    return layout_of(settings).tune(variant).with_suffix(".toml")


def storage_path(settings: Settings, variant: str) -> Path:
    """Return the path of a search's storage."""
    return layout_of(settings).tune(variant).with_suffix(".db")


def records(settings: Settings) -> list[dict[str, Any]]:
    """Return the records of all searches over the configuration's variants that can be read."""
    found = [artifacts.read_if_whole(record_path(settings, name)) for name in settings.variants]
    return [record for record in found if isinstance(record, dict) and set(record) >= KEYS]


def searched(settings: Settings) -> bool:
    """Whether a variant was tuned, or the run holds a search."""
    return any(variant.search for variant in settings.variants.values()) or bool(records(settings))


def lines(record: Mapping[str, Any]) -> str:
    """Return the TOML of the best trial's values, with the mark that they were searched for."""
    mark = dict(
        zip(TUNED, (len(record["trials"]), record["naive"]["value"], record["corrected"]["value"]), strict=True)
    )
    table = {**record["best"]["values"], "tuned": {key: _rounded(value) for key, value in mark.items()}}
    return tomli_w.dumps({"variants": {record["variant"]: table}})


def best_so_far(record: Mapping[str, Any], *, greater_is_better: bool) -> list[tuple[int, float]]:
    """Return the number and the score of each whole trial that was better than all before."""
    found: list[tuple[int, float]] = []
    for trial in record["trials"]:
        score = trial["scores"][-1] if trial["whole"] else None
        if score is not None and (not found or (score > found[-1][1] if greater_is_better else score < found[-1][1])):
            found.append((trial["number"], score))
    return found


def sentences(record: Mapping[str, Any]) -> list[str]:
    """Return what the search found, in plain sentences."""
    naive, corrected = Interval.from_json(record["naive"]), Interval.from_json(record["corrected"])
    trials, best, metric = record["trials"], record["best"], record["metric"]
    whole = sum(trial["whole"] for trial in trials)
    found = [
        f"best of {len(trials)} trials ({whole} on all folds): trial {best['number']}, {metric} {naive.value:.4f}; "
        f"corrected for the choice {corrected.value:.4f} ({corrected.low:.3f}–{corrected.high:.3f}).",
        LEFT,
    ]
    gain = record.get("gain")
    if gain:
        found.append(
            f"against the variant before tuning: {gain['value']:+.4f} (95 %: {gain['low']:+.4f} to "
            f"{gain['high']:+.4f}), not corrected for the selection."
        )
    return found


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else round(float(value), DIGITS)
