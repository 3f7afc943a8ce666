"""What the cheap linear heads of `audit` and `adversarial` read: stored outputs of a frozen backbone, plain view."""

from collections.abc import Sequence

import numpy as np

from ripik.errors import InputError
from ripik.features.store import Pass, VariantData
from ripik.features.tta import IDENTITY
from ripik.names import HEAD
from ripik.settings import Settings
from ripik.storage.packed_rows import PackedRows
from ripik.variants import Variant

BLOCK = 4096  # rows read at once


def stored_settings(settings: Settings) -> Settings:
    """Return the settings by which `prepare` stores frozen outputs, of the plain view alone."""
    return settings.model_copy(
        update={
            "features": settings.features.model_copy(update={"store": True}),
            "prediction": settings.prediction.model_copy(update={"views": (IDENTITY,)}),
        }
    )


def photo_head(settings: Settings) -> Variant:
    """Return the first variant whose head alone is trained, as one that reads photos; the first on photos, if any is.

    Raises InputError when there is none.
    """
    heads = [variant for variant in settings.variants.values() if variant.train_from == HEAD]
    if not heads:
        raise InputError(
            "no variant trains its head alone, so no features of a frozen backbone are stored. "
            'Add one to [variants], for example original = { data = "original", train_from = "head" }.'
        )
    first = next((variant for variant in heads if variant.data == "original"), heads[0])
    return first.model_copy(update={"data": "original"})


def copies_head(settings: Settings) -> Variant | None:
    """Return the first variant whose head alone is trained, on augmented copies; None where there is none."""
    heads = (variant for variant in settings.variants.values() if variant.train_from == HEAD)
    return next((variant for variant in heads if variant.data == "augmented"), None)


def read_features(data: VariantData, passes: Sequence[Pass]) -> np.ndarray:
    """Return the stored outputs of the passes, one below the other: (n, d) of `features.dtype`.

    Raises SurroundingsError for a damaged file.
    """
    counts = [data.count(pass_) for pass_ in passes]
    sources = [PackedRows([data.path(pass_)]) for pass_ in passes]
    found = np.empty((sum(counts), *sources[0].row_shape), sources[0].dtype)
    start = 0
    for source, number in zip(sources, counts, strict=True):
        for rows in np.array_split(np.arange(number), max(1, number // BLOCK)):
            found[start + rows] = source.read(rows)
        start += number
    return found
