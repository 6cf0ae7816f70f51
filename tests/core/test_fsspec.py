"""Addresses that the library fsspec opens: read like files, with errors of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import pytest

from bridge.core.request import Request
from bridge.errors import CorruptMedia, ForbiddenUri, LimitExceeded, UriError, UriNotFound
from bridge.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

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
