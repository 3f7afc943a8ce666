"""What trials of one search have in common; where it differs, they cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ripik.errors import RipikError
from ripik.settings import Settings
from ripik.splits import witnesses
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.storage.up_to_date import differences
from ripik.training.jobs import OF_OTHERS, Training
from ripik.tuning.ranges import Ranges
from ripik.variants import Variant

WORDS = {
    "folds": "other folds",
    "start": "other weights to start from",
    "ranges": "other ranges",
    "pixels": "other photos",
    "classes": "other classes",
    "witnesses": "other groups of near copies",
}


def made_from(run: Run, variant: Variant, ranges: Ranges) -> dict[str, Any]:
    """Return what trials of one search have in common."""
    inputs = Training(run, Job(variant.name, 0)).inputs()
    shared = {key: value for key, value in inputs.items() if key not in ("fold", "seed_number")}
    return {
        **shared,
        "pixels": None if "image_size" in ranges else shared["pixels"],
        "weights": None if "backbone" in ranges else shared["weights"],
        "witnesses": artifacts.digest(witnesses.train(run).tolist()),
        **of_settings(run.settings, variant, ranges),
    }


def of_settings(settings: Settings, variant: Variant, ranges: Ranges) -> dict[str, Any]:
    """Return what trials of one search have in common, as far as the settings say it."""
    own = variant.recorded(exclude=OF_OTHERS)
    return {
        "variant": {key: value for key, value in own.items() if key not in ranges},
        "seeds": variant.seeds,
        "predict_sizes": list(variant.predict_sizes),
        "metric": settings.competition.metric,
        "prediction": settings.prediction.recorded(exclude={"batch_size"}),
        "ranges": ranges,
        "tune": settings.tune.recorded(exclude={"ranges"}),
    }


def differs(run: Run, record: Mapping[str, Any]) -> list[str]:
    """Return, in words, the inputs of a search's record that have changed; [] where it has none."""
    recorded, variant = record.get("made_from"), run.settings.variants.get(record["variant"])
    if not isinstance(recorded, dict) or variant is None:
        return []
    try:
        present = artifacts.as_json(made_from(run, variant, record["ranges"]))
    except (RipikError, OSError):  # no folds, groups or weights to hold it against
        return ["missing or damaged folds, groups of near copies or weights"]
    present["tune"] = recorded.get("tune")  # how it went is no other search
    return differences(recorded, present, WORDS)
