import hashlib
import json
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from ripik import augmentation
from ripik.augmentation import build_pipeline, copy_seed, make_copy
from ripik.errors import InputError

NAMES = [
    *("Resize", "flip", "Transpose", "RandomBrightnessContrast", "MedianBlur", "motion_blur", "gauss_noise"),
    *("OpticalDistortion", "grid_distortion", "elastic", "shift_hsv", "CLAHE", "Affine", "CoarseDropout"),
]
PROBABILITIES = [1, 0.5, 0.5, 0.5, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1, 0.5, 0.5, 0.5, 0.1]


def name_of(transform):
    function = getattr(transform, "function", type(transform))
    return getattr(function, "func", function).__name__


def only(name, size=64, seed=0):
    """One transform of the pipeline, applied at every call."""
    pipeline = build_pipeline("source", size)
    pipeline.set_random_seed(seed)
    (transform,) = (t for t in pipeline.transforms if name_of(t) == name)
    return lambda image: transform(image=image, force_apply=True)["image"]


def photo(height=48, width=64, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def ramp(size):
    """Red holds the column, green the row."""
    image = np.zeros((size, size, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(size), np.arange(size)[:, None]
    return image


def digests(jobs, pipeline):
    return [hashlib.sha256(make_copy(photo(seed=i), i, c, pipeline=pipeline, seed=5)).hexdigest() for i, c in jobs]


JOBS = [(i, c) for i in range(6) for c in range(5)]


@pytest.fixture(scope="module")
def pipeline():
    return build_pipeline("source", 64)


def test_the_fourteen_transforms_in_the_source_order_with_its_probabilities(pipeline):
    assert [name_of(t) for t in pipeline.transforms] == NAMES
    assert [t.p for t in pipeline.transforms] == PROBABILITIES
    arguments = {name_of(t): getattr(getattr(t, "function", None), "keywords", {}) for t in pipeline.transforms}
    assert {name: given for name, given in arguments.items() if given} == {
        "motion_blur": {"sizes": (3, 5, 7)},
        "gauss_noise": {"variance": (10, 50)},
        "grid_distortion": {"steps": 5, "limit": 0.3},
        "elastic": {"alpha": 120, "sigma": 6, "alpha_affine": 3.6},
        "shift_hsv": {"hue": 20, "saturation": 30, "value": 20},
    }


@pytest.mark.parametrize("preset", augmentation.PRESETS)
def test_building_is_strict_and_without_a_warning(preset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build_pipeline(preset, 64).strict
    assert cv2.getNumThreads() == 1


def test_an_argument_that_albumentations_does_not_know_is_refused(monkeypatch):
    import albumentations

    presets = {"typo": lambda size: [albumentations.CoarseDropout(max_holes=8, p=0.1)]}
    monkeypatch.setattr(augmentation, "PRESETS", presets)
    with pytest.warns(UserWarning, match="max_holes"), pytest.raises(ValueError, match="max_holes"):
        build_pipeline("typo", 64)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match=r"'sauce'.*source"):
        build_pipeline("sauce", 64)


def test_a_copy_is_a_uint8_square_and_the_photo_is_left_alone(pipeline):
    image = photo(48, 100)
    before = image.copy()
    for number in range(30):
        copy = make_copy(image, 1, number, pipeline=pipeline, seed=0)
        assert (copy.shape, copy.dtype) == ((64, 64, 3), np.uint8)
    np.testing.assert_array_equal(image, before)


def test_a_copy_never_shares_memory_with_its_photo(pipeline):
    image = photo(64, 64)
    copies = (make_copy(image, 1, number, pipeline=pipeline, seed=0) for number in range(2000))
    bare = next(copy for copy in copies if np.array_equal(copy, image))  # one in 200: nothing fired
    assert not np.shares_memory(bare, image)


@pytest.mark.parametrize("bad", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))])
def test_other_arrays_are_refused(pipeline, bad):
    with pytest.raises(ValueError, match="uint8"):
        make_copy(bad, 1, 0, pipeline=pipeline, seed=0)


def test_the_order_of_calls_and_earlier_calls_do_not_matter(pipeline):
    forward = digests(JOBS, pipeline)
    pipeline(image=photo())
    assert digests(JOBS[::-1], pipeline)[::-1] == forward
    assert digests(JOBS[7:9], build_pipeline("source", 64)) == forward[7:9]


