"""The network: backbones, cuts, inference mode, weights files, and that a stored frozen part changes nothing."""

import functools
import pickle
from pathlib import Path
from unittest import mock

import h5py
import keras
import numpy as np
import pytest

from ripik.errors import InputError, SurroundingsError
from ripik.models import random_weights
from ripik.models.backbone import build_backbone, cut, normalizations
from ripik.models.random_weights import natural_noise
from ripik.models.weights import STANDARD_DEVIATION, load_weights, read_weights
from ripik.training.network import build_trained_part
from ripik.training.optimizer import compile_model
from ripik.variants import Variant

SIZE, CLASSES = 32, 3
VARIANT = Variant(name="v", epochs=3, batch_size=4, learning_rate=0.01)


@functools.cache
def shaped() -> list[np.ndarray]:
    """Return useful random weights of B0."""
    return calibrated_on_few().get_weights()


def calibrated_on_few() -> keras.Model:
    """Return B0 with random weights made useful by fewer and smaller images than the demo's are."""
    with mock.patch.multiple(random_weights, CALIBRATION_IMAGES=16, CALIBRATION_SIZE=64):
        return random_weights.random_backbone("EfficientNetB0")


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    """Return a small-input B0 with useful random weights."""
    model = build_backbone("EfficientNetB0", SIZE)
    model.set_weights(shaped())
    return model


def images(count: int, seed: int = 0) -> np.ndarray:
    return natural_noise(count, SIZE, seed)


def outputs(model: keras.Model, inputs: np.ndarray, training: bool = False) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(inputs, training=training))


@pytest.mark.parametrize(
    "train_from", ["head", "all", "block6a_expand_conv", "block6a", "block6", "block2b_expand_conv", "top_conv"]
)
def test_prefix_then_suffix_is_the_whole_network(backbone: keras.Model, train_from: str) -> None:
    parts = cut(backbone, train_from)
    found = images(2)
    for part in (parts.frozen, parts.body):
        found = outputs(part, found) if part is not None else found
    np.testing.assert_allclose(found, outputs(backbone, images(2)), rtol=1e-5, atol=1e-5)


def test_a_stage_begins_with_its_first_block(backbone: keras.Model) -> None:
    names = [{layer.name for layer in cut(backbone, name).body.layers} for name in ("block6", "block6a")]
    assert {name for name in names[0] if name.startswith("block")} == {n for n in names[1] if n.startswith("block")}


@pytest.mark.parametrize("layer", ["block6b_dwconv", "block2b_add"])
def test_a_cut_inside_a_block_is_refused(backbone: keras.Model, layer: str) -> None:
    with pytest.raises(InputError, match="bypasses this layer"):
        cut(backbone, layer)


def test_an_unknown_layer_names_the_nearest(backbone: keras.Model) -> None:
    with pytest.raises(InputError, match="block6a_expand_conv"):
        cut(backbone, "blok6a_expand_conv")


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(InputError, match="EfficientNetB0"):
        build_backbone("EficientNetB0", SIZE)


def test_a_backbone_that_wants_preprocessing_gets_it() -> None:
    model = build_backbone("MobileNetV2", SIZE)
    bare = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=(SIZE, SIZE, 3))
    bare.set_weights(model.get_weights())
    batch = images(2)
    np.testing.assert_allclose(outputs(model, batch), outputs(bare, batch / 127.5 - 1), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("train_from", [pytest.param("all", marks=pytest.mark.long), "block6a"])
def test_training_keeps_batch_norm_and_stochastic_depth_at_rest(backbone: keras.Model, train_from: str) -> None:
    parts = cut(backbone, train_from)
    inputs = images(4) if parts.frozen is None else outputs(parts.frozen, images(4))
    trained_part = build_trained_part(inputs.shape[1:], parts.body, CLASSES, dropout=0.0, seed=0)
    np.testing.assert_array_equal(outputs(trained_part, inputs, training=True), outputs(trained_part, inputs))
    before = [keras.ops.convert_to_numpy(v) for v in trained_part.non_trainable_variables]
    kept = trained_part.get_weights()
    compile_model(trained_part, VARIANT, 3)
    trained_part.fit(inputs, np.eye(CLASSES, dtype="float32")[[0, 1, 2, 0]], verbose=0)
    for old, new in zip(before, trained_part.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))
    trained_part.set_weights(kept)


