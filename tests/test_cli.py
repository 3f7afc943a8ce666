import importlib
import io
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Tiny
from ripik import __version__, cli
from ripik.__main__ import _write_any_letter
from ripik.config import load_settings
from ripik.errors import InputError, SurroundingsError
from ripik.execution.task import Task
from ripik.splits import groups
from ripik.splits.near_copies.find import Groups

Capture = pytest.CaptureFixture[str]
STEPS = ("config", "folds", "augment", "train", "predict", "ensemble", "compare", "analyse", "demo")


@pytest.fixture(autouse=True)
def known_groups(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the near-copy detection answer the truth at once."""

    def truth(paths: list[Path], **_: object) -> Groups:
        photos = tiny.truth.set_index("image_id")["photo"].to_dict()
        photo = [photos.get(path.stem, path.stem) for path in paths]  # a test photo is by itself
        group = np.array([photo.index(each) for each in photo])
        return Groups(group, np.full(len(group), -1), np.full(len(group), np.nan))

    monkeypatch.setattr(groups, "near_copy_groups", truth)


def one_message(capsys: Capture) -> str:
    """Return what stands on stderr, which must be one line from us and no traceback."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("\n") == 1, error
    assert error.startswith("ripik: ")
    return error


def run_here(tasks: Sequence[Task], settings: object) -> None:
    """Stand in for the engine: call the tasks in this process."""
    for task in tasks:
        module, name = task.function.split(":")
        getattr(importlib.import_module(module), name)(*task.arguments, lambda done, total, note="": None)


def set_cell(row: int, column: str, value: str):  # type: ignore[no-untyped-def]
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, column] = value
        return frame

    return change


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_help(step: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([step, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "--config" in shown
    assert "--set" in shown


def test_help_lists_every_step_with_a_line(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for step in STEPS:
        assert any(line.split()[:1] == [step] and len(line.split()) > 2 for line in shown.splitlines())


def test_version(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["fold"], ["folds", "--confg", "x"], ["train", "--folds", "x"], ["train", "--folds"]]
)
def test_bad_usage_is_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: ripik" in capsys.readouterr().err


def test_config_prints_what_loads_to_the_same_settings(tiny: Tiny, capsys: Capture) -> None:
    assert tiny.cli("config", "--set", "training.epochs=3", "--set", "folds.n_splits=4") == 0
    printed = capsys.readouterr().out
    assert tomllib.loads(printed)["folds"]["n_splits"] == 4
    (tiny.folder / "again").mkdir()
    again = tiny.folder / "again" / "tiny.toml"
    again.write_text(printed, encoding="utf-8")
    assert load_settings(again) == tiny.settings("training.epochs=3", "folds.n_splits=4")


def test_folds_succeeds_and_shows_the_classes(tiny: Tiny, capsys: Capture) -> None:
    assert tiny.cli("folds") == 0
    assert (tiny.run / "folds.csv").exists()
    shown = capsys.readouterr()
    assert "27 images in 9 groups" in shown.out
    assert shown.err == ""


def test_no_data_says_make_data_and_make_demo(tiny: Tiny, capsys: Capture) -> None:
    assert tiny.cli("folds", "--set", f"competition.root={tiny.folder}/nothing") == 2
    message = one_message(capsys)
    assert "make data" in message
    assert "make demo" in message


def test_a_missing_configuration_is_2(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["folds", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in one_message(capsys)


@pytest.mark.parametrize("column", ["image_id", "filename", "label"])
def test_a_missing_column_is_2(tiny: Tiny, capsys: Capture, column: str) -> None:
    tiny.edit(tiny.train_csv, lambda frame: frame.drop(columns=column))
    assert tiny.cli("folds") == 2
    assert f"no column {column}" in one_message(capsys)


def test_a_repeated_id_is_2(tiny: Tiny, capsys: Capture) -> None:
    tiny.edit(tiny.train_csv, set_cell(1, "image_id", "1"))
    assert tiny.cli("folds") == 2
    assert "id 1 appears on lines 2, 3" in one_message(capsys)


def test_a_missing_label_is_2(tiny: Tiny, capsys: Capture) -> None:
    tiny.edit(tiny.train_csv, set_cell(4, "label", ""))
    assert tiny.cli("folds") == 2
    message = one_message(capsys)
    assert "train.csv, line 6" in message
    assert "label" in message


def test_a_missing_training_image_is_2(tiny: Tiny, capsys: Capture) -> None:
    image = next((tiny.input / "train" / "images").iterdir())
    image.unlink()
    assert tiny.cli("folds") == 2
    assert image.name in one_message(capsys)


@pytest.mark.parametrize(
    ("step", "content"), [("folds", b""), ("folds", b"no image"), ("augment", b"\xff\xd8\xff\xe0 half")]
)
def test_an_unreadable_image_is_2(
    tiny: Tiny, capsys: Capture, content: bytes, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real detection reads the images
    (tiny.input / "train" / "images" / "5.jpg").write_bytes(content)
    assert tiny.cli(step) == 2
    assert "5.jpg" in one_message(capsys)


def test_a_class_with_one_group_is_2(tiny: Tiny, capsys: Capture) -> None:
    first = tiny.truth["photo"] == 0
    label = tiny.truth["label"].where(first | (tiny.truth["label"] != 1), 2).astype(str)
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=label))
    assert tiny.cli("folds") == 2
    assert "class 1" in one_message(capsys)


def test_fewer_groups_than_folds_is_a_warning(tiny: Tiny, capsys: Capture) -> None:
    assert tiny.cli("folds", "--set", "folds.n_splits=4") == 0
    shown = capsys.readouterr()
    assert shown.err.count("warning: ") == 1
    assert "3 of 3 classes have fewer groups than the 4 folds" in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("step", ["train", "predict", "ensemble"])
@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("competition.metric=macrof1", "macro_f1"),
        ('prediction.views=["hfilp"]', "hflip"),
        ("training.epoch=3", "epochs"),
        ("competition.metrik=x", "metric"),
    ],
)
def test_an_unknown_name_is_2_and_names_the_nearest(
    tiny: Tiny, capsys: Capture, step: str, override: str, told: str
) -> None:
    assert tiny.cli(step, "--set", override) == 2
    assert told in one_message(capsys)
    assert not tiny.run.exists()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        pytest.param("network.backbone=EfficentNetB0", "EfficientNetB0", marks=pytest.mark.long),
        ("augmentation.preset=sorce", "source"),
    ],
)
def test_an_unknown_backbone_or_preset_is_2_before_any_image_is_decoded(
    tiny: Tiny, capsys: Capture, monkeypatch: pytest.MonkeyPatch, override: str, told: str
) -> None:
    monkeypatch.setattr("ripik.training.pipeline.execute", run_here)
    assert tiny.cli("train", "--set", override) == 2
    shown = capsys.readouterr()
    assert override.partition("=")[2] in shown.err
    assert told in shown.err
    assert "decode" not in shown.out
    assert not (tiny.run / "pixels").exists()


