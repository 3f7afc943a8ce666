import re

import pandas as pd

from conftest import Tiny
from ripik.data.competition import read_competition
from ripik.diagnostics.near_copies_page import make_groups_page
from ripik.splits.groups import read_groups


def page(tiny: Tiny) -> str:
    settings = tiny.settings()
    competition = read_competition(settings)
    path = make_groups_page(settings, competition, read_groups(settings, competition))
    return path.read_text(encoding="utf-8")


def test_the_page_shows_the_groups_with_their_ids(tiny: Tiny) -> None:
    tiny.write_folds()
    text = page(tiny)
    groups = tiny.truth["photo"].nunique() + tiny.test["photo"].nunique()
    assert f"in {groups} groups; {groups} groups have several images" in text
    for image_id in tiny.truth["image_id"]:
        assert f"{image_id} (label " in text
    assert "different labels" not in text  # nothing to show, no section


def test_conflicting_labels_and_shared_photos_come_first(tiny: Tiny) -> None:
    tiny.write_folds()
    first = tiny.truth.iloc[0]
    other = 1 + first["label"] % 3
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=frame["label"].where(frame.index != 0, str(other))))
    groups = pd.read_csv(tiny.run / "groups.csv")
    groups.loc[len(groups) - 1, "group"] = groups.loc[1, "group"]
    groups.to_csv(tiny.run / "groups.csv", index=False)
    text = page(tiny)
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", text)
    assert [heading.strip() for heading in headings] == [
        "Copies with different labels",
        "In train and in test",
        "Largest",
        "Least certain",
    ]
    assert f"{first['image_id']} (label {other})" in text


def test_the_page_is_made_once_and_again_when_labels_change(tiny: Tiny) -> None:
    tiny.write_folds()
    page(tiny)
    path = tiny.run / "near-copies.html"
    made = path.stat().st_mtime_ns
    page(tiny)
    assert path.stat().st_mtime_ns == made
    swapped = {"1": "2", "2": "1", "3": "3"}
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=frame["label"].map(swapped)))
    page(tiny)
    assert path.stat().st_mtime_ns > made
