"""The step `demo`: generate a small competition, run the pipeline, and score the submission on the hidden labels."""

import time

import pandas as pd

from ripik.analysis.confusions import confusion_matrix, macro_f1, margins
from ripik.console import say, table
from ripik.data.competition import read_competition
from ripik.data.demo.drawing import draw_competition, hidden_labels
from ripik.ensemble.build import ensemble
from ripik.errors import InputError
from ripik.report.page import report
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage.paths import layout_of
from ripik.training.oof import score_row, written_oof
from ripik.training.pipeline import check_settings, train
from ripik.training.scores import LEVEL, score_rows

SEED, TRAIN_PHOTOS, TEST_PHOTOS, SIZE = 0, 300, 120, 128
PHOTOS = {"seed": SEED, "train_photos": TRAIN_PHOTOS, "test_photos": TEST_PHOTOS}


def demo(settings: Settings) -> None:
    """Draw the competition unless it is there, run folds, train, ensemble and report, and print what came of it."""
    start = time.monotonic()
    if settings.run != "demo":
        raise InputError("the demo generates its own competition in input/demo; run it with configs/demo.toml only.")
    check_settings(settings)
    _draw(settings)
    train(settings)
    submission = ensemble(settings)
    run = Run.open(settings)
    _print_hidden_score(run, hidden_score(run, pd.read_csv(submission, dtype={"image_id": str}), truth()))
    page = report(settings)
    say(f"submission: {submission}")
    say(f"report: {page}")
    say(f"the whole pipeline took {time.monotonic() - start:.0f} s")


def truth() -> pd.Series:
    """Return the test labels, which no file holds, indexed by image_id as text."""
    labels = hidden_labels(**PHOTOS)
    return labels.set_axis(labels.index.astype(str))


def hidden_score(run: Run, submission: pd.DataFrame, labels: pd.Series) -> float:
    """Return the macro F1 of a submission against the hidden labels."""
    index = {label: position for position, label in enumerate(run.competition.classes)}
    form = run.competition.asked
    predicted = submission.set_index(form.id_column)[form.columns[0]].loc[labels.index].map(index)
    return macro_f1(*margins(confusion_matrix(labels.map(index).to_numpy(), predicted.to_numpy(), len(index))))


def _draw(settings: Settings) -> None:
    root = layout_of(settings).input
    if not root.exists():
        say(f"generating {TRAIN_PHOTOS + TEST_PHOTOS} photos, each as three altered copies, in {root}")
        draw_competition(root, size=SIZE, **PHOTOS)
    elif set(read_competition(settings).test["image_id"]) != set(truth().index):
        raise InputError(f"{root} does not hold the demo's competition. Move it away and run `make demo` again.")


def _print_hidden_score(run: Run, hidden: float) -> None:
    rows = [_short(score_row(run, variant)) for variant in run.settings.variants.values()]
    blend = score_rows(run, written_oof(run.layout.ensemble / "oof.csv", run))
    rows.append(_short(["blend, nested: CV", *blend.cells(), ""]))
    rows.append(["blend, hidden test labels", f"{hidden:.4f}", "", "", ""])
    table("The demo's result", ["", "macro F1", LEVEL, "accuracy", "seconds"], rows)


def _short(row: list[str]) -> list[str]:
    name, pooled, ends, *_, accuracy, seconds = row
    return [name, pooled, ends, accuracy, seconds]
