"""Sockets to servers: to no other address than the one that was checked, with deadlines on every wait."""

from __future__ import annotations

import contextlib
import io
import queue
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.core.address import shown
from bridge.core.public import meant
from bridge.core.trip import reason
from bridge.errors import CorruptMedia, UriError, UriNotFound

if TYPE_CHECKING:
    from bridge.core.address import Target
    from bridge.core.public import Address
    from bridge.core.trip import Trip

__all__ = ["Found", "Wire", "connect"]

_HEAD = 256 << 10  # bytes of all status lines and headers of one answer


class Found(NamedTuple):
    """One meaning of a host name."""

    family: socket.AddressFamily
    place: tuple[Any, ...]

    @property
    def address(self) -> Address:
        """Its IP address."""
        return meant(self.place[0])


def _look_up(host: str, port: int, flags: int = 0) -> list[Found]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    families = (socket.AF_INET, socket.AF_INET6)
    return [Found(family, place) for family, _, _, _, place in answers if family in families]


def _resolve(target: Target, trip: Trip, begin: float) -> list[Found]:
    """Find what the host's name means. Nothing can interrupt that, so a thread is left alone with it if need be."""
    with contextlib.suppress(OSError):
        return _look_up(target.host, target.port, socket.AI_NUMERICHOST)
    answers: queue.SimpleQueue[list[Found] | Exception] = queue.SimpleQueue()

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
        raise UriNotFound(f"{target.name}: there is no host {target.host}: {shown(str(answer))}") from answer
    return answer


def connect(target: Target, trip: Trip) -> socket.socket:
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
                raise UriError(f"{target.name}: cannot connect to {target.host}: {reason(error)}") from error
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


def _connect_to(found: Found, seconds: float) -> socket.socket:
    bare = socket.socket(found.family, socket.SOCK_STREAM)
    try:
        bare.settimeout(seconds)
        bare.connect(found.place)
    except BaseException:
        bare.close()
        raise
    return bare


class Wire(io.RawIOBase):
    """A socket on which every wait has its deadlines, as http.client, ftplib and `io` use sockets.

    The timeout of a socket is for one wait: a header that comes a letter at a time never meets it. So all
    deadlines are looked at here, before each wait.
    """

    def __init__(self, bare: socket.socket, trip: Trip, head: int | None = _HEAD) -> None:
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
        """Tell that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for some bytes."""
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
        """Close the socket."""
        self._bare.close()
        super().close()

    # What http.client and ftplib call

    def makefile(self, _mode: str = "rb", **options: Any) -> Any:
        """Give the wire as a file, for reading."""
        raw = _Borrowed(self)
        return io.TextIOWrapper(raw, errors="replace", **options) if options else raw

    def sendall(self, data: Any) -> None:
        """Send all of it."""
        self._bare.settimeout(self._trip.patience("stall"))
        try:
            self._bare.sendall(data)
        except TimeoutError:
            raise self._trip.late("stall") from None

    def getpeername(self) -> Any:
        """Give the address that is connected to."""
        return self._bare.getpeername()


class _Borrowed(io.BufferedReader):
    """A file on the wire, whose end is not the wire's: whoever connected closes that."""

    def close(self) -> None:
        """Leave it."""

    def flush(self) -> None:
        """Leave it, even when it is closed."""
