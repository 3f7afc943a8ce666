import contextlib
import importlib.metadata
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripik.errors import SurroundingsError
from ripik.storage import artifacts, atomic

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)


@settings(max_examples=80, deadline=None)
@given(FLOATS)
def test_float32_survives_the_csv(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "floats.csv"
    column = np.array(values, "float32")
    artifacts.write_csv(path, pd.DataFrame({"value": column}))
    back = pd.read_csv(path)["value"].to_numpy().astype("float32")
    assert np.array_equal(back, column)


def test_a_csv_is_utf8_comma_and_newline(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.csv"
    artifacts.write_csv(path, pd.DataFrame({"id": ["é,1"], "p": [1 / 3]}))
    assert path.read_bytes() == 'id,p\n"é,1",0.333333333\n'.encode()


def test_the_same_frame_gives_the_same_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).random((20, 3)), columns=list("abc"))
    for name in ("one", "two"):
        artifacts.write_csv(tmp_path / name, frame)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_is_on_the_disk_before_it_gets_its_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, events = tmp_path / "a.csv", list[tuple[str, bool]]()

    def sync(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        names = {each.stat().st_ino: each for each in (tmp_path, *tmp_path.iterdir())}
        events.append(("folder" if names[inode] == tmp_path else "file", path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    artifacts.write_text(path, "a,b")
    assert events == [("file", False), ("folder", True)]


def test_replacing_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    artifacts.write_text(path, "old")
    with pytest.raises(TypeError), artifacts.replacing(path) as temporary:
        temporary.write_text("half") + "a failure"  # type: ignore[operator]
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_target_is_not_seen_before_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    with artifacts.replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith(".weights.h5")  # Keras looks at the ending
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"


@pytest.mark.parametrize("below", ["a.csv", "run/a.csv", "run/original/fold0/a.csv"])
def test_a_read_only_folder_is_refused_and_left_empty(tmp_path: Path, below: str) -> None:
    folder = tmp_path / "output"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        with pytest.raises((SurroundingsError, PermissionError), match="output"):
            artifacts.write_text(folder / below, "x")
        assert list(folder.iterdir()) == []
    finally:
        folder.chmod(0o755)


def test_digests_know_content_and_not_key_order() -> None:
    assert artifacts.digest({"a": 1, "b": [2]}) == artifacts.digest({"b": [2], "a": 1})
    assert len({artifacts.digest(x) for x in ([1, 2], [2, 1], [12], ["1", "2"], {}, [])}) == 6


def test_file_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert artifacts.file_digest(tmp_path / "abc") == known


def test_files_digest_changes_with_name_size_time_and_order(tmp_path: Path) -> None:
    one, two = tmp_path / "1.jpg", tmp_path / "2.jpg"
    for path in (one, two):
        path.write_bytes(b"same")
        os.utime(path, ns=(10**18, 10**18))
    seen = [artifacts.files_digest([one, two]), artifacts.files_digest([two, one]), artifacts.files_digest([one])]
    os.utime(one, ns=(10**18, 10**18 + 1))
    seen.append(artifacts.files_digest([one, two]))
    one.write_bytes(b"longer")
    os.utime(one, ns=(10**18, 10**18))
    seen.append(artifacts.files_digest([one, two]))
    assert len(set(seen)) == len(seen)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An artefact with its meta file; returns the meta file."""
    artifacts.write_text(tmp_path / "folds.csv", "x")
    meta = artifacts.meta_beside(tmp_path / "folds.csv")
    artifacts.write_meta(
        meta,
        inputs={"seed": 1, "views": ("a", "b")},
        outputs={"folds.csv": artifacts.file_digest(tmp_path / "folds.csv")},
        seconds=1.23456,
        note="n",
    )
    return meta


def test_a_meta_file_tells_inputs_outputs_versions_and_seconds(made: Path) -> None:
    meta = json.loads(made.read_text(encoding="utf-8"))
    assert made.name == "folds.meta.json"
    assert meta["inputs"] == {"seed": 1, "views": ["a", "b"]}
    assert meta["outputs"] == {"folds.csv": artifacts.file_digest(made.parent / "folds.csv")}
    assert meta["seconds"] == 1.235
    assert meta["note"] == "n"
    assert meta["versions"]["numpy"] == np.__version__


def test_fresh_means_the_same_inputs_and_the_outputs_there(made: Path) -> None:
    inputs = {"seed": 1, "views": ("a", "b")}
    assert artifacts.is_fresh(made, inputs)
    assert not artifacts.is_fresh(made, {**inputs, "seed": 2})
    assert not artifacts.is_fresh(made, {"seed": 1})
    assert not artifacts.is_fresh(made.with_name("other.meta.json"), inputs)
    (made.parent / "folds.csv").unlink()
    assert not artifacts.is_fresh(made, inputs)


@pytest.mark.parametrize("content", ["", "{", '{"inputs": {"seed":', "[" * 100_000, '{"n": ' + "9" * 5000 + "}"])
def test_a_broken_meta_file_is_not_fresh(made: Path, content: str) -> None:
    made.write_text(content, encoding="utf-8")
    assert not artifacts.is_fresh(made, {"seed": 1, "views": ("a", "b")})


def test_no_old_meta_file_vouches_for_a_half_made_artefact(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    meta = artifacts.meta_beside(path)
    with artifacts.making(meta, {"seed": 1}, [path]) as more:
        artifacts.write_text(path, "one")
        more["note"] = "n"
    assert artifacts.is_fresh(meta, {"seed": 1})
    assert artifacts.read_json(meta)["note"] == "n"
    with contextlib.suppress(ZeroDivisionError), artifacts.making(meta, {"seed": 2}, [path]):
        artifacts.write_text(path, "two")
        raise ZeroDivisionError
    assert not artifacts.is_fresh(meta, {"seed": 1})
    assert not artifacts.is_fresh(meta, {"seed": 2})


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    artifacts.write_text(tmp_path / "a.csv", "before")
    here = atomic._host()
    dead, alive = tmp_path / f".99999999-{here}.a.csv", tmp_path / f".{os.getppid()}-{here}.a.csv"
    elsewhere = tmp_path / ".99999999-another.a.csv"  # another host's process, of which nothing is known here
    for path in (dead, alive, elsewhere):
        path.write_text("half")
    artifacts.write_text(tmp_path / "a.csv", "whole")
    assert not dead.exists()
    assert alive.exists()
    assert elsewhere.exists()


def strictly(path: Path) -> object:
    """Read JSON as other programs do, for which NaN and Infinity are no JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_number_that_is_not_finite_is_null_in_json_and_a_meta_file_with_one_stays_whole(tmp_path: Path) -> None:
    content = {"scores": [0.5, float("nan"), np.float64("nan")], "end": (float("inf"), {"low": -float("inf")})}
    artifacts.write_json(tmp_path / "a.json", content)
    assert strictly(tmp_path / "a.json") == {"scores": [0.5, None, None], "end": [None, {"low": None}]}
    with artifacts.making(tmp_path / "meta.json", content, []) as more:
        more["scores"] = content["scores"]
    strictly(tmp_path / "meta.json")
    assert artifacts.is_fresh(tmp_path / "meta.json", content)


def test_versions_are_recorded_of_packages_installed_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"tensorflow-cpu": "2.1", "opencv-python": "4.9", "numpy": "2.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    wanted = {"tensorflow": "2.1", "opencv-python-headless": "4.9", "numpy": "2.0"}
    assert {name: each for name, each in artifacts.versions().items() if name != "python"} == wanted
