"""Downloads: what servers have comes whole and under its name; what they do instead ends in time, with a reason."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import download as module
from bridge.core import public
from bridge.core.address import masked
from bridge.core.download import HttpLimits, fetch
from bridge.core.request import Request
from bridge.core.wire import Found
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
from bridge.limits import Limits
from tests.strategies import mutated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DATA = os.urandom(300_000)
_SHORT = HttpLimits(connect=0.4, stall=0.3, total=0.8, bytes=1 << 20)


class Server:
    """Answers each connection by a function of it and of the request; all on one thread, which `stop` ends."""

    def __init__(self, play: Play, family: socket.AddressFamily, wrap: Wrap | None, *, greets: bool) -> None:
        self.play = play
        self.requests: list[str] = []
        self.over = threading.Event()
        self._wrap = wrap
        self._greets = greets
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="test server")
        self._thread.start()

    def url(self, path: str = "/a.png", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [request.split(" ")[1] for request in self.requests]

    def header(self, name: str, index: int = -1) -> str | None:
        match = re.search(rf"^{name}: (.*)\r$", self.requests[index], re.MULTILINE)
        return match[1] if match else None

    def stop(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self.over.is_set():
            with contextlib.suppress(OSError):  # the client has gone, or the test is over
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(5)
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        if self._wrap:
            connection = self._wrap(connection)
        with connection:
            request = b""
            while not self._greets and b"\r\n\r\n" not in request:
                if not (piece := connection.recv(9999)):
                    return
                request += piece
            self.requests.append(request.decode())
            self.play(self, connection, request.decode())

    # Things to do

    def drip(self, connection: socket.socket, data: bytes, seconds: float = 0.05) -> None:
        """Send `data` over and over, a byte at a time."""
        while not self.over.is_set():
            for byte in data:
                connection.sendall(bytes([byte]))
                self.over.wait(seconds)

    def flood(self, connection: socket.socket, data: bytes) -> None:
        """Send `data` over and over, as fast as it goes."""
        while not self.over.is_set():
            connection.sendall(data)


Play: TypeAlias = "Callable[[Server, socket.socket, str], None]"
Wrap: TypeAlias = "Callable[[socket.socket], socket.socket]"
Serve: TypeAlias = "Callable[..., Server]"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(answer)``: a server that answers with these bytes, or plays that function."""
    servers: list[Server] = []

    def make(
        what: bytes | Play,
        *,
        family: socket.AddressFamily = socket.AF_INET,
        wrap: Wrap | None = None,
        greets: bool = False,
    ) -> Server:
        play = _say(what) if isinstance(what, bytes) else what
        servers.append(Server(play, family, wrap, greets=greets))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def _say(data: bytes) -> Play:
    return lambda _server, connection, _request: connection.sendall(data)


def _answer(body: bytes = b"", status: str = "200 OK", **headers: Any) -> bytes:
    headers = {"Content_Length": len(body), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def _chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def _get(address: str, limits: HttpLimits = _SHORT) -> bytes:
    with fetch(address, limits).spool as spool:
        return spool.read_at(0, spool.size + 1)


def _named(names: dict[str, list[str]]) -> Callable[..., Any]:
    """Stand in for getaddrinfo, with an own opinion of some names."""
    look_up = socket.getaddrinfo

    def answer(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host not in names:
            return look_up(host, port, *arguments, **options)
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        return [found for number in names[host] for found in look_up(number, port, *arguments, **options)]

    return answer


# What comes


def test_a_file_comes_whole(serve: Serve) -> None:
    server = serve(_answer(_DATA, Content_Type="image/PNG; q=1"))
    with (got := fetch(server.url("/cats/My%20cat.PNG?size=%2F1#part"), _SHORT)).spool as spool:
        assert spool.read_at(0, 1 << 20) == _DATA
        assert (got.name, got.extension, got.content_type) == ("My cat.PNG", ".png", "image/png")
        assert os.fstat(spool.fileno()).st_size == len(_DATA)
    assert server.paths == ["/cats/My%20cat.PNG?size=%2F1"]
    assert server.header("Host") == f"127.0.0.1:{server.port}"
    assert server.header("Accept-Encoding") == "identity"
    assert server.header("Authorization") is None


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", "/"),
        ("?a=b&c=[1]", "/?a=b&c=[1]"),
        ("/a b/ü.png", "/a%20b/%C3%BC.png"),
        ("/a%2Fb%zz%C3", "/a%2Fb%zz%C3"),
        ("//a//b;x=1", "//a//b;x=1"),
        ("/a?x=1#b?c", "/a?x=1"),
    ],
)
def test_the_path_is_kept(serve: Serve, written: str, sent: str) -> None:
    server = serve(_answer(b"x"))
    assert _get(server.url(written)) == b"x"
    assert server.paths == [sent]


