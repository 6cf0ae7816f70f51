"""Every kind of uri: how to make one that means a given file, and one to write to."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.servers import Servers

__all__ = ["SOURCES", "TARGETS", "Dripping", "OnlyRead", "OnlyWrite", "Source", "Target", "Written"]


class OnlyRead:
    """A file object with nothing but `read`."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, count: int = -1) -> bytes:
        return self._file.read(count)


class Dripping(io.RawIOBase):
    """A file object that cannot seek and gives less than it is asked for: seven bytes, then more and more."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._file = io.BytesIO(content)
        self._next = 7

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        got = self._file.read(self._next if count < 0 else min(count, self._next))
        self._next += 100
        return got


class OnlyWrite:
    """A file object with nothing but `write`."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data: Any) -> int:
        self.content += bytes(data)
        return len(data)


# Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of uri to read from; `open` gives one that means the file, for as long as its context lasts."""

    name: str
    open: Callable[[Path, Path, Servers], contextlib.AbstractContextManager[Any]]
    named: bool  # whether it ends in the name of the file
    everywhere: bool  # for every Format, or for one of each way of reading


def _plain(make: Callable[[Path, Path, Servers], Any]) -> Callable[..., contextlib.AbstractContextManager[Any]]:
    @contextlib.contextmanager
    def opened(path: Path, folder: Path, servers: Servers) -> Iterator[Any]:
        yield make(path, folder, servers)

    return opened


def _zipped(inside: str, method: int) -> Callable[[Path, Path, Servers], str]:
    def make(path: Path, folder: Path, _: Servers) -> str:
        with zipfile.ZipFile(folder / "pictures.zip", "w", method) as archive:
            archive.writestr("first.txt", "not this one")
            archive.write(path, inside + path.name)
            archive.writestr("last.txt", "nor this")
        return str(folder / "pictures.zip" / (inside + path.name))

    return make


def _disguised(path: Path, folder: Path, servers: Servers) -> str:
    """An archive that is not called .zip is one all the same, as its content says."""
    made = Path(_zipped("", zipfile.ZIP_DEFLATED)(path, folder, servers))
    (folder / "pictures.zip").rename(folder / "pictures.cbz")
    return str(folder / "pictures.cbz" / made.name)


@contextlib.contextmanager
def _relative(path: Path, folder: Path, _: Servers) -> Iterator[str]:
    del folder
    with contextlib.chdir(path.parent):
        yield path.name


@contextlib.contextmanager
def _home(path: Path, folder: Path, _: Servers) -> Iterator[str]:
    del folder
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(path.parent)
    try:
        yield f"~/{path.name}"
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


def _address(path: Path, folder: Path, _: Servers) -> str:
    copy = folder / "100 % schön#1?" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    return copy.as_uri()


@contextlib.contextmanager
def _https(path: Path, folder: Path, servers: Servers) -> Iterator[str]:
    from tests.contract.servers import CERTIFICATE

    del folder
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(CERTIFICATE)
    try:
        yield servers.https(path.name, path.read_bytes())
    finally:
        del os.environ["SSL_CERT_FILE"]
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before


def _source(name: str, make: Any, *, named: bool = True, everywhere: bool = False) -> Source:
    return Source(name=name, open=make, named=named, everywhere=everywhere)


