"""Datasets pushed by the real `kaggle` command to a server of our own, until they are served."""

import json
from pathlib import Path

import pytest

from kaggle_stand_in import StandIn
from ripik.errors import InputError, SurroundingsError
from ripik.kaggle.datasets import Served, push_dataset, served

NAME = "someone/ripik-models-cars"
pytestmark = pytest.mark.usefixtures("login")


def written(folder: Path, content: str = "one") -> Path:
    folder.mkdir(exist_ok=True)
    told = {"id": NAME, "title": "ripik models cars", "licenses": [{"name": "other"}]}
    (folder / "dataset-metadata.json").write_text(json.dumps(told))
    (folder / "manifest.json").write_text(json.dumps({"files": content}))
    (folder / "a.h5").write_bytes(content.encode() * 1000)
    return folder


def push(folder: Path, **options: float) -> int:
    return push_dataset(folder, "notes", **{"patience": 60, "pause": 0, **options})


def test_a_dataset_is_created_then_has_versions_and_the_same_is_not_uploaded(tmp_path: Path, server: StandIn) -> None:
    server.site.lag = 2
    assert push(written(tmp_path / "a")) == 1
    assert server.site.datasets[NAME].versions[0]["a.h5"] == b"one" * 1000
    assert sorted(server.site.datasets[NAME].versions[0]) == ["a.h5", "manifest.json"]
    assert push(tmp_path / "a") == 1
    assert server.asked.count("PUT") == 2
    assert push(written(tmp_path / "a", "two")) == 2
    assert server.asked.count("PUT") == 4
    assert served(NAME) == Served("ready", 2)


def test_a_version_that_is_not_served_in_time_is_told_and_waited_for_next_time(tmp_path: Path, server: StandIn) -> None:
    server.site.lag = 3
    with pytest.raises(
        SurroundingsError, match=r"does not provide the new version .*blobs_received.*uploads nothing twice"
    ):
        push(written(tmp_path / "a"), patience=0)
    assert push(tmp_path / "a") == 1
    assert server.asked.count("PUT") == 2


def test_after_a_version_that_could_not_be_processed_another_is_pushed(tmp_path: Path, server: StandIn) -> None:
    server.site.spoiled = True
    for content in ("one", "two"):
        with pytest.raises(SurroundingsError, match="could not process the dataset"):
            push(written(tmp_path / "a", content))
    server.site.spoiled = False
    assert push(tmp_path / "a") == 3
    assert push(tmp_path / "a") == 3
    assert server.asked.count("PUT") == 6


def test_an_error_inside_a_successful_answer_is_raised(tmp_path: Path, server: StandIn) -> None:
    server.site.errors["CreateDataset"] = "The title is already in use"
    with pytest.raises(SurroundingsError, match="The title is already in use"):
        push(written(tmp_path / "a"))


def test_an_upload_that_is_refused_is_raised(tmp_path: Path, server: StandIn) -> None:
    server.site.refusals["StartBlobUpload"] = (403, "Permission 'blobs.create' was denied")
    with pytest.raises(InputError, match=r"\(403\)"):
        push(written(tmp_path / "a"))


def test_no_dataset_is_none(server: StandIn) -> None:
    assert served(NAME) is None