@pytest.mark.long
def test_a_head_on_stored_outputs_equals_the_head_inside_the_frozen_network(backbone: keras.Model) -> None:
    photos, targets = images(12), np.eye(CLASSES, dtype="float32")[np.arange(12) % CLASSES]
    parts = cut(backbone, "head")
    stored = outputs(parts.frozen, photos)
    alone = build_trained_part(stored.shape[1:], None, CLASSES, dropout=0.3, seed=7)
    whole = build_trained_part((SIZE, SIZE, 3), None, CLASSES, dropout=0.3, seed=7, frozen=backbone)
    for model, data in ((alone, stored), (whole, photos)):
        compile_model(model, VARIANT, 9)
        model.fit(data, targets, batch_size=4, epochs=3, shuffle=False, verbose=0)
    backbone.trainable = True
    np.testing.assert_allclose(outputs(alone, stored), outputs(whole, photos), atol=1e-4)
    for one, other in zip(alone.get_weights(), whole.get_layer("head").get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_weights_round_trip(backbone: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "b0.weights.h5"
    backbone.save_weights(path)
    other = build_backbone("EfficientNetB0", SIZE)
    load_weights(other, path)
    np.testing.assert_array_equal(outputs(other, images(2)), outputs(backbone, images(2)))


def with_normalization(variance: np.ndarray, path: Path) -> Path:
    """Write a B0 file whose normalization layer holds `variance`."""
    model = build_backbone("EfficientNetB0", SIZE)
    model.set_weights(shaped())
    layer = normalizations(model)[0]
    layer.adapt_mean.assign(np.array([0.485, 0.456, 0.406]))
    layer.adapt_variance.assign(variance)
    layer.finalize_state()
    model.save_weights(path)
    return path


@pytest.mark.long
def test_official_and_true_variance_files_give_the_same_network(tmp_path: Path) -> None:
    found = []
    for name, variance in (("official", STANDARD_DEVIATION), ("true", STANDARD_DEVIATION**2)):
        model = build_backbone("EfficientNetB0", SIZE)
        load_weights(model, with_normalization(variance, tmp_path / f"{name}.weights.h5"))
        np.testing.assert_allclose(np.ravel(normalizations(model)[0].variance), STANDARD_DEVIATION**2, rtol=1e-5)
        found.append(outputs(model, images(2)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_the_official_network_is_matched(tmp_path: Path) -> None:
    """Keras' own builder rescales by 1/sqrt(std) after its normalization; ours must come to the same input."""
    pixels = images(1)
    model = build_backbone("EfficientNetB0", SIZE)
    load_weights(model, with_normalization(STANDARD_DEVIATION, tmp_path / "official.weights.h5"))
    mean = np.array([0.485, 0.456, 0.406])
    official = (pixels / 255 - mean) / np.sqrt(STANDARD_DEVIATION) / np.sqrt(STANDARD_DEVIATION)
    ours = outputs(keras.Model(model.inputs[0], normalizations(model)[0].output), pixels)
    np.testing.assert_allclose(ours, official, rtol=1e-4, atol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    build_backbone("MobileNetV2", SIZE).save_weights(path)
    with pytest.raises(InputError, match="does not contain weights of efficientnetb0"):
        load_weights(build_backbone("EfficientNetB0", SIZE), path)


def test_a_cut_off_weights_file_is_refused(backbone: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "cut.weights.h5"
    backbone.save_weights(path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match="is truncated"):
        load_weights(build_backbone("EfficientNetB0", SIZE), path)


class Payload:
    """What runs a command of its writer's when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.folder,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    from ripik.models.weights import _with_weights

    trace, path = tmp_path / "opened", tmp_path / "b0.weights.h5"
    path.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(InputError, match="is a Python pickle, which is never opened"):
        _with_weights("EfficientNetB0", str(path))
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists()  # so the file was a trap


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = build_backbone("EfficientNetB0", SIZE)
    values = model.get_weights()
    values[-1][0] = np.nan
    model.set_weights(values)
    model.save_weights(tmp_path / "failed.weights.h5")
    with pytest.raises(InputError, match="are NaN or infinite"):
        load_weights(build_backbone("EfficientNetB0", SIZE), tmp_path / "failed.weights.h5")


def test_a_file_with_the_classification_layer_serves_or_is_refused(backbone: keras.Model, tmp_path: Path) -> None:
    """Keras 3 names weights by layer, so that those of a further layer do no harm; Keras 2 counts the layers."""
    from keras.src.legacy.saving import legacy_h5_format

    with_top = keras.applications.EfficientNetB0(weights=None, classes=7, input_shape=(SIZE, SIZE, 3))
    with_top.set_weights([*backbone.get_weights(), *with_top.get_weights()[-2:]])
    with_top.save_weights(tmp_path / "top.weights.h5")
    found = build_backbone("EfficientNetB0", SIZE)
    load_weights(found, tmp_path / "top.weights.h5")
    np.testing.assert_array_equal(outputs(found, images(2)), outputs(backbone, images(2)))
    with h5py.File(tmp_path / "top.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, with_top)
    with pytest.raises(InputError, match=r"without its top \(it has 132 layers with weights, the network has 131\)"):
        load_weights(found, tmp_path / "top.h5")


def test_a_suffix_reads_back_what_it_saved(backbone: keras.Model, tmp_path: Path) -> None:
    parts = cut(backbone, "block6a")
    inputs = outputs(parts.frozen, images(2))
    first, second = (build_trained_part(inputs.shape[1:], parts.body, CLASSES, dropout=0.1, seed=n) for n in (1, 2))
    assert not np.array_equal(outputs(first, inputs), outputs(second, inputs))
    first.save_weights(tmp_path / "s.weights.h5")
    read_weights(second, tmp_path / "s.weights.h5")
    np.testing.assert_array_equal(outputs(first, inputs), outputs(second, inputs))


def test_random_weights_are_a_pure_function_and_calibrated() -> None:
    one, other = calibrated_on_few(), calibrated_on_few()
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    features = outputs(one, natural_noise(16, 64, 1))
    assert 1e-2 < features.std(axis=0).mean() < 1e2


def test_natural_noise_is_smooth_and_in_range() -> None:
    noise = natural_noise(4, 64, 0)
    assert noise.shape == (4, 64, 64, 3)
    assert noise.min() >= 0
    assert noise.max() <= 255
    assert np.abs(np.diff(noise, axis=1)).mean() < 0.3 * noise.std()


def test_the_schedule_warms_up_and_comes_down() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(CLASSES)])
    compile_model(model, Variant(name="v", learning_rate=0.1, warmup=0.2), 100)
    rate = [float(model.optimizer._learning_rate(step)) for step in (0, 10, 20, 60, 100)]
    np.testing.assert_allclose(rate, [0, 0.05, 0.1, 0.05, 0], atol=1e-6)
    compile_model(model, Variant(name="v", learning_rate=0.1, schedule="constant"), 100)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)


@pytest.fixture
def official_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve an 'official' B0 file from a folder in the place of Keras' download address; return that folder."""
    from keras.src.applications import efficientnet
    from keras.src.legacy.saving import legacy_h5_format

    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "cache"))
    served = tmp_path / "served"
    served.mkdir()
    model = build_backbone("EfficientNetB0", SIZE)
    model.set_weights(shaped())
    layer = normalizations(model)[0]
    layer.adapt_variance.assign(STANDARD_DEVIATION)
    layer.finalize_state()
    with h5py.File(served / "efficientnetb0_notop.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    monkeypatch.setattr(efficientnet, "BASE_WEIGHTS_PATH", served.as_uri() + "/")
    monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", (None, None))
    return served


def test_imagenet_weights_come_by_download_and_then_from_the_cache(official_weights: Path) -> None:
    from ripik.models.weights import _with_weights

    first = _with_weights("EfficientNetB0", "imagenet")
    np.testing.assert_allclose(np.ravel(normalizations(first)[0].variance), STANDARD_DEVIATION**2, rtol=1e-5)
    (official_weights / "efficientnetb0_notop.h5").unlink()
    second = _with_weights("EfficientNetB0", "imagenet")
    np.testing.assert_array_equal(first.get_weights()[5], second.get_weights()[5])


def test_offline_without_cache_tells_the_three_ways(official_weights: Path) -> None:
    from ripik.models.weights import _with_weights

    (official_weights / "efficientnetb0_notop.h5").unlink()
    with pytest.raises(SurroundingsError, match=r"Three ways.*internet.*keras/models.*network.weights"):
        _with_weights("EfficientNetB0", "imagenet")
