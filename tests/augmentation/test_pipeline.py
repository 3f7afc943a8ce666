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

from ripik.augmentation import pipeline as augmentation
from ripik.augmentation.pipeline import alone, build_pipeline, copy_seed, make_copies, make_copy

PROBABILITIES = [1, 0.5, 0.5, 0.5, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1, 0.5, 0.5, 0.5, 0.1]
OWN = {  # of the preset `source`
    "flip": {},
    "transpose": {},
    "motion_blur": {"sizes": (3, 5, 7)},
    "gauss_noise": {"variance": (10, 50)},
    "optical_distortion": {"limit": 0.05},
    "grid_distortion": {"steps": 5, "limit": 0.3},
    "elastic": {"alpha": 120, "sigma": 6, "alpha_affine": 3.6},
    "shift_hsv": {"hue": 20, "saturation": 30, "value": 20},
    "shift_scale_rotate": {"shift": 0.0625, "scale": 0.2, "rotate": 45},
}
STEPS = [
    *("Resize", "flip", "transpose", "RandomBrightnessContrast", "MedianBlur", "motion_blur", "gauss_noise"),
    *("optical_distortion", "grid_distortion", "elastic", "shift_hsv", "CLAHE", "shift_scale_rotate", "CoarseDropout"),
]


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


def digests(jobs, pipeline):
    return [hashlib.sha256(make_copy(photo(seed=i), i, c, pipeline=pipeline, seed=5)).hexdigest() for i, c in jobs]


JOBS = [(i, c) for i in range(6) for c in range(5)]


@pytest.fixture(scope="module")
def pipeline():
    return build_pipeline("source", 64)


def test_the_fourteen_transforms_in_the_source_order_with_its_probabilities(pipeline):
    assert [name_of(t) for t in pipeline.transforms] == STEPS
    assert [t.p for t in pipeline.transforms] == PROBABILITIES
    own = {name_of(t): getattr(t.function, "keywords", {}) for t in pipeline.transforms if hasattr(t, "function")}
    assert own == OWN


def test_the_preset_for_comparison_is_the_new_versions_own():
    steps = build_pipeline("albumentations2", 64).transforms
    assert [name_of(t) for t in steps] == ["Resize", "OneOf", *augmentation.NAMES[2:]]
    assert [t.p for t in steps] == PROBABILITIES
    mirrors = steps[1].transforms
    assert [name_of(t) for t in mirrors] == ["HorizontalFlip", "VerticalFlip"]


NOT_DEFAULTS = {
    "MedianBlur": {"blur_limit"},
    "ElasticTransform": {"alpha", "sigma"},
    "ShiftScaleRotate": {"scale_limit"},
}


def test_what_the_source_did_not_set_has_the_new_versions_default():
    import albumentations

    for step in build_pipeline("albumentations2", 64).transforms[2:]:
        name = name_of(step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, default = step.to_dict()["transform"], getattr(albumentations, name)().to_dict()["transform"]
        differing = {key for key in default if ours[key] != default[key]}
        assert differing - {"p"} == NOT_DEFAULTS.get(name, set()), name


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


@pytest.mark.parametrize("preset", augmentation.PRESETS)
def test_copies_made_together_are_those_made_one_by_one(preset):
    pipeline, image, wanted = build_pipeline(preset, 64), photo(48, 100), [3, 1, 15, 2]
    together = list(make_copies(image, 9, wanted, pipeline=pipeline, seed=4))
    for number, copy in zip(wanted, together, strict=True):
        np.testing.assert_array_equal(copy, make_copy(image, 9, number, pipeline=pipeline, seed=4))


def test_copies_made_together_are_arrays_of_their_own(pipeline):
    image = photo(64, 64)
    copies = list(make_copies(image, 1, range(300), pipeline=pipeline, seed=0))
    before = [copy.copy() for copy in copies[1:]]
    copies[0][:] = 0
    assert all(copy.flags.writeable and not np.shares_memory(copy, image) for copy in copies)
    assert all(np.array_equal(copy, old) for copy, old in zip(copies[1:], before, strict=True))
    assert image.flags.writeable


def test_the_photo_is_resized_once_for_all_copies(pipeline, monkeypatch):
    image, calls, resize = photo(48, 100), [], cv2.resize
    monkeypatch.setattr(cv2, "resize", lambda *args, **kwargs: calls.append(1) or resize(*args, **kwargs))
    list(make_copies(image, 1, range(15), pipeline=pipeline, seed=0))
    assert len(calls) == 1


def test_each_step_alone_is_the_step_itself(pipeline):
    image = photo(64, 64)
    shown = list(alone(image, pipeline, 3))
    assert len(shown) == len(augmentation.NAMES)
    np.testing.assert_array_equal(shown[0], image)
    np.testing.assert_array_equal(shown[2], image.transpose(1, 0, 2))
    np.testing.assert_array_equal(shown[4], cv2.medianBlur(image, 3))
    assert all(not np.array_equal(image, other) for other in shown[1:])
    assert all(np.array_equal(a, b) for a, b in zip(shown, alone(image, pipeline, 3), strict=True))


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
        import ripik.augmentation.pipeline
        assert "albumentations" not in sys.modules
        from test_pipeline import JOBS, build_pipeline, digests
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


def test_dropout_paints_eight_black_squares_of_eight():
    apply, white = only("CoarseDropout", seed=3), np.full((512, 512, 3), 255, np.uint8)
    for _ in range(20):
        dropped = apply(white)
        assert set(np.unique(dropped)) == {0, 255}
        count, _, boxes, _ = cv2.connectedComponentsWithStats((dropped[..., 0] == 0).astype(np.uint8))
        if count == 9:  # the background and eight holes that do not touch
            assert (boxes[1:, 2:] == [8, 8, 64]).all()
        assert 7 * 64 < (dropped[..., 0] == 0).sum() <= 8 * 64


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
