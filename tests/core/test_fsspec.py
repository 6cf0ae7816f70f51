"""Addresses that the library fsspec opens: read like files, with errors of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import pytest

import bridge
from bridge.core.request import Request
from bridge.errors import CorruptMedia, ForbiddenUri, LimitExceeded, OutputFailed, UriError, UriIsDirectory, UriNotFound
from bridge.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Clips

CONTENT = b"\x89PNG\r\n\x1a\n" + bytes(5000)


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    files = fsspec.filesystem("memory")
    files.pipe("/folder/picture.png", CONTENT)
    files.pipe("/folder/empty.png", b"")
    yield
    files.rm("/folder", recursive=True)


def test_content_and_name() -> None:
    with Request("memory://folder/picture.png") as request:
        assert (request.size, request.extension, request.read_at(0, 4)) == (len(CONTENT), ".png", b"\x89PNG")
        with request.input() as descriptor:
            assert descriptor > 2


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("memory://folder/missing.png", UriNotFound),
        ("memory://folder/empty.png", CorruptMedia),
        ("nosuch://folder/picture.png", UriError),
    ],
)
def test_what_cannot_be_read(address: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=address.partition("?")[0]):
        Request(address)


def test_the_limit_of_content() -> None:
    with pytest.raises(LimitExceeded, match="content"):
        Request("memory://folder/picture.png", limits=Limits(content=100))


def test_what_cannot_be_checked_is_not_asked_where_only_public_addresses_are() -> None:
    with pytest.raises(ForbiddenUri, match=r"http_public=True .*Limits\(http_public=False"):
        Request("memory://folder/picture.png", limits=Limits(http_public=True))


def test_output_is_there_when_it_is_whole() -> None:
    files = fsspec.filesystem("memory")
    for content in (b"first", b"second"):
        with Request("memory://folder/new.png", writing=True) as request:
            assert request.extension == ".png"
            request.part().write_bytes(content)
            assert not files.exists("/folder/new.png") or content == b"second"
            request.commit()
        assert files.cat("/folder/new.png") == content
    assert sorted(files.ls("/folder", detail=False)) == ["/folder/empty.png", "/folder/new.png", "/folder/picture.png"]


def test_what_is_not_committed_is_not_there() -> None:
    with Request("memory://folder/new.png", writing=True) as request:
        request.part().write_bytes(b"half")
    assert not fsspec.filesystem("memory").exists("/folder/new.png")


def test_a_store_that_fails_keeps_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("quota exceeded")

    files = fsspec.filesystem("memory")
    monkeypatch.setattr(type(files), "mv", full)
    with Request("memory://folder/picture.png", writing=True) as request:
        request.part().write_bytes(b"new")
        with pytest.raises(OutputFailed, match="quota exceeded"):
            request.commit()
    assert files.cat("/folder/picture.png") == CONTENT
    assert len(files.ls("/folder", detail=False)) == 2


@pytest.mark.parametrize("address", ["memory://folder/", "nosuch://folder/a.png", "http://127.0.0.1/a.png"])
def test_what_cannot_be_written(address: str) -> None:
    with pytest.raises((UriError, UriIsDirectory), match=address):
        Request(address, writing=True)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_films_go_from_store_to_store(lavfi: Clips) -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/folder/in.mp4", lavfi("store.mp4", "testsrc2=s=64x48:r=10:d=1").read_bytes())
    result = bridge.transcode("memory://folder/in.mp4", "memory://folder/out.mkv", video_codec="ffv1")
    assert result.frames == 10
    with bridge.get_reader("memory://folder/out.mkv") as reader:
        assert len(reader) == 10
