"""Targets of make named in messages: they are given CONFIG= where the command has another configuration than make's.

So that what a message says can be copied: without CONFIG= it would be done to the run of the default configuration.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ripik.steps import STEPS, Step

DEFAULT = Path(Step.config)  # that of make
TAKING = "|".join(step.name for step in STEPS if step.config == Step.config)  # targets that read CONFIG=
COMMAND = re.compile(rf"`make (?:{TAKING})(?= |`)[^`]*`")
_config: ContextVar[Path] = ContextVar("config", default=DEFAULT)


@contextmanager
def configured(config: Path) -> Iterator[None]:
    """While the block runs, messages are those of a command that was given this configuration."""
    token = _config.set(config)
    try:
        yield
    finally:
        _config.reset(token)


def make(targets: str) -> str:
    """Return the command that makes the targets with the present configuration: `make train CONFIG=configs/a.toml`."""
    config = _config.get()
    return f"make {targets}" if config == DEFAULT else f"make {targets} CONFIG={shlex.quote(str(config))}"


def with_config(message: str) -> str:
    """Return a message whose commands of make, in backticks, have the present configuration."""
    return COMMAND.sub(lambda found: found[0] if "CONFIG=" in found[0] else f"`{make(found[0][6:-1])}`", message)
