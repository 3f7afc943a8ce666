"""The members of a blend as ONNX graphs: what the run computes once for several trainings, a graph computes once.

A graph reads photos, uint8 RGB (n, S, S, 3), and tells what each of its trainings says of them, float32 (n, jobs, C).
Keras converts by tf2onnx, so TensorFlow is its backend here.
"""

import gc
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ripik.errors import InputError
from ripik.features.store import Pass
from ripik.models.backbone import Cut, build_backbone, cut, normalizations
from ripik.models.head_files import read_head
from ripik.names import ALL, FLOAT32, HEAD
from ripik.training.jobs import Training
from ripik.training.network import whole_network

MOST_BYTES = 2**31  # of a file of ONNX
IMAGES = "images"  # a graph's input
OPSET = 18


@dataclass(frozen=True)
class Sharing:
    """Trainings whose networks begin with the same frozen part, and the side of the photos that they read."""

    trainings: list[Training]
    side: int


@dataclass(frozen=True)
class Part:
    """The network of one training in two, with its weights: what its graph shares, and what is its own."""

    training: Training
    cut: Cut
    kernel: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, training: Training, side: int, *, frozen: bool) -> "Part":
        """Load the network; of a head alone the frozen part only where it is asked for."""
        train_from = training.variant.train_from
        if train_from == HEAD and not frozen:
            return cls(training, Cut(None, None), *read_head(training.checked_weights()))
        backbone, kernel, bias = whole_network(training)
        if side != training.variant.image_size:
            backbone = _at_side(backbone, training.variant.backbone, side)
        for layer in normalizations(backbone):  # tf2onnx takes Keras' tensors for inputs of the graph
            layer.mean, layer.variance = (ops.convert_to_numpy(each) for each in (layer.mean, layer.variance))
        return cls(training, cut(backbone, train_from), kernel, bias)

    @property
    def bytes(self) -> int:
        """How much its own weights take."""
        body = self.cut.body
        return self.kernel.nbytes + self.bias.nbytes + (4 * body.count_params() if body else 0)

    def probabilities(self, features: Any) -> Any:
        """Return what the training says, (n, C), of the outputs of the shared part."""
        found = self.cut.body(features) if self.cut.body else features
        head = keras.layers.Dense(len(self.bias), activation="softmax", dtype=FLOAT32)
        head.build(found.shape)
        head.set_weights([self.kernel, self.bias])
        return head(found)


def _at_side(backbone: keras.Model, name: str, side: int) -> keras.Model:
    """Return a backbone of the same weights that reads photos of another side."""
    other = build_backbone(name, side)
    other.set_weights(backbone.get_weights())
    for layer in normalizations(other):
        layer.finalize_state()
    return other


def shared_by(trainings: Sequence[Training]) -> list[Sharing]:
    """Return the trainings by the frozen part that they share; one whose network has none alone, once a side."""
    groups: dict[Any, Sharing] = {}
    for each in trainings:
        for side in each.data.reading.sides:
            key = str(each) if each.variant.train_from == ALL else _frozen_part(each)
            groups.setdefault((key, side), Sharing([], side)).trainings.append(each)
    return list(groups.values())


def _frozen_part(training: Training) -> tuple[Any, ...]:
    variant, reading = training.variant, training.data.reading
    stored = "" if reading.from_pixels else reading.path(Pass("train")).parent
    return variant.backbone, variant.weights, variant.train_from, variant.precision, stored


def networks(sharing: Sharing) -> Iterator[tuple[list[Training], keras.Model]]:
    """Yield the network of trainings with one frozen part, and which they are: all, unless that would be too large."""
    parts: list[Part] = []
    for each in sharing.trainings:
        parts.append(Part.of(each, sharing.side, frozen=not parts))
        if sum(part.bytes for part in parts) > MOST_BYTES / 2 or each is sharing.trainings[-1]:
            yield [part.training for part in parts], _joined(parts, sharing.side)
            parts = []


def _joined(parts: Sequence[Part], side: int) -> keras.Model:
    """Return the network from photos to what every part says, (n, parts, C)."""
    training, frozen = parts[0].training, parts[0].cut.frozen
    images = keras.Input((side, side, 3), dtype="uint8", name=IMAGES)
    features = ops.cast(images, FLOAT32)
    if frozen is not None:
        features = frozen(features)
        if not training.data.reading.from_pixels:  # rounded as they are stored
            features = ops.cast(ops.cast(features, training.run.settings.features.dtype), FLOAT32)
    return keras.Model(images, ops.stack([part.probabilities(features) for part in parts], axis=1))


def write_graph(network: keras.Model, path: Path) -> None:
    """Write a network as ONNX; raises InputError where it needs more than the photos."""
    import onnx

    inputs = [keras.InputSpec(shape=(None, *network.input.shape[1:]), dtype="uint8", name=IMAGES)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="In the future `np.object`")  # Keras asks whether NumPy has it
        network.export(path, format="onnx", verbose=False, input_signature=inputs, opset_version=OPSET)
    found = [each.name for each in onnx.load(path, load_external_data=False).graph.input]
    if len(found) != 1:
        raise InputError(
            f"the network {network.name} keeps {', '.join(found[1:])} outside its graph, so it cannot be exported."
        )


def forget() -> None:
    """Free what Keras and TensorFlow keep of networks that nothing refers to any more."""
    keras.utils.clear_session()
    gc.collect()
