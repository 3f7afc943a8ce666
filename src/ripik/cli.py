"""The command `ripik`: parses its arguments, by the table of steps, and calls the step."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ripik import __version__
from ripik.config import load_settings
from ripik.execution import command
from ripik.settings import Settings
from ripik.steps import STEPS, Step, path
from ripik.targets import configured

COMMON = ("config", "set", "step")  # arguments that are not the step's own
METRIC = re.compile(r"\s*competition\.metric\s*=")  # an override of it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step and return its exit code, as `execution.command.run` does."""
    options = parser().parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if name not in COMMON}
    config = Path(options.step.config) if options.config is None else options.config
    if options.step.asks_config:
        given["configured"] = options.config is not None or any(METRIC.match(text) for text in options.set)
    if options.step.writes_config:
        given |= {"config": config, "answers": options.set}
        return command.run(options.step, lambda: Settings(run=options.step.name, variants={}), given)
    with configured(config):
        return command.run(options.step, lambda: load_settings(config, options.set), given)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all steps."""
    top = argparse.ArgumentParser(prog="ripik", description="Leak-free competition solution for image classification.")
    top.add_argument("--version", action="version", version=__version__)
    parsers = top.add_subparsers(metavar="STEP", required=True)
    for step in STEPS:
        _add(parsers, step)
    return top


def _add(parsers: Any, step: Step) -> None:
    summary = f"{step.summary[0].upper()}{step.summary[1:]}."
    added: argparse.ArgumentParser = parsers.add_parser(step.name, help=step.summary, description=summary)
    added.set_defaults(step=step)
    told = f"default: {step.config}" if step.config else "the file to write; default: configs/<source>.toml"
    added.add_argument("--config", type=path, metavar="TOML", help=told)
    added.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="override a setting; may be repeated"
    )
    for option in step.options:
        added.add_argument(option.name, **option.keywords)
