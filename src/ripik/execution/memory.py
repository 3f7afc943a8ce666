"""How much memory this process may use: the machine's, or what a container leaves of it."""

import os
from pathlib import Path

LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")  # control groups, version 2 and 1


def usable_memory(root: Path = Path("/")) -> int:
    """Return the bytes of the machine's memory, or of its container's limit where that is less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *(limit for limit in map(_limit, (root / name for name in LIMITS)) if limit)])


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) else None
