"""The step `augment --preview`: a contact sheet that shows what the augmentation does to some photos."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from ripik.augmentation.pipeline import alone, build_pipeline, make_copies
from ripik.console import say
from ripik.data.image_check import open_competition
from ripik.data.image_files import decode
from ripik.errors import InputError
from ripik.settings import AugmentationSettings, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

PHOTOS, COPIES, TILE, SMALLEST = 8, 6, 128, 64
GAP, LINE = 6, 15  # pixels between tiles, and from one line of text to the next
PAPER, INK = 255, (40, 40, 40)
FONT, SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42
HEADERS = (
    *("original", "flip", "transpose", "brightness,|contrast", "median blur", "motion blur", "noise"),
    *("optical|distortion", "grid|distortion", "elastic", "hue, satura-|tion, value", "CLAHE", "shift, scale,|rotate"),
    "dropout",
)


def preview(settings: Settings) -> Path:
    """Write preview.png beside the augmented copies and return its path; it shows the first photo of up to 8 classes.

    Raises InputError for an image that cannot be read.
    """
    how = settings.augmentation
    competition = open_competition(settings)
    chosen = _first_of_each_class(competition.train)
    paths = zip(chosen["image_id"], chosen["path"], strict=True)
    photos = [(image_id, decode(path, competition.rule)) for image_id, path in paths]
    target = layout_of(settings).copies / "preview.png"
    encoded = cv2.imencode(".png", cv2.cvtColor(contact_sheet(photos, how, TILE), cv2.COLOR_RGB2BGR))[1]
    with artifacts.replacing(target) as temporary:
        temporary.write_bytes(encoded.tobytes())
    say(f"augment: wrote {target}: {len(photos)} photos with each transform and as {COPIES} full copies")
    return target


def _first_of_each_class(train: pd.DataFrame) -> pd.DataFrame:
    return train.drop_duplicates("label").sort_values("label").head(PHOTOS)


def contact_sheet(photos: Sequence[tuple[str, np.ndarray]], how: AugmentationSettings, tile: int = TILE) -> np.ndarray:
    """Return a page of tiles: uint8 RGB, one row a photo under a header.

    photos: (id, uint8 H×W×3 RGB). Columns: the photo resized, each transform by itself (applied for certain, at the
    augmentation's own size), then the copies 1…6, of which training sees `how.copies`. Texts are ASCII, other
    characters become "?".
    Raises InputError when there is no photo or a tile is smaller than 64 pixels.
    """
    if not photos or tile < SMALLEST:
        raise InputError(f"a contact sheet needs a photo and tiles of at least {SMALLEST} pixels.")
    pipeline = build_pipeline(how.preset, how.size)
    headers = [*HEADERS, *(f"copy {number}" for number in range(1, COPIES + 1))]
    pitch = tile + GAP
    strips = [np.concatenate([_text(header.split("|"), pitch, lines=2) for header in headers], axis=1)]
    for row, (image_id, photo) in enumerate(photos):
        resized = next(alone(photo, pipeline, how.seed))
        tiles = [*alone(resized, pipeline, how.seed + row)]
        tiles += make_copies(photo, image_id, range(1, COPIES + 1), pipeline=pipeline, seed=how.seed)
        strips += [_text([f"photo {image_id}"], len(tiles) * pitch), _strip(tiles, tile)]
    return np.pad(np.concatenate(strips), ((GAP, GAP), (GAP, 0), (0, 0)), constant_values=PAPER)


def _strip(images: Sequence[np.ndarray], tile: int) -> np.ndarray:
    small = [cv2.resize(image, (tile, tile), interpolation=cv2.INTER_AREA) for image in images]
    return np.concatenate([np.pad(image, ((0, GAP), (0, GAP), (0, 0)), constant_values=PAPER) for image in small], 1)


def _text(lines_of_text: Sequence[str], width: int, *, lines: int = 1) -> np.ndarray:
    """Return a strip with the texts below one another, the last on its last line."""
    strip = np.full((lines * LINE + GAP, width, 3), PAPER, np.uint8)
    for line, text in enumerate(lines_of_text, lines - len(lines_of_text) + 1):
        plain = text.encode("ascii", "replace").decode()
        cv2.putText(strip, plain, (0, line * LINE - 3), FONT, SCALE, INK, 1, cv2.LINE_AA)
    return strip
