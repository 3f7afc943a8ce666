"""Precision: which one a setting means, what computes in it, and that training in it learns the same."""

import keras
import numpy as np
import pytest

from ripik.errors import InputError
from ripik.features.store import Reading
from ripik.models import backend, engines
from ripik.models.backbone import build_backbone, cut
from ripik.models.engines import make_predictor
from ripik.models.variables import assign, values_of
from ripik.training.network import between, build_trained_part
from ripik.training.optimizer import compile_model
from ripik.variants import Variant

SIZE, CLASSES, HALVES = 32, 3, ["mixed_float16", "mixed_bfloat16"]
VARIANT = Variant(name="v", epochs=3, batch_size=8, learning_rate=1e-2, schedule="constant")


def small_network(precision: str) -> keras.Model:
    """Return a trained part with a body of two layers that computes in a precision, always of the same weights."""
    keras.utils.set_random_seed(0)
    with backend.computing_in(precision):
        inputs = keras.Input((SIZE, SIZE, 3))
        hidden = keras.layers.Conv2D(4, 3, activation="swish")(keras.layers.Rescaling(1 / 255)(inputs))
        body = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(hidden))
    return build_trained_part((SIZE, SIZE, 3), body, CLASSES, dropout=0.0, seed=0)


@pytest.fixture
def photos() -> tuple[np.ndarray, np.ndarray]:
    """Photos of three brightnesses, and their classes."""
    rng, classes = np.random.default_rng(0), np.arange(24) % CLASSES
    images = rng.integers(0, 60, (24, SIZE, SIZE, 3)) + 90 * classes[:, None, None, None]
    return images.astype(np.uint8), np.eye(CLASSES, dtype="float32")[classes]


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([], "float32"), ([6.1], "float32"), ([7.5, 7.5], "mixed_float16"), ([9.0, 6.0], "float32"), ([0.0], "float32")],
)
def test_auto_is_half_precision_on_gpus_made_for_it(
    capabilities: list[float], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_capabilities", lambda: capabilities)
    assert backend.precision("auto") == expected
    assert backend.precision("mixed_bfloat16") == "mixed_bfloat16"


def test_a_cpu_has_no_capability() -> None:
    assert backend._capabilities() == []
    assert [backend._number("7", "5"), backend._number("gfx90a"), backend._number()] == [7.5, 0, 0]


@pytest.mark.parametrize("precision", HALVES)
def test_a_backbone_computes_in_it_with_variables_in_float32(precision: str) -> None:
    backbone = build_backbone("EfficientNetB0", SIZE, precision=precision)
    assert keras.config.dtype_policy().name == "float32"
    assert backbone.output.dtype == precision.removeprefix("mixed_")
    assert {variable.dtype for variable in backbone.trainable_variables} == {"float32"}
    for part in vars(cut(backbone, "block6a")).values():
        assert part.dtype_policy.name == precision


@pytest.mark.parametrize("precision", HALVES)
def test_softmax_and_scores_are_float32(precision: str, photos: tuple[np.ndarray, np.ndarray]) -> None:
    trained_part = small_network(precision)
    assert trained_part.dtype_policy.name == precision
    assert trained_part.get_layer("head").compute_dtype == "float32"
    predictor = make_predictor(trained_part, "auto", photos[0])
    (found,) = predictor.stream([photos[0]])
    assert found.dtype == np.float32
    assert predictor.record()["precision"] == precision
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found, small_network("float32").predict_on_batch(photos[0]), atol=0.02)


def fitted(precision: str, photos: tuple[np.ndarray, np.ndarray]) -> tuple[keras.Model, list[float]]:
    trained_part = small_network(precision)
    model = between(trained_part.inputs[0], trained_part.output, trained_part.dtype_policy.name)
    compile_model(model, VARIANT, 9)
    losses = model.fit(*photos, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
    return model, losses


@pytest.mark.parametrize("precision", [pytest.param(HALVES[0], marks=pytest.mark.long), *HALVES[1:]])
def test_training_in_it_learns_the_same(precision: str, photos: tuple[np.ndarray, np.ndarray]) -> None:
    wanted, losses = fitted("float32", photos)[1], fitted(precision, photos)[1]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(losses, wanted, rtol=0.02)


def test_only_float16_has_its_loss_scaled_and_the_scale_is_part_of_the_state(
    photos: tuple[np.ndarray, np.ndarray],
) -> None:
    kinds = [type(fitted(precision, photos)[0].optimizer).__name__ for precision in ("float32", "mixed_bfloat16")]
    assert kinds == ["Adam", "Adam"]
    model, _ = fitted("mixed_float16", photos)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    saved = values_of(model.optimizer.variables)
    assert 2**15 in [float(value) for value in saved if value.ndim == 0]  # Keras' first scale
    again = small_network("mixed_float16")
    compile_model(again, VARIANT, 9)
    again.optimizer.build(again.trainable_variables)
    assign(again.optimizer.variables, saved)
    for one, other in zip(saved, values_of(again.optimizer.variables), strict=True):
        np.testing.assert_array_equal(one, other)


def test_gradients_that_overflow_leave_the_weights_alone(photos: tuple[np.ndarray, np.ndarray]) -> None:
    trained_part = small_network("mixed_float16")
    compile_model(trained_part, VARIANT, 9)
    trained_part.optimizer.build(trained_part.trainable_variables)
    trained_part.optimizer.dynamic_scale.assign(1e30)
    before = trained_part.get_weights()
    trained_part.fit(*photos, batch_size=24, verbose=0)
    for one, other in zip(before, trained_part.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(keras.ops.convert_to_numpy(trained_part.optimizer.dynamic_scale)) == pytest.approx(5e29)


def test_openvino_is_for_float32(photos: tuple[np.ndarray, np.ndarray]) -> None:
    trained_part = small_network("mixed_bfloat16")
    assert make_predictor(trained_part, "auto", photos[0]).engine == "keras"
    if engines._has_openvino():
        with pytest.raises(InputError, match=r"OpenVINO computes in float32, and .* in mixed_bfloat16"):
            make_predictor(trained_part, "openvino", photos[0])


def test_outputs_of_another_precision_are_stored_elsewhere(tiny) -> None:  # type: ignore[no-untyped-def]
    from ripik.features.store import Pass

    settings = [tiny.settings(*more) for more in ((), ("network.precision=mixed_bfloat16",))]
    paths = [Reading(one, one.variants["original"]).path(Pass("train")) for one in settings]
    assert paths[1].parent.name == f"{paths[0].parent.name}-by-mixed_bfloat16"
