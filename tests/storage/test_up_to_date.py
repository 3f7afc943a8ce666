"""One notion of up to date: an artifact is missing, up to date, stale or damaged, and says what differs."""

from pathlib import Path

import pytest

from ripik.storage.up_to_date import DAMAGED, FRESH, MISSING, STALE, Artifact, differences


def made(folder: Path, **inputs: object) -> Artifact:
    artifact = Artifact.of(folder / "table.csv", inputs)
    with artifact.making() as more:
        artifact.outputs[0].write_text("a\n1\n")
        more["score"] = 0.5
    return artifact


def test_an_artifact_is_missing_then_up_to_date_then_stale(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    assert Artifact.of(path, {"epochs": 3}).state == MISSING
    artifact = made(tmp_path, epochs=3, rows=(1, 2))
    assert artifact.state == FRESH
    assert artifact.is_fresh
    assert artifact.record is not None
    assert artifact.record["score"] == 0.5
    other = Artifact.of(path, {"epochs": 4, "rows": (1, 2)})
    assert other.state == STALE
    assert other.differences({}) == ["epochs 3 → 4"]
    assert other.differences({"epochs": "the length"}) == ["the length"]
    assert artifact.differences({}) == []


@pytest.mark.parametrize("harm", ["edit", "lose", "meta edited", "meta lost"])
def test_what_was_harmed_is_damaged_and_made_anew(
    tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = made(tmp_path, epochs=3)
    if harm == "edit":
        artifact.outputs[0].write_text("a\n2\n")
    elif harm == "lose":
        artifact.outputs[0].unlink()
    elif harm == "meta edited":
        artifact.meta.write_text(artifact.meta.read_text().replace("0.5", "0.6"))
    else:
        artifact.meta.unlink()
    assert artifact.state == DAMAGED
    assert made(tmp_path, epochs=3).state == FRESH
    assert ("It is rebuilt" in capsys.readouterr().err) == (harm in ("edit", "lose"))


def test_a_block_that_fails_leaves_no_meta_file(tmp_path: Path) -> None:
    artifact = made(tmp_path, epochs=3)
    with pytest.raises(ZeroDivisionError), artifact.making(anew=True):
        1 / 0  # noqa: B018
    assert artifact.state == MISSING


def test_differences_of_tables_lists_and_long_texts() -> None:
    old, new = {"a": {"b": 1, "c": [1]}, "gone": 2, "text": "x" * 40}, {"a": {"b": 2, "c": [2]}, "text": "y" * 40}
    assert differences(old, new, {}) == ["b 1 → 2", "c", "text xxxxxxxx… → yyyyyyyy…", "gone 2 → none"]
