import json
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from benchmarks.speed import gpu, on_gpu
from benchmarks.speed.flops import flops, training_flops
from benchmarks.speed.ours import chip
from benchmarks.speed.peaks import PEAKS, PRECISIONS, find_peak

from benchmarks import processes
from ripik.models.backbone import build_backbone
from ripik.training.network import build_trained_part

CASE = on_gpu.Case("finetuning", 224, "float32")


def measured(chain: list[float], **others: list[float]) -> dict[str, Any]:
    return {"rates": {"chain": chain, **others}, "flops": 2e9, "precision": "float32"}


def finished(rc: int, output: str) -> processes.Finished:
    return processes.Finished(1.0, 0.0, 0.0, rc, output)


def test_operations_of_single_layers_are_those_counted_by_hand() -> None:
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    convolved = layers.Conv2D(5, 3, strides=2, padding="same")(inputs)
    by_channel = layers.DepthwiseConv2D(3, padding="valid")(convolved)
    outputs = layers.Dense(6)(layers.Flatten()(by_channel))
    by_hand = 4 * 4 * 5 * (3 * 3 * 3), 2 * 2 * 5 * (3 * 3), 2 * 2 * 5 * 6
    assert flops(keras.Model(inputs, convolved)) == 2 * by_hand[0]
    assert flops(keras.Model(inputs, outputs)) == 2 * sum(by_hand)
    assert training_flops(keras.Model(inputs, outputs)) == 6 * sum(by_hand)


def test_efficientnet_computes_what_is_published() -> None:
    backbone = build_backbone("EfficientNetB0", 224)
    assert flops(backbone) == pytest.approx(2 * 0.39e9, rel=0.02)  # Tan & Le 2019, table 2
    whole = build_trained_part((224, 224, 3), backbone, 6, dropout=0.2, seed=0)
    assert flops(whole) == flops(backbone) + 2 * 1280 * 6


@pytest.mark.parametrize(
    ("name", "sheet", "float32", "sixteen"),
    [
        ("Tesla T4", "T4", 8.1, 65),
        ("Tesla P100-PCIE-16GB", "P100 PCIe", 9.3, 18.7),
        ("Tesla V100-SXM2-32GB", "V100 SXM2", 15.7, 125),
        ("NVIDIA A100-SXM4-40GB", "A100", 156, 312),
        ("NVIDIA A100 80GB PCIe", "A100", 156, 312),
        ("NVIDIA H100 80GB HBM3", "H100 SXM", 494.5, 989.5),
        ("NVIDIA GeForce RTX 4090", "RTX 4090", 82.6, 165.2),
    ],
)
def test_a_chip_is_found_by_the_name_its_driver_gives(name: str, sheet: str, float32: float, sixteen: float) -> None:
    found = find_peak(name)
    assert found
    assert (found.chip, found.of("float32"), found.of("mixed_float16")) == (sheet, float32, sixteen)
    assert found.of("mixed_bfloat16") == (sixteen if found.ampere else None)