@pytest.mark.parametrize(
    "answer",
    [
        _answer(_DATA, Content_Length=None),
        _answer(_chunked(_DATA[:7], _DATA[7:200_000], _DATA[200_000:], b""), Content_Length=None).replace(
            b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n", 1
        ),
        _answer(_DATA + b"more than it tells", Content_Length=len(_DATA)),
        b"HTTP/1.1 100 Continue\r\n\r\n" + _answer(_DATA),
        b"HTTP/1.0 200\r\n\r\n" + _DATA,
        _answer(gzip.compress(_DATA), Content_Encoding="gzip"),
        _answer(gzip.compress(_DATA[:9]) + gzip.compress(_DATA[9:]), Content_Encoding="X-GZIP"),
        _answer(zlib.compress(_DATA), Content_Encoding="deflate"),
        _answer(_DATA, Content_Encoding="identity"),
    ],
    ids=["to the end", "chunked", "longer", "continue", "1.0", "gzip", "two gzips", "deflate", "identity"],
)
def test_ways_to_send_it(serve: Serve, answer: bytes) -> None:
    assert _get(serve(answer).url()) == _DATA


def test_nothing_is_nothing(serve: Serve) -> None:
    assert _get(serve(_answer(b"")).url()) == b""


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/a.png", {"Content_Disposition": "attachment; filename=b.gif"}, "a.png"),
        ("/show?id=3", {"Content_Disposition": "attachment; filename=b.gif"}, "b.gif"),
        ("/show", {"Content_Disposition": 'attachment; filename="../../etc/b.gif"'}, "b.gif"),
        ("/show", {"Content_Disposition": "attachment; filename*=UTF-8''%e2%98%83.gif"}, "☃.gif"),
        ("/show", {"Content_Type": "image/jpeg"}, "show.jpg"),
        ("/show", {"Content_Type": "application/octet-stream"}, "show"),
        ("/", {"Content_Type": "image/jpeg"}, ""),
        ("/a%2F..%2Fb%1b.png", {}, "b?.png"),
    ],
)
def test_names(serve: Serve, path: str, headers: dict[str, str], name: str) -> None:
    got = fetch(serve(_answer(b"x", **headers)).url(path), _SHORT)
    got.spool.close()
    assert got.name == name


