"""Stands in for `features.prepare`: packs features in which a photo is known by itself and its class by nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from conftest import Tiny
from ripik.data.competition import Competition
from ripik.features.store import Pass, count, feature_inputs, passes_of, source_path
from ripik.settings import Settings, Variant
from ripik.storage.packed_array import is_packed, packing

COLUMNS = 64


@dataclass
class MadeUp:
    """A call is `prepare`; `shift` is added to those of test images; `passes` tells what was made."""

    tiny: Tiny
    shift: float = 0.0
    passes: list[Pass] = field(default_factory=list)

    def __call__(self, settings: Settings, competition: Competition, variants: Sequence[Variant]) -> None:
        for variant in variants:
            for item in passes_of(settings, variant):
                self._pack(settings, competition, variant, item)

    def _pack(self, settings: Settings, competition: Competition, variant: Variant, item: Pass) -> None:
        path, number = source_path(settings, variant, item), count(settings, competition, item)
        inputs = feature_inputs(settings, competition, variant, item)
        if not is_packed(path, inputs, number):
            self.passes.append(item)
            photo = np.resize(self._photos(competition, item.split), number)
            rows = np.stack([np.random.default_rng(each).normal(0, 1, COLUMNS) for each in photo])
            rows += np.random.default_rng([len(rows), item.copies]).normal(0, 0.05, rows.shape)
            rows += self.shift * (item.split == "test")
            with packing(path, number, (COLUMNS,), settings.features.dtype, inputs=inputs, maker={}) as unfinished:
                unfinished.write(0, rows)

    def _photos(self, competition: Competition, split: str) -> np.ndarray:
        photos = pd.concat([self.tiny.truth, self.tiny.test]).set_index("image_id")["photo"]
        return photos.loc[competition.rows(split)["image_id"]].to_numpy()
