"""What each kind of uri can do to harm: archives and servers; each has its typed error, in time, and leaves nothing."""

from __future__ import annotations

import io
import os
import struct
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from tests.contract.samples import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.conftest import Files
    from tests.contract.servers import Servers

READS = (bridge.imread, bridge.mimread, bridge.volread, bridge.mvolread, bridge.get_reader)


def content() -> bytes:
    """Give a small file that any call reads: a volume."""
    file = io.BytesIO()
    np.save(file, np.zeros((3, 4, 5), np.uint8))
    return file.getvalue()


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return bytearray(path.read_bytes())


def missing(path: Path) -> None:
    archive(path, {"b.npy": content()})


def encrypted(path: Path) -> None:
    made = archive(path, {"a.npy": content()})
    made[6] |= 1
    made[made.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(made)


def bomb(path: Path) -> None:
    """100 MB of zeros: a thousand times what is stored of them."""
    archive(path, {"a.npy": bytes(100_000_000)})


def understated(path: Path) -> None:
    _size(path, 10)


def overstated(path: Path) -> None:
    _size(path, 1000)


def _size(path: Path, size: int) -> None:
    made = archive(path, {"a.npy": content()})
    for at in (22, made.index(b"PK\x01\x02") + 24):
        made[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(made)


def overlapping(path: Path) -> None:
    """Both entries of the directory mean the same bytes."""
    made = archive(path, {"a.npy": content(), "b.npy": content()}, zipfile.ZIP_STORED)
    second = made.rindex(b"PK\x01\x02")
    made[second + 42 : second + 46] = bytes(4)
    path.write_bytes(made)


def duplicate(path: Path) -> None:
    made = archive(path, {"a.npy": content(), "b.npy": content()})
    path.write_bytes(made.replace(b"b.npy", b"a.npy"))


def folder(path: Path) -> None:
    archive(path, {"a.npy/inside": content()})


def no_archive(path: Path) -> None:
    path.write_bytes(b"this is no archive" * 100)


def cut(path: Path) -> None:
    made = archive(path, {"a.npy": content()})
    path.write_bytes(made[: len(made) // 2])


def damaged(path: Path) -> None:
    made = archive(path, {"a.npy": content()}, zipfile.ZIP_STORED)
    made[100] ^= 0xFF
    path.write_bytes(made)


def link(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        info = zipfile.ZipInfo("a.npy")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        made.writestr(info, "/etc/passwd")


ARCHIVES = [
    (missing, errors.UriNotFound),
    (encrypted, errors.ForbiddenUri),
    (bomb, errors.LimitExceeded),
    (understated, errors.CorruptMedia),
    (overstated, errors.CorruptMedia),
    (overlapping, errors.CorruptMedia),
    (duplicate, errors.CorruptMedia),
    (folder, errors.UriIsDirectory),
    (no_archive, errors.CorruptMedia),
    (cut, errors.CorruptMedia),
    (damaged, errors.CorruptMedia),
    (link, errors.ForbiddenUri),
]


def test_the_honest_archive(tmp_path: Path) -> None:
    archive(tmp_path / "arrays.zip", {"a.npy": content()})
    for read in READS[:-1]:
        assert np.shape(np.squeeze(np.asarray(read(tmp_path / "arrays.zip/a.npy")))) == (3, 4, 5)


@pytest.mark.parametrize(("make", "error"), ARCHIVES, ids=lambda value: getattr(value, "__name__", ""))
def test_archives(make: Callable[[Path], None], error: type[Exception], tmp_path: Path) -> None:
    make(tmp_path / "arrays.zip")
    for read in READS:
        with pytest.raises(error) as caught:
            read(tmp_path / "arrays.zip" / "a.npy")
        assert str(tmp_path / "arrays.zip") in str(caught.value)
        assert isinstance(caught.value, bridge.BridgeError)


def test_members_outside_their_archive(tmp_path: Path) -> None:
    archive(tmp_path / "arrays.zip", {"../a.npy": content()})
    (tmp_path / "a.npy").write_bytes(b"not this one")
    with pytest.raises(errors.BridgeError):
        bridge.imread(str(tmp_path / "arrays.zip") + "/../../a.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "arrays.zip"]


def test_writing_into_a_damaged_archive_leaves_it(tmp_path: Path) -> None:
    cut(tmp_path / "arrays.zip")
    before = (tmp_path / "arrays.zip").read_bytes()
    with pytest.raises(errors.BridgeError):
        bridge.imwrite(tmp_path / "arrays.zip/b.npy", picture())
    assert (tmp_path / "arrays.zip").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["arrays.zip"]


# Servers

SHORT = {"http_connect": 1.0, "http_stall": 0.3, "http_total": 1.0, "http_bytes": 1 << 20, "http_redirects": 3}


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("silent", errors.LimitExceeded, "http_stall|http_connect"),
        ("drip", errors.LimitExceeded, "http_total"),
        ("lie", errors.TruncatedMedia, "early"),
        ("loop", errors.LimitExceeded, "http_redirects"),
        ("to-file", errors.UriError, "file"),
        ("endless", errors.LimitExceeded, "http_bytes"),
        ("huge", errors.LimitExceeded, "http_bytes"),
    ],
)
def test_servers(behaviour: str, error: type[Exception], words: str, servers: Servers) -> None:
    """The message names the limit as the user gives it."""
    address = servers.bad(behaviour)
    for read in (bridge.imread, bridge.get_reader):
        begin = time.monotonic()
        with pytest.raises(error, match=words) as caught:
            read(address, limits=bridge.Limits(**SHORT))  # type: ignore[arg-type] # limits of any kind
        assert time.monotonic() - begin < 3
        assert address in str(caught.value)


def test_what_servers_do_not_have(servers: Servers) -> None:
    for known in (servers.http("a.npy", b""), servers.ftp("a.npy", b"")):
        with pytest.raises(errors.UriNotFound) as caught:
            bridge.imread(known.replace("a.npy", "b.npy"))
        assert isinstance(caught.value, FileNotFoundError)


def test_a_page_about_an_error_is_no_picture(servers: Servers) -> None:
    with pytest.raises(errors.UnknownFormat):
        bridge.imread(servers.http("picture.png", b"<!DOCTYPE html><title>Please sign in</title>"))
    with pytest.raises(errors.CorruptMedia, match="empty"):
        bridge.imread(servers.http("nothing.png", b""))


def test_a_certificate_of_a_stranger(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(errors.UriError, match="certificate"):
        bridge.imread(servers.https("a.npy", content()))


def test_nobody_listens(servers: Servers) -> None:
    del servers
    for address in ("http://127.0.0.1:1/a.png", "ftp://127.0.0.1:1/a.png", "http:///a.png", "http://[/a.png"):
        with pytest.raises(errors.UriError):
            bridge.imread(address)


def test_addresses_of_members_and_queries(servers: Servers) -> None:
    """The extension is that of the path, whatever the query says."""
    address = servers.http("a.npy", content())
    assert bridge.volread(address).shape == (3, 4, 5)


# Streams and readers


class Endless(io.RawIOBase):
    """A file object without an end."""

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        return bytes(max(count, 1 << 16))


def test_file_object_without_an_end() -> None:
    with pytest.raises(errors.LimitExceeded, match="content"):
        bridge.imread(Endless(), limits=bridge.Limits(content=10_000_000))


@pytest.mark.parametrize("given", ["text", None, 7, [1]])
def test_file_object_that_gives_no_bytes(given: Any) -> None:
    class Odd:
        def read(self, count: int = -1) -> Any:
            del count
            return given

    with pytest.raises((errors.UriError, TypeError)):
        bridge.imread(Odd())


def test_more_readers_than_descriptors(files: Files) -> None:
    """A thousand readers, one after the other, dropped without a word: nothing adds up."""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208 - as cheap as can be
    data = files("NPY").read_bytes()
    for _ in range(300):
        bridge.imread(data)
        bridge.imread(io.BytesIO(data))
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208 - as cheap as can be