@pytest.mark.parametrize("step", ["train", "predict", "ensemble"])
def test_an_unknown_variant_is_2(tiny: Tiny, capsys: Capture, step: str) -> None:
    assert tiny.cli(step, "--variants", "orignal") == 2
    message = one_message(capsys)
    assert "'orignal'" in message
    assert "did you mean original?" in message


@pytest.mark.parametrize("fold", ["7", "-1"])
def test_an_unknown_fold_is_2(tiny: Tiny, capsys: Capture, fold: str) -> None:
    try:
        code = tiny.cli("train", "--folds", fold)
    except SystemExit as stopped:  # argparse takes -1 for an option
        code = int(str(stopped.code))
    assert code == 2
    assert "fold" in capsys.readouterr().err


def test_a_missing_weights_file_is_2_before_anything_is_made(tiny: Tiny, capsys: Capture) -> None:
    assert tiny.cli("train", "--set", "network.weights=/nowhere/b0.weights.h5") == 2
    assert "/nowhere/b0.weights.h5" in one_message(capsys)
    assert not (tiny.run / "pixels").exists()


@pytest.mark.parametrize("step", ["folds", "train", "predict", "ensemble"])
def test_a_sample_submission_with_other_ids_is_2(tiny: Tiny, capsys: Capture, step: str) -> None:
    tiny.edit(tiny.sample_csv, set_cell(0, "image_id", "777"))
    assert tiny.cli(step) == 2
    message = one_message(capsys)
    assert "sample_submission.csv" in message
    assert "777" in message