def test_proxies_of_the_environment_are_left_alone(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert _get(serve(_answer(b"x")).url()) == b"x"


def test_ipv6(serve: Serve) -> None:
    try:
        server = serve(_answer(b"x"), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert _get(server.url(host="[::1]")) == b"x"
    assert server.header("Host") == f"[::1]:{server.port}"


def test_a_name_with_a_dead_address_in_front(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _named({"pictures.test": ["127.0.0.2", "127.0.0.1"]}))
    server = serve(_answer(b"x"))
    assert _get(server.url(host="Pictures.test")) == b"x"
    assert server.header("Host") == f"pictures.test:{server.port}"


# Who may come


def test_the_password_is_sent_and_never_shown(serve: Serve) -> None:
    server = serve(_answer(b"", "404 Not Found"))
    with pytest.raises(UriNotFound) as caught:
        _get(server.url(host="me:s%40cret@127.0.0.1"))
    assert server.header("Authorization") == "Basic bWU6c0BjcmV0"
    assert str(caught.value) == f"http://me:***@127.0.0.1:{server.port}/a.png: the server answered 404 Not Found"
    assert masked("ftp://u:a@b:c@host/x@y") == "ftp://u:***@host/x@y"
    assert masked("http://host/a:b@c") == "http://host/a:b@c"


def test_only_the_same_server_gets_the_password_again(serve: Serve) -> None:
    other = serve(_answer(b"x"))

    def play(_: Server, connection: socket.socket, request: str) -> None:
        target = "/second" if "/first" in request else other.url("/third")
        connection.sendall(_answer(b"", "302 Found", Location=target))

    server = serve(play)
    assert _get(server.url("/first", host="me:secret@127.0.0.1")) == b"x"
    assert server.header("Authorization", 0) == server.header("Authorization", 1) == "Basic bWU6c2VjcmV0"
    assert other.paths == ["/third"]
    assert other.header("Authorization") is None


_PUBLIC = replace(_SHORT, public=True)
_HOSTS = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0x7f000001", "0", "localhost", "LOCALHOST.",
          "127.0.0.1.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
          "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::1]", "[fe80::1]", "[fc00::1]", "10.0.0.1",
          "169.254.169.254", "100.100.100.200", "\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021"]  # fmt: skip


@pytest.mark.parametrize("scheme", ["http", "https", "ftp"])
@pytest.mark.parametrize("host", _HOSTS)
def test_39_host_spellings(serve: Serve, monkeypatch: pytest.MonkeyPatch, host: str, scheme: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _named({"127.0.0.1.": ["127.0.0.1"], "localhost.": ["127.0.0.1"]}))
    server = serve(_answer(b"x"))
    with pytest.raises(ForbiddenUri, match=r"http_public=True .*limits=bridge\.Limits\(http_public=False"):
        _get(server.url(host=host, scheme=scheme), _PUBLIC)
    assert not server.requests


@pytest.mark.parametrize("text", [
    "0.0.0.1", "0.1.2.3", "10.9.8.7", "100.64.0.1", "100.127.255.255", "127.255.255.255", "168.63.129.16",
    "169.254.1.1", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.255.255",
    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8",
    "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1",
    "2001:db8::1", "2002:a00:1::1", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1%lo",
    "fec0::1", "ff02::1", "ff0e::1", "4000::1",
])  # fmt: skip
def test_39_addresses_that_are_not_public(text: str) -> None:
    assert not public.is_public(public.meant(text))


@pytest.mark.parametrize("text", [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "198.17.0.1",
    "198.20.0.1", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:4860:4860::8888",
    "2606:4700::1111", "2a00:1450::1",
])  # fmt: skip
def test_39_addresses_that_are_public(text: str) -> None:
    assert public.is_public(public.meant(text))


def test_an_ipv4_address_in_ipv6_form_is_what_it_is() -> None:
    assert Found(socket.AF_INET6, ("::ffff:127.0.0.1", 80, 0, 0)).address == ipaddress.ip_address("127.0.0.1")
    assert Found(socket.AF_INET6, ("fe80::1%lo", 80, 0, 1)).address == ipaddress.ip_address("fe80::1")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``only("127.0.0.1")``: that this is a public address, and none else."""
    return lambda text: monkeypatch.setattr("bridge.core.trip.is_public", lambda address: str(address) == text)


@pytest.mark.parametrize("limits", [_SHORT, _PUBLIC], ids=["normal", "public"])
def test_37_http_redirect_private(
    serve: Serve, only: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, limits: HttpLimits
) -> None:
    only("127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", _named({"inside.test": ["127.0.0.2"]}))
    server = serve(lambda s, c, _: c.sendall(_answer(b"", "301 Moved", Location=s.url(host="inside.test"))))
    begin = time.perf_counter()
    with pytest.raises(ForbiddenUri, match=r"127\.0\.0\.2"):
        _get(server.url(), limits)
    assert time.perf_counter() - begin < 1
    assert len(server.requests) == 1


def test_a_server_inside_may_redirect_as_it_likes(serve: Serve, only: Callable[[str], None]) -> None:
    only("127.0.0.1")
    server = serve(lambda _, c, r: c.sendall(_answer(b"x") if "/b" in r else _answer(b"", "302 F", Location="/b")))
    assert _get(server.url(), _PUBLIC) == b"x"
    only("nothing")
    assert _get(server.url()) == b"x"


def test_40_dns_rebinding(serve: Serve, only: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means another address each time it is asked for: it is asked once, and that is connected to."""
    names = {"changing.test": ["127.0.0.1"]}
    look_up = _named(names)
    asked: list[str] = []

    def changing(host: Any, *arguments: Any, **options: Any) -> Any:
        answer = look_up(host, *arguments, **options)
        asked.append(host)
        names["changing.test"] = ["127.0.0.99"]
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    only("127.0.0.1")
    server = serve(lambda s, c, _: c.sendall(_answer(b"", "302 Found", Location=s.url("/b", host="changing.test"))))
    with pytest.raises(ForbiddenUri, match=r"127\.0\.0\.99"):
        _get(server.url(host="changing.test"), _PUBLIC)
    assert asked == ["changing.test", "changing.test"]
    assert server.paths == ["/a.png"]


def test_40_of_a_name_with_several_addresses_only_public_ones_are_connected_to(
    serve: Serve, only: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    only("127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", _named({"both.test": ["127.0.0.2", "127.0.0.1"]}))
    places: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, place: Any) -> None:
        places.append(place[0])
        connect(self, place)

    server = serve(_answer(b"x"))
    monkeypatch.setattr(socket.socket, "connect", noted)
    assert _get(server.url(host="both.test"), _PUBLIC) == b"x"
    assert places == ["127.0.0.1"]


# Answers that are none


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Not Found", UriNotFound),
        ("410 Gone", UriNotFound),
        ("401 Unauthorized", ForbiddenUri),
        ("403 Forbidden", ForbiddenUri),
        ("500 Internal Server Error", UriError),
        ("204 No Content", UriError),
        ("206 Partial Content", UriError),
        ("304 Not Modified", UriError),
        ("302 Found", UriError),  # without saying where
    ],
)
def test_statuses(serve: Serve, status: str, error: type[BridgeError]) -> None:
    with pytest.raises(error, match=f"answered {status}") as caught:
        _get(serve(_answer(b"sorry", status)).url())
    assert type(caught.value) is error


