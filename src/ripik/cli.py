"""The command `ripik`: parses, calls the step, and turns failures into one message and an exit code."""

import argparse
import errno
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

from rich.console import Console

from ripik import __version__, config
from ripik.errors import InputError, RipikError, Terminated
from ripik.execution import time_limit
from ripik.execution.locks import turn
from ripik.settings import Settings
from ripik.storage.paths import layout_of

SURROUNDINGS = {  # errors of the operating system that are no bug of ours
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ELOOP, errno.EBUSY, errno.ENXIO, errno.ENODEV),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG),
}
# what writes, one of them at a time
ALONE = ("folds", "augment", "predict", "ensemble", "analyse", "report", "demo", "kernel")
TOPICS = {  # what `analyse` answers
    "scores": "every variant's scores with intervals, class by class",
    "confusion": "which class is taken for which",
    "errors": "wrong predictions, the most confident first",
    "calibration": "whether confidence is accuracy",
    "members": "how alike the variants are, and what each alone gets right",
    "folds": "scores, images and labels by fold",
    "views": "what each test-time view adds",
    "runs": "all submissions so far: CV, leaderboard score, what changed",
    "labels": "suspected label errors",
    "adversarial": "whether train can be told from test",
}
INTERRUPTED, TERMINATED = 130, 143
GO_ON = "What is finished is kept: run the same command again to go on."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step and return its exit code: 0 done, 2 bad input, 3 the surroundings, 75 at its time limit, 130/143
    stopped by a signal."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        settings = config.load_settings(options.config, options.set)
        alone = turn(layout_of(settings), options.name) if options.alone else nullcontext()
        with time_limit.limited(settings.training.seconds), alone:
            options.step(settings, options)
    except RipikError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(f"stopped. {GO_ON}", INTERRUPTED)
    except Terminated:
        return _fail(f"terminated. {GO_ON}", TERMINATED)
    except BrokenExecutor:
        return _fail(f"a worker process was killed, most likely because the memory ran out. {GO_ON}", 3)
    except MemoryError:
        return _fail("the memory ran out. Run again with fewer jobs (JOBS=1), or on a larger machine.", 3)
    except OSError as error:
        if error.errno not in SURROUNDINGS:
            raise
        return _fail(f"{error.filename or 'a file'}: {error.strerror}. Free or open that place and run again.", 3)
    return 0


