"""The step `analyse adversarial`: whether train and test can be separated, and the photos that show the difference."""

from pathlib import Path

import pandas as pd

from ripik.analysis.intervals import Interval
from ripik.console import say
from ripik.data.pixel_rule import PixelRule
from ripik.diagnostics.photo_page import Picture, Row, Section, write_gallery
from ripik.ensemble.train_or_test import both_sides, check_test_set, read_auc, tell_apart
from ripik.features.head_inputs import photo_head
from ripik.settings import Settings
from ripik.splits import witnesses
from ripik.splits.run import Run, make_folds
from ripik.storage import artifacts

LITTLE = 0.6  # AUC below which a difference, however certain, is small
SHOWN = 24  # photos a section of the page


def adversarial(settings: Settings) -> Path:
    """Make the folds, the table of `tell_apart` and a page; print the AUC and what it means, return the table's path.

    Raises InputError when there is no test set, and when no variant trains its head alone.
    """
    check_test_set(settings)
    photo_head(settings)
    make_folds(settings)
    run = Run.open(settings)
    path = tell_apart(run)
    auc = read_auc(path)
    show_photos(run, path)
    say(f"adversarial: AUC {auc.value:.3f} (95 % {auc.low:.3f} to {auc.high:.3f}). {meaning(auc)}")
    say(f"adversarial: see {path.with_suffix('.html')}")
    return path


def show_photos(run: Run, table: Path) -> Path:
    """Write `adversarial.html` beside the table of `tell_apart`, unless it shows that table; return its path."""
    page = table.with_suffix(".html")
    inputs = {
        "table": artifacts.file_digest(table),
        "labels": artifacts.digest(run.competition.train["label"].tolist()),
        "groups": artifacts.digest(witnesses.both(run).tolist()),
        **run.competition.rule_inputs("train", "test"),
    }
    meta = page.with_name("adversarial-page.meta.json")
    if not artifacts.is_fresh(meta, inputs):
        with artifacts.making(meta, inputs, [page]):
            _write_page(page, _photos(run, table), read_auc(table), run.competition.rule)
    return page


def _photos(run: Run, table: Path) -> pd.DataFrame:
    """Return the table's rows with path, label and group of each photo."""
    images = both_sides(run.competition).assign(group=witnesses.both(run))
    found = pd.read_csv(table, dtype={"image_id": str}, keep_default_na=False)
    return found.merge(images, on=["image_id", "split"], validate="one_to_one")


def meaning(auc: Interval) -> str:
    """Say what an AUC between training and test images, with its interval, means for the CV."""
    if auc.low > 0.5:
        much = " a little" if auc.value < LITTLE else ""
        return (
            f"Train and test differ{much}: look at the photos that show it. Where the test set contains what train "
            "does not, the CV is not valid for it."
        )
    if auc.high > LITTLE:
        return "Too few images to decide whether train and test differ."
    return "Train and test cannot be told apart, so as far as these features show, the CV is valid for the test set."


def _write_page(page: Path, images: pd.DataFrame, auc: Interval, rule: PixelRule) -> None:
    train, test = (images[images["split"] == split] for split in ("train", "test"))
    sections = [
        _section(
            "Training photos most like the test set",
            "Where they differ from other training photos, the test set probably does, too.",
            train.sort_values("p_test", ascending=False, kind="stable"),
        ),
        _section(
            "Test photos least like the training set",
            "What the models have seen least. Another camera, place or season, or a class of its own?",
            test.sort_values("p_test", ascending=False, kind="stable"),
        ),
    ]
    intro = (
        f"A linear classifier on stored features separates train and test with an AUC of {auc.value:.3f} (95 % "
        f"{auc.low:.3f} to {auc.high:.3f}; 0.5 is chance level). {meaning(auc)}\nUnder each photo: its id, and the "
        "probability of belonging to the test set, from a classifier not trained on any copy of it; 0.5 means equally "
        "similar to both sets. Of near copies one is shown."
    )
    write_gallery(page, "Train or test?", intro, sections, rule=rule)


def _section(title: str, text: str, images: pd.DataFrame) -> Section:
    photos = images.drop_duplicates("group")
    pictures = [
        Picture(photo["path"], f"{photo['image_id']} {photo['label']}".strip(), f"p(test) {photo['p_test']:.3f}")
        for photo in photos.head(SHOWN).to_dict("records")
    ]
    return Section(f"{title}: {len(pictures)} of {len(photos)}", text, [Row("", pictures)])
