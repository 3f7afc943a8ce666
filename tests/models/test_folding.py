"""BatchNorm folded into convolutions: the same outputs and gradients, and the same variables in the same files."""

from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
from keras import layers

from ripik.models import backend, operations
from ripik.models.backbone import build_backbone, cut
from ripik.models.folding import Excited, FoldedConvolution, Swish, folded
from ripik.models.variables import assign, digest_of, save_weights, values_of
from ripik.training import network
from ripik.training.network import build_trained_part
from ripik.training.optimizer import compile_model
from ripik.variants import Variant

SIZE, CLASSES, IMAGES = 64, 3, 4
CLOSE = 1e-4  # of the largest entry of a variable's gradient


@pytest.fixture(autouse=True)
def deterministic() -> None:
    """Draw the same weights in every run."""
    backend.make_deterministic(0)


def images(count: int = IMAGES) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3)).astype("float32")


def stirred(model: keras.Model) -> keras.Model:
    """Give BatchNorm statistics, scales and shifts that are neither 0 nor 1; the statistics are near the truth."""
    rng, normalised = np.random.default_rng(0), layers.BatchNormalization.call

    def stir(layer: layers.BatchNormalization, inputs: Any, **how: Any) -> Any:
        seen = keras.ops.convert_to_numpy(inputs)
        axes = tuple(range(seen.ndim - 1))
        mean, variance = seen.mean(axes), seen.var(axes)
        stated = [
            variance**0.5 * rng.normal(0, 0.1, mean.shape) + mean,
            variance.mean() * rng.uniform(0.8, 1.3, mean.shape),
        ]
        scale, shift = rng.uniform(0.8, 1.2, mean.shape), rng.normal(0, 0.1, mean.shape)
        layer.set_weights([scale, shift, *stated])
        return normalised(layer, inputs, **how)

    with mock.patch.object(layers.BatchNormalization, "call", stir):
        model(images(), training=False)
    return model


def trained_part(body: keras.Model, monkeypatch: pytest.MonkeyPatch, *, fold: bool) -> keras.Model:
    """Return the trained part, with BatchNorm folded or in operations of its own."""
    if not fold:
        monkeypatch.setattr(network, "folded", lambda body: None)
    found = build_trained_part(body.input.shape[1:], body, CLASSES, dropout=0.0, seed=0)
    monkeypatch.undo()
    return found


def stepped(model: keras.Model, inputs: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """Return the loss and the gradients, which Adam's first moments are a tenth of after its first step."""
    model.compile(keras.optimizers.Adam(0.0), "categorical_crossentropy", jit_compile=False)
    loss = model.train_on_batch(inputs, np.eye(CLASSES)[np.arange(len(inputs)) % CLASSES])
    moments = [variable for variable in model.optimizer.variables if variable.path.endswith("_momentum")]
    assert len(moments) == len(model.trainable_variables)
    return float(loss), [10 * value for value in values_of(moments)]


def check_gradients(body: keras.Model, monkeypatch: pytest.MonkeyPatch, inputs: np.ndarray) -> None:
    (loss, wanted), (own_loss, found) = [
        stepped(trained_part(body, monkeypatch, fold=fold), inputs) for fold in (False, True)
    ]
    assert own_loss == pytest.approx(loss, rel=CLOSE)
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=CLOSE * max(np.abs(a).max(), 1e-6))


@pytest.mark.long
@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0"])
def test_gradients_of_all_variables_are_those_of_the_network_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_gradients(stirred(build_backbone(name, SIZE)), monkeypatch, images())


@pytest.mark.long
def test_a_part_from_a_late_block_on_has_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = cut(stirred(build_backbone("EfficientNetB0", SIZE)), "block6a_expand_conv")
    check_gradients(parts.body, monkeypatch, np.asarray(parts.frozen(images())))


@pytest.mark.long
@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121", "MobileNetV3Small", "ConvNeXtTiny"])
def test_other_backbones_compute_the_same(name: str) -> None:
    backbone = stirred(build_backbone(name, SIZE))
    wanted, found = (np.asarray(model(images(), training=False)) for model in (backbone, folded(backbone)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-4 * np.abs(wanted).max())


def test_every_norm_of_efficientnet_is_folded() -> None:
    found = folded(build_backbone("EfficientNetB0", SIZE))
    assert not [layer.name for layer in found.layers if isinstance(layer, layers.BatchNormalization)]
    assert not [layer.name for layer in found.layers if isinstance(layer, layers.ZeroPadding2D)]
    assert sum(isinstance(layer, FoldedConvolution) for layer in found.layers) == 49
    assert sum(isinstance(layer, Excited) for layer in found.layers) == 16
    assert sum(isinstance(layer, Swish) for layer in found.layers) == 33 - 16


def odd_body() -> keras.Model:
    """Return a network whose norms follow an activation, an addition, and a convolution that feeds something else."""
    inputs = keras.Input((SIZE, SIZE, 3))
    active = layers.Conv2D(4, 3, activation="relu")(inputs)
    first = layers.BatchNormalization(name="after_an_activation")(active)
    shared = layers.Conv2D(4, 3, padding="same")(first)
    second = layers.BatchNormalization(name="of_a_shared_output")(shared)
    third = layers.BatchNormalization(name="after_an_addition")(layers.Add()([second, shared]))
    padded = layers.ZeroPadding2D(2)(third)
    fourth = layers.BatchNormalization(name="folded", scale=False)(layers.Conv2D(4, 3, strides=2)(padded))
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(fourth))


