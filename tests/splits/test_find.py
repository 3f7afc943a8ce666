from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from ripik.errors import InputError
from ripik.splits.near_copies import find
from ripik.splits.near_copies.find import THRESHOLD, near_copy_groups

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
    assert (groups.similarity >= THRESHOLD).all()


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
    monkeypatch.setattr(find, "FILES", 2)
    monkeypatch.setattr(find, "PAIRS", 2)
    alone, shared = near_copy_groups(album, workers=1), near_copy_groups(album, workers=2)
    np.testing.assert_array_equal(alone.group, shared.group)
    np.testing.assert_array_equal(alone.matched, shared.matched)
    np.testing.assert_array_equal(alone.similarity, shared.similarity)


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


@pytest.mark.parametrize(
    ("content", "workers"),
    [
        *((content, 1) for content in (None, b"", b"no image")),
        (b"no image", 2),  # an error ends the workers, and others are started
        *(pytest.param(content, 2, marks=pytest.mark.long) for content in (None, b"")),
    ],
)
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


def near_white(seed: int) -> np.ndarray:
    """A white panel with a shadow and a few faint curves, each picture with its own: uint8 BGR."""
    rng = np.random.default_rng(seed)
    shadow = cv2.resize(rng.normal(rng.uniform(235, 252), 3, (3, 3)).astype(np.float32), (WIDTH, HEIGHT))
    image = np.repeat(shadow[..., None], 3, axis=2)
    for _ in range(3):
        points = np.cumsum(rng.normal(0, 22, (6, 2)), axis=0) + rng.uniform(30, 110, 2)
        cv2.polylines(image, [points.astype(np.int32)], False, (float(rng.uniform(170, 230)),) * 3, 2, cv2.LINE_AA)
    return np.clip(image + rng.normal(0, 1.5, image.shape), 0, 255).astype(np.uint8)


def test_different_near_white_pictures_do_not_join(tmp_path: Path) -> None:
    pictures = [near_white(seed) for seed in range(60)]
    clipped = [scaled(near_white(seed), 1.2, 20) for seed in range(60, 90)]
    paths = [saved(tmp_path, f"{index}.png", picture) for index, picture in enumerate(pictures + clipped)]
    assert near_copy_groups(paths).group.tolist() == [*range(90)]


def test_near_white_pictures_join_their_copies(tmp_path: Path) -> None:
    """Nearly all of them: some show next to nothing."""
    sources = [near_white(seed) for seed in range(20)]
    copies = [scaled(picture, 0.8, 5)[:, ::-1] for picture in sources]
    paths = [saved(tmp_path, f"{index}.png", picture) for index, picture in enumerate(sources + copies)]
    group = near_copy_groups(paths).group
    assert group[:20].tolist() == [*range(20)]
    assert (group[20:] == group[:20]).sum() >= 18


def test_different_gradients_do_not_join(tmp_path: Path) -> None:
    across = np.linspace(0, 1, WIDTH)[None, :, None] * np.ones((HEIGHT, 1, 1))
    ramps = [
        np.array(start) + across * (np.array(end) - start)
        for start, end in (([0], [255]), ([250], [10]), ([90], [180]))
    ]
    images = [noisy(np.repeat(ramp, 3, axis=2).astype(np.uint8), seed) for seed, ramp in enumerate(ramps)]
    paths = [saved(tmp_path, f"{index}.png", image) for index, image in enumerate(images)]
    assert near_copy_groups(paths).group.tolist() == [0, 1, 2]


def test_many_copies_of_one_photo_are_one_group_beside_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    many = [noisy(scaled(photo(0), rng.uniform(0.7, 1.3), 0)[:, :: rng.choice([-1, 1])], seed) for seed in range(40)]
    paths = [saved(tmp_path, f"{index}.png", image) for index, image in enumerate([*many, photo(1), noisy(photo(1))])]
    assert near_copy_groups(paths).group.tolist() == [0] * 40 + [40] * 2
