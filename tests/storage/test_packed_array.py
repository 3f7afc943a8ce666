from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripik.errors import SurroundingsError
from ripik.storage import artifacts, packed_array
from ripik.storage.packed_array import HEADER, Unfinished, checksums_path, is_packed, packing
from ripik.storage.packed_rows import PackedRows

INPUTS, MAKER = {"what": "rows", "size": (4, 3)}, {"engine": "own"}


def values(count, dtype="uint8", shape=(4, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 200, (count, *shape)).astype(dtype)


def make(path, rows, inputs=INPUTS, maker=MAKER):
    """Write what is missing of `rows`; return which row numbers that were."""
    with packing(path, len(rows), rows.shape[1:], rows.dtype.str, inputs=inputs, maker=maker) as making:
        missing = making.missing()
        for row in missing:
            making.write(row, rows[row : row + 1])
    return missing.tolist()


def make_some(path, rows, order):
    """Write some rows, then be interrupted."""
    with packing(path, len(rows), rows.shape[1:], "uint8", inputs=INPUTS, maker=MAKER) as making:
        for row in order:
            making.write(row, rows[row : row + 1])
        raise KeyboardInterrupt


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_what_is_written_is_read_in_any_order(tmp_path, dtype):
    path, rows = tmp_path / "a.npy", values(7, dtype)
    assert make(path, rows) == list(range(7))
    order = np.array([3, 0, 6, 6, 1])
    found = PackedRows([path]).read(order)
    assert found.dtype == rows.dtype
    np.testing.assert_array_equal(found, rows[order])
    assert len(PackedRows([path]).read(np.array([], int))) == 0


def test_numpy_reads_the_file_too(tmp_path):
    make(tmp_path / "a.npy", values(5, "float32"))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values(5, "float32"))


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 6))
def test_the_order_of_writing_and_an_interruption_leave_the_same_bytes(tmp_path_factory, order, stop):
    folder, rows = tmp_path_factory.mktemp("packed"), values(6)
    make(folder / "plain.npy", rows)
    path = folder / "other.npy"
    with pytest.raises(KeyboardInterrupt):
        make_some(path, rows, order[:stop])
    assert not path.exists()
    assert not is_packed(path, INPUTS, 6)
    assert make(path, rows) == sorted(order[stop:])
    assert path.read_bytes() == (folder / "plain.npy").read_bytes()
    assert checksums_path(path).read_bytes() == checksums_path(folder / "plain.npy").read_bytes()


@pytest.mark.parametrize("change", [{"inputs": {"what": "others"}}, {"maker": {"engine": "another"}}])
def test_rows_of_other_inputs_or_of_another_maker_are_not_kept(tmp_path, change):
    path = tmp_path / "a.npy"
    make(path, values(4))
    assert make(path, values(4, seed=1), **change) == [0, 1, 2, 3]
    np.testing.assert_array_equal(np.load(path), values(4, seed=1))


def test_a_file_grows_and_keeps_its_rows(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(9)[:4])
    assert is_packed(path, INPUTS, 4)
    assert not is_packed(path, INPUTS, 9)
    assert make(path, values(9)) == [4, 5, 6, 7, 8]
    assert make(path, values(9)[:4]) == []
    assert is_packed(path, INPUTS, 9)
    np.testing.assert_array_equal(np.load(path), values(9))


def test_files_are_read_one_after_the_other(tmp_path):
    make(tmp_path / "a.npy", values(3))
    make(tmp_path / "b.npy", values(5, seed=1))
    both = PackedRows([tmp_path / "a.npy", tmp_path / "b.npy"])
    assert len(both) == 8
    np.testing.assert_array_equal(both.read(np.arange(8)), np.concatenate([values(3), values(5, seed=1)]))
    with pytest.raises(IndexError):
        both.read(np.array([8]))


def test_an_interrupted_growth_is_not_taken_for_whole(tmp_path):
    """Fewer rows asked for afterwards are there; the many that were begun are not."""
    path = tmp_path / "a.npy"
    make(path, values(9)[:3])
    with pytest.raises(KeyboardInterrupt):
        make_some(path, values(9), [3, 8])
    assert make(path, values(9)[:4]) == []
    assert is_packed(path, INPUTS, 4)
    assert not is_packed(path, INPUTS, 9)
    assert make(path, values(9)) == [4, 5, 6, 7]
    np.testing.assert_array_equal(PackedRows([path]).read(np.arange(9)), values(9))


