"""One address of http, https or ftp into a spool, within deadlines that a hostile server cannot stretch.

Ours and not `urllib.request`: its openers read ``file:`` and ``data:`` addresses too, follow redirects from http
to ftp, and their timeout is for one piece, so that a server that drips is waited for without end. Nor do programs
get addresses: ffmpeg would follow what a playlist names.

Proxies of the environment (``http_proxy``), which imageio's `urlopen` honours, are left alone on purpose: a proxy
looks names up itself, so neither `HttpLimits.public` nor the connect deadline would mean anything. Who must use one can
download with what they have, and pass the bytes.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import mimetypes
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from bridge.core.address import PORTS, Target, base_name, shown
from bridge.core.ftp import fetch_ftp
from bridge.core.trip import HttpLimits, Trip
from bridge.core.wire import Wire, connect
from bridge.errors import (
    BridgeError,
    CorruptMedia,
    ForbiddenUri,
    LimitExceeded,
    MissingCodec,
    TruncatedMedia,
    UriError,
    UriNotFound,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from bridge.core.spool import Spool

__all__ = ["Download", "HttpLimits", "fetch"]

_PIECE = 1 << 16
_REDIRECTS = (301, 302, 303, 307, 308)
_MISSING = (404, 410)
_FORBIDDEN = (401, 402, 403, 407, 451)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What came.

    Attributes
    ----------
    spool : Spool
        The content; the caller closes it.
    name : str
        A file name for it, without folders; empty if nothing tells one.
    content_type : str
        What the server calls it, lower case and without parameters; empty if it doesn't say. A hint, not a fact.
    address : str
        Where it came from in the end, its password masked.
    """

    spool: Spool
    name: str
    content_type: str
    address: str

    @property
    def extension(self) -> str:
        """Lower case, with its point; empty if there is none."""
        return PurePosixPath(self.name).suffix.lower()


_DEFAULT = HttpLimits()


def fetch(address: str, limits: HttpLimits = _DEFAULT) -> Download:
    """Download what is at an address.

    Parameters
    ----------
    address : str
        ``http://``, ``https://`` or ``ftp://``; ``user:password@`` in front of the host signs in.
    limits : HttpLimits
        What it may cost, and whether only public addresses are asked. Each address that a host name turned out to
        mean is looked at, redirects included, and it is that very one which is connected to, so a name that means
        another one a moment later is no way around.

    Raises
    ------
    UriNotFound
        If there is no such host, or the server has no such file.
    ForbiddenUri
        If the server wants another user, or `limits` do not allow its address.
    UriError
        If the address is malformed, the server cannot be reached, its certificate is wrong or it refuses.
    LimitExceeded
        If a deadline, the size, the rate or the number of redirects is beyond `limits`.
    TruncatedMedia
        If the connection ended before the content did.
    CorruptMedia, MissingCodec
        If the content is compressed for the way and damaged, or in a way that is not known here.
    """
    target = Target.parse(address)
    trip = Trip(limits, target.name)
    with trip.told():
        if target.scheme != "ftp":
            return _fetch_http(target, trip)
        spool, name = fetch_ftp(target, trip)
        return Download(spool=spool, name=name, content_type="", address=target.name)


# http


class _Connection(http.client.HTTPConnection):
    """http.client on a wire of ours, connected already. Host and SNI stay the name, whatever address that is."""

    def __init__(self, target: Target, wire: Wire) -> None:
        super().__init__(target.host, target.port)
        self.default_port = PORTS[target.scheme]  # which the Host header leaves out
        self.sock = cast("socket.socket", wire)
        self.auto_open = 0

    def close(self) -> None:
        """Leave the wire, from which the answer is still to come."""


def _fetch_http(first: Target, trip: Trip) -> Download:
    target = first
    for _ in range(trip.limits.redirects + 1):
        with Wire(connect(target, trip), trip) as wire:
            answer = _ask(target, wire)
            if answer.status not in _REDIRECTS or not answer.headers.get("Location"):
                return _downloaded(first, target, answer, wire, trip)
            target = _redirected(target, answer, trip)
    raise LimitExceeded(
        f"{trip.name}: more redirects than the limit http_redirects={trip.limits.redirects} allows, the last one to"
        f" {target.name}; raise it with limits=bridge.Limits(http_redirects=...)"
    )


