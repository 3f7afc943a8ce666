"""Grad-CAM: planted evidence with known answers, true gradients, and the closed form where it holds."""

import functools

import keras
import numpy as np
import pytest

from ripik.errors import InputError
from ripik.models import backend
from ripik.models.backbone import build_backbone, cut
from ripik.models.gradcam import GradCam, grad_cam
from ripik.models.linear_head import fit
from ripik.models.random_weights import calibrate_batch_norm, natural_noise, random_backbone
from ripik.training.network import build_trained_part

RED, GREEN = 0, 1
SIZE = 64
OTHERS = ("MobileNetV2", "ConvNeXtTiny")  # in the second ring
COLOURS = np.array([[1, -1, -1], [-1, 1, -1]], np.float32).T  # what the two channels of `colour_network` look for


@functools.cache
def backbone(name: str) -> tuple[keras.Model, GradCam]:
    """Return a backbone with random weights that make features of a useful size, and what explains it."""
    keras.utils.set_random_seed(0)
    model = build_backbone(name, SIZE)
    calibrate_batch_norm(model, natural_noise(4, SIZE, 0))
    return model, GradCam(model)


def kernel_of(model: keras.Model, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(model.output.shape[-1], classes)).astype("float32")


def colour_network(size: int) -> keras.Model:
    """Return a network whose two features are how much pure red, and how much pure green, an image has."""
    inputs = keras.Input((size, size, 3))
    maps = keras.layers.Conv2D(2, 1, activation="relu", use_bias=False)(keras.layers.AveragePooling2D(8)(inputs))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(maps))
    model.set_weights([COLOURS[None, None]])
    return model


def plant(images: np.ndarray, patch: np.ndarray, seed: int) -> np.ndarray:
    """Put the patch at a random place of every image; return the places of its corner, (n, 2)."""
    side, size = len(patch), images.shape[1]
    corners = np.random.default_rng(seed).integers(0, size - side + 1, (len(images), 2))
    for image, (top, left) in zip(images, corners, strict=True):
        image[top : top + side, left : left + side] = patch
    return corners


def chessboard(side: int) -> np.ndarray:
    return np.repeat(np.indices((side, side)).sum(axis=0)[..., None] // 4 % 2 * 255.0, 3, axis=2)


def distances(heat: np.ndarray, corners: np.ndarray, side: int, size: int) -> np.ndarray:
    """Return how far each peak's centre is from the patch, in cells of the map; 0: inside."""
    cell = size / heat.shape[1]
    peaks = np.stack(np.unravel_index(heat.reshape(len(heat), -1).argmax(axis=1), heat.shape[1:]), axis=1)
    centres = (peaks + 0.5) * cell
    return np.maximum(np.maximum(corners - centres, centres - corners - side), 0).max(axis=1) / cell


@pytest.mark.parametrize("asked", [RED, GREEN])
def test_of_two_planted_patches_the_map_points_at_the_one_asked_for(asked: int) -> None:
    size, side = 64, 12
    images = natural_noise(50, size, 0) / 4 + 60
    corners = [plant(images, np.full((side, side, 3), colour), seed) for seed, colour in enumerate(np.eye(3)[:2] * 255)]
    apart = np.abs(corners[0] - corners[1]).max(axis=1) > side + 8
    heat = grad_cam(colour_network(size), images[apart], np.full(apart.sum(), asked), np.eye(2, dtype="float32"))
    assert apart.sum() > 30
    assert (distances(heat, corners[asked][apart], side, size) <= 0.5).all()
    assert (distances(heat, corners[1 - asked][apart], side, size) > 0.5).all()


@pytest.mark.long
def test_a_real_backbone_points_at_the_patch_that_decides() -> None:
    size, side = 160, 48
    model = build_backbone("EfficientNetB0", size)
    model.set_weights(random_backbone("EfficientNetB0").get_weights())
    how = GradCam(model)
    images, y = natural_noise(64, size, 0), np.arange(64) % 2
    images[y == 1] = planted(images[y == 1], side)[0]
    head = fit(how.feature_maps(images).mean(axis=(1, 2)), y, 2)
    others, corners = planted(natural_noise(60, size, 1), side)
    maps, classes = how.feature_maps(others), np.ones(60, int)
    assert head.probabilities(maps.mean(axis=(1, 2))).argmax(axis=1).mean() > 0.95
    gaps = distances(how.heat_maps(maps, classes, head.weights / head.scale[:, None]), corners, side, size)
    assert (gaps <= 0.5).mean() >= 0.95
    untrained = distances(how.heat_maps(maps, classes, kernel_of(model)), corners, side, size)
    assert (untrained <= 0.5).mean() < 0.5  # so few peaks are there by chance


def planted(images: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    images = images.copy()
    return images, plant(images, chessboard(side), seed=2)


@pytest.mark.parametrize(
    "name", ["VGG16", *(pytest.param(name, marks=pytest.mark.long) for name in ("EfficientNetB0", *OTHERS))]
)
def test_any_backbone_is_explained_by_its_true_gradient(name: str) -> None:
    model, how = backbone(name)
    kernel, classes = kernel_of(model), np.array([0, 2])
    maps = how.feature_maps(natural_noise(2, SIZE, 1))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(how._tail(maps)),
        model.predict_on_batch(natural_noise(2, SIZE, 1)),
        rtol=1e-4,
        atol=1e-4,
    )
    heat = how.heat_maps(maps, classes, kernel)
    assert heat.shape == maps.shape[:3]
    assert heat.dtype == np.float32
    for image in (0, 1):
        weights = slopes(how, maps[image], kernel[:, classes[image]])
        expected = np.maximum((maps[image] * weights).sum(axis=-1), 0)
        np.testing.assert_allclose(heat[image], expected / max(expected.max(), 1e-9), atol=0.02)


def slopes(how: GradCam, maps: np.ndarray, column: np.ndarray, step: float = 0.05) -> np.ndarray:
    """Return by how much the score of a class rises with each channel of the map, (k,), by central differences."""
    steps = np.eye(maps.shape[-1], dtype="float32")[:, None, None] * step
    up, down = (keras.ops.convert_to_numpy(how._tail(maps + sign * steps)) @ column for sign in (1, -1))
    return (up - down) / (2 * step)


def closed_form(maps: np.ndarray, kernel: np.ndarray, classes: np.ndarray) -> np.ndarray:
    heat = np.maximum(np.einsum("nhwk,nk->nhw", maps, kernel.T[classes]), 0)
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-9)


