"""The CPU time that control groups leave this process, as `docker --cpus=2` sets it: a limit that no affinity shows."""

import math
from collections.abc import Iterator
from pathlib import Path

GROUPS, OWN = "sys/fs/cgroup", "proc/self/cgroup"
TREES = ("cpu", "cpu,cpuacct", "cpuacct,cpu")  # where version 1 mounts its cpu controller


def cores_of_quota(root: Path = Path("/")) -> int | None:
    """Return how many cores the tightest quota is worth, rounded up; None where there is none, or no control group.

    Looks at the process's own group and at all above it, of version 1 and 2. root: of the file system.
    """
    found = [cores for folder in _folders(root) for cores in (_version_2(folder), _version_1(folder)) if cores]
    return max(1, math.ceil(min(found))) if found else None


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders of the process's groups, each with those above it, as far up as they are mounted."""
    mount = root / GROUPS
    trees, own = [mount, *(mount / tree for tree in TREES)], _own_groups(root / OWN)
    for tree in trees:
        for group in ["", *own]:
            folder = tree / group.strip("/")
            yield from (each for each in (folder, *folder.parents) if each.is_relative_to(tree))


def _own_groups(path: Path) -> list[str]:
    """Return the process's groups in version 2's tree and in that of version 1's cpu controller."""
    lines = [line.split(":", 2) for line in _text(path).splitlines()]
    return [line[2] for line in lines if len(line) == 3 and (not line[1] or "cpu" in line[1].split(","))]


def _version_2(folder: Path) -> float | None:
    return _share(_text(folder / "cpu.max").split())


def _version_1(folder: Path) -> float | None:
    return _share([*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()])


def _share(words: list[str]) -> float | None:
    """Return quota / period; None unless these are two numbers above 0 ("max" and -1 stand for no quota)."""
    if len(words) != 2 or not all(word.isdecimal() and int(word) for word in words):
        return None
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
