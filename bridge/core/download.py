"""One address of http, https or ftp into a spool, within deadlines that a hostile server cannot stretch.

Ours and not `urllib.request`: its openers read ``file:`` and ``data:`` addresses too, follow redirects from http
to ftp, and their timeout is for one piece, so that a server that drips is waited for without end. Nor do programs
get addresses: ffmpeg would follow what a playlist names.

Proxies of the environment (``http_proxy``), which imageio's `urlopen` honours, are left alone on purpose: a proxy
looks names up itself, so neither `allow` nor the connect deadline would mean anything. Who must use one can
download with what they have, and pass the bytes.
"""

from __future__ import annotations

import base64
import contextlib
import ftplib
import http.client
import io
import ipaddress
import mimetypes
import queue
import re
import socket
import ssl
import threading
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from bridge.core.spool import Spool
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
    from collections.abc import Callable, Iterator

__all__ = ["Allow", "Download", "HttpLimits", "fetch", "masked"]

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Allow: TypeAlias = "Callable[[Address], bool]"

_PIECE = 1 << 16
_HEAD = 256 << 10  # bytes of all status lines and headers of one answer
_PORTS = {"http": 80, "https": 443, "ftp": 21}
_SAFE = "%/:;=@!$&'()*+,~?[]|"  # in a path or query: what is percent-encoded stays so
_CONTROL = r"[\x00-\x1f\x7f]"
_REDIRECTS = (301, 302, 303, 307, 308)
_MISSING = (404, 410)
_FORBIDDEN = (401, 402, 403, 407, 451)
_BROKEN = (ConnectionError, ssl.SSLEOFError, EOFError, http.client.IncompleteRead)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a download may cost; all times are seconds on the monotonic clock.

    Errors name a limit as `bridge.Limits` does: ``http_connect`` for `connect`.

    Attributes
    ----------
    connect : float
        For each server: looking its name up, connecting, and agreeing on the encryption.
    stall : float
        From one piece to the next.
    total : float
        For all of it, redirects included.
    bytes : int
        Most bytes of the content, decompressed.
    redirects : int
        How many redirects are followed.
    min_rate : float or None
        Fewest bytes a second, on average, once the content has been coming for `stall` seconds.
    """

    connect: float = 5.0
    stall: float = 10.0
    total: float = 60.0
    bytes: int = 1 << 30
    redirects: int = 5
    min_rate: float | None = None


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


def fetch(address: str, limits: HttpLimits = _DEFAULT, *, allow: Allow | None = None) -> Download:
    """Download what is at an address.

    Parameters
    ----------
    address : str
        ``http://``, ``https://`` or ``ftp://``; ``user:password@`` in front of the host signs in.
    limits : HttpLimits
        What it may cost.
    allow : callable, optional
        Asked with each IP address that a host name turned out to mean, redirects included, whether to connect to
        it. It is that very address which is connected to, so a name that means another one a moment later is no
        way around. IPv4 addresses in IPv6 form are given as what they are.

    Raises
    ------
    UriNotFound
        If there is no such host, or the server has no such file.
    ForbiddenUri
        If the server wants another user, or `allow` says no.
    UriError
        If the address is malformed, the server cannot be reached, its certificate is wrong or it refuses.
    LimitExceeded
        If a deadline, the size, the rate or the number of redirects is beyond `limits`.
    TruncatedMedia
        If the connection ended before the content did.
    CorruptMedia, MissingCodec
        If the content is compressed for the way and damaged, or in a way that is not known here.
    """
    target = _Target.parse(address)
    trip = _Trip(limits, allow, target.name)
    with trip.told():
        return _fetch_ftp(target, trip) if target.scheme == "ftp" else _fetch_http(target, trip)


def masked(address: str) -> str:
    """Give the address as it may be shown: the password in it is starred out."""
    return re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://[^/?#:@]*):[^/?#]*@", r"\1:***@", address)


# Addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """An address, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    user: str | None
    password: str
    name: str

    @classmethod
    def parse(cls, address: str, schemes: tuple[str, ...] = ("http", "https", "ftp")) -> _Target:
        name = _shown(masked(address))
        # urlsplit drops line breaks without a word, and http.client would send what is left
        if re.search(_CONTROL, address):
            raise UriError(f"{name}: there are control characters in it")
        try:
            parts = urlsplit(address.strip())
            return cls._of(parts, schemes, name)
        except UnicodeError as error:  # of idna: empty or too long a label
            raise UriError(f"{name}: no host is called that") from error
        except ValueError as error:
            if isinstance(error, BridgeError):
                raise
            raise UriError(f"{name}: {error}") from error

    @classmethod
    def _of(cls, parts: SplitResult, schemes: tuple[str, ...], name: str) -> _Target:
        if parts.scheme not in schemes:
            raise UriError(f"{name}: addresses of {' or '.join(schemes)} are read, not of {parts.scheme or 'none'}")
        host = parts.hostname or ""
        if not host or re.search(r"[\s/\\?#@<>]", host):
            raise UriError(f"{name}: there is no host in it")
        if ":" not in host:
            host = host.encode("idna").decode("ascii")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if re.search(_CONTROL, user + password):
            raise UriError(f"{name}: there are control characters in it")
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        query = f"?{parts.query}" if parts.query else ""
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port,
            path=quote((parts.path or "/") + query, safe=_SAFE),
            user=None if parts.username is None else user,
            password=password,
            name=name,
        )

    def redirected(self, location: str) -> _Target:
        """Give where a redirect leads. Who signed in here is signed in there only if it is the same server."""
        base = f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}{self.path}"
        target = _Target.parse(urljoin(base, location), schemes=("http", "https"))
        same = (target.scheme, target.host, target.port) == (self.scheme, self.host, self.port)
        if not same or target.user is not None:
            return target
        return replace(target, user=self.user, password=self.password)

    @property
    def file_name(self) -> str:
        """The last part of the path, decoded; empty if there is none."""
        return _base_name(unquote(self.path.partition("?")[0].rpartition("/")[2]))


