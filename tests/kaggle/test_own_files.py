"""What a run's user wrote travels with a training kernel, and its clock counts from the start of the code file."""

import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import Tiny
from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.errors import InputError
from ripik.execution import command
from ripik.kaggle.kernel import build, machine
from ripik.kaggle.kernel.build import build_kernel
from ripik.splits.run import make_folds
from ripik.storage import artifacts

ACCOUNT = ("kaggle.user=me", "kaggle.competition=cars")


def facts_of(code: Path) -> dict[str, Any]:
    found = re.search(r'^FACTS = r"""(.*?)"""$', code.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return json.loads(found[1]) | {"start": time.monotonic()}


@pytest.fixture
def place(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a machine's folders, the competition mounted."""
    root = tmp_path / "kaggle"
    for name in ("INPUT", "WORKING", "SCRATCH"):
        monkeypatch.setenv(f"RIPIK_KAGGLE_{name}", str(root / name.lower()))
    (root / "input").mkdir(parents=True)
    (root / "input" / "cars").symlink_to(tiny.input)
    return root


@pytest.fixture
def folds_alone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a kernel end after its first step, as if the time were over; return the steps that were begun."""
    begun, run = [], command.run

    def first(step: Any, load: Callable[[], Any], options: dict[str, Any]) -> int:
        begun.append(step.name)
        return run(step, load, options) or 75

    monkeypatch.setattr(command, "run", first)
    return begun


def built(tiny: Tiny, *overrides: str) -> tuple[dict[str, Any], Path]:
    folder = build_kernel(tiny.settings(*ACCOUNT, *overrides), "train")
    return facts_of(folder / "ripik-train-tiny.py"), folder / "datasets" / "files"


def corrected(tiny: Tiny) -> str:
    """Write a correction of the first training image's label; return the setting that names it."""
    path = tiny.folder / "mine.csv"
    path.write_text(f"image_id,label\n{tiny.truth['image_id'][0]},{tiny.truth['label'][0] % 3 + 1}\n")
    return f"competition.corrections={path}"


@pytest.mark.usefixtures("folds_alone")
def test_what_the_user_wrote_is_what_the_kernel_trains_by(
    tiny: Tiny, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_folds()
    facts, files = built(tiny, corrected(tiny))
    assert sorted(path.name for path in files.glob("*.csv")) == ["corrections.csv", "folds.csv", "groups.csv"]
    assert "me/ripik-files-tiny" in (files.parents[1] / "kernel-metadata.json").read_text()
    (place / "input" / "ripik-files-tiny").symlink_to(files)
    (tiny.folder / "mine.csv").unlink()  # it is not on that machine
    assert machine.run(facts) == 0
    for name in ("folds.csv", "groups.csv"):
        assert (place / "working" / "output" / "tiny" / name).read_bytes() == (tiny.run / name).read_bytes()
    assert "corrects 1 labels" in capsys.readouterr().out
    settings = load_settings(
        place / "scratch" / "tiny.toml",
        [f"competition.root={tiny.input}", f"competition.corrections={place / 'scratch' / 'corrections.csv'}"],
    )
    assert read_competition(settings).is_corrected.sum() == 1


@pytest.mark.usefixtures("folds_alone")
def test_a_file_that_is_damaged_or_lost_on_the_way_is_told(tiny: Tiny, place: Path) -> None:
    tiny.write_folds()
    facts, files = built(tiny)
    with pytest.raises(InputError, match="the dataset of files ripik-files-tiny is not mounted"):
        machine.run(facts)
    (place / "input" / "ripik-files-tiny").symlink_to(files)
    (files / "folds.csv").write_text("image_id,label,group,fold\n")
    with pytest.raises(InputError, match=r"1 of 2 files are missing or damaged, the first folds\.csv"):
        machine.run(facts)


@pytest.mark.long
def test_files_that_a_step_made_stay_here_and_old_datasets_go(tiny: Tiny) -> None:
    tiny.write_folds()
    files = built(tiny)[1]
    assert files.is_dir()
    for name in ("folds.csv", "groups.csv"):
        (tiny.run / name).unlink()
    make_folds(tiny.settings())
    facts, files = built(tiny)
    assert facts["datasets"] == {}
    assert not files.exists()
    with pytest.raises(InputError, match=r"competition\.corrections: there is no file gone\.csv"):
        built(tiny, "competition.corrections=gone.csv")


@pytest.mark.long
@pytest.mark.usefixtures("folds_alone")
def test_folds_of_an_earlier_version_are_those_of_this_one(tiny: Tiny, place: Path) -> None:
    """Also where this one carries none any more."""
    tiny.write_folds()
    facts, files = built(tiny)
    (place / "input" / "ripik-files-tiny").symlink_to(files)
    assert machine.run(facts) == 0
    (place / "working").rename(place / "input" / "ripik-train-tiny")
    (place / "scratch").rename(place / "before")
    tiny.edit(tiny.run / "folds.csv", lambda frame: frame.assign(fold=(frame["fold"].astype(int) + 1) % 3))
    edited, _ = built(tiny)
    assert machine.run(edited) == 0
    kept = place / "working" / "output" / "tiny" / "folds.csv"
    assert kept.read_bytes() == (tiny.run / "folds.csv").read_bytes()
    for name in ("folds.csv", "groups.csv"):
        (tiny.run / name).unlink()
    (place / "working").rename(place / "worked")
    (place / "scratch").rename(place / "before2")
    assert machine.run(built(tiny)[0]) == 0
    assert not artifacts.is_the_users(kept)
    assert len(pd.read_csv(kept)) == len(tiny.truth)


def test_the_time_limit_counts_what_was_done_before_the_steps(
    tiny: Tiny, place: Path, folds_alone: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    facts, _ = built(tiny)
    assert machine.run(facts | {"start": time.monotonic() - 900, "seconds": 930.0}) == 0
    assert folds_alone == []
    assert "NOT FINISHED" in capsys.readouterr().err


def test_the_code_file_tells_when_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        for name in ("ripik", "ripik/kaggle", "ripik/kaggle/kernel"):
            archive.writestr(f"{name}/__init__.py", "")
        archive.writestr("ripik/kaggle/kernel/main.py", "import sys; print(open(sys.argv[1]).read())")
    monkeypatch.setattr(build, "package_zip", package.getvalue)
    code = tmp_path / "code.py"
    code.write_text(build.code_text("a kernel", {"kind": "train"}))
    before = time.monotonic()
    done = subprocess.run([sys.executable, code], capture_output=True, text=True, check=True, cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert before <= facts.pop("start") <= time.monotonic()
    assert facts == {"kind": "train"}