def test_what_a_stranger_writes_is_shown_on_one_plain_line(serve: Serve) -> None:
    with pytest.raises(UriError) as caught:
        _get(serve(_answer(b"", "500 \x1b[2Jno" + "o" * 5000)).url())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", TruncatedMedia),
        (b"HTTP/1.1 200 OK\r\nContent-", TruncatedMedia),
        (b"SSH-2.0-OpenSSH_9.2\r\n", UriError),
        (b"\0" * 100_000, UriError),
        (b"HTTP/1.1 2000 OK\r\n\r\n", UriError),
        (_answer(b"short", Content_Length=6), TruncatedMedia),
        (_answer(b"", Content_Length=6), TruncatedMedia),
        (_answer(b"5\r\nab", Content_Length=None, Transfer_Encoding="chunked"), TruncatedMedia),
        (_answer(b"5\r\nabcde\r\n", Content_Length=None, Transfer_Encoding="chunked"), TruncatedMedia),
        (_answer(b"zz\r\nabcde\r\n", Content_Length=None, Transfer_Encoding="chunked"), TruncatedMedia),
        (_answer(b"x", Content_Encoding="br"), MissingCodec),
        (_answer(b"no gzip", Content_Encoding="gzip"), CorruptMedia),
        (_answer(gzip.compress(_DATA)[:-9], Content_Encoding="gzip"), TruncatedMedia),
        (_answer(b"", Content_Encoding="gzip"), TruncatedMedia),
    ],
)
def test_bad_answers(serve: Serve, answer: bytes, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        _get(serve(answer).url())
    assert type(caught.value) is error
    assert "127.0.0.1" in str(caught.value)


def test_a_connection_that_is_reset(serve: Serve) -> None:
    def play(_: Server, connection: socket.socket, __: str) -> None:
        connection.sendall(_answer(b"some", Content_Length=1000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with pytest.raises(TruncatedMedia):
        _get(serve(play).url())


_GOOD = [
    _answer(
        b"content" * 9, Content_Type="image/png; a=b", Content_Disposition="x; filename=\"a b\"; filename*=utf-8''c"
    ),
    _answer(_chunked(b"content", b"content" * 8, b""), Content_Length=None, Transfer_Encoding="chunked"),
    _answer(gzip.compress(b"content" * 9), Content_Encoding="gzip", Content_Type="image/png"),
    _answer(b"", "301 Moved", Location="http://127.0.0.1:1/a/b?c#d"),
]


@given(data=st.data())
def test_any_answer_gives_content_or_an_error_of_ours(data: st.DataObject) -> None:
    answer = data.draw(mutated(data.draw(st.sampled_from(_GOOD))))

    def connect(*_: Any) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(answer)
            theirs.shutdown(socket.SHUT_WR)
            requests.append(theirs.dup())  # what is sent to nobody would be an error
        return ours

    requests: list[socket.socket] = []
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(BridgeError):
        patch.setattr(module, "connect", connect)
        _get("http://host/show")
    for request in requests:
        request.close()


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["b%20c.gif", "/cats/b%20c.gif", "{url}/cats/b%20c.gif", "//{host}/cats/b%20c.gif"]
)
def test_redirects_are_followed(serve: Serve, status: int, location: str) -> None:
    def play(server: Server, connection: socket.socket, request: str) -> None:
        there = location.format(url=server.url(""), host=f"127.0.0.1:{server.port}")
        away = _answer(b"elsewhere", f"{status} Away", Location=there)
        connection.sendall(_answer(b"x") if "b%20c" in request else away)

    server = serve(play)
    with (got := fetch(server.url("/cats/first"), _SHORT)).spool:
        assert got.name == "b c.gif"
        assert got.address == server.url("/cats/b%20c.gif")
    assert server.paths == ["/cats/first", "/cats/b%20c.gif"]


def test_38_http_redirect_loop(serve: Serve) -> None:
    begin = time.perf_counter()
    server = serve(_answer(b"", "302 Found", Location="/a.png"))
    with pytest.raises(LimitExceeded, match=r"the limit http_redirects=5 allows"):
        _get(server.url())
    assert len(server.requests) == 6
    assert time.perf_counter() - begin < 1
    with pytest.raises(LimitExceeded, match="http_redirects=0"):
        _get(server.url(), HttpLimits(redirects=0))


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "file:/etc/passwd", "FILE:///etc/passwd", "ftp://127.0.0.1/a", "data:,x", "gopher://x",
     "memory://x", "unix:/run/x", "javascript:1", "http://[", "//\x01/"],
)  # fmt: skip
def test_36_http_redirect_file(serve: Serve, location: str) -> None:
    with pytest.raises(UriError):
        _get(serve(_answer(b"", "302 Found", Location=location)).url())