@pytest.mark.parametrize("step", ["predict", "ensemble"])
def test_predicting_without_training_says_what_to_run(tiny: Tiny, capsys: Capture, step: str) -> None:
    assert tiny.cli(step) == 2
    assert "make folds" in one_message(capsys)
    tiny.write_folds()
    assert tiny.cli(step) == 2
    assert "make train" in one_message(capsys)


def test_out_without_images_is_2(tiny: Tiny, capsys: Capture) -> None:
    tiny.write_folds()
    try:
        code = tiny.cli("predict", "--out", "x.csv")
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert "--images" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["folds", "augment"])
def test_a_read_only_output_folder_is_3(tiny: Tiny, capsys: Capture, step: str) -> None:
    output = tiny.folder / "output"
    output.mkdir()
    output.chmod(0o555)
    assert tiny.cli(step) == 3
    assert str(output) in one_message(capsys)
    assert list(output.iterdir()) == []


def test_a_read_only_run_folder_is_3(tiny: Tiny, capsys: Capture) -> None:
    tiny.run.mkdir(parents=True)
    tiny.run.chmod(0o555)
    assert tiny.cli("folds") == 3
    assert str(tiny.run) in one_message(capsys)


def test_a_file_in_the_place_of_the_output_folder_is_told(tiny: Tiny, capsys: Capture) -> None:
    (tiny.folder / "output").write_text("in the way")
    assert tiny.cli("folds") in (2, 3)
    assert str(tiny.folder / "output") in one_message(capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_csv_is_3(tiny: Tiny, capsys: Capture) -> None:
    tiny.train_csv.chmod(0)
    assert tiny.cli("folds") == 3
    assert "train.csv" in one_message(capsys)


@pytest.mark.parametrize(
    ("failure", "code", "told"),
    [
        (InputError("id 7 is wrong [/b] :car:"), 2, "id 7 is wrong [/b] :car:"),
        (SurroundingsError("no network"), 3, "no network"),
        (OSError(28, "No space left on device", "/big/x"), 3, "/big/x: No space left"),
        (PermissionError(13, "Permission denied", "/x"), 3, "/x: Permission denied"),
        (KeyboardInterrupt(), 130, "run the same command again"),
    ],
)
def test_failures_become_one_message_and_their_code(
    tiny: Tiny, capsys: Capture, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int, told: str
) -> None:
    def fail(settings: object) -> None:
        raise failure

    monkeypatch.setattr("ripik.diagnostics.near_copies_page.make_folds", fail)
    assert tiny.cli("folds") == code
    assert told in one_message(capsys)


@pytest.mark.parametrize("bug", [ValueError("a bug"), KeyError("x"), FileNotFoundError(2, "No such file", "/x")])
def test_a_bug_keeps_its_traceback(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, bug: Exception) -> None:
    def fail(settings: object) -> None:
        raise bug

    monkeypatch.setattr("ripik.diagnostics.near_copies_page.make_folds", fail)
    with pytest.raises(type(bug)):
        tiny.cli("folds")


TERMINATED = """
import signal, sys
from unittest import mock
from ripik import cli

with mock.patch("ripik.diagnostics.near_copies_page.make_folds", lambda settings: signal.raise_signal(signal.SIGTERM)):
    sys.exit(cli.main(["folds", "--config", sys.argv[1]]))
"""


def test_a_signal_ends_with_143(tiny: Tiny) -> None:
    """In a process of its own: the alternate stack of pytest's faulthandler is too small for a signal under AMX."""
    done = subprocess.run([sys.executable, "-c", TERMINATED, tiny.config], capture_output=True, text=True, check=False)
    assert done.returncode == 143, done.stderr
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr


AT_THE_START = """
import runpy, signal, sys

class Asks:
    def find_spec(self, name, path, target=None):
        if name == "ripik.cli":
            signal.raise_signal(int(sys.argv[1]))

sys.meta_path.insert(0, Asks())
runpy.run_module("ripik", run_name="__main__")
"""
AT_THE_END = """
import atexit, runpy, signal, sys
from types import ModuleType
from ripik.execution.command import _heed_signals

def main():
    _heed_signals()
    atexit.register(signal.raise_signal, int(sys.argv[1]))
    return 0

sys.modules["ripik.cli"] = ModuleType("ripik.cli")
sys.modules["ripik.cli"].main = main
runpy.run_module("ripik", run_name="__main__")
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [AT_THE_START, AT_THE_END], ids=["start", "end"])
def test_a_signal_that_no_step_heeds_ends_the_command_without_a_word(program: str, signum: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, str(int(signum))],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signum, "", "")


def test_a_command_begun_ignoring_ctrl_c_goes_on(tiny: Tiny) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_START, str(int(signal.SIGINT)), "--version"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 2, done.stderr  # it went on, and refused the number it was given as a step


@pytest.mark.parametrize(
    ("words", "name"),
    [(("config",), "stdout"), (("log-score", "a.csv", "--public", "1"), "stderr"), (("status",), "stdout")],
)
def test_output_that_nobody_reads_any_more_ends_the_command_without_a_word(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: Capture, words: tuple[str, ...], name: str
) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w", encoding="utf-8") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, name, stream)
        assert tiny.cli(*words) == 141
    # here the stream was closed, as at the end of the process, which writes what it still holds
    assert capsys.readouterr() == ("", "")


def test_a_letter_that_the_output_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    _write_any_letter()
    sys.stdout.write("Citroën – 1")
    sys.stdout.flush()
    assert written.getvalue() == rb"Citro\xebn \u2013 1"
    monkeypatch.undo()


def test_the_input_folder_is_never_written_to(tiny: Tiny) -> None:
    def content() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in tiny.input.rglob("*")}

    before = content()
    assert tiny.cli("folds") == 0
    assert content() == before


def test_a_closed_standard_output_and_an_ascii_one_are_no_bug(tiny: Tiny) -> None:
    asked = [sys.executable, "-m", "ripik", "config", "--config", str(tiny.config)]
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *asked]
    assert subprocess.run(shell, capture_output=True, check=False).returncode == 0
    shell = ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *asked[:3], "status", *asked[4:]]
    assert subprocess.run(shell, cwd=tiny.folder, check=False).returncode == 0
    assert subprocess.run([*shell[:-1], "none.toml"], cwd=tiny.folder, check=False).returncode == 2
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    status = [*asked[:3], "status", *asked[4:]]
    done = subprocess.run(status, capture_output=True, env=ascii_only, check=False, cwd=tiny.folder)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_the_system_refuses_is_told_with_its_remedy(tiny: Tiny, capsys: Capture) -> None:
    (tiny.folder / "away").symlink_to(tiny.folder / "nowhere")
    assert tiny.cli("folds", "--set", f"paths.output={tiny.folder}/away") == 3
    assert f"away is a link to {tiny.folder}/nowhere, which is not there. Make that" in capsys.readouterr().err
    assert tiny.cli("folds", "--set", f"paths.output={tiny.folder}/{'x' * 300}") == 3
    assert "File name too long. Choose a shorter name, and run again." in capsys.readouterr().err


def test_paths_may_begin_with_a_home(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny.folder))
    parsed = cli.parser().parse_args
    assert parsed(["data", "--source", "~/x.zip", "--config", "~/tiny.toml"]).source == tiny.folder / "x.zip"
    assert parsed(["data", "--config", "~/tiny.toml"]).config == tiny.config
    assert parsed(["new", "--source", "~/x"]).source == str(tiny.folder / "x")
    assert parsed(["new", "--source", "https://www.kaggle.com/c/x"]).source == "https://www.kaggle.com/c/x"


@pytest.mark.parametrize("step", ["new", "data", "folds --config"])
def test_an_unknown_home_is_refused(step: str, capsys: Capture) -> None:
    command = step.split() if "--" in step else [step, "--source"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "~nobody-of-this-name/x"])
    assert ended.value.code == 2
    assert "'~nobody-of-this-name/x': there is no user of that name" in capsys.readouterr().err
