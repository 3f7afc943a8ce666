import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.speed import bench, data
from benchmarks.speed.sections import frozen

from benchmarks import harness, processes
from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.data.image_files import decode
from ripik.splits.folds import read_folds

MB = 1_000_000


def python(script: str, **options: object) -> processes.Finished:
    return processes.run([sys.executable, "-c", script], **options)  # type: ignore[arg-type]


def results() -> harness.Results:
    return harness.Results("Title", {"cores": "2"}, {"Ours": {"numpy": "1"}}, "abc")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos with labels in the train.csv beside their folder."""
    folder = tmp_path / "source" / "images"
    folder.mkdir(parents=True)
    for number in range(3):
        image = np.full((24, 30, 3), 40 * number, np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
    lines = ["image_id,filename,label", *(f"{number},{number}.jpg,{5 + number % 2}" for number in range(3))]
    (folder.parent / "train.csv").write_text("\n".join(lines))
    return folder


def test_repeats_are_interleaved_and_kept_in_order() -> None:
    calls: list[str] = []

    def thing(name: str, step: float) -> float:
        calls.append(name)
        return step * len(calls)

    found = harness.interleave({"a": lambda: thing("a", 1), "b": lambda: thing("b", 10)}, 3)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert found == {"a": [1, 3, 5], "b": [20, 40, 60]}


def test_a_ratio_is_the_median_of_pairs_with_their_spread() -> None:
    found = harness.ratio([10, 20, 90], [10, 10, 10])
    assert (found.low, found.median, found.high) == (1, 2, 9)
    assert str(found) == "2 (1–9)"
    assert str(harness.ratio([3.0], [2.0])) == "1.5"


def test_a_ratio_needs_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        harness.ratio([1, 2], [1])


@pytest.mark.parametrize(("low", "at_most", "met"), [(2.0, False, True), (2.1, False, False), (2.1, True, True)])
def test_a_row_tells_whether_its_median_reaches_what_was_asked(low: float, at_most: bool, met: bool) -> None:
    row = harness.Row("what", "1 s", ratio=harness.Ratio(2.0, 1.0, 3.0), bound=low, at_most=at_most)
    assert row.met is met
    assert ("yes" in row.asked, "no" in row.asked) == (met, not met)


def test_a_row_without_a_bound_is_reported_only() -> None:
    row = harness.Row("what", "1 s", ratio=harness.Ratio(2.0, 1.0, 3.0))
    assert (row.met, row.asked) == (None, "report")


def test_the_page_and_its_json_hold_every_row(tmp_path: Path) -> None:
    made = results()
    made.add(harness.Row("speed", "2 s", "4 s", harness.ratio([4.0, 6.0], [2.0, 2.0]), 2, note="How | why."))
    made.notes.append("A note.")
    made.write(tmp_path / "sub" / "page.md")
    page = (tmp_path / "sub" / "page.md").read_text()
    assert "| speed | 2 s | 4 s | 2.5 (2–3) | ≥ 2: yes |" in page
    assert "- speed: How | why." in page
    assert "- A note." in page
    assert "Commit abc." in page
    stored = json.loads((tmp_path / "sub" / "page.json").read_text())
    assert stored["rows"][0]["ratio"] == {"median": 2.5, "low": 2.0, "high": 3.0}


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    harness.write_text(page, "before")

    def fail(self: Path, text: str, **_: object) -> int:
        with self.open("w") as file:
            file.write(text[:3])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        harness.write_text(page, "after")
    assert page.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_a_childs_memory_is_seen_whatever_the_size_of_this_process() -> None:
    ballast = np.ones(400 * MB, np.uint8)
    small = python("pass")
    large = python(f"import time; x = bytearray({200 * MB}); time.sleep(0.3)")
    assert ballast[-1] == 1
    assert small.peak_mb < 100
    assert 200 <= large.peak_mb < 300


def test_the_memory_of_grandchildren_counts() -> None:
    inner = f"import time; x = bytearray({100 * MB}); time.sleep(0.5)"
    script = f"import subprocess, sys; c = [subprocess.Popen([sys.executable, '-c', {inner!r}]) for _ in range(2)]\n"
    found = python(script + "[p.wait() for p in c]")
    assert 100 <= found.peak_mb < 150  # the largest of them
    if Path("/proc/self/statm").exists():
        assert found.tree_mb > 200  # all together


def test_threads_are_pinned_in_the_child() -> None:
    script = f"import os, json; print(json.dumps({{n: os.environ[n] for n in {processes.THREAD_VARIABLES!r}}}))"
    assert set(python(script, threads=3).json().values()) == {"3"}


def test_a_child_that_fails_is_an_error_with_its_output() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3.*too bad"):
        python("import sys; print('too bad'); sys.exit(3)")
    assert python("import sys; sys.exit(3)", check=False).rc == 3


def test_the_result_is_the_last_line_of_json() -> None:
    assert python("print('{\"a\": 1}'); print('{\"a\": 2}'); print('chatter')").json() == {"a": 2}
    with pytest.raises(RuntimeError, match="no result"):
        python("print('chatter')").json()


def test_versions_are_those_of_the_interpreter_asked() -> None:
    found = processes.versions(sys.executable, ["numpy", "no-such-package"])
    assert found["numpy"] == np.__version__
    assert "no-such-package" not in found


def test_the_data_is_a_competition_with_photos_taken_in_turn(tmp_path: Path, photos: Path) -> None:
    source = data.photos_of(photos)
    root = data.build_competition(tmp_path, source, 8)
    settings = load_settings(data.new_run(tmp_path, "run", root, len(source), {"network": {"weights": "random"}}))
    competition = read_competition(settings)
    assert list(competition.train["image_id"]) == [str(number) for number in range(1, 9)]
    assert list(competition.train["label"]) == [5, 6, 5, 5, 6, 5, 5, 6]
    assert len(competition.test) == data.TEST_IMAGES
    levels = [round(decode(path).mean() / 40) for path in competition.train["path"]]
    assert levels == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_photo_taken_again_stands_in_the_same_fold(tmp_path: Path, photos: Path) -> None:
    source = [data.Photo(path, label) for path in sorted(photos.glob("*.jpg")) for label in "12"] * 3
    root = data.build_competition(tmp_path, source, 40)
    settings = load_settings(data.new_run(tmp_path, "run", root, len(source), {}))
    folds = read_folds(settings, read_competition(settings))
    assert folds.groupby("group")["fold"].nunique().max() == 1
    assert folds["group"].nunique() == len(source)
    assert set(folds["fold"]) == set(range(data.N_SPLITS))


def test_stored_copies_are_what_the_peers_read(tmp_path: Path, photos: Path) -> None:
    data.write_stored_copies(tmp_path / "stored", data.photos_of(photos), 2, 3, size=16)
    names = sorted(path.name for path in (tmp_path / "stored").iterdir())
    assert names == [f"{number}_{copy}.jpg" for number in (1, 2) for copy in range(3)]
    assert decode(tmp_path / "stored" / "2_0.jpg").shape == (16, 16, 3)
    assert abs(decode(tmp_path / "stored" / "2_0.jpg").mean() - 40) < 3


def test_drawn_photos_cover_the_classes(tmp_path: Path) -> None:
    found = data.draw_photos(tmp_path, 6)
    assert {photo.label for photo in found} == {"1", "2", "3", "4", "5", "6"}
    assert all(decode(photo.path).shape == (data.DRAWN_SIZE, data.DRAWN_SIZE, 3) for photo in found)


def test_the_peers_seconds_are_extrapolated_linearly() -> None:
    start, a_row, sizes, count = 3.0, 0.01, (10, 20), 100
    small, large = (start + a_row * photos * (1 + frozen.COPIES) for photos in sizes)
    rows = count * 0.8 * (1 + 1 + frozen.COPIES) * frozen.EPOCHS
    assert frozen._extrapolated(small, large, sizes, count) == pytest.approx(5 * (2 * start + a_row * rows))


def test_a_section_that_fails_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = results()

    def broken(_: object) -> None:
        raise RuntimeError("no result\nreason")

    monkeypatch.setitem(bench.SECTIONS, "blend", broken)
    stand = bench.Bench(Path(), Path(), None, "", True, made)
    assert bench._run("blend", stand) is False
    assert made.notes == ["Section blend failed: reason"]


def test_a_peer_gets_its_best_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = results(), []

    def peer(self: bench.Bench, script: str, *options: object, torch: bool = False) -> dict[str, float]:
        asked.append(options)
        return {"images": 100, "seconds": {16: 2.0, 32: 1.0, 64: 4.0}[int(str(options[1]))]}

    monkeypatch.setattr(bench.Bench, "peer", peer)
    stand = bench.Bench(Path(), Path(), None, "", False, made)
    assert stand.best("keras_fit") == stand.best("keras_fit") == ("--batch-size", 32)
    assert len(asked) == 3  # the second answer is remembered
    assert "images/s" in made.notes[0]


def test_oof_files_are_compared_by_id(tmp_path: Path) -> None:
    configs = []
    for name, rows in (("a", [("1", 0.5), ("2", 0.25)]), ("b", [("2", 0.25), ("1", 0.4)])):
        path = tmp_path / name / "output" / name / "original" / "oof.csv"
        path.parent.mkdir(parents=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("image_id", "fold", "label", "p_1"), *((i, 0, 1, p) for i, p in rows)])
        configs.append(tmp_path / name / f"{name}.toml")
    assert frozen._oof_difference(configs[0], configs[1], "original") == pytest.approx(0.1)
