"""The step `report`: one HTML file that shows what a run's models do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ripik.console import progress, say
from ripik.diagnostics.heatmaps import heat_maps
from ripik.diagnostics.label_issues import find_label_issues
from ripik.diagnostics.photo_page import environment
from ripik.ensemble.build import finished_blend
from ripik.ensemble.train_or_test import is_at_hand, tell_apart
from ripik.report.album import Album, is_readable
from ripik.report.blocks import Section
from ripik.report.evidence import Evidence, Maps, gather
from ripik.report.sections import data, models, photos, provenance, results
from ripik.settings import HEAD, Settings
from ripik.splits.run import open_run
from ripik.storage import artifacts
from ripik.training.jobs import is_trained, jobs_of

REPORT = 1  # to be raised when the page shows something else


def report(settings: Settings) -> Path:
    """Write `report/index.html` and return its path; what the run lacks is left out of the page.

    Makes the tables of `analyse labels`, and of `analyse adversarial` where the features it reads are stored, unless
    they are up to date; and heat maps (Grad-CAM) where the models are there.
    Raises InputError when no variant has an `oof.csv`.
    """
    run = open_run(settings)
    e = gather(settings, finished_blend(run))
    path = run.layout.report / "index.html"
    artifacts.check_writable(path.parent)
    suspects, likeness = find_label_issues(run)[1], _adversarial(e)
    shown = photos.choose(e, suspects)
    album = Album(e, _heat_maps(e, shown))
    inputs = {"version": REPORT, "predictions": _digests(e), "blend": artifacts.digest(e.told)}
    with artifacts.making(artifacts.meta_beside(path), inputs, [path]):
        text = _render(e, _sections(e, album, shown, likeness))
        artifacts.write_text(path, text.encode("utf-8", "replace").decode())
    say(f"report: wrote {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return path


def _digests(e: Evidence) -> dict[str, str]:
    return {name: artifacts.file_digest(of.path) for name, of in e.everyone.items()}


def _adversarial(e: Evidence) -> Path | None:
    """Return the table of train against test, made where the stored features allow it; None where they do not."""
    if not any(variant.train_from == HEAD for variant in e.run.settings.variants.values()):
        return None
    return tell_apart(e.run) if is_at_hand(e.run) else None


def _heat_maps(e: Evidence, shown: list[photos.Shown]) -> Maps:
    """Return the heat maps of the galleries; none where a model that would explain is not there any more."""
    variant = e.run.settings.variants[e.explained]
    if not all(is_trained(e.run, job) for job in jobs_of(e.run.settings, variant)):
        say(f"report: the models of {e.explained} are not there, so no heat maps are shown")
        return {}
    requests = [request for gallery in shown for request in gallery.requests()]
    paths, rule = e.run.competition.train.set_index("image_id")["path"], e.run.competition.rule
    asked = {image_id for image_id, _ in requests}
    unreadable = {image_id for image_id in asked if not is_readable(paths[image_id], rule)}
    return heat_maps(e.run, e.explained, [request for request in requests if request[0] not in unreadable])


def _sections(e: Evidence, album: Album, shown: list[photos.Shown], likeness: Path | None) -> list[Section]:
    makers: list[Callable[[], Section]] = [
        lambda: results.summary(e),
        lambda: results.variants(e),
        lambda: results.classes(e),
        lambda: results.confusion(e, album),
        lambda: photos.gallery(e, album, shown),
        lambda: models.learning(e),
        lambda: models.calibration(e),
        lambda: models.blend(e),
        lambda: models.adding(e),
        lambda: data.folds(e),
        *([lambda: data.test_set(e)] if (e.focus.path.parent / "test.csv").is_file() else []),
        *([lambda: data.adversarial(likeness)] if likeness else []),
        lambda: data.augmentation(e),
        lambda: provenance.times(e),
        lambda: provenance.configuration(e),
    ]
    sections = []
    with progress("report", len(makers)) as show:
        for done, make in enumerate(makers, 1):
            sections.append(make())
            show(done)
    return [section for section in sections if section.blocks]


def _render(e: Evidence, sections: list[Section]) -> str:
    run = e.run.settings.run
    counts = f"{len(e.run.competition.train)} training and {len(e.run.competition.test)} test images"
    subtitle = f"{counts}, {len(e.focus.classes)} classes. Made {datetime.now():%Y-%m-%d %H:%M}."
    page = environment().get_template("report.html")
    return page.render(title=f"Report of {run}", subtitle=subtitle, sections=sections)
