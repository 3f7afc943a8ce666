"""How fast a function goes through images."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np


def rate(function: Callable[[np.ndarray], Any], images: np.ndarray) -> Callable[[], float]:
    """Return what measures images/s of one call."""

    def measure() -> float:
        start = time.perf_counter()
        function(images)
        return len(images) / (time.perf_counter() - start)

    return measure
