import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from ripik.data.pixel_rule import USUAL
from ripik.diagnostics.photo_page import DENSITY
from ripik.report.album import HEAT, PHOTO, Album, overlay

GREY = np.full((40, 60, 3), 100, np.uint8)


def decoded(uri: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def brightness(image: np.ndarray) -> np.ndarray:
    return image @ np.array([0.299, 0.587, 0.114])


def album(folder: Path, maps: Any = None, **photos: np.ndarray) -> Album:
    """Return an album of training photos by id; `lost` is one without a file, `broken` one that is no image."""
    for name, image in photos.items():
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    (folder / "broken.png").write_bytes(b"no image")
    ids = [*photos, "lost", "broken"]
    train = pd.DataFrame({"image_id": ids, "path": [folder / f"{name}.png" for name in ids]})
    competition = SimpleNamespace(train=train, rule=USUAL)
    return Album(SimpleNamespace(run=SimpleNamespace(competition=competition)), maps)  # type: ignore[arg-type]


def test_no_heat_leaves_a_dark_grey_photo_and_all_heat_is_light() -> None:
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[..., 0] = 200  # its grey is 60
    cold, hot = overlay(photo, np.zeros((2, 2))), overlay(photo, np.ones((2, 2)))
    assert cold.dtype == np.uint8
    assert cold.shape == photo.shape
    assert cold == pytest.approx(np.broadcast_to(PHOTO * 60, cold.shape), abs=4)
    light = np.array([252, 255, 164])  # the end of inferno, in RGB
    assert hot == pytest.approx(np.broadcast_to(PHOTO * 60 + HEAT * light, hot.shape), abs=2)


def test_more_heat_is_lighter_so_it_is_told_without_colours() -> None:
    heat = np.linspace(0, 1, 60, dtype=np.float32)[None].repeat(40, axis=0)
    found = brightness(overlay(GREY, heat)[20])
    assert (np.diff(found) > -1.5).all()  # rounding
    assert (np.diff(found[::6]) > 5).all()


def test_the_heat_stands_where_it_is_in_the_photo() -> None:
    heat = np.zeros((4, 6))
    heat[0, 5] = 1
    found = brightness(overlay(GREY, heat))
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert row < 10
    assert column >= 50
    assert found[35, 5] == found.min()


def test_heat_out_of_its_range_is_cut_off() -> None:
    assert np.array_equal(overlay(GREY, np.full((2, 2), 7.0)), overlay(GREY, np.ones((2, 2))))
    assert np.array_equal(overlay(GREY, np.full((2, 2), -7.0)), overlay(GREY, np.zeros((2, 2))))


def test_a_tile_shows_the_photo_then_each_class_that_is_explained(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(60, 190, (30, 30, 3), np.uint8)
    hot = np.ones((2, 2), np.float32)
    shown = album(tmp_path, {("7", "dent"): hot, ("7", "lamp"): 0 * hot, ("8", "dent"): hot}, **{"7": photo})
    tile = shown.tile("7", "caption", "note", ["dent", "dent", "crack", "lamp"])
    assert (tile.caption, tile.note) == ("caption", "note")
    assert [view.caption for view in tile.views] == ["photo", "for dent", "nothing for lamp"]
    assert all("7" in view.alt for view in tile.views)
    assert "caption" in tile.views[0].alt
    assert "dent" in tile.views[1].alt
    assert "lamp" in tile.views[2].alt
    images = [decoded(view.uri) for view in tile.views]
    assert images[0].mean(axis=(0, 1)) == pytest.approx(photo.mean(axis=(0, 1)), abs=5)
    assert images[1].mean() > images[0].mean() > images[2].mean()


def test_without_classes_to_explain_a_photo_stands_alone(tmp_path: Path) -> None:
    (view,) = album(tmp_path, {("7", "dent"): np.ones((2, 2))}, **{"7": GREY}).tile("7", "caption").views
    assert view.caption == ""
    assert decoded(view.uri).shape == GREY.shape


def test_a_large_photo_is_shrunk_and_keeps_its_shape_and_its_map_too(tmp_path: Path) -> None:
    maps = {("7", "dent"): np.ones((7, 7), np.float32)}
    large = np.full((400, 800, 3), 90, np.uint8)
    tile = album(tmp_path, maps, **{"7": large}).tile("7", "caption", explain=["dent"], side=50)
    assert [decoded(view.uri).shape for view in tile.views] == [(25 * DENSITY, 50 * DENSITY, 3)] * 2


@pytest.mark.parametrize("image_id", ["lost", "broken"])
def test_a_photo_that_cannot_be_read_leaves_a_tile_without_picture(tmp_path: Path, image_id: str) -> None:
    tile = album(tmp_path, {(image_id, "dent"): np.ones((2, 2))}).tile(image_id, "caption", "note", ["dent"])
    (view,) = tile.views
    assert view.uri == ""
    assert f"{image_id} cannot be read" in view.alt
    assert (tile.caption, tile.note) == ("caption", "note")
