"""Who is at work on a job: running is told from killed, the file goes at the end, two are kept apart."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ripik.errors import OutOfTimeError, SurroundingsError
from ripik.execution import locks, time_limit
from ripik.execution.locks import SIZE, Presence, look, present, refuse_while_training, training_under_way
from ripik.storage.paths import Layout

STAY = """
import sys, time
from pathlib import Path
from ripik.execution.locks import present
with present(Path(sys.argv[1]), "original/fold0") as tell:
    print("there", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locks, "PAUSE", 0.001)
    return tmp_path / "running" / "original-fold0.json"


@contextmanager
def another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work there."""
    with subprocess.Popen([sys.executable, "-c", STAY, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        try:
            yield process
        finally:
            process.kill()


def test_nobody_is_there(path: Path) -> None:
    assert look(path) is None
    assert not path.parent.exists()


def test_whoever_is_at_work_is_seen_until_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_WRITES", 0.0)
    with present(path, "original/fold0") as tell:
        first = look(path)
        assert first is not None
        assert (first.host, first.pid, first.alive, first.done) == (socket.gethostname(), os.getpid(), True, 0)
        tell(2.5, 30, "epoch 3/30, loss ½", 61.5)
        assert look(path) == replace(first, done=2.5, total=30, note="epoch 3/30, loss ½", left=61.5)
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert look(path) is None
    assert not path.exists()


def test_the_file_goes_after_an_exception_too(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), present(path, "original/fold0"):
        raise ZeroDivisionError
    assert not path.exists()


def test_it_is_rewritten_at_most_once_a_second_and_stays_as_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(locks.time, "monotonic", lambda: now[0])
    seen = []
    with present(path, "original/fold0") as tell:
        size = path.stat().st_size
        for tenth in range(25):
            now[0] = 100 + tenth / 10
            tell(float(tenth), 30, "x" * 10 * tenth)
            found = look(path)
            assert found is not None
            seen.append(found.done)
        assert path.stat().st_size == size
    assert sorted(set(seen)) == [0, 10, 20]


def test_a_second_process_is_refused_by_the_name_of_the_first(path: Path) -> None:
    with another(path) as first:
        found = look(path)
        assert found is not None
        assert (found.pid, found.alive) == (first.pid, True)
        told = rf"^original/fold0 is .*host {socket.gethostname()}, process {first.pid}, since \d.*run the same command"
        with pytest.raises(SurroundingsError, match=told) as caught, present(path, "original/fold0"):
            pass
        assert caught.value.exit_code == 3
        assert look(path) == found


def test_a_killed_process_is_told_and_taken_over(path: Path) -> None:
    with another(path) as first:
        first.kill()
        first.wait()
    found = look(path)
    assert found is not None
    assert (found.pid, found.alive) == (first.pid, False)
    with present(path, "original/fold0"):
        mine = look(path)
        assert mine is not None
        assert (mine.pid, mine.alive) == (os.getpid(), True)
    assert look(path) is None


def test_a_terminated_process_leaves_a_file_that_tells_so(path: Path) -> None:
    with another(path) as first:
        first.send_signal(signal.SIGTERM)
        first.wait()
    found = look(path)
    assert found is not None
    assert not found.alive


def test_looking_changes_nothing_and_is_never_in_the_way(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "far", "pid": 7}))
    for _ in range(3):
        assert look(path) == Presence(host="far", pid=7)
    with path.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        tries = iter(range(3))

        def pause(seconds: float) -> None:
            if next(tries) == 2:
                fcntl.flock(reader, fcntl.LOCK_UN)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(locks.time, "sleep", pause)
            with present(path, "original/fold0"):
                assert next(tries, None) is None


def test_a_file_half_written_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.write_text('{"host": "fa')

    def complete(seconds: float) -> None:
        path.write_text('{"host": "far", "pid": 7}')

    monkeypatch.setattr(locks.time, "sleep", complete)
    assert look(path) == Presence(host="far", pid=7)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "\x00" * 99])
def test_a_broken_file_still_tells_that_somebody_was_there(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    assert look(path) == Presence()
    with present(path, "original/fold0"):
        assert look(path) != Presence()


def test_a_file_removed_while_it_was_locked_is_not_taken_for_the_own(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with path.open() as old:
        path.unlink()
        path.touch()
        assert not locks._is_at(old.fileno(), path)
    with path.open() as new:
        assert locks._is_at(new.fileno(), path)
        path.unlink()
        assert not locks._is_at(new.fileno(), path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_nobody_is_seen_and_nothing_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with present(path, "original/fold0") as tell:
        tell(1.0, 30, "note", 5.0)
        assert look(path) is None
        assert not path.exists()
        with present(path, "original/fold0"):
            pass
    path.write_text("{}")
    assert look(path) is None


def test_a_full_disk_does_not_stop_the_work(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_WRITES", 0.0)
    with present(path, "original/fold0") as tell:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(locks.os, "pwrite", full)
        tell(1.0, 30)


def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(SurroundingsError, match="read-only"), present(tmp_path / "running" / "a.json", "a"):
            pass
    finally:
        tmp_path.chmod(0o755)


def test_a_process_of_the_same_number_elsewhere_is_another(tmp_path: Path) -> None:
    path = tmp_path / "running" / "run.json"
    with present(path, "it", wait=True):
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"token": "of another host of this name"}).ljust(SIZE - 1) + "\n")
        with time_limit.limited(0.3), pytest.raises(OutOfTimeError), present(path, "it", wait=True):
            pass


def test_commands_that_train_are_seen_each_until_its_end(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "in", tmp_path / "out", tmp_path / "sub")
    refuse_while_training(layout, "folds.csv")
    with training_under_way(layout), training_under_way(layout):
        assert sorted(path.name for path in layout.at_work.parent.iterdir()) == ["train1.json", "train2.json"]
        with pytest.raises(SurroundingsError, match=r"folds.csv would change under train1, which is already being"):
            refuse_while_training(layout, "folds.csv")
    refuse_while_training(layout, "folds.csv")
    assert not layout.at_work.parent.exists()
