"""Commands of make in messages name the configuration they are to be run with."""

from pathlib import Path

import pytest

from conftest import Tiny
from ripik.console import say, warn
from ripik.targets import configured, make, with_config

PANELS = Path("configs/panels.toml")


@pytest.mark.parametrize(
    ("message", "completed"),
    [
        ("Run `make train`.", "Run `make train CONFIG=configs/panels.toml`."),
        (
            "no `make folds train ensemble`, or `make kernel KIND=infer`",
            "no `make folds train ensemble CONFIG=configs/panels.toml`, or "
            "`make kernel KIND=infer CONFIG=configs/panels.toml`",
        ),
        *[(same, same) for same in ("`make demo`", "`make test-export`", "`make train CONFIG=a.toml`", "make train")],
    ],
)
def test_a_command_has_the_configuration_unless_it_takes_none(message: str, completed: str) -> None:
    assert with_config(message) == message
    with configured(PANELS):
        assert with_config(message) == completed
    assert with_config(message) == message


def test_the_default_configuration_is_not_named() -> None:
    with configured(Path("configs/ripik.toml")):
        assert make("train") == "make train"
    with configured(Path("my configs/a.toml")):
        assert make("train") == "make train CONFIG='my configs/a.toml'"


def test_what_is_printed_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    with configured(PANELS):
        say("run `make report`")
        warn("run `make folds`")
    out, error = capsys.readouterr()
    assert out == "run `make report CONFIG=configs/panels.toml`\n"
    assert error == "warning: run `make folds CONFIG=configs/panels.toml`\n"


def test_status_and_refusals_name_it(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.cli("status") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"next: make folds CONFIG={tiny.config}"
    assert tiny.cli("ensemble") == 2
    assert f" CONFIG={tiny.config}`" in capsys.readouterr().err
