"""The time limit of a command, `training.time_limit`: its end time, shared by all of its processes."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ripik.errors import OutOfTimeError

VARIABLE = "RIPIK_DEADLINE"  # on the monotonic clock, which all processes of a machine share and nobody turns back


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """While the block runs, let this process and those it starts know to end within `seconds`; None: no limit."""
    before = os.environ.pop(VARIABLE, None)
    if seconds is not None:
        os.environ[VARIABLE] = repr(time.monotonic() + seconds)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def left() -> float | None:
    """Return the seconds left, negative once the limit has passed; None without a limit."""
    return float(os.environ[VARIABLE]) - time.monotonic() if VARIABLE in os.environ else None


def check(needed: float = 0.0) -> None:
    """Raise OutOfTimeError when what comes next, which needs so many seconds, would end after the limit."""
    remaining = left()
    if remaining is not None and remaining < needed:
        raise OutOfTimeError(
            "stopped by training.time_limit. Finished work is kept: run the same command again to resume; "
            "`ensemble --partial` (PARTIAL=1) blends the variants that are finished."
        )