# Too slow, too much


def _head(**headers: Any) -> bytes:
    return _answer(b"", **{"Content_Length": None, **headers})


_CHUNKED = _head(Transfer_Encoding="chunked")


def _first(data: bytes, then: Callable[[Server, socket.socket], None]) -> Play:
    def play(server: Server, connection: socket.socket, _: str) -> None:
        connection.sendall(data)
        then(server, connection)

    return play


def _silent(server: Server, _: socket.socket) -> None:
    server.over.wait(5)


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (_first(b"", _silent), "http_stall="),
        (_first(b"HTTP/1.1 200 OK\r\n", _silent), "http_stall="),
        (_first(_head(Content_Length=9), _silent), "http_stall="),
        (_first(_head(Content_Length=9) + b"some", _silent), "http_stall="),
        (_first(b"", lambda s, c: s.drip(c, b"HTTP/1.1 200 OK" + b" " * 999)), "http_total="),
        (_first(b"HTTP/1.1 200 OK\r\n", lambda s, c: s.drip(c, b"X: y\r\n")), "http_total="),
        (_first(_head(Content_Length=9999), lambda s, c: s.drip(c, b"x")), "http_total="),
        (_first(_head(), lambda s, c: s.drip(c, b"x")), "http_total="),
        (_first(_CHUNKED, lambda s, c: s.drip(c, b"1\r\nx\r\n")), "http_total="),
        (_first(_CHUNKED + b"0\r\n", lambda s, c: s.drip(c, b"T: x\r\n")), "http_total="),
        (_first(_CHUNKED + b"0\r\n", lambda s, c: s.flood(c, b"T: x\r\n" * 99)), "http_total="),
    ],
    ids=[
        "silent",
        "silent in headers",
        "silent before the content",
        "silent in the content",
        "drips the status",
        "drips headers",
        "drips content",
        "drips without length",
        "drips chunks",
        "drips trailers",
        "floods trailers",
    ],
)
def test_slow_servers(serve: Serve, play: Play, words: str) -> None:
    server = serve(play)
    begin = time.perf_counter()
    with pytest.raises(LimitExceeded, match=words):
        _get(server.url())
    assert time.perf_counter() - begin < 1.5


def test_a_rate_that_is_too_small(serve: Serve) -> None:
    server = serve(_first(_head(), lambda s, c: s.drip(c, b"x")))
    with pytest.raises(LimitExceeded, match=r"http_rate=1000"):
        _get(server.url(), HttpLimits(stall=0.3, total=5, rate=1000))


def test_the_total_goes_over_all_redirects(serve: Serve) -> None:
    def play(server: Server, connection: socket.socket, _: str) -> None:
        server.over.wait(0.2)
        connection.sendall(_answer(b"", "302 Found", Location="/again"))

    with pytest.raises(LimitExceeded, match="http_total="):
        _get(serve(play).url(), HttpLimits(total=0.5, redirects=99))


