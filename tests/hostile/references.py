"""Inputs 21 to 40: playlists and other files, and servers, that lead to somebody else's content."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import bridge
from bridge.errors import BridgeError, ForbiddenUri, LimitExceeded, UriError
from bridge.limits import TRUST
from tests.hostile.case import CANARY_PNG, CANARY_TEXT, REFUSE, Case, Place, decode, either, refuse, same, whatever
from tests.hostile.forms import atom, movie, png, riff
from tests.hostile.watch import changing_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bridge.limits import Limits

__all__ = ["CASES"]


# Playlists


def _hls(place: Place, segment: str, key: str = "", name: str = "x.mp4") -> Path:
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="{key}",IV=0x00000000000000000000000000000000\n' if key else ""
    lines = (
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n{key}#EXTINF:1.0,\n{segment}\n"
    )
    return place.write(name, lines + "#EXT-X-ENDLIST\n")


def _hls_absolute(place: Place) -> Path:
    return _hls(place, str(place.canary_film()))


def _hls_dots(place: Place) -> Path:
    return _hls(place, f"../elsewhere/{place.canary_film().name}")


def _hls_address(place: Place) -> Path:
    return _hls(place, f"file://{place.canary_film()}")


def _hls_key_file(place: Place) -> Path:
    place.canary_film("part.ts", beside=True)
    return _hls(place, "part.ts", str(place.canary("secret.txt", b"0123456789abcdef")))


def _hls_key_fifo(place: Place) -> Path:
    place.canary_film("part.ts", beside=True)
    fifo = place.elsewhere / "key"
    os.mkfifo(fifo)
    place.canaries.append(fifo)
    return _hls(place, "part.ts", str(fifo))


def _dash(place: Place, base: str) -> Path:
    return place.write(
        "x.mp4",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        '<Period><AdaptationSet mimeType="video/mp4" contentType="video"><Representation id="1" bandwidth="1000" '
        'codecs="mp4v.20.9" width="64" height="48">'
        f"<BaseURL>{base}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    )


def _concat(place: Place) -> Path:
    place.canary_film("other.ts", beside=True)
    return place.write("x.mp4", "ffconcat version 1.0\nfile 'other.ts'\n")


def _vobsub(place: Place) -> Path:
    place.canary("x.sub", b"\0\0\1\xba" + bytes(2044), beside=True)
    lines = ["# VobSub index file, v7 (do not modify this line!)", "size: 720x576",
             "palette: " + ", ".join(["000000"] * 16), "id: en, index: 0",
             "timestamp: 00:00:01:000, filepos: 000000000"]  # fmt: skip
    return place.write("x.mp4", "\n".join(lines) + "\n")


def _session(place: Place) -> Path:
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "t=0 0",
             f"m=video {place.world.private.port} RTP/AVP 96", "a=rtpmap:96 H264/90000"]  # fmt: skip
    return place.write("x.mp4", "\r\n".join(lines) + "\r\n")


def _gab2(place: Place) -> Path:
    """An AVI whose subtitle track is a playlist, whose segments make a picture of text out of a file."""
    secret = place.canary("secret.txt", CANARY_TEXT.encode())
    lines = ["#EXTM3U", "#EXT-X-MEDIA-SEQUENCE:0", f"#EXT-X-KEY:METHOD=AES-128,URI=/dev/zero,IV=0x{0:032x}",
             "#EXTINF:1,", f"file://{secret}", "#EXT-X-ENDLIST", ""]  # fmt: skip
    gab2 = b"GAB2\0\x02\0" + struct.pack("<I", 2) + b"x\0" + b"\x04\0"
    playlist = "\n".join(lines).encode()
    data = gab2 + struct.pack("<I", len(playlist)) + playlist
    stream = struct.pack("<4s4sIHHIIIIIIIIhhhh", b"txts", bytes(4), 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    header = struct.pack("<14I", 40000, 0, 0, 0x10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    lists = [riff(b"hdrl", (b"avih", header), (b"LIST", b"strl" + b"strh" + struct.pack("<I", len(stream)) + stream)),
             riff(b"movi", (b"00tx", data))]  # fmt: skip
    return place.write("x.avi", riff(b"AVI ", *[(b"LIST", part[8:]) for part in lists]))


def _external(place: Place) -> Path:
    """A film whose frames stand in another file, as it says."""
    secret = str(place.canary("secret.mov", CANARY_PNG * 3))
    volume = bytes(2) + bytes(4) + bytes(2) + b"\0" * 28 + bytes(4 + 2)
    path = struct.pack(">HH", 18, len(secret)) + secret.encode() + b"\0" * (len(secret) % 2)
    reference = atom(b"alis", bytes(4), volume.ljust(150, b"\0"), path, struct.pack(">hH", -1, 0))
    return place.write("x.mov", movie([png()] * 2, reference=reference))


def _external_address(place: Place) -> Path:
    secret = place.canary("secret.mov", CANARY_PNG * 3)
    reference = atom(b"url ", bytes(4), f"file://{secret}".encode(), b"\0")
    return place.write("x.mov", movie([png()] * 2, reference=reference))


# Servers


def _served_playlist(place: Place, name: str) -> str:
    lines = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://{place.private}/part.ts\n#EXT-X-ENDLIST\n"
    return place.world.server.serve(name, lines.encode())


def _redirect(location: str) -> Callable[[Place], str]:
    def make(place: Place) -> str:
        target = location.format(private=place.private, secret=place.canary("secret.png"))
        return place.world.server.serve("/a.png", status="302 Found", headers=f"Location: {target}\r\n")

    return make


def _spelled(host: str) -> Case:
    """Loopback in other words: no public address, however it is written."""
    return Case(
        39,
        f"host-{host}",
        lambda place: f"http://{host}:{place.world.private.port}/x.png",
        either(whatever),
        untrusted=refuse(UriError, ForbiddenUri),
        limits=_BRIEF,
        levels=TRUST if host in ("127.1", "localhost") else ("untrusted",),
        proof=("untrusted",),
    )


def _rebound(uri: str, limits: Limits) -> Any:
    """Read from a name that is a public address when it is checked, and this machine when it is asked again."""
    with changing_names("93.184.216.34", "127.0.0.1") as places:
        try:
            return bridge.imread(uri, limits=limits)
        except BridgeError:
            assert {place[0] for place in places} <= {"93.184.216.34"}
            raise


_BRIEF = {"http_connect": 1.5, "http_stall": 1.5, "http_total": 3.0}
_SPELLINGS = ("2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "localhost", "localhost.", "0.0.0.0",  # noqa: S104 - asked, not listened to


              "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::]",
              "%31%32%37.0.0.1", "\uff11\uff12\uff17.0.0.1", "127.0.0.1%00.example.com", "169.254.169.254")  # fmt: skip

CASES = (
    Case(21, "hls-abs", _hls_absolute),
    Case(22, "hls-dotdot", _hls_dots),
    Case(23, "hls-file-url", _hls_address),
    Case(24, "hls-http", lambda place: _hls(place, f"http://{place.private}/part.ts")),
    Case(24, "hls-http-as-m3u8", lambda place: _hls(place, f"http://{place.private}/part.ts", name="x.m3u8")),
    Case(25, "hls-key-file", _hls_key_file),
    Case(26, "hls-key-fifo", _hls_key_fifo, limits={"first_frame": 3.0, "still": 3.0, "stall": 3.0}),
    Case(27, "hls-pipe-fd", lambda place: _hls(place, "pipe:7")),
    Case(28, "dash-abs", lambda place: _dash(place, str(place.canary_film("secret.mp4")))),
    Case(29, "dash-http", lambda place: _dash(place, f"http://{place.private}/x.mp4")),
    Case(30, "ffconcat-sibling", _concat),
    Case(31, "vobsub-sibling", _vobsub),
    Case(32, "sdp-udp", _session, limits={"first_frame": 3.0, "still": 3.0, "stall": 3.0}),
    Case(33, "avi-gab2-xbin", _gab2),
    Case(34, "mov-dref-alias", _external, either(same()), trusted=either(whatever)),
    Case(34, "mov-dref-url", _external_address, either(same()), trusted=either(whatever)),
    Case(35, "http-hls-as-png", lambda place: _served_playlist(place, "/pl.png"), trusted=REFUSE),
    Case(35, "http-hls-as-mp4", lambda place: _served_playlist(place, "/pl.mp4"), trusted=REFUSE),
    Case(36, "http-redirect-file", _redirect("file://{secret}"), trusted=REFUSE, seconds=2),
    Case(36, "http-redirect-ftp", _redirect("ftp://{private}/x.png"), trusted=REFUSE, seconds=2),
    Case(37, "http-redirect-private", _redirect("http://{private}/x.png"), decode(whatever), untrusted=REFUSE,
         trusted=decode(whatever), seconds=2, proof=("untrusted",)),  # from one of this machine to another of it
    Case(38, "http-redirect-loop", _redirect("/a.png"), refuse(UriError, ForbiddenUri, LimitExceeded),
         trusted=REFUSE, seconds=2),
    *map(_spelled, _SPELLINGS),
    Case(40, "dns-rebinding", lambda place: f"http://rebound.test:{place.world.private.port}/x.png", read=_rebound,
         limits=_BRIEF, trusted=REFUSE),
)  # fmt: skip
