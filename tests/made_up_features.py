"""Stands in for `features.prepare`: packs features in which a photo is known by itself and its class by nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from conftest import Tiny
from ripik.data.competition import Competition
from ripik.features.store import Pass, VariantData
from ripik.splits.run import Run
from ripik.storage.packed_array import is_packed, packing
from ripik.variants import Variant

COLUMNS = 64


@dataclass
class MadeUp:
    """A call is `prepare`; `shift` is added to those of test images; `passes` tells what was made."""

    tiny: Tiny
    shift: float = 0.0
    passes: list[Pass] = field(default_factory=list)

    def __call__(self, run: Run, variants: Sequence[Variant]) -> None:
        for variant in variants:
            data = VariantData(run, variant)
            for item in data.reading.passes:
                self._pack(data, item)

    def _pack(self, data: VariantData, item: Pass) -> None:
        path, number, inputs = data.path(item), data.count(item), data.feature_inputs(item)
        if not is_packed(path, inputs, number):
            self.passes.append(item)
            photo = np.resize(self._photos(data.run.competition, item.split), number)
            rows = np.stack([np.random.default_rng(each).normal(0, 1, COLUMNS) for each in photo])
            rows += np.random.default_rng([len(rows), item.copies]).normal(0, 0.05, rows.shape)
            rows += self.shift * (item.split == "test")
            with packing(
                path, number, (COLUMNS,), data.run.settings.features.dtype, inputs=inputs, maker={}
            ) as unfinished:
                unfinished.write(0, rows)

    def _photos(self, competition: Competition, split: str) -> np.ndarray:
        photos = pd.concat([self.tiny.truth, self.tiny.test]).set_index("image_id")["photo"]
        return photos.loc[competition.rows(split)["image_id"]].to_numpy()