@pytest.mark.parametrize("moment", ["set_aside", "_forget_lost_rows", "header_bytes", "write_meta"])
def test_a_crash_while_taking_up_or_finishing_loses_no_row(tmp_path, monkeypatch, moment):
    path = tmp_path / "a.npy"
    make(path, values(9)[:5])

    def crash(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(artifacts if moment == "write_meta" else packed_array, moment, crash)
        with pytest.raises(KeyboardInterrupt):
            make(path, values(9))
    assert make(path, values(9)) == ([] if moment == "write_meta" else [5, 6, 7, 8])
    np.testing.assert_array_equal(PackedRows([path]).read(np.arange(9)), values(9))


def test_a_crash_between_the_renames_loses_no_row(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    replace = Path.replace

    def crash(self, target):
        if target == path:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            make(path, values(5))
    assert not is_packed(path, INPUTS, 5)
    assert make(path, values(5)) == []
    assert is_packed(path, INPUTS, 5)


def test_an_unreadable_meta_file_is_as_good_as_none(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(3))
    artifacts.meta_beside(path).write_text('{"inp')
    assert not is_packed(path, INPUTS, 3)
    assert make(path, values(3)) == [0, 1, 2]


def test_a_late_writer_for_other_inputs_cannot_touch_the_file(tmp_path):
    path = tmp_path / "a.npy"
    entered = packing(path, 3, (4, 3), "uint8", inputs={"what": "before"}, maker=MAKER)
    before = entered.__enter__()
    make(path, values(3))
    with pytest.raises(FileNotFoundError):
        before.write(0, values(3, seed=9)[:1])
    np.testing.assert_array_equal(np.load(path), values(3))


def test_a_full_disk_is_told_with_the_files_name(tmp_path):
    unfinished = Unfinished(tmp_path / "a.npy", 2, (3,), "|u1", "key")
    unfinished.rows.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as raised:
        unfinished.write(0, np.ones((1, 3), "uint8"))
    assert raised.value.filename == str(unfinished.rows)


@pytest.mark.parametrize("damage", [b"", b"xxxx", b"\x93NUMPY\x01\x00\xf6\x00{'descr'"])
def test_a_damaged_header_is_told_and_heals(tmp_path, damage):
    path = tmp_path / "a.npy"
    make(path, values(5))
    content = path.read_bytes()
    path.write_bytes(damage + b" " * (HEADER - len(damage)) + content[HEADER:] if damage else b"")
    if damage:
        with pytest.raises(SurroundingsError, match=r"header of .* is damaged"):
            PackedRows([path])
    assert not is_packed(path, INPUTS, 5)
    assert make(path, values(5)) == ([] if damage else [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(np.load(path), values(5))


def test_every_reader_of_a_damaged_row_gets_the_same_message(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(5))
    readers = [PackedRows([path]) for _ in range(3)]
    content = bytearray(path.read_bytes())
    content[HEADER] ^= 1
    path.write_bytes(content)
    for reader in readers:
        with pytest.raises(SurroundingsError, match="does not match its checksum"):
            reader.read(np.arange(5))
    assert make(path, values(5)) == [0]


@pytest.mark.parametrize("meta", ["{}", "[]", "null", '{"inputs": 3}', '{"inputs": {}, "outputs": []}'])
def test_a_meta_file_that_is_none_of_ours_says_nothing(tmp_path, meta):
    path = tmp_path / "a.npy"
    make(path, values(3))
    artifacts.meta_beside(path).write_text(meta)
    assert not is_packed(path, INPUTS, 3)
    assert make(path, values(3)) == [0, 1, 2]


def test_a_folder_in_the_place_of_the_file_does_not_pass(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(3))
    path.unlink()
    path.mkdir()
    assert not is_packed(path, INPUTS, 3)


def test_all_damaged_rows_are_found_at_once(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(8))
    content = bytearray(path.read_bytes())
    content[HEADER + 24 : HEADER + 60] = b"x" * 36
    path.write_bytes(content)
    with pytest.raises(SurroundingsError, match="3 of its 8 rows"):
        PackedRows([path]).read(np.arange(8))
    assert make(path, values(8)) == [2, 3, 4]


def test_a_flipped_byte_is_told_and_only_its_row_made_again(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(5))
    content = bytearray(path.read_bytes())
    content[HEADER + 2 * 12 + 7] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(PackedRows([path]).read(np.array([0, 1, 3, 4])), values(5)[[0, 1, 3, 4]])
    with pytest.raises(SurroundingsError, match=r"row 2 of .*a\.npy .*damaged"):
        PackedRows([path]).read(np.array([1, 2]))
    assert not is_packed(path, INPUTS, 5)
    assert make(path, values(5)) == [2]
    np.testing.assert_array_equal(PackedRows([path]).read(np.arange(5)), values(5))


def test_a_file_cut_short_is_told_and_what_is_lost_made_anew(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(5))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SurroundingsError, match=r"a\.npy is cut short"):
        PackedRows([path])
    assert make(path, values(5)) == [4]
    np.testing.assert_array_equal(PackedRows([path]).read(np.arange(5)), values(5))


def test_a_file_taken_away_is_made_anew_whatever_its_records_say(tmp_path):
    path = tmp_path / "a.npy"
    make(path, values(5))
    path.unlink()
    assert not is_packed(path, INPUTS, 5)
    assert make(path, values(5)) == [0, 1, 2, 3, 4]


def test_a_row_left_out_is_a_bug_not_a_file(tmp_path):
    path = tmp_path / "a.npy"
    with (
        pytest.raises(RuntimeError, match="were not written"),
        packing(path, 2, (3,), "uint8", inputs=INPUTS, maker=MAKER) as making,
    ):
        making.write(0, np.ones((1, 3), "uint8"))
    assert not path.exists()


def test_rows_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected"):
        Unfinished(tmp_path / "a.npy", 2, (3,), "uint8", "key").write(0, np.ones((1, 4), "uint8"))


def test_the_meta_file_tells_what_made_the_rows(tmp_path):
    make(tmp_path / "a.npy", values(2))
    meta = artifacts.read_json(tmp_path / "a.meta.json")
    assert meta["inputs"] == artifacts.as_json(INPUTS)
    assert meta["maker"] == MAKER
    assert meta["outputs"]["a.crc32"] == artifacts.file_digest(tmp_path / "a.crc32")
