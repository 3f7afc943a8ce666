"""Images that cannot be read: listed, left out or guessed; nothing is tried twice."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import odd_images
from conftest import FAST, Tiny, ripik
from ripik.data.competition import fingerprint, read_competition
from ripik.data.image_check import examine_all, open_competition, tell_unreadable
from ripik.ensemble.folder import predict_folder
from ripik.errors import InputError, OutOfTimeError
from ripik.execution import time_limit
from ripik.features.pixels import pixels
from ripik.splits.groups import groups_of, make_groups
from ripik.splits.run import Run
from ripik.storage import artifacts

SKIP = "competition.on_bad_image=skip"
ALONE = "decision.copies_vote=off"  # one photo of a folder has not the near copies that the test set has
Capture = pytest.CaptureFixture[str]


def image(tiny: Tiny, split: str, row: int) -> Path:
    rows = tiny.truth if split == "train" else tiny.test
    return tiny.input / split / "images" / f"{rows['image_id'][row]}.jpg"


def listed(tiny: Tiny) -> pd.DataFrame:
    return pd.read_csv(tiny.run / "unreadable.csv", dtype=str)


def test_without_a_bad_image_the_list_is_empty_and_nothing_is_said(tiny: Tiny, capsys: Capture) -> None:
    competition = open_competition(tiny.settings())
    assert competition.train["readable"].all()
    assert competition.test["readable"].all()
    assert (tiny.run / "unreadable.csv").read_text() == "image_id,split,path,problem\n"
    assert fingerprint(competition, "test") == fingerprint(read_competition(tiny.settings()), "test")
    capsys.readouterr()
    tell_unreadable(tiny.settings(), open_competition(tiny.settings()))
    assert capsys.readouterr() == ("", "")


def test_the_fingerprint_of_whole_data_is_that_of_ids_and_files(tiny: Tiny) -> None:
    """What runs of before the list recorded stays up to date."""
    competition = open_competition(tiny.settings())
    rows = competition.train
    wanted = artifacts.digest([list(rows["image_id"]), artifacts.files_digest(list(rows["path"]))])
    assert fingerprint(competition, "train") == wanted


def test_bad_training_images_stop_with_all_of_them_listed(tiny: Tiny) -> None:
    image(tiny, "train", 4).write_bytes(b"")
    image(tiny, "train", 8).unlink()
    image(tiny, "test", 0).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"unreadable training images: 2 .*0 bytes.*unreadable\.csv.*skip"):
        open_competition(tiny.settings())
    found = listed(tiny)
    assert found["split"].tolist() == ["train", "train", "test"]
    assert found["image_id"].tolist() == [*tiny.truth["image_id"][[4, 8]], tiny.test["image_id"][0]]
    assert found["path"].tolist()[0] == str(image(tiny, "train", 4))
    assert "missing" in found["problem"][1]
    with pytest.raises(InputError, match="unreadable training images: 2"):
        open_competition(tiny.settings(), check=False)  # the list is up to date


def test_or_are_left_out_as_if_they_had_no_row(tiny: Tiny, capsys: Capture) -> None:
    whole = open_competition(tiny.settings())
    image(tiny, "train", 4).write_bytes(b"")
    found = open_competition(tiny.settings(SKIP))
    wanted = whole.train.drop(index=4).reset_index(drop=True)
    pd.testing.assert_frame_equal(found.train, wanted)
    assert len(found.class_indices()) == len(whole.train) - 1
    tell_unreadable(tiny.settings(SKIP), found)
    told = capsys.readouterr().err
    assert "left out: 1 (" in told
    assert image(tiny, "train", 4).name in told
    image(tiny, "train", 4).unlink()
    tiny.edit(tiny.train_csv, lambda frame: frame.drop(index=4))
    assert fingerprint(open_competition(tiny.settings()), "train") == fingerprint(found, "train")


def test_a_class_without_readable_images_stops(tiny: Tiny) -> None:
    rows = np.flatnonzero(tiny.truth["label"] == 2)
    for row in rows:
        image(tiny, "train", row).write_bytes(b"")
    with pytest.raises(InputError, match="of the class 2 no training image can be read"):
        open_competition(tiny.settings(SKIP))


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_bad_test_images_never_stop(tiny: Tiny, capsys: Capture, policy: str) -> None:
    settings = tiny.settings(f"competition.on_bad_image={policy}")
    image(tiny, "test", 1).write_bytes(odd_images.png_of_size(50_000, 50_000))
    image(tiny, "test", 2).unlink()
    found = open_competition(settings)
    assert len(found.train) == len(tiny.truth)
    assert found.test["readable"].tolist() == [True, False, False, True, True, True]
    tell_unreadable(settings, found)
    told = capsys.readouterr().err
    assert "class shares of the training images: 2 of 6" in told
    assert "100 million" in told


def test_more_than_half_missing_is_a_wrong_folder(tiny: Tiny) -> None:
    for row in range(4):
        image(tiny, "test", row).unlink()
    with pytest.raises(InputError, match=r"4 of the 6 images of .*test\.csv are not in"):
        open_competition(tiny.settings())


def test_nothing_is_tried_twice_and_a_replaced_image_again(
    tiny: Tiny, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image(tiny, "test", 0)
    good = path.read_bytes()
    path.write_bytes(b"")
    bad = open_competition(tiny.settings())
    made = (tiny.run / "unreadable.csv").stat().st_mtime_ns
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("ripik.data.image_check.examine", lambda _: pytest.fail("tried again"))
        again = open_competition(tiny.settings())
    assert capsys.readouterr() == ("", "")
    assert (tiny.run / "unreadable.csv").stat().st_mtime_ns == made
    pd.testing.assert_frame_equal(again.test, bad.test)
    path.write_bytes(good)
    mended = open_competition(tiny.settings())
    assert mended.test["readable"].all()
    assert fingerprint(mended, "test") != fingerprint(bad, "test")
    assert fingerprint(mended, "train") == fingerprint(bad, "train")


def test_a_damaged_list_is_made_again(tiny: Tiny, capsys: Capture) -> None:
    image(tiny, "test", 0).write_bytes(b"")
    open_competition(tiny.settings())
    whole = (tiny.run / "unreadable.csv").read_bytes()
    (tiny.run / "unreadable.csv").write_text("image_id,split,path,problem\n")
    assert not open_competition(tiny.settings()).test["readable"].all()
    assert (tiny.run / "unreadable.csv").read_bytes() == whole
    assert "It is rebuilt" in capsys.readouterr().err


def test_without_check_nothing_is_written_and_all_passes_for_readable(tiny: Tiny) -> None:
    image(tiny, "train", 0).write_bytes(b"")
    image(tiny, "test", 0).unlink()
    found = open_competition(tiny.settings(), check=False)
    assert len(found.train) == len(tiny.truth)
    assert found.test["readable"].tolist() == [False, *[True] * 5]  # a missing file is seen without trying
    assert not tiny.run.exists()
    assert tiny.cli("status") == 0
    assert not tiny.run.exists()


def test_transparent_and_moving_images_are_counted_in_a_line(tiny: Tiny, capsys: Capture) -> None:
    photo = odd_images.photo()
    clear = photo.convert("RGBA")
    image(tiny, "train", 1).write_bytes(odd_images.encoded(clear, "PNG"))  # opaque
    clear.putalpha(100)
    image(tiny, "train", 0).write_bytes(odd_images.encoded(clear, "PNG"))
    image(tiny, "test", 0).write_bytes(odd_images.encoded(photo, "GIF", save_all=True, append_images=[photo.rotate(9)]))
    tell_unreadable(tiny.settings(), open_competition(tiny.settings()))
    told = capsys.readouterr()
    assert "images: transparency is composited on white: 1 of 33" in told.out
    assert "images: of several frames the first is used: 1 of 33" in told.out
    assert told.err == ""
    assert len(listed(tiny)) == 0


def test_many_images_are_tried_in_parallel_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(150)]
    for number, path in enumerate(paths):
        path.write_bytes(b"" if number % 7 == 0 else odd_images.encoded(odd_images.photo(), "JPEG"))
    assert [bool(told.problem) for told in examine_all(paths, "try")] == [number % 7 == 0 for number in range(150)]


def test_unreadable_images_are_groups_of_their_own(tiny: Tiny) -> None:
    before = make_groups(tiny.settings(), open_competition(tiny.settings()))
    for row in (1, 3):  # the same bytes: near copies, if they were looked at
        image(tiny, "test", row).write_bytes(b"")
    found = make_groups(tiny.settings(), open_competition(tiny.settings()))
    groups = groups_of(found, "test")
    assert all((groups == groups[row]).sum() == 1 for row in (1, 3))
    assert set(groups[[1, 3]]).isdisjoint(groups_of(found, "train"))
    np.testing.assert_array_equal(groups_of(found, "train"), groups_of(before, "train"))
    alone = found[found["split"] == "test"].iloc[[1, 3]]
    assert (alone["matched_id"] == "").all()
    assert alone["similarity"].isna().all()


def test_their_stored_pixels_are_black_and_are_made_again_when_the_file_is_mended(tiny: Tiny) -> None:
    path = image(tiny, "test", 2)
    good, settings = path.read_bytes(), tiny.settings()
    whole = np.load(pixels(Run(settings, open_competition(settings)), "test", False, 32))
    path.write_bytes(b"")
    found = np.load(pixels(Run(settings, open_competition(settings)), "test", False, 32))
    assert (found[2] == 0).all()
    np.testing.assert_array_equal(np.delete(found, 2, axis=0), np.delete(whole, 2, axis=0))
    path.write_bytes(good)
    np.testing.assert_array_equal(np.load(pixels(Run(settings, open_competition(settings)), "test", False, 32)), whole)


def test_storing_pixels_stops_at_the_time_limit_and_goes_on(tiny: Tiny) -> None:
    settings = tiny.settings()
    competition = open_competition(settings)
    with time_limit.limited(-1), pytest.raises(OutOfTimeError):
        pixels(Run(settings, competition), "train", False, 32)
    path = pixels(Run(settings, competition), "train", False, 32)
    assert np.load(path).shape == (len(tiny.truth), 32, 32, 3)


@pytest.mark.long
def test_a_bad_test_image_goes_through_to_a_valid_submission(tiny: Tiny) -> None:
    """With a training image skipped, a test image cut, one missing; then a folder of photos with a bad one."""
    image(tiny, "train", 5).write_bytes(image(tiny, "train", 5).read_bytes()[:400])
    image(tiny, "test", 0).write_bytes(image(tiny, "test", 0).read_bytes()[:400])
    image(tiny, "test", 4).unlink()
    for step in ("train", "ensemble"):
        done = ripik(tiny, step, "--variants", "original", "--set", SKIP, "--set", ALONE)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr.count("class shares of the training images: 2 of 6") == 1, done.stderr
        assert done.stderr.count("left out: 1 (") == 1
    run = Run.open(tiny.settings(*FAST, SKIP, ALONE))
    shares = run.competition.train["label"].value_counts(normalize=True).sort_index().to_numpy()
    for folder in ("original", "ensemble"):
        test = pd.read_csv(tiny.run / folder / "test.csv", dtype={"image_id": str})
        assert test["image_id"].tolist() == tiny.test["image_id"].tolist()
        found = test[["p_1", "p_2", "p_3"]].to_numpy()
        np.testing.assert_allclose(found[[0, 4]], [shares, shares], rtol=1e-6)
        assert np.abs(found[[1, 2, 3, 5]] - shares).max(axis=1).min() > 1e-4
    oof = pd.read_csv(tiny.run / "original" / "oof.csv", dtype={"image_id": str})
    assert sorted(oof["image_id"]) == sorted(tiny.truth["image_id"].drop(index=5))
    for job in ("fold0", "fold1"):
        stored = np.load(tiny.run / "original" / job / "predictions.npz", allow_pickle=False)["test"]
        np.testing.assert_array_equal(
            stored[:, [0, 4]], np.broadcast_to(shares.astype(np.float32), (len(stored), 2, 3))
        )
    (submission,) = tiny.folder.glob("submissions/tiny-*[0-9].csv")
    assert sorted(pd.read_csv(submission, dtype=str)["image_id"]) == sorted(tiny.test["image_id"])

    photos = tiny.folder / "photos"
    photos.mkdir()
    shutil.copy(image(tiny, "test", 1), photos / "good.jpg")
    (photos / "bad.jpg").write_bytes(b"")
    done = ripik(tiny, "predict", "--images", str(photos), "--set", SKIP, "--set", ALONE)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 (bad.jpg: the file is empty (0 bytes))" in done.stderr
    predicted = pd.read_csv(tiny.run / "predictions" / "photos.csv").set_index("filename")
    np.testing.assert_allclose(predicted.loc["bad.jpg", ["p_1", "p_2", "p_3"]].astype(float), shares, rtol=1e-6)
    blend = pd.read_csv(tiny.run / "ensemble" / "test.csv").loc[1, ["p_1", "p_2", "p_3"]]
    np.testing.assert_allclose(predicted.loc["good.jpg", ["p_1", "p_2", "p_3"]].astype(float), blend, atol=1e-4)
    (photos / "good.jpg").unlink()
    with pytest.raises(InputError, match=r"none of the 1 photos in .* can be read \(bad.jpg"):
        predict_folder(tiny.settings(*FAST, SKIP, ALONE), photos)


def test_a_class_of_which_only_ignored_images_can_be_read_is_refused(tiny: Tiny) -> None:
    rows = tiny.truth.index[tiny.truth["label"] == 2]
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(doubtful=(frame.index == rows[0]).astype(int)))
    for row in rows[1:]:
        image(tiny, "train", row).write_bytes(b"")
    assert len(open_competition(tiny.settings(SKIP)).train) == len(tiny.truth) - len(rows) + 1
    with pytest.raises(InputError, match="of the class 2 no readable image is left to train on"):
        open_competition(tiny.settings(SKIP, "competition.ignore=doubtful"))
