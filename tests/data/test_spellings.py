"""Labels that are one name, told apart from those that are not."""

from pathlib import Path

import pytest

from conftest import Tiny
from ripik.data.competition import read_competition
from ripik.data.spellings import folded, same_names, same_words, visible
from ripik.errors import InputError
from ripik.splits.run import make_folds

TEXT = "competition.label_type=string"
QUICK = ("folds.near_copies=false", "folds.tries=1")


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("Healthy", "healthy"),
        ("caf\u00e9", "cafe\u0301"),  # composed, decomposed
        ("Rust", "Rust\u200b"),  # zero-width space
        ("rust", "\ufeffrust"),  # byte order mark
        ("lamp", "la\u00admp"),  # soft hyphen
        ("head lamp", "head\u00a0lamp"),  # no-break space
        ("head lamp", "head\u202flamp"),  # narrow no-break space
        ("head lamp", "head  lamp"),
        ("heart \u2764", "heart \u2764\ufe0f"),  # variation selector
        ("5 \u00b5m", "5 \u03bcm"),  # micro sign, Greek mu
        ("fine", "\ufb01ne"),  # ligature
        ("STRASSE", "stra\u00dfe"),
        ("A1", "\uff21\uff11"),  # full width
    ],
)
def test_one_name_in_two_spellings(label: str, other: str) -> None:
    assert folded(label) == folded(other)
    assert same_names([label, "another", other, label]) == [[label, other]]
    assert visible(label) != visible(other)
    assert visible(other).isprintable()


@pytest.mark.parametrize("labels", [("head lamp", "headlamp"), ("resume", "r\u00e9sum\u00e9"), ("o", "0"), ("1", "01")])
def test_names_that_are_seen_to_differ_are_two(labels: tuple[str, str]) -> None:
    assert same_names(labels) == []


def test_what_can_be_seen_is_written_as_it_is() -> None:
    assert (
        visible("d\u00e9j\u00e0 \u65e5\u672c \u0939\u093f\u0928\u094d\u0926\u0940")
        == "'d\u00e9j\u00e0 \u65e5\u672c \u0939\u093f\u0928\u094d\u0926\u0940'"
    )
    assert visible("it's") == '"it\'s"'
    assert visible("cafe\u0301") == "'cafe\\u0301'"
    assert visible(7) == "7"


def test_words_in_another_order() -> None:
    labels = ["scab rust", "rust scab", "rust", "dent,lamp", "Lamp, dent", "a|b;c", "c b a", "a b", "a a b"]
    assert same_words(labels) == [["scab rust", "rust scab"], ["dent,lamp", "Lamp, dent"], ["a|b;c", "c b a"]]


def rename(tiny: Tiny, names: dict[str, str], lines: dict[int, str]) -> None:
    """Give the classes other names, and some rows (by their line) a spelling of their own."""

    def change(frame):  # type: ignore[no-untyped-def]
        labels = frame["label"].map(names)
        for line, label in lines.items():
            labels[line - 2] = label
        return frame.assign(label=labels)

    tiny.edit(tiny.train_csv, change)


def line_of_class(tiny: Tiny, label: int) -> int:
    return 2 + tiny.truth["label"].tolist().index(label)


def test_two_spellings_stop_with_both_and_their_lines(tiny: Tiny) -> None:
    line = line_of_class(tiny, 2)
    rename(tiny, {"1": "dent", "2": "caf\u00e9", "3": "Rust"}, {line: "cafe\u0301"})
    with pytest.raises(InputError) as caught:
        read_competition(tiny.settings(TEXT))
    message = str(caught.value)
    assert str(tiny.train_csv) in message
    assert f"'cafe\\u0301' (rows: 1, the first on line {line})" in message
    assert "'caf\u00e9' (rows: 8, the first on line" in message
    assert "dent" not in message
    listed = 'competition.classes=["dent", "Rust", "caf\u00e9", "cafe\u0301"]'
    assert len(read_competition(tiny.settings(TEXT, listed)).classes) == 4
    with pytest.raises(InputError, match="spelled in several ways"):  # one of them is not enough
        read_competition(tiny.settings(TEXT, 'competition.classes=["dent", "Rust", "caf\u00e9"]'))


def test_corrections_are_read_as_train_csv_is(tiny: Tiny, tmp_path: Path) -> None:
    rename(tiny, {"1": "dent", "2": "lamp", "3": "Rust"}, {})
    mine = tmp_path / "mine.csv"
    mine.write_text("image_id,label\n1,Rust\n2,rust\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"mine\.csv: .*'Rust' \(rows: 1, .* line 2\) and 'rust' \(rows: 1, .* line 3\)"
    ):
        read_competition(tiny.settings(TEXT, f"competition.corrections={mine}"))
    mine.write_text("image_id,label\n2,rust\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.csv, line 2: .* 'rust', which is not one of the classes"):
        read_competition(tiny.settings(TEXT, f"competition.corrections={mine}"))


def test_a_label_of_nothing_that_can_be_seen_is_told(tiny: Tiny) -> None:
    rename(tiny, {"1": "dent", "2": "lamp", "3": "Rust"}, {5: "\u200b\u2060"})
    with pytest.raises(InputError, match=r"line 5: the label '\\u200b\\u2060' has no visible characters"):
        read_competition(tiny.settings(TEXT))


def test_tags_in_a_cell_are_a_warning_unless_listed(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    rename(tiny, {"1": "dent lamp", "2": "lamp, dent", "3": "Rust"}, {})
    make_folds(tiny.settings(TEXT, *QUICK))
    told = capsys.readouterr().err
    assert "'dent lamp' and 'lamp, dent'" in told
    assert "several labels of one image: that is not supported" in told
    make_folds(tiny.settings(TEXT, *QUICK, 'competition.classes=["dent lamp", "lamp, dent", "Rust"]'))
    assert "several labels" not in capsys.readouterr().err
