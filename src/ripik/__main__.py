"""`python -m ripik`, and the command `ripik`: a signal ends it without a word where its step does not heed it yet."""

import io
import os
import signal
import sys


def main() -> int:
    """Run one step and return its exit code; before it, and after, a signal ends the process at once."""
    _unheeded()
    _open_closed_streams()
    _write_any_letter()
    from ripik.cli import main as command

    code = command()
    _unheeded()
    return code


def _open_closed_streams() -> None:
    """Let standard streams that were closed lead nowhere, so that no file of a run is opened in their place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _write_any_letter() -> None:
    """Have standard output write what its encoding lacks as Python would escape it, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _unheeded() -> None:
    """Give the signals that ask a process to end their default meaning, but for those that it was told to ignore."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
