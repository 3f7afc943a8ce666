import cv2
import numpy as np
import pytest

from ripik.splits.near_copies.registration import (
    MOVES,
    REACH,
    SIZE,
    TURNS,
    agreement,
    coarse_fits,
    effective_samples,
    locally_normalised,
    prepare,
    pulled,
    refine,
    similarity,
    turned,
)

LARGE = 240


def scene(seed: int) -> np.ndarray:
    """Shapes on a gradient, uint8 grey (LARGE, LARGE)."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.linspace(*rng.uniform(60, 200, 2), LARGE)[None], LARGE, axis=0).astype(np.uint8)
    for _ in range(16):
        centre, axes = rng.integers(0, LARGE, 2).tolist(), rng.integers(6, 60, 2).tolist()
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(0, 255)), -1)
    return image


def thumbnail(image: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(image), (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def cropped(image: np.ndarray, left: float, right: float, top: float, bottom: float) -> np.ndarray:
    """What lies between moved edges, as `refine` tells them."""
    x, y = (np.rint([low * LARGE, (1 + high) * LARGE]).astype(int) for low, high in ((left, right), (top, bottom)))
    return image[slice(*y), slice(*x)]


def noisy(image: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    return np.clip(image + np.random.default_rng(seed).normal(0, deviation, image.shape), 0, 255).astype(np.uint8)


CROPS = [(0.1, -0.1, 0.1, -0.1), (0.0, -0.1, 0.0, -0.1), (0.07, -0.02, 0.0, -0.09), (0.03, 0.0, 0.04, -0.04)]


@pytest.mark.parametrize("turn", range(len(TURNS)))
@pytest.mark.parametrize("crop", CROPS)
def test_the_turn_and_the_edges_of_a_crop_are_found(turn: int, crop: tuple[float, ...]) -> None:
    whole = prepare(thumbnail(scene(1)))
    part = thumbnail(cropped(scene(1), *crop))
    backwards = next(k for k in range(len(TURNS)) if (turned(turned(part, turn), k) == part).all())
    copy = prepare(turned(part, turn))
    score, found, guess = coarse_fits(copy.detail, whole.detail)[0]
    assert (found, score > 0.8) == (backwards, True)
    edges = refine(turned(copy.smooth, found), whole.smooth, guess)
    np.testing.assert_allclose(edges, crop, atol=0.006)
    assert agreement(turned(copy.smooth, found), whole.smooth, edges) > 0.8


def test_eight_different_turns_and_each_has_one_that_undoes_it() -> None:
    image = np.arange(9.0).reshape(3, 3)
    turns = [turned(image, turn) for turn in range(8)]
    assert len({view.tobytes() for view in turns}) == 8
    assert all(any((turned(view, k) == image).all() for k in range(8)) for view in turns)


def test_moved_edges_show_what_lies_between_them() -> None:
    ramp = np.tile(np.arange(SIZE, dtype=np.float32), (SIZE, 1))
    view = pulled(ramp, np.array([0.25, 0.0, 0.0, 0.0]))  # columns 16…64 stretched over 64
    np.testing.assert_allclose(view[5, 1:-1], (16 + (np.arange(SIZE) + 0.5) * 0.75 - 0.5)[1:-1], atol=0.05)
    np.testing.assert_array_equal(pulled(ramp, np.zeros(4)), ramp)
    assert (pulled(ramp, np.array([-0.25, 0.0, 0.0, 0.0]))[:, :8] < 0).all()  # beyond the image


def test_a_guess_that_cannot_be_improved_is_kept_within_reach() -> None:
    flat = np.full((SIZE, SIZE), 128, np.float32)
    np.testing.assert_allclose(refine(flat, flat, MOVES[0] + MOVES[0]), MOVES[0] + MOVES[0])
    for seed in range(20):
        one, other = (prepare(thumbnail(scene(number))).smooth for number in (seed, seed + 50))
        assert np.abs(refine(one, other, MOVES[0] + MOVES[0])).max() < REACH


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("offset", [-70, 0, 70])
def test_tones_and_their_clipping_hardly_matter(gain: float, offset: float) -> None:
    image = thumbnail(scene(2)).astype(float)
    toned = np.clip((image - 128) * gain + 128 + offset, 0, 255).astype(np.uint8)
    assert similarity(prepare(image.astype(np.uint8)), prepare(toned)) > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_alike_and_other_scenes_are_not(seed: int) -> None:
    image = prepare(thumbnail(scene(seed)))
    copy = prepare(
        thumbnail(noisy(cv2.GaussianBlur(cropped(scene(seed), 0.1, 0, 0.02, -0.06), (0, 0), 2), 20)[:, ::-1])
    )
    assert similarity(image, image) > 0.9
    assert similarity(image, copy) > 0.7
    assert all(similarity(image, prepare(thumbnail(scene(other)))) < 0.4 for other in range(5) if other != seed)


def test_a_rotated_scene_is_no_copy() -> None:
    rotation = cv2.getRotationMatrix2D((LARGE / 2, LARGE / 2), 20, 1.0)
    rotated = cv2.warpAffine(scene(3), rotation, (LARGE, LARGE), borderMode=cv2.BORDER_REFLECT_101)
    assert similarity(prepare(thumbnail(scene(3))), prepare(thumbnail(rotated))) < 0.4


def line(place: int) -> np.ndarray:
    image = np.full((LARGE, LARGE), 245, np.uint8)
    cv2.line(image, (0, place), (LARGE, place + 40), 120, 4, cv2.LINE_AA)
    return thumbnail(noisy(image, 1.5, seed=place))


def test_one_line_on_white_proves_less_than_a_scene() -> None:
    """Both pairs are one and the same line, or scene, but for the noise."""
    lines = similarity(prepare(line(90)), prepare(line(95)))
    scenes = similarity(prepare(thumbnail(noisy(scene(4), 2, 1))), prepare(thumbnail(noisy(scene(4), 2, 2))))
    assert lines < 0.75 < scenes


def test_flat_images_are_alike_to_nothing() -> None:
    flat = [prepare(np.full((SIZE, SIZE), tone, np.uint8)) for tone in (0, 128, 255)]
    grain = [prepare(noisy(np.full((SIZE, SIZE), 128.0), 3, seed)) for seed in (1, 2)]
    pairs = [(a, b) for a in flat + grain for b in flat + grain if a is not b]
    assert max(similarity(a, b) for a, b in pairs) < 0.2
    assert similarity(flat[1], flat[1]) == 0.0


def test_effective_samples_of_white_noise_are_its_pixels_less_the_share_of_faint_ones() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.choice([-1.0, 1.0], (2, SIZE, SIZE))
    assert effective_samples(one, other) == pytest.approx(SIZE**2, rel=0.05)
    half = np.zeros((SIZE, SIZE))
    half[:, : SIZE // 2] = 1
    assert effective_samples(one * half, other * half) == pytest.approx(SIZE**2 / 2, rel=0.15)
    smooth = cv2.GaussianBlur(one, (0, 0), 3.0), cv2.GaussianBlur(other, (0, 0), 3.0)
    assert effective_samples(*smooth) < SIZE**2 / 30


def test_correlations_of_smooth_maps_vary_as_their_effective_samples_say() -> None:
    """Of independent maps, whose product is spread over the whole map but for its ups and downs (a share of 0.4)."""
    rng = np.random.default_rng(1)
    low = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None]) < 0.08
    maps = np.fft.ifft2(np.fft.fft2(rng.normal(size=(600, SIZE, SIZE))) * low).real
    maps -= maps.mean(axis=(1, 2), keepdims=True)
    pairs = list(zip(maps[::2], maps[1::2], strict=True))
    correlations = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]
    samples = np.mean([effective_samples(a, b) for a, b in pairs])
    assert 1 < 1 / np.var(correlations) / samples < 3


def test_local_normalisation_takes_brightness_and_contrast_away_and_keeps_noise_small() -> None:
    image = thumbnail(scene(5)).astype(np.float32)
    np.testing.assert_allclose(
        locally_normalised(image * 0.5 + 40, 3.0, 1.0), locally_normalised(image, 3.0, 4.0), atol=1e-3
    )
    noise = np.random.default_rng(0).normal(128, 0.5, (SIZE, SIZE)).astype(np.float32)
    assert locally_normalised(noise, 3.0, 4.0).std() < 0.3
