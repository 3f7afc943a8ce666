"""How the run was made: time per step, configuration, versions."""

from __future__ import annotations

from ripik import analysis
from ripik.config import to_toml
from ripik.report import charts
from ripik.report.blocks import Beside, Listing, Section, Table, drawn
from ripik.report.charts.words import duration
from ripik.report.evidence import Evidence
from ripik.storage import artifacts


def times(evidence: Evidence) -> Section:
    """Seconds of every step, as recorded when it ran."""
    found = analysis.times(evidence.folder)
    rows = [[row["step"], row["what"], duration(row["seconds"])] for row in found.to_dict("records")]
    title = "Recorded while each step ran; parallel jobs are added up"
    return Section(
        "times", "Time", [Beside([*drawn(charts.times(found)), Table(title, ["step", "what", "time"], rows)])]
    )


def configuration(evidence: Evidence) -> Section:
    """The exact configuration, and the versions that the focus was made with."""
    versions = {**artifacts.versions(), **_trained_with(evidence)}
    rows = [[name, version] for name, version in versions.items()]
    return Section(
        "configuration",
        "Configuration",
        [
            Table(
                "Versions at training time if recorded, otherwise when this report was made",
                ["package", "version"],
                rows,
            ),
            Listing("Every setting, as TOML", to_toml(evidence.run.settings)),
        ],
    )


def _trained_with(evidence: Evidence) -> dict[str, str]:
    found = evidence.members[evidence.best].meta.get("versions")
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}
