"""The rule by which a competition's images become 8-bit RGB: how 16 bits are scaled, and transparency is shown."""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ImageOps

from ripik.data.image_headers import Header, opened, quiet

FULL = 2**16  # levels of 16 bits
WHITE, DROP = "white", "drop"
OPAQUE = 255
NO_ALPHA = "its transparency cannot be read; save it as RGBA of 8 bits, or as RGB"


class UnreadableError(Exception):
    """Pixels that cannot be brought to the rule; its text is the problem."""


@dataclass(frozen=True)
class PixelRule:
    """How images become 8-bit RGB: one rule for all of a competition, and for what its models predict later.

    levels: of 16-bit images the values 0…levels − 1 become 0…255, by a shift of their bits (so of fewer than 256 levels
        the highest becomes 256 − 256 / levels), and higher ones what levels − 1 does; a power of two, at most 65,536.
    alpha: transparent images are laid on white or black ground, or their transparency is dropped
        (white, black, drop).
    """

    levels: int = FULL
    alpha: str = WHITE

    def touches(self, *, alpha: bool, deep: bool) -> bool:
        """Whether it makes other pixels of an image with transparency, or of one with 16 bits, than OpenCV does."""
        return (alpha and self.alpha != DROP) or (deep and self.levels != FULL)


USUAL = PixelRule()


def by_rule(raw: np.ndarray, data: bytes, header: Header, rule: PixelRule) -> tuple[np.ndarray, bool]:
    """Return the image as uint8 BGR, and whether it is transparent somewhere.

    raw: its colours as OpenCV reads them, uint8 or uint16 BGR. Where transparency is dropped, to have any is enough.
    Raises UnreadableError.
    """
    colours = raw if raw.dtype == np.uint8 else in_8_bits(raw, rule.levels)
    if not header.alpha or rule.alpha == DROP:
        return colours, header.alpha
    rgba = _rgba(data, header)
    if rgba.shape[:2] != raw.shape[:2]:
        raise UnreadableError(NO_ALPHA)
    if rgba[..., 3].min() == OPAQUE:
        return colours, False
    ground = OPAQUE if rule.alpha == WHITE else 0
    if raw.dtype == np.uint8:  # not OpenCV's colours: of some TIFFs they are multiplied by the transparency
        return laid_on(ground, cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR), rgba[..., 3]), True
    return laid_on(ground, colours, rgba[..., 3], multiplied=header.multiplied), True


def in_8_bits(raw: np.ndarray, levels: int) -> np.ndarray:
    """Return uint16 values with 0…levels − 1 brought to the whole of 8 bits by a shift, uint8."""
    values, shift = np.minimum(raw, levels - 1), levels.bit_length() - 9
    return (values >> shift if shift >= 0 else values << -shift).astype(np.uint8)


def laid_on(ground: int, colours: np.ndarray, alpha: np.ndarray, *, multiplied: bool = False) -> np.ndarray:
    """Return colours, uint8 (h, w, 3), of this opacity, uint8 (h, w), laid on a grey ground."""
    shown = alpha[..., None].astype(np.uint32)
    weighted = colours * np.uint32(OPAQUE) if multiplied else colours * shown
    mixed = (weighted + ground * (OPAQUE - shown) + OPAQUE // 2) // OPAQUE
    return np.minimum(mixed, OPAQUE).astype(np.uint8)


def _rgba(data: bytes, header: Header) -> np.ndarray:
    """Return the first frame with its transparency, turned by its EXIF orientation: uint8 (h, w, 4)."""
    try:
        with quiet(), opened(data) as image:
            if header.deep and "transparency" in image.info:  # a colour of 16 bits, which Pillow does not find again
                raise UnreadableError(NO_ALPHA)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    except (MemoryError, UnreadableError):
        raise
    except Exception as error:  # Pillow's plugins raise whatever their parsing of broken bytes comes upon
        raise UnreadableError(NO_ALPHA) from error
