"""Tables of numbers: a plain file, read at once, holds what any file does that is read cell by cell."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripik.data import number_tables
from ripik.data.number_tables import read_numbers
from ripik.errors import InputError

HINT = "See the README."
CELLS = "0.5 1 .5 5. 1e-3 -0 +1 007 1E+2 1e400 1e-400 123456789012345678901 0.1234567890123456789 inf -Infinity nan"
ODD = ["", " ", " 0.5", "0.5 ", "none", "NaN", "NA", "1_0", "0x10", "1e", "--1", "True", "0,5", '"0.5"', "½", "1d3"]


def both(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table as it is read, and cell by cell."""
    found = read_numbers(path, ["image_id"], HINT, "p_")
    with monkeypatch.context() as patch:
        patch.setattr(number_tables, "_is_plain", lambda *_: False)
        return found, read_numbers(path, ["image_id"], HINT, "p_")


@pytest.mark.parametrize("cell", [*CELLS.split(), *ODD])
def test_a_cell_is_the_same_number_either_way(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, one = tmp_path / "t.csv", '"0,5"' if cell == "0,5" else cell
    path.write_text(f"image_id,p_a,p_b,note\n01,0.25,{one},NA\nNA,{one},0.5,\n", encoding="utf-8")
    pd.testing.assert_frame_equal(*both(path, monkeypatch), check_exact=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_probabilities_are_the_same_to_the_last_bit(values: list[float]) -> None:
    texts = [f"{value!r}" for value in values] + [f"{value:.10g}" for value in values]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "is_file", lambda _: True)
        patch.setattr(Path, "read_bytes", lambda _: b"image_id,p_a\n" + "".join(f"i,{t}\n" for t in texts).encode())
        found, expected = both(Path("t.csv"), patch)
    assert found["p_a"].to_numpy().tobytes() == expected["p_a"].to_numpy().tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "image_id,p_a\r\n1,0.5\r\n",
        "\ufeffimage_id,p_a\n1,0.5\n",
        'image_id,p_a\n"1, or 2",0.5\n',
        "sep=,\nimage_id,p_a\n1,0.5\n",
        "image_id,p_a\n\n1,0.5\n\n2,0.25",
        "image_id,p_a,\n1,0.5,x\n",
        "image_id,note,p_a\n1,x\n2,y,0.5\n",
        "image_id,p_a,p_b\n,,\n1,0.5,0.5\n",
        "p_a,image_id\n0.5,1\n0.25,é",
        "image_id,p_a\n 1 ,0.5\n#2,0.25\n",
    ],
)
def test_a_file_is_the_same_table_either_way(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    pd.testing.assert_frame_equal(*both(path, monkeypatch), check_exact=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"image_id,p_a\n", "no rows"),
        (b"id,p_a\n1,0.5\n", "has no column image_id"),
        (b"image_id,p_a,p_a\n1,0.5,0.5\n", "appears twice"),
        (b"image_id,p_a\n1,0.5,0.5\n", "line 2: 3 fields"),
        (b"image_id,p_a\n\xff,0.5\n", "is not UTF-8"),
        (b"image_id;p_a\n1;0.5\n", "semicolons"),
    ],
)
def test_what_is_wrong_is_told_as_of_any_table(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_numbers(tmp_path / "t.csv", ["image_id"], HINT, "p_")
    with pytest.raises(InputError, match="there is no file"):
        read_numbers(tmp_path / "none.csv", ["image_id"], HINT, "p_")


def test_a_plain_file_of_numbers_is_not_read_cell_by_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_tables, "read_table", None)
    (tmp_path / "t.csv").write_text("image_id,p_a,p_b\n01,0.25,1\n")
    found = read_numbers(tmp_path / "t.csv", ["image_id"], HINT, "p_")
    assert found["image_id"].tolist() == ["01"]
    assert np.array_equal(found[["p_a", "p_b"]], [[0.25, 1]])
