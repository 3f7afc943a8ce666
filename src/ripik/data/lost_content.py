"""What decoding does to the images: the 16-bit scaling, and images that lost their content."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ripik.console import say, warn
from ripik.data.csv_tables import SHOWN
from ripik.data.image_files import FEW_LEVELS, Examined, Seen
from ripik.data.pixel_rule import DROP, FULL, PixelRule, in_8_bits

SAME = 0.01  # share of the images; so many files with the pixels of another, and at least two, are worth a warning
WARNINGS = {
    "above": "16-bit values above {highest}, the range of the training images, become white",
    "constant": f"images are nearly constant after decoding, with fewer than {FEW_LEVELS} of 256 levels",
    "same": "different files have the same pixels after decoding",
    "damaged": "JPEG data is corrupt, and the decoder recovered only what it could",
}
LOOK = "Look at some of them: content may be lost; see competition.alpha, and the 16-bit scaling."
Notes = dict[str, Any]  # as JSON takes it


def rule_of(found: Sequence[Examined], alpha: str) -> PixelRule:
    """Return the rule by which images like these are decoded; alpha: as in `PixelRule`.

    Their 16-bit values are scaled by the next power of two above the highest of them all: 12-bit data, 0…4095, by 4096,
    so that they fill 0…255, and one image stays brighter than another.
    """
    highest = [examined.seen.highest for examined in found if examined.seen and examined.seen.highest is not None]
    return PixelRule(1 << max(highest).bit_length() if highest else FULL, alpha)


def notes_of(found: Sequence[Examined], names: Sequence[str], rule: PixelRule) -> Notes:
    """Return what to report about images that were examined by their rule: counts, and the first names."""

    def those(are: Callable[[Examined, Seen], bool]) -> Notes:
        chosen = [
            name for examined, name in zip(found, names, strict=True) if examined.seen and are(examined, examined.seen)
        ]
        return {"count": len(chosen), "names": chosen[:SHOWN]}

    several = _shared_pixels(found)
    return {
        "rule": asdict(rule),
        "images": len(found),
        "alpha": sum(examined.alpha for examined in found),
        "frames": sum(examined.frames for examined in found),
        "deep": sum(examined.is_deep for examined in found),
        "above": those(lambda examined, seen: examined.is_deep and (seen.highest or 0) >= rule.levels),
        "constant": those(lambda _, seen: seen.span < FEW_LEVELS),
        "same": those(lambda _, seen: seen.pixels in several),
        "damaged": those(lambda examined, _: examined.damaged),
    }


def tell(notes: Notes) -> None:
    """Say by which rule images were decoded, and warn of what it leaves of them."""
    rule, of = PixelRule(**notes["rule"]), f"of {notes['images']}"
    shown = "transparency is dropped" if rule.alpha == DROP else f"transparency is composited on {rule.alpha}"
    highest = int(in_8_bits(np.array([rule.levels - 1], np.uint16), rule.levels)[0])
    scaled = f"16-bit values 0…{rule.levels - 1} become 0…{highest}"
    for text, count in (
        (shown, notes["alpha"]),
        ("of several frames the first is used", notes["frames"]),
        (scaled, notes["deep"]),
    ):
        if count:
            say(f"images: {text}: {count} {of}")
    for key, text in WARNINGS.items():
        if key in notes and notes[key]["count"]:  # notes of older checks lack some
            names = ", ".join(notes[key]["names"]) + (", …" if notes[key]["count"] > SHOWN else "")
            warn(f"{text.format(highest=rule.levels - 1)}: {notes[key]['count']} {of} ({names}). {LOOK}")


def _shared_pixels(found: Sequence[Examined]) -> set[str]:
    """Return the digests of pixels that several different files have; none where these files are few."""
    files: dict[str, set[str]] = {}
    for examined in found:
        if examined.seen:
            files.setdefault(examined.seen.pixels, set()).add(examined.seen.file)
    shared = {pixels: len(those) for pixels, those in files.items() if len(those) > 1}
    more = sum(shared.values()) - len(shared)
    return set(shared) if more >= max(2, SAME * len(found)) else set()