def _ask(target: Target, wire: Wire) -> http.client.HTTPResponse:
    connection = _Connection(target, wire)
    headers = {"User-Agent": "framebridge", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    if target.user is not None:
        pair = base64.b64encode(f"{target.user}:{target.password}".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {pair}"
    connection.request("GET", target.path, headers=headers)
    return connection.getresponse()


def _redirected(target: Target, answer: http.client.HTTPResponse, trip: Trip) -> Target:
    location = answer.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")  # as servers send it
    try:
        return target.redirected(location)
    except UriError as error:
        raise UriError(f"{trip.name}: the server redirects to what is not followed: {error}") from error


def _downloaded(first: Target, target: Target, answer: http.client.HTTPResponse, wire: Wire, trip: Trip) -> Download:
    if answer.status != http.HTTPStatus.OK:
        raise _refused(target, answer)
    unpacker = _Unpacker.of(answer.headers.get("Content-Encoding", ""), trip.name)
    wire.content_begins()
    spool = trip.spool()
    try:
        if answer.length is not None:
            spool.expect(answer.length)
        for piece in _body(answer, trip):
            unpacker.unpack(piece, spool)
        unpacker.end()
        content_type = answer.headers.get_content_type() if "Content-Type" in answer.headers else ""
        name = _name(first, target, answer, content_type)
        return Download(spool=spool.finish(), name=name, content_type=content_type, address=target.name)
    except BaseException:
        spool.close()
        raise


def _refused(target: Target, answer: http.client.HTTPResponse) -> BridgeError:
    message = f"{target.name}: the server answered {answer.status} {shown(answer.reason)}".rstrip()
    if answer.status in _MISSING:
        return UriNotFound(message)
    return ForbiddenUri(message) if answer.status in _FORBIDDEN else UriError(message)


def _body(answer: http.client.HTTPResponse, trip: Trip) -> Iterator[memoryview]:
    """Give the content in pieces.

    By `readinto`, since `read` lets a chunk of -1 bytes take all the memory there is.
    """
    buffer = memoryview(bytearray(_PIECE))
    total = 0
    while count := answer.readinto(buffer):
        total += count
        yield buffer[:count]
        trip.check_packed(total)
    if answer.length:  # what is still missing of the Content-Length
        raise TruncatedMedia(f"{trip.name}: the content ended {answer.length} bytes early")


class _Unpacker:
    """Undoes a Content-Encoding that we have not asked for, never more than a piece at a time."""

    def __init__(self, name: str, *, packed: bool) -> None:
        self._name = name
        self._packed = packed
        self._inflater = zlib.decompressobj(47) if packed else None  # 47: gzip or zlib, by what comes

    @classmethod
    def of(cls, encoding: str, name: str) -> _Unpacker:
        """Give the one for a header."""
        kind = encoding.strip().lower()
        if kind not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise MissingCodec(f"{name}: the server sends it compressed by {shown(kind)!r}, which was not asked for")
        return cls(name, packed=kind not in ("", "identity"))

    def unpack(self, piece: memoryview | bytes, spool: Spool) -> None:
        """Add a piece to the spool, whose cap counts what it becomes."""
        if not self._packed:
            spool.write(piece)
            return
        data = bytes(piece)
        try:
            while data:
                data = self._inflate(data, spool)
        except zlib.error as error:
            raise CorruptMedia(f"{self._name}: its Content-Encoding is damaged: {error}") from error

    def _inflate(self, data: bytes, spool: Spool) -> bytes:
        """Unpack some of `data`; give the rest."""
        if self._inflater is None or self._inflater.eof:
            self._inflater = zlib.decompressobj(47)  # gzip files may follow one another
        made = self._inflater.decompress(data, _PIECE)
        spool.write(made)
        while len(made) == _PIECE and not self._inflater.unconsumed_tail:  # there may be more inside
            made = self._inflater.decompress(b"", _PIECE)
            spool.write(made)
        return self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail

    def end(self) -> None:
        """Call at the end of the content."""
        if self._inflater is not None and not self._inflater.eof:
            raise TruncatedMedia(f"{self._name}: its Content-Encoding ended early")


def _name(first: Target, last: Target, answer: http.client.HTTPResponse, content_type: str) -> str:
    """Choose the name that tells most: what the user wrote, if that has an extension."""
    header = ""
    with contextlib.suppress(Exception):  # the email package, over what a stranger has made up
        header = base_name(answer.headers.get_filename() or "")
    names = [name for name in (first.file_name, last.file_name, header) if name]
    for name in names:
        if PurePosixPath(name).suffix:
            return name
    medium = content_type.partition("/")[0] in ("image", "video", "audio")
    extension = mimetypes.guess_extension(content_type) or "" if medium else ""
    return (names[0] + extension) if names else ""
