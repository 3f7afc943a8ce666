"""A few hundred cases of `python -m tests.fuzz`, and that it finds what there is to be found."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import fuzz
from tests.fuzz_world import FOLDS, TRAIN, World
from tests.mutations import PLACES

from ripik import config
from ripik.data import image_rows
from ripik.errors import InputError


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.chdir(tmp_path):
        yield World(tmp_path)


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = fuzz.main(arguments)
    return code, capsys.readouterr().out


@pytest.mark.long
def test_spoiled_input_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run("--cases", "300", "--seed", "11", capsys=capsys)
    assert code == 0, told
    assert "300 cases:" in told
    assert "0 findings of 0 kinds" in told


@pytest.mark.long
def test_some_cases_are_accepted_and_some_refused(world: World) -> None:
    codes = [fuzz.outcome(fuzz.case_of(12, number, world), world).code for number in range(80)]
    assert 10 < codes.count(0) < 70


def test_a_case_depends_on_seed_and_number_alone(world: World) -> None:
    cases = [fuzz.case_of(1, number, world) for number in range(30)]
    assert [fuzz.case_of(1, number, world) for number in reversed(range(30))] == cases[::-1]
    assert [fuzz.case_of(2, number, world) for number in range(30)] != cases


def test_a_case_leaves_the_world_as_it_was(world: World) -> None:
    before = {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}
    for number in range(40):
        fuzz.outcome(fuzz.case_of(4, number, world), world)
    assert {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()} == before


def test_an_exception_is_found_made_small_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = image_rows.check_ids

    def worse(ids, path):
        if not ids.str.isdigit().all():
            raise ValueError("an id is no number")
        check(ids, path)

    monkeypatch.setattr(image_rows, "check_ids", worse)
    code, told = run("--cases", "60", "--seed", "0", "--out", str(tmp_path / "out"), capsys=capsys)
    assert code == 1
    assert "finding: ValueError at" in told
    assert "0 findings" not in told
    told_of = {path.parent: path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*/finding.txt")}
    folder = next(folder for folder, text in told_of.items() if "an id is no number" in text)
    spoiled = [path for path in folder.iterdir() if path.suffix == ".csv"]
    assert spoiled
    assert all(path.stat().st_size < 120 for path in spoiled)  # the whole one has 500 bytes


def case(path: str = TRAIN, content: bytes = b"", *command: str) -> fuzz.Case:
    return fuzz.Case("made up", {path: content} if content else {}, (command or ("config",),))


def test_what_is_wrong_is_told_apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz.outcome(case(), world) == fuzz.Outcome(0)
    assert fuzz.outcome(case(TRAIN, b"x\n1\n", "folds"), world) == fuzz.Outcome(2)
    with monkeypatch.context() as patched:
        patched.setattr("ripik.config.to_toml", lambda settings: "[folds]\nn_split = 2\n")
        assert fuzz.outcome(case(), world).key == "the printed configuration is not read back"
        patched.setattr("ripik.config.to_toml", lambda settings: "Traceback (most recent call last)")
        assert fuzz.outcome(case(), world).key == "a traceback is printed"
    with monkeypatch.context() as patched:
        patched.setattr(InputError, "exit_code", 1)
        assert fuzz.outcome(case(TRAIN, b"x\n1\n", "folds"), world).key == "exit code 1"
    with monkeypatch.context() as patched:
        patched.setattr("ripik.execution.command._fail", lambda message, code: code)
        assert fuzz.outcome(case(TRAIN, b"x\n1\n", "folds"), world).key == "exit code 2 without a message"


def test_a_changed_file_of_the_users_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "to_toml", lambda settings: (world.folder / TRAIN).write_text("mine") and "")
    assert fuzz.outcome(case(), world).key == "config changed a file of the user's"
    monkeypatch.setattr(config, "to_toml", lambda settings: (world.folder / FOLDS).write_text("mine") and "")
    assert fuzz.outcome(case(FOLDS, world.files[FOLDS] + b"\n"), world).key == "config changed a file of the user's"


def test_a_hang_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> None:
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    monkeypatch.setattr("ripik.cli.load_settings", hang)
    assert fuzz.outcome(case(), world).key == "config took more than 0.2 s"


def test_paths_that_cannot_be_are_told(world: World) -> None:
    places = [key for key in fuzz.documented(world.texts) if key.startswith(PLACES)]
    assert {"paths.output", "competition.root", "competition.corrections"} <= set(places)
    for path in ('"a\\u0000b"', "~nobody-of-this-name/x", "x" * 300, "tiny.toml", "\udcff"):
        for place in places:
            assert fuzz.outcome(case("", b"", "status", f"--set={place}={path}"), world).key == "", (place, path)
