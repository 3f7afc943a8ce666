"""Study a run's out-of-fold predictions: from its files alone, without images, models or TensorFlow.

from ripik import analysis

oof = analysis.load("output/ripik/ensemble")  # or a variant's folder, a run's folder, an oof.csv
oof.frame[["image_id", "label", "predicted", "confidence", "loss"]]
analysis.scores(oof)
analysis.errors(oof).head(20)
analysis.correlation(analysis.load_run("output/ripik"))
"""

from ripik.analysis.best_submission import best_submissions
from ripik.analysis.measures import (
    calibration,
    calibration_error,
    class_scores,
    confusion,
    errors,
    fold_scores,
    scores,
    uncertain,
)
from ripik.analysis.members import agreement, correlation, gains, hits
from ripik.analysis.outdated import is_outdated
from ripik.analysis.predictions import BLEND, Predictions, align, load, load_run, load_test
from ripik.analysis.run_files import fold_classes, group_sizes, history, read_blend, shares
from ripik.analysis.submissions import runs
from ripik.analysis.timing import times
from ripik.analysis.view_gains import views

__all__ = [
    "BLEND",
    "Predictions",
    "agreement",
    "align",
    "best_submissions",
    "calibration",
    "calibration_error",
    "class_scores",
    "confusion",
    "correlation",
    "errors",
    "fold_classes",
    "fold_scores",
    "gains",
    "group_sizes",
    "history",
    "hits",
    "is_outdated",
    "load",
    "load_run",
    "load_test",
    "read_blend",
    "runs",
    "scores",
    "shares",
    "times",
    "uncertain",
    "views",
]
