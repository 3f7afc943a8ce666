"""How a job's process ends on a signal: at once, except for parts that first finish and save their work."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from types import FrameType

from ripik.errors import Terminated

TERMINATED = 143
SOON = 0.1  # seconds
Handler = Callable[[int, FrameType | None], None]
Hook = Callable[["sys.UnraisableHookArgs"], object]


def end_when_asked() -> None:
    """Have this job's process exit with 143 on SIGTERM, or when its parent is gone; Ctrl-C is the parent's affair.

    `local` installs it; in a worker of a Ray cluster `ending_when_cancelled` stands in its place.
    While an epoch is trained `noticing` defers it: the state is saved first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _exit)
    sys.unraisablehook = sending_again(_exit, sys.unraisablehook)
    parent = multiprocessing.parent_process()
    if parent is not None:
        end_when_done(functools.partial(wait, [parent.sentinel]))


@contextmanager
def born_deaf() -> Iterator[None]:
    """Keep Ctrl-C from the processes that `multiprocessing` spawns in the block, until they call `end_when_asked`.

    Else it would meet them in their imports, with a traceback. This process heeds it at the end of the block.
    """
    resource_tracker.ensure_running()  # within the block its start would let the signal in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ending_when_cancelled() -> Iterator[None]:
    """Have this worker of a cluster exit likewise on SIGTERM, or on SIGINT, by which Ray asks it to, for the block.

    What comes after it is the worker's own affair, and reaches no other job.
    """
    before = {signum: signal.signal(signum, _exit) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _exit(signum: int, frame: FrameType | None) -> None:
    sys.exit(TERMINATED)  # an exception, so that temporary files and locks are let go


def sending_again(handler: Handler, before: Hook) -> Hook:
    """Return a `sys.unraisablehook` that sends a signal again whose exception was raised in a destructor, and so lost.

    handler: of SIGTERM, to be set once more. before: the hook of all other exceptions.
    """

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        kinds = {SystemExit: signal.SIGTERM, Terminated: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT}
        signum = kinds.get(lost.exc_type)
        if signum is None:
            before(lost)
            return
        if signum == signal.SIGTERM:
            signal.signal(signum, handler)
        again = threading.Timer(SOON, os.kill, (os.getpid(), signum))  # when the destructor has returned
        again.daemon = True
        again.start()

    return hook


def end_when_done(waiting: Callable[[], object]) -> None:
    """Have this process get SIGTERM when a call, made in a thread of its own, returns or fails."""

    def follow() -> None:
        with contextlib.suppress(Exception):
            waiting()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()


class Orders:
    """Waits, once in this process, for the order to end, which is meant for whatever job it is at, now or later."""

    def __init__(self) -> None:
        self.lock, self.waits, self.given, self.at_work = threading.Lock(), False, False, False

    @contextmanager
    def heeded(self, waiting: Callable[[], object]) -> Iterator[None]:
        """Have the job of the block get SIGTERM when a call returns or fails that was made for the process's first."""
        with self.lock:
            self.at_work = True
            first, self.waits = not self.waits, True
        if first:
            threading.Thread(target=self._follow, args=(waiting,), daemon=True).start()
        if self.given:
            signal.raise_signal(signal.SIGTERM)
        try:
            yield
        finally:
            with self.lock:
                self.at_work = False

    def _follow(self, waiting: Callable[[], object]) -> None:
        with contextlib.suppress(Exception):
            waiting()
        with self.lock:  # so that the job does not end before the signal has come
            self.given = True
            if self.at_work:
                os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def noticing() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM, and SIGINT where it asks for the same, be noticed and not obeyed while the block runs.

    Yields what tells whether one came.

    At the end of the block it is obeyed. Outside the main thread, where no signal arrives, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()
    heeded = [signum for signum in (signal.SIGTERM, signal.SIGINT) if _asks(signum)]
    before = {signum: signal.signal(signum, lambda *_: asked.set()) for signum in heeded}
    try:
        yield asked.is_set
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if asked.is_set():
        signal.raise_signal(signal.SIGTERM)


def _asks(signum: int) -> bool:
    """Whether a signal asks a job to end: SIGTERM always, SIGINT in a worker of a cluster."""
    return signum == signal.SIGTERM or signal.getsignal(signum) is _exit
