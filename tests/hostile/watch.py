"""What is watched while a hostile input is read: files, servers, processes, folders, the clock."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import socketserver
import struct
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import FrameType

__all__ = ["Hung", "Server", "Stands", "Watch", "changing_names", "children", "contents", "deadline", "orphans"]

_OPENED = 0x20 | 0x01  # IN_OPEN and IN_ACCESS: a program that is run is opened, too


class Watch:
    """Sees who opens any of these files: inotify, which needs no privilege. A context manager."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = [*paths]
        self._names: dict[int, str] = {}

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        for path in self._paths:
            number = libc.inotify_add_watch(self._descriptor, os.fsencode(path), _OPENED)
            if number < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))
            self._names[number] = path.name
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def opened(self) -> list[str]:
        """Give the names of what has been opened so far."""
        found: set[str] = set()
        with contextlib.suppress(BlockingIOError):
            while events := os.read(self._descriptor, 1 << 16):
                at = 0
                while at < len(events):
                    number, _, _, length = struct.unpack_from("iIII", events, at)
                    found.add(self._names[number])
                    at += 16 + length
        return sorted(found)


class Stands:
    """Stand-ins for the programs that ImageMagick would start for documents, in a folder to put before PATH."""

    NAMES = ("gs", "gxps", "pcl6", "dot", "html2ps", "inkscape", "rsvg-convert", "soffice", "libreoffice", "hp2xx",
             "uniconvertor", "xdg-open", "curl", "wget", "ghostscript", "gslp", "potrace", "unzip")  # fmt: skip

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.paths = [folder / name for name in self.NAMES]
        for path in self.paths:
            path.write_text("#!/bin/sh\nexit 1\n")
            path.chmod(0o755)


# Servers


class _Handler(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        self.request.settimeout(5)
        asked = b""
        with contextlib.suppress(OSError):
            asked = self.request.recv(4096)
        line = asked.split(b"\r\n")[0].decode(errors="replace")
        self.server.log.append(line or "(a connection)")
        path = line.split(" ")[1] if line.count(" ") > 1 else ""
        status, headers, body = self.server.answers.get(path, ("200 OK", "", self.server.body))
        head = f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        with contextlib.suppress(OSError):
            self.request.sendall(head.encode() + body)


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = body
        self.answers: dict[str, tuple[str, str, bytes]] = {}
        self.log: list[str] = []


class Server:
    """A server on this machine that notes every connection; a context manager."""

    def __init__(self, body: bytes = b"") -> None:
        self._listener = _Listener(body)
        self.port = int(self._listener.server_address[1])
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    @property
    def log(self) -> list[str]:
        """The first line of each request."""
        return [*self._listener.log]

    def forget(self) -> None:
        """Empty the log, and forget what was to be served."""
        self._listener.log.clear()
        self._listener.answers.clear()

    def serve(self, path: str, body: bytes = b"", *, status: str = "200 OK", headers: str = "") -> str:
        """Answer so; give the address."""
        self._listener.answers[path] = (status, headers, body)
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def changing_names(first: str, then: str) -> Iterator[list[Any]]:
    """Let every name mean one address when first asked for, and another one ever after; give who is connected to."""
    look_up, connect = socket.getaddrinfo, socket.socket.connect
    asked: set[Any] = set()
    places: list[Any] = []

    def changing(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        meant = then if host in asked else first
        asked.add(host)
        return look_up(meant, port, *arguments, **options)

    def noted(self: socket.socket, place: Any) -> None:
        places.append(place)
        if place[0] == first:  # a public one, which is left alone
            raise ConnectionRefusedError(111, "Connection refused")
        connect(self, place)

    socket.getaddrinfo = changing
    socket.socket.connect = noted  # type: ignore[assignment,method-assign] # for a moment
    try:
        yield places
    finally:
        socket.getaddrinfo = look_up
        socket.socket.connect = connect  # type: ignore[method-assign] # as it was


# Processes, folders, the clock


def children() -> set[int]:
    """Give the processes below us."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def orphans() -> set[int]:
    """Give the processes anywhere that have our folder for temporary files in their environment."""
    mark, mine = tempfile.gettempdir(), {os.getpid(), *children()}
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in mine and process.status() != psutil.STATUS_ZOMBIE:
                inside = any(mark in value for value in process.environ().values())
                found |= {process.pid} if inside else set()
    return found


def contents(*folders: Path) -> dict[str, tuple[int, int]]:
    """Give what stands in these folders: names, sizes, times of the last change."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                facts = path.lstat()
                found[str(path)] = (0, 0) if path.is_dir() else (facts.st_size, facts.st_mtime_ns)
    return found


class Hung(BaseException):
    """It took longer than it may; no `except Exception` keeps this."""


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `Hung` in the main thread after that time; another timer that runs goes on afterwards."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hung(f"more than {seconds:g} s")

    begun = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.01, left - (time.monotonic() - begun)), interval)
