import importlib
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ripik import cli
from ripik.steps import STEPS

Capture = pytest.CaptureFixture[str]


def test_every_step_has_a_target_and_help(capsys: Capture) -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (Path(__file__).parents[1] / "Makefile").read_text(), re.MULTILINE)
    for each in STEPS:
        with pytest.raises(SystemExit) as ended:
            cli.main([each.name, "--help"])
        assert ended.value.code == 0
        told = capsys.readouterr().out
        assert all(option.name in told for option in each.options if option.name.startswith("-"))
        assert each.name in targets or each.name == "log-score"


MAKEFILE = Path(__file__).parents[1] / "Makefile"


def make(*asked: str) -> subprocess.CompletedProcess[str]:
    """Have make tell what it would run."""
    ready = ["-o", ".venv/.ready"]
    return subprocess.run(["make", "-n", *ready, *asked], cwd=MAKEFILE.parent, capture_output=True, text=True)


def test_make_refuses_variables_that_it_does_not_know() -> None:
    for given, said in (
        ("config=configs/panels.toml", "write CONFIG= instead of config=, in capitals"),
        ("Variants=original", "write VARIANTS= instead of Variants=, in capitals"),
        ("CONFG=x", "make knows no CONFG=, but CONFIG SET JOBS"),
        ("VARIANT=original", "write VARIANTS=; VARIANT= is of make tune alone"),
    ):
        done = make("help", given)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert said in done.stderr
    for known in ("CONFIG=x", "KERAS_BACKEND=jax"):
        assert make("help", known).returncode == 0


def test_make_hands_on_what_it_is_given() -> None:
    done = make("train", "CONFIG=it's.toml", "VARIANTS=a;b c", "SET=x.y='q' z=`d`", "JOBS=2", "FOLDS=0 3")
    (command,) = [line for line in done.stdout.splitlines() if " -m ripik " in line]
    given = shlex.split(command)[4:]
    assert given[:2] == ["--config", "it's.toml"]
    assert given[2:8] == ["--set", "x.y='q'", "--set", "z=`d`", "--set", "jobs.jobs=2"]
    assert given[8:] == ["--variants", "a;b", "c", "--folds", "0", "3"]
    assert "--variant 'upper'" in make("tune", "VARIANT=upper").stdout


def test_make_knows_all_its_variables() -> None:
    text = MAKEFILE.read_text(encoding="utf-8")
    known = re.search(r"^KNOWN := ((?:.*\\\n)*.*)", text, re.MULTILINE)
    assert known
    given = set(re.findall(r"\$\((?:if|or|foreach \w+,|call (?:quoted|option,\w+),) ?\$\(([A-Z]+)\)", text))
    assert (
        {"CONFIG", "PARTIAL", "SET", "KIND", "SOURCE", "WEIGHTS"}
        <= given - {"UNKNOWN", "MEANT"}
        <= set(known[1].split())
    )


def test_every_step_is_a_function_that_takes_its_options() -> None:
    for each in STEPS:
        module, _, name = each.function.partition(":")
        takes = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        assert {option.name.lstrip("-") for option in each.options} <= set(takes), each.name


def test_the_table_of_steps_needs_the_standard_library_alone() -> None:
    code = "import sys, ripik.steps; assert not {'numpy', 'pydantic', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_clean_deletes_what_is_in_output_and_nothing_else(tmp_path: Path, elsewhere: bool) -> None:
    shutil.copy(MAKEFILE, tmp_path)
    kept = [tmp_path / name for name in ("output/README.md", "submissions/demo.csv", "input/demo/train.csv")]
    gone = [tmp_path / name for name in ("output/demo/folds.csv", "output/.left", "output/other/README.md")]
    for path in kept + gone:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if elsewhere:  # on another disk
        shutil.move(tmp_path / "output", tmp_path / "large")
        (tmp_path / "output").symlink_to("large")
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [path.exists() for path in kept + gone] == [True] * len(kept) + [False] * len(gone)
