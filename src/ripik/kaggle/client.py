"""Run the official `kaggle` command and turn its errors into the two kinds of failure a user can fix."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ripik.console import say
from ripik.errors import InputError, RipikError, SurroundingsError

PROGRESS = re.compile(r".*(\d%\||B/s\])")
TOLD = ("License", "Connection error", "Retry", "Rate limited")  # of what the client says, worth a person's time
WAYS = (
    "Provide them in one of these ways: run `kaggle auth login`; or create a token at "
    "https://www.kaggle.com/settings/api and put it into the environment variable KAGGLE_API_TOKEN or the file "
    "~/.kaggle/access_token; or, with an older API key, set KAGGLE_USERNAME and KAGGLE_KEY or save it as "
    "~/.kaggle/kaggle.json."
)
REASONS = (  # the client prints the status, the server's own words, or both; the first that fits is the reason
    ("missing", r"\b404 (client error|- )|not found"),
    ("busy", r"\b429 (client error|- )|too many requests|rate limit"),
    (
        "forbidden",
        r"\b403 (client error|- )|forbidden|permission '[^']+' was denied|was not satisfied"
        r"|must accept this competition",
    ),
    ("server", r"\b5\d\d (server error|- )|internal server error|bad gateway|service unavailable"),
    ("disk", r"no space left on device|permission denied: '|read-only file system|disk quota exceeded"),
    (
        "network",
        r"max retries exceeded|connection ?(aborted|reset|refused|error|broken)|timed out|incompleteread"
        r"|remotedisconnected|name or service not known|name resolution|downloaded file size .* does not match",
    ),
    ("credentials", r"authentication required|\b401\b|unauthorized|could not find kaggle\.json|missing username"),
)


def run_kaggle(arguments: Sequence[str]) -> tuple[int, str]:
    """Run `kaggle` with these arguments, showing its progress; return its exit code and everything else it said.

    The command runs in a process of its own, because importing its package already authenticates.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [*_command(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as client:
        assert client.stdout is not None
        try:
            said = _listen(client.stdout)
        except BaseException:
            client.kill()
            raise
    return client.returncode, said


def failure(what: str, page: str, code: int, said: str) -> RipikError:
    """Return the error for a `kaggle` command that failed, also for one that ended with 0 but brought nothing."""
    last = said.strip().splitlines()[-1] if said.strip() else "it printed nothing"
    reason = reason_of(said)
    refused = f"Kaggle refuses {what} (403): it is private, its terms are not accepted yet, or the name is wrong"
    match reason:
        case "forbidden" if not has_credentials():
            return InputError(f"{refused}, and there are no credentials. {WAYS}")
        case "forbidden":
            return InputError(f"{refused}. Open {page} in a browser, logged in as the user of your credentials.")
        case "credentials":
            return InputError(f"Kaggle asks for credentials for {what}: none were found, or they are not valid. {WAYS}")
        case "missing":
            return InputError(f"there is no {what.removeprefix('the ')} (404): check its name at {page}.")
        case "busy":
            return SurroundingsError(
                f"Kaggle's rate limit is reached (429). Wait some minutes before asking for {what} again."
            )
        case "network":
            return SurroundingsError(f"the connection to Kaggle failed: run the same command again to resume. ({last})")
        case "server":
            return SurroundingsError(f"Kaggle had an internal error with {what}. Try again later. ({last})")
        case "disk":
            return SurroundingsError(f"kaggle could not write {what}: {last}")
    return SurroundingsError(f"kaggle ended with exit code {code} without {what}: {last}")


def reason_of(said: str) -> str:
    """Return why a command failed: missing, busy, forbidden, server, disk, network, credentials, or nothing."""
    return next((name for name, pattern in REASONS if re.search(pattern, said, re.IGNORECASE)), "")


def has_credentials() -> bool:
    """Whether the `kaggle` command would find credentials of any kind, valid or not."""
    given = os.environ
    if given.get("KAGGLE_API_TOKEN") or (given.get("KAGGLE_USERNAME") and given.get("KAGGLE_KEY")):
        return True
    home = Path("~/.kaggle").expanduser()
    others = [Path(given.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kaggle", home]
    keys = [Path(given["KAGGLE_CONFIG_DIR"])] if given.get("KAGGLE_CONFIG_DIR") else others
    tokens = ("access_token", "access_token.txt", "credentials.json")
    return any(path.is_file() for path in [*(home / name for name in tokens), *(key / "kaggle.json" for key in keys)])


def _command() -> list[str]:
    script = shutil.which("kaggle", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "kaggle"]


def _listen(stream: IO[str]) -> str:
    said, drawn = [], False
    for line in stream:  # universal newlines: a redrawn progress bar is a line each time
        if PROGRESS.match(line):
            sys.stderr.write("\r" + line.rstrip())
            sys.stderr.flush()
            drawn = True
        elif line.strip():
            said.append(line)
            if line.startswith(TOLD):
                say(line.rstrip())
    if drawn:
        sys.stderr.write("\n")
    return "".join(said)
