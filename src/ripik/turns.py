"""Two commands at once on one run: what both would write, one writes after the other; trainings go side by side."""

from collections.abc import Iterator
from contextlib import contextmanager

from ripik.presence import present, refuse_if_at_work
from ripik.storage.paths import Layout


@contextmanager
def turn(layout: Layout, step: str) -> Iterator[None]:
    """Be the only command that writes what all of the run's trainings share, while the block runs.

    Waits for another command that is at it, and says for whom. Turns of one process may be nested.
    """
    with present(layout.at_work, str(layout.run), note=step, wait=True):
        yield


def refuse_while_training(layout: Layout, what: str) -> None:
    """Raise SurroundingsError when a process, here or on another host, is at work on one of the run's trainings."""
    for path in sorted(layout.at_work.parent.glob("*.json")):
        if path != layout.at_work:
            refuse_if_at_work(path, f"{what} would change under {path.stem}, which")
