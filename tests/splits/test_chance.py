"""Drawings: strokes and shapes that resemble each other without being copies."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from ripik.data.demo.drawing import draw_competition, photo_groups
from ripik.splits.near_copies import chance
from ripik.splits.near_copies.chance import PROVEN, beyond, chance_of, in_families
from ripik.splits.near_copies.clusters import Known
from ripik.splits.near_copies.find import THRESHOLD, near_copy_groups
from ripik.splits.near_copies.in_place import similarity_in_place
from ripik.splits.near_copies.registration import SIZE, prepare, similarity

SIDE = 96
Image = np.ndarray


def digits(count: int, seed: int) -> list[Image]:
    """Handwritten digits of scikit-learn, each a scan of its own, uint8 (64, 64)."""
    scans = load_digits().images
    chosen = np.random.default_rng(seed).permutation(len(scans))[:count]
    bright = [np.minimum(scans[index] * 16, 255).astype(np.uint8) for index in chosen]
    return [cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC) for image in bright]


def drawing(seed: int, kind: int) -> Image:
    """A circle, square or triangle, its size, place, colours and ground its own; every second ground has a texture."""
    rng = np.random.default_rng([seed, kind])
    ground = rng.uniform(30, 225, 3)
    image = np.full((SIDE, SIDE, 3), ground)
    if seed % 2:
        cells = tuple(rng.integers(3, 12, 2).tolist())
        texture = rng.normal(0, 15, (*cells, 3)).astype(np.float32)
        image += cv2.resize(texture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image, 0, 255).astype(np.uint8)
    colour = ((ground + rng.uniform(60, 190, 3)) % 255).tolist()
    radius = rng.uniform(0.12, 0.38) * SIDE
    centre, thickness = rng.uniform(radius, SIDE - radius, 2), -1 if rng.random() < 0.5 else int(rng.integers(2, 6))
    if kind == 0:
        cv2.circle(image, centre.astype(int).tolist(), int(radius), colour, thickness, cv2.LINE_AA)
        return image
    angles = rng.uniform(0, 2 * np.pi) + np.arange(5 - kind) * 2 * np.pi / (5 - kind)
    corners = (centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.int32)
    cv2.drawContours(image, [corners[:, None]], 0, colour, thickness, cv2.LINE_AA)
    return image


def toned(image: Image, contrast: float, brightness: float) -> Image:
    return np.clip((image - 128.0) * contrast + 128 + brightness, 0, 255).astype(np.uint8)


def noisy(image: Image) -> Image:
    return np.clip(image + np.random.default_rng(image.size).normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def compressed(image: Image) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_UNCHANGED)


def trimmed(image: Image) -> Image:
    """Without a fiftieth at two sides."""
    edge = max(len(image) // 50, 1)
    return image[edge:, :-edge]


ALTERATIONS: dict[str, Callable[[Image], Image]] = {
    "darker": lambda image: toned(image, 0.8, -10),
    "noise": noisy,
    "jpeg": compressed,
    "mirror": lambda image: image[:, ::-1],
    "small crop": trimmed,
    "jpeg of a mirrored darker one": lambda image: compressed(np.ascontiguousarray(toned(image, 0.9, -5)[:, ::-1])),
}


def saved(folder: Path, images: list[Image]) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes())
    return paths


def few_or(few: int, many: int) -> pytest.MarkDecorator:
    """Give a test so many images, and more of them in the second ring."""
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.long)])


def alone(group: np.ndarray) -> int:
    """How many images are a group by themselves."""
    return int((np.bincount(group) == 1).sum())


@few_or(60, 120)
def test_different_digits_stay_alone(tmp_path: Path, count: int) -> None:
    assert alone(near_copy_groups(saved(tmp_path, digits(count, seed=31))).group) == count


@pytest.mark.long
def test_different_drawings_stay_alone(tmp_path: Path) -> None:
    drawings = [drawing(seed, seed % 3) for seed in range(1000, 1150)]
    assert alone(near_copy_groups(saved(tmp_path, drawings)).group) >= 148


@pytest.mark.long
@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_digits_join_their_sources_and_no_others(tmp_path: Path, name: str) -> None:
    sources = digits(40, seed=32)
    group = near_copy_groups(saved(tmp_path, [*sources, *map(ALTERATIONS[name], sources)])).group
    assert (group[40:] == group[:40]).sum() >= 38
    assert len(np.unique(group[:40])) >= 39


@pytest.mark.long
@few_or(12, 20)
def test_digits_that_all_have_many_copies(tmp_path: Path, count: int) -> None:
    """No unrelated image is left among the candidates."""
    sources = digits(count, seed=33)
    copies = [toned(image, contrast, 0) for contrast in np.linspace(0.7, 0.98, 8) for image in sources]
    group = near_copy_groups(saved(tmp_path, sources + copies)).group
    assert (group == np.tile(np.arange(count), 9)).mean() > 0.95


@pytest.mark.long
def test_order_and_workers_change_nothing_for_drawings(tmp_path: Path) -> None:
    images = digits(24, seed=34)
    paths = saved(tmp_path, [*images, *map(ALTERATIONS["mirror"], images)])
    order = np.random.default_rng(0).permutation(len(paths))
    straight, shuffled = near_copy_groups(paths), near_copy_groups([paths[index] for index in order], workers=2)
    np.testing.assert_array_equal(shuffled.similarity, straight.similarity[order])
    np.testing.assert_array_equal(
        order[shuffled.matched][shuffled.matched >= 0], straight.matched[order][shuffled.matched >= 0]
    )


@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 2, *[st.floats(0, 0.999)] * 2), min_size=1, max_size=20),
)
def test_similarity_beyond_chance_rises_with_similarity_and_falls_with_chance(
    rows: list[tuple[float, float, float, float]],
) -> None:
    one, other, *nulls = np.array(rows).T
    low, high = np.minimum(one, other), np.maximum(one, other)
    both = np.stack(nulls, axis=1)
    assert (beyond(low, both) <= beyond(high, both)).all()
    assert (beyond(high, np.maximum(both, 0.98)) <= beyond(high, both)).all()
    assert ((beyond(high, both) >= 0) & (beyond(high, both) <= 1)).all()
    np.testing.assert_array_equal(beyond(high, both[:, ::-1]), beyond(high, both))


def test_chance_itself_is_no_proof_and_equality_is_one() -> None:
    null = np.array([[0.98, 0.2], [0.5, 0.99]])
    np.testing.assert_allclose(beyond(null.max(axis=1), null), PROVEN)
    np.testing.assert_array_equal(beyond(np.ones(2), null), 1)


def nothing_alike(pairs: np.ndarray) -> np.ndarray:
    return np.zeros(len(pairs))


def linked(
    pairs: list[tuple[int, int]], weak: list[tuple[int, int]], n: int, resembling: float = 0.4
) -> tuple[Known, np.ndarray]:
    """Pairs that are one photo each, and weaker resemblances between them."""
    scores = dict.fromkeys(pairs, 0.9) | dict.fromkeys(weak, resembling)
    labels = np.arange(n)
    labels[[second for _, second in pairs]] = [one for one, _ in pairs]
    keys = sorted(scores)
    return Known(n, np.array(keys), np.array([scores[key] for key in keys]), nothing_alike), labels


def test_a_family_is_many_groups_that_resemble_each_other() -> None:
    pairs = [(index, index + 1) for index in range(0, 40, 2)]
    flat = np.zeros((40, 7, 64), np.float32)
    chained = [(index, index + 2) for index in range(0, 8, 2)]  # five groups
    known, labels = linked(pairs, chained, 40, resembling=0.53)
    assert np.flatnonzero(in_families(flat, known, labels, THRESHOLD)).tolist() == [*range(10)]
    known, labels = linked(pairs, chained, 40)
    assert not in_families(flat, known, labels, THRESHOLD).any()  # a few families alone are scenes of one kind
    known, labels = linked(pairs, chained[:-1], 40, resembling=0.53)
    assert not in_families(flat, known, labels, THRESHOLD).any()


def test_where_most_are_in_families_no_link_is_trusted() -> None:
    pairs = [(index, index + 1) for index in range(0, 16, 2)]
    known, labels = linked(pairs, [(index, index + 2) for index in range(0, 12, 2)], 20)
    found = in_families(np.zeros((20, 7, 64), np.float32), known, labels, THRESHOLD)
    assert np.flatnonzero(found).tolist() == [*range(16)]


def test_the_null_leaves_an_images_own_group_out_and_grows_with_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(64)
    labels[1] = 0
    flat = np.zeros((64, 7, 64), np.float32)

    def own_alike(pairs: np.ndarray) -> np.ndarray:
        return np.where((pairs < 2).all(axis=1), 0.99, 0.6)

    found = chance_of(flat, np.arange(10), labels, own_alike)
    assert (found[10:] == 0).all()
    np.testing.assert_allclose(found[:10], np.tanh(np.arctanh(0.6) + chance.GROWTH))
    monkeypatch.setattr(chance, "REFERENCES", 8)
    assert (chance_of(flat, np.arange(10), labels, own_alike)[:10] > found[:10]).all()


def test_in_place_a_shifted_circle_is_another_drawing() -> None:
    def circle(x: int, radius: int) -> Image:
        image = np.full((SIZE, SIZE), 230, np.uint8)
        cv2.circle(image, (x, 32), radius, 60, 2, cv2.LINE_AA)
        return image

    one, shifted, larger = (prepare(circle(*where)) for where in ((20, 14), (26, 14), (20, 17)))
    mirrored = prepare(np.ascontiguousarray(toned(circle(20, 14), 0.7, 10)[:, ::-1]))
    for other in (shifted, larger):
        assert similarity(one, other) > 0.8
        assert similarity_in_place(one, other) < 0.8
    assert similarity_in_place(one, mirrored) > 0.98


def test_in_place_a_far_paler_drawing_is_another_one() -> None:
    image = drawing(5, 0)[..., 0]
    small = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert similarity_in_place(prepare(small), prepare(toned(small, 0.6, 0))) > 0.95
    assert similarity_in_place(prepare(small), prepare(toned(small, 0.2, 0))) == 0


@pytest.mark.long
def test_drawn_photos_keep_their_cropped_copies(tmp_path: Path) -> None:
    """The demo's cars differ as photos do, and in place their cropped copies would part."""
    draw_competition(tmp_path / "cars", seed=0, train_photos=120, test_photos=12, size=96)
    paths = [tmp_path / "cars" / "train" / "images" / f"{number}.jpg" for number in range(1, 361)]
    group, truth = near_copy_groups(paths, workers=2).group, photo_groups(seed=0, train_photos=120).to_numpy()
    same_photo = truth[:, None] == truth
    found = (group[:, None] == group)[same_photo].mean()
    assert found > 0.97
    assert (group[:, None] == group)[~same_photo].mean() < 0.002
