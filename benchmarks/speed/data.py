"""The benchmark's data: a competition of any number of photos in the default layout, its folds and configuration.

    python -m benchmarks.speed.data competition FOLDER --count 150 [--photos FOLDER]
    python -m benchmarks.speed.data copies --count 3000 --out copies.npy [--photos FOLDER]

Photos come from a folder, again under new ids when more are asked for than it holds, or are drawn.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tomli_w

from ripik.augmentation.pipeline import build_pipeline, make_copies
from ripik.data.demo.drawing import CLASS_NAMES, draw_photo

TEST_IMAGES = 20
N_SPLITS = 5
DRAWN_SIZE = 512
DRAWN_AT_MOST = 600  # more photos are these again
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Photo:
    """A photo of the source: its file and its label."""

    path: Path
    label: str


def photos_of(folder: Path) -> list[Photo]:
    """Return a folder's JPEGs, with the labels of the train.csv that stands beside it, or else invented ones.

    Raises ValueError for a folder without JPEGs.
    """
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise ValueError(f"{folder} holds no .jpg files")
    table, known = folder.parent / "train.csv", dict[str, str]()
    if table.exists():
        with table.open(encoding="utf-8") as file:
            known = {row["filename"]: row["label"] for row in csv.DictReader(file)}
    return [Photo(path, known.get(path.name, str(1 + number % 6))) for number, path in enumerate(paths)]


def draw_photos(folder: Path, count: int) -> list[Photo]:
    """Draw photos into a folder, those that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(min(count, DRAWN_AT_MOST)):
        label, path = 1 + number % len(CLASS_NAMES), folder / f"{number}.jpg"
        if not path.exists():
            image = draw_photo(label, np.random.default_rng([number, label]), DRAWN_SIZE)
            encoded, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            assert encoded
            path.write_bytes(data.tobytes())
        found.append(Photo(path, str(label)))
    return found


def source(folder: Path, count: int, photos: Path | None) -> list[Photo]:
    """Return the photos to build from: those of `photos`, or drawn ones kept beside the data."""
    return photos_of(photos) if photos else draw_photos(folder / "drawn", count)


def build_competition(folder: Path, photos: Sequence[Photo], count: int) -> Path:
    """Write a competition of `count` training images and a few for testing, the photos taken in turn; return its root.

    Files are hard links where that is possible. A competition that is there already is left as it is.
    """
    root = folder / f"competition-{count}"
    if (root / "sample_submission.csv").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    train = [(number + 1, photos[number % len(photos)]) for number in range(count)]
    test = [(count + 1 + number, photos[number % len(photos)]) for number in range(TEST_IMAGES)]
    for split, rows in (("train", train), ("test", test)):
        (root / split / "images").mkdir(parents=True)
        for image_id, photo in rows:
            _link(photo.path, root / split / "images" / f"{image_id}.jpg")
    names = [(image_id, f"{image_id}.jpg") for image_id, _ in train]
    labelled = [(*name, photo.label) for name, (_, photo) in zip(names, train, strict=True)]
    _write_csv(root / "train" / "train.csv", ("image_id", "filename", "label"), labelled)
    _write_csv(root / "test" / "test.csv", ("image_id", "filename"), [(i, f"{i}.jpg") for i, _ in test])
    _write_csv(root / "sample_submission.csv", ("image_id", "label"), [(i, train[0][1].label) for i, _ in test])
    return root


def _link(origin: Path, target: Path) -> None:
    try:
        os.link(origin.resolve(), target)
    except OSError:  # another disk
        shutil.copyfile(origin, target)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_folds(path: Path, root: Path, photos: int, n_splits: int = N_SPLITS) -> None:
    """Write folds in which an image taken again stands with its photo: groups in turn, label by label."""
    with (root / "train" / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seen, fold_of = dict[str, int](), dict[int, int]()
    lines = []
    for number, row in enumerate(rows):
        group = number % photos
        if group not in fold_of:
            fold_of[group] = seen.setdefault(row["label"], 0) % n_splits
            seen[row["label"]] += 1
        lines.append((row["image_id"], row["label"], group, fold_of[group]))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_csv(path, ("image_id", "label", "group", "fold"), lines)


def write_config(path: Path, root: Path, tables: Mapping[str, Any]) -> Path:
    """Write a configuration whose run keeps everything beside it; `tables` are added to it or replace its own."""
    made: dict[str, Any] = {
        "competition": {"root": str(root)},
        "paths": {"output": str(path.parent / "output"), "submissions": str(path.parent / "submissions")},
        "folds": {"n_splits": N_SPLITS},
        "prediction": {"views": ["identity"]},
    }
    for name, table in tables.items():
        made[name] = {**made.get(name, {}), **table} if isinstance(table, dict) else table
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(made), encoding="utf-8")
    return path


def new_run(folder: Path, name: str, root: Path, photos: int, tables: Mapping[str, Any]) -> Path:
    """Return the configuration of a run that has nothing but its folds yet."""
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    path = write_config(place / f"{name}.toml", root, tables)
    n_splits = tables.get("folds", {}).get("n_splits", N_SPLITS)
    write_folds(place / "output" / name / "folds.csv", root, photos, n_splits)
    return path


def copies(photos: Sequence[Photo], count: int, size: int) -> Iterator[np.ndarray]:
    """Yield augmented copies of the photos in turn: uint8, (size, size, 3), RGB."""
    pipeline = build_pipeline("source", 512)
    for number in range(min(count, len(photos))):
        image = cv2.imread(str(photos[number].path))
        assert image is not None, photos[number].path
        wanted = range(1, len(range(number, count, len(photos))) + 1)
        for made in make_copies(image[..., ::-1].copy(), number, wanted, pipeline=pipeline, seed=0):
            yield cv2.resize(made, (size, size), interpolation=cv2.INTER_AREA)


def write_copies(path: Path, photos: Sequence[Photo], count: int, size: int = 224) -> Path:
    """Write augmented copies as one `.npy`, unless it is there with as many."""
    if path.exists() and len(np.load(path, mmap_mode="r")) == count:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, size, size, 3))
    for row, image in enumerate(copies(photos, count, size)):
        array[row] = image
    array.flush()
    return path


def write_stored_copies(folder: Path, photos: Sequence[Photo], count: int, each: int, size: int = 224) -> None:
    """Write `<id>_<copy>.jpg` for the first `count` images: copy 0 the photo itself, the others augmented."""
    pipeline = build_pipeline("source", 512)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        if (folder / f"{number + 1}_{each - 1}.jpg").exists():
            continue
        image = cv2.imread(str(photos[number % len(photos)].path))
        assert image is not None
        made = make_copies(image[..., ::-1].copy(), number + 1, range(1, each), pipeline=pipeline, seed=0)
        for copy, one in enumerate([image[..., ::-1], *made]):
            small = cv2.resize(np.ascontiguousarray(one[..., ::-1]), (size, size), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / f"{number + 1}_{copy}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def main() -> None:
    """Build what the command asks for and print where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True, dest="kind")
    competition, images = kinds.add_parser("competition"), kinds.add_parser("copies")
    competition.add_argument("folder", type=Path)
    images.add_argument("--out", type=Path, required=True)
    for kind in (competition, images):
        kind.add_argument("--count", type=int, required=True)
        kind.add_argument("--photos", type=Path)
    given = parser.parse_args()
    folder = given.folder if given.kind == "competition" else given.out.parent
    photos = source(folder, given.count, given.photos)
    made = (
        build_competition(folder, photos, given.count)
        if given.kind == "competition"
        else write_copies(given.out, photos, given.count)
    )
    print(made)


if __name__ == "__main__":
    main()
