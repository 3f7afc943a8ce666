"""The step `augment`: the copies as files."""

import cv2
import numpy as np
import pandas as pd

from conftest import Tiny
from ripik.augmentation.pipeline import augmented_copies
from ripik.augmentation.write_copies import augment
from ripik.data.image_files import decode


def test_every_copy_is_written_and_listed(tiny: Tiny) -> None:
    csv = augment(tiny.settings())
    listed = pd.read_csv(csv, dtype={"image_id": str})
    assert list(listed.columns) == ["image_id", "copy", "filename", "label"]
    assert len(listed) == 2 * len(tiny.truth)
    assert sorted(path.name for path in (csv.parent / "images").iterdir()) == sorted(listed["filename"])
    truth = tiny.truth.set_index("image_id")["label"]
    assert (listed["label"].to_numpy() == truth.loc[listed["image_id"]].to_numpy()).all()


def test_a_written_copy_is_the_one_that_training_sees(tiny: Tiny) -> None:
    settings = tiny.settings()
    csv = augment(settings)
    source = tiny.input / "train" / "images" / "3.jpg"
    expected = next(iter(augmented_copies(decode(source), "3", [2], settings.augmentation)))
    found = decode(csv.parent / "images" / "3_2.jpg")
    assert found.shape == expected.shape
    assert cv2.PSNR(found, expected) > 28  # JPEG at 95


def test_a_second_call_keeps_the_files_and_mends_a_missing_one(tiny: Tiny) -> None:
    csv = augment(tiny.settings())
    folder = csv.parent / "images"
    kept, lost = folder / "1_1.jpg", folder / "2_1.jpg"
    before, made = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    (csv.parent / "meta.json").unlink()
    augment(tiny.settings())
    assert kept.stat().st_mtime_ns == made
    assert lost.read_bytes() == before


def test_other_labels_are_listed_and_no_copy_is_drawn_again(tiny: Tiny) -> None:
    csv = augment(tiny.settings())
    copies = {path: path.stat().st_mtime_ns for path in (csv.parent / "images").iterdir()}
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=frame["label"].astype(int) % 3 + 1))
    augment(tiny.settings())
    listed, truth = pd.read_csv(csv, dtype={"image_id": str}), tiny.truth.set_index("image_id")["label"]
    assert (listed["label"].to_numpy() == truth.loc[listed["image_id"]].to_numpy() % 3 + 1).all()
    assert {path: path.stat().st_mtime_ns for path in copies} == copies
    written = csv.stat().st_ino
    augment(tiny.settings())
    assert csv.stat().st_ino == written


def test_copies_of_other_settings_are_replaced(tiny: Tiny) -> None:
    first = augment(tiny.settings())
    before = decode(first.parent / "images" / "1_1.jpg")
    augment(tiny.settings("augmentation.seed=1", "augmentation.copies=1"))
    assert not (first.parent / "images" / "1_2.jpg").exists()
    assert not np.array_equal(decode(first.parent / "images" / "1_1.jpg"), before)


def test_what_a_killed_process_left_is_removed(tiny: Tiny) -> None:
    csv = augment(tiny.settings())
    (csv.parent / "meta.json").unlink()
    (csv.parent / "images" / "1_1.jpg").unlink()
    left = csv.parent / "images" / ".999999999-elsewhere.1_1.jpg"
    left.touch()
    augment(tiny.settings())
    assert not left.exists()
