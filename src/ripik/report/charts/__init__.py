"""The charts of the report, each from a data frame; `Chart` holds the SVG with its title and description."""

from ripik.report.charts.blend import correlation, offsets, trajectory, views, weights
from ripik.report.charts.data import adversarial, group_sizes, shares
from ripik.report.charts.folds import fold_scores, fold_sizes, learning_curves, times
from ripik.report.charts.scores import class_f1, reliability, variant_scores
from ripik.report.charts.search import slice_of, trials
from ripik.report.charts.svg import Chart

__all__ = [
    "Chart",
    "adversarial",
    "class_f1",
    "correlation",
    "fold_scores",
    "fold_sizes",
    "group_sizes",
    "learning_curves",
    "offsets",
    "reliability",
    "shares",
    "slice_of",
    "times",
    "trajectory",
    "trials",
    "variant_scores",
    "views",
    "weights",
]
