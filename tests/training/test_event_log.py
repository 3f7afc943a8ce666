"""TensorBoard logs: TensorBoard reads them, and forgets what a killed session logged beyond its last saved state."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ripik.training.event_log import EventLog


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) by tag, as TensorBoard understands the folder's files."""
    found = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "logs")
    for epoch in (1, 2, 3):
        log.scalars("epoch", {"loss": 1 / epoch, "learning_rate": 0.1}, epoch)
    found = read(tmp_path / "logs")
    assert set(found) == {"epoch/loss", "epoch/learning_rate"}
    assert found["epoch/loss"] == [(epoch, pytest.approx(1 / epoch)) for epoch in (1, 2, 3)]
    assert len(list((tmp_path / "logs").iterdir())) == 1


def test_steps_that_are_done_again_are_shown_once(tmp_path: Path) -> None:
    first = EventLog(tmp_path)
    for step in range(1, 8):
        first.scalars("batch", {"loss": float(step)}, step)
    first.scalars("epoch", {"loss": 0.5}, 1)
    second = EventLog(tmp_path, step=4)
    for step in range(5, 10):
        second.scalars("batch", {"loss": 10.0 * step}, step)
    assert first.path != second.path
    found = read(tmp_path)
    assert found["batch/loss"] == [
        *[(step, step) for step in range(1, 5)],
        *[(step, 10 * step) for step in range(5, 10)],
    ]
    assert found["epoch/loss"] == [(1, 0.5)]


def test_everything_is_written_at_once(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    sizes = [log.path.stat().st_size]
    for step in range(3):
        log.scalars("batch", {"loss": 1.0}, step)
        sizes.append(log.path.stat().st_size)
    assert sizes == sorted(set(sizes))
