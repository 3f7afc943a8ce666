"""The line killed at a few moments, run again, and compared; `make torture` does it at sixty."""

from collections import Counter
from pathlib import Path

import pytest

from torture import BROKEN, LEAST, SAVED, Trial, append, attempt, break_source, read, schedule, show
from torture_line import STEPS, Line, differences


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("torture"))


def run_to(line: Line, name: str) -> Line:
    """Run the line up to a step, whatever of it is not yet done."""
    for step in STEPS[: [step.name for step in STEPS].index(name) + 1]:
        line.run_once(step)
    return line


@pytest.mark.parametrize(
    ("step", "kind"),
    [("folds", "aimed"), pytest.param("train-original", "aimed", marks=pytest.mark.long)],
)
def test_a_killed_step_ends_with_the_same_bytes(line: Line, step: str, kind: str) -> None:
    found = attempt(run_to(line, step), Trial(0, step, kind), seed=1)
    assert found.identical == "yes", found


@pytest.mark.long
def test_a_build_that_does_not_restore_the_optimizer_is_found(line: Line, tmp_path: Path) -> None:
    broken = Line(run_to(line, "train-original").work)
    broken.source = break_source("optimizer", tmp_path)
    found = attempt(broken, Trial(0, "train-original", SAVED), seed=4)
    assert found.identical == "no", found
    assert "original/fold" in found.differs


def test_every_step_is_killed_often_enough() -> None:
    for seed in range(20):
        trials = schedule(60, 9, seed)
        assert trials == schedule(60, 9, seed)
        fell = Counter(trial.step for trial in trials[:60])
        assert min(fell[step.name] for step in STEPS) >= LEAST
        assert Counter(trial.kind for trial in trials[:60]) == {"uniform": 30, "aimed": 30}
        assert {trial.kind for trial in trials[60:]} == {"SIGTERM", "SIGTERM to all", "Ctrl-C"}
    assert schedule(60, 9, 0) != schedule(60, 9, 1)


def test_what_differs_is_found(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "submissions").mkdir(parents=True)
        (folder / "output" / "tiny" / "a").mkdir(parents=True)
        (folder / "output" / "tiny" / "a" / "oof.csv").write_text("image_id,p_1\n1,0.5\n")
        (folder / "submissions" / f"tiny-{folder.name}-cv0.5.csv").write_text("id,label\n1,2\n")
    assert differences(one, other) == []
    (other / "output" / "tiny" / "a" / "oof.csv").write_text("image_id,p_1\n1,0.6\n")
    (other / "output" / "tiny" / "a" / ".77.test.csv").write_text("")
    (other / "submissions" / "tiny-other-cv0.5.csv").write_text("id,label\n1,3\n")
    assert differences(one, other) == ["left behind: .77.test.csv", "a/.77.test.csv", "a/oof.csv", "submission"]


def test_the_table_grows(tmp_path: Path) -> None:
    trials = [
        Trial(0, "folds", "aimed", "3: os.rename a/b", "yes", ""),
        Trial(1, "report", "uniform", "1.0 s", "no", "report"),
    ]
    for trial in trials:
        append(tmp_path / "kills.csv", trial)
    assert read(tmp_path / "kills.csv") == trials
    told = show(trials)
    assert "aimed kills came before: os.rename 1" in told
    assert told.endswith("1 report uniform 1.0 s: report")


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_on_purpose_is_there(name: str, tmp_path: Path) -> None:
    folder = break_source(name, tmp_path)
    file, text, *_ = BROKEN[name]
    assert text not in (folder / "ripik" / file).read_text()
