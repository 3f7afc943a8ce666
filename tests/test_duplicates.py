from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from ripik import duplicates
from ripik.duplicates import TURNS, near_copy_groups
from ripik.errors import InputError

HEIGHT, WIDTH = 120, 160


def photo(seed: int) -> np.ndarray:
    """A scene of its own: shapes on a gradient, uint8 BGR."""
    rng = np.random.default_rng(seed)
    image = np.linspace(rng.uniform(60, 200, 3), rng.uniform(60, 200, 3), WIDTH).astype(np.uint8)
    image = np.repeat(image[None], HEIGHT, axis=0)
    for _ in range(14):
        centre = tuple(int(value) for value in rng.integers(0, (WIDTH, HEIGHT)))
        axes = tuple(int(value) for value in rng.integers(4, 40, 2))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return image


def noisy(image: np.ndarray, seed: int = 9) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 18, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def scaled(image: np.ndarray, contrast: float, brightness: float) -> np.ndarray:
    return np.clip((image - 128.0) * contrast + 128 + brightness, 0, 255).astype(np.uint8)


def saturated(image: np.ndarray, factor: float) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float64)
    return np.clip(grey + factor * (image - grey), 0, 255).astype(np.uint8)


def compressed(image: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 12])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def cropped(image: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    inner = image[int(top * HEIGHT) : HEIGHT - int(bottom * HEIGHT), int(left * WIDTH) : WIDTH - int(right * WIDTH)]
    return cv2.resize(inner, (WIDTH, HEIGHT))


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise": noisy,
    "blur": lambda image: cv2.GaussianBlur(image, (0, 0), 2.0),
    "brighter": lambda image: scaled(image, 1.0, 40),
    "flatter": lambda image: scaled(image, 0.5, -20),
    "grey": lambda image: saturated(image, 0.0),
    "vivid": lambda image: saturated(image, 1.6),
    "jpeg": compressed,
    "half size": lambda image: cv2.resize(image, (WIDTH // 2, HEIGHT // 2)),
    "mirror": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "quarter turn": np.rot90,
    "transposed": lambda image: image.swapaxes(0, 1),
    "crop all round": lambda image: cropped(image, 0.1, 0.1, 0.1, 0.1),
    "crop one corner": lambda image: cropped(image, 0.0, 0.0, 0.1, 0.1),
    "crop, mirror, noise": lambda image: noisy(cropped(image, 0.1, 0.03, 0.02, 0.08)[:, ::-1]),
}


def saved(folder: Path, name: str, image: np.ndarray) -> Path:
    path = folder / name
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes())
    return path


@pytest.fixture
def album(tmp_path: Path) -> list[Path]:
    """Five photos; the first three also as an altered copy, the fourth also byte by byte."""
    paths = [saved(tmp_path, f"{seed}.png", photo(seed)) for seed in range(5)]
    for seed, name in enumerate(("noise", "mirror", "crop one corner")):
        paths.append(saved(tmp_path, f"{seed}_copy.png", ALTERATIONS[name](photo(seed))))
    return [*paths, saved(tmp_path, "3_same.png", photo(3))]


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_photo_joins_its_source_and_no_other(tmp_path: Path, name: str) -> None:
    sources = [saved(tmp_path, f"{seed}.png", photo(seed)) for seed in range(10, 16)]
    copies = [saved(tmp_path, f"{seed}_copy.png", ALTERATIONS[name](photo(seed))) for seed in range(10, 16)]
    groups = near_copy_groups(sources + copies)
    assert groups.group.tolist() == [*range(6)] * 2
    assert groups.matched.tolist() == [*range(6, 12), *range(6)]
    assert (groups.similarity >= 0.75).all()


def test_two_opposite_crops_of_one_photo_are_one_group(tmp_path: Path) -> None:
    one, other = cropped(photo(1), 0.1, 0.1, 0, 0), cropped(photo(1), 0, 0, 0.1, 0.1)
    assert near_copy_groups([saved(tmp_path, "a.png", one), saved(tmp_path, "b.png", other)]).group.tolist() == [0, 0]


def test_album_fields(album: list[Path]) -> None:
    groups = near_copy_groups(album)
    assert groups.group.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert groups.matched.tolist() == [5, 6, 7, 8, -1, 0, 1, 2, 3]
    assert groups.similarity[[3, 8]].tolist() == [1.0, 1.0]
    assert np.isnan(groups.similarity).tolist() == [index == 4 for index in range(9)]
    assert [groups.group.dtype, groups.matched.dtype, groups.similarity.dtype] == [np.int64, np.int64, np.float64]


def test_another_order_of_the_paths_only_renames_the_groups(album: list[Path]) -> None:
    straight = near_copy_groups(album)
    order = np.random.default_rng(0).permutation(len(album))
    shuffled = near_copy_groups([album[index] for index in order])
    np.testing.assert_array_equal(shuffled.similarity, straight.similarity[order])
    for a, b in combinations(range(len(album)), 2):
        together = straight.group[order[a]] == straight.group[order[b]]
        assert (shuffled.group[a] == shuffled.group[b]) == together


def test_worker_processes_change_nothing(album: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "TASK", 2)
    alone, shared = near_copy_groups(album, workers=1), near_copy_groups(album, workers=2)
    np.testing.assert_array_equal(alone.group, shared.group)
    np.testing.assert_array_equal(alone.matched, shared.matched)
    np.testing.assert_array_equal(alone.similarity, shared.similarity)


def test_small_blocks_find_the_same_candidates(album: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = np.stack([duplicates._read(path)[2] for path in album * 5])
    descriptors += np.random.default_rng(0).normal(0, 1e-3, descriptors.shape).astype(np.float32)
    whole = duplicates._candidates(descriptors)
    monkeypatch.setattr(duplicates, "BLOCK_CELLS", 1)
    np.testing.assert_array_equal(duplicates._candidates(descriptors), whole)
    assert (whole[:, 0] < whole[:, 1]).all()


def test_flat_images_group_only_when_their_bytes_are_equal(tmp_path: Path) -> None:
    shades = [np.full((40, 40, 3), shade, np.uint8) for shade in (0, 0, 200, 255)]
    grain = [noisy(shades[2], seed) for seed in (1, 2)]
    paths = [saved(tmp_path, f"{index}.png", image) for index, image in enumerate(shades + grain)]
    assert near_copy_groups(paths).group.tolist() == [0, 0, 2, 3, 4, 5]


def test_more_byte_identical_files_than_neighbours(tmp_path: Path) -> None:
    paths = [saved(tmp_path, f"{index}.png", photo(0)) for index in range(15)]
    groups = near_copy_groups(paths)
    assert groups.group.tolist() == [0] * 15
    assert groups.matched.tolist() == [1] + [0] * 14
    assert groups.similarity.tolist() == [1.0] * 15


def test_none_and_one(album: list[Path]) -> None:
    assert near_copy_groups([]).group.tolist() == []
    groups = near_copy_groups(album[:1])
    assert (groups.group.tolist(), groups.matched.tolist()) == ([0], [-1])
    assert np.isnan(groups.similarity).all()


@pytest.mark.parametrize("content", [None, b"", b"no image"])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_unreadable_image_is_named(album: list[Path], content: bytes | None, workers: int) -> None:
    bad = album[0].with_name("bad.jpg")
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.jpg"):
        near_copy_groups([*album, bad], workers=workers)


def test_progress_rises_to_the_number_of_images(album: list[Path]) -> None:
    seen: list[int] = []
    near_copy_groups(album, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(album)


def test_opencv_threads_are_left_as_they_were(album: list[Path]) -> None:
    before = cv2.getNumThreads()
    near_copy_groups(album)
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_turned_descriptors_are_those_of_the_turned_image(turn: int) -> None:
    thumbnail = cv2.resize(cv2.cvtColor(photo(3), cv2.COLOR_RGB2GRAY), (64, 64))
    transposed, x, y = TURNS[turn]
    turned = (thumbnail.T if transposed else thumbnail)[::y, ::x]
    expected = duplicates._describe(np.ascontiguousarray(turned))[:2]  # the whole and the central crop stay in place
    np.testing.assert_allclose(duplicates._turned(duplicates._describe(thumbnail))[turn][:2], expected, atol=2e-3)


def settled(scores: dict[tuple[int, int], float], n: int, others: float) -> list[set[int]]:
    """Groups for known scores, every pair not among them scoring `others`."""
    pairs = np.array(sorted(scores))
    labels, *_ = duplicates._settle(
        n, pairs, np.array([scores[tuple(pair)] for pair in pairs]), 0.7, lambda new: np.full(len(new), others)
    )
    return [set(np.flatnonzero(labels == label).tolist()) for label in dict.fromkeys(labels)]


def test_a_weak_link_does_not_chain_two_photos() -> None:
    inside = dict.fromkeys([*combinations(range(3), 2), *combinations(range(3, 6), 2)], 0.95)
    assert settled({**inside, (2, 3): 0.72}, 6, others=0.2) == [{0, 1, 2}, {3, 4, 5}]
    assert settled({**inside, (2, 3): 0.72}, 6, others=0.7) == [set(range(6))]


def test_one_failed_comparison_does_not_split_a_group() -> None:
    assert settled({(0, 1): 0.9, (1, 2): 0.9}, 3, others=0.4) == [{0, 1, 2}]


def test_a_huge_component_keeps_only_its_strong_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "LARGE_GROUP", 4)
    chain = {(index, index + 1): 0.95 if index % 2 == 0 else 0.75 for index in range(9)}
    assert settled(chain, 10, others=0.9) == [{index, index + 1} for index in range(0, 10, 2)]
