"""Files of ftp servers, by ftplib on wires of ours."""

from __future__ import annotations

import contextlib
import ftplib
import re
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from bridge.core.address import CONTROL, base_name, shown
from bridge.core.wire import Wire, connect
from bridge.errors import BridgeError, ForbiddenUri, TruncatedMedia, UriError, UriNotFound

if TYPE_CHECKING:
    import socket

    from bridge.core.address import Target
    from bridge.core.spool import Spool
    from bridge.core.trip import Trip

__all__ = ["fetch_ftp"]

_PIECE = 1 << 16


class _Ftp(ftplib.FTP):
    """ftplib on wires of ours. Data come from the server that was connected to, whatever address it tells."""

    def __init__(self, wire: Wire, bare: socket.socket, trip: Trip) -> None:
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


def fetch_ftp(target: Target, trip: Trip) -> tuple[Spool, str]:
    """Download a file; give it and its name."""
    path = unquote(target.path.partition(";type=")[0]).removeprefix("/")
    if not path or re.search(CONTROL, path):
        raise UriError(f"{target.name}: it names no file")
    bare = connect(target, trip)
    with Wire(bare, trip) as wire:
        spool = _ftp_content(_Ftp(wire, bare, trip), target, path)
    return spool, base_name(path)


def _ftp_content(ftp: _Ftp, target: Target, path: str) -> Spool:
    spool = ftp.trip.spool()
    try:
        ftp.login(target.user or "anonymous", target.password)
        bare, size = ftp.retrieve(path)
        with Wire(bare, ftp.trip, head=None) as data:
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


def _drain(data: Wire, spool: Spool) -> None:
    buffer = memoryview(bytearray(_PIECE))
    while count := data.readinto(buffer):
        spool.write(buffer[:count])


def _ftp_refused(target: Target, error: ftplib.Error, *, begun: bool) -> BridgeError:
    message = f"{target.name}: the server answered {shown(str(error))}"
    if begun:
        return TruncatedMedia(message)
    code = str(error)[:3]
    if code == "550":
        return UriNotFound(message)
    return ForbiddenUri(message) if code in ("530", "532") else UriError(message)
