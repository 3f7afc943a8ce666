"""What the package's own source may not do, whatever the input."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ripik

SOURCES = sorted(Path(ripik.__file__).parent.rglob("*.py"))
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}


def calls(source: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call of a module with the dotted name of what is called."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(source: Path) -> set[str]:
    """Return the first names of all modules that a module imports."""
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_nothing_is_unpickled_or_evaluated(source: Path) -> None:
    assert not imported(source) & UNPICKLING
    for name, call in calls(source):
        assert name not in ("eval", "exec", "joblib.load", "pd.read_pickle", "keras.models.load_model", "os.system")
        if name == "np.load":
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert settings.get("allow_pickle") == "False", f"{source.name}, line {call.lineno}"


def test_the_walk_finds_what_it_looks_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import pickle\nfrom dill import x\nnp.load(a)\neval('1')\n")
    assert imported(bad) == {"pickle", "dill"}
    assert [name for name, _ in calls(bad)] == ["np.load", "eval"]
