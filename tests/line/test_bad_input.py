"""Every case of the table of bad input, and that the written table shows the present messages."""

from collections import Counter
from pathlib import Path

import pytest
from tests import bad_input
from tests.bad_input_world import Case, Outcome, draw, problems, run

from conftest import Drawn, Tiny
from ripik.data.csv_tables import check_ids, line_of, read_table
from ripik.data.label_cells import read_labels
from ripik.data.places import Place
from ripik.errors import InputError
from ripik.settings import CompetitionSettings

REMEDY = "run `python -m tests.bad_input`"
SLOW = {"weights: a damaged file", "weights: another network", "weights: with its classification layer (Keras 2)"}


@pytest.fixture(scope="module")
def noise() -> Drawn:
    return draw()


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return bad_input.written()


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.id, marks=[pytest.mark.long] * (case.id in SLOW)) for case in bad_input.CASES],
)
def test_bad_input_is_told_in_one_message_and_good_input_works(
    tmp_path: Path, noise: Drawn, written: dict[str, str], case: Case
) -> None:
    tiny, found = run(case, tmp_path / "tiny", noise)
    assert problems(case, tiny, found) == []
    if case.code == 0:
        case.check(tiny)
    assert written.get(case.id) == bad_input.row(case, tiny, found), REMEDY


def test_the_written_table_has_every_case_in_its_place(written: dict[str, str]) -> None:
    assert [case.id for case in bad_input.CASES if case.id not in written] == [], REMEDY
    assert bad_input.TABLE.read_text(encoding="utf-8") == bad_input.text(written), REMEDY


def test_cases_are_told_apart_and_tell_what_is_said() -> None:
    assert [name for name, count in Counter(case.id for case in bad_input.CASES).items() if count > 1] == []
    assert [case.id for case in bad_input.CASES if len(case.says) < 1 + (case.code != 0)] == []
    assert len(bad_input.CASES) >= 70


@pytest.mark.long
def test_a_million_rows(tmp_path: Path) -> None:
    path, count = tmp_path / "train.csv", 1_000_000
    with path.open("w", encoding="utf-8") as file:
        file.write("image_id,filename,label\n")
        file.writelines(f"{number},{number}.jpg,{number % 7}\n" for number in range(count - 1))
        file.write("77,77.jpg,x\n")
    frame = read_table(path, ["image_id", "label"])
    assert frame.shape == (count, 3)
    assert frame.iloc[-2].tolist() == ["999998", "999998.jpg", "6"]
    assert line_of(frame.index[-1]) == count + 1
    with pytest.raises(InputError, match=f"id 77 appears on lines 79, {count + 1}\\."):
        check_ids(frame["image_id"], path)
    with pytest.raises(InputError, match=f"line {count + 1}: label 'x'"):
        read_labels(frame["label"], Place(path), CompetitionSettings())


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (Outcome(0, "", "", (), ()), "exit code 0, not 2"),
        (Outcome(2, "", "ripik: x\nripik: y\n", (), ()), "2 messages"),
        (Outcome(2, "", "no\n", (), ()), "1 messages"),
        (Outcome(2, "", "Traceback (most recent call last)\n", (), ()), "a traceback"),
        (Outcome(2, "", "ripik: x\n", (), ()), "'where' is not said"),
        (Outcome(2, "", "ripik: where\n", ("input/a",), ()), "the user's input/a was changed"),
        (Outcome(2, "", "ripik: where\n", (), ("output/.a",)), "output/.a was left behind"),
    ],
)
def test_the_runner_finds_what_it_looks_for(tmp_path: Path, spoiled: Outcome, said: str) -> None:
    case = Case("topic", "name", lambda tiny: None, ("where",))
    tiny = Tiny(tmp_path, tmp_path, None, None)  # type: ignore[arg-type]
    assert any(said in problem for problem in problems(case, tiny, spoiled))
    assert problems(case, tiny, Outcome(2, "", "warning: w\nripik: where\n", (), ())) == []
