"""Which GPUs a command may use, found without loading a backend, and which of them a job gets."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"  # numbers or identifiers that CUDA shows to a process, in this order
SECONDS = 20


def visible() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them: none without a driver.

    CUDA's rule: the variable's entries up to the first that is no GPU (-1), or without the variable all that the driver
    lists.
    """
    listed = os.environ.get(VISIBLE)
    if listed is None:
        return [str(number) for number in range(_count())]
    found = []
    for entry in listed.split(","):
        if not entry.strip() or entry.strip().startswith("-"):
            break
        found.append(entry.strip())
    return found


def least_used(visible: Sequence[str], taken: Iterable[str | None]) -> str | None:
    """Return the GPU that the fewest of the running jobs have, the first of several; None when there is none."""
    used = Counter(taken)
    return min(visible, key=lambda gpu: used[gpu], default=None)


def _count() -> int:
    """Return how many GPUs NVIDIA's driver lists; 0 where its command is missing, or fails as it does without one."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        told = subprocess.run([command, "--list-gpus"], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    lines = [line for line in told.stdout.splitlines() if line.startswith("GPU ")]
    return len(lines) if told.returncode == 0 else 0
