"""Members of archives: what goes in comes out, bombs and contradictions do not, and no archive is half written."""

from __future__ import annotations

import functools
import io
import os
import stat
import struct
import threading
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.core import archive as module
from bridge.core.archive import ArchiveLimits, members, read_member, split, split_for_writing
from bridge.core.archive_writing import write_member
from bridge.core.request import Request
from bridge.core.unpacking import decompressed
from bridge.errors import (
    BridgeError,
    CorruptMedia,
    ForbiddenUri,
    LimitExceeded,
    MissingCodec,
    OutputFailed,
    UriError,
    UriIsDirectory,
    UriNotFound,
)
from bridge.limits import Limits
from tests.strategies import mutated

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT = b"what is in it\n" * 100
_METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
_SOME = {"a.txt": _TEXT, "cats/b.png": b"\x89PNG", "cats/deep/er/c": b"", "dog.png": b"dog"}
_FOLDERS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def _zip(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return _zip(tmp_path / "pictures.zip", _SOME)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"new content")
    return path


def _read(archive: int | str | Path, member: str, **limits: Any) -> bytes:
    with read_member(archive, member, ArchiveLimits(**limits)) as spool:
        return spool.read_at(0, spool.size + 1)


def _patch(path: Path, central: dict[int, bytes], local: dict[int, bytes] | None = None) -> None:
    """Overwrite fields of the only member's headers, in the directory and before the data."""
    data = bytearray(path.read_bytes())
    for at, fields in ((data.rindex(b"PK\x01\x02"), central), (data.index(b"PK\x03\x04"), local or {})):
        for offset, value in fields.items():
            data[at + offset : at + offset + len(value)] = value
    path.write_bytes(data)


# Reading


@pytest.mark.parametrize("method", _METHODS)
def test_a_member_is_read(tmp_path: Path, method: int) -> None:
    content = {**_SOME, "large": os.urandom(3 << 20) + bytes(2 << 20)}
    path = _zip(tmp_path / "a.zip", content, method)
    assert members(path) == list(content)
    for name, data in content.items():
        assert _read(path, name) == data


def test_by_descriptor_wherever_that_stands(pictures: Path) -> None:
    with pictures.open("rb") as file:
        file.seek(7)
        assert _read(file.fileno(), "a.txt") == _TEXT
        assert members(file.fileno()) == list(_SOME)
        assert file.tell() == 7


def test_something_in_front_of_the_archive(pictures: Path) -> None:
    pictures.write_bytes(b"#!/bin/sh\n" * 50 + pictures.read_bytes())
    assert _read(pictures, "dog.png") == b"dog"


def test_80_zip_slip_names(tmp_path: Path) -> None:
    content = {"/etc/passwd": b"1", "../../up": b"2", "a/../b": b"3", "C:\\x": b"4", "sn\u00f6/\u2603.png": b"5"}
    path = _zip(tmp_path / "a.zip", content)
    before = sorted(tmp_path.iterdir())
    assert [_read(path, name) for name in content] == list(content.values())
    assert sorted(tmp_path.iterdir()) == before


def test_82_zip_in_zip(tmp_path: Path, pictures: Path) -> None:
    path = _zip(tmp_path / "outer.zip", {"in.zip": pictures.read_bytes()}, zipfile.ZIP_STORED)
    assert _read(path, "in.zip") == pictures.read_bytes()
    with pytest.raises(UriNotFound):
        _read(path, "in.zip/a.txt")


