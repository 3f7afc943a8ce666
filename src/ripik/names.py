"""The names that a setting may take, as types: metrics, submissions, views, presets, blends, merges, precisions,
sampling.

What each name stands for is in the rooms: metrics in `analysis.metrics`, views in `features.tta`, presets in
`augmentation.pipeline`, ways to blend in `ensemble.blend`, kinds of submissions in `data.submission_form`. Tests hold
the names equal to what is there.
"""

from typing import Any, Final, Literal, get_args

LabelMetric = Literal["macro_f1", "weighted_f1", "accuracy", "balanced_accuracy", "cohen_kappa", "quadratic_kappa"]
ProbabilityMetric = Literal["log_loss", "auc", "map@3", "map@5", "map@10"]
KnownMetric = Literal[LabelMetric, ProbabilityMetric]
COMMON_NAMES = {
    "qwk": "quadratic_kappa",
    "kappa": "cohen_kappa",
    "roc_auc": "auc",
    "logloss": "log_loss",
    "f1_macro": "macro_f1",
    "f1_weighted": "weighted_f1",
    "cross_entropy": "log_loss",
    "map3": "map@3",
    "map5": "map@5",
    "map10": "map@10",
}

ORDERED = "quadratic_kappa"  # the metric that knows an order of the classes
SHARE: Final = "share_"  # what the names of columns of soft labels begin with
LayoutName = Literal["csv", "folders"]  # of the organiser's files
FOLDERS: Final = "folders"

SubmissionKind = Literal["labels", "probability", "probabilities", "ranking"]
LABELS: Final = "labels"
PROBABILITY: Final = "probability"
PROBABILITIES: Final = "probabilities"
RANKING: Final = "ranking"
RANKED = "map@"  # what the names of metrics of a ranking begin with

HEAD, ALL = "head", "all"  # the two ends of train_from
AUTO, KERAS, OPENVINO = "auto", "keras", "openvino"  # what runs a network that is not trained
NUMPY = "numpy"  # what trains and runs a head alone
LOCAL, RAY = "local", "ray"  # where jobs run
FLOAT32, HALF = "float32", "mixed_float16"  # what a network computes in
DATA = "data"  # each batch of a training is divided among devices

ViewName = Literal[
    "identity",
    "hflip",
    "vflip",
    "rot180",
    "transpose",
    "rot90",
    "rot270",
    "transverse",
    "crop90",
    "crop80",
    "crop80_top_left",
    "crop80_top_right",
    "crop80_bottom_left",
    "crop80_bottom_right",
]
Preset = Literal["source", "albumentations2"]
Solver = Literal["adam", "logistic"]  # of a head
LOGISTIC: Final = "logistic"
LivePolicy = Literal["standard", "trivial"]  # of live augmentation
Mixing = Literal["none", "mixup", "cutmix"]
NONE: Final = "none"
RecipeName = Literal["source", "quick", "strong"]
BlendMethod = Literal["equal", "geometric", "rank", "best", "convex", "greedy", "coordinate"]  # simplest first
Merging = Literal["arithmetic", "geometric"]
NearCopies = Literal["all", "one"]
ONE: Final = "one"  # of the members of a group
Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]


def own_name(name: Any) -> Any:
    """Return this project's name of a metric that is given by a common one, such as qwk."""
    return COMMON_NAMES.get(name.lower().replace("-", "_"), name) if isinstance(name, str) else name


def scores_probabilities(metric: KnownMetric) -> bool:
    """Whether a metric scores probabilities, and not the most probable class."""
    return metric in get_args(ProbabilityMetric)


def ranked(metric: KnownMetric) -> int:
    """Return how many labels an image a metric of a ranking looks at, the most probable first; 0 for the others."""
    return int(metric.removeprefix(RANKED)) if metric.startswith(RANKED) else 0
