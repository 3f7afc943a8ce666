"""The files of a small competition, as organisers nest them, and where `data` has to bring them."""

import io
import zipfile
from pathlib import Path

from ripik.data.competition import read_competition
from ripik.settings import CompetitionSettings, PathSettings, Settings

TRAIN = {"1": "2", "2": "1", "3": "2", "4": "1", "5": "2"}
TEST = ("6", "7", "8")


def image(name: str) -> bytes:
    return b"pixels of " + name.encode() * 50  # 60 bytes


def layout(train: str = "train", test: str = "test", sample: str = "") -> dict[str, bytes]:
    """The competition's files with three prefixes: where train, test and the sample stand."""
    rows = [f"{name},{name}.jpg,{label}" for name, label in TRAIN.items()]
    files = {f"{train}/train.csv": "\n".join(["image_id,filename,label", *rows]).encode()}
    files[f"{test}/test.csv"] = "\n".join(["image_id,filename", *(f"{name},{name}.jpg" for name in TEST)]).encode()
    files[f"{sample}/sample_submission.csv"] = "\n".join(["image_id,label", *(f"{n},1" for n in TEST)]).encode()
    files.update({f"{train}/images/{name}.jpg": image(name) for name in TRAIN})
    files.update({f"{test}/images/{name}.jpg": image(name) for name in TEST})
    return {name.strip("/"): data for name, data in files.items()}


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def nested() -> dict[str, bytes]:
    """As published: train.zip, test.zip and the sample; inside train.zip another folder `train`."""
    files = layout("train", ".")
    test = {name.removeprefix("./"): data for name, data in files.items() if name.startswith("./")}
    train = {name: data for name, data in files.items() if name.startswith("train/")}
    sample = files["sample_submission.csv"]
    return {"train.zip": zip_of(train), "test.zip": zip_of(test), "sample_submission.csv": sample}


def settings(tmp_path: Path, **competition: object) -> Settings:
    paths = PathSettings(input=str(tmp_path / "input"))
    return Settings(run="cars", competition=CompetitionSettings.model_validate(competition), paths=paths, variants={})


def placed(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def check_filled(tmp_path: Path, made: Settings) -> None:
    assert placed(tmp_path / "input" / "cars") == layout()
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["cars"]
    competition = read_competition(made)
    assert dict(zip(competition.train["image_id"], competition.train["label"].astype(str), strict=True)) == TRAIN
