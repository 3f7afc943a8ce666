"""The step `plan`: real rehearsals of the tiny competition's parts, which leave nothing behind."""

import pytest

from conftest import Tiny, ripik
from ripik.monitoring.plan import plan


@pytest.mark.long
def test_a_plan_measures_every_part_and_changes_nothing(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tiny.settings("augmentation.copies=2", "jobs.jobs=2", "blend.methods=['equal','convex']")
    found = plan(settings, ["augmented"], devices=[3], machines=[2], images=[50_000])
    assert list((tiny.folder / "output").iterdir()) == []
    costs = found.costs
    assert min(costs.command, costs.process, costs.weights, costs.blend.seconds(1000)) > 0
    assert min(costs.split.seconds(1000), costs.deal.seconds(100_000)) > 0
    assert costs.pixels[32].each > 0
    assert costs.copies[32].each > 0
    (passes,) = costs.passes.values()
    assert passes.each > 0
    job = costs.jobs["augmented"]
    assert job.fixed > 0
    assert job.step > 0
    assert job.memory > 100 * 2**20
    assert found.seconds == pytest.approx(sum(part.seconds(2) for part in found.parts))
    told = capsys.readouterr().out
    for text in ("27 training and 6 test images", "50,000", "3 devices", "2 machines", "frozen passes", "augmented"):
        assert text in told
    assert "is rebuilt" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0"], "'0' is not a whole number of at least 1"),
        (["--devices", "two"], "'two' is not a whole number of at least 1"),
        (["--variants", "finetund"], "finetuned"),
        (["--set", "competition.root=nowhere"], "competition.root = nowhere does not exist"),
    ],
)
def test_what_cannot_be_planned_is_refused_at_once(tiny: Tiny, arguments: list[str], message: str) -> None:
    done = ripik(tiny, "plan", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_weights_that_are_not_there_are_told_before_anything_is_measured(tiny: Tiny) -> None:
    done = ripik(tiny, "plan", "--set", "network.weights=no.h5")
    assert (done.returncode, "there is no file no.h5" in done.stderr) == (2, True)