def test_a_member_written_as_a_stream(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", _TEXT)
        archive.writestr("b", b"b")
    path = tmp_path / "a.zip"
    path.write_bytes(pipe.data)
    assert (_read(path, "a"), _read(path, "b")) == (_TEXT, b"b")


def test_a_missing_member_names_near_ones(pictures: Path) -> None:
    with pytest.raises(UriNotFound, match=r"no member 'cats/b.pmg'; it has 'cats/b\.png'"):
        _read(pictures, "cats/b.pmg")
    with pytest.raises(UriNotFound, match=r"no member 'zzz'; it has 'a\.txt', 'cats/b\.png', 'cats/deep/er/c'$"):
        _read(pictures, "zzz")


def test_an_empty_archive(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {})
    assert members(path) == []
    with pytest.raises(UriNotFound, match="it is empty"):
        _read(path, "a")


@pytest.mark.parametrize("name", ["cats", "cats/", "cats/deep", "made", "made/"])
def test_folders(pictures: Path, name: str) -> None:
    with zipfile.ZipFile(pictures, "a") as archive:
        archive.mkdir("made")
    assert "made/" not in members(pictures)
    with pytest.raises(UriIsDirectory, match="is a folder"):
        _read(pictures, name)


def test_what_is_no_archive(tmp_path: Path, unprivileged: Callable[[Callable[[], Any]], Any]) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip at all" * 99)
    with pytest.raises(CorruptMedia, match="not a zip archive"):
        _read(tmp_path / "a.zip", "a")
    with pytest.raises(UriNotFound, match="no file"):
        _read(tmp_path / "b.zip", "a")
    with pytest.raises(UriIsDirectory):
        _read(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(UriError, match="regular"):
        _read(tmp_path / "pipe.zip", "a")
    (tmp_path / "a.zip").chmod(0)
    with pytest.raises(ForbiddenUri):
        unprivileged(lambda: _read(tmp_path / "a.zip", "a"))


# Hostile archives


def test_81_zip_encrypted(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT})
    _patch(path, {8: b"\x01\x00"}, {6: b"\x01\x00"})
    with pytest.raises(ForbiddenUri, match="encrypted"):
        _read(path, "a")


@pytest.mark.parametrize("method", [9, 12345])
def test_an_unknown_compression(tmp_path: Path, method: int) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT})
    _patch(path, {10: struct.pack("<H", method)})
    with pytest.raises(MissingCodec, match=r"deflate64|method 12345"):
        _read(path, "a")


def test_75_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": bytes(11 << 20)})
    with pytest.raises(LimitExceeded, match=r"archive_ratio=1000 allows"):
        _read(path, "a")
    assert len(_read(path, "a", ratio=2000)) == 11 << 20
    small = _zip(tmp_path / "b.zip", {"a": bytes(9 << 20)})
    assert len(_read(small, "a")) == 9 << 20


def test_the_size_is_capped(pictures: Path) -> None:
    assert _read(pictures, "a.txt", bytes=len(_TEXT)) == _TEXT
    with pytest.raises(LimitExceeded, match=rf"a\.txt: {len(_TEXT)} bytes.*content={len(_TEXT) - 1}"):
        _read(pictures, "a.txt", bytes=len(_TEXT) - 1)


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("told", [10, 99_999])
def test_77_zip_lying_size(tmp_path: Path, method: int, told: int) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT * 10}, method)
    size = struct.pack("<I", told)
    _patch(path, {24: size}, {22: size})
    with pytest.raises(CorruptMedia, match=r"holds more than the 10 bytes|of 99999 bytes"):
        _read(path, "a")


def test_77_a_bomb_whose_size_lies_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _zip(tmp_path / "a.zip", {"a": bytes(50 << 20)}, zipfile.ZIP_BZIP2)
    _patch(path, {24: struct.pack("<I", 1000)})
    made: list[int] = []
    unpacked = decompressed

    def counted(*arguments: Any) -> Any:
        for piece in unpacked(*arguments):
            made.append(len(piece))
            yield piece

    monkeypatch.setattr(module, "decompressed", counted)
    with pytest.raises(CorruptMedia, match="more than the 1000 bytes"):
        _read(path, "a")
    assert sum(made) <= 1 << 20


def test_a_wrong_checksum(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT})
    _patch(path, {16: b"\x00\x01\x02\x03"})
    with pytest.raises(CorruptMedia, match="checksum"):
        _read(path, "a")


