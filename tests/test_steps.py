import importlib
import inspect
import re
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


def test_make_refuses_its_variables_in_lower_case() -> None:
    for given, meant in (("config=configs/panels.toml", "CONFIG"), ("variants=original", "VARIANTS")):
        done = subprocess.run(["make", "-n", "help", given], cwd=MAKEFILE.parent, capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert f"write {meant}= instead of {meant.lower()}=, in capitals" in done.stderr
    assert subprocess.run(["make", "-n", "help", "CONFIG=x"], cwd=MAKEFILE.parent, capture_output=True).returncode == 0


def test_make_knows_all_its_variables_in_lower_case() -> None:
    text = MAKEFILE.read_text(encoding="utf-8")
    lower = re.search(r"^LOWER := ((?:.*\\\n)*.*)", text, re.MULTILINE)
    assert lower
    given = set(re.findall(r"\$\((?:if|or|foreach \w+,) ?\$\(([A-Z]+)\)", text))
    assert {"CONFIG", "PARTIAL", "SET", "KIND", *given} - {"LOWER"} <= {name.upper() for name in lower[1].split()}


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
