"""The recipes that `[recipe] preset` names: default tables, which the user's configuration overrides key by key.

Their measured scores are in `docs/recipe.md`; the gain of each single setting was not.
"""

from collections.abc import Mapping
from typing import Any

from ripik.names import RecipeName

STRONG_FINETUNING = {
    "image_size": 160,
    "epochs": 20,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "near_copies_per_epoch": "one",
    "live": 1.0,
    "crop_from": 224,
    "mix": "mixup",
    "label_smoothing": 0.1,
    "weight_decay": 0.02,
    "rate_decay": 0.9,
    "clip": 1.0,
    "average": 0.99,
}
TWO_SIZES = STRONG_FINETUNING | {"predict_sizes": [160, 192]}  # FixRes: Touvron et al. 2019, NeurIPS
FITTED = {"solver": "logistic", "image_size": 160}
FROM_IT = {"train_from": "all", "start": "fitted"}
RECIPES: Mapping[RecipeName, Mapping[str, Mapping[str, Any]]] = {
    "source": {},
    "quick": {
        "finetuning": TWO_SIZES,
        "variants": {"fitted": FITTED, "strong": FROM_IT},
    },
    "strong": {
        "finetuning": TWO_SIZES,
        "variants": {
            "fitted": FITTED | {"seeds": 2},
            "strong": FROM_IT | {"seeds": 2},
            "larger": FROM_IT | {"image_size": 192, "predict_sizes": [192, 224]},
        },
    },
}


def under(raw: Mapping[str, Any], recipe: RecipeName) -> dict[str, Any]:
    """Return a configuration as it is read, over the tables of a recipe; variants are the user's, if any."""
    found = dict(raw)
    for name, table in RECIPES[recipe].items():
        own = raw.get(name)
        if name == "variants":
            found[name] = own if own else {key: dict(values) for key, values in table.items()}
        elif own is None or isinstance(own, dict):
            found[name] = {**table, **(own or {})}
    return found
