"""The CPU time that control groups leave this process, as `docker --cpus=2` sets it: a limit that no affinity shows."""

import math
from pathlib import Path

from ripik.execution.control_groups import folders, text

TREES = ("cpu", "cpu,cpuacct", "cpuacct,cpu")  # where version 1 mounts its cpu controller


def cores_of_quota(root: Path = Path("/")) -> int | None:
    """Return how many cores the tightest quota is worth, rounded up; None where there is none, or no control group.

    Looks at the process's own group and at all above it, of version 1 and 2. root: of the file system.
    """
    shares = [share(folder) for folder in folders(root, "cpu", TREES) for share in (_version_2, _version_1)]
    found = [cores for cores in shares if cores]
    return max(1, math.ceil(min(found))) if found else None


def _version_2(folder: Path) -> float | None:
    return _share(text(folder / "cpu.max").split())


def _version_1(folder: Path) -> float | None:
    return _share([*text(folder / "cpu.cfs_quota_us").split(), *text(folder / "cpu.cfs_period_us").split()])


def _share(words: list[str]) -> float | None:
    """Return quota / period; None unless these are two numbers above 0 ("max" and -1 stand for no quota)."""
    if len(words) != 2 or not all(word.isdecimal() and int(word) for word in words):
        return None
    return int(words[0]) / int(words[1])