@pytest.mark.parametrize(
    ("play", "error", "words"),
    [
        (_say(_head(Content_Length=(1 << 20) + 1)), LimitExceeded, "1048577 bytes, more.*http_bytes="),
        (_first(_head(), lambda s, c: s.flood(c, b"x" * 9999)), LimitExceeded, "http_bytes=1048576"),
        (_first(_CHUNKED, lambda s, c: s.flood(c, _chunked(b"x" * 999))), LimitExceeded, "http_bytes="),
        (_first(_CHUNKED + b"-1\r\n", lambda s, c: s.flood(c, b"x" * 9999)), BridgeError, "127"),
        (_first(_CHUNKED + b"f" * 15 + b"\r\n", lambda s, c: s.flood(c, b"x" * 9999)), LimitExceeded, "http_bytes="),
        (_say(_answer(gzip.compress(bytes(50 << 20)), Content_Encoding="gzip")), LimitExceeded, "http_bytes="),
        (_first(b"HTTP/1.1 200 OK\r\n", lambda s, c: s.flood(c, b"X: y\r\n" * 99)), UriError, "headers"),
        (_first(b"HTTP/1.1 200 OK\r\n", lambda s, c: s.flood(c, b"x" * 9999)), UriError, "header"),
        (_first(b"", lambda s, c: s.flood(c, b"HTTP/1.1 100 Continue\r\n\r\n")), CorruptMedia, "of headers"),
    ],
    ids=["told", "endless", "chunks", "chunk of -1", "huge chunk", "bomb", "headers", "one header", "continue"],
)
def test_too_much(serve: Serve, play: Play, error: type[BridgeError], words: str) -> None:
    with pytest.raises(error, match=words):
        _get(serve(play).url(), HttpLimits(bytes=1 << 20, stall=2, total=4))


def test_compressed_content_that_becomes_nothing_is_capped(serve: Serve) -> None:
    """Empty gzip files behind each other: any number of bytes, of which none counts as content."""
    head = _head(Content_Encoding="gzip")
    server = serve(_first(head, lambda s, c: s.flood(c, gzip.compress(b"") * 999)))
    with pytest.raises(LimitExceeded, match=r"of compressed content, more than the limit http_bytes=100000"):
        _get(server.url(), HttpLimits(bytes=100_000, stall=2, total=4))


# By the limits of a call


_QUICK: dict[str, Any] = {"http_connect": 0.4, "http_stall": 0.3, "http_total": 0.8}


@pytest.mark.parametrize(
    ("play", "limits", "words"),
    [
        (_first(b"", _silent), {"http_total": 9}, "0.3 seconds, .*http_stall=0.3; .*Limits\\(http_stall="),
        (_first(_head(), lambda s, c: s.drip(c, b"x")), {}, "0.8 seconds, .*http_total=0.8; .*Limits\\(http_total="),
        (_first(_head(), lambda s, c: s.drip(c, b"x")), {"http_rate": 500, "http_total": 9}, "http_rate=500 .*lower"),
        (_say(_answer(b"12345")), {"http_bytes": 4}, "5 bytes, .*http_bytes=4 allows; .*Limits\\(http_bytes="),
        (_say(_answer(b"", "302 Found", Location="/")), {"http_redirects": 2}, "http_redirects=2 allows.*Limits"),
    ],
    ids=["stall", "total", "rate", "bytes", "redirects"],
)
def test_the_limits_of_a_call_reach_the_download(serve: Serve, play: Play, limits: dict[str, Any], words: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(LimitExceeded, match=words):
        Request(serve(play).url(), limits=Limits(**_QUICK | limits))
    assert time.perf_counter() - begin < 1.5


def test_the_connect_limit_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: Any, flags: int = 0, **__: Any) -> Any:
        if not flags & socket.AI_NUMERICHOST:
            over.wait(5)
        raise socket.gaierror(socket.EAI_NONAME, "no")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with pytest.raises(LimitExceeded, match=r"http_connect=0\.4; .*Limits\(http_connect="):
            Request("http://slow.test/a", limits=Limits(**_QUICK))
    finally:
        over.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_39_untrusted_addresses_are_public(serve: Serve, host: str) -> None:
    server = serve(_answer(b"x"))
    with pytest.raises(ForbiddenUri, match="http_public"):
        Request(server.url(host=host), limits=Limits(trust="untrusted"))
    assert not server.requests
    with Request(server.url(), limits=Limits(trust="untrusted", http_public=False)) as request:
        assert request.read_at(0, 9) == b"x"


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/a.png", "memory://a.png", "local:///a.png", "S3://bucket/a.png"])
def test_39_untrusted_addresses_are_http(address: str) -> None:
    for public_only in (True, False):
        with pytest.raises(ForbiddenUri, match="http and https only"):
            Request(address, limits=Limits(trust="untrusted", http_public=public_only))


def test_39_ftp_is_checked_likewise(serve: Serve) -> None:
    server = serve(_Ftp(), greets=True)
    with pytest.raises(ForbiddenUri, match="http_public"):
        Request(server.url(scheme="ftp"), limits=Limits(http_public=True))
    assert not server.requests


# Servers that are not there


def test_a_host_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _named({"nowhere.test": ["not a number"]}))
    with pytest.raises(UriNotFound, match=r"no host nowhere\.test"):
        _get("http://u:p@nowhere.test/a")


