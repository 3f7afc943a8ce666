"""The processes of a command that is stopped: which of them are left, and for how long."""

import subprocess
import time
from pathlib import Path


def ends_within(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def alive(group: int) -> list[str]:
    """Return the processes of a group that are not dead, by number and command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            words = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(its) == group and state not in "ZX":
            found.append(f"{folder.name}: {words[:80]}")
    return found


def left_after(group: int, seconds: float) -> list[str]:
    """Return what is left of a group after so many seconds, or sooner when nothing is."""
    limit = time.monotonic() + seconds
    while (left := alive(group)) and time.monotonic() < limit:
        time.sleep(0.05)
    return left


def wait_for_all(group: int) -> None:
    """Return when no process of the group is left."""
    if left := left_after(group, 90):
        raise RuntimeError(f"processes of group {group} are still there: {'; '.join(left)}")
