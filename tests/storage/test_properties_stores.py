"""Stores and meta files: any rows come back, and no damage is read in silence."""

import contextlib
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ripik.errors import SurroundingsError
from ripik.storage import artifacts
from ripik.storage.packed_array import HEADER, checksums_path, is_packed, packing
from ripik.storage.packed_rows import PackedRows

EFFORT = effort(derandomize=True, deadline=None, database=None, max_examples=100)
FEW = effort(EFFORT, max_examples=40)
SEEDS = st.integers(0, 2**31 - 1)

INPUTS, MAKER = {"what": "rows"}, {"engine": "own"}
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
TYPES = st.sampled_from(["uint8", "int64", "float16", "float32", "float64", ">f4", "<i2", "bool"])


def rows_of(seed: int, count: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    size = count * math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 256, size, np.uint8)
    return raw.view(dtype).reshape(count, *shape)


def pack(path: Path, rows: np.ndarray, parts: list[int], interrupted: bool) -> None:
    """Write the missing rows in runs that end where `parts` says, the last of them first; or only half of the runs."""
    with packing(path, len(rows), rows.shape[1:], rows.dtype.str, inputs=INPUTS, maker=MAKER) as making:
        ends = sorted({*(part % len(rows) for part in parts), len(rows)} - {0})
        runs = list(zip([0, *ends], ends, strict=False))[::-1]
        for start, end in runs[: len(runs) // 2] if interrupted else runs:
            if set(making.missing()) & set(range(start, end)):
                making.write(start, rows[start:end])
        if interrupted:
            raise KeyboardInterrupt


@FEW
@given(SEEDS, st.integers(1, 9), SHAPES, TYPES, st.lists(st.integers(0, 100), max_size=4), st.booleans())
def test_packed_rows_of_any_kind_come_back(tmp_path_factory, seed, count, shape, dtype, parts, interrupted) -> None:
    path, rows = tmp_path_factory.mktemp("packed") / "any.npy", rows_of(seed, count, shape, dtype)
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            pack(path, rows, parts, interrupted=True)
        assert not path.exists()
    pack(path, rows, parts, interrupted=False)
    assert is_packed(path, INPUTS, count)
    assert not is_packed(path, INPUTS, count + 1)
    order = np.random.default_rng(seed).integers(0, count, 12)
    found = PackedRows([path]).read(order)
    assert (found.dtype, found.shape) == (rows.dtype, (12, *shape))
    assert found.tobytes() == rows[order].tobytes()
    assert np.load(path, allow_pickle=False).tobytes() == rows.tobytes()


@FEW
@given(SEEDS, st.integers(0, 10**6), st.integers(1, 255), st.sampled_from(["rows", "sums", "meta"]))
def test_a_changed_byte_is_never_read_in_silence(tmp_path_factory, seed, at, change, where) -> None:
    path, rows = tmp_path_factory.mktemp("flipped") / "any.npy", rows_of(seed, 5, (3, 2), "float32")
    pack(path, rows, [2], interrupted=False)
    file = {"rows": path, "sums": checksums_path(path), "meta": artifacts.meta_beside(path)}[where]
    content = bytearray(file.read_bytes())
    content[at % len(content)] ^= change
    file.write_bytes(bytes(content))
    read = None
    with contextlib.suppress(SurroundingsError):
        if is_packed(path, INPUTS, 5):
            read = PackedRows([path]).read(np.arange(5))
    assert read is None or read.tobytes() == rows.tobytes()
    assert read is None or where == "meta" or at % len(content) < HEADER or where == "sums"
    if not is_packed(path, INPUTS, 5):  # as the next run does
        pack(path, rows, [], interrupted=False)
    assert is_packed(path, INPUTS, 5)
    assert PackedRows([path]).read(np.arange(5)).tobytes() == rows.tobytes()


@FEW
@given(SEEDS, st.integers(0, 400), st.sampled_from(["rows", "sums", "meta"]))
def test_a_file_cut_anywhere_is_never_read_in_silence(tmp_path_factory, seed, length, where) -> None:
    path, rows = tmp_path_factory.mktemp("cut") / "any.npy", rows_of(seed, 5, (3, 2), "float32")
    pack(path, rows, [2], interrupted=False)
    file = {"rows": path, "sums": checksums_path(path), "meta": artifacts.meta_beside(path)}[where]
    content = file.read_bytes()
    file.write_bytes(content[: length % len(content)])
    assert not is_packed(path, INPUTS, 5)
    pack(path, rows, [], interrupted=False)
    assert PackedRows([path]).read(np.arange(5)).tobytes() == rows.tobytes()


@FEW
@given(st.lists(st.text(max_size=5), max_size=4), st.integers(0, 10**6), st.integers(1, 127))
def test_a_changed_meta_file_vouches_for_nothing(tmp_path_factory, texts, at, change) -> None:
    folder = tmp_path_factory.mktemp("meta")
    path, inputs = folder / "a.csv", {"texts": texts}
    with artifacts.making(artifacts.meta_beside(path), inputs, [path]):
        artifacts.write_text(path, "".join(texts))
    meta = artifacts.meta_beside(path)
    assert artifacts.is_fresh(meta, inputs)
    before = artifacts.read_meta(meta)
    content = bytearray(meta.read_bytes())
    content[at % len(content)] ^= change
    meta.write_bytes(bytes(content))
    told = artifacts.read_meta(meta)
    assert told is None or told == before  # white space may differ
    shutil.rmtree(folder)