def test_a_name_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    look_up = _named({"slow.test": []})

    def hang(*arguments: Any, **options: Any) -> Any:
        answer = look_up(*arguments, **options)
        over.wait(5)
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    begin = time.perf_counter()
    try:
        with pytest.raises(LimitExceeded, match="http_connect="):
            _get("http://slow.test/a")
        assert time.perf_counter() - begin < 1
    finally:
        over.set()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UriError, match=r"cannot connect to 127\.0\.0\.1: Connection refused"):
        _get(f"http://127.0.0.1:{port}/a")


def test_a_server_that_lets_nobody_in() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # Linux drops what comes to a full queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        begin = time.perf_counter()
        with pytest.raises(LimitExceeded, match="http_connect="):
            _get(f"http://127.0.0.1:{listener.getsockname()[1]}/a")
        assert time.perf_counter() - begin < 1


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http:///a.png",
        "http://[::1/a",
        "http://host:port/a",
        "http://host:99999/a",
        "http://ho st/a",
        "http://host/a\r\nX: y",
        "http://u:%0d%0aX@host/a",
        "http://" + "x" * 70 + "/a",
        "http://a..b/a",
        "gopher://host/a",
        "file:///etc/passwd",
        "data:,x",
        "ftp://host/",
        "ftp://host/a%0d%0aDELE%20b",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UriError) as caught:
        _get(address)
    assert str(caught.value).isprintable()


# https


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost, which nobody trusts."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(path), "-out", str(path) + ".cert"]
    subprocess.run(["openssl", "req", *kind, *names, *files], check=True, capture_output=True, timeout=60)
    with path.open("ab") as both:
        both.write(path.with_name(path.name + ".cert").read_bytes())
    return path


@pytest.fixture
def secure(certificate: Path) -> Wrap:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return lambda connection: context.wrap_socket(connection, server_side=True)


_HTTPS = HttpLimits(connect=3, stall=2, total=5)


def test_a_certificate_that_nobody_trusts(serve: Serve, secure: Wrap) -> None:
    server = serve(_answer(b"x"), wrap=secure)
    with pytest.raises(UriError, match="certificate is not trusted: self-signed"):
        _get(server.url(host="localhost", scheme="https"), _HTTPS)
    assert not server.requests