def _base_name(text: str) -> str:
    """Give a name that names no folder and shows as it is."""
    name = _shown(text.replace("\\", "/").rpartition("/")[2]).strip()
    return "" if name in (".", "..") else name


def _shown(text: str) -> str:
    """Give what a stranger has written as one line that a terminal can take."""
    kept = "".join(char if char.isprintable() else "?" for char in text)
    return kept if len(kept) <= 300 else kept[:297] + "..."


# Deadlines


class _Trip:
    """One download's deadlines and permissions, over all its connections."""

    def __init__(self, limits: HttpLimits, allow: Allow | None, name: str) -> None:
        self.limits = limits
        self.name = name
        self._allow = allow
        self._begin = time.monotonic()
        self._end = self._begin + limits.total

    def patience(self, limit: str, begin: float | None = None) -> float:
        """Give the seconds that may be waited now, by that limit since `begin` and by the total; or raise."""
        now = time.monotonic()
        left = self._end - now
        if left <= 0:
            raise self.late("total")
        own: float = getattr(self.limits, limit) - (0 if begin is None else now - begin)
        if own <= 0:
            raise self.late(limit)
        return min(own, left)

    def late(self, limit: str) -> LimitExceeded:
        """Give the error of a deadline; the total one if that has passed as well."""
        if time.monotonic() >= self._end:
            limit = "total"
        what = {
            "connect": "no connection to the server after",
            "stall": "the server has sent nothing for",
            "total": "the download was not complete after",
        }[limit]
        seconds: float = getattr(self.limits, limit)
        return LimitExceeded(
            f"{self.name}: {what} {seconds:g} seconds; give limits with a larger `http_{limit}` to wait"
        )

    def check_rate(self, count: int, begin: float) -> None:
        """Refuse a server that sends, but so little that it only keeps us."""
        seconds = time.monotonic() - begin
        least = self.limits.min_rate
        if least is not None and seconds > self.limits.stall and count < least * seconds:
            raise LimitExceeded(
                f"{self.name}: only {count / seconds:.0f} bytes a second came, the limit `http_min_rate` is {least:g};"
                " give limits with a smaller `http_min_rate` to wait"
            )

    def permitted(self, found: list[_Found]) -> list[_Found]:
        """Give those addresses that we may connect to."""
        kept = [one for one in found if self._allow is None or self._allow(_meant(one))]
        if not kept:
            shown = ", ".join(str(_meant(one)) for one in found[:3])
            raise ForbiddenUri(f"{self.name}: its host is {shown}, which is not allowed")
        return kept

    def spool(self) -> Spool:
        """Make what the content goes into."""
        return Spool(self.limits.bytes, name=self.name, limit="http_bytes")

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn what the standard library raises into our errors."""
        try:
            yield
        except BridgeError:
            raise
        except _BROKEN as error:
            raise TruncatedMedia(f"{self.name}: the server closed the connection early") from error
        except TimeoutError as error:  # all other waits are told where they end
            raise self.late("connect") from error
        except OSError as error:  # before ValueError, which the certificate's error is as well
            if getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING":  # OpenSSL 3, in older Pythons
                raise TruncatedMedia(f"{self.name}: the server closed the connection early") from error
            raise UriError(f"{self.name}: {_reason(error)}") from error
        except (http.client.HTTPException, ftplib.Error, ValueError) as error:
            text = _shown(str(error)) or type(error).__name__
            raise UriError(f"{self.name}: the server's answer makes no sense: {text}") from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    return _shown(error.strerror or str(error))


# Connections


class _Found(NamedTuple):
    """One meaning of a host name."""

    family: socket.AddressFamily
    place: tuple[Any, ...]


def _meant(found: _Found) -> Address:
    address = ipaddress.ip_address(found.place[0].partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _look_up(host: str, port: int, flags: int = 0) -> list[_Found]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    families = (socket.AF_INET, socket.AF_INET6)
    return [_Found(family, place) for family, _, _, _, place in answers if family in families]


def _resolve(target: _Target, trip: _Trip, begin: float) -> list[_Found]:
    """Find what the host's name means. Nothing can interrupt that, so a thread is left alone with it if need be."""
    with contextlib.suppress(OSError):
        return _look_up(target.host, target.port, socket.AI_NUMERICHOST)
    answers: queue.SimpleQueue[list[_Found] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_look_up(target.host, target.port))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            answers.put(error)

    threading.Thread(target=ask, name="framebridge-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=trip.patience("connect", begin))
    except queue.Empty:
        raise trip.late("connect") from None
    if isinstance(answer, Exception):
        raise UriNotFound(f"{target.name}: there is no host {target.host}: {_shown(str(answer))}") from answer
    return answer


def _connect(target: _Target, trip: _Trip) -> socket.socket:
    """Connect to the first of the host's addresses that answers, each with its share of the time."""
    begin = time.monotonic()
    found = trip.permitted(_resolve(target, trip, begin))
    for left in range(len(found), 0, -1):
        try:
            bare = _connect_to(found[-left], trip.patience("connect", begin) / left)
            break
        except TimeoutError:
            if left == 1:
                raise trip.late("connect") from None
        except OSError as error:
            if left == 1:
                raise UriError(f"{target.name}: cannot connect to {target.host}: {_reason(error)}") from error
    if target.scheme != "https":
        return bare
    try:
        bare.settimeout(trip.patience("connect", begin))  # of the whole handshake, says the ssl module's source
        # an end without a farewell can be anybody's doing, so it must not pass for the end of the content
        context = ssl.create_default_context()
        context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # set by Python where OpenSSL 3 has it
        return context.wrap_socket(bare, server_hostname=target.host, suppress_ragged_eofs=False)
    except TimeoutError:
        raise trip.late("connect") from None
    finally:
        bare.close()  # wrapped, it is detached from its descriptor


def _connect_to(found: _Found, seconds: float) -> socket.socket:
    bare = socket.socket(found.family, socket.SOCK_STREAM)
    try:
        bare.settimeout(seconds)
        bare.connect(found.place)
    except BaseException:
        bare.close()
        raise
    return bare


class _Wire(io.RawIOBase):
    """A socket on which every wait has its deadlines, as http.client, ftplib and `io` use sockets.

    The timeout of a socket is for one wait: a header that comes a letter at a time never meets it. So all
    deadlines are looked at here, before each wait.
    """

    def __init__(self, bare: socket.socket, trip: _Trip, head: int | None = _HEAD) -> None:
        super().__init__()
        self._bare = bare
        self._trip = trip
        self._head = head
        self._count = 0
        self._content_since: float | None = None

    def content_begins(self) -> None:
        """Call after the headers: from here on the rate counts, and not the size."""
        self._head = None
        self._count = 0
        self._content_since = time.monotonic()

    # What `io` calls

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._bare.settimeout(self._trip.patience("stall"))
        try:
            count = self._bare.recv_into(buffer)
        except TimeoutError:
            raise self._trip.late("stall") from None
        self._count += count
        if self._head is not None and not count:  # http.client takes the end for the end of the headers
            raise EOFError
        if self._head is not None and self._count > self._head:
            raise CorruptMedia(f"{self._trip.name}: the server sends more than {self._head} bytes of headers")
        if self._content_since is not None:
            self._trip.check_rate(self._count, self._content_since)
        return count

    def close(self) -> None:
        self._bare.close()
        super().close()

    # What http.client and ftplib call

    def makefile(self, _mode: str = "rb", **options: Any) -> Any:
        raw = _Borrowed(self)
        return io.TextIOWrapper(raw, errors="replace", **options) if options else raw

    def sendall(self, data: Any) -> None:
        self._bare.settimeout(self._trip.patience("stall"))
        try:
            self._bare.sendall(data)
        except TimeoutError:
            raise self._trip.late("stall") from None

    def getpeername(self) -> Any:
        return self._bare.getpeername()


class _Borrowed(io.BufferedReader):
    """A file on the wire, whose end is not the wire's: whoever connected closes that."""

    def close(self) -> None:
        """Leave it."""

    def flush(self) -> None:
        """Leave it, even when it is closed."""


# http


class _Connection(http.client.HTTPConnection):
    """http.client on a wire of ours, connected already. Host and SNI stay the name, whatever address that is."""

    def __init__(self, target: _Target, wire: _Wire) -> None:
        super().__init__(target.host, target.port)
        self.default_port = _PORTS[target.scheme]  # which the Host header leaves out
        self.sock = cast("socket.socket", wire)
        self.auto_open = 0

    def close(self) -> None:
        """Leave the wire, from which the answer is still to come."""


def _fetch_http(first: _Target, trip: _Trip) -> Download:
    target = first
    for _ in range(trip.limits.redirects + 1):
        with _Wire(_connect(target, trip), trip) as wire:
            answer = _ask(target, wire)
            if answer.status not in _REDIRECTS or not answer.headers.get("Location"):
                return _downloaded(first, target, answer, wire, trip)
            target = _redirected(target, answer, trip)
    raise LimitExceeded(
        f"{trip.name}: more redirects than the limit `http_redirects` allows, which is {trip.limits.redirects};"
        f" the last one leads to {target.name}"
    )


def _ask(target: _Target, wire: _Wire) -> http.client.HTTPResponse:
    connection = _Connection(target, wire)
    headers = {"User-Agent": "framebridge", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    if target.user is not None:
        pair = base64.b64encode(f"{target.user}:{target.password}".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {pair}"
    connection.request("GET", target.path, headers=headers)
    return connection.getresponse()


def _redirected(target: _Target, answer: http.client.HTTPResponse, trip: _Trip) -> _Target:
    location = answer.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")  # as servers send it
    try:
        return target.redirected(location)
    except UriError as error:
        raise UriError(f"{trip.name}: the server redirects to what is not followed: {error}") from error


def _downloaded(
    first: _Target, target: _Target, answer: http.client.HTTPResponse, wire: _Wire, trip: _Trip
) -> Download:
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


def _refused(target: _Target, answer: http.client.HTTPResponse) -> BridgeError:
    message = f"{target.name}: the server answered {answer.status} {_shown(answer.reason)}".rstrip()
    if answer.status in _MISSING:
        return UriNotFound(message)
    return ForbiddenUri(message) if answer.status in _FORBIDDEN else UriError(message)


def _body(answer: http.client.HTTPResponse, trip: _Trip) -> Iterator[memoryview]:
    """Give the content in pieces.

    By `readinto`, since `read` lets a chunk of -1 bytes take all the memory there is.
    """
    buffer = memoryview(bytearray(_PIECE))
    while count := answer.readinto(buffer):
        yield buffer[:count]
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
            raise MissingCodec(f"{name}: the server sends it compressed by {_shown(kind)!r}, which was not asked for")
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


def _name(first: _Target, last: _Target, answer: http.client.HTTPResponse, content_type: str) -> str:
    """Choose the name that tells most: what the user wrote, if that has an extension."""
    header = ""
    with contextlib.suppress(Exception):  # the email package, over what a stranger has made up
        header = _base_name(answer.headers.get_filename() or "")
    names = [name for name in (first.file_name, last.file_name, header) if name]
    for name in names:
        if PurePosixPath(name).suffix:
            return name
    medium = content_type.partition("/")[0] in ("image", "video", "audio")
    extension = mimetypes.guess_extension(content_type) or "" if medium else ""
    return (names[0] + extension) if names else ""


# ftp


class _Ftp(ftplib.FTP):
    """ftplib on wires of ours. Data come from the server that was connected to, whatever address it tells."""

    def __init__(self, wire: _Wire, bare: socket.socket, trip: _Trip) -> None:
        super().__init__()
        self.trip = trip
        self.host = bare.getpeername()[0]
        self.af = bare.family
        self.sock = cast("socket.socket", wire)
        self.file = wire.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def retrieve(self, path: str) -> tuple[socket.socket, int | None]:
        """Ask for a file; give where it comes, and its size if the server tells."""
        self.voidcmd("TYPE I")
        size: int | None = None
        with contextlib.suppress(ftplib.Error, ValueError):  # servers need not know SIZE
            size = self.size(path)
        self.timeout = self.trip.patience("connect")
        bare, told = self.ntransfercmd(f"RETR {path}")
        return bare, told if size is None else size


def _fetch_ftp(target: _Target, trip: _Trip) -> Download:
    path = unquote(target.path.partition(";type=")[0]).removeprefix("/")
    if not path or re.search(_CONTROL, path):
        raise UriError(f"{target.name}: it names no file")
    bare = _connect(target, trip)
    with _Wire(bare, trip) as wire:
        spool = _ftp_content(_Ftp(wire, bare, trip), target, path)
    return Download(spool=spool, name=_base_name(path), content_type="", address=target.name)


def _ftp_content(ftp: _Ftp, target: _Target, path: str) -> Spool:
    spool = ftp.trip.spool()
    try:
        ftp.login(target.user or "anonymous", target.password)
        bare, size = ftp.retrieve(path)
        with _Wire(bare, ftp.trip, head=None) as data:
            data.content_begins()
            if size is not None:
                spool.expect(size)
            _drain(data, spool)
        ftp.voidresp()
        _check_whole(spool, size)
        return spool.finish()
    except ftplib.Error as error:
        spool.close()
        raise _ftp_refused(target, error, begun=spool.size > 0) from error
    except BaseException:
        spool.close()
        raise


def _check_whole(spool: Spool, size: int | None) -> None:
    if size is not None and spool.size < size:
        raise TruncatedMedia(f"{spool.name}: the content ended {size - spool.size} bytes early")


def _drain(data: _Wire, spool: Spool) -> None:
    buffer = memoryview(bytearray(_PIECE))
    while count := data.readinto(buffer):
        spool.write(buffer[:count])


def _ftp_refused(target: _Target, error: ftplib.Error, *, begun: bool) -> BridgeError:
    message = f"{target.name}: the server answered {_shown(str(error))}"
    if begun:
        return TruncatedMedia(message)
    code = str(error)[:3]
    if code == "550":
        return UriNotFound(message)
    return ForbiddenUri(message) if code in ("530", "532") else UriError(message)
