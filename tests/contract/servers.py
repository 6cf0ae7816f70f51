"""Servers on this machine: http, https and ftp, honest ones and such as want to harm."""

from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CERTIFICATE", "Servers"]

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # for localhost and 127.0.0.1, until 2120


class Servers:
    """Serves what it is given; a context manager.

    ``servers.http("/a.png", content)`` gives the address; `https` and `ftp` likewise. ``servers.bad("silent")``
    gives the address of one that misbehaves.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        self._http = self._start(_Server(_Http, self.files))
        self._https = self._start(_Server(_Http, self.files, context))
        self._ftp = self._start(_Server(_Ftp, self.files))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _start(self, server: _Server) -> int:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self._running.callback(thread.join)
        self._running.callback(server.server_close)
        self._running.callback(server.shutdown)
        return int(server.server_address[1])

    def http(self, name: str, content: bytes) -> str:
        return f"http://127.0.0.1:{self._http}{self._put(name, content)}"

    def https(self, name: str, content: bytes) -> str:
        return f"https://localhost:{self._https}{self._put(name, content)}"

    def ftp(self, name: str, content: bytes) -> str:
        return f"ftp://127.0.0.1:{self._ftp}{self._put(name, content)}"

    def bad(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self._http}/bad/{behaviour}/picture.png"

    def _put(self, name: str, content: bytes) -> str:
        path = "/some folder/" + name
        self.files[path] = content
        return quote(path)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: Any, files: dict[str, bytes], context: ssl.SSLContext | None = None) -> None:
        self.files = files
        self._context = context
        super().__init__(("127.0.0.1", 0), handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.settimeout(10)
        if self._context is None:
            return connection, address
        try:
            return self._context.wrap_socket(connection, server_side=True), address
        except OSError:
            connection.close()
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none of our business."""


class _Http(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        if self.path.startswith("/bad/"):
            with contextlib.suppress(OSError):
                _BAD[self.path.split("/")[2]](self)
            return
        content = self.server.files.get(unquote(self.path))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)

    def begin(self, *headers: tuple[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def wait_for_hanging_up(self) -> None:
        while self.connection.recv(1024):
            pass


_PNG = b"\x89PNG\r\n\x1a\n"


def _silent(handler: _Http) -> None:
    handler.wait_for_hanging_up()


def _drip(handler: _Http) -> None:
    handler.begin(("Content-Length", "100000"))
    for byte in _PNG * 12500:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def _lie(handler: _Http) -> None:
    handler.begin(("Content-Length", "100000"))
    handler.wfile.write(_PNG * 10)


def _loop(handler: _Http) -> None:
    handler.begin(("Location", handler.path), ("Content-Length", "0"), status=302)


def _to_file(handler: _Http) -> None:
    handler.begin(("Location", "file:///etc/passwd"), ("Content-Length", "0"), status=302)


def _endless(handler: _Http) -> None:
    handler.begin()
    while True:
        handler.wfile.write(_PNG * 8192)


def _huge(handler: _Http) -> None:
    handler.begin(("Content-Length", str(1 << 60)))
    handler.wait_for_hanging_up()


_BAD: dict[str, Callable[[_Http], None]] = {
    "silent": _silent,
    "drip": _drip,
    "lie": _lie,
    "loop": _loop,
    "to-file": _to_file,
    "endless": _endless,
    "huge": _huge,
}


class _Ftp(socketserver.StreamRequestHandler):
    """As much of FTP as it takes to fetch a file."""

    server: _Server
    folder = "/"
    passive: socket.socket | None = None

    def handle(self) -> None:
        self._say("220 ready")
        try:
            for line in self._lines():
                word, _, rest = line.partition(" ")
                if not self._answer(word.upper(), rest):
                    return
        finally:
            if self.passive is not None:
                self.passive.close()

    def _lines(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            for line in self.rfile:
                yield line.decode().rstrip("\r\n")

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(line.encode() + b"\r\n")

    def _answer(self, word: str, rest: str) -> bool:
        if word == "CWD":
            self.folder = self._path(rest) + "/"
        elif word in ("EPSV", "PASV"):
            self._listen(extended=word == "EPSV")
            return True
        elif word in ("SIZE", "RETR"):
            self._file(word, self._path(rest))
            return True
        self._say(_ANSWERS.get(word, "502 not known"))
        return word != "QUIT"

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else self.folder + name

    def _listen(self, *, extended: bool) -> None:
        if self.passive is not None:
            self.passive.close()
        self.passive = socket.create_server(("127.0.0.1", 0))
        self.passive.settimeout(10)
        port = self.passive.getsockname()[1]
        numbers = f"127,0,0,1,{port >> 8},{port & 255}"
        self._say(f"229 here (|||{port}|)" if extended else f"227 here ({numbers})")

    def _file(self, word: str, path: str) -> None:
        content = self.server.files.get(path)
        if content is None:
            self._say("550 no such file")
        elif word == "SIZE":
            self._say(f"213 {len(content)}")
        elif self.passive is None:
            self._say("425 no connection")
        else:
            self._say("150 it comes")
            with contextlib.suppress(OSError):
                data, _ = self.passive.accept()
                with data:
                    data.sendall(content)
            self._say("226 that was it")


_ANSWERS = {"USER": "331 who says so", "PASS": "230 welcome", "TYPE": "200 fine", "CWD": "250 fine",
            "PWD": '257 "/"', "QUIT": "221 bye"}  # fmt: skip
