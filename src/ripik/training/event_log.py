"""TensorBoard's scalars of a training, written without TensorFlow."""

import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class EventLog:
    """One events file; every record is written out at once, so that nothing of a killed training is lost."""

    def __init__(self, folder: Path, step: int = 0) -> None:
        """Log into a new file of the folder; a resumed training says after how many optimizer steps.

        TensorBoard then forgets what an earlier session logged of later steps, which are done again (the START record
        of `tensorflow/core/util/event.proto`).
        """
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{time.time():010.0f}.{os.uname().nodename}.{os.getpid()}"
        names = (folder / f"{stem}.{number}.v2" for number in itertools.count())
        self.path = next(name for name in names if not name.exists())
        self._write(Event(file_version="brain.Event:2"))
        if step:
            self._write(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Log numbers as `<group>/<name>` at an optimizer step, or an epoch (from 1)."""
        summary = [Summary.Value(tag=f"{group}/{name}", simple_value=value) for name, value in values.items()]
        self._write(Event(step=step, summary=Summary(value=summary)))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with self.path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())
