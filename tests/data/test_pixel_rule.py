"""16 bits and transparency become 8-bit RGB by one rule of the competition, wherever images are decoded."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import odd_images
from conftest import FAST, Tiny, ripik
from ripik.augmentation.write_copies import augment
from ripik.data.image_check import open_competition, tell_unreadable
from ripik.data.image_files import Examined, decode, examine
from ripik.data.pixel_rule import FULL, PixelRule, in_8_bits
from ripik.features.pixels import pixel_inputs, pixels
from ripik.kaggle.kernel.infer import infer
from ripik.kaggle.kernel.models_dataset import write_models
from ripik.splits.groups import group_inputs
from ripik.splits.near_copies.find import near_copy_groups
from ripik.splits.run import Run
from ripik.storage import artifacts

TWELVE = PixelRule(4096)
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "photo.jpg"  # whatever it holds


@pytest.mark.parametrize("kind", [".png", ".tif", ".pgm"])
@pytest.mark.parametrize("grey", [True, False])
def test_twelve_bits_in_sixteen_fill_all_grey_levels(file: Path, kind: str, grey: bool) -> None:
    data, values = odd_images.twelve_bits(".ppm" if kind == ".pgm" and not grey else kind, grey=grey)
    file.write_bytes(data)
    found = decode(file, TWELVE)
    np.testing.assert_array_equal(found, values >> 4)
    assert (found.min(), found.max()) == (0, 255)
    assert examine(file, TWELVE).seen.highest == 4095
    assert len(np.unique(decode(file))) <= 17  # without the rule


@pytest.mark.parametrize("name", ["16-bit", "16-bit TIFF"])
def test_sixteen_full_bits_keep_the_bytes_of_opencv(file: Path, name: str) -> None:
    data = odd_images.good()[name]
    file.write_bytes(data)
    assert examine(file).is_deep
    plain = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode(file, PixelRule(FULL)), plain[..., ::-1])


def test_values_beyond_the_levels_are_white_and_few_levels_are_stretched() -> None:
    assert in_8_bits(np.array([0, 15, 16, 4095, 4096, 65535], np.uint16), 4096).tolist() == [0, 0, 1, 255, 255, 255]
    assert in_8_bits(np.array([0, 1, 3, 9], np.uint16), 4).tolist() == [0, 64, 192, 192]
    assert in_8_bits(np.array([0], np.uint16), 1).tolist() == [0]


def shape() -> np.ndarray:
    """Return a picture that is black but for its transparency, which shows a disc: uint8 (40, 64, 4)."""
    picture = np.zeros((40, 64, 4), np.uint8)
    cv2.circle(picture, (20, 20), 12, (0, 0, 0, 255), -1)
    return picture


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "grey and alpha", "a palette", "a clear colour", "GIF"])
def test_a_shape_in_the_transparency_alone_is_seen_on_white(file: Path, kind: str) -> None:
    picture = Image.fromarray(shape())
    how: dict = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if kind == "grey and alpha":
        picture = picture.convert("LA")
    if kind in ("a palette", "a clear colour", "GIF"):
        opaque = Image.fromarray(np.where(shape()[..., 3] > 0, 0, 200).astype(np.uint8))
        picture, how = opaque if kind == "a clear colour" else opaque.convert("P"), {"transparency": 200}
    file.write_bytes(odd_images.encoded(picture, kind if kind in ("WEBP", "TIFF", "GIF") else "PNG", **how))
    wanted = 255 - shape()[..., 3:]
    np.testing.assert_array_equal(decode(file), np.repeat(wanted, 3, axis=2))
    assert examine(file) == Examined(alpha=True)
    assert (decode(file, PixelRule(alpha="black")) == 0).all()
    assert examine(file, PixelRule(alpha="black")).seen.span == 0
    plain = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode(file, PixelRule(alpha="drop")), plain[..., ::-1])


def test_half_transparent_colours_are_mixed_with_the_ground(file: Path) -> None:
    picture = np.full((10, 12, 4), (200, 100, 0, 51), np.uint8)
    picture[0, 0, 3] = 255
    file.write_bytes(odd_images.encoded(Image.fromarray(picture), "PNG"))
    assert decode(file)[5, 5].tolist() == [244, 224, 204]
    assert decode(file)[0, 0].tolist() == [200, 100, 0]
    assert decode(file, PixelRule(alpha="black"))[5, 5].tolist() == [40, 20, 0]


def test_opaque_images_keep_the_bytes_of_opencv(file: Path) -> None:
    image = odd_images.photo().convert("RGBA")
    file.write_bytes(odd_images.encoded(image, "PNG"))
    assert examine(file) == Examined()
    np.testing.assert_array_equal(decode(file), np.asarray(image)[..., :3])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_turns_hold_for_transparent_images(file: Path, kind: str) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    how: dict = {"tiffinfo": {274: 6}} if kind == "TIFF" else {"exif": turned}
    if kind == "WEBP":
        how |= {"lossless": True, "exact": True}
    file.write_bytes(odd_images.encoded(Image.fromarray(shape()), kind, **how))
    wanted = np.rot90(255 - shape()[..., 3], -1)
    np.testing.assert_array_equal(decode(file)[..., 0], wanted)


def test_sixteen_bits_and_transparency_go_together(file: Path) -> None:
    values = odd_images.twelve_bits()[1]
    alpha = shape()[..., 3:].astype(np.uint16) * 257
    file.write_bytes(cv2.imencode(".png", np.concatenate([values[..., ::-1], alpha], axis=2))[1].tobytes())
    np.testing.assert_array_equal(decode(file, TWELVE), np.where(alpha > 0, values >> 4, 255))
    file.write_bytes(odd_images.tiff(np.concatenate([values, alpha], axis=2), 2, 2))
    np.testing.assert_array_equal(decode(file, TWELVE), np.where(alpha > 0, values >> 4, 255))


def test_near_copies_are_looked_for_in_what_is_decoded(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, shift in zip(paths, (4, 3), strict=True):  # the second is half as bright
        cv2.imwrite(str(path), np.asarray(odd_images.photo()).astype(np.uint16) << shift)
    assert near_copy_groups(paths, rule=TWELVE).group.tolist() == [0, 0]
    assert near_copy_groups(paths).group.tolist() == [0, 1]  # of 16 and 8 levels


def deepened(tiny: Tiny, name: str = "*.jpg", *, shift: int = 4) -> dict[Path, np.ndarray]:
    """Make the images of the competition 12-bit values in 16-bit files; return their 8 bits, RGB, by path."""
    found = {}
    for path in (tiny.input).glob(f"*/images/{name}"):
        found[path] = decode(path)
        found[path][0, 0] = 255
        path.write_bytes(cv2.imencode(".png", found[path][..., ::-1].astype(np.uint16) << shift)[1].tobytes())
    return found


def test_the_rule_of_the_training_set_is_recorded_and_told(tiny: Tiny, capsys: Capture) -> None:
    photos = deepened(tiny)
    competition = open_competition(tiny.settings())
    assert competition.rule == TWELVE
    assert competition.ruled == ("train", "test")
    assert artifacts.read_meta(tiny.run / "unreadable.meta.json")["rule"] == {"levels": 4096, "alpha": "white"}
    assert open_competition(tiny.settings(), check=False).rule == TWELVE
    tell_unreadable(tiny.settings(), competition)
    told = capsys.readouterr()
    assert "images: 16-bit values 0…4095 become 0…255: 33 of 33" in told.out
    assert told.err == ""
    for path, photo in photos.items():
        np.testing.assert_array_equal(decode(path, competition.rule), photo)
    stored = np.load(pixels(Run(tiny.settings(), competition), "train", False, 48))
    for row, path in enumerate(competition.train["path"]):
        np.testing.assert_array_equal(stored[row], photos[path])
    csv = augment(tiny.settings("augmentation.copies=1"))
    assert np.mean([decode(path).mean() for path in (csv.parent / "images").iterdir()]) > 60


def test_what_the_rule_makes_is_stale_under_another_rule(tiny: Tiny) -> None:
    deepened(tiny, "1.jpg")
    found = []
    for shift in (4, 5):
        deepened(tiny, "2.jpg", shift=shift)
        run = Run.open(tiny.settings())
        of_train = pixel_inputs(run, "train", False, 32)
        found.append((of_train["rule"], group_inputs(run.settings, run.competition)["rule"]))
        assert "rule" not in pixel_inputs(run, "test", False, 32)
    assert [one["levels"] for one, _ in found] == [4096, 8192]
    assert [one for one, _ in found] == [one for _, one in found]


@pytest.mark.parametrize("alpha", ["white", "drop"])
def test_without_special_images_nothing_is_recorded(tiny: Tiny, alpha: str) -> None:
    settings = tiny.settings(f"competition.alpha={alpha}")
    competition = open_competition(settings)
    assert competition.ruled == ()
    assert set(pixel_inputs(Run(settings, competition), "train", False, 32)) == {
        *("images", "size", "version", "augmentation"),
    }
    assert set(group_inputs(settings, competition)) == {"images", "near_copies"}


def test_test_images_beyond_the_training_range_are_told(tiny: Tiny, capsys: Capture) -> None:
    deepened(tiny)
    test = tiny.input / "test" / "images" / f"{tiny.test['image_id'][1]}.jpg"
    test.write_bytes(odd_images.good()["16-bit"])
    tell_unreadable(tiny.settings(), open_competition(tiny.settings()))
    assert f"16-bit values above 4095, the range of the training images, become white: 1 of 33 ({test.name})" in (
        capsys.readouterr().err
    )


def test_images_that_lose_their_content_are_told(tiny: Tiny, capsys: Capture) -> None:
    paths = sorted((tiny.input / "train" / "images").iterdir())[:4]
    for number, path in enumerate(paths):
        picture = np.roll(shape(), 5 * number, axis=1)
        path.write_bytes(odd_images.encoded(Image.fromarray(picture), "PNG"))
    tell_unreadable(tiny.settings(), open_competition(tiny.settings()))
    assert capsys.readouterr().err == ""
    settings = tiny.settings("competition.alpha=drop")
    tell_unreadable(settings, open_competition(settings))
    told = capsys.readouterr()
    assert "images: transparency is dropped: 4 of 33" in told.out
    for warned in ("nearly constant after decoding", "different files have the same pixels after decoding"):
        assert f"{warned}" in told.err
    assert told.err.count(f": 4 of 33 ({', '.join(path.name for path in paths)})") == 2


def test_copies_of_a_file_and_a_single_pair_are_no_loss(tiny: Tiny, capsys: Capture) -> None:
    one, two, three = sorted((tiny.input / "train" / "images").iterdir())[:3]
    two.write_bytes(one.read_bytes())
    three.write_bytes(one.read_bytes() + b"more")
    tell_unreadable(tiny.settings(), open_competition(tiny.settings()))
    assert capsys.readouterr().err == ""


@pytest.mark.long
def test_predict_and_a_kernel_decode_by_the_rule_of_the_training_set(tiny: Tiny) -> None:
    """All of a 12-bit competition's test images, alone, are half as bright: their own range would be another."""
    deepened(tiny)
    for path in (tiny.input / "test" / "images").iterdir():
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) >> 1
        path.write_bytes(cv2.imencode(".png", values)[1].tobytes())
    for step in ("folds", "train", "ensemble"):
        done = ripik(tiny, step, *([] if step == "folds" else ["--variants", "original"]))
        assert done.returncode == 0, done.stdout + done.stderr
    done = ripik(tiny, "predict", "--images", str(tiny.input / "test" / "images"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "images: 16-bit values 0…4095 become 0…255: 6 of 6" in done.stdout
    columns = ["p_1", "p_2", "p_3"]
    found = pd.read_csv(tiny.run / "predictions" / "images.csv").set_index("filename")[columns]
    blend = pd.read_csv(tiny.run / "ensemble" / "test.csv", dtype={"image_id": str})
    np.testing.assert_allclose(found.loc[blend["image_id"] + ".jpg"], blend[columns], atol=1e-4)

    models, target = tiny.folder / "models", tiny.folder / "found.csv"
    assert write_models(tiny.settings(*FAST, "kaggle.user=me"), models).rule == {"levels": 4096, "alpha": "white"}
    infer(tiny.settings(*FAST, f"paths.output={tiny.folder / 'elsewhere'}"), models, target)
    (submission,) = tiny.folder.glob("submissions/tiny-*[0-9].csv")
    assert target.read_bytes() == submission.read_bytes()


def test_a_fine_texture_is_not_taken_for_a_lost_picture(tmp_path: Path) -> None:
    """A checkerboard of single pixels is one grey where a JPEG is decoded at an eighth of its size."""
    board = np.indices((640, 640)).sum(axis=0) % 2 * 255
    file = tmp_path / "board.jpg"
    cv2.imwrite(str(file), board.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert examine(file).seen.span > 200
