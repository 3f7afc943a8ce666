"""Measure the near-copy detector: are groups right on altered copies of real photos, and does its cost stay linear?

    python -m benchmarks.quality.near_copies quality --photos FOLDER --seeds 100 101 102
    python -m benchmarks.quality.near_copies scale --photos FOLDER [FOLDER ...] --count 12000

`quality` finds the groups of FOLDER's photos, takes one image of each as base, and compares the groups found among
the bases and their altered copies with the truth. Every copy has each photometric change with probability one half, and
at least one: Gaussian noise of deviation 2–25, Gaussian blur of sigma 0.3–2 px (for a side of 224 px), brightness ±64,
contrast × 0.6–1.4, saturation × 0–2, JPEG quality 20–90. In the second scenario it is before that also cropped by
0–10 % on each side (each its own), mirrored (one half) and turned by 0, 90, 180 or 270 degrees. Pairs of images in one
group are counted; a wrong pair may be right where a photo was published twice, so look at the pictures of `--pictures`,
and name base photos that show one scene with `--one-scene` to have the precision without them too.

`scale` makes as many images, small JPEG files, and takes time and memory of the whole process tree. Every photo of its
own is a mosaic of parts of four photos and comes with altered copies; `--repeat` takes the photos as they are instead
and makes as many copies of each as it needs. The images are deleted in the end.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from benchmarks.processes import run
from ripik.splits.near_copies.find import near_copy_groups

BGR_TO_GREY = np.array([0.114, 0.587, 0.299], np.float32)
SMALL = 96  # side of the images of `scale`, px
WORKERS = 2
Image = np.ndarray  # uint8 or float32, H × W × 3, BGR
Alter = Callable[[Image, np.random.Generator], Image]


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    quality = commands.add_parser("quality", help="precision and recall on altered copies")
    quality.add_argument("--photos", type=Path, required=True, help="folder of .jpg photos")
    quality.add_argument("--seeds", type=int, nargs="+", default=[0])
    quality.add_argument("--copies", type=int, default=3, help="altered copies of each base photo")
    quality.add_argument("--pictures", type=Path, help="folder for pictures of the groups that are not the truth")
    quality.add_argument("--one-scene", action="append", default=[], help="base photos, as NAME,NAME, of one scene")
    quality.set_defaults(run=measure_quality)
    scale = commands.add_parser("scale", help="seconds and memory")
    scale.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of .jpg photos")
    scale.add_argument("--count", type=int, default=12000)
    scale.add_argument("--copies", type=int, default=3, help="images of each photo")
    scale.add_argument("--repeat", action="store_true", help="copies of the photos as they are, as many as it takes")
    scale.set_defaults(run=measure_scale)
    search = commands.add_parser("search", help="what `scale` measures")
    search.add_argument("folder", type=Path)
    search.set_defaults(run=measure_search)
    given = parser.parse_args()
    given.run(given)


def measure_quality(given: argparse.Namespace) -> None:
    """Print pair recall and precision for each seed and scenario."""
    photos = sorted(given.photos.glob("*.jpg"))
    groups = near_copy_groups(photos, workers=WORKERS).group
    bases = [photos[first] for first in np.unique(groups)]
    sizes = np.unique(groups, return_counts=True)[1]
    print(f"{len(photos)} photos, {len(bases)} groups; {np.mean(sizes % 3 == 0):.2%} have a multiple of three members")
    scenes = {name: number for number, names in enumerate(given.one_scene) for name in names.split(",")}
    scene = np.array([-1 - scenes[base.stem] if base.stem in scenes else n for n, base in enumerate(bases)])
    for seed in given.seeds:
        for name, alter in (("photometric", photometric), ("with mirroring, turns and crops", everything)):
            with tempfile.TemporaryDirectory() as folder:
                make = partial(_copies_of, folder=Path(folder), seed=seed, copies=given.copies + 1, alter=alter)
                paths = _shared(make, [(base, number) for number, base in enumerate(bases)])
                found = near_copy_groups(paths, workers=WORKERS).group
                truth = np.repeat(np.arange(len(bases)), given.copies + 1)
                print(f"seed {seed}, {name}: {_scores(truth, scene[truth], found)}", flush=True)
                for group in _disagreements(truth, found):
                    print(" ", *(f"{bases[truth[i]].stem}({i % (given.copies + 1)}):{found[i]}" for i in group))
                    if given.pictures:
                        _picture([paths[i] for i in group], given.pictures / f"{seed}-{alter.__name__}-{group[0]}.png")


def _scores(truth: np.ndarray, scene: np.ndarray, found: np.ndarray) -> str:
    right, pairs, joined = _pairs(truth, found), _pairs(truth), _pairs(found)
    scenes = _pairs(scene, found) / joined
    return (
        f"recall {right / pairs:.4f} ({pairs - right} of {pairs} pairs missed), "
        f"precision {right / joined:.4f} ({joined - right} wrong; {scenes:.4f} with photos of one scene as one)"
    )


def _pairs(*labels: np.ndarray) -> int:
    """How many pairs of images agree in all the labels."""
    counts = np.unique(np.stack(labels), axis=1, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _disagreements(truth: np.ndarray, found: np.ndarray) -> list[np.ndarray]:
    """Members of each found group of several photos, and of each photo in several groups."""
    wrong = [m for g in np.unique(found) if len(np.unique(truth[m := np.flatnonzero(found == g)])) > 1]
    return wrong + [m for t in np.unique(truth) if len(np.unique(found[m := np.flatnonzero(truth == t)])) > 1]


def _picture(paths: Sequence[Path], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), np.hstack([cv2.resize(cv2.imread(str(path)), (200, 200)) for path in paths]))


def _shared(function: Callable[..., list[Path]], arguments: Sequence[tuple]) -> list[Path]:
    lists = Parallel(WORKERS, batch_size=32)(delayed(function)(*each) for each in arguments)
    return [path for paths in lists for path in paths]


def _copies_of(base: Path, number: int, *, folder: Path, seed: int, copies: int, alter: Alter) -> list[Path]:
    return _write(cv2.imread(str(base)), number, folder, seed, copies, alter)


def _write(photo: Image, number: int, folder: Path, seed: int, copies: int, alter: Alter) -> list[Path]:
    """Write a photo and its altered copies."""
    paths = [folder / f"{number}_{copy}.jpg" for copy in range(copies)]
    for copy, path in enumerate(paths):
        image = alter(photo, np.random.default_rng([seed, number, copy])) if copy else photo
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return paths


def everything(photo: Image, rng: np.random.Generator) -> Image:
    """Crop, mirror and turn a photo, then change its tones."""
    height, width = photo.shape[:2]
    left, top, right, bottom = rng.uniform(0, 0.1, 4)
    image = photo[
        round(top * height) : height - round(bottom * height), round(left * width) : width - round(right * width)
    ]
    image = image[:, ::-1] if rng.random() < 0.5 else image
    return photometric(np.ascontiguousarray(np.rot90(image, rng.integers(4))), rng)


def photometric(photo: Image, rng: np.random.Generator) -> Image:
    """Change tones, sharpness and grain: each change with probability one half, and at least one."""
    changes = (_brightness, _contrast, _saturation, _blur, _noise, _jpeg)
    chosen = rng.random(len(changes)) < 0.5
    chosen[rng.integers(len(changes))] |= not chosen.any()
    image = photo.astype(np.float32)
    for change, wanted in zip(changes, chosen, strict=True):
        if wanted:
            image = np.clip(change(image, rng), 0, 255)
    return image.astype(np.uint8)


def _brightness(image: Image, rng: np.random.Generator) -> Image:
    return image + np.float32(rng.uniform(-64, 64))


def _contrast(image: Image, rng: np.random.Generator) -> Image:
    return (image - 128) * np.float32(rng.uniform(0.6, 1.4)) + 128


def _saturation(image: Image, rng: np.random.Generator) -> Image:
    grey = (image @ BGR_TO_GREY)[..., None]
    return grey + (image - grey) * np.float32(rng.uniform(0, 2))


def _blur(image: Image, rng: np.random.Generator) -> Image:
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2) * max(image.shape) / 224)


def _noise(image: Image, rng: np.random.Generator) -> Image:
    return image + rng.normal(0, rng.uniform(2, 25), image.shape).astype(np.float32)


def _jpeg(image: Image, rng: np.random.Generator) -> Image:
    data = cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 91))])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32)


def measure_scale(given: argparse.Namespace) -> None:
    """Make the images, and print what a search of its own process took."""
    photos = [photo for folder in given.photos for photo in sorted(folder.glob("*.jpg"))]
    groups = near_copy_groups(photos, workers=WORKERS).group
    bases = [photos[first] for first in np.unique(groups)]
    copies = -(-given.count // len(bases)) if given.repeat else given.copies
    with tempfile.TemporaryDirectory() as folder:
        make = partial(_small, bases, given.repeat, Path(folder), copies)
        made = _shared(make, [(number,) for number in range(-(-given.count // copies))])
        for extra in made[given.count :]:
            extra.unlink()
        finished = run([sys.executable, "-m", "benchmarks.quality.near_copies", "search", folder], threads=1)
    print(
        f"{len(bases)} photos, {copies} images of each; {json.dumps(finished.json() | {'tree_mb': finished.tree_mb})}"
    )


def _small(bases: Sequence[Path], repeat: bool, folder: Path, copies: int, number: int) -> list[Path]:
    cv2.setNumThreads(1)
    rng = np.random.default_rng([7, number])
    if repeat:
        photo = cv2.resize(cv2.imread(str(bases[number])), (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    else:
        parts = [_part(cv2.imread(str(bases[pick])), rng) for pick in rng.choice(len(bases), 4)]
        photo = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
    return _write(photo, number, folder, 7, copies, everything)


def _part(photo: Image, rng: np.random.Generator) -> Image:
    """A random crop of 40–80 % of a photo, as a quarter of a mosaic."""
    height, width = photo.shape[:2]
    share, x, y = rng.uniform(0.4, 0.8), rng.random(), rng.random()
    top, left = round(y * (1 - share) * height), round(x * (1 - share) * width)
    crop = photo[top : top + round(share * height), left : left + round(share * width)]
    return cv2.resize(crop, (SMALL // 2, SMALL // 2), interpolation=cv2.INTER_AREA)


def measure_search(given: argparse.Namespace) -> None:
    """Print the seconds of reading and of the rest, CPU seconds, pair recall and precision, as JSON."""
    paths = sorted(given.folder.glob("*.jpg"))
    truth, times = np.array([int(path.stem.split("_")[0]) for path in paths]), [time.perf_counter()]

    def note(done: int) -> None:
        if len(times) == 1 and 2 * done >= len(paths):
            times.append(time.perf_counter())

    found = near_copy_groups(paths, workers=WORKERS, on_progress=note).group
    times.append(time.perf_counter())
    get_reusable_executor().shutdown()  # only then does the system tell the workers' CPU time
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    right = _pairs(truth, found)
    read, rest = np.diff(times).round(1).tolist()
    answer = {"images": len(paths), "read_s": read, "rest_s": rest, "cpu_s": round(cpu, 1)}
    print(json.dumps(answer | {"recall": right / _pairs(truth), "precision": right / _pairs(found)}))


if __name__ == "__main__":
    main()
