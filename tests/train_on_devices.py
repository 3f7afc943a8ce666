"""Train one job in this process on so many virtual devices of the CPU, once for every one of its ends.

python train_on_devices.py DEVICES END,… CONFIG VARIANT OVERRIDE…    END: done, or stopped, as by SIGTERM, in epoch 2

What was done before the last one is left beside it, in a folder named `whole`.
"""

import os
import signal
import sys
from pathlib import Path

from ripik.execution import environment
from ripik.models import backend
from ripik.splits.run import Run
from ripik.training.jobs import Training


def split_cpu(devices: int) -> None:
    """Have the backend take the CPU for several devices."""
    environment.prepare_environment(2)
    if os.environ.get("KERAS_BACKEND") == "jax":
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        return
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)


def main() -> None:
    """Train, as a job's process does."""
    devices, ends, config, variant, *overrides = sys.argv[1:]
    split_cpu(int(devices))
    from ripik.config import load_settings
    from ripik.storage.paths import Job
    from ripik.training.trainer import train

    run, stopped = Run.open(load_settings(Path(config), overrides)), False

    def report(done: float, total: int, note: str = "") -> None:
        if stopped and 1 < done < 2:
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    assert len(backend.devices()) == int(devices)
    for end in ends.split(","):
        training, stopped = Training(run, Job(variant, 0)), end == "stopped"
        if training.folder.exists() and training.is_trained:
            training.folder.rename(training.folder.with_name("whole"))
        train(Training(run, Job(variant, 0)), report)


if __name__ == "__main__":
    main()
