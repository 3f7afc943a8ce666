"""The table of all steps, in the order of the pipeline: what each is called, what does it, and what it may be given.

Only the standard library is imported, so that `--help` starts at once. The command line (`cli`), the kernels and the
documentation read the table; `execution.command` runs a step.
"""

from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOPICS = {  # what `analyse` answers
    "scores": "every variant's scores with intervals, class by class",
    "confusion": "which class is mistaken for which",
    "errors": "wrong predictions, the most confident first",
    "calibration": "whether confidence matches accuracy",
    "members": "how correlated the variants are, and what each alone gets right",
    "folds": "scores, images and labels by fold",
    "views": "what each test-time view adds",
    "runs": "all submissions so far: CV, leaderboard score, what changed",
    "labels": "suspected label errors",
    "adversarial": "whether train and test can be told apart",
}


@dataclass(frozen=True)
class Option:
    """An argument of a step, as `argparse` takes it: its name, such as --audit or topic, and the keywords."""

    name: str
    keywords: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """function: "module:name", called with the settings and the options by name. alone: one of them at a time in a run,
    as it writes what others read. writes_config: it makes the configuration that others read, and is given its path
    and what is set, by `config` and `answers`. asks_config: it is told, by `configured`, whether the configuration or
    the metric was named, or is only the default."""

    name: str
    function: str
    summary: str
    options: Sequence[Option] = ()
    alone: bool = False
    config: str = "configs/ripik.toml"
    writes_config: bool = False
    asks_config: bool = False


