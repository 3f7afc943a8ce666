"""Measure the near-copy detector on drawings: do different ones stay alone, and are their altered copies found?

    python -m benchmarks.quality.drawings --count 300 --seeds 300 301

For each kind of drawing, `--count` different ones, of which so many should be a group by themselves; then a third of
them with two altered copies each: pairs rightly joined of those to be found, and of those joined. `mild` copies have
brightness, contrast, noise and JPEG quality changed, half of them are mirrored, and up to 2 % is cropped at each side;
the other changes are those of `benchmarks.quality.near_copies`.

The kinds: handwritten digits that scikit-learn ships (8 × 8, enlarged), digits of OpenCV's stroke fonts, warped, and a
circle, square or triangle of its own size, place, angle and colours, filled or not, on a flat or a textured ground.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

from benchmarks.quality.near_copies import Alter, Image, everything, photometric
from ripik.splits.near_copies.find import near_copy_groups

SIDE = 128
WORKERS = 2


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    for seed in given.seeds:
        for kind in given.kinds:
            drawings = [KINDS[kind](seed, number) for number in range(given.count)]
            alone = (np.bincount(_groups(drawings)) == 1).sum()
            print(f"seed {seed}, {kind}: {alone} of {given.count} alone", flush=True)
            for name, alter in (("mild", mild), ("photometric", photometric), ("everything", everything)):
                print(f"  {name} copies: {_found(drawings[: given.count // 3], alter, seed)}", flush=True)


def _groups(images: list[Image]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            cv2.imwrite(str(path), image)
        return near_copy_groups(paths, workers=WORKERS).group


def _found(drawings: list[Image], alter: Alter, seed: int) -> str:
    images = [
        alter(drawing, np.random.default_rng([seed, number, copy])) if copy else drawing
        for number, drawing in enumerate(drawings)
        for copy in range(3)
    ]
    group, truth = _groups(images), np.repeat(np.arange(len(drawings)), 3)
    one, other = np.triu_indices(len(images), 1)
    joined, true = group[one] == group[other], truth[one] == truth[other]
    right = (joined & true).sum()
    return f"recall {right / true.sum():.3f}, precision {right / max(joined.sum(), 1):.3f}"


def mild(image: Image, rng: np.random.Generator) -> Image:
    """Tones, a little noise, JPEG, perhaps a mirroring, and a crop of up to 2 % a side."""
    height, width = image.shape[:2]
    left, top, right, bottom = np.rint(rng.uniform(0, 0.02, 4) * [width, height, width, height]).astype(int)
    image = image[top : height - bottom, left : width - right]
    toned = (image[:, :: rng.choice([-1, 1])] - 128.0) * rng.uniform(0.75, 1.2) + 128 + rng.uniform(-25, 25)
    noisy = np.clip(toned + rng.normal(0, rng.uniform(0, 6), toned.shape), 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def scanned_digit(seed: int, number: int) -> Image:
    """One of scikit-learn's digits, each number another."""
    scans = load_digits().images
    order = np.random.default_rng(seed).permutation(len(scans))
    scan = np.minimum(scans[order[number]] * 16, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.resize(scan, (64, 64), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)


def written_digit(seed: int, number: int) -> Image:
    """A digit of a stroke font, its pen, size and place its own, smoothly warped."""
    rng = np.random.default_rng([seed, number])
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    place = (int(rng.uniform(20, 40)), int(rng.uniform(92, 108)))
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    pen = int(rng.integers(4, 12))
    cv2.putText(image, str(rng.integers(10)), place, font, rng.uniform(2.6, 3.4), (255,) * 3, pen, cv2.LINE_AA)
    grid = np.indices((SIDE, SIDE)).astype(np.float32)[::-1]
    shift = [cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), 12) for _ in range(2)]
    x, y = (grid + 2.5 * np.stack(shift) / np.std(shift)).astype(np.float32)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR)


def shape(seed: int, number: int, *, textured: bool = False) -> Image:
    """A circle, a square or a triangle."""
    rng = np.random.default_rng([seed, number])
    ground = rng.uniform(0, 255, 3)
    image = np.full((SIDE, SIDE, 3), ground)
    if textured:
        cells = tuple(rng.integers(3, 14, 2).tolist())
        texture = rng.normal(0, 25, (*cells, 3)).astype(np.float32)
        image += cv2.resize(texture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image, 0, 255).astype(np.uint8)
    colour = ((ground + rng.uniform(60, 195, 3)) % 255).tolist()
    radius, pen = rng.uniform(0.12, 0.38) * SIDE, -1 if rng.random() < 0.5 else int(rng.integers(2, 7))
    centre = rng.uniform(radius, SIDE - radius, 2)
    corners = int(rng.choice([0, 3, 4]))
    if not corners:
        return cv2.circle(image, centre.astype(int).tolist(), int(radius), colour, pen, cv2.LINE_AA)
    angles = rng.uniform(0, 2 * np.pi) + np.arange(corners) * 2 * np.pi / corners
    points = (centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.int32)
    return cv2.drawContours(image, [points[:, None]], 0, colour, pen, cv2.LINE_AA)


def textured_shape(seed: int, number: int) -> Image:
    """The same on a ground with a texture."""
    return shape(seed, number, textured=True)


KINDS: dict[str, Callable[[int, int], Image]] = {
    "scanned digits": scanned_digit,
    "written digits": written_digit,
    "shapes": shape,
    "shapes on textures": textured_shape,
}

if __name__ == "__main__":
    main()
