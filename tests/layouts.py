"""Six layouts that public competitions have, rebuilt small: which files there are, and what is written in the CSVs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from conftest import altered, draw_photo

PHOTOS, TESTS = 6, 4  # of a class; of the test set
NAMES = ("crack", "flat tire", "été")  # of the class folders


def write_photo(path: Path, seed: int) -> None:
    """Write a photo like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, altered(draw_photo(seed), seed))[1].tobytes())


def write_csv(path: Path, header: str, rows: Iterable[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def class_folders(root: Path) -> None:
    """train/<class>/…, some deeper, with blanks and accents; test/*.jpg and a sample submission, no CSV else."""
    for number, name in enumerate(NAMES):
        for photo in range(PHOTOS):
            deeper = "new/of 2020/" if photo == 0 else ""
            write_photo(root / "train" / name / f"{deeper}{photo}.jpg", 100 * number + photo)
    for photo in range(TESTS):
        write_photo(root / "test" / f"{photo}.jpg", 900 + photo)
    write_csv(root / "sample_submission.csv", "file,species", (f"{photo}.jpg,crack" for photo in range(TESTS)))


def one_hot(root: Path) -> None:
    """A column of 0 and 1 for each class; all images in one folder; one probability a class is asked for."""
    rows = [(f"Train_{number}", number % 3) for number in range(3 * PHOTOS)]
    tests = [f"Test_{number}" for number in range(TESTS)]
    for number, name in enumerate([*(name for name, _ in rows), *tests]):
        write_photo(root / "images" / f"{name}.jpg", number)
    cells = (f"{name},{','.join(map(str, np.eye(3, dtype=int)[label]))}" for name, label in rows)
    write_csv(root / "train.csv", "image_id,healthy,rust,scab", cells)
    write_csv(root / "test.csv", "image_id", tests)
    write_csv(root / "sample_submission.csv", "image_id,healthy,rust,scab", (f"{name},0.3,0.3,0.4" for name in tests))


def probability(root: Path) -> None:
    """Two classes, 0 and 1, and a sample that asks for one probability."""
    for number in range(2 * PHOTOS):
        write_photo(root / "train" / f"{number:04}.png", number)
    for number in range(TESTS):
        write_photo(root / "test" / f"{number}.png", 900 + number)
    write_csv(root / "train_labels.csv", "id,label", (f"{number:04},{number % 2}" for number in range(2 * PHOTOS)))
    write_csv(root / "test.csv", "id", map(str, range(TESTS)))
    write_csv(root / "sample_submission.csv", "id,label", (f"{number},0.5" for number in range(TESTS)))


def sub_folders(root: Path) -> None:
    """CSVs whose paths name the sub-folder of each image."""
    rows = [(f"{'north' if number % 2 else 'south'}/{number}.jpg", number % 3) for number in range(3 * PHOTOS)]
    tests = [f"east/{number}.jpg" for number in range(TESTS)]
    for number, (name, _) in enumerate(rows):
        write_photo(root / "photos" / name, number)
    for number, name in enumerate(tests):
        write_photo(root / "photos" / name, 900 + number)
    write_csv(root / "train.csv", "path,kind", (f"{name},{NAMES[label]}" for name, label in rows))
    write_csv(root / "test.csv", "path", tests)
    write_csv(root / "sample_submission.csv", "path,kind", (f"{name},crack" for name in tests))


def two_folders(root: Path) -> None:
    """One CSV, named by nobody's rule, whose images lie in two folders, with an id of what is shown."""
    rows = [(f"ISIC_{number}", number % 3) for number in range(3 * PHOTOS)]
    for number, (name, _) in enumerate(rows):
        write_photo(root / f"HAM_images_part_{1 + number % 2}" / f"{name}.jpg", number)
    tests = [f"ISIC_9{number}" for number in range(TESTS)]
    for number, name in enumerate(tests):
        write_photo(root / "test" / f"{name}.jpg", 900 + number)
    cells = (f"HAM_{number // 2},{name},{'abc'[label]}" for number, (name, label) in enumerate(rows))
    write_csv(root / "HAM_metadata.csv", "lesion_id,image_id,dx", cells)
    write_csv(root / "test.csv", "image_id", tests)
    write_csv(root / "sample_submission.csv", "image_id,dx", (f"{name},a" for name in tests))


def no_test_csv(root: Path) -> None:
    """A train CSV, a folder of test images, and a sample that alone lists them."""
    for number in range(3 * PHOTOS):
        write_photo(root / "train_images" / f"{number}.jpg", number)
    for number in range(TESTS):
        write_photo(root / "test_images" / f"{100 + number}.jpg", 900 + number)
    write_csv(root / "train.csv", "image_id,label", (f"{number}.jpg,{number % 3}" for number in range(3 * PHOTOS)))
    write_csv(root / "sample_submission.csv", "image_id,label", (f"{100 + n}.jpg,0" for n in range(TESTS)))


LAYOUTS: dict[str, Callable[[Path], None]] = {
    make.__name__: make for make in (class_folders, one_hot, probability, sub_folders, two_folders, no_test_csv)
}
