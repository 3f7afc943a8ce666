"""The contact sheet of the augmentation."""

import cv2
import numpy as np
import pytest

from conftest import Tiny, draw_photo
from ripik.augmentation.contact_sheet import COPIES, GAP, HEADERS, LINE, contact_sheet, preview
from ripik.augmentation.pipeline import NAMES, PRESETS, build_pipeline, make_copy
from ripik.data.image_files import decode
from ripik.errors import InputError
from ripik.settings import AugmentationSettings

TILE = 64
HOW = AugmentationSettings(size=64)
TOP = GAP + 2 * LINE + GAP  # where the first row begins
ROW = LINE + GAP + TILE + GAP


def tile_at(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = TOP + row * ROW + LINE + GAP, GAP + column * (TILE + GAP)
    return sheet[top : top + TILE, left : left + TILE]


def photos(count: int) -> list[tuple[str, np.ndarray]]:
    return [(str(seed), draw_photo(seed)) for seed in range(count)]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_row_a_photo_and_a_column_a_transform_or_copy(preset: str) -> None:
    sheet = contact_sheet(photos(3), AugmentationSettings(size=64, preset=preset), TILE)
    assert sheet.dtype == np.uint8
    assert len(HEADERS) == len(NAMES)
    assert sheet.shape == (TOP + 3 * ROW + GAP, GAP + (len(NAMES) + COPIES) * (TILE + GAP), 3)


def test_the_first_column_is_the_photo_and_the_last_ones_are_what_training_sees() -> None:
    sheet, pipeline = contact_sheet(photos(2), HOW, TILE), build_pipeline("source", 64)
    for row, (image_id, photo) in enumerate(photos(2)):
        resized = cv2.resize(photo, (64, 64))
        np.testing.assert_array_equal(tile_at(sheet, row, 0), resized)
        np.testing.assert_array_equal(tile_at(sheet, row, 2), resized.transpose(1, 0, 2))
        for number in range(1, COPIES + 1):
            copy = make_copy(photo, image_id, number, pipeline=pipeline, seed=HOW.seed)
            np.testing.assert_array_equal(tile_at(sheet, row, len(NAMES) + number - 1), copy)


def test_every_transform_shows() -> None:
    sheet = contact_sheet(photos(1), HOW, TILE)
    tiles = {tile_at(sheet, 0, column).tobytes() for column in range(len(NAMES))}
    assert len(tiles) == len(NAMES)


def test_every_header_is_written_and_fits_its_column() -> None:
    sheet = contact_sheet(photos(1), HOW, 128)
    header = sheet[: GAP + 2 * LINE, GAP:].min(axis=2)
    for cell in np.split(header, len(NAMES) + COPIES, axis=1):
        inked = np.flatnonzero((cell < 128).any(axis=0))
        assert len(inked) > 10
        assert inked.max() < 128


def test_an_id_that_is_not_ascii_is_written_with_question_marks() -> None:
    (_, photo), *_ = photos(1)
    label = slice(TOP, TOP + LINE + GAP)
    foreign, plain = (contact_sheet([(name, photo)], HOW, TILE)[label] for name in ("é7", "?7"))
    np.testing.assert_array_equal(foreign, plain)


@pytest.mark.parametrize(("count", "tile"), [(0, 128), (1, 63)])
def test_nothing_to_show_is_refused(count: int, tile: int) -> None:
    with pytest.raises(InputError, match="contact sheet"):
        contact_sheet(photos(count), HOW, tile)


def test_the_step_shows_the_first_photo_of_each_class_and_says_where(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    path = preview(tiny.settings())
    assert path == tiny.run / "augmented_images" / "preview.png"
    assert str(path) in capsys.readouterr().out
    first = tiny.truth.drop_duplicates("label").sort_values("label")
    shown = [
        (row.image_id, decode(tiny.input / "train" / "images" / f"{row.image_id}.jpg")) for row in first.itertuples()
    ]
    np.testing.assert_array_equal(decode(path), contact_sheet(shown, tiny.settings().augmentation))
    before = path.read_bytes()
    assert preview(tiny.settings()).read_bytes() == before
    assert [left.name for left in path.parent.iterdir()] == ["preview.png"]


def test_the_step_refuses_an_unknown_preset(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="sauce"):
        preview(tiny.settings("augmentation.preset=sauce"))
