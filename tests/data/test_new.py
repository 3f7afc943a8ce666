"""`new` looks at files that nobody described, writes a configuration that reads them, and asks what they leave open."""

import io
import os
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from conftest import Tiny, in_this_process
from layouts import LAYOUTS, write_csv, write_photo
from organiser import zip_of
from ripik import cli
from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.data.survey import configuration
from ripik.ensemble.submission import check_submission
from ripik.kaggle import downloads
from ripik.settings import CompetitionSettings

QUICK = (
    *("folds.n_splits=2", "training.epochs=2", "network.backbone=SmallNet", "network.weights=random"),
    *("network.image_size=32", "prediction.engine=keras", "variants={original={}}"),
)
TRAINS = {**dict.fromkeys(LAYOUTS, 18), "probability": 12}
FORMS = {"one_hot": "probabilities", "probability": "probability"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(source: object, *answers: str, config: str = "") -> int:
    named = ["--config", config] if config else []
    sets = [part for answer in answers for part in ("--set", answer)]
    return cli.main(["new", "--source", str(source), *named, *sets])


def zipped(layout: str, folder: Path) -> bytes:
    LAYOUTS[layout](folder)
    return zip_of({path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")})


def written(name: str) -> CompetitionSettings:
    return load_settings(Path("configs") / f"{name}.toml").competition


def refused(capsys: pytest.CaptureFixture[str], source: object, *answers: str) -> str:
    assert new(source, *answers) == 2
    return capsys.readouterr().err


def test_no_source_is_told_as_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["new", "--source", ""]) == 2
    assert "SOURCE is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_understood(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    LAYOUTS[name](folder / "src" / name)
    assert new(f"src/{name}") == 0
    text = (folder / "configs" / f"{name}.toml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15
    assert all("  # " in line for line in text.splitlines()[3:-2])  # the first line, the table, the root; the last two
    assert [line.split(" ")[0] for line in text.splitlines() if "ASKED" in line] == ["metric"]
    found = read_competition(load_settings(Path("configs") / f"{name}.toml"))
    assert (len(found.train), len(found.test)) == (TRAINS[name], 4)
    assert found.asked.kind == FORMS.get(name, "labels")
    assert "what was found" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize("name", LAYOUTS)
def test_from_new_to_a_checked_submission(folder: Path, name: str) -> None:
    LAYOUTS[name](folder / "src" / name)
    assert new(f"src/{name}") == 0
    config = ["--config", f"configs/{name}.toml", *(part for each in QUICK[:-1] for part in ("--set", each))]
    path = folder / "configs" / f"{name}.toml"
    path.write_text(path.read_text(encoding="utf-8") + "[variants]\noriginal = {}\n", encoding="utf-8")
    with in_this_process():
        assert cli.main(["train", *config]) == 0
        assert cli.main(["ensemble", *config]) == 0
    known = read_competition(load_settings(path))
    (submission,) = (folder / "submissions").glob(f"{name}-*[0-9].csv")
    ids = {known.asked.id_column: str}
    check_submission(pd.read_csv(submission, dtype=ids), known.sample, known.classes, known.asked)


def test_the_layout_of_the_demo_is_all_defaults(tiny: Tiny, folder: Path) -> None:
    assert new(tiny.input) == 0
    assert written("input") == CompetitionSettings(root=tiny.input.as_posix())


def test_an_archive_is_put_in_place(folder: Path) -> None:
    (folder / "cars.zip").write_bytes(zipped("class_folders", folder / "src"))
    assert new("cars.zip") == 0
    assert written("cars").root == ""
    assert len(read_competition(load_settings(Path("configs/cars.toml"))).train) == 18
    assert (folder / "input" / "cars" / "train" / "été" / "1.jpg").is_file()


def test_a_name_on_kaggle_is_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, into: Path) -> Path:
        archive = into / f"{name.rpartition('/')[2]}.zip"
        archive.write_bytes(zipped("no_test_csv", into / "files"))
        return archive

    monkeypatch.setattr(downloads, "download_dataset", download)
    monkeypatch.setattr(downloads, "download_competition", download)
    assert new("https://www.kaggle.com/datasets/someone/leaves") == 0
    assert written("leaves").kaggle_dataset == "someone/leaves"
    assert new("https://www.kaggle.com/competitions/plants") == 0
    settings = load_settings(Path("configs/plants.toml"))
    assert settings.kaggle.competition == "plants"
    assert len(read_competition(settings).train) == 18


def ambiguous(root: Path) -> None:
    LAYOUTS["no_test_csv"](root)
    (root / "sample_submission.csv").unlink()
    frame = pd.read_csv(root / "train.csv", dtype=str).rename(columns={"label": "colour"})
    frame.assign(shape=frame["colour"].map({"0": "a", "1": "b", "2": "b"})).to_csv(root / "train.csv", index=False)


def test_what_may_be_read_in_two_ways_is_refused_with_both(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ambiguous(folder / "src")
    told = refused(capsys, "src")
    assert "can be read in 2 ways: label_column=colour: 3 values; or label_column=shape: 2 values" in told
    assert not (folder / "configs").exists()
    assert new("src", "competition.label_column=shape") == 0
    assert written("src").label_column == "shape"
    assert written("src").sample_submission == ""


def test_any_key_of_the_competition_can_be_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LAYOUTS["two_folders"](folder / "src")
    assert new("src") == 0
    assert "possible group columns" in capsys.readouterr().out
    answers = {"group_column": "lesion_id", "alpha": "black", "on_bad_image": "skip", "metric": "accuracy"}
    assert (
        new("src", *(f"competition.{key}={value}" for key, value in answers.items()), config="configs/more.toml") == 0
    )
    assert "possible group columns" not in capsys.readouterr().out
    plain, more = written("src"), written("more")
    assert more == plain.model_copy(update=answers)
    lines = (folder / "configs" / "more.toml").read_text(encoding="utf-8").splitlines()
    assert all(line.endswith("  # set by you") for line in lines if line.split(" ")[0] in answers)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("gruop_column=lesion_id", "[competition] has no key gruop_column (did you mean group_column?)"),
        ("group_column=lesion", "lesion"),
        ("alpha=blak", "did you mean black?"),
        ("classes=3", "classes"),
        ("root=elsewhere", "competition.root: that is what SOURCE says here. Leave it out."),
    ],
)
def test_a_wrong_answer_is_told(folder: Path, capsys: pytest.CaptureFixture[str], answer: str, told: str) -> None:
    LAYOUTS["two_folders"](folder / "src")
    found = " ".join(refused(capsys, "src", f"competition.{answer}").split())
    assert told in found
    assert "Traceback" not in found
    assert "ripik-new-" not in found, "no name of a scratch folder"
    assert not (folder / "configs").exists()


def test_a_terminal_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ambiguous(folder / "src")
    answers = iter(["x", "2"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    assert new("src") == 0
    assert written("src").label_column == "shape"


def test_ctrl_d_is_no_answer(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ambiguous(folder / "src")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert "no answer. Choose one with --set competition.label_column=" in refused(capsys, "src")
    assert not (folder / "configs").exists()


def test_the_name_of_a_file_cannot_add_lines_to_the_configuration(folder: Path) -> None:
    LAYOUTS["no_test_csv"](folder / "src")
    (folder / "src" / "train.csv").rename(folder / "src" / 'train\nmetric = "log_loss"\x7f.csv')
    code = new("src")
    assert code in (0, 2)
    if code == 0:
        assert written("src").train_csv == 'train\nmetric = "log_loss"\x7f.csv'
        assert written("src").metric != "log_loss"
    assert configuration._line("as a\nb = 1\x7f\u2028 says") == "as a�b = 1�� says"


def test_a_header_of_too_many_pixels_is_no_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["class_folders"](folder / "src")
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 4)  # twice as many are refused
    assert new("src") in (0, 2)


def test_soft_labels_are_seen_without_a_sample(folder: Path) -> None:
    LAYOUTS["one_hot"](folder / "src")
    for name in ("sample_submission.csv", "test.csv"):
        (folder / "src" / name).unlink()
    rows = [f"Train_{number},{'0.5,0.3,0.2' if number % 2 else '0,0.4,0.6'},x" for number in range(18)]
    write_csv(folder / "src" / "train.csv", "image_id,a,b,c,place", rows)
    assert new("src") == 2  # no image is most of all b
    rows = [row.replace("0.5,0.3,0.2", "0.3,0.5,0.2") if number % 3 else row for number, row in enumerate(rows)]
    write_csv(folder / "src" / "train.csv", "image_id,a,b,c,place", rows)
    assert new("src") == 0
    assert written("src").label_columns == ("a", "b", "c")
    assert written("src").test_images == ""


def test_nothing_is_overwritten_nor_made_of_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no source nowhere" in refused(capsys, "./nowhere")
    (folder / "src").mkdir()
    assert "src contains no images" in refused(capsys, "src")
    write_photo(folder / "src" / "images" / "1.jpg", 1)
    assert "no folder has a subfolder for each class" in refused(capsys, "src")
    assert not (folder / "configs").exists()
    LAYOUTS["class_folders"](folder / "cars")
    assert new("cars") == 0
    before = (folder / "configs" / "cars.toml").read_bytes()
    assert "cars.toml exists. Delete it, or choose another name" in refused(capsys, "cars")
    assert (folder / "configs" / "cars.toml").read_bytes() == before
    assert "only takes keys of [competition]" in refused(capsys, "src", "training.epochs=1", "x=1")


def test_an_image_listed_twice_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "12":
        write_photo(folder / "src" / "images" / f"{name}.jpg", int(name))
    write_csv(folder / "src" / "train.csv", "image,label", ["1.jpg,a", "2.jpg,b", "1.jpg,a"])
    assert "train.csv lists the image '1.jpg' (image) in lines 2, 4. Each" in refused(capsys, "src")
    write_csv(folder / "src" / "train.csv", "image,label", ["3.jpg,a", "4.jpg,b", "3.jpg,a"])
    assert "its CSVs train.csv list none of the images" in refused(capsys, "src")


def test_a_pipe_is_no_source(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    assert "pipe is neither a folder nor a regular file" in refused(capsys, "pipe")
    LAYOUTS["class_folders"](folder / "cars")
    assert new("cars") == 0
    assert cli.main(["data", "--config", "configs/cars.toml", "--source", "pipe", "--set", "competition.root=in"]) == 2
    assert "pipe is neither a folder nor a regular file" in capsys.readouterr().err


def test_texts_of_a_source_cannot_break_the_toml() -> None:
    text = configuration._toml(['a "b"', "été\\", "c\n"])
    assert tomllib.loads(f"x = {text}")["x"] == ['a "b"', "été\\", "c\n"]


@pytest.mark.parametrize(
    ("layout", "answer", "told"),
    [
        ("one_hot", "train_csv=labels.csv", "src has no file 'labels.csv'; its CSVs are more.csv, sample_s"),
        ("one_hot", "test_csv=tests.csv", "src has no file 'tests.csv'; its CSVs are"),
        ("one_hot", "sample_submission=s.csv", "src has no file 's.csv'; its CSVs are"),
        ("two_folders", "label_column=kind", "HAM_metadata.csv has no column kind; it has lesion_id, image_id, dx."),
        ("one_hot", "test_csv=more.csv", "more.csv has no column image_id; it has x. Is it the right CSV?"),
        ("class_folders", "id_column=name", "sample_submission.csv has no column name; it has file, species. Name"),
    ],
)
def test_an_answer_that_is_not_there_is_told_with_what_is(
    folder: Path, layout: str, answer: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    LAYOUTS[layout](folder / "src")
    write_csv(folder / "src" / "more.csv", "x", ["nothing"])
    assert told in refused(capsys, "src", f"competition.{answer}")


def test_a_filled_input_folder_is_taken_only_where_it_holds_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cars.zip").write_bytes(zipped("class_folders", folder / "src"))
    assert new("cars.zip") == 0
    config, photo = folder / "configs" / "cars.toml", folder / "input" / "cars" / "train" / "été" / "1.jpg"
    config.unlink()
    assert new("cars.zip") == 0
    config.unlink()
    write_photo(photo, 77)
    before = photo.read_bytes()
    assert "input/cars exists, and has other files than cars.zip. Move" in refused(capsys, "cars.zip")
    assert photo.read_bytes() == before
    assert not config.exists()


def test_a_failure_leaves_no_input_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cars.zip").write_bytes(zipped("one_hot", folder / "src"))
    assert new("cars.zip", "competition.label_column=rust", "competition.classes=[7]") == 2
    assert list((folder / "input").iterdir()) == []
    (folder / "configs").write_text("in the way", encoding="utf-8")
    assert new("cars.zip") != 0
    assert list((folder / "input").iterdir()) == []
