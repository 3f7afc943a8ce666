"""How much memory this process may use: the machine's, or what a container leaves of it."""

import os
from pathlib import Path

from ripik.execution.control_groups import folders, text

LIMITS = ("memory.max", "memory.limit_in_bytes")  # control groups, version 2 and 1


def usable_memory(root: Path = Path("/")) -> int:
    """Return the bytes of the machine's memory, or of the tightest limit of its control groups where that is less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    told = [text(folder / name).strip() for folder in folders(root, "memory", ["memory"]) for name in LIMITS]
    return min([machine, *(int(limit) for limit in told if limit.isdecimal() and int(limit))])
