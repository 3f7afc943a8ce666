"""A backbone that is built and traced in a tenth of EfficientNetB0's time, for tests whose subject is not the network.

It stands in `keras.applications` beside the others, in every process of the tests: `conftest.py` puts this folder on
PYTHONPATH, and `sitecustomize.py` calls `install`. Its layers have names like EfficientNet's.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

FEATURES = 64


def preprocess_input(pixels: Any) -> Any:
    """Return raw RGB of 0–255 as it is: the network rescales it."""
    return pixels


def SmallNet(include_top: bool, weights: str | None, input_tensor: Any, pooling: str) -> Any:  # noqa: N802
    """Build the network as the functions of keras.applications do, always without a top and with averaged features."""
    import keras
    from keras import layers

    assert (include_top, weights, pooling) == (False, None, "avg")
    x = layers.Rescaling(1 / 255, name="rescaling")(input_tensor)
    for name, filters in (("stem", 8), ("block6a_expand", 16)):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.Activation("swish", name=f"{name}_activation")(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="block7a_dwconv")(x)
    y = layers.BatchNormalization(name="block7a_project_bn")(y)
    y = layers.Dropout(0.2, name="block7a_drop")(y)
    x = layers.Add(name="block7a_add")([y, x])
    x = layers.Conv2D(FEATURES, 1, use_bias=False, name="top_conv")(x)
    x = layers.BatchNormalization(name="top_bn")(x)
    x = layers.Activation("swish", name="top_activation")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(input_tensor, x, name="smallnet")


class _KerasFinder(MetaPathFinder):
    """Finds Keras where it is, and has the network added once it is imported."""

    def __init__(self) -> None:
        self.busy = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where Keras is; None for any other module."""
        if name != "keras" or self.busy:
            return None
        self.busy = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.busy = False
        if spec is not None and spec.loader is not None:
            _extend(spec.loader)
        return spec


def _extend(loader: Any) -> None:
    execute = loader.exec_module

    def execute_and_add(module: ModuleType) -> None:
        execute(module)
        _add(module)

    loader.exec_module = execute_and_add


def _add(keras: ModuleType) -> None:
    keras.applications.SmallNet = SmallNet


def install() -> None:
    """Add the network to Keras in this process, now or when it is imported."""
    if "keras" in sys.modules:
        _add(sys.modules["keras"])
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())