def whole_number(text: str) -> int:
    """Parse an argument that is a whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def hours(text: str) -> float:
    """Parse an argument that is a number of hours above 0."""
    return _above_zero(text, "hours")


def images_per_second(text: str) -> float:
    """Parse an argument that is a number of images a second above 0."""
    return _above_zero(text, "images per second")


def _above_zero(text: str, unit: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number of {unit} above 0")
    return found


def _flag(name: str, help_text: str) -> Option:
    return Option(name, {"action": "store_true", "help": help_text})


def at_home(text: str) -> str:
    """Return an argument with `~` or `~user` at its beginning replaced by that home, which not every shell does."""
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise ArgumentTypeError(f"{text!r}: there is no user of that name") from None


def path(text: str) -> Path:
    """Parse an argument that is a path, which may begin with `~`."""
    return Path(at_home(text))


def _path(name: str, metavar: str, help_text: str) -> Option:
    return Option(name, {"type": path, "metavar": metavar, "help": help_text})


def _some(name: str, metavar: str, help_text: str, kind: type = str) -> Option:
    return Option(name, {"type": kind, "nargs": "+", "default": [], "metavar": metavar, "help": help_text})


VARIANTS = _some("--variants", "NAME", "only these variants")
KIND = Option(
    "--kind",
    {"choices": ("train", "infer"), "default": "infer", "help": "train: all steps; infer (default): prediction"},
)
NUMBERS = [
    Option(f"--{name}", {"type": whole_number, "nargs": "+", "metavar": "N", "help": f"estimate for N {what}, too"})
    for name, what in (("devices", "GPUs of one machine"), ("machines", "such machines"), ("images", "images"))
]
SPEED = Option(
    "--speed",
    {
        "type": images_per_second,
        "default": 0.0,
        "metavar": "N",
        "help": "also calculate the time on a GPU that finetunes N images/s at 224 pixels",
    },
)
SIDES = [
    Option(name, {"metavar": name.upper(), "help": "a variant, ensemble, RUN, RUN/VARIANT or an OOF CSV"})
    for name in ("a", "b")
]
TOPIC = Option(
    "topic", {"choices": list(TOPICS), "help": "; ".join(f"{topic}: {what}" for topic, what in TOPICS.items())}
)

STEPS = (
    Step("config", "ripik.config:show", "print the effective configuration as TOML"),
    Step(
        "new",
        "ripik.kaggle.downloads:new",
        "inspect a folder, a zip or a Kaggle name, and write a configuration for it",
        [
            Option(
                "--source",
                {
                    "required": True,
                    "type": at_home,
                    "metavar": "WHERE",
                    "help": "a folder, a zip, or a Kaggle dataset or competition",
                },
            )
        ],
        config="",
        writes_config=True,
    ),
    Step(
        "data",
        "ripik.kaggle.downloads:data",
        "fill the input folder from Kaggle, a folder or a zip",
        [_path("--source", "PATH", "take the files from this folder or zip instead of Kaggle")],
    ),
    Step(
        "folds",
        "ripik.diagnostics.near_copies_page:folds",
        "group near copies and write stratified, grouped folds",
        [_flag("--audit", "also show how optimistic other splits would be")],
        alone=True,
    ),
    Step(
        "augment",
        "ripik.augmentation.write_copies:augment",
        "write the augmented copies as JPEG (training does not need them)",
        [_flag("--preview", "write only a contact sheet of every transform and some copies")],
        alone=True,
    ),
    Step(
        "train",
        "ripik.training.pipeline:train",
        "train and predict every missing (variant, fold)",
        [_some("--folds", "K", "only these folds", int), VARIANTS],
    ),
    Step(
        "predict",
        "ripik.ensemble.folder:predict_step",
        "predict what is missing, or a folder of photos",
        [
            _path("--images", "FOLDER", "predict every photo of this folder instead"),
            _path("--out", "CSV", "where to write the folder's predictions"),
            VARIANTS,
        ],
        alone=True,
    ),
    Step(
        "ensemble",
        "ripik.ensemble.build:ensemble",
        "blend the variants and write the submission CSV",
        [_flag("--partial", "blend only the finished variants, even if others are not trained yet"), VARIANTS],
        alone=True,
    ),
    Step(
        "export",
        "ripik.export.build:export",
        "write the blend as ONNX graphs and a script that predicts without this package",
        alone=True,
    ),
    Step(
        "tune",
        "ripik.tuning.tune:tune",
        "search a variant's hyperparameters, and correct the best trial's score for the selection",
        [
            Option("--variant", {"required": True, "metavar": "NAME", "help": "the variant to tune"}),
            Option(
                "--trials",
                {"type": whole_number, "default": 40, "metavar": "N", "help": "trials in all, with earlier ones (40)"},
            ),
            Option("--hours", {"type": hours, "metavar": "H", "help": "start no round that would end after H hours"}),
        ],
    ),
    Step(
        "plan",
        "ripik.monitoring.plan:plan",
        "run short measurements, and estimate time, disk and memory of the whole run",
        [*NUMBERS, SPEED, VARIANTS],
    ),
    Step(
        "compare",
        "ripik.diagnostics.compare:compare",
        "compare two models: is B better than A, with an interval of the difference",
        SIDES,
        asks_config=True,
    ),
    Step(
        "analyse",
        "ripik.diagnostics.analyse:answer",
        "analyse one topic of a finished run: a table and a CSV",
        [
            TOPIC,
            Option("--of", {"default": "", "metavar": "NAME", "help": "a variant, or ensemble (default: the blend)"}),
        ],
        alone=True,
    ),
    Step("report", "ripik.report.page:report", "show the run on one HTML page", alone=True),
    Step(
        "kernel",
        "ripik.kaggle.kernel.build:build_kernel",
        "write a Kaggle kernel and the datasets it reads",
        [KIND],
        alone=True,
    ),
    Step("kernel-push", "ripik.kaggle.kernel.push:push", "push the kernel and its datasets to Kaggle", [KIND]),
    Step("kernel-status", "ripik.kaggle.kernel.push:tell_status", "show the kernel's state on Kaggle", [KIND]),
    Step("kernel-output", "ripik.kaggle.kernel.push:fetch_output", "download the kernel's output from Kaggle", [KIND]),
    Step(
        "submit",
        "ripik.kaggle.submit:submit",
        "submit a CSV to the Kaggle competition and log its score",
        [
            _path("--file", "CSV", "default: the run's newest submission"),
            Option(
                "--version",
                {
                    "type": whole_number,
                    "default": 0,
                    "metavar": "N",
                    "help": "submit version N of the inference kernel",
                },
            ),
            _flag("--yes", "submit without asking (it uses one of the day's submissions)"),
        ],
    ),
    Step(
        "log-score",
        "ripik.kaggle.submit:log_score",
        "log a leaderboard score by hand",
        [
            Option("file", {"metavar": "CSV", "help": "a submission's file name"}),
            Option("--public", {"type": float, "metavar": "SCORE"}),
            Option("--private", {"type": float, "metavar": "SCORE"}),
        ],
    ),
    Step("status", "ripik.monitoring.status:status", "show what is finished, running, stale or missing"),
    Step(
        "demo",
        "ripik.demo:demo",
        "generate a small competition and run the whole pipeline on it",
        alone=True,
        config="configs/demo.toml",
    ),
)


def step(name: str) -> Step:
    """Return the step of this name."""
    return next(each for each in STEPS if each.name == name)
