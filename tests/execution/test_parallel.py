"""Calls in worker processes: their order, and their end with the process that asked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ripik.execution import parallel
from ripik.execution.parallel import CHUNK, in_parallel

FILLED = """
import sys
from functools import partial
from pathlib import Path
from small_jobs import note_pid_and_wait
from ripik.execution.parallel import CHUNK, in_parallel
folder = Path(sys.argv[1])
list(in_parallel(partial(note_pid_and_wait, folder), [(number,) for number in range(4 * CHUNK)]))
(folder / "done").touch()
import time
time.sleep(600)
"""


def test_results_come_in_chunks_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "usable_cores", lambda: 1)
    found = list(in_parallel(divmod, [(number, 7) for number in range(CHUNK + 3)]))
    assert [len(chunk) for chunk in found] == [CHUNK, 3]
    assert [each for chunk in found for each in chunk] == [divmod(number, 7) for number in range(CHUNK + 3)]


@pytest.mark.parametrize("idle", [False, True])
def test_workers_end_with_a_process_that_is_killed(tmp_path: Path, idle: bool) -> None:
    folders = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    limit = time.monotonic() + 60
    with subprocess.Popen(
        [sys.executable, "-c", FILLED, str(tmp_path)], env=os.environ | {"PYTHONPATH": folders}
    ) as it:
        while not ((tmp_path / "done").exists() if idle else any(tmp_path.iterdir())):
            assert time.monotonic() < limit, "the calls have not begun"
            time.sleep(0.05)
        workers = [Path("/proc") / path.name for path in tmp_path.iterdir() if path.name.isdigit()]
        assert workers
        assert all(each.exists() for each in workers)
        it.send_signal(signal.SIGKILL)
    while any(_is_at_work(each) for each in workers):
        assert time.monotonic() < limit, "a worker is still there"
        time.sleep(0.2)


def _is_at_work(process: Path) -> bool:
    """Whether a process is there, and no zombie that nobody has waited for."""
    try:
        return "\nState:\tZ" not in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
