"""Kernels pushed, asked for and fetched by the real `kaggle` command, from a server of our own."""

import json
from pathlib import Path
from typing import Any

import pytest

from kaggle_stand_in import StandIn
from ripik.errors import InputError
from ripik.kaggle.kernels import Pushed, Status, kernel_output, kernel_status, push_kernel

NAME = "someone/ripik-infer-cars"
pytestmark = pytest.mark.usefixtures("login")


def written(folder: Path, **changed: Any) -> Path:
    folder.mkdir()
    told = {
        "id": NAME,
        "title": "ripik infer cars",
        "code_file": "code.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_tpu": False,
        "enable_internet": False,
        "machine_shape": "NvidiaTeslaT4",
        "competition_sources": ["cars"],
    }
    (folder / "kernel-metadata.json").write_text(json.dumps(told | changed))
    (folder / "code.py").write_text("print(1)\n")
    return folder


def test_a_push_sends_every_field(tmp_path: Path, server: StandIn) -> None:
    page = f"https://www.kaggle.com/code/{NAME}"
    assert push_kernel(written(tmp_path / "a", dataset_sources=["somebody/car-photos"]), NAME) == Pushed(1, page)
    (sent,) = server.site.kernels[NAME]
    assert sent.to_dict() == {
        "slug": NAME,
        "newTitle": "ripik infer cars",
        "text": "print(1)\n",
        "language": "python",
        "kernelType": "script",
        "isPrivate": True,
        "enableGpu": True,
        "enableTpu": False,
        "enableInternet": False,
        "machineShape": "NvidiaTeslaT4",
        "competitionDataSources": ["cars"],
        "datasetDataSources": ["somebody/car-photos"],
    }


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"dataset_sources": ["somebody/unknown-data"]}, "not valid dataset sources.*somebody/unknown-data"),
        ({"competition_sources": ["boats"]}, "not valid competition sources.*boats"),
        ({"kernel_sources": ["someone/other-kernel"]}, "not valid kernel sources.*someone/other-kernel"),
        ({"title": "something else"}, "does not resolve to the specified id"),
    ],
)
def test_what_the_client_only_prints_is_a_failure(
    tmp_path: Path, server: StandIn, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        push_kernel(written(tmp_path / "a", **changed), NAME)


def test_an_error_inside_a_successful_answer_is_a_failure(tmp_path: Path, server: StandIn) -> None:
    server.site.errors["SaveKernel"] = "Maximum batch GPU session count of 2 reached."
    with pytest.raises(InputError, match="Maximum batch GPU session count of 2 reached"):
        push_kernel(written(tmp_path / "a"), NAME)


def test_the_state_of_the_newest_version_and_why_it_failed(tmp_path: Path, server: StandIn) -> None:
    assert kernel_status(NAME) is None
    push_kernel(written(tmp_path / "a"), NAME)
    server.site.states = ["QUEUED", "RUNNING", "ERROR"]
    server.site.failure = "Your notebook tried to allocate more memory than is available."
    found = [kernel_status(NAME) for _ in range(3)]
    assert [status and status.state for status in found] == ["queued", "running", "error"]
    assert found[2] == Status("error", server.site.failure)


def test_the_output_takes_the_place_of_the_one_before(tmp_path: Path, server: StandIn) -> None:
    folder = tmp_path / "kernel" / "output"
    with pytest.raises(InputError, match="has no output yet"):
        kernel_output(NAME, folder)
    folder.mkdir()
    (folder / "old.csv").write_text("x")
    server.site.output = {"submission.csv": b"image_id,label\n", "output/cars/folds.csv": b"a"}
    assert kernel_output(NAME, folder) == [
        folder / name for name in ("output/cars/folds.csv", "ripik-infer-cars.log", "submission.csv")
    ]
    assert (folder / "submission.csv").read_bytes() == b"image_id,label\n"
    assert not (folder / "old.csv").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["output"]


def test_files_that_lead_out_of_the_folder_are_not_fetched(tmp_path: Path, server: StandIn) -> None:
    server.site.output = {"../../out.csv": b"x", "/tmp/out.csv": b"x", "a/..b.csv": b"y"}
    folder = tmp_path / "kernel" / "output"
    assert kernel_output(NAME, folder) == [folder / "a" / "..b.csv", folder / "ripik-infer-cars.log"]
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("home", "to")] == ["kernel"]
