"""The control groups that this process is in, where containers and services keep their limits."""

from collections.abc import Iterator, Sequence
from pathlib import Path

GROUPS, OWN = "sys/fs/cgroup", "proc/self/cgroup"


def folders(root: Path, controller: str, trees: Sequence[str]) -> Iterator[Path]:
    """Yield the folders of the process's groups, each with those above it, as far up as they are mounted.

    root: of the file system. trees: where version 1 mounts the controller; version 2 has one tree for all.
    """
    mount, own = root / GROUPS, _own_groups(root / OWN, controller)
    for tree in [mount, *(mount / tree for tree in trees)]:
        for group in ["", *own]:
            folder = tree / group.strip("/")
            yield from (each for each in (folder, *folder.parents) if each.is_relative_to(tree))


def text(path: Path) -> str:
    """Return what a file says; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _own_groups(path: Path, controller: str) -> list[str]:
    """Return the process's groups in version 2's tree and in that of version 1's controller."""
    lines = [line.split(":", 2) for line in text(path).splitlines()]
    return [line[2] for line in lines if len(line) == 3 and (not line[1] or controller in line[1].split(","))]