def test_another_process_makes_the_same_copies_and_asks_no_network(pipeline):
    script = """
        import json, os, sys, urllib.request
        sys.path.insert(0, sys.argv[1])
        os.environ.pop("NO_ALBUMENTATIONS_UPDATE", None)
        urllib.request.OpenerDirector.open = lambda *a, **k: os._exit(9)
        import ripik.augmentation
        assert "albumentations" not in sys.modules
        from test_augmentation import JOBS, build_pipeline, digests
        print(json.dumps(digests(JOBS, build_pipeline("source", 64))))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == digests(JOBS, pipeline)


def test_copy_number_id_and_seed_each_change_the_copy(pipeline):
    image = photo()

    def pixels(image_id, number, seed):
        return make_copy(image, image_id, number, pipeline=pipeline, seed=seed).tobytes()

    assert len({pixels(1, number, 0) for number in range(15)}) == 15
    assert len({pixels(1, 2, 0), pixels(2, 1, 0), pixels(1, 2, 1)}) == 3


def test_copy_seed_is_a_fixed_number():
    first = hashlib.sha256(b'[42, "7", 3]').hexdigest()[:16]
    assert copy_seed(7, 3, 42) == int(first, 16) == copy_seed("7", 3, 42) == copy_seed(np.int64(7), 3, 42)
    assert len({copy_seed(i, c, s) for i in range(12) for c in range(12) for s in range(12)}) == 12**3
    assert copy_seed("1", 11, 0) != copy_seed("11", 1, 0)


def test_transforms_fire_at_their_own_rates_and_independently(pipeline):
    """With set_random_seed they would all fire together: the same first draw decides each of them."""
    image, fired = photo(64, 64), []
    for number in range(600):
        make_copy(image, "x", number, pipeline=pipeline, seed=1)
        fired.append([bool(t.params) for t in pipeline.transforms[1:]])
    fired = np.array(fired, float)
    expected = np.array(PROBABILITIES[1:])
    np.testing.assert_allclose(fired.mean(0), expected, atol=4 * np.sqrt(0.25 / 600))
    correlation = np.corrcoef(fired.T) - np.eye(len(expected))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(600)


def test_flip_is_uniform_over_its_three_ways():
    image, apply = photo(64, 64), only("flip")
    ways = [cv2.flip(image, way).tobytes() for way in (0, 1, -1)]
    counts = np.bincount([ways.index(apply(image).tobytes()) for _ in range(900)], minlength=3)
    assert np.abs(counts - 300).max() < 4 * np.sqrt(900 * 2 / 9)


def test_transpose_and_median_blur_are_numpy_and_opencv():
    image = photo(64, 64)
    np.testing.assert_array_equal(only("Transpose")(image), image.transpose(1, 0, 2))
    np.testing.assert_array_equal(only("MedianBlur")(image), cv2.medianBlur(image, 3))


def test_brightness_moves_black_by_a_fifth_of_the_maximum_and_contrast_scales():
    apply = only("RandomBrightnessContrast")
    image = np.zeros((4, 4, 3), np.uint8)
    image[2:] = 100
    moved = np.array([apply(image)[[0, 2], 0, 0] for _ in range(400)], float)
    black, grey = moved.T
    assert 48 <= black.max() <= 51  # by the image's mean it would be at most 10
    slope = ((grey - black) / 100)[black > 0]
    assert 0.79 <= slope.min() < 0.82
    assert 1.18 < slope.max() <= 1.21


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
    # fractions are cut off, as in 1.3
    assert np.mean(drawn) == pytest.approx(127.5, abs=0.05)


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
    assert {float(augmentation._bent_axis(224, rng, 5, 0.3)[-1]) for _ in range(5)} == {224.0}


def displacement(apply, size=224, inner=40):
    """Sampled column minus own column, away from the border."""
    here = slice(inner, size - inner)
    return apply(ramp(size))[here, here, 0].astype(float) - np.arange(size)[here]


def test_elastic_displaces_by_the_analytic_deviation():
    rng = np.random.default_rng(0)
    fields = [
        displacement(lambda x: augmentation.elastic(x, rng, alpha=120, sigma=6, alpha_affine=0)) for _ in range(8)
    ]
    # white noise of variance 1/3 under a 2-D Gaussian of deviation sigma
    expected = 120 * np.sqrt(1 / 3) / (2 * np.sqrt(np.pi) * 6)
    assert np.std(fields) == pytest.approx(expected, rel=0.1)


def test_the_affine_part_of_elastic_moves_anchors_by_its_limit():
    rng = np.random.default_rng(0)
    fields = [
        displacement(lambda x: augmentation.elastic(x, rng, alpha=0, sigma=6, alpha_affine=3.6)) for _ in range(60)
    ]
    anchors = np.abs(np.array(fields)[:, [38, -4], [38, -4]])  # ±74 pixels of the centre, two of the three anchors
    assert 2.5 < anchors.max() <= 5


def test_optical_distortion_is_radial_and_small():
    apply, size = only("OpticalDistortion"), 200
    shifts = np.array([apply(ramp(size))[size // 2, [10, 50, 100, 150]][:, 0] for _ in range(200)], float)
    shifts -= [10, 50, 100, 150]
    assert np.abs(shifts[:, 2]).max() <= 1
    # u(1 + k u²(1 + u²)) from the centre, u = 0.45 of the width, |k| at most 0.05
    edge = 0.45**3 * (1 + 0.45**2) * 0.05 * size
    assert 0.7 * edge < np.abs(shifts[:, 0]).max() <= edge + 1
    assert np.abs(shifts[:, 0]).max() > 2 * np.abs(shifts[:, 1]).max() - 1


def test_affine_rotates_scales_and_shifts_within_the_source_limits():
    size = 200
    transform = next(t for t in build_pipeline("source", size).transforms if name_of(t) == "Affine")
    transform.set_random_seed(0)
    drawn = [transform(image=ramp(size), force_apply=True) and dict(transform.params) for _ in range(400)]
    matrices = np.array([d["matrix"] for d in drawn])
    scale = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    angle = np.rad2deg(np.arctan2(matrices[:, 0, 1], matrices[:, 0, 0]))
    centre = np.array([size / 2 - 0.5, size / 2 - 0.5, 1])
    shift = (matrices @ centre - centre)[:, :2]
    np.testing.assert_allclose(np.hypot(matrices[:, 0, 1], matrices[:, 1, 1]), scale)  # keeps the ratio
    for values, limits in ((scale, (0.8, 1.2)), (angle, (-45, 45)), (shift[:, 0], (-12, 12)), (shift[:, 1], (-12, 12))):
        assert (values.min(), values.max()) == pytest.approx(limits, rel=0.05, abs=0.02)


def test_borders_are_reflected_so_white_stays_white():
    white = np.full((64, 64, 3), 255, np.uint8)
    for name in ("flip", "Transpose", "motion_blur", "OpticalDistortion", "grid_distortion", "elastic", "Affine"):
        apply = only(name)
        assert all((apply(white) == 255).all() for _ in range(20)), name


def test_dropout_paints_eight_black_squares_of_eight():
    apply, white = only("CoarseDropout", seed=3), np.full((512, 512, 3), 255, np.uint8)
    for _ in range(20):
        dropped = apply(white)
        assert set(np.unique(dropped)) == {0, 255}
        count, _, boxes, _ = cv2.connectedComponentsWithStats((dropped[..., 0] == 0).astype(np.uint8))
        if count == 9:  # the background and eight holes that do not touch
            assert (boxes[1:, 2:] == [8, 8, 64]).all()
        assert 7 * 64 < (dropped[..., 0] == 0).sum() <= 8 * 64


class Fixed:
    """A generator whose uniform draws are given."""

    def __init__(self, draws):
        self.draws = np.array(draws, float)

    def uniform(self, *_):
        return self.draws


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
    shifted = augmentation.shift_hsv(image, Fixed(draws), hue=20, saturation=30, value=20)
    np.testing.assert_array_equal(shifted[0, 0], expected)


def test_clahe_equalises_lightness_with_a_limit_from_one_to_four():
    transform = next(t for t in build_pipeline("source", 64).transforms if name_of(t) == "CLAHE")
    image = photo(64, 64) // 4 + 96
    got = transform(image=image, force_apply=True)["image"]
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    limits = [transform.get_params()["clip_limit"] for _ in range(300)]
    equaliser = cv2.createCLAHE(transform.params["clip_limit"], (8, 8))
    lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
    np.testing.assert_array_equal(got, cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    assert (min(limits), max(limits)) == pytest.approx((1, 4), abs=0.1)
