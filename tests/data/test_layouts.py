"""Class folders, test sets without a CSV, and none at all: what is read of them, and by which ids."""

from pathlib import Path

import pandas as pd
import pytest

from conftest import Tiny
from layouts import class_folders, no_test_csv, write_csv, write_photo
from ripik.augmentation.write_copies import augment
from ripik.config import load_settings
from ripik.data.competition import Competition, read_competition
from ripik.data.fetch import fetch
from ripik.ensemble.build import ensemble
from ripik.errors import InputError
from ripik.settings import Settings

FOLDERS = {"layout": "folders", "train_images": "train", "test_images": "test", "label_type": "string"}
OF_FILES = FOLDERS | {"id_column": "file", "label_column": "species"}
LISTED = {"filename_column": "", "train_csv": "train.csv", "train_images": "train_images", "test_images": "test_images"}


def settings(folder: Path, competition: dict[str, object], root: str = "src") -> Settings:
    rows = [
        f"{key} = {value!r}".replace("'", '"') for key, value in {"root": f"{folder}/{root}", **competition}.items()
    ]
    config = folder / "c.toml"
    paths = f'[paths]\noutput = "{folder}/output"\nsubmissions = "{folder}/submissions"'
    config.write_text("\n".join(["[competition]", *rows, paths]), encoding="utf-8")
    return load_settings(config)


def read(folder: Path, competition: dict[str, object]) -> Competition:
    return read_competition(settings(folder, competition))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    class_folders(tmp_path / "src")
    return tmp_path


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    no_test_csv(tmp_path / "src")
    return tmp_path


def test_the_folder_of_an_image_is_its_class_at_any_depth(folders: Path) -> None:
    (folders / "src" / "train" / "crack" / "notes.txt").write_text("no image", encoding="utf-8")
    (folders / "src" / "train" / ".ipynb_checkpoints").mkdir()
    found = read(folders, OF_FILES)
    assert found.classes == ("crack", "flat tire", "été")
    labels = dict(zip(found.train["image_id"], found.train["label"], strict=True))
    assert labels["crack/new/of 2020/0.jpg"] == "crack"
    assert labels["été/5.jpg"] == "été"
    assert found.train["label"].value_counts().tolist() == [6, 6, 6]
    assert found.test["image_id"].tolist() == [f"{number}.jpg" for number in range(4)]
    assert all(path.is_file() for path in [*found.train["path"], *found.test["path"]])
    assert found.asked.kind == "labels"


def test_ids_of_the_sample_may_lack_the_ending(folders: Path) -> None:
    write_csv(folders / "src" / "sample_submission.csv", "file,species", ["3,crack", "1,crack"])
    test = read(folders, OF_FILES).test
    assert test["image_id"].tolist() == ["3", "1"]
    assert [path.name for path in test["path"]] == ["3.jpg", "1.jpg"]


def test_without_a_sample_the_files_are_the_test_set(folders: Path) -> None:
    (folders / "src" / "sample_submission.csv").unlink()
    found = read(folders, FOLDERS)
    assert found.test["image_id"].tolist() == [f"{number}.jpg" for number in range(4)]
    assert found.form is None
    with pytest.raises(InputError, match=r"no sample submission.*competition\.sample_submission"):
        _ = found.asked


def test_there_may_be_no_test_set(folders: Path) -> None:
    found = read(folders, FOLDERS | {"test_images": ""})
    assert (len(found.test), found.form) == (0, None)
    assert len(set(found.fingerprints.values())) == 2


def test_a_sample_alone_lists_the_test_set_of_a_train_csv(listed: Path) -> None:
    found = read(listed, LISTED | {"test_csv": ""})
    assert found.test["image_id"].tolist() == [f"{100 + number}.jpg" for number in range(4)]
    assert found.asked.columns == ("label",)


def test_neither_test_csv_nor_sample(listed: Path) -> None:
    found = read(listed, LISTED | {"test_csv": "", "sample_submission": ""})
    assert (len(found.test), found.form) == (4, None)


