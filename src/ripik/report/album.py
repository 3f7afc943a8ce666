"""The photos of the report: shrunk, with Grad-CAM beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ripik.data.image_files import decode
from ripik.data.pixel_rule import PixelRule
from ripik.diagnostics.photo_page import DENSITY, fit, jpeg_uri
from ripik.errors import InputError
from ripik.report.blocks import Tile, View
from ripik.report.evidence import Evidence, Maps

PHOTO, HEAT = 0.4, 0.6  # shares of the grey photo and of the colours over it


class Album:
    """Makes tiles of training photos by their id; a photo that cannot be read leaves a tile that says so."""

    def __init__(self, evidence: Evidence, maps: Maps | None = None) -> None:
        train = evidence.run.competition.train
        self.paths = dict(zip(train["image_id"], train["path"], strict=True))
        self.rule = evidence.run.competition.rule
        self.maps = maps or {}

    def tile(self, image_id: str, caption: str, note: str = "", explain: Sequence[str] = (), side: int = 96) -> Tile:
        """Return a photo's tile: the photo, then the heat map of each of the classes `explain`, where there is one.

        side: of a picture in CSS pixels.
        """
        try:
            photo = fit(decode(self.paths[image_id], self.rule), side * DENSITY)
        except (InputError, OSError):
            return Tile([View(f"photo {image_id} cannot be read", "")], caption, note)
        views = [View(f"photo {image_id}, {caption}", jpeg_uri(photo), "photo" if explain else "")]
        for label in dict.fromkeys(explain):
            if (image_id, label) in self.maps:
                heat = self.maps[image_id, label]
                claim = f"for {label}" if heat.any() else f"nothing for {label}"
                views.append(View(f"photo {image_id}, Grad-CAM {claim}", jpeg_uri(overlay(photo, heat)), claim))
        return Tile(views, caption, note)


def is_readable(path: Path, rule: PixelRule) -> bool:
    """Whether a photo can be decoded."""
    try:
        decode(path, rule)
    except (InputError, OSError):
        return False
    return True


def overlay(photo: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the grey photo under the colours of a heat map: uint8 (H, W, 3) RGB; heat float (h, w) of 0–1.

    The colours (inferno) grow lighter with the heat, so they also tell it in grey and to the colour-blind.
    """
    height, width = photo.shape[:2]
    stretched = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    levels = np.round(np.clip(stretched, 0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(grey, PHOTO, colours, HEAT, 0)
