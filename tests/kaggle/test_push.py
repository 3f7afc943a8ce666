"""What a training kernel is pushed with: it resumes from a version that is complete, and is told of any other."""

import json
from pathlib import Path

import pytest

from conftest import Tiny
from kaggle_stand_in import StandIn

NAME = "someone/ripik-train-tiny"
PUSH = ("kernel-push", "--kind", "train", "--set", "kaggle.user=someone")
pytestmark = pytest.mark.usefixtures("login")


@pytest.fixture
def pushed(tiny: Tiny, server: StandIn, capsys: pytest.CaptureFixture[str]) -> Tiny:
    """Return a competition whose training kernel was built, here without its content, and pushed once."""
    folder = tiny.run / "kernel" / "train"
    folder.mkdir(parents=True)
    metadata = {
        "id": NAME,
        "title": "ripik train tiny",
        "code_file": "code.py",
        "language": "python",
        "kernel_type": "script",
    }
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata))
    (folder / "code.py").write_text("print(1)\n")
    assert tiny.cli(*PUSH) == 0
    assert "its first version: starts from scratch" in capsys.readouterr().out
    return tiny


def test_a_first_version_and_one_after_a_complete_one(
    pushed: Tiny, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pushed.cli(*PUSH) == 0
    assert "resumes from the output of its previous version" in capsys.readouterr().out
    assert [each.kernel_data_sources for each in server.site.kernels[NAME]] == [[], [NAME]]


@pytest.mark.parametrize(
    ("state", "failure", "told"),
    [
        ("ERROR", "out of memory", "its previous version failed (out of memory), so there is no output of it"),
        ("CANCEL_ACKNOWLEDGED", "", "its previous version was cancelled, so there is no output of it"),
        ("NEW_SCRIPT", "", "its previous version was never run, so there is no output of it"),
    ],
)
def test_after_one_without_output_it_is_told_that_it_starts_anew(
    pushed: Tiny, server: StandIn, capsys: pytest.CaptureFixture[str], state: str, failure: str, told: str
) -> None:
    server.site.states, server.site.failure = [state], failure
    assert pushed.cli(*PUSH) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{told}: starts from scratch" in said
    assert "resumes" not in said
    assert server.site.kernels[NAME][-1].kernel_data_sources == []


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING", "CANCEL_REQUESTED"])
def test_nothing_is_pushed_while_it_is_at_work(
    pushed: Tiny, server: StandIn, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    (Path(pushed.run) / "kernel" / "train" / "datasets" / "weights").mkdir(parents=True)
    server.site.states = [state]
    assert pushed.cli(*PUSH) == 3
    assert f"the kernel {NAME} is {state.lower()}: " in " ".join(capsys.readouterr().err.split())
    assert len(server.site.kernels[NAME]) == 1


def test_a_dataset_that_a_killed_build_left_unfinished_is_told(
    pushed: Tiny, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = pushed.run / "kernel" / "train" / "datasets" / "weights"
    dataset.mkdir(parents=True)
    (dataset / "backbone.weights.h5").write_bytes(b"half")
    assert pushed.cli(*PUSH) == 2
    assert "was not finished. Run `make kernel KIND=train" in capsys.readouterr().err
    assert len(server.site.kernels[NAME]) == 1