@pytest.mark.parametrize(
    "name", ["", "NVIDIA A10G", "NVIDIA L40", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA GeForce RTX 4090 Laptop GPU"]
)
def test_a_chip_that_is_not_in_the_table_is_taken_for_no_other(name: str) -> None:
    assert find_peak(name) is None


def test_the_chip_of_the_backend_multiplies_matrices() -> None:
    found = chip.chip()
    assert found["backend"].startswith(keras.backend.backend())
    assert found["gpu"] == (found["chip"] is not None)
    assert 0 < chip.matmul_tflops(64, 0.01, "float32") < 1000


def test_16_bits_are_never_slower() -> None:
    assert all(peak.float32 < peak.sixteen for peak in PEAKS)
    assert set(PRECISIONS) >= set(on_gpu.FULL.precision)


def test_shares_are_of_the_published_peak_and_else_of_the_product() -> None:
    known, unknown = on_gpu.Peaks("T4", 65.0, 40.0), on_gpu.Peaks("", None, 40.0)
    assert (known.judge, unknown.judge) == (65, 40)
    assert str(known) == "65 TFLOP/s published for the T4; 40 TFLOP/s by a product of matrices"
    assert "none published" in str(unknown)


def test_a_row_is_of_the_fastest_batch_and_the_fastest_bare_step() -> None:
    found = {
        64: measured([10.0, 20.0], a=[90.0, 90.0]),
        32: measured([200.0, 100.0], a=[200.0, 200.0], b=[400.0, 400.0]),
    }
    row = on_gpu.row_of(CASE, found, on_gpu.Peaks("", None, 10.0))
    assert row.ours == "150 images/s (3.0%)"  # 150 × 2 GFLOP of 10 TFLOP/s
    assert row.peer == "400 images/s (8.0%)"
    assert str(row.ratio) == "0.375 (0.25–0.5)"
    assert "batches of 32, the best of those tried (images/s by batch: 64: 15.0, 32: 150)" in row.note
    assert "bare step: b; 2 GFLOP" in row.note


def test_batches_hold_about_as_many_pixels_at_every_size() -> None:
    assert on_gpu.batch_sizes(CASE) == [512, 256, 128, 64, 32, 16, 8]
    assert on_gpu.batch_sizes(on_gpu.Case("finetuning", 512, "float32"))[0] == 128
    assert on_gpu.batch_sizes(on_gpu.Case("passes", 2048, "float32")) == [16, 8]
    assert on_gpu.batch_sizes(on_gpu.Case("finetuning", 9999, "float32")) == [8]


@pytest.mark.parametrize("full", [finished(1, "… RESOURCE_EXHAUSTED: Out of memory"), finished(-signal.SIGKILL, "")])
def test_smaller_batches_are_tried_until_one_is_slower(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, full: processes.Finished
) -> None:
    rates, asked = {256: 90.0, 128: 100.0, 64: 80.0}, []

    def child(self: on_gpu.OnGpu, script: str, *options: Any, check: bool = True) -> processes.Finished:
        batch = options[options.index("--batch-size") + 1]
        asked.append(batch)
        return finished(0, json.dumps(measured([rates[batch]], a=[100.0]))) if batch in rates else full

    monkeypatch.setattr(on_gpu.OnGpu, "child", child)
    row = on_gpu.OnGpu(on_gpu.FULL, tmp_path).row(CASE, on_gpu.Peaks("", None, 1.0))
    assert asked == [512, 256, 128, 64]
    assert row.value == 100


def test_another_failure_is_no_want_of_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(on_gpu.OnGpu, "child", lambda *_, **__: finished(1, "ValueError: broken"))
    with pytest.raises(RuntimeError, match="broken"):
        on_gpu.OnGpu(on_gpu.FULL, tmp_path).row(CASE, on_gpu.Peaks("", None, 1.0))


def test_without_a_gpu_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--folder", str(tmp_path)])
    monkeypatch.setattr(
        on_gpu.OnGpu, "child", lambda *_, **__: finished(0, '{"backend": "jax 1", "gpu": false, "chip": null}')
    )
    assert gpu.main() == 3
    told = capfd.readouterr().err
    assert told == "no GPU was found by jax 1; DRY=1 (--dry-run) tries the command without one\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--only=heads", "--precision=float64", "--sizes=big"])
def test_a_typo_in_an_option_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", option])
    with pytest.raises(SystemExit):
        gpu.main()
    assert option.split("=")[1] in capfd.readouterr().err


@pytest.mark.long
def test_a_dry_run_writes_its_page_into_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = on_gpu.OnGpu.child

    def child(self: on_gpu.OnGpu, script: str, *options: Any, check: bool = True) -> processes.Finished:
        told = finished(0, '{"backend": "tensorflow 2", "gpu": false, "chip": null, "tflops": 0.1}')
        return told if script == "chip" else whole(self, script, *options, check=check)

    monkeypatch.setattr(on_gpu.OnGpu, "child", child)
    choice = ["--dry-run", "--only", "tta", "--sizes", "32", "--precision", "mixed_float16", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["gpu", *choice])
    assert gpu.main() == 0
    page, stored = (tmp_path / f"dry-run-tta.{ending}" for ending in ("md", "json"))
    assert page.read_text().startswith("# DRY RUN: ")
    (row,) = json.loads(stored.read_text())["rows"]
    assert row["what"] == "prediction through two views, identity and hflip, 32 pixels, mixed_float16"
    assert row["value"] > 0
    assert row["ratio"]["median"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {page.name, stored.name, "pixels"}
