import numpy as np
import pytest

from ripik.analysis.view_gains import merge
from ripik.features.tta import VIEWS

FLIPS = ("hflip", "vflip", "rot180", "transpose", "transverse")
CROPS = [name for name in VIEWS if name.startswith("crop")]


def images(size: int = 9, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", list(VIEWS))
@pytest.mark.parametrize("size", [32, 33])
def test_a_view_keeps_shape_type_and_its_input(name: str, size: int) -> None:
    batch = images(size)
    before = batch.copy()
    found = VIEWS[name].apply(batch)
    assert (found.shape, found.dtype) == (batch.shape, np.uint8)
    assert np.array_equal(batch, before)


@pytest.mark.parametrize("name", list(VIEWS))
def test_a_view_of_an_image_does_not_depend_on_its_neighbours(name: str) -> None:
    batch = images(count=4)
    whole = VIEWS[name].apply(batch)
    assert np.array_equal(whole[1:3], VIEWS[name].apply(batch[1:3]))


@pytest.mark.parametrize("name", FLIPS)
def test_flips_undo_themselves(name: str) -> None:
    batch = images()
    assert not np.array_equal(VIEWS[name].apply(batch), batch)
    assert np.array_equal(VIEWS[name].apply(VIEWS[name].apply(batch)), batch)


def test_four_quarter_turns_are_one_whole() -> None:
    turned = batch = images()
    for _ in range(4):
        turned = VIEWS["rot90"].apply(turned)
    assert np.array_equal(turned, batch)
    assert np.array_equal(VIEWS["rot270"].apply(VIEWS["rot90"].apply(batch)), batch)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", [[1, 2], [3, 4]]),
        ("hflip", [[2, 1], [4, 3]]),
        ("vflip", [[3, 4], [1, 2]]),
        ("rot180", [[4, 3], [2, 1]]),
        ("transpose", [[1, 3], [2, 4]]),
        ("transverse", [[4, 2], [3, 1]]),
        ("rot90", [[2, 4], [1, 3]]),
        ("rot270", [[3, 1], [4, 2]]),
    ],
)
def test_known_answers(name: str, expected: list[list[int]]) -> None:
    batch = np.repeat(np.array([[1, 2], [3, 4]], np.uint8)[None, :, :, None], 3, axis=3)
    assert VIEWS[name].apply(batch)[0, :, :, 0].tolist() == expected


def test_the_eight_symmetries_are_all_different() -> None:
    symmetries = [view for name, view in VIEWS.items() if name not in CROPS]
    assert len({view.apply(images()).tobytes() for view in symmetries}) == len(symmetries) == 8


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [
        ("crop80_top_left", 0, 0),
        ("crop80_top_right", 0, 1),
        ("crop80_bottom_left", 1, 0),
        ("crop80_bottom_right", 1, 1),
    ],
)
def test_a_corner_crop_keeps_its_corner_and_loses_the_opposite_one(name: str, row: int, column: int) -> None:
    batch = np.zeros((1, 50, 50, 3), np.uint8)
    kept, lost = (slice(0, 5), slice(-5, None)), (slice(-5, None), slice(0, 5))
    batch[:, kept[row], kept[column]] = 200
    batch[:, lost[row], lost[column]] = 100
    found = VIEWS[name].apply(batch)
    corner = found[0, -row, -column]
    assert corner.tolist() == [200, 200, 200]
    assert 100 not in found[0, -1 + row, -1 + column].tolist()


@pytest.mark.parametrize("name", ["crop90", "crop80"])
def test_a_centred_crop_commutes_with_the_flip(name: str) -> None:
    batch, flip, crop = images(40), VIEWS["hflip"], VIEWS[name]
    difference = crop.apply(flip.apply(batch)).astype(int) - flip.apply(crop.apply(batch)).astype(int)
    assert np.abs(difference).max() <= 1


def test_a_crop_of_one_colour_is_that_colour() -> None:
    batch = np.full((1, 41, 41, 3), 77, np.uint8)
    for name in CROPS:
        assert np.array_equal(VIEWS[name].apply(batch), batch)


def test_merges_known_by_hand() -> None:
    two = np.array([[[0.9, 0.1]], [[0.5, 0.5]]])
    assert merge(two, "arithmetic").tolist() == [pytest.approx([0.7, 0.3])]
    # sqrt(0.9 × 0.5) : sqrt(0.1 × 0.5) = 3 : 1
    assert merge(two, "geometric").tolist() == [pytest.approx([0.75, 0.25])]


@pytest.mark.parametrize("how", ["arithmetic", "geometric"])
def test_a_merge_keeps_equal_views_any_order_and_the_sum(how: str) -> None:
    views = np.random.default_rng(0).dirichlet(np.ones(5), (4, 20)).astype("float32")
    merged = merge(views, how)
    assert merged.shape == (20, 5)
    assert merged.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert merge(views[::-1], how) == pytest.approx(merged, abs=1e-6)
    assert merge(np.stack([views[0]] * 3), how) == pytest.approx(views[0], abs=1e-6)


def test_a_geometric_merge_survives_zeros() -> None:
    merged = merge(np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]], "float32"), "geometric")
    assert np.isfinite(merged).all()
    assert merged[0].tolist() == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)
