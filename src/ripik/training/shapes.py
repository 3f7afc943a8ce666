"""Which trainings may be done by one network and its compiled functions, one after the other; without Keras."""

from typing import Any

from ripik.models.weight_files import weights_inputs
from ripik.storage import artifacts
from ripik.training.jobs import Training, is_distributed

VALUES = {  # settings of a variant that change numbers alone, or what is read: no network, nor what is compiled of it
    *("name", "start", "data", "with_original", "copies_per_epoch", "near_copies_per_epoch", "seed", "seeds", "refit"),
    *("epochs", "learning_rate", "inner_split", "early_stopping", "soup", "distribute", "weights", "class_weights"),
    "tuned",
}


def shape_of(training: Training) -> str | None:
    """Return what trainings of one network have in common; None for one that has a network to itself.

    One that is distributed is: its variables stand on several devices.
    """
    if is_distributed(training.variant):
        return None
    settings, variant, start = training.run.settings, training.variant, training.start
    return artifacts.digest(
        {
            "network": _network(training),
            "start": _network(start) if start else None,
            "weighted": variant.class_weights != "none",
            "classes": len(training.run.competition.classes),
            "features": settings.features.recorded(),
            "prediction": settings.prediction.recorded(),
        }
    )


def _network(training: Training) -> dict[str, Any]:
    variant = training.variant
    return {**variant.recorded(exclude=VALUES), "weights": weights_inputs(variant)}