@pytest.mark.long
def test_a_norm_that_does_not_directly_follow_a_convolution_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    found = folded(odd_body())
    kept = [layer.name for layer in found.layers if isinstance(layer, layers.BatchNormalization)]
    assert kept == ["after_an_activation", "of_a_shared_output", "after_an_addition"]
    assert any(isinstance(layer, layers.ZeroPadding2D) for layer in found.layers), "more zeros than `same` puts there"
    check_gradients(odd_body(), monkeypatch, images())


@pytest.mark.long
def test_files_of_weights_are_those_of_the_network_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh(fold: bool) -> keras.Model:
        return trained_part(build_backbone("EfficientNetB0", 32), monkeypatch, fold=fold)

    plain, ours = fresh(False), fresh(True)
    assert [v.path for v in plain.trainable_variables] == [v.path for v in ours.trainable_variables]
    for seed, (writer, reader) in enumerate([(plain, ours), (ours, plain)]):
        rng = np.random.default_rng(seed)
        assign(writer.variables, [rng.normal(size=v.shape).astype(v.dtype) for v in writer.variables])
        save_weights(writer, tmp_path / "a.weights.h5")
        reader.load_weights(tmp_path / "a.weights.h5")
        assert digest_of(reader) == digest_of(writer)


def test_folding_leaves_the_backbone_as_it_was() -> None:
    backbone = build_backbone("EfficientNetB0", 32)
    names, count = [v.path for v in backbone.variables], len(backbone.layers)
    folded(backbone)
    assert [v.path for v in backbone.variables] == names
    assert len(backbone.layers) == count
    assert (
        cut(backbone, "block6a").frozen.output.shape
        == cut(build_backbone("EfficientNetB0", 32), "block6a").frozen.output.shape
    )


@pytest.mark.long
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_as_near_the_truth_as_before(precision: str) -> None:
    exact, half = build_backbone("EfficientNetB0", SIZE), build_backbone("EfficientNetB0", SIZE, precision=precision)
    half.set_weights(stirred(exact).get_weights())
    truth, plain, found = (np.asarray(model(images()), dtype="float32") for model in (exact, half, folded(half)))
    norms = [layer for layer in folded(half).layers if isinstance(layer, FoldedConvolution)]
    assert {layer.compute_dtype for layer in norms} == {precision.removeprefix("mixed_")}
    assert np.abs(found - truth).mean() < 1.5 * np.abs(plain - truth).mean()


@pytest.mark.parametrize("size", [5, 8, 9, 14])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_wide_depthwise_filters_have_their_own_gradient(size: int, stride: int, padding: str) -> None:
    rng = np.random.default_rng(0)
    inputs, kernel = rng.normal(size=(2, size, size, 6)).astype("f4"), rng.normal(size=(5, 5, 6, 1)).astype("f4")

    class Convolution(layers.Layer):
        def __init__(self, compute: Any) -> None:
            super().__init__()
            self.compute, self.kernel = compute, self.add_weight(shape=kernel.shape, name="kernel")

        def call(self, inputs: Any) -> Any:
            return self.compute(inputs, self.kernel)

    def keras_own(inputs: Any, kernel: Any) -> Any:
        return keras.ops.depthwise_conv(inputs, kernel, stride, padding)

    def ours(inputs: Any, kernel: Any) -> Any:
        return operations.depthwise(inputs, keras.ops.convert_to_tensor(kernel), stride, padding)

    found = []
    for compute in (keras_own, ours):
        model = keras.Sequential([keras.Input(inputs.shape[1:]), Convolution(compute)])
        model.set_weights([kernel])
        model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
        targets = np.random.default_rng(1).normal(size=model.compute_output_shape(inputs.shape)).astype("f4")
        model.train_on_batch(inputs, targets)
        found.append(model.get_weights()[0])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_adam_takes_the_steps_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    variant = Variant(name="v", train_from="all", learning_rate=0.01)
    x, y = np.random.default_rng(0).normal(size=(4, 8)).astype("f4"), np.eye(CLASSES)[[0, 1, 2, 0]]
    found = []
    for own in (True, False):
        if not own:
            monkeypatch.setattr(operations, "adam", lambda precision: keras.optimizers.Adam)
        model = keras.Sequential([keras.Input((8,)), layers.Dense(CLASSES, "softmax", kernel_initializer="ones")])
        compile_model(model, variant, 10)
        for _ in range(6):
            model.train_on_batch(x, y)
        found.append(values_of([*model.variables, *model.optimizer.variables]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
