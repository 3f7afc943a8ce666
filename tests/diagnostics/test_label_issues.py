import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import CLASSES, Tiny
from ripik.data.competition import read_competition
from ripik.diagnostics import label_issues as labels
from ripik.diagnostics.label_issues import COLUMNS, label_issues
from ripik.errors import InputError
from ripik.storage import artifacts

ODD = 0  # the row whose label is not its copies'
DOUBTED_PHOTO = 4  # the photo whose label no model believes


def another(label: int) -> int:
    return CLASSES[(CLASSES.index(label) + 1) % len(CLASSES)]


def with_issues(tiny: Tiny) -> pd.DataFrame:
    """Relabel one copy in train.csv and folds.csv; return the rows with their labels."""
    rows = tiny.write_folds().reset_index(drop=True)
    rows.loc[ODD, "label"] = another(rows.loc[ODD, "label"])
    rows.to_csv(tiny.run / "folds.csv", index=False)
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=rows["label"].astype(str)))
    return rows


def write_oof(tiny: Tiny, rows: pd.DataFrame, member: str, sure: float = 0.9) -> Path:
    """Write probabilities that are `sure` of the true labels, but for one photo."""
    believed = [another(label) if photo == DOUBTED_PHOTO else label for label, photo in true_labels(tiny)]
    rest = (1 - sure) / (len(CLASSES) - 1)
    values = {f"p_{label}": np.where(np.array(believed) == label, sure, rest) for label in CLASSES}
    frame = rows[["image_id", "fold", "label"]].assign(**values)
    (tiny.run / member).mkdir(parents=True, exist_ok=True)
    artifacts.write_csv(tiny.run / member / "oof.csv", frame)
    return tiny.run / member / "oof.csv"


def true_labels(tiny: Tiny) -> list[tuple[int, int]]:
    return list(zip(tiny.truth["label"], tiny.truth["photo"], strict=True))


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"image_id": str, "copies": str})


def ids_of_photo(tiny: Tiny, photo: int) -> list[str]:
    return tiny.truth.loc[tiny.truth["photo"] == photo, "image_id"].tolist()


def test_the_odd_copy_comes_first_then_what_the_model_doubts(tiny: Tiny) -> None:
    rows = with_issues(tiny)
    write_oof(tiny, rows, "original")
    path = label_issues(tiny.settings())
    found = read(path)
    assert path == tiny.run / "analysis" / "labels.csv"
    assert found.columns.tolist() == COLUMNS
    assert found["image_id"].tolist() == [rows["image_id"][ODD], *ids_of_photo(tiny, DOUBTED_PHOTO)]
    assert found["reason"].tolist() == ["copies disagree"] + 3 * ["model disagrees"]
    odd = found.iloc[0]
    assert (odd["label"], odd["suggested"]) == (rows["label"][ODD], tiny.truth["label"][ODD])
    assert (odd["p_label"], odd["p_suggested"]) == pytest.approx((0.05, 0.9))
    assert odd["filename"] == f"{odd['image_id']}.jpg"
    assert sorted([odd["image_id"], *odd["copies"].split()]) == sorted(ids_of_photo(tiny, tiny.truth["photo"][ODD]))


def test_the_page_shows_suspects_beside_their_copies(tiny: Tiny) -> None:
    write_oof(tiny, with_issues(tiny), "original")
    page = label_issues(tiny.settings()).with_suffix(".html").read_text(encoding="utf-8")
    assert page.count("<img ") == 6
    assert page.count('class="alarm"') == 1  # the odd copy; the other photo is suspected as a whole
    assert "competition.corrections" in page
    assert "the variant original" in page


def test_suggestions_written_as_corrections_are_taken(tiny: Tiny) -> None:
    write_oof(tiny, with_issues(tiny), "original")
    found = read(label_issues(tiny.settings()))
    mine = tiny.folder / "mine.csv"
    found.assign(label=found["suggested"]).to_csv(mine, index=False)
    corrected = read_competition(tiny.settings(f"competition.corrections={mine}"))
    assert corrected.is_corrected.sum() == len(found)
    labels = corrected.train.set_index("image_id")["training_label"]
    assert labels[found["image_id"]].tolist() == found["suggested"].tolist()
    assert read(label_issues(tiny.settings(f"competition.corrections={mine}"))).empty


