import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from io import StringIO

import pytest
from rich.console import Console

from ripik import console


class Clock:
    """What stands for time.monotonic."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(console.time, "monotonic", found)
    return found


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def in_terminal(script: str, columns: int = 80, **environment: str) -> bytes:
    """Return the bytes that a Python script writes to a terminal of its own, both streams."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environment}
    ) as process:
        os.close(theirs)
        found = b""
        while part := _read(ours):
            found += part
    os.close(ours)
    assert process.returncode == 0, found.decode()
    return found


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux tells that the other end is closed
        return b""


SHOW_ALL = """
import time
from ripik import console
console.say("said"); console.warn("warned"); console.table("title", ["a", "b"], [["1", "2"]])
with console.progress("decode", 3) as show:
    for done in (1, 2, 3):
        show(done); time.sleep(0.15)
"""


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"NO_COLOR": "no"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_plain_text_gets_no_control_character(environment: dict[str, str]) -> None:
    found = in_terminal(SHOW_ALL, **environment)
    assert b"\x1b" not in found
    assert b"\r" not in found.replace(b"\r\n", b"\n")
    lines = found.decode().splitlines()
    assert lines[:2] == ["said", "warning: warned"]
    assert lines[-1].startswith("decode: 3 done in")


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": ""}])
def test_a_terminal_gets_colours_and_bars(environment: dict[str, str]) -> None:
    found = in_terminal(SHOW_ALL, **environment)
    assert b"\x1b[33mwarning: warned" in found
    assert re.search(r"decode (\x1b\[[\d;]+m)?━", found.decode())
    assert b"decode: 3 done" not in found


def test_a_pipe_gets_plain_text_whatever_is_forced() -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    found = subprocess.run([sys.executable, "-c", SHOW_ALL], capture_output=True, check=True, env=environment)
    assert b"\x1b" not in found.stdout + found.stderr
    assert found.stderr == b"warning: warned\n"


def test_the_pace_is_that_of_this_session_without_its_first_step(clock: Clock) -> None:
    pace = console.Pace()
    assert (pace.left(), str(pace)) == (None, "")
    pace.note(20, 30)  # goes on from epoch 20
    assert pace.left() is None
    clock.now += 100  # compiles
    pace.note(20.5, 30)
    assert pace.left() is None  # a sixtieth of the work, and what took long will not come again
    for done in (21.0, 21.5, 22.0):
        clock.now += 5
        pace.note(done, 30)
    assert pace.left() == pytest.approx(8 * 10)
    assert str(pace) == "0:01:20"


def test_a_large_first_step_tells_the_pace(clock: Clock) -> None:
    pace = console.Pace()
    pace.note(0, 3)
    clock.now += 60
    pace.note(1, 3)
    assert pace.left() == pytest.approx(120)


@pytest.mark.parametrize(("done", "total"), [(1, 2), (3, 5)])
def test_something_new_has_a_pace_of_its_own(clock: Clock, done: float, total: float) -> None:
    pace = console.Pace()
    for before in (1.0, 2.0):
        pace.note(before, 2)
        clock.now += 1000
    pace.note(done, total)
    assert pace.left() is None
    clock.now += 1
    pace.note(done + 0.5, total)
    assert pace.left() == pytest.approx(2 * (total - done - 0.5))


def test_a_pace_that_stands_still_tells_nothing(clock: Clock) -> None:
    pace = console.Pace()
    for _ in range(3):
        pace.note(1, 2)
        clock.now += 1
    assert pace.left() is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (3599, "0:59:59"), (1e5, "27:46:40")]
)
def test_durations(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


def test_a_note_keeps_the_parts_that_fit() -> None:
    parts = ["epoch 1/30", "loss 0.5", "inner macro f1 0.7", "55 images/s"]
    assert console.fitted(parts, 100) == ", ".join(parts)
    assert console.fitted(parts, 33) == "epoch 1/30, loss 0.5, 55 images/s"
    assert console.fitted(parts, 3) == "epoch 1/30"
    assert console.fitted([], 3) == ""


def test_a_line_of_bars_is_never_wider_than_the_terminal() -> None:
    for width in (40, 80, 100, 200):
        screen = Console(file=StringIO(), force_terminal=True, width=width, legacy_windows=False)
        with console.bars(screen) as shown:
            room = console.room_for_note(screen, len("augmented_finetuned/fold0"))
            note = console.fitted(["epoch 12/30", "loss 0.512", "accuracy 0.831", "1250 images/s"], room)
            shown.add_task("augmented_finetuned/fold0", total=30, completed=12, note=note, left="0:12:34")
            (line,) = screen.render_lines(shown.get_renderable(), pad=False)
            text = "".join(segment.text for segment in line).rstrip()
        assert len(text) <= width
        if width >= 80:
            assert text.startswith("augmented_finetuned/fold0 ━")
            assert "0:12:34 epoch 12/30, loss 0.512" in text
        assert ("1250 images/s" in text) == (width >= 100)


def test_say_and_warn_keep_to_their_streams(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("done")
    console.warn("careful")
    assert capsys.readouterr() == ("done\n", "warning: careful\n")


@pytest.mark.parametrize("text", ["[bold]x[/]", "[/no", ":car: :smile:", "x" * 300])
def test_messages_are_printed_as_they_are(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.say(text)
    console.warn(text)
    assert capsys.readouterr() == (f"{text}\n", f"warning: {text}\n")


def test_a_table_shows_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("Scores", ["variant", "F1"], [["original", "0.7000"], ["finetuned", "0.8000"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "Scores"
    assert any("original" in line and "0.7000" in line for line in lines)


@pytest.mark.parametrize("label", ["[other]", "[/b]", ":car:"])
def test_a_tables_cells_are_no_markup(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.table(f"title {label}", ["label", f"n {label}"], [[label, "1"]])
    assert capsys.readouterr().out.count(label) == 3


def test_progress_counts_to_its_total(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("decode", 5) as show:
        show(1)
        show(5)
    assert "decode: 5 done in" in capsys.readouterr().out


def test_progress_in_a_pipe_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with console.progress("decode", 100) as show:
        for done in range(10, 101, 10):
            clock.now += 10
            show(done)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["decode: 20/100, 0:01:20 left", "decode: 40/100, 0:01:00 left"]
    assert lines[-1] == "decode: 100 done in 100.0 s"
    assert len(lines) == 6


def test_progress_of_a_failure_does_not_say_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), console.progress("decode", 5):
        raise RuntimeError
    assert "done" not in capsys.readouterr().out


def test_a_warning_is_printed_once_within_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with console.warnings_once():
        for message in ("one", "two", "one"):
            console.warn(message)
    console.warn("one")
    assert capsys.readouterr().err.splitlines() == ["warning: one", "warning: two", "warning: one"]
