"""How a job's process ends when it is asked to: at once, but for parts that bring their work to a safe end first."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType

TERMINATED = 143


def end_when_asked() -> None:
    """Have this job's process exit with 143 on SIGTERM, or when its parent is gone; Ctrl-C is the parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _exit)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _exit(signum: int, frame: FrameType | None) -> None:
    sys.exit(TERMINATED)  # an exception, so that temporary files and locks are let go


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def noticing() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM be noticed and not obeyed while the block runs; yields what tells whether it came.

    At the end of the block it is obeyed. Outside the main thread, where no signal arrives, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
    if asked.is_set():
        signal.raise_signal(signal.SIGTERM)
