"""Run a step as a command does: an error becomes one message and an exit code, and signals end it in order."""

import errno
import importlib
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from ripik.console import UNREAD, console, warnings_once
from ripik.errors import RipikError, Terminated, Unread
from ripik.execution import time_limit
from ripik.execution.locks import turn
from ripik.execution.signals import TERMINATED, sending_again
from ripik.settings import Settings
from ripik.steps import Step
from ripik.storage.paths import layout_of
from ripik.targets import with_config

SURROUNDINGS = {  # errors of the operating system that are no bug of ours
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ELOOP, errno.EBUSY, errno.ENXIO, errno.ENODEV),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG),
}
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Give permission"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Allow more open files (ulimit -n)"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP), "Move it away"),
    errno.ENAMETOOLONG: "Choose a shorter name",
}
INTERRUPTED = 130
GO_ON = "Finished work is kept: run the same command again to resume."


def run(step: Step, load: Callable[[], Settings], given: Mapping[str, Any]) -> int:
    """Run one step and return its exit code: 0 done, 2 bad input, 3 the surroundings, 75 at its time limit, 130/143
    stopped by a signal, 141 as nobody reads its output any more.

    load: reads the settings, and may raise as a step does. given: the step's options by name; None: not given.
    """
    before = sys.unraisablehook
    sys.unraisablehook = sending_again(_terminate, before)
    try:
        return _run(step, load, given)
    except Unread:
        return UNREAD
    finally:
        sys.unraisablehook = before


def _run(step: Step, load: Callable[[], Settings], given: Mapping[str, Any]) -> int:
    try:
        _heed_signals()
        settings = load()
        alone = turn(layout_of(settings), step.name) if step.alone else nullcontext()
        with warnings_once(), time_limit.limited(settings.training.seconds), alone:
            _function(step)(settings, **{name: value for name, value in given.items() if value is not None})
    except RipikError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(f"stopped. {GO_ON}", INTERRUPTED)
    except Terminated:
        return _fail(f"terminated. {GO_ON}", TERMINATED)
    except BrokenExecutor:
        return _fail(f"a worker process was killed, most likely because memory ran out. {GO_ON}", 3)
    except MemoryError:
        return _fail("out of memory. Run again with fewer jobs (JOBS=1), or on a larger machine.", 3)
    except OSError as error:
        if error.errno not in SURROUNDINGS:
            raise
        return _fail(_told(error), 3)
    return 0


def _told(error: OSError) -> str:
    """Return what the operating system refused, where, and what to do."""
    if error.errno == errno.EEXIST and (link := Path(error.filename or ".")).is_symlink():
        return f"{link} is a link to {link.readlink()}, which is not there. Make that, or remove the link."
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}. {REMEDIES.get(error.errno or 0, 'Mend that')}, and run again."


def _function(step: Step) -> Callable[..., Any]:
    module, _, name = step.function.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _heed_signals() -> None:
    """Have SIGTERM and Ctrl-C raise; a process that was begun ignoring Ctrl-C goes on to."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _terminate(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def _fail(message: str, code: int) -> int:
    told = f"ripik: {with_config(message)}"
    console(error=True).print(told, markup=False, emoji=False)
    return code
