"""One measurement on the chip: images/s with the input chain on, and of the bare step on a batch that stays in memory.

python -m benchmarks.speed.ours.gpu_step KIND --size 224 --precision float32 --batch-size 64 --folder FOLDER
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.harness import interleave
from benchmarks.speed.flops import flops, training_flops
from ripik.analysis.view_gains import merge
from ripik.features.batches import Batches, prefetched
from ripik.models import backend
from ripik.models.backbone import build_backbone, cut
from ripik.models.engines import make_predictor
from ripik.names import ALL, HEAD, KERAS
from ripik.storage.packed_array import is_packed, packing
from ripik.storage.packed_rows import PackedRows
from ripik.training.callbacks import Fed
from ripik.training.network import between, build_trained_part
from ripik.training.optimizer import compile_model
from ripik.training.predictions import predict_rows
from ripik.variants import Variant

BACKBONE, CLASSES, VIEWS = "EfficientNetB0", 6, ("identity", "hflip")
CHAIN = "the input chain"
WARM_UP = 2  # steps that build and compile
CHUNK = 16  # rows drawn at once
Side = Callable[[int], int]  # takes so many steps, and returns how many images it saw


class OneBatch(keras.utils.PyDataset):
    """The same batch, as often as there are steps."""

    def __init__(self, batch: tuple[Any, ...], steps: int) -> None:
        super().__init__()
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return the batch."""
        return self.batch


def pixel_rows(folder: Path, size: int, count: int) -> PackedRows:
    """Return a packed file of random pixels, uint8 (count, size, size, 3), made unless it is there."""
    path, inputs = folder / "pixels" / f"{size}-{count}.npy", {"size": size, "count": count}
    if not is_packed(path, inputs, count):
        random = np.random.default_rng(0)
        with packing(path, count, (size, size, 3), "uint8", inputs=inputs, maker={}) as unfinished:
            for first in range(0, count, CHUNK):
                shape = (min(CHUNK, count - first), size, size, 3)
                unfinished.write(first, random.integers(0, 256, shape, np.uint8))
    return PackedRows([path])


def finetuning(source: PackedRows, size: int, precision: str, batch_size: int) -> tuple[keras.Model, dict[str, Side]]:
    """Return a network and ways to train all of its layers."""
    trained_part = _whole_network(size, precision)
    model = between(trained_part.inputs[0], trained_part.output, trained_part.dtype_policy.name)
    compile_model(model, Variant(name="bench", train_from=ALL, schedule="constant"), steps=1)
    targets = np.eye(CLASSES, dtype="float32")[np.arange(len(source)) % CLASSES]

    def fit(batches: keras.utils.PyDataset) -> int:
        logs = model.fit(batches, epochs=1, verbose=0, shuffle=False).history
        np.asarray(logs["loss"])  # of all steps: the backend may only have queued them
        return len(batches) * batch_size

    def chain(steps: int) -> int:
        return fit(Fed(Batches(source, _examples(source, steps * batch_size), batch_size, targets=targets)))

    one = Batches(source, _examples(source, batch_size), batch_size, targets=targets)[0]
    on_chip = tuple(map(keras.ops.convert_to_tensor, one))
    if keras.backend.backend() == "jax":
        return model, {CHAIN: chain, "`fit` on one batch": lambda steps: fit(OneBatch(on_chip, steps))}

    def single(steps: int) -> int:
        for _ in range(steps):
            model.train_on_batch(*on_chip)
        return steps * batch_size

    # `fit` on TensorFlow would bring a batch on the chip back at every step.
    bare = {"`fit` on one batch": lambda steps: fit(OneBatch(one, steps)), "`train_on_batch` on one batch": single}
    return model, {CHAIN: chain, **bare}


def passes(source: PackedRows, size: int, precision: str, batch_size: int) -> tuple[keras.Model, dict[str, Side]]:
    """Return the frozen backbone and ways to run it."""
    frozen_part = cut(build_backbone(BACKBONE, size, precision=precision), HEAD).frozen
    assert frozen_part is not None, "all but the head is frozen"
    frozen_part.jit_compile = backend.compiles()
    predictor = make_predictor(frozen_part, KERAS, np.empty(0))

    def chain(steps: int) -> int:
        batches = Batches(source, _examples(source, steps * batch_size), batch_size)
        return sum(map(len, predictor.stream(prefetched(batches))))

    return frozen_part, {CHAIN: chain, **_on_one_batch(frozen_part, source, batch_size)}


def tta(source: PackedRows, size: int, precision: str, batch_size: int) -> tuple[keras.Model, dict[str, Side]]:
    """Return the whole network and ways to predict with it; every view of an image counts as one."""
    trained_part = _whole_network(size, precision)
    predictor = make_predictor(trained_part, KERAS, np.empty(0))

    def chain(steps: int) -> int:
        rows = _examples(source, steps * batch_size)
        seen = [predict_rows(predictor, source, rows, view, batch_size) for view in VIEWS]
        return len(VIEWS) * len(merge(np.stack(seen), "arithmetic"))

    return trained_part, {CHAIN: chain, **_on_one_batch(trained_part, source, batch_size)}


KINDS: dict[str, Callable[[PackedRows, int, str, int], tuple[keras.Model, dict[str, Side]]]] = {
    "finetuning": finetuning,
    "passes": passes,
    "tta": tta,
}


def _whole_network(size: int, precision: str) -> keras.Model:
    backbone = build_backbone(BACKBONE, size, precision=precision)
    return build_trained_part((size, size, 3), backbone, CLASSES, dropout=0.2, seed=0)


def _on_one_batch(model: keras.Model, source: PackedRows, batch_size: int) -> dict[str, Side]:
    kept = keras.ops.convert_to_tensor(source.read(_examples(source, batch_size)))

    def single(steps: int) -> int:
        return sum(len(model.predict_on_batch(kept)) for _ in range(steps))

    return {"`predict_on_batch` on one batch": single}


def _examples(source: PackedRows, count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(len(source), size=count)


def measure(sides: Mapping[str, Side], seconds: float, repeats: int) -> dict[str, list[float]]:
    """Return the images/s of every side, in turn, in repeats of about so many seconds; building is not timed."""
    for side in sides.values():
        side(WARM_UP)
    a_step = _timed(side, WARM_UP)[1] / WARM_UP
    steps = max(WARM_UP, math.ceil(seconds / a_step))
    return interleave({name: partial(_rate, side, steps) for name, side in sides.items()}, repeats)


def _rate(side: Side, steps: int) -> float:
    images, seconds = _timed(side, steps)
    return images / seconds


def _timed(side: Side, steps: int) -> tuple[int, float]:
    start = time.perf_counter()
    images = side(steps)
    return images, time.perf_counter() - start


def main() -> None:
    """Print the images/s of every side, the input chain first, and the operations that an image takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--precision", required=True, help="a dtype policy of Keras")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the packed pixels are kept")
    parser.add_argument("--rows", type=int, default=512, help="images in the packed file")
    parser.add_argument("--seconds", type=float, default=3, help="of a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    backend.make_deterministic(0)
    source = pixel_rows(given.folder, given.size, given.rows)
    model, sides = KINDS[given.kind](source, given.size, given.precision, given.batch_size)
    operations = training_flops(model) if given.kind == "finetuning" else flops(model)
    found = {"rates": measure(sides, given.seconds, given.repeats), "flops": operations}
    print(json.dumps(found | {"precision": model.dtype_policy.name}))


if __name__ == "__main__":
    main()
