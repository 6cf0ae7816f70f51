"""The X server's own words on its screens: one handshake, without any program or library.

Written to the X Window System Protocol, version 11, sections 8 (connection setup) and the file format of Xauthority.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.capture.devices import CaptureDevice
from bridge.capture.display import variables, x11
from bridge.errors import BridgeError, DeviceMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Place", "place_of", "screen_sizes", "screens", "sizes"]

_NAME = re.compile(r"(?:unix/|unix)?((?:[\w\[][\w.\-\[\]]*)?):(\d+)(?:\.(\d+))?")
_PATIENCE = 5.0  # seconds that an X server may take
_COOKIE = b"MIT-MAGIC-COOKIE-1"
_LOCAL = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the name of a display means: the machine, empty for this one, the server and its screen."""

    host: str
    server: int
    screen: int

    @property
    def name(self) -> str:
        """The name in full."""
        return f"{self.host}:{self.server}.{self.screen}"


def place_of(display: str) -> Place:
    """Read the name of a display.

    Raises
    ------
    ValueError
        If it is none.
    """
    match = _NAME.fullmatch(display)
    if not match:
        raise ValueError(f"display is the name of an X display, as ':0' or ':1.0', not {display!r}")
    return Place(host=match[1], server=int(match[2]), screen=int(match[3] or 0))


def screens() -> list[CaptureDevice]:
    """List the screens of this session's X server; none where it cannot be reached."""
    try:
        place = place_of(x11())
        found = screen_sizes(place)
    except (BridgeError, ValueError):
        return []
    own = [place.screen, *(number for number in range(len(found)) if number != place.screen)]
    return [
        _screen(place, number, found[number], default=number == place.screen) for number in own if number < len(found)
    ]


def _screen(place: Place, number: int, size: tuple[int, int], *, default: bool) -> CaptureDevice:
    path = f"{place.host}:{place.server}.{number}"
    note = "" if default else f"read it with display='{path}'"
    name = f"X screen {number}"
    return CaptureDevice(kind="screen", uri="<screen>", name=name, path=path, system="x11grab", size=size, note=note)


def screen_sizes(place: Place, cookies: str = "") -> list[tuple[int, int]]:
    """Ask an X server for width and height of its screens.

    Parameters
    ----------
    place : Place
        Which server.
    cookies : str
        The file of the cookies by which servers know us; by default the environment's.

    Raises
    ------
    DeviceMissing
        If it cannot be reached, or does not let us in.
    """
    try:
        with _connected(place) as server:
            name, cookie = _cookie(place, cookies or variables().get("XAUTHORITY", os.devnull))
            server.sendall(
                struct.pack("<cxHHHHxx", b"l", 11, 0, len(name), len(cookie)) + _padded(name) + _padded(cookie)
            )
            head = _exactly(server, 8)
            body = _exactly(server, 4 * struct.unpack_from("<H", head, 6)[0])
    except (OSError, struct.error) as error:
        raise DeviceMissing(f"<screen>: the display {place.name} cannot be reached: {error}") from error
    if head[0] != 1:
        reason = body[: head[1]].decode("latin-1").strip() if head[0] == 0 else "it wants more than a cookie"
        raise DeviceMissing(f"<screen>: the display {place.name} does not let us in: {reason}")
    return sizes(body)


def sizes(body: bytes) -> list[tuple[int, int]]:
    """Read the screens' sizes out of an X server's answer to a connection, without its first eight bytes."""
    (vendor,) = struct.unpack_from("<H", body, 16)
    roots, formats = body[20], body[21]
    at = 32 + vendor + -vendor % 4 + 8 * formats
    found = []
    for _ in range(roots):
        width, height = struct.unpack_from("<HH", body, at + 20)
        found.append((width, height))
        depths = body[at + 39]
        at += 40
        for _ in range(depths):
            at += 8 + 24 * struct.unpack_from("<H", body, at + 2)[0]
    return found


def _connected(place: Place) -> socket.socket:
    if place.host:
        return socket.create_connection((place.host, 6000 + place.server), _PATIENCE)
    path = f"/tmp/.X11-unix/X{place.server}"  # noqa: S108 - where every X server listens
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.settimeout(_PATIENCE)
        server.connect(path if Path(path).exists() else f"\0{path}")
    except BaseException:
        server.close()
        raise
    return server


def _exactly(server: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = server.recv(count - len(data))
        if not piece:
            raise ConnectionError("it has hung up")
        data += piece
    return data


def _padded(text: bytes) -> bytes:
    return text + bytes(-len(text) % 4)


def _cookie(place: Place, cookies: str) -> tuple[bytes, bytes]:
    """Find the cookie for a display in the user's file of them; nothing where none is needed."""
    try:
        data = Path(cookies).read_bytes()
    except OSError:
        return b"", b""
    for family, address, number, name, cookie in _entries(data):
        ours = family != _LOCAL or address == socket.gethostname().encode()
        if name == _COOKIE and number in (b"", str(place.server).encode()) and ours:
            return name, cookie
    return b"", b""


def _entries(data: bytes) -> Iterator[tuple[int, bytes, bytes, bytes, bytes]]:
    at = 0
    while at + 2 <= len(data):
        (family,) = struct.unpack_from(">H", data, at)
        at += 2
        fields = []
        for _ in range(4):
            if at + 2 > len(data):
                return
            (length,) = struct.unpack_from(">H", data, at)
            fields.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        yield family, fields[0], fields[1], fields[2], fields[3]