@pytest.mark.parametrize("method", _METHODS)
def test_damaged_data(tmp_path: Path, method: int) -> None:
    path = _zip(tmp_path / "a.zip", {"a": os.urandom(5000)}, method)
    data = bytearray(path.read_bytes())
    data[40:200] = bytes(b ^ 0x5A for b in data[40:200])
    path.write_bytes(data)
    with pytest.raises((CorruptMedia, LimitExceeded)):  # an LZMA header may now want too much memory
        _read(path, "a")


def test_an_lzma_dictionary_is_memory(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT}, zipfile.ZIP_LZMA)
    data = path.read_bytes()
    at = 30 + 1 + 4 + 1
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    with pytest.raises(LimitExceeded, match="a: its LZMA dictionary takes 4294967295 bytes"):
        _read(path, "a")


def test_79_zip_dup_names(pictures: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(pictures, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("a.txt", b"another")
    with pytest.raises(CorruptMedia, match=r"2 members 'a\.txt'"):
        _read(pictures, "a.txt")
    assert _read(pictures, "dog.png") == b"dog"


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_83_zip_symlink_entry(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.zip"
    info = zipfile.ZipInfo("a.png")
    info.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ForbiddenUri, match="only files"):
        _read(path, "a.png")


def test_another_name_in_the_member_itself(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT})
    _patch(path, {}, {30: b"b"})
    with pytest.raises(CorruptMedia, match="another name"):
        _read(path, "a")


def _overlapping(count: int, kernel: int = 1 << 20) -> bytes:
    """Make the bomb of Fifield (2019): each member quotes the local headers of all that follow, to one kernel."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(kernel)) + packer.flush()
    quoted = b""
    body = packed
    entries: list[tuple[bytes, bytes, int]] = []
    for number in reversed(range(count)):
        name = f"{number:04}".encode()
        crc = zlib.crc32(bytes(kernel), zlib.crc32(quoted))
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(body), len(quoted) + kernel, len(name), 0)
        header = b"PK\x03\x04" + fields + name
        entries.insert(0, (fields, name, len(body) + len(header)))
        quote = struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF)  # a deflate block that holds it stored
        quoted = header + quoted
        body = quote + header + body if number else header + body
    directory = b"".join(
        b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(body) - rest) + name
        for fields, name, rest in entries
    )
    return body + directory + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)


def test_76_zip_overlap(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(_overlapping(50))
    with zipfile.ZipFile(path) as archive:  # which shows that it is a bomb, and not only damaged
        assert sum(info.file_size for info in archive.infolist()) > 50 << 20
    for attempt in (lambda: _read(path, "0000"), lambda: _read(path, "0049"), lambda: members(path)):
        with pytest.raises(CorruptMedia, match="over each other"):
            attempt()


def test_one_member_under_two_names(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT, "b": _TEXT})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 42 :][:4] = bytes(4)
    at = data.rindex(b"PK\x01\x02") + 42
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(CorruptMedia, match="over each other"):
        _read(path, "a")


def test_too_many_members(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {str(number): b"" for number in range(3000)})
    assert len(members(path, ArchiveLimits(entries=3000))) == 3000
    with pytest.raises(LimitExceeded, match=r"3000 members, more than the limit archive_entries=2999"):
        members(path, ArchiveLimits(entries=2999))


def test_78_zip_60k_entries(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"first": b"1", "last": b"2"}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    entry = data[at : data.index(b"PK\x01\x02", at + 1)]
    for count, fine in ((60_000, True), (70_000, False)):
        head = b"".join(data[:30].replace(b"first", b"") + f"{number:05}".encode() + b"1" for number in range(count))
        directory = b"".join(
            entry[:42] + struct.pack("<I", number * 36) + f"{number:05}".encode() for number in range(count)
        )
        told = min(count, 0xFFFF)
        end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, told, told, len(directory), len(head), 0)
        path.write_bytes(head + directory + end)
        if fine:
            assert _read(path, "59999") == b"1"
        else:
            with pytest.raises(LimitExceeded, match="70000 members"):
                _read(path, "59999")


def test_a_directory_that_claims_gigabytes_is_not_allocated(pictures: Path) -> None:
    data = bytearray(pictures.read_bytes())
    at = data.rindex(b"PK\x05\x06")
    data[at + 12 : at + 16] = b"\xf0\xff\xff\xff"
    pictures.write_bytes(data)
    with pytest.raises(CorruptMedia):
        members(pictures)


@_FOLDERS
@given(data=st.data())
def test_damage_gives_errors_of_ours_or_the_content(tmp_path: Path, data: st.DataObject) -> None:
    path = _zip(tmp_path / "a.zip", {"a": _TEXT, "b/c": b"stored"}, data.draw(st.sampled_from(_METHODS)))
    path.write_bytes(data.draw(mutated(path.read_bytes())))
    try:
        content = _read(path, "a")
    except BridgeError:
        return
    assert content == _TEXT


# By the limits of a call


@pytest.mark.parametrize(
    ("trust", "numbers", "words"),
    [
        ("normal", {"archive_ratio": 100}, r"archive_ratio=100 .*Limits\(archive_ratio="),
        ("untrusted", {}, r"archive_ratio=200 .*Limits\(archive_ratio="),
        ("normal", {"archive_entries": 1}, r"archive_entries=1 .*Limits\(archive_entries="),
        ("normal", {"content": 1 << 20, "archive_ratio": 9999}, r"content=1048576 .*Limits\(content="),
    ],
)
def test_75_the_limits_of_a_call_reach_the_archive(
    tmp_path: Path, trust: str, numbers: dict[str, Any], words: str
) -> None:
    path = _zip(tmp_path / "a.zip", {"zeros": bytes(11 << 20), "b": b"b"})
    with pytest.raises(LimitExceeded, match=words):
        Request(path / "zeros", limits=Limits(trust=trust, **numbers))


def test_78_zip_60k_entries_by_level(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {str(number): b"x" for number in range(4097)}, zipfile.ZIP_STORED)
    with Request(path / "4096") as request:
        assert request.size == 1
    with pytest.raises(LimitExceeded, match=r"archive_entries=4096 .*Limits\(archive_entries="):
        Request(path / "4096", limits=Limits(trust="untrusted"))


# Which part of a path


def test_split(tmp_path: Path, pictures: Path) -> None:
    assert split(pictures / "cats" / "b.png") == (pictures, "cats/b.png")
    assert split(pictures) is None
    assert split(tmp_path / "no.zip" / "a") is None
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "folder.zip" / "a").write_text("a")
    assert split(tmp_path / "folder.zip" / "a") is None
    pictures.rename(tmp_path / "comics.cbz")
    assert split(tmp_path / "comics.cbz" / "a.txt") == (tmp_path / "comics.cbz", "a.txt")
    (tmp_path / "text").write_text("no zip")
    assert split(tmp_path / "text" / "a") is None
    (tmp_path / "BAD.ZIP").write_text("no zip")
    assert split(tmp_path / "BAD.ZIP" / "a") == (tmp_path / "BAD.ZIP", "a")


def test_split_for_writing(tmp_path: Path, pictures: Path) -> None:
    assert split_for_writing(pictures / "new" / "b.png") == (pictures, "new/b.png")
    assert split_for_writing(tmp_path / "new.zip" / "x.zip" / "a") == (tmp_path / "new.zip", "x.zip/a")
    assert split_for_writing(tmp_path / "new.zip") is None
    assert split_for_writing(tmp_path / "a.png") is None
    (tmp_path / "folder.zip").mkdir()
    assert split_for_writing(tmp_path / "folder.zip" / "a") is None
    assert split_for_writing(tmp_path / "folder.zip" / "b.zip" / "a") == (tmp_path / "folder.zip" / "b.zip", "a")
    pictures.rename(tmp_path / "comics.cbz")
    assert split_for_writing(tmp_path / "comics.cbz" / "a") == (tmp_path / "comics.cbz", "a")


# Writing

_names = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=8).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=3,
).map("/".join)


@_FOLDERS
@given(steps=st.lists(st.tuples(_names, st.binary(max_size=200)), min_size=1, max_size=6), number=st.integers(0))
def test_what_is_written_reads_back(tmp_path: Path, steps: list[tuple[str, bytes]], number: int) -> None:
    path = tmp_path / f"{number % 1000}.zip"
    path.unlink(missing_ok=True)
    expected: dict[str, bytes] = {}
    for name, data in steps:
        (tmp_path / "source").write_bytes(data)
        if any(other.startswith(name + "/") for other in expected):
            with pytest.raises(UriIsDirectory):
                write_member(path, name, tmp_path / "source")
            continue
        write_member(path, name, tmp_path / "source")
        expected[name] = data
        assert sorted(members(path)) == sorted(expected)
    assert {name: _read(path, name) for name in expected} == expected
    with zipfile.ZipFile(path) as archive:  # and so says somebody else
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == expected


def test_a_new_archive(tmp_path: Path, source: Path) -> None:
    write_member(tmp_path / "a.zip", "cats/a.png", source)
    write_member(tmp_path / "a.zip", "cats/a.tiff", source)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
        modes = {oct(info.external_attr >> 16) for info in archive.infolist()}
    assert kinds == {"cats/a.png": zipfile.ZIP_STORED, "cats/a.tiff": zipfile.ZIP_DEFLATED}
    assert modes == {"0o100644"}
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a.zip").stat().st_mode) == 0o666 & ~umask


def test_an_empty_file_becomes_an_archive(tmp_path: Path, source: Path) -> None:
    (tmp_path / "a.zip").touch(0o600)
    write_member(tmp_path / "a.zip", "a", source)
    assert _read(tmp_path / "a.zip", "a") == b"new content"
    assert stat.S_IMODE((tmp_path / "a.zip").stat().st_mode) == 0o600


@pytest.mark.parametrize("member", ["new", "a.txt", "dog.png"])
def test_the_other_members_stay_as_they_are(pictures: Path, source: Path, member: str) -> None:
    with zipfile.ZipFile(pictures, "a", zipfile.ZIP_LZMA) as archive:
        archive.mkdir("made")
        archive.writestr("lz", _TEXT)
        archive.comment = b"mine"
    pictures.chmod(0o640)
    with zipfile.ZipFile(pictures) as archive:
        before = {info.filename: info for info in archive.infolist() if info.filename != member}
    write_member(pictures, member, source)
    with zipfile.ZipFile(pictures) as archive:
        after = {info.filename: info for info in archive.infolist()}
        assert archive.testzip() is None
        assert archive.comment == b"mine"
    assert list(after) == [*before, member]
    for name, info in before.items():
        for field in ("compress_type", "compress_size", "CRC", "date_time", "external_attr", "extra", "flag_bits"):
            assert getattr(after[name], field) == getattr(info, field)
    assert _read(pictures, member) == b"new content"
    assert stat.S_IMODE(pictures.stat().st_mode) == 0o640


def test_a_replaced_member_is_gone(pictures: Path, source: Path) -> None:
    source.write_bytes(os.urandom(50_000))
    write_member(pictures, "a.txt", source)
    large = pictures.stat().st_size
    source.write_bytes(b"small")
    write_member(pictures, "a.txt", source)
    assert pictures.stat().st_size < large - 49_000
    assert _read(pictures, "a.txt") == b"small"


@pytest.mark.parametrize("member", ["new", "a.txt"])
def test_what_makes_it_unpack_itself_stays(pictures: Path, source: Path, member: str) -> None:
    stub = b"#!/bin/sh\n" * 50
    pictures.write_bytes(stub + pictures.read_bytes())
    write_member(pictures, member, source)
    assert pictures.read_bytes().startswith(stub + b"PK\x03\x04")
    assert _read(pictures, "dog.png") == b"dog"
    assert _read(pictures, member) == b"new content"


def test_names_from_dos_can_still_be_read(tmp_path: Path, source: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"x.png": _TEXT, "plain": b"plain"})
    path.write_bytes(path.read_bytes().replace(b"x.png", b"\x81.png"))
    assert _read(path, "ü.png") == _TEXT
    write_member(path, "new", source)
    assert members(path) == ["ü.png", "plain", "new"]
    assert _read(path, "ü.png") == _TEXT
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_a_link_stays(tmp_path: Path, pictures: Path, source: Path) -> None:
    (tmp_path / "link.zip").symlink_to(pictures)
    write_member(tmp_path / "link.zip", "new", source)
    assert (tmp_path / "link.zip").is_symlink()
    assert _read(pictures, "new") == b"new content"


@pytest.mark.parametrize("member", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b", "a\\b", "\udce9", "x" * 65_536])
def test_names_that_are_not_written(pictures: Path, source: Path, member: str) -> None:
    before = pictures.read_bytes()
    with pytest.raises(UriError):
        write_member(pictures, member, source)
    assert pictures.read_bytes() == before


def _broken(before: bytes) -> dict[str, bytes]:
    return {"no archive": b"no zip" * 50, "cut": before[:-10], "bomb": _overlapping(3)}


@pytest.mark.parametrize("kind", ["no archive", "cut", "bomb"])
def test_what_is_no_sound_archive_is_left_alone(pictures: Path, source: Path, kind: str) -> None:
    before = _broken(pictures.read_bytes())[kind]
    pictures.write_bytes(before)
    with pytest.raises(CorruptMedia):
        write_member(pictures, "new", source)
    assert pictures.read_bytes() == before


def test_a_folder_of_the_archive_is_not_replaced(pictures: Path, source: Path) -> None:
    with pytest.raises(UriIsDirectory):
        write_member(pictures, "cats", source)


def test_places_that_cannot_be_written(
    tmp_path: Path, pictures: Path, source: Path, unprivileged: Callable[[Callable[[], Any]], Any]
) -> None:
    with pytest.raises(UriNotFound, match="no folder"):
        write_member(tmp_path / "no" / "a.zip", "a", source)
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(UriIsDirectory):
        write_member(tmp_path / "folder.zip", "a", source)
    tmp_path.chmod(0o500)
    try:
        for path in (pictures, tmp_path / "new.zip"):
            with pytest.raises(ForbiddenUri, match="nothing may be written"):
                unprivileged(functools.partial(write_member, path, "a", source))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("member", ["new", "a.txt"])
def test_failure_leaves_the_old_archive(
    pictures: Path, source: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, member: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    before = pictures.read_bytes()
    monkeypatch.setattr("shutil.copyfileobj", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputFailed):
        write_member(pictures, member, source)
    assert pictures.read_bytes() == before
    assert sorted(path.name for path in pictures.parent.iterdir()) == ["pictures.zip", "source"]


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    begin = threading.Barrier(4)
    failures: list[BaseException] = []

    def write(number: int) -> None:
        source = tmp_path / f"source{number}"
        source.write_bytes(str(number).encode())
        begin.wait()
        try:
            for turn in range(8):
                write_member(path, f"{number}/{turn}", source)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(members(path)) == [f"{number}/{turn}" for number in range(4) for turn in range(8)]


def test_without_hard_links_and_locks(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr("fcntl.flock", refuse)
    write_member(tmp_path / "a.zip", "a", source)
    write_member(tmp_path / "a.zip", "b", source)
    assert members(tmp_path / "a.zip") == ["a", "b"]
