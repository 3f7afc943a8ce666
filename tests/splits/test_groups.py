from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Tiny
from ripik.data.competition import read_competition
from ripik.errors import InputError
from ripik.splits import groups
from ripik.splits.groups import conflicting, groups_of, implausible, make_groups, read_groups
from ripik.storage.paths import layout_of


def read(tiny: Tiny, *overrides: str) -> pd.DataFrame:
    settings = tiny.settings(*overrides)
    return read_groups(settings, read_competition(settings))


def make(tiny: Tiny, *overrides: str) -> Path:
    settings = tiny.settings(*overrides)
    make_groups(settings, read_competition(settings))
    return layout_of(settings).groups


def test_groups_tell_every_image_of_both_splits(tiny: Tiny) -> None:
    make(tiny)
    found = read(tiny)
    assert found.columns.tolist() == ["image_id", "split", "group", "matched_id", "similarity"]
    competition = read_competition(tiny.settings())
    assert found["image_id"].tolist() == [*competition.train["image_id"], *competition.test["image_id"]]
    train = found[found["split"] == "train"].assign(photo=tiny.truth["photo"].to_numpy())
    assert (train.groupby("photo")["group"].nunique() == 1).all()
    by_id = found.set_index("image_id")["group"]
    assert (by_id.loc[found["matched_id"]].to_numpy() == found["group"]).all()  # a match is in the same group
    assert found["similarity"].between(0.5, 1).all()
    assert np.array_equal(groups_of(found, "test"), found["group"].iloc[len(competition.train) :])


def test_without_near_copies_every_image_stands_alone(tiny: Tiny) -> None:
    make(tiny, "folds.near_copies=false")
    found = read(tiny, "folds.near_copies=false")
    assert found["group"].tolist() == list(range(len(found)))
    assert (found["matched_id"] == "").all()
    assert found["similarity"].isna().all()


def test_groups_are_made_once_and_again_when_an_image_changes(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tiny)
    made = path.stat().st_mtime_ns
    make(tiny)
    assert path.stat().st_mtime_ns == made
    image = tiny.input / "test" / "images" / read_competition(tiny.settings()).test["path"][0].name
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(InputError, match="made from other images"):
        read(tiny)
    make(tiny)
    assert path.stat().st_mtime_ns > made


def test_an_edited_file_is_the_users_and_is_checked(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tiny)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.assign(group="7").to_csv(path, index=False)
    make(tiny)
    assert "by hand" in capsys.readouterr().out
    assert (read(tiny)["group"] == 7).all()
    frame.iloc[1:].to_csv(path, index=False)
    with pytest.raises(InputError, match="every image exactly once"):
        make(tiny)


def test_missing_groups_say_what_to_run(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="make folds"):
        read(tiny)


def test_copies_with_different_labels_are_a_warning(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    label = tiny.truth["label"].mask(np.arange(len(tiny.truth)) == 0, 3 - tiny.truth["label"].iloc[0] % 3)
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=label.astype(str)))
    make(tiny)
    assert "different labels in 1 groups" in capsys.readouterr().err
    assert conflicting(read(tiny), read_competition(tiny.settings())) == [read(tiny)["group"].iloc[0]]


def test_a_photo_in_train_and_test_is_a_warning(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    competition = read_competition(tiny.settings())
    competition.test["path"][0].write_bytes(competition.train["path"][0].read_bytes())
    make(tiny)
    assert "train and test share 1 photos" in capsys.readouterr().err
    settings = tiny.settings()
    make_groups(settings, read_competition(settings), tell=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("group", "", "group '' is not a whole number"),
        ("group", "g1", "line 2: group 'g1' is not a whole number"),
        ("group", "1.5", "not a whole number"),
        ("similarity", "high", "similarity 'high' is not a number"),
    ],
)
def test_an_edited_cell_is_checked(tiny: Tiny, column: str, value: str, told: str) -> None:
    path = make(tiny)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[0, column] = value
    frame.to_csv(path, index=False)
    with pytest.raises(InputError, match=told):
        read(tiny)


@pytest.mark.parametrize("content", [b"", b"image_id;split;group;matched_id;similarity\n1;train;0;;\n", b"\xff\xfe"])
def test_a_file_that_is_no_table_of_groups_is_told(tiny: Tiny, content: bytes) -> None:
    path = make(tiny)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"groups\.csv"):
        read(tiny)


def test_a_group_that_holds_a_large_share_of_a_class_is_told_with_the_ways_out(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tiny)
    assert "unlikely" not in capsys.readouterr().err
    monkeypatch.setattr(groups, "SUSPICIOUS", 6)
    path = make(tiny)
    assert "unlikely" not in capsys.readouterr().err
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    wrong = frame["image_id"].isin(tiny.truth.loc[tiny.truth["photo"].isin([0, 1]), "image_id"])
    frame.assign(group=frame["group"].mask(wrong, "1")).to_csv(path, index=False)
    make(tiny)
    told = " ".join(capsys.readouterr().err.split())
    label = tiny.truth.loc[tiny.truth["photo"] == 0, "label"].iloc[0]
    assert f"group 1 holds 6 of the 9 images of class {label} (67%)" in told
    for way_out in ("near-copies.html", "folds.near_copy_threshold", "folds.near_copies = false"):
        assert way_out in told


def test_a_group_that_holds_a_large_share_of_all_images_is_told(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SUSPICIOUS", 2)
    make(tiny)
    found, competition = read(tiny), read_competition(tiny.settings())
    assert all("of class" in text for text in implausible(found, competition))
    one = found.assign(group=0)
    assert implausible(one, competition)[0] == f"group 0 holds {len(one)} of all {len(one)} images (100%)"
    assert implausible(found.assign(group=range(len(found))), competition) == []
