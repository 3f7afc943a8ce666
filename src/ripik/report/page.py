"""The step `report`: one HTML file that shows what a run's models do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ripik.console import progress, say, warn
from ripik.diagnostics.heatmaps import heat_maps
from ripik.diagnostics.label_issues import find_label_issues
from ripik.diagnostics.photo_page import environment
from ripik.ensemble.expectation import why_left_out
from ripik.ensemble.finished import finished_blend, shown_inputs
from ripik.ensemble.train_or_test import tell_apart
from ripik.report.album import Album, is_readable
from ripik.report.blocks import Section
from ripik.report.evidence import Evidence, Maps, gather
from ripik.report.sections import data, models, photos, provenance, results, search
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.up_to_date import Artifact
from ripik.training.jobs import told_unfinished, trainings_of
from ripik.tuning.record import searched

REPORT = 2  # to be raised when the page shows something else


def report(settings: Settings) -> Path:
    """Write `report/index.html` and return its path; what the run lacks is left out of the page.

    Makes the tables of `analyse labels`, and of `analyse adversarial` where `ensemble` would (`why_left_out`); and heat
    maps (Grad-CAM) where the models are there.
    Warns of variants with a training that is missing or was made with other settings or data, as the page does, too.
    Raises InputError when no variant has an `oof.csv`.
    """
    run = Run.open(settings)
    evidence = gather(settings, finished_blend(run))
    if evidence.unfinished:
        warn(f"report: {told_unfinished(evidence.unfinished)}")
    path = run.layout.report / "index.html"
    artifacts.check_writable(path.parent)
    suspects, likeness = find_label_issues(run)[1], _adversarial(evidence)
    shown = photos.choose(evidence, suspects)
    album = Album(evidence, _heat_maps(evidence, shown))
    inputs = {"version": REPORT, **shown_inputs(run, evidence.record)}
    inputs |= {"unfinished": evidence.unfinished} if evidence.unfinished else {}
    with Artifact.of(path, inputs).making():
        text = _render(evidence, _sections(evidence, album, shown, likeness))
        artifacts.write_text(path, text.encode("utf-8", "replace").decode())
    say(f"report: wrote {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return path


def _adversarial(evidence: Evidence) -> Path | None:
    """Return the table of train against test; None where `ensemble` does not tell them apart: without stored features,
    or of too few photos."""
    return None if why_left_out(evidence.run) else tell_apart(evidence.run)


def _heat_maps(evidence: Evidence, shown: list[photos.Shown]) -> Maps:
    """Return the heat maps of the galleries; none where a model that would explain is not there any more."""
    variant = evidence.run.settings.variants[evidence.explained]
    if not all(each.is_trained for each in trainings_of(evidence.run, variant)):
        say(f"report: the models of {evidence.explained} are missing, so no heat maps are shown")
        return {}
    requests = [request for gallery in shown for request in gallery.requests()]
    paths, rule = evidence.run.competition.train.set_index("image_id")["path"], evidence.run.competition.rule
    asked = {image_id for image_id, _ in requests}
    unreadable = {image_id for image_id in asked if not is_readable(paths[image_id], rule)}
    return heat_maps(
        evidence.run, evidence.explained, [request for request in requests if request[0] not in unreadable]
    )


def _sections(evidence: Evidence, album: Album, shown: list[photos.Shown], likeness: Path | None) -> list[Section]:
    makers: list[Callable[[], Section]] = [
        lambda: results.summary(evidence),
        lambda: results.variants(evidence),
        *([lambda: search.searches(evidence)] if searched(evidence.run.settings) else []),
        lambda: results.classes(evidence),
        lambda: results.confusion(evidence, album),
        lambda: models.learning(evidence),
        lambda: models.calibration(evidence),
        lambda: models.blend(evidence),
        lambda: models.adding(evidence),
        lambda: data.folds(evidence),
        *([lambda: data.test_set(evidence)] if _tested(evidence) else []),
        *([lambda: data.adversarial(likeness)] if likeness else []),
        lambda: data.augmentation(evidence),
        lambda: photos.gallery(evidence, album, shown),
        lambda: provenance.times(evidence),
        lambda: provenance.configuration(evidence),
    ]
    sections = []
    with progress("report", len(makers)) as show:
        for done, make in enumerate(makers, 1):
            sections.append(make())
            show(done)
    return [section for section in sections if section.blocks]


def _tested(evidence: Evidence) -> bool:
    """Whether there are predictions of a test set."""
    return len(evidence.run.competition.test) > 0 and (evidence.focus.path.parent / "test.csv").is_file()


def _render(evidence: Evidence, sections: list[Section]) -> str:
    run = evidence.run.settings.run
    counts = f"{len(evidence.run.competition.train)} training and {len(evidence.run.competition.test)} test images"
    subtitle = f"{counts}, {len(evidence.focus.classes)} classes. Made {datetime.now():%Y-%m-%d %H:%M}."
    page = environment().get_template("report.html")
    return page.render(title=f"Report of {run}", subtitle=subtitle, sections=sections)
