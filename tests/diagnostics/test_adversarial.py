from dataclasses import replace

import pandas as pd
import pytest

from conftest import Tiny
from made_up_features import MadeUp
from ripik.analysis.intervals import Interval
from ripik.diagnostics.adversarial import adversarial, meaning
from ripik.ensemble import train_or_test
from ripik.errors import InputError
from ripik.features.store import Pass
from ripik.storage import artifacts


@pytest.fixture
def made_up(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """Features by which a photo is known again; folds and groups by the true photos."""
    tiny.write_folds(2)
    found = MadeUp(tiny)
    monkeypatch.setattr(train_or_test, "prepare", found)
    return found


def auc(tiny: Tiny) -> Interval:
    return Interval(**artifacts.read_json(tiny.run / "analysis" / "adversarial.meta.json")["auc"])


def test_photos_of_one_kind_cannot_be_told_apart(
    tiny: Tiny, made_up: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    path = adversarial(tiny.settings("folds.n_splits=2"))
    found = pd.read_csv(path, dtype={"image_id": str})
    assert path == tiny.run / "analysis" / "adversarial.csv"
    assert list(found.columns) == ["image_id", "split", "p_test", "ratio"]
    assert found["image_id"].tolist() == [*tiny.truth["image_id"], *tiny.test["image_id"]]
    assert found["split"].tolist() == ["train"] * 27 + ["test"] * 6
    assert found["p_test"].between(0, 1).all()
    assert (found["ratio"] > 0).all()
    assert auc(tiny).low < 0.5
    assert "Too few images to decide" in capsys.readouterr().out


def test_a_test_set_of_another_kind_is_found(tiny: Tiny, made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    made_up.shift = 50
    found = pd.read_csv(adversarial(tiny.settings("folds.n_splits=2")))
    assert auc(tiny) == Interval(1, 1, 1, 0)
    assert found.groupby("split")["p_test"].mean()["test"] > 0.5 > found.groupby("split")["p_test"].mean()["train"]
    assert "Train and test differ: look at the photos" in capsys.readouterr().out


def test_a_photo_is_judged_by_a_head_that_saw_no_copy_of_it(tiny: Tiny, made_up: MadeUp) -> None:
    """Copies seen in training would put every photo on its own side: an AUC of 1 although nothing differs."""
    adversarial(tiny.settings("folds.n_splits=2"))
    grouped = auc(tiny).value
    groups = pd.read_csv(tiny.run / "groups.csv")
    groups.assign(group=range(len(groups))).to_csv(tiny.run / "groups.csv", index=False)
    folds = pd.read_csv(tiny.run / "folds.csv")
    folds.assign(group=range(len(folds)), fold=[row % 2 for row in range(len(folds))]).to_csv(
        tiny.run / "folds.csv", index=False
    )
    adversarial(tiny.settings("folds.n_splits=2"))
    assert auc(tiny).value == 1
    assert grouped < 0.9


def test_ids_that_pandas_takes_for_missing_are_ids(tiny: Tiny, made_up: MadeUp) -> None:
    names = dict(
        zip([*tiny.truth["image_id"][:2], *tiny.test["image_id"][:2]], ["NA", "nan", "null", "None"], strict=True)
    )
    for csv in (tiny.train_csv, tiny.input / "test" / "test.csv", tiny.sample_csv):
        tiny.edit(csv, lambda frame: frame.assign(image_id=frame["image_id"].replace(names)))
    truth, test = (frame.assign(image_id=frame["image_id"].replace(names)) for frame in (tiny.truth, tiny.test))
    made_up.tiny = replace(tiny, truth=truth, test=test)
    made_up.tiny.write_folds(2)
    page = adversarial(tiny.settings("folds.n_splits=2")).with_suffix(".html").read_text(encoding="utf-8")
    assert "Training photos most like the test set: 9 of 9" in page


def test_the_page_shows_one_of_each_photo_and_what_it_means(tiny: Tiny, made_up: MadeUp) -> None:
    path = adversarial(tiny.settings("folds.n_splits=2"))
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    assert "Training photos most like the test set: 9 of 9" in page
    assert "Test photos least like the training set: 2 of 2" in page
    assert page.count("<figure") == 11
    assert "Too few images to decide" in page
    likest = pd.read_csv(path).query("split == 'train'").sort_values("p_test", ascending=False).iloc[0]
    assert page.index(f"{likest['image_id']} label") < page.index(f"p(test) {likest['p_test']:.3f}")


def test_nothing_is_done_twice(tiny: Tiny, made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    path = adversarial(tiny.settings("folds.n_splits=2"))
    assert sorted(map(str, made_up.passes)) == sorted(map(str, [Pass("train"), Pass("test")]))
    written, told = path.stat().st_mtime_ns, capsys.readouterr().out
    adversarial(tiny.settings("folds.n_splits=2"))
    again = capsys.readouterr().out
    assert path.stat().st_mtime_ns == written
    assert "is up to date" in again
    assert told.splitlines()[-2:] == again.splitlines()[-2:]
    path.with_suffix(".html").unlink()
    adversarial(tiny.settings("folds.n_splits=2"))
    assert path.with_suffix(".html").exists()


@pytest.mark.parametrize(
    ("value", "low", "high", "told"),
    [
        (0.48, 0.45, 0.52, "cannot be told"),
        (0.5, 0.3, 0.7, "Too few images"),
        (0.55, 0.51, 0.58, "differ a little"),
        (0.8, 0.7, 0.9, "differ:"),
    ],
)
def test_the_sentence_goes_by_the_interval(value: float, low: float, high: float, told: str) -> None:
    assert told in meaning(Interval(value, low, high, 0.1))


def test_without_a_test_set_it_says_so_at_once(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"competition\.test_images is empty: there is no test set"):
        adversarial(tiny.settings("competition.test_images="))
    assert not tiny.run.exists()