SOURCES: tuple[Source, ...] = (
    _source("file name", _plain(lambda path, *_: str(path)), everywhere=True),
    _source("pathlib", _plain(lambda path, *_: path)),
    _source("relative name", _relative),
    _source("name with a tilde", _home),
    _source("zip member", _plain(_zipped("", zipfile.ZIP_STORED))),
    _source("zip member in folders", _plain(_zipped("cats/more cats/", zipfile.ZIP_DEFLATED)), everywhere=True),
    _source("zip member, pathlib", _plain(lambda *given: Path(_zipped("", zipfile.ZIP_STORED)(*given)))),
    _source("zip of another name", _plain(_disguised)),
    _source("BytesIO", _plain(lambda path, *_: io.BytesIO(path.read_bytes())), named=False, everywhere=True),
    _source("open file", lambda path, *_: path.open("rb"), named=False),
    _source("file object with only read", _plain(lambda path, *_: OnlyRead(path.read_bytes())), named=False),
    _source("short reads", _plain(lambda path, *_: Dripping(path.read_bytes())), named=False, everywhere=True),
    _source("bytes", _plain(lambda path, *_: path.read_bytes()), named=False, everywhere=True),
    _source("bytearray", _plain(lambda path, *_: bytearray(path.read_bytes())), named=False),
    _source("memoryview", _plain(lambda path, *_: memoryview(path.read_bytes())), named=False),
    _source("http", _plain(lambda path, _, servers: servers.http(path.name, path.read_bytes())), everywhere=True),
    _source("https", _https),
    _source("ftp", _plain(lambda path, _, servers: servers.ftp(path.name, path.read_bytes())), everywhere=True),
    _source("file address", _plain(_address), everywhere=True),
)  # fmt: skip


# Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A uri to write to, and what came of it."""

    uri: Any
    content: Callable[[Any], bytes]  # from what the writing call returned


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of uri to write to; `make` gives one for a file name, in an empty folder."""

    name: str
    make: Callable[[str, Path], Written]
    named: bool
    everywhere: bool
    returns: bool = False  # the writing call gives bytes and not None


def _written_member(folder: Path, name: str, others: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(folder / "pictures.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted([name, *others])
        assert {other: archive.read(other) for other in others} == others
        return archive.read(name)


def _into_zip(inside: str, *, before: dict[str, bytes]) -> Callable[[str, Path], Written]:
    def make(file: str, folder: Path) -> Written:
        name = inside + file
        if before:
            with zipfile.ZipFile(folder / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for other, content in before.items():
                    archive.writestr(other.format(file=file), content)
        others = {other: content for other, content in before.items() if other.format(file=file) != name}
        uri = str(folder / "pictures.zip" / name)
        return Written(uri=uri, content=lambda _: _written_member(folder, name, others))

    return make


def _on_disk(wrap: Callable[[str], Any]) -> Callable[[str, Path], Written]:
    def make(file: str, folder: Path) -> Written:
        path = folder / file
        return Written(uri=wrap(str(path)), content=lambda _: path.read_bytes())

    return make


def _replacing(file: str, folder: Path) -> Written:
    (folder / file).write_bytes(b"what was there before" * 1000)
    return _on_disk(str)(file, folder)


def _buffer(_: str, __: Path) -> Written:
    buffer = io.BytesIO()
    return Written(uri=buffer, content=lambda _: buffer.getvalue())


def _open_file(file: str, folder: Path) -> Written:
    opened = (folder / file).open("wb")

    def content(_: Any) -> bytes:
        assert not opened.closed, "the file is the user's, who closes it"
        opened.close()
        return (folder / file).read_bytes()

    return Written(uri=opened, content=content)


def _only_write(_: str, __: Path) -> Written:
    target = OnlyWrite()
    return Written(uri=target, content=lambda _: target.content)


def _returned(_: str, __: Path) -> Written:
    return Written(uri="<bytes>", content=bytes)


def _target(name: str, make: Any, *, named: bool = True, everywhere: bool = False, returns: bool = False) -> Target:
    return Target(name=name, make=make, named=named, everywhere=everywhere, returns=returns)


TARGETS: tuple[Target, ...] = (
    _target("file name", _on_disk(str), everywhere=True),
    _target("pathlib", _on_disk(Path)),
    _target("file that is there", _replacing),
    _target("zip that is made", _into_zip("cats/", before={}), everywhere=True),
    _target("zip with others", _into_zip("", before={"a/first.txt": b"first", "last.txt": b"last"})),
    _target("zip with that member", _into_zip("", before={"first.txt": b"first", "{file}": b"old"})),
    _target("BytesIO", _buffer, named=False),
    _target("open file", _open_file, named=False),
    _target("file object with only write", _only_write, named=False, everywhere=True),
    _target("<bytes>", _returned, named=False, everywhere=True, returns=True),
)
