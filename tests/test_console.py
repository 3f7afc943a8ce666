from itertools import count

import pytest

from ripik import console


def test_say_and_warn_keep_to_their_streams(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("done")
    console.warn("careful")
    assert capsys.readouterr() == ("done\n", "warning: careful\n")


@pytest.mark.parametrize("text", ["[bold]x[/]", "[/no", ":car: :smile:", "x" * 300])
def test_messages_are_printed_as_they_are(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.say(text)
    console.warn(text)
    assert capsys.readouterr() == (f"{text}\n", f"warning: {text}\n")


def test_a_table_shows_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("Scores", ["variant", "F1"], [["original", "0.7000"], ["finetuned", "0.8000"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "Scores"
    assert any("original" in line and "0.7000" in line for line in lines)


@pytest.mark.parametrize("label", ["[other]", "[/b]", ":car:"])
def test_a_tables_cells_are_no_markup(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.table(f"title {label}", ["label", f"n {label}"], [[label, "1"]])
    assert capsys.readouterr().out.count(label) == 3


def test_progress_counts_to_its_total(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("decode", 5) as show:
        show(1)
        show(5)
    assert "decode: 5 done in" in capsys.readouterr().out


def test_progress_in_a_pipe_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(step=10.0)
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("decode", 100) as show:
        for done in range(10, 101, 10):
            show(done)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("decode: ") for line in lines)
    assert 2 <= len(lines) < 10
    assert lines[-1].startswith("decode: 100 done in")


def test_progress_of_a_failure_does_not_say_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), console.progress("decode", 5):
        raise RuntimeError
    assert "done" not in capsys.readouterr().out