def test_a_present_blend_is_preferred_to_the_mean_of_the_variants_there_are(
    tiny: Tiny, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = with_issues(tiny)
    write_oof(tiny, rows, "original", sure=0.9)
    write_oof(tiny, rows, "finetuned", sure=0.7)
    assert read(label_issues(tiny.settings()))["p_suggested"].iloc[0] == pytest.approx(0.8)
    assert "the mean of original, finetuned" in capsys.readouterr().out
    write_oof(tiny, rows, "ensemble", sure=0.6)
    label_issues(tiny.settings())
    assert "the mean of original, finetuned" in capsys.readouterr().out  # nothing vouches for that blend
    monkeypatch.setattr(labels, "finished_blend", lambda run: {"members": []})
    assert read(label_issues(tiny.settings()))["p_suggested"].iloc[0] == pytest.approx(0.6)
    assert "the blend" in capsys.readouterr().out


def test_the_same_inputs_make_the_same_files_and_are_recorded(tiny: Tiny) -> None:
    write_oof(tiny, with_issues(tiny), "original")
    path = label_issues(tiny.settings())
    first = path.read_bytes(), path.with_suffix(".html").read_bytes()
    label_issues(tiny.settings())
    assert (path.read_bytes(), path.with_suffix(".html").read_bytes()) == first
    meta = json.loads((path.parent / "labels.meta.json").read_text())
    assert meta["inputs"]["oof"] == {"original": artifacts.file_digest(tiny.run / "original" / "oof.csv")}
    assert set(meta["outputs"]) == {"labels.csv", "labels.html"}


def test_nothing_is_relabelled_and_the_way_to_do_it_is_told(tiny: Tiny, capsys: pytest.CaptureFixture) -> None:
    write_oof(tiny, with_issues(tiny), "original")
    before = tiny.train_csv.read_bytes(), (tiny.run / "folds.csv").read_bytes()
    label_issues(tiny.settings())
    assert (tiny.train_csv.read_bytes(), (tiny.run / "folds.csv").read_bytes()) == before
    told, warned = capsys.readouterr()
    assert warned.startswith("warning: labels: the trainings of original, ")
    assert "Nothing was relabelled" in told
    assert 'competition.corrections = "corrections.csv"' in told
    assert "image_id and label" in told


def test_labels_all_believed_make_an_empty_table_and_a_page(tiny: Tiny) -> None:
    rows = tiny.write_folds()
    frame = rows[["image_id", "fold", "label"]].assign(
        **{f"p_{c}": 0.05 + 0.85 * (rows["label"] == c) for c in CLASSES}
    )
    (tiny.run / "original").mkdir(parents=True)
    artifacts.write_csv(tiny.run / "original" / "oof.csv", frame)
    path = label_issues(tiny.settings())
    assert path.read_text() == ",".join(COLUMNS) + "\n"
    assert path.with_suffix(".html").read_text().count("None.") == 2


def test_without_predictions_make_train_is_told(tiny: Tiny) -> None:
    tiny.write_folds()
    with pytest.raises(InputError, match="make train"):
        label_issues(tiny.settings())


def test_predictions_of_other_labels_are_refused(tiny: Tiny) -> None:
    rows = with_issues(tiny)
    write_oof(tiny, rows, "original")
    fixed = rows.assign(label=tiny.truth["label"])
    fixed.to_csv(tiny.run / "folds.csv", index=False)
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=fixed["label"].astype(str)))
    with pytest.raises(InputError, match="other labels than train"):
        label_issues(tiny.settings())


def test_rows_of_one_group_column_are_not_taken_for_copies(tiny: Tiny) -> None:
    rows = with_issues(tiny)
    write_oof(tiny, rows, "original")
    (tiny.run / "groups.csv").unlink(missing_ok=True)
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(car="one"))
    found = read(label_issues(tiny.settings("competition.group_column=car")))
    assert set(found["reason"]) == {"model disagrees"}
    assert found["copies"].isna().all()
    assert set(found["image_id"]) == {rows["image_id"][ODD], *ids_of_photo(tiny, DOUBTED_PHOTO)}


def test_copies_are_those_of_the_groups_file(tiny: Tiny) -> None:
    rows = with_issues(tiny)
    write_oof(tiny, rows, "original")
    competition = read_competition(tiny.settings())
    images = pd.concat([competition.rows(split)[["image_id"]].assign(split=split) for split in ("train", "test")])
    single = images.assign(group=range(len(images)), matched_id="", similarity="")
    artifacts.write_csv(tiny.run / "groups.csv", single)
    assert set(read(label_issues(tiny.settings()))["reason"]) == {"model disagrees"}
