"""Predict photos by an exported blend, with onnxruntime, NumPy and OpenCV alone: python predict.py FOLDER OUT.csv

Photos are decoded, resized, looked at and blended as the run does it, but each by itself: near copies do not vote.
"""

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE, BATCH = Path(__file__).parent, 32
ENDINGS = [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff", ".jp2"]
ENDINGS += [".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"]
SYSTEM = ("thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information")
TINY, SMALL = np.finfo(np.float32).tiny, np.finfo(np.float32).eps
LEVELS = (1 - np.cos(np.linspace(0, np.pi, 101))) / 2  # of the quantiles in the knots of a blend by rank


def crop(share: float, vertical: float, horizontal: float) -> Callable:
    """Return a view: a window of this share of the side at a place (0…1), brought back to the full size."""

    def apply(image: np.ndarray) -> np.ndarray:
        size, side = len(image), round(len(image) * share)
        top, left = round((size - side) * vertical), round((size - side) * horizontal)
        return cv2.resize(image[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_LINEAR)

    return apply


TURNS: dict[str, Callable] = {
    "identity": lambda image: image,
    "hflip": lambda image: image[:, ::-1],
    "vflip": lambda image: image[::-1],
    "rot180": lambda image: image[::-1, ::-1],
    "transpose": lambda image: image.swapaxes(0, 1),
    "rot90": lambda image: np.rot90(image, 1),
    "rot270": lambda image: np.rot90(image, 3),
    "transverse": lambda image: image.swapaxes(0, 1)[::-1, ::-1],
}
CROPS = {"top_left": (0, 0), "top_right": (0, 1), "bottom_left": (1, 0), "bottom_right": (1, 1)}
VIEWS = TURNS | {"crop90": crop(0.9, 0.5, 0.5), "crop80": crop(0.8, 0.5, 0.5)}
VIEWS |= {f"crop80_{place}": crop(0.8, *where) for place, where in CROPS.items()}


def decode(data: bytes, levels: int, alpha: str) -> np.ndarray | None:
    """Return a file's photo, uint8 RGB (h, w, 3), turned by its EXIF orientation; None where OpenCV reads none.

    16-bit values of 0…levels − 1 become 0…255; transparency is laid on `alpha` (white, black), or dropped (drop).
    """

    def read(mode: int) -> Any:
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
        except cv2.error:
            return None

    whole, seen = read(cv2.IMREAD_UNCHANGED), read(cv2.IMREAD_COLOR)
    if whole is None or seen is None or min(seen.shape[:2]) < 8:
        return None
    if whole.dtype == np.uint16 and levels < 2**16:
        deep, shift = np.minimum(read(cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH), levels - 1), levels.bit_length() - 9
        seen = (deep >> shift if shift >= 0 else deep << -shift).astype(np.uint8)
    if whole.ndim == 3 and whole.shape[2] == 4 and alpha != "drop":
        opacity = whole[..., 3] if whole.dtype == np.uint8 else whole[..., 3] >> 8
        plain, turned = read(cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), read(cv2.IMREAD_COLOR)
        turn = next(turn for turn in TURNS.values() if np.array_equal(turn(plain), turned))
        shown, ground = turn(opacity)[..., None].astype(np.uint32), 255 if alpha == "white" else 0
        seen = ((seen * shown + ground * (255 - shown) + 127) // 255).astype(np.uint8)
    return cv2.cvtColor(seen, cv2.COLOR_BGR2RGB)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Return the photo stretched to size × size pixels: halved while it is twice as large, then resized once."""
    while min(image.shape[:2]) >= 2 * size:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    how = cv2.INTER_AREA if max(image.shape[:2]) > 1.5 * size else cv2.INTER_LINEAR
    return image if image.shape[:2] == (size, size) else cv2.resize(image, (size, size), interpolation=how)


def softmax(values: np.ndarray) -> np.ndarray:
    """Return exp(values) (n, C) with every row divided by its sum."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logs(probabilities: np.ndarray) -> np.ndarray:
    """Return the logarithms; what is below the resolution of float32 counts as that."""
    return np.log(np.maximum(probabilities, SMALL))


def merge(views: np.ndarray, how: str) -> np.ndarray:
    """Return the arithmetic or geometric mean (n, C) of the views (views, n, C)."""
    return views.mean(axis=0) if how == "arithmetic" else softmax(np.log(np.maximum(views, TINY)).mean(axis=0))


def blend(members: np.ndarray, method: str, weights: Any, knots: Any) -> np.ndarray:
    """Return the blend (n, C) of the members (members, n, C): a weighted mean, of logarithms, or of ranks."""
    if len(members) == 1:
        return members[0]
    if method == "geometric":
        return softmax(np.einsum("m,mnc->nc", weights, logs(members)))
    if knots is None:
        return np.einsum("m,mnc->nc", weights, members)
    found = np.empty_like(members[0])
    for c in range(found.shape[1]):
        ranks = sum(w * rank(member[:, c], own[c]) for w, member, own in zip(weights, members, knots, strict=True))
        found[:, c] = np.interp(ranks, LEVELS, np.tensordot(weights, knots[:, c], 1))
    found = np.maximum(found, SMALL)
    return found / found.sum(axis=1, keepdims=True)


def rank(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Return where the values lie among the quantiles, 0…1; equal quantiles count as their middle."""
    distinct, where = np.unique(quantiles, return_inverse=True)
    return np.interp(values, distinct, np.bincount(where, LEVELS) / np.bincount(where))


def decide(said: dict[str, np.ndarray], about: dict[str, Any]) -> np.ndarray:
    """Return the blend's probabilities (n, C) of what every training says through its views, (views, n, C)."""
    fitted, found = about["fitted"], []
    weights, knots = (np.array(fitted["blend"][key]) if fitted["blend"][key] else None for key in ("weights", "knots"))
    if not about["views_chosen"]:
        said = {name: merge(views, about["merge"])[None] for name, views in said.items()}
    for model in about["models"]:  # all folds together, or one after another
        members = [np.stack([said[name] for name in names]).mean(axis=0, dtype=np.float64) for names in model]
        merged = np.stack([merge(m[v], about["merge"]) for m, v in zip(members, fitted["views"], strict=True)])
        mixed = blend(merged, fitted["blend"]["method"], weights, knots)
        if fitted["recipe"]["prior_shift"] and fitted["calibration"]:
            scale, *biases = fitted["calibration"]
            before, after = np.array(fitted["shares"]), np.array(about["shares"])
            ratio = np.divide(after, before, out=np.ones_like(after), where=before > 0)
            mixed = np.maximum(softmax(np.exp(scale) * logs(mixed) + biases), SMALL) * ratio
            mixed /= mixed.sum(axis=1, keepdims=True)
        found.append(mixed)
    blended = np.mean(found, axis=0)
    if ranks := fitted.get("ranks"):  # of ordered classes: the one between whose thresholds the expected rank lies
        numbers, below = np.arange(blended.shape[1]), np.cumsum([0.0, *ranks["thresholds"]])
        return softmax(ranks["slope"] * ((blended @ numbers)[:, None] * numbers - below))
    return softmax(logs(blended) + fitted["offsets"]["values"]) if fitted["offsets"] else blended


def load(about: dict[str, Any]) -> Callable[[list[np.ndarray]], dict[str, np.ndarray]]:
    """Return what tells of photos, uint8 RGB of any size, what every training says through its views, (views, n, C)."""
    import onnxruntime

    graphs = [(onnxruntime.InferenceSession(HERE / each["file"]), each) for each in about["graphs"]]

    def run(photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        said: dict[str, list[np.ndarray]] = {}
        for session, graph in graphs:
            (images,), sized = session.get_inputs(), [resize(photo, graph["size"]) for photo in photos]
            for view in about["views"]:
                (found,) = session.run(None, {images.name: np.stack([VIEWS[view](image) for image in sized])})
                for place, name in enumerate(graph["trainings"]):
                    said.setdefault(name, []).append(found[:, place])
        return {name: np.stack(views) for name, views in said.items()}

    return run


def photos_below(folder: Path) -> list[str]:
    """Return the names of the photos in a folder and below it, without hidden and the operating system's files.

    Exits at a name that is not UTF-8: it could not be written to the CSV.
    """

    def is_photo(path: Path) -> bool:
        name = path.relative_to(folder)
        left_out = any(part.startswith(".") or part.lower() in SYSTEM for part in name.parts)
        if left_out or not path.is_file():
            return False
        if os.fsencode(name) != str(name).encode(errors="replace"):
            sys.exit(
                f"{folder}: the name {str(name)!r} is not UTF-8, so it cannot be written to a CSV: rename the file"
            )
        return path.suffix.lower() in ENDINGS or cv2.haveImageReader(str(path))

    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if is_photo(path))


def main(folder: Path, target: Path) -> None:
    """Write filename, label and one p_<label> a class of every photo below the folder, the CSV whole or not at all."""
    if not folder.is_dir():
        sys.exit(f"there is no folder {folder}: give a folder of photos")
    if not (names := photos_below(folder)):
        sys.exit(f"{folder} contains no photos: give a folder of photos")
    if target.is_dir() or not target.parent.is_dir():
        sys.exit(f"cannot write {target}: give a CSV in a folder that is there")
    part = target.with_name(f".{target.name}.part")
    try:
        write(folder, names, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write(folder: Path, names: list[str], target: Path) -> None:
    """Write the CSV of these photos of the folder."""
    about = json.loads((HERE / "labels.json").read_text(encoding="utf-8"))
    run, classes = load(about), about["classes"]
    with target.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["filename", "label", *(f"p_{label}" for label in classes)])
        for start in range(0, len(names), BATCH):
            some = names[start : start + BATCH]
            photos = [decode((folder / name).read_bytes(), **about["rule"]) for name in some]
            rows = np.tile(np.array(about["class_shares"]), (len(some), 1))  # what photos get that cannot be read
            if good := [photo for photo in photos if photo is not None]:
                rows[[photo is not None for photo in photos]] = decide(run(good), about)
            for name, row in zip(some, rows, strict=True):
                table.writerow([name, classes[row.argmax()], *(f"{value:.9g}" for value in row)])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