def test_where_the_network_only_averages_it_is_cam() -> None:
    model, how = backbone("EfficientNetB0")
    kernel, classes = kernel_of(model), np.array([0, 1, 2, 0])
    maps = how.feature_maps(natural_noise(4, SIZE, 1))
    np.testing.assert_allclose(how.heat_maps(maps, classes, kernel), closed_form(maps, kernel, classes), atol=1e-5)


@pytest.mark.long
def test_where_a_norm_follows_the_pooling_cam_is_another() -> None:
    model, how = backbone("ConvNeXtTiny")
    kernel, classes = kernel_of(model), np.array([0, 1, 2, 0])
    maps = how.feature_maps(natural_noise(4, SIZE, 1))
    assert np.abs(how.heat_maps(maps, classes, kernel) - closed_form(maps, kernel, classes)).max() > 0.1


def test_batches_and_neighbours_change_nothing() -> None:
    model, _ = backbone("VGG16")
    images, classes, kernel = natural_noise(5, SIZE, 3), np.array([0, 1, 2, 1, 0]), kernel_of(model)
    together = grad_cam(model, images, classes, kernel)
    np.testing.assert_allclose(grad_cam(model, images, classes, kernel, batch_size=2), together, atol=1e-4)
    np.testing.assert_allclose(grad_cam(model, images[3:4], classes[3:4], kernel)[0], together[3], atol=1e-4)
    assert (together.max(axis=(1, 2)) == 1).any()
    assert together.min() >= 0


def test_evidence_against_the_class_alone_leaves_an_empty_map() -> None:
    images = np.full((1, 64, 64, 3), (255.0, 0, 0))
    heat = grad_cam(colour_network(64), images, np.array([0]), -np.eye(2, dtype="float32"))
    np.testing.assert_array_equal(heat, np.zeros((1, 8, 8)))


def test_the_cut_of_a_training_does_not_matter() -> None:
    model, how = backbone("EfficientNetB0")
    kernel, images, classes = kernel_of(model), natural_noise(2, SIZE, 4), np.array([1, 2])
    before = how.heat_maps(how.feature_maps(images), classes, kernel)
    parts = cut(model, "block6")
    build_trained_part(parts.frozen.output.shape[1:], parts.body, 3, dropout=0.5, seed=0)
    np.testing.assert_array_equal(how.heat_maps(how.feature_maps(images), classes, kernel), before)


def test_weights_loaded_later_are_those_explained() -> None:
    model = colour_network(64)
    how, images = GradCam(model), np.zeros((1, 64, 64, 3))
    images[:, :8, :8, 0] = images[:, 56:, 56:, 1] = 255
    for exchange, corner in ((1, (0, 0)), (-1, (7, 7))):
        model.set_weights([COLOURS[None, None, :, ::exchange]])
        heat = how.heat_maps(how.feature_maps(images), np.array([RED]), np.eye(2, dtype="float32"))[0]
        assert np.unravel_index(heat.argmax(), heat.shape) == corner
        assert heat.sum() == 1


def test_a_network_without_pooling_is_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(InputError, match="no global average pooling"):
        GradCam(keras.Model(inputs, keras.layers.Flatten()(inputs)))


def test_the_gradient_of_a_known_function() -> None:
    array = np.array([[1.0, -2.0], [3.0, 0.5]], np.float32)
    found = backend.gradient(lambda x: keras.ops.sum(x**3), array)
    np.testing.assert_allclose(found, 3 * array**2, rtol=1e-6)


def test_another_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(InputError, match="KERAS_BACKEND=tensorflow"):
        backend.gradient(lambda x: x, np.ones(1, np.float32))
