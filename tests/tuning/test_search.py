"""A search from its first proposal to its lines of TOML, on the tiny competition, in this process."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from conftest import Drawn, Tiny, copy_of, ripik
from ripik.analysis.metrics import get_metric
from ripik.analysis.selection import replay
from ripik.config import load_settings
from ripik.search_ranges import TuneSettings
from ripik.tuning import work
from ripik.tuning.search import Search

pytest.importorskip("optuna", reason="requirements.lock has it; an environment without it has no search")
FAST = ("tune.at_once=4", "training.epochs=2", "tune.ranges.learning_rate={low=1e-4, high=1e-1, log=true}")
RANGES = (*FAST, "tune.ranges.dropout={low=0.0, high=0.5}", "tune.ranges.batch_size=[4, 64]")


def search(
    tiny: Tiny, *overrides: str, trials: int = 8, variant: str = "original", hours: str = "1"
) -> tuple[int, str]:
    """Search; return the exit code and what was printed."""
    work._KEPT.clear()
    sets = [part for override in (*RANGES, *overrides) for part in ("--set", override)]
    done = ripik(tiny, "tune", "--variant", variant, "--trials", str(trials), "--hours", hours, *sets)
    return done.returncode, done.stdout + done.stderr


def record(tiny: Tiny, variant: str = "original") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tiny.run / "tune" / f"{variant}.json").read_text())
    return found


def told(tiny: Tiny) -> list[Any]:
    """Return what does not depend on the clock."""
    found = record(tiny)
    return [[each[key] for key in ("number", "values", "scores", "whole")] for each in found["trials"]]


@pytest.fixture(scope="module")
def searched(finished: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, str]:
    """Return a finished search at one go, and what it printed; not to be changed."""
    tiny = copy_of(finished, tmp_path_factory.mktemp("searched") / "mine")
    code, said = search(tiny)
    assert code == 0, said
    return tiny, said


@pytest.fixture
def mine(searched: tuple[Tiny, str], tmp_path: Path) -> Tiny:
    return copy_of(searched[0], tmp_path / "mine")


def test_a_search_tells_its_best_and_what_it_is_worth(searched: tuple[Tiny, str]) -> None:
    tiny, said = searched
    found = record(tiny)
    assert [trial["number"] for trial in found["trials"]] == list(range(8))
    assert found["trials"][0]["values"]["learning_rate"] == 1e-3  # the variant as it is
    best = max((trial for trial in found["trials"] if trial["whole"]), key=lambda trial: trial["scores"][-1])
    assert found["best"] == best
    assert found["naive"]["value"] == pytest.approx(best["scores"][-1])
    assert found["corrected"]["value"] <= found["naive"]["value"]
    assert found["made_from"]["seeds"] == 1
    assert "best of 8 trials" in said
    assert "the search adapts" in said
    assert "tune: 4 of 8 trials, best" in said


def test_the_lines_of_the_best_mark_the_variant(searched: tuple[Tiny, str], tmp_path: Path) -> None:
    tiny, said = searched
    text = (tiny.run / "tune" / "original.toml").read_text()
    assert text.strip() in said
    config = tmp_path / "tiny.toml"
    config.write_text(text)
    variant = load_settings(config).variants["original"]
    assert variant.learning_rate == record(tiny)["best"]["values"]["learning_rate"]
    assert variant.search.startswith("the best of 8 trials: ")


def test_a_trial_keeps_history_and_oof_and_no_weights(searched: tuple[Tiny, str]) -> None:
    folder = searched[0].run / "tune" / "original"
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {"fold0.npz", "fold1.npz"}
    with np.load(folder / "trial0000" / "fold0.npz") as stored:
        assert len(json.loads(str(stored["told"]))["history"]) == 2


def test_the_variant_itself_predicts_what_training_it_predicts(searched: tuple[Tiny, str]) -> None:
    tiny = searched[0]
    oof = pd.read_csv(tiny.run / "original" / "oof.csv", dtype={"image_id": str}).set_index("image_id")
    columns = [name for name in oof.columns if name.startswith("p_")]
    for fold in (0, 1):
        with np.load(tiny.run / "tune" / "original" / "trial0000" / f"fold{fold}.npz") as stored:
            ours = pd.DataFrame(stored["oof"]).to_csv(index=False, float_format="%.9g")
            theirs = oof.loc[stored["held_ids"], columns].set_axis(range(len(columns)), axis=1)
        assert ours == theirs.to_csv(index=False, float_format="%.9g")


@pytest.mark.parametrize("after", [1, 3])
def test_killed_and_resumed_the_trials_are_the_same(
    searched: tuple[Tiny, str], finished: Tiny, tmp_path: Path, after: int
) -> None:
    class Killed(BaseException):
        pass

    tiny, tasks = copy_of(finished, tmp_path / "killed"), 0

    def killing(*arguments: Any) -> str:
        nonlocal tasks
        tasks += 1
        if tasks > after:
            raise Killed
        return work.heads(*arguments)

    with (
        mock.patch("ripik.tuning.search.HEADS", f"{__name__}:killing"),
        mock.patch(f"{__name__}.killing", killing, create=True),
        pytest.raises(Killed),
    ):
        search(tiny)
    code, said = search(tiny)
    assert code == 0, said
    assert told(tiny) == told(searched[0])
    assert record(tiny)["corrected"] == record(searched[0])["corrected"]


def test_more_trials_go_on_with_those_that_are_there(mine: Tiny) -> None:
    before = told(mine)
    with mock.patch.object(Search, "_say"):
        code, said = search(mine, trials=10)
    assert code == 0, said
    assert told(mine)[:8] == before
    assert len(told(mine)) == 10


def test_no_round_begins_that_would_end_too_late(mine: Tiny) -> None:
    before = told(mine)
    code, said = search(mine, trials=12, hours="1e-12")
    assert (code, told(mine) == before) == (0, True), said


def test_trials_worse_than_the_median_are_pruned(searched: tuple[Tiny, str]) -> None:
    found = record(searched[0])["trials"]
    assert all(trial["whole"] for trial in found[:4])
    earlier = np.median([trial["scores"][0] for trial in found[:4]])
    assert [trial["whole"] for trial in found[4:]] == [trial["scores"][0] >= earlier for trial in found[4:]]


def test_a_trial_is_held_against_the_rounds_before_its_own_wherever_a_session_ended() -> None:
    def tried(number: int, score: float) -> Any:
        return mock.Mock(trial=mock.Mock(number=number), scores=[score])

    found = mock.Mock(
        metric=get_metric("accuracy"), tried=[tried(n, (0.1, 0.1, 0.6, 0.6, 0.9, 0.9)[n]) for n in range(6)]
    )
    found.run.settings.tune = TuneSettings(at_once=4)
    assert Search._survives(found, tried(6, 0.5))  # not pruned by trials 4 and 5, which are of its own round
    assert not Search._survives(found, tried(6, 0.3))
    alive = replay(np.array([[*each.scores, 0.0] for each in [*found.tried, tried(6, 0.5), tried(7, 0.3)]]), 4)
    assert alive[:, 1].tolist() == [True] * 7 + [False]


@pytest.mark.parametrize(
    ("spoil", "overrides", "says"),
    [
        ("folds", (), "is from a search of other inputs: other folds"),
        ("", ("tune.seed=5",), "is from a search of other inputs: seed 0 → 5"),
        ("", ("tune.ranges.dropout=[0.1, 0.2]",), "is from a search of other inputs"),
        ("", ("variants.original.label_smoothing=0.1",), "label_smoothing"),
        ("storage", (), "original.db is damaged"),
        ("emptied", (), "original.db is damaged"),
        ("lost", (), "fold0.npz is missing or damaged"),
    ],
)
def test_what_cannot_be_gone_on_from_is_one_clear_error(
    mine: Tiny, spoil: str, overrides: tuple[str, ...], says: str
) -> None:
    storage = mine.run / "tune" / "original.db"
    if spoil == "folds":
        mine.edit(mine.run / "folds.csv", lambda table: table.assign(fold=1 - table["fold"].astype(int)))
    elif spoil == "storage":
        storage.write_bytes(b"no database" * 500)
    elif spoil == "emptied":
        with sqlite3.connect(storage) as database:
            database.execute("drop table trials")
    elif spoil == "lost":
        (mine.run / "tune" / "original" / "trial0002" / "fold0.npz").unlink()
    code, said = search(mine, *overrides, trials=12)
    assert code in (2, 3), said
    assert says in said
    assert "Traceback" not in said


def test_a_damaged_fold_of_an_unfinished_round_is_trained_anew(mine: Tiny) -> None:
    before = told(mine)
    (mine.run / "tune" / "original.db").unlink()
    fold = mine.run / "tune" / "original" / "trial0001" / "fold0.npz"
    fold.unlink()  # the copy of a run has hard links
    fold.write_bytes(b"?")
    code, said = search(mine)
    assert code == 0, said
    assert "fold0.npz is damaged: that fold is trained again" in said
    assert told(mine) == before


def test_what_a_kill_left_of_a_finished_fold_is_removed(mine: Tiny) -> None:
    (mine.run / "tune" / "original.db").unlink()
    state = mine.run / "tune" / "original" / "trial0001" / "fold0" / "state.npz"
    state.parent.mkdir()
    state.write_bytes(b"?")
    code, said = search(mine)
    assert code == 0, said
    assert not state.parent.exists()


@pytest.mark.long
def test_a_search_is_the_first_command_of_a_run(mine: Tiny) -> None:
    shutil.rmtree(mine.run)
    code, said = search(mine, trials=4)
    assert code == 0, said
    assert len(told(mine)) == 4


def test_an_unknown_variant_is_told(mine: Tiny) -> None:
    code, said = search(mine, variant="orignal")
    assert (code, "did you mean original?" in said) == (2, True)


def test_a_finetuning_is_searched_by_keras(finished: Tiny, tmp_path: Path, drawn: Drawn) -> None:
    tiny = copy_of(finished, tmp_path / "mine")
    ranges = ("tune.ranges={learning_rate=[1e-4, 1e-3]}", "tune.at_once=2")
    code, said = search(tiny, *ranges, trials=2, variant="augmented_finetuned")
    assert code == 0, said
    assert len(record(tiny, "augmented_finetuned")["trials"]) == 2
    folder = tiny.run / "tune" / "augmented_finetuned"
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"fold0.npz", "fold1.npz"}
    oof = pd.read_csv(tiny.run / "augmented_finetuned" / "oof.csv", dtype={"image_id": str}).set_index("image_id")
    found = record(tiny, "augmented_finetuned")["trials"]
    own = next(trial["number"] for trial in found if trial["values"]["learning_rate"] == 1e-4)
    with np.load(folder / f"trial{own:04}" / "fold0.npz") as stored:
        theirs = oof.loc[stored["held_ids"], [name for name in oof.columns if name.startswith("p_")]]
        assert np.allclose(stored["oof"], theirs, atol=1e-6)
    shutil.rmtree(tiny.folder, ignore_errors=True)
