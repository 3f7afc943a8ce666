import io
import stat
import zipfile
from pathlib import Path

import pytest

from ripik.data.archives import Budget, DamagedArchiveError, budget_for, files_in, is_inside, unpack
from ripik.errors import InputError, SurroundingsError

PLENTY = 10**6


def zipped(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def unpacked(tmp_path: Path, data: bytes, budget: Budget | None = None) -> dict[str, bytes]:
    archive, folder = tmp_path / "a.zip", tmp_path / "inside" / "out"
    archive.write_bytes(data)
    folder.mkdir(parents=True)
    unpack(archive, folder, budget or Budget(PLENTY))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_in(folder)}


def test_archives_in_archives_become_folders(tmp_path: Path) -> None:
    inner = zipped({"images/1.jpg": b"one", "deep.ZIP": zipped({"x.csv": b"x"})})
    found = unpacked(tmp_path, zipped({"d/train.zip": inner, "d/train/a.csv": b"a", "e/": b""}))
    assert found == {"d/train.zip/images/1.jpg": b"one", "d/train.zip/deep.ZIP/x.csv": b"x", "d/train/a.csv": b"a"}


def test_backslashes_separate_and_leftovers_of_systems_are_not_unpacked(tmp_path: Path) -> None:
    content = {"train\\images\\1.jpg": b"1", "__MACOSX/train/._1.jpg": b"?", "train/.DS_Store": b"?"}
    assert unpacked(tmp_path, zipped(content)) == {"train/images/1.jpg": b"1"}


def test_an_entry_that_ends_with_a_backslash_is_a_folder(tmp_path: Path) -> None:
    content = {"train\\images\\": b"", "train\\images\\1.jpg": b"1", "empty\\": b""}
    assert unpacked(tmp_path, zipped(content)) == {"train/images/1.jpg": b"1"}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "C:/evil"])
def test_nothing_lands_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="points outside"):
        unpacked(tmp_path, zipped({"good": b"1", name: b"2"}))
    assert [path.name for path in files_in(tmp_path)] == ["a.zip"]


def test_an_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO(zipped({"good": b"1"}))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"")
    with pytest.raises(InputError, match="the entry '' points outside"):
        unpacked(tmp_path, buffer.getvalue())


def test_a_link_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        unpacked(tmp_path, buffer.getvalue())


def test_the_budget_bounds_all_levels_together(tmp_path: Path) -> None:
    inner = zipped({"zeros": bytes(600)})
    data = zipped({"1.zip": inner, "2.zip": inner})
    assert len(unpacked(tmp_path, data, Budget(1200 + 2 * len(inner)))) == 2
    (tmp_path / "again").mkdir()
    with pytest.raises(InputError, match=r"2\.zip unpacks to"):
        unpacked(tmp_path / "again", data, Budget(1199 + 2 * len(inner)))


def test_the_number_of_files_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 files"):
        unpacked(tmp_path, zipped({str(i): b"" for i in range(3)}), Budget(PLENTY, files=2))


def test_a_forged_size_does_not_pass_the_budget(tmp_path: Path) -> None:
    data = zipped({"zeros": bytes(5000)})
    forged = data.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert forged != data
    with pytest.raises(DamagedArchiveError):
        unpacked(tmp_path, forged, Budget(100))
    assert sum(path.stat().st_size for path in files_in(tmp_path / "inside")) <= 10


def test_endless_nesting_ends(tmp_path: Path) -> None:
    data = zipped({"end": b""})
    for _ in range(5):
        data = zipped({"again.zip": data})
    with pytest.raises(InputError, match="nested more than 4"):
        unpacked(tmp_path, data)


def test_the_default_budget_grows_with_the_archive(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1")
    with large.open("wb") as file:
        file.truncate(2**30)
    assert budget_for([small]).size == 2**30
    assert budget_for([small, large]).size == 50 * (2**30 + 1)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 99})
    monkeypatch.setattr("ripik.data.archives.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(SurroundingsError, match="needs 100 bytes"):
        unpacked(tmp_path, zipped({"zeros": bytes(100)}))


@pytest.mark.parametrize("harm", [lambda data: data[:-30], lambda data: b"no zip", lambda data: b"", "flip"])
def test_damage_is_noticed(tmp_path: Path, harm: object) -> None:
    data = bytearray(zipped({"1.jpg": bytes(range(256)) * 4}))
    if callable(harm):
        data = harm(data)
    else:
        data[60] ^= 0xFF
    with pytest.raises(DamagedArchiveError, match=r"a\.zip is damaged"):
        unpacked(tmp_path, bytes(data))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_damage_inside_is_noticed_whatever_the_method(tmp_path: Path, method: int) -> None:
    buffer, content, noticed = io.BytesIO(), bytes(range(256)) * 40, 0
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("1.jpg", content)
    for at in range(40, 80):
        data = bytearray(buffer.getvalue())
        data[at] ^= 0xFF
        (tmp_path / str(at)).mkdir()
        try:  # LZMA's header has bytes that mean nothing
            assert unpacked(tmp_path / str(at), bytes(data)) == {"1.jpg": content}
        except DamagedArchiveError:
            noticed += 1
    assert noticed > 30


def test_a_name_that_is_no_text_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedArchiveError, match=r"a\.zip is damaged"):
        unpacked(tmp_path, zipped({"é.jpg": b"1"}).replace("é".encode(), b"\xff\xfe"))


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128, "folder/" * 800 + "x"])
def test_a_name_too_long_for_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="has a name too long"):
        unpacked(tmp_path, zipped({name: b"1"}))


def test_the_longest_names_are_unpacked(tmp_path: Path) -> None:
    assert unpacked(tmp_path, zipped({"é" * 127: b"1"})) == {"é" * 127: b"1"}


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\x1f\x8b\x08\0", "gzip"), (b"7z\xbc\xaf\x27", "7z"), (b"Rar!\x1a", "RAR"), (b"BZh9", "bzip2")],
)
def test_archives_of_other_kinds_are_named(tmp_path: Path, start: bytes, kind: str) -> None:
    with pytest.raises(InputError, match=f"is a {kind} archive, but only zip"):
        unpacked(tmp_path, start + bytes(99))


def test_a_cut_archive_is_not_read_as_the_one_inside_it(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("other.csv", b"1")
        archive.writestr("inner.zip", zipped({"a": b"1"}))
    with pytest.raises(DamagedArchiveError, match="its end is missing"):
        unpacked(tmp_path, buffer.getvalue()[:-40])


def test_the_same_entry_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twice"):
        unpacked(tmp_path, zipped({"a\\b": b"1", "a/b": b"2"}))
    with pytest.raises(InputError, match="twice"):
        unpacked(tmp_path / "inside", zipped({"a": b"1", "a/b": b"2"}))


def test_a_password_is_said(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": b"1"}))
    central = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[central + 8] |= 1
    with pytest.raises(InputError, match="password"):
        unpacked(tmp_path, bytes(data))


def test_names_inside_a_folder() -> None:
    assert all(is_inside(name) for name in ("1.jpg", "a/b.jpg", "a..b/c", "..a"))
    assert not any(is_inside(name) for name in ("", ".", "/a", "../a", "a/../b", "C:a"))