def _terminate(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def _fail(message: str, code: int) -> int:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"ripik: {message}", markup=False, emoji=False)
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of all steps."""
    top = argparse.ArgumentParser(prog="ripik", description="Leak-free competition solution for image classification.")
    top.add_argument("--version", action="version", version=__version__)
    steps = top.add_subparsers(metavar="STEP", required=True)
    _add(steps, "config", _config, "print the effective configuration as TOML")
    data = _add(steps, "data", _data, "fill the input folder from Kaggle, a folder or a zip")
    data.add_argument("--source", type=Path, metavar="PATH", help="a folder or zip instead of the Kaggle dataset")
    folds = _add(steps, "folds", _folds, "group near copies and write stratified, grouped folds")
    folds.add_argument("--audit", action="store_true", help="also show how much other splits would lie")
    augment = _add(steps, "augment", _augment, "write the augmented copies as JPEG (training does not need them)")
    augment.add_argument(
        "--preview", action="store_true", help="only a contact sheet of every transform and some copies"
    )
    train = _add(steps, "train", _train, "train and predict every missing (variant, fold)")
    train.add_argument("--folds", type=int, nargs="+", default=[], metavar="K", help="only these folds")
    predict = _add(steps, "predict", _predict, "predict what is missing, or a folder of photos")
    predict.add_argument("--images", type=Path, metavar="FOLDER", help="predict every photo of this folder instead")
    predict.add_argument("--out", type=Path, metavar="CSV", help="where the folder's predictions go")
    ensemble = _add(steps, "ensemble", _ensemble, "blend the variants and write the submission CSV")
    ensemble.add_argument(
        "--partial", action="store_true", help="blend the variants that are finished, whatever is still to train"
    )
    plan = _add(steps, "plan", _plan, "measure for minutes, and tell the time, disk and memory of the whole run")
    for numbers, what in (("devices", "GPUs of one machine"), ("machines", "such machines"), ("images", "images")):
        plan.add_argument(f"--{numbers}", type=_count, nargs="+", metavar="N", help=f"numbers of {what} to look at")
    for step in (train, predict, ensemble, plan):
        step.add_argument("--variants", nargs="+", default=[], metavar="NAME", help="only these variants")
    compare = _add(steps, "compare", _compare, "tell whether B is better than A, with the interval of the difference")
    for side in ("a", "b"):
        compare.add_argument(side, metavar=side.upper(), help="a variant, ensemble, RUN, RUN/VARIANT or an OOF CSV")
    analyse = _add(steps, "analyse", _analyse, "answer one question about a finished run: a table and a CSV")
    analyse.add_argument(
        "topic", choices=list(TOPICS), help="; ".join(f"{topic}: {what}" for topic, what in TOPICS.items())
    )
    analyse.add_argument("--of", default="", metavar="NAME", help="a variant, or ensemble (default: the blend)")
    _add(steps, "report", _report, "show the run on one HTML page")
    kernel = _add(steps, "kernel", _kernel, "write a Kaggle kernel and the datasets it reads")
    push = _add(steps, "kernel-push", _kernel_push, "push the kernel and its datasets to Kaggle")
    asked = _add(steps, "kernel-status", _kernel_status, "how the kernel is on Kaggle")
    fetched = _add(steps, "kernel-output", _kernel_output, "fetch what the kernel wrote on Kaggle")
    for step in (kernel, push, asked, fetched):
        step.add_argument(
            "--kind", choices=("train", "infer"), default="infer", help="all steps, or prediction alone (default)"
        )
    submit = _add(steps, "submit", _submit, "submit a CSV to the Kaggle competition and log its score")
    submit.add_argument("--file", type=Path, metavar="CSV", help="default: the run's newest submission")
    submit.add_argument("--version", type=int, default=0, metavar="N", help="submit version N of the inference kernel")
    submit.add_argument("--yes", action="store_true", help="do not ask before one of the day's submissions is spent")
    log_score = _add(steps, "log-score", _log_score, "log a leaderboard score that was read elsewhere")
    log_score.add_argument("file", metavar="CSV", help="a submission, by its file's name")
    for board in ("public", "private"):
        log_score.add_argument(f"--{board}", type=float, metavar="SCORE")
    _add(steps, "status", _status, "show what is finished, running, stale or missing")
    _add(steps, "demo", _demo, "draw a small competition and run the whole line on it", "configs/demo.toml")
    return top


def _add(steps, name, step, summary, default="configs/ripik.toml"):  # type: ignore[no-untyped-def]
    added = steps.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    added.set_defaults(step=step, name=name, alone=name in ALONE)
    added.add_argument("--config", type=Path, default=Path(default), metavar="TOML", help=f"default: {default}")
    added.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="override a setting; may be repeated"
    )
    return added


def _config(settings: Settings, options: argparse.Namespace) -> None:
    sys.stdout.write(config.to_toml(settings))


def _data(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.data.fetch import fetch

    fetch(settings, options.source)


def _folds(settings: Settings, options: argparse.Namespace) -> None:
    if options.audit:
        from ripik.diagnostics.audit import audit

        audit(settings)
        return
    from ripik.splits.folds import make_folds

    make_folds(settings)


def _augment(settings: Settings, options: argparse.Namespace) -> None:
    if options.preview:
        from ripik.augmentation.contact_sheet import preview

        preview(settings)
        return
    from ripik.augmentation.write_copies import augment

    augment(settings)


def _train(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.training.pipeline import train

    train(settings, options.variants, options.folds)


def _predict(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.training.pipeline import predict

    if options.out and not options.images:
        raise InputError("--out goes with --images FOLDER: it says where that folder's predictions are written.")
    if options.images and options.variants:
        raise InputError("--images goes without --variants: the finished blend predicts the folder.")
    if options.images:
        from ripik.ensemble.folder import predict_folder

        predict_folder(settings, options.images, options.out)
    else:
        predict(settings, options.variants)


def _ensemble(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.ensemble.build import ensemble

    ensemble(settings, options.variants, partial=options.partial)


def _plan(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.monitoring.plan import plan

    asked = {name: getattr(options, name) for name in ("devices", "machines", "images")}
    plan(settings, options.variants, **{name: numbers for name, numbers in asked.items() if numbers})


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _compare(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.diagnostics.compare import compare

    compare(settings, options.a, options.b)


def _analyse(settings: Settings, options: argparse.Namespace) -> None:
    if options.of and options.topic in ("labels", "adversarial", "members", "runs"):
        raise InputError(f"--of goes with one variant's scores; the topic {options.topic} is about the whole run.")
    if options.topic == "labels":
        from ripik.diagnostics.label_issues import label_issues

        label_issues(settings)
    elif options.topic == "adversarial":
        from ripik.diagnostics.adversarial import adversarial

        adversarial(settings)
    else:
        from ripik.diagnostics.analyse import analyse

        analyse(settings, options.topic, options.of)


def _report(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.report.page import report

    report(settings)


def _kernel(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.kaggle.kernel.build import build_kernel

    build_kernel(settings, options.kind)


def _kernel_push(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.kaggle.kernel.push import push

    push(settings, options.kind)


def _kernel_status(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.kaggle.kernel.push import tell_status

    tell_status(settings, options.kind)


def _kernel_output(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.kaggle.kernel.push import fetch_output

    fetch_output(settings, options.kind)


def _submit(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.kaggle.submit import submit

    submit(settings, options.file, version=options.version, yes=options.yes)


def _log_score(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.kaggle.submit import log_score

    log_score(settings, options.file, options.public, options.private)


def _status(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.monitoring.status import status

    status(settings)


def _demo(settings: Settings, options: argparse.Namespace) -> None:
    from ripik.demo import demo

    demo(settings)
