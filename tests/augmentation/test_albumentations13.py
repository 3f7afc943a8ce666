"""The image functions: known answers, ranges, and the old version's own formulas."""

from functools import partial

import cv2
import numpy as np
import pytest

from ripik.augmentation import albumentations13

FUNCTIONS = {
    "flip": albumentations13.flip,
    "transpose": albumentations13.transpose,
    "motion_blur": partial(albumentations13.motion_blur, sizes=(3, 5, 7)),
    "gauss_noise": partial(albumentations13.gauss_noise, variance=(10, 50)),
    "optical_distortion": partial(albumentations13.optical_distortion, limit=0.05),
    "grid_distortion": partial(albumentations13.grid_distortion, steps=5, limit=0.3),
    "elastic": partial(albumentations13.elastic, alpha=120, sigma=6, alpha_affine=3.6),
    "shift_hsv": partial(albumentations13.shift_hsv, hue=20, saturation=30, value=20),
    "shift_scale_rotate": partial(albumentations13.shift_scale_rotate, shift=0.0625, scale=0.2, rotate=45),
}


def only(name, seed=0):
    """One function with the source's values and a generator that runs on from call to call."""
    rng = np.random.default_rng(seed)
    return lambda image: FUNCTIONS[name](image, rng)


def photo(height=48, width=64, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def ramp(size):
    """Red holds the column, green the row."""
    image = np.zeros((size, size, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(size), np.arange(size)[:, None]
    return image


class Fixed:
    """A generator whose uniform draws are given."""

    def __init__(self, draws):
        self.draws = np.array(draws, float)

    def uniform(self, *_):
        return self.draws


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_keeps_type_and_leaves_the_image_alone(name):
    image = photo(64, 64)
    image.flags.writeable = False
    made = FUNCTIONS[name](image, np.random.default_rng(1))
    assert (made.shape, made.dtype) == (image.shape, np.uint8)
    assert not np.shares_memory(made, image)
    assert not np.array_equal(made, image)
    np.testing.assert_array_equal(made, FUNCTIONS[name](image, np.random.default_rng(1)))


def test_flip_is_uniform_over_its_three_ways():
    image, apply = photo(64, 64), only("flip")
    ways = [cv2.flip(image, way).tobytes() for way in (0, 1, -1)]
    counts = np.bincount([ways.index(apply(image).tobytes()) for _ in range(900)], minlength=3)
    assert np.abs(counts - 300).max() < 4 * np.sqrt(900 * 2 / 9)


def test_transpose_is_numpys():
    image = photo(48, 64)
    np.testing.assert_array_equal(only("transpose")(image), image.transpose(1, 0, 2))


def test_motion_blur_spreads_a_point_evenly_along_a_short_line():
    apply, image = only("motion_blur"), np.zeros((21, 21, 3), np.uint8)
    image[10, 10] = 252
    extents = []
    for _ in range(200):
        lit = apply(image)[..., 0]
        rows, columns = np.nonzero(lit)
        assert len(set(lit[rows, columns])) == 1
        assert lit.sum() == pytest.approx(252, abs=len(rows))
        extents.append(max(np.ptp(rows), np.ptp(columns)) + 1)
    assert set(extents) == {2, 3, 4, 5, 6, 7}


def test_noise_variance_is_uniform_from_10_to_50():
    apply, grey = only("gauss_noise"), np.full((64, 64, 3), 128, np.uint8)
    drawn = [apply(grey).astype(float) for _ in range(1200)]
    variance = np.array([d.var() - 1 / 12 for d in drawn])
    assert 9.5 < variance.min() < 11.5
    assert 48.5 < variance.max() < 52
    # uniform in the deviation instead, the mean would be 27.5
    assert variance.mean() == pytest.approx(30, abs=4 * 40 / np.sqrt(12 * 1200))
    assert abs(np.corrcoef(drawn[0][..., 0].ravel(), drawn[0][..., 1].ravel())[0, 1]) < 0.07
    # fractions are cut off, as in the old version
    assert np.mean(drawn) == pytest.approx(127.5, abs=0.05)


def test_noise_is_as_normal_as_a_byte_can_tell():
    values = albumentations13._normal_quantiles().astype(float)
    assert (np.diff(values) > 0).all()
    assert values.mean() == pytest.approx(0, abs=1e-6)
    assert values.std() == pytest.approx(1, abs=1e-4)
    assert (values**4).mean() == pytest.approx(3, abs=3e-3)
    assert 4 < values.max() < 4.5


def test_noise_saturates_instead_of_wrapping_round():
    for level in (0, 255):
        noisy = only("gauss_noise")(np.full((64, 64, 3), level, np.uint8))
        assert np.abs(noisy.astype(int) - level).max() < 40


def test_grid_cells_are_stretched_by_up_to_three_tenths():
    apply, image = only("grid_distortion"), ramp(200)  # 5 cells of 40 pixels, nothing left over
    slopes = []
    for _ in range(100):
        columns = apply(image)[100, :, 0].astype(float)
        cells = columns[:120].reshape(3, 40)
        slopes.extend((cells[:, -1] - cells[:, 0]) / 40)
        assert (np.diff(columns[:120]) >= 0).all()
    assert 0.68 < min(slopes) < 0.74
    assert 1.24 < max(slopes) < 1.32


def test_a_cut_off_grid_cell_ends_at_the_edge():
    rng = np.random.default_rng(0)
    assert {float(albumentations13._bent_axis(224, rng, 5, 0.3)[-1]) for _ in range(5)} == {224.0}


def displacement(apply, size=224, inner=40):
    """Sampled column minus own column, away from the border."""
    here = slice(inner, size - inner)
    return apply(ramp(size))[here, here, 0].astype(float) - np.arange(size)[here]


def test_elastic_displaces_by_the_analytic_deviation():
    rng = np.random.default_rng(0)
    fields = [
        displacement(lambda x: albumentations13.elastic(x, rng, alpha=120, sigma=6, alpha_affine=0)) for _ in range(8)
    ]
    # white noise of variance 1/3 under a 2-D Gaussian of deviation sigma
    expected = 120 * np.sqrt(1 / 3) / (2 * np.sqrt(np.pi) * 6)
    assert np.std(fields) == pytest.approx(expected, rel=0.1)


def test_the_affine_part_of_elastic_moves_anchors_by_its_limit():
    rng = np.random.default_rng(0)
    fields = [
        displacement(lambda x: albumentations13.elastic(x, rng, alpha=0, sigma=6, alpha_affine=3.6)) for _ in range(60)
    ]
    anchors = np.abs(np.array(fields)[:, [38, -4], [38, -4]])  # ±74 pixels of the centre, two of the three anchors
    assert 2.5 < anchors.max() <= 5


@pytest.mark.parametrize("k", [-0.05, 0.0, 0.03])
@pytest.mark.parametrize(("height", "width"), [(200, 200), (120, 250)])
def test_optical_distortion_is_the_map_of_the_old_versions_camera(monkeypatch, k, height, width):
    maps = []
    monkeypatch.setattr(cv2, "remap", lambda image, x, y, *_, **__: maps.append((x, y)) or image)
    albumentations13.optical_distortion(np.zeros((height, width, 3), np.uint8), Fixed(k), limit=0.05)
    camera = np.array([[width, 0, width / 2], [0, height, height / 2], [0, 0, 1]], np.float32)
    bend = np.array([k, k, 0, 0, 0], np.float32)
    expected = cv2.initUndistortRectifyMap(camera, bend, None, None, (width, height), cv2.CV_32FC1)
    np.testing.assert_allclose(maps[0], expected, atol=1e-3)


def test_optical_distortion_stays_within_its_limit():
    apply, size = only("optical_distortion"), 200
    shifts = np.array([apply(ramp(size))[size // 2, [10, 50, 100, 150]][:, 0] for _ in range(200)], float)
    shifts -= [10, 50, 100, 150]
    assert np.abs(shifts[:, 2]).max() <= 1
    edge = 0.45**3 * (1 + 0.45**2) * 0.05 * size
    assert 0.7 * edge < np.abs(shifts[:, 0]).max() <= edge + 1
    assert np.abs(shifts[:, 0]).max() > 2 * np.abs(shifts[:, 1]).max() - 1


def warp(monkeypatch, draws, height=100, width=200):
    """The matrix that shift_scale_rotate hands to OpenCV, from output to input as (x, y, 1) → (x, y)."""
    matrices = []
    monkeypatch.setattr(cv2, "warpAffine", lambda image, matrix, *_, **__: matrices.append(matrix) or image)
    FUNCTIONS["shift_scale_rotate"](np.zeros((height, width, 3), np.uint8), Fixed(draws))
    return matrices[0]


def test_no_shift_scale_or_rotation_is_the_identity(monkeypatch):
    np.testing.assert_allclose(warp(monkeypatch, (0, 0, 0, 0)), np.eye(2, 3), atol=1e-12)


def test_rotation_and_zoom_keep_the_middle_and_the_ratio_of_sides(monkeypatch):
    matrix = warp(monkeypatch, (1, -1, 0, 0))
    np.testing.assert_allclose(matrix @ (99.5, 49.5, 1), (99.5, 49.5))
    turned = 0.8 * np.sqrt(0.5)  # 45 degrees, zoomed out by a fifth
    np.testing.assert_allclose(matrix[:, :2], [[turned, turned], [-turned, turned]])


def test_shifts_are_shares_of_each_side_and_not_whole_pixels(monkeypatch):
    np.testing.assert_allclose(warp(monkeypatch, (0, 0, 1, -1))[:, 2], (12.5, -6.25), atol=1e-12)


def test_shift_scale_rotate_draws_each_uniformly_and_independently():
    image, draws = ramp(16), []

    class Recorder:
        generator = np.random.default_rng(0)

        def uniform(self, *arguments):
            draws.append(self.generator.uniform(*arguments))
            return draws[-1]

    for _ in range(400):
        FUNCTIONS["shift_scale_rotate"](image, Recorder())
    found = np.array(draws)
    assert found.shape == (400, 4)
    np.testing.assert_allclose(found.min(0), -1, atol=0.05)
    np.testing.assert_allclose(found.max(0), 1, atol=0.05)
    assert np.abs(np.corrcoef(found.T) - np.eye(4)).max() < 4 / np.sqrt(400)


def test_borders_are_reflected_so_white_stays_white():
    white = np.full((64, 64, 3), 255, np.uint8)
    for name in FUNCTIONS.keys() - {"gauss_noise", "shift_hsv"}:
        apply = only(name)
        assert all((apply(white) == 255).all() for _ in range(20)), name


@pytest.mark.parametrize(
    ("draws", "colour", "expected"),
    [
        ((0, 0, 0), (200, 100, 50), (200, 100, 50)),
        ((1, 0, 0), (255, 0, 0), (255, 170, 0)),  # 20 of OpenCV's hue is 40 degrees
        ((-1, 0, 0), (255, 0, 0), (255, 0, 170)),  # and hue is cyclic
        ((0, -1, 0), (255, 0, 0), (255, 30, 30)),
        ((0, 0, -1), (255, 0, 0), (235, 0, 0)),
        ((0, 0, 1), (250, 0, 0), (255, 0, 0)),
        ((0, 0, 0.99), (100, 0, 0), (119, 0, 0)),  # fractions are cut off
        ((0, 1, 0), (255, 255, 255), (255, 225, 225)),  # 1.3 tints what has no hue
    ],
)
def test_hue_saturation_and_value_shift_as_in_the_old_version(draws, colour, expected):
    image = np.full((2, 2, 3), colour, np.uint8)
    shifted = albumentations13.shift_hsv(image, Fixed(draws), hue=20, saturation=30, value=20)
    np.testing.assert_array_equal(shifted[0, 0], expected)
