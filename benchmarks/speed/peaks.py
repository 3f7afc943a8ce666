"""Published peaks of GPUs: dense TFLOP/s of matrix products, by the name that the driver gives the chip.

Source: NVIDIA's data sheets of P100, V100, T4, A100, A10, L4, H100 and H200, its white papers on the GA102 (RTX 3090)
and the AD102 (RTX 4090); half of what a sheet tells for sparse matrices. float32 is TF32 on chips that have it, since
TensorFlow and JAX compute so by default; products of 16 bits are summed in float32, by tensor cores if there are any.

Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")  # dtype policies of Keras


@dataclass(frozen=True)
class Peak:
    """A chip as its sheet names it, the pattern of its driver's name, and its TFLOP/s in either width."""

    chip: str
    pattern: str
    float32: float
    sixteen: float
    ampere: bool = True  # or newer: TF32, and bfloat16 as quick as float16

    def of(self, precision: str) -> float | None:
        """Return the TFLOP/s under a dtype policy; None where the sheet tells none."""
        if precision == "float32":
            return self.float32
        return self.sixteen if precision == "mixed_float16" or self.ampere else None


PEAKS = (
    Peak("P100 PCIe", r"P100-PCIE-\d+GB", 9.3, 18.7, ampere=False),
    Peak("P100 SXM2", r"P100-SXM2-\d+GB", 10.6, 21.2, ampere=False),
    Peak("V100 PCIe", r"V100-PCIE-\d+GB", 14.0, 112.0, ampere=False),
    Peak("V100 SXM2", r"V100-SXM[23]-\d+GB.*", 15.7, 125.0, ampere=False),
    Peak("T4", r"T4", 8.1, 65.0, ampere=False),
    Peak("A100", r"A100-(SXM4|PCIE)-\d+GB|A100 80GB PCIe", 156.0, 312.0),
    Peak("A10", r"A10", 62.5, 125.0),
    Peak("L4", r"L4", 60.0, 121.0),
    Peak("RTX 3090", r"GeForce RTX 3090", 35.6, 71.0),
    Peak("RTX 4090", r"GeForce RTX 4090", 82.6, 165.2),
    Peak("H100 SXM", r"H100 80GB HBM3", 494.5, 989.5),
    Peak("H100 PCIe", r"H100 PCIe", 378.0, 756.5),
    Peak("H100 NVL", r"H100 NVL", 417.5, 835.5),
    Peak("H200 SXM", r"H200", 494.5, 989.5),
)


def find_peak(name: str) -> Peak | None:
    """Return the published peak of a chip; None for one that is not in the table, a slice of a chip included."""
    short = re.sub(r"^((NVIDIA|Tesla) )+", "", name.strip())
    return next((peak for peak in PEAKS if re.fullmatch(peak.pattern, short)), None)
