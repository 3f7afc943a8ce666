"""The two kinds of failure a user can fix; everything else is a bug and keeps its traceback."""

import difflib
import errno
from collections.abc import Sequence

CLOSE = 0.65  # share of equal letters, as difflib counts them, of words that may be taken for one another
MOST = 100  # known words that are all shown


class RipikError(Exception):
    """A failure reported to the user in one message: what is wrong, where, and what to do."""

    exit_code = 1


class InputError(RipikError):
    """Bad usage or bad input: arguments, configuration, CSVs, images, weight files."""

    exit_code = 2


class SurroundingsError(RipikError):
    """The environment fails: network, disk, permission, lock, memory."""

    exit_code = 3


class OutOfTimeError(RipikError):
    """The time limit is reached, or the next part would exceed it; everything is saved."""

    exit_code = 75


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


class Unread(SystemExit):
    """Whoever read the output has closed the pipe."""


def is_damage(error: Exception) -> bool:
    """Whether an error in reading a file is due to its content, and not to the disk, the network or permissions."""
    return not isinstance(error, OSError) or error.errno in (None, errno.EINVAL)  # EINVAL: an offset below 0


def nearest(word: str, known: Sequence[str]) -> str:
    """Return a hint, in brackets, for an unknown `word`: the nearest of the `known` ones, or all of them
    (of very many the first)."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=CLOSE) or [
        name for name in known if word in name.split("_")
    ]
    if close:
        return f" (did you mean {close[0]}?)"
    names, more = sorted(known)[:MOST], len(known) - MOST
    return f" (known: {', '.join(names)}{f' and {more} more' if more > 0 else ''})"