def test_a_certificate_that_is_trusted(
    serve: Serve, secure: Wrap, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = serve(_answer(_DATA), wrap=secure)
    assert _get(server.url(host="localhost", scheme="https"), _HTTPS) == _DATA
    with pytest.raises(UriError, match=r"not trusted: IP address mismatch"):
        _get(server.url(scheme="https"), _HTTPS)


@pytest.mark.parametrize("farewell", [True, False])
def test_an_end_without_a_farewell_is_no_end(
    serve: Serve, secure: Wrap, certificate: Path, monkeypatch: pytest.MonkeyPatch, *, farewell: bool
) -> None:
    def play(_: Server, connection: socket.socket, __: str) -> None:
        connection.sendall(_head() + _DATA)
        if farewell and isinstance(connection, ssl.SSLSocket):
            connection.unwrap()

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    address = serve(play, wrap=secure).url(host="localhost", scheme="https")
    if farewell:
        assert _get(address, _HTTPS) == _DATA
        return
    with pytest.raises(TruncatedMedia):
        _get(address, _HTTPS)


def test_a_server_that_never_shakes_hands(serve: Serve) -> None:
    server = serve(_first(b"", _silent), greets=True)
    begin = time.perf_counter()
    with pytest.raises(LimitExceeded, match="http_connect="):
        _get(server.url(scheme="https"))
    assert time.perf_counter() - begin < 1


def test_a_server_that_speaks_plainly(serve: Serve) -> None:
    with pytest.raises(UriError):
        _get(serve(_answer(b"x"), greets=True).url(scheme="https"))


# ftp


class _Ftp:
    """A server of one file; `odd` replaces its answers to some commands."""

    def __init__(self, data: bytes = _DATA, **odd: str | Play) -> None:
        self.data = data
        self.odd = odd
        self.log: list[str] = []

    def __call__(self, server: Server, connection: socket.socket, _: str) -> None:
        with contextlib.ExitStack() as stack, connection.makefile("rb") as lines:
            connection.sendall(b"220 hello\r\n")
            self.passive = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            self.passive.settimeout(2)
            for line in lines:
                self.log.append(line.decode().rstrip())
                command = self.log[-1].split(" ")[0]
                odd = self.odd.get(command)
                if callable(odd):
                    odd(server, connection, command)
                    return
                answer = odd if odd is not None else getattr(self, command, lambda: "502 no")()
                connection.sendall(answer.encode() + b"\r\n")
                if command == "RETR" and answer[0] == "1":
                    self._send(connection)

    def _send(self, connection: socket.socket) -> None:
        accepted, _ = self.passive.accept()
        with accepted:
            accepted.sendall(self.data)
        connection.sendall(str(self.odd.get("end", "226 done")).encode() + b"\r\n")

    def USER(self) -> str:  # noqa: N802 - as the protocol has it
        return "331 password?"

    def PASS(self) -> str:  # noqa: N802 - ftp's own names
        return "230 in"

    def TYPE(self) -> str:  # noqa: N802 - ftp's own names
        return "200 binary"

    def SIZE(self) -> str:  # noqa: N802 - ftp's own names
        return f"213 {len(self.data)}"

    def PASV(self) -> str:  # noqa: N802 - with the address of somebody else, who must be left alone
        port = self.passive.getsockname()[1]
        return f"227 passive (192,0,2,1,{port >> 8},{port & 255})"

    def RETR(self) -> str:  # noqa: N802 - ftp's own names
        return "150 here it comes"


def test_ftp(serve: Serve) -> None:
    play = _Ftp()
    server = serve(play, greets=True)
    with (got := fetch(server.url("/cats/My%20cat.png;type=i", host="me:s%40@127.0.0.1", scheme="ftp"))).spool as spool:
        assert spool.read_at(0, 1 << 20) == _DATA
        assert (got.name, got.extension) == ("My cat.png", ".png")
    assert play.log[:2] == ["USER me", "PASS s@"]
    assert play.log[-1] == "RETR cats/My cat.png"


def test_ftp_without_a_name_and_without_sizes(serve: Serve) -> None:
    play = _Ftp(SIZE="502 no")
    assert _get(serve(play, greets=True).url(scheme="ftp")) == _DATA
    assert play.log[0] == "USER anonymous"


def _hang(server: Server, connection: socket.socket, _: str) -> None:
    _silent(server, connection)


@pytest.mark.parametrize(
    ("odd", "error", "words"),
    [
        ({"RETR": "550 no such file"}, UriNotFound, "550 no such file"),
        ({"PASS": "530 wrong"}, ForbiddenUri, "530 wrong"),
        ({"RETR": "451 later"}, UriError, "451 later"),
        ({"RETR": "gibberish"}, UriError, "gibberish"),
        ({"SIZE": f"213 {(1 << 20) + 1}"}, LimitExceeded, "http_bytes="),
        ({"SIZE": f"213 {len(_DATA) + 5}"}, TruncatedMedia, "5 bytes early"),
        ({"end": "426 aborted"}, TruncatedMedia, "426 aborted"),
        ({"PASV": _hang}, LimitExceeded, "http_stall="),
        ({"RETR": _hang}, LimitExceeded, "http_stall="),
        ({"USER": lambda s, c, _: s.drip(c, b"331 and so on ")}, LimitExceeded, "http_total="),
        ({"USER": lambda s, c, _: s.flood(c, b"331-and so on\r\n" * 99)}, CorruptMedia, "headers"),
        ({"USER": lambda s, c, _: s.flood(c, b"x" * 9999)}, UriError, "more than"),
        ({"USER": lambda *_: None}, TruncatedMedia, "closed"),
    ],
    ids=[
        "missing",
        "login",
        "later",
        "gibberish",
        "large",
        "short",
        "aborted",
        "hang",
        "hang2",
        "drip",
        "flood",
        "line",
        "gone",
    ],
)
def test_bad_ftp_servers(serve: Serve, odd: dict[str, Any], error: type[BridgeError], words: str) -> None:
    server = serve(_Ftp(**odd), greets=True)
    with pytest.raises(error, match=words) as caught:
        _get(server.url(host="me:secret@127.0.0.1", scheme="ftp"))
    assert "secret" not in str(caught.value)


def test_a_data_connection_that_is_silent(serve: Serve) -> None:
    class Silent(_Ftp):
        def _send(self, connection: socket.socket) -> None:
            accepted, _ = self.passive.accept()
            with accepted:
                accepted.sendall(b"some")
                connection.recv(1)

    with pytest.raises(LimitExceeded, match="http_stall="):
        _get(serve(Silent(), greets=True).url(scheme="ftp"))


def test_endless_data(serve: Serve) -> None:
    with pytest.raises(LimitExceeded, match="http_bytes=1048576"):
        _get(serve(_Ftp(bytes(3 << 20), SIZE="502 no"), greets=True).url(scheme="ftp"))
