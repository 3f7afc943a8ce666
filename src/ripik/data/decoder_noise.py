"""Catch what OpenCV and its decoders (libjpeg, libpng, …) print by themselves: it names no file.

They write to C's `stderr`, which points to memory while they are at work. Python's `sys.stderr` writes to the file
descriptor itself and is not touched, so that progress and messages of other threads still appear.
"""

import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

LOCK = threading.RLock()  # the variable is one for the whole process
SILENT = 0  # of OpenCV's log levels
NAME = "__stderrp" if sys.platform == "darwin" else "stderr"


@contextmanager
def caught() -> Iterator[list[str]]:
    """Yield a list that holds the lines printed in the block once it is left; one thread at a time.

    Where C's `stderr` cannot be had, they are printed as ever, but for the messages of OpenCV itself.
    """
    lines: list[str] = []
    log = getattr(cv2.utils, "logging", cv2)  # of OpenCV 5, and before
    with LOCK:
        level = log.getLogLevel()
        log.setLogLevel(SILENT)
        try:
            with _redirected(lines):
                yield lines
        finally:
            log.setLogLevel(level)


@contextmanager
def _redirected(lines: list[str]) -> Iterator[None]:
    found = _library()
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    stream = found and found[0].open_memstream(ctypes.byref(text), ctypes.byref(size))
    if not found or not stream:
        yield
        return
    library, variable = found
    before, variable.value = variable.value, stream
    try:
        yield
    finally:
        variable.value = before
        library.fclose(stream)
        lines += ctypes.string_at(text, size.value).decode(errors="replace").splitlines()
        library.free(text)


@functools.lru_cache(maxsize=1)
def _library() -> tuple[ctypes.CDLL, ctypes.c_void_p] | None:
    """Return the C library and its variable `stderr`; None where it has none by that name."""
    try:
        library = ctypes.CDLL(None)
        variable = ctypes.c_void_p.in_dll(library, NAME)
        library.open_memstream.restype = ctypes.c_void_p
        library.open_memstream.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        library.fclose.argtypes = library.free.argtypes = [ctypes.c_void_p]
    except (OSError, ValueError, AttributeError):
        return None
    return library, variable