@pytest.mark.parametrize("inner", ["", "data/"])
def test_data_brings_class_folders_into_place(folders: Path, inner: str) -> None:
    if inner:
        (folders / "src").rename(folders / "data")
        (folders / "src").mkdir()
        (folders / "data").rename(folders / "src" / "data")
    made = settings(folders, OF_FILES, root="input")
    fetch(made, folders / "src")
    found = read_competition(made)
    assert len(found.train) == 18
    assert (folders / "input" / "train" / "crack" / "new" / "of 2020" / "0.jpg").is_file()
    assert sorted(path.name for path in (folders / "input").iterdir()) == ["sample_submission.csv", "test", "train"]


def test_data_brings_a_test_folder_without_a_csv_into_place(listed: Path) -> None:
    made = settings(listed, LISTED | {"test_csv": "", "sample_submission": ""}, root="input")
    fetch(made, listed / "src")
    assert len(read_competition(made).test) == 4


def test_data_tells_of_class_folders(folders: Path) -> None:
    wrong = {key: value for key, value in OF_FILES.items() if key != "layout"}
    with pytest.raises(InputError, match=r'has no train\.csv.*3 classes \(crack, .*competition\.layout = "folders"'):
        fetch(settings(folders, wrong, root="input"), folders / "src")
    with pytest.raises(InputError, match=r'there is no .*train\.csv.*3 classes.*competition\.layout = "folders"'):
        read(folders, wrong)


def test_names_of_copies_have_no_folders(folders: Path) -> None:
    for name in ("crack/1.jpg", "été/1.jpg"):
        assert (folders / "src" / "train" / name).is_file()
    made = settings(folders, OF_FILES)
    how = made.augmentation.model_copy(update={"copies": 1, "size": 32})
    csv = augment(made.model_copy(update={"augmentation": how}))
    rows = pd.read_csv(csv).set_index("image_id")["filename"]
    assert rows["crack/new/of 2020/0.jpg"] == "crack__new__of 2020__0.jpg_1.jpg"
    assert (csv.parent / "images" / rows["été/1.jpg"]).is_file()


def test_two_ids_of_one_file_name_are_refused(folders: Path) -> None:
    write_photo(folders / "src" / "train" / "crack" / "new" / "a.jpg", 1)
    write_photo(folders / "src" / "train" / "crack" / "new__a.jpg", 2)
    with pytest.raises(InputError, match=r"'crack/new/a\.jpg' and 'crack/new__a\.jpg' would have the same file name"):
        augment(settings(folders, OF_FILES))


@pytest.mark.long
def test_all_else_is_made_without_a_submission(mine: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    how = ("competition.sample_submission=", "folds.n_splits=2", "training.epochs=2")
    made = mine.settings(*how, "variants.augmented_finetuned.train_from=block7a")
    before = sorted((mine.folder / "submissions").iterdir())
    target = ensemble(made)
    assert target == mine.run / "ensemble" / "test.csv"
    assert len(pd.read_csv(target)) == len(mine.test)
    assert "not written, as there is no sample submission" in capsys.readouterr().out
    assert sorted((mine.folder / "submissions").iterdir()) == before
    assert ensemble(made) == target
    assert "ensemble: up to date" in capsys.readouterr().out


@pytest.mark.parametrize("sample", [True, False])
def test_a_test_folder_among_the_class_folders_is_no_class(folders: Path, sample: bool) -> None:
    (folders / "src" / "test").rename(folders / "src" / "train" / "test")
    if not sample:
        (folders / "src" / "sample_submission.csv").unlink()
    with pytest.raises(InputError, match=r"4 images are in both the training set and the test set.*train/test/0\.jpg"):
        read(folders, OF_FILES | {"test_images": "train/test"})


def test_files_that_a_train_csv_lists_are_no_test_set(listed: Path) -> None:
    write_csv(listed / "src" / "train.csv", "image_id,label", (f"{number},{number % 3}" for number in range(18)))
    alone = LISTED | {"test_csv": "", "sample_submission": ""}
    assert len(read(listed, alone).test) == 4
    with pytest.raises(InputError, match="18 images are in both the training set and the test set"):
        read(listed, alone | {"test_images": "train_images"})
