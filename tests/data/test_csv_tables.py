import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ripik.data.csv_tables import check_ids, line_of, names_of, read_table, whole_numbers
from ripik.data.label_cells import NO_VALUES, read_labels
from ripik.data.places import Place
from ripik.errors import InputError
from ripik.settings import CompetitionSettings

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS).filter(any), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "table.csv"


@effort(max_examples=200, deadline=None)
@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n"]), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_cells_of_any_text_are_read_as_written(path: Path, rows: list, end: str, quoting: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator=end, quoting=quoting).writerows([("a", "b", "c"), *rows])  # type: ignore[arg-type]
    assert read_table(path, ["a"]).to_numpy().tolist() == [list(row) for row in rows]


@effort(max_examples=100, deadline=None)
@given(blanks=st.lists(st.sampled_from(["", "\n", ",,\n", "\n\n"]), min_size=4, max_size=4), breaks=st.integers(0, 3))
def test_every_row_knows_its_line(path: Path, blanks: list[str], breaks: int) -> None:
    cell = '"' + "\n" * breaks + '"'
    text = "a,b,c\n" + "".join(f"{blank}row{number},{cell},x\n" for number, blank in enumerate(blanks))
    path.write_text(text, encoding="utf-8")
    lines = text.split("\n")
    frame = read_table(path, ["a", "b"])
    assert [lines[line_of(row) - 1].split(",")[0] for row in frame.index] == frame["a"].tolist()


def test_a_column_without_a_name_is_kept_beside_the_others(path: Path) -> None:
    path.write_text(",image_id,\n0,7,x\n", encoding="utf-8")
    assert read_table(path, ["image_id"]).to_numpy().tolist() == [["0", "7", "x"]]


def test_a_cell_may_be_as_long_as_the_file_and_a_pipe_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"a,b\n1,{'x' * 300_000}\n", encoding="utf-8")
    assert read_table(path, ["a"])["b"].str.len().tolist() == [300_000]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match=f"{path} is a pipe, not a file"):
        read_table(path, ["a"])


def test_a_cell_without_an_end_is_told_by_the_line_it_starts_on(path: Path) -> None:
    path.write_text('a,b\n1,2\n3,"4\n' + "5,6\n" * 60_000, encoding="utf-8")
    with pytest.raises(InputError, match="line 3: an unclosed or misplaced quote"):
        read_table(path, ["a"])


@pytest.mark.parametrize("text", sorted(NO_VALUES - {""}))
def test_a_text_for_no_value_is_a_label_only_where_it_is_named(path: Path, text: str) -> None:
    path.write_text(f"label\ndent\n{text.title()}\n", encoding="utf-8")
    labels = read_table(path, ["label"])["label"]
    how = CompetitionSettings(label_type="string", classes=("dent", text.title()))
    assert read_labels(labels, Place(path), how).tolist() == ["dent", text.title()]
    with pytest.raises(InputError, match=r"line 3: the label .* reads as a missing value"):
        read_labels(labels, Place(path), CompetitionSettings(label_type="string"))


@pytest.mark.parametrize("text", ["1.0", "01", "+1", "-0x1", "1e3", " 1", "١", "٣٤", "1_000", "9" * 19, "-", "1 "])
def test_only_plain_integers_are_integers(path: Path, text: str) -> None:
    path.write_text(f"label\n-3\n0\n{text}\n", encoding="utf-8")
    labels = read_table(path, ["label"])["label"]
    assert read_labels(labels[:2], Place(path), CompetitionSettings()).tolist() == [-3, 0]
    with pytest.raises(InputError, match="line 4: label"):
        read_labels(labels, Place(path), CompetitionSettings())


def test_whole_numbers_are_written_in_plain_digits(path: Path) -> None:
    path.write_text("fold\n0\n12\n٣\n", encoding="utf-8")
    folds = read_table(path, ["fold"])["fold"]
    assert whole_numbers(folds[:2], path).tolist() == [0, 12]
    with pytest.raises(InputError, match="line 4: fold"):
        whole_numbers(folds, path)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\tb", "a\x1bb", "a\u2028b"])
def test_ids_hold_no_control_characters(path: Path, text: str) -> None:
    path.write_text(f'image_id\nfine é\n"{text}"\n', encoding="utf-8", newline="")
    ids = read_table(path, ["image_id"])["image_id"]
    check_ids(ids[:1], path)
    with pytest.raises(InputError, match=r"line 3: the image id .* control character"):
        check_ids(ids, path)


def test_of_many_columns_a_few_are_named_and_counted(tmp_path: Path) -> None:
    assert names_of(["a", " b", "c"]) == "a, ' b', c"
    wide = [f"pixel{number}" for number in range(784)]
    path = tmp_path / "wide.csv"
    path.write_text(",".join(["label", *wide]) + "\n" + ",".join("0" * 785) + "\n")
    with pytest.raises(InputError, match=r"has no column id; it has label, pixel0, .*, … \(785 columns\)\.") as caught:
        read_table(path, ["id"])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("first", ["sep=,", '"sep=,"', "SEP=,"])
def test_a_first_line_for_excel_is_passed_over_unless_the_file_is_to_be_submitted(tmp_path: Path, first: str) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(f"{first}\r\n\r\nid,label\r\n1,2\r\n".encode())
    frame = read_table(path, ["id", "label"])
    assert frame.to_numpy().tolist() == [["1", "2"]]
    assert line_of(frame.index[0]) == 4
    with pytest.raises(InputError, match=r"its first line, sep=,, is only for Excel\. Remove it"):
        read_table(path, ["id"], as_is=True)
    path.write_text("sep=#\nid#label\n1#2\n")
    with pytest.raises(InputError, match="separated by '#', not commas"):
        read_table(path, ["id"])
