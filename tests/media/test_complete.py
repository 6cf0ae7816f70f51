"""What a cut or overwritten file gives away: whole ones have nothing to tell, and no bytes are an error."""

from __future__ import annotations

import functools
import random
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.checksum import crc32_msb_first
from bridge.media.complete import TS_HEAD, ends_early, overwritten
from bridge.media.sniff import sniff
from tests.strategies import Gif, gif_bytes, gifs, mutated

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = ["mp4", "matroska", "avi", "webp", "png", "apng", "gif", "ogg", "mpegts", "jpeg", "flv"]


def told(kind: str, content: bytes) -> str:
    return ends_early(kind, lambda at, count: content[at : at + count], len(content))


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def large_box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, name, 16 + len(content)) + content


def element(name: str, content: bytes, *, wide: int = 2, unknown: bool = False) -> bytes:
    marker = 1 << 7 * wide
    size = marker | (marker - 1 if unknown else len(content))
    return bytes.fromhex(name) + size.to_bytes(wide, "big") + content


def riff(name: bytes, content: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(content)) + name + content + bytes(len(content) % 2)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def page(*segments: bytes, number: int = 0) -> bytes:
    lacing = bytes([len(segments), *map(len, segments)])
    head = struct.pack("<4sBBqII", b"OggS", 0, 0, 7, 1, number)
    content = lacing + b"".join(segments)
    return head + crc32_msb_first(head + bytes(4) + content)[::-1] + content


def packets(count: int, length: int = 188, *, bad: int | None = None) -> bytes:
    """A transport stream of packets of 188 bytes, 192 with a time code in front, or 204."""
    code = b"\x01\x02\x03\x04" if length == 192 else b""
    rows = [code + (b"X" if number == bad else b"G") + bytes(length - len(code) - 1) for number in range(count)]
    return b"".join(rows)


def tag(kind: int, content: bytes) -> bytes:
    head = bytes([kind]) + len(content).to_bytes(3, "big") + bytes(7)
    return head + content + (len(head) + len(content)).to_bytes(4, "big")


def piece(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


_CLUSTER = element("1f43b675", element("e7", b"\0") + element("a3", bytes(50)) + element("a3", bytes(20)))
_OPEN_CLUSTER = element("1f43b675", element("e7", b"\1") + element("a3", bytes(50)), wide=8, unknown=True)
_EBML = element("1a45dfa3", element("4282", b"matroska"))
_INFO = element("1549a966", bytes(30)) + element("1654ae6b", bytes(200)) + element("ec", bytes(9))
_PNG = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13))
_GIF = b"GIF89a" + bytes([2, 0, 1, 0, 0x80, 0, 0]) + bytes(6) + b"!\xf9\x04" + bytes(5) + b",\0\0\0\0\2\0\1\0\0\2"
_OGG = page(b"\x80theora", b"two") + page(bytes(255), bytes(77), number=1) + page(number=2) + page(b"x", number=3)
_FLV = b"FLV\x01\x05" + struct.pack(">II", 9, 0) + tag(18, bytes(20)) + tag(9, bytes(33)) + tag(8, bytes(5))
_MOVIE = b"movi" + piece(b"00dc", bytes(33)) + piece(b"01wb", bytes(8)) + piece(b"00dc", b"")
_AVI = piece(b"LIST", b"hdrl" + piece(b"avih", bytes(56))) + piece(b"LIST", _MOVIE) + piece(b"idx1", bytes(32))

WHOLE = {
    "flv": ("flv", _FLV),
    "avi with chunks": ("avi", riff(b"AVI ", _AVI)),
    "avi of DV": ("avi", riff(b"AVI ", _AVI.replace(b"00dc", b"00__"))),
    "mp4": ("mp4", box(b"ftyp", b"isom") + box(b"free", b"") + box(b"mdat", bytes(99)) + box(b"moov", bytes(30))),
    "large mp4": ("mp4", box(b"ftyp", b"isom") + large_box(b"mdat", bytes(99)) + box(b"moov", bytes(30))),
    "matroska": ("matroska", _EBML + element("18538067", _INFO + _CLUSTER * 3 + element("1c53bb6b", b"cue"), wide=8)),
    "avi": ("avi", riff(b"AVI ", bytes(120))),
    "webp": ("webp", riff(b"WEBP", bytes(34))),
    "png": ("png", _PNG + chunk(b"IDAT", bytes(50)) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")),
    "apng": ("apng", _PNG + chunk(b"acTL", bytes(8)) + chunk(b"fdAT", bytes(44)) + chunk(b"IEND", b"")),
    "gif": ("gif", _GIF + b"\3abc\2de\0" + b"!\xfe\2hi\0" + b",\0\0\0\0\2\0\1\0\x80" + bytes(6) + b"\2\1a\0;"),
    "ogg": ("ogg", _OGG),
    "mpegts": ("mpegts", packets(9)),
    "m2ts": ("mpegts", packets(9, 192)),
    "mpegts with parity": ("mpegts", packets(9, 204)),
}
OPEN = {  # what is written to a pipe does not know how long it gets
    "mp4 up to its end": ("mp4", box(b"ftyp", b"isom") + box(b"moov", bytes(30)) + bytes(4) + b"mdat" + bytes(50)),
    "matroska": ("matroska", _EBML + element("18538067", _INFO + _OPEN_CLUSTER * 2, wide=8, unknown=True)),
    "avi": ("avi", b"RIFF" + bytes(4) + b"AVI " + bytes(80)),
    "avi of ffmpeg": ("avi", b"RIFF\xff\xff\xff\xffAVI " + bytes(80)),
}


@pytest.mark.parametrize(
    ("kind", "content"), [*WHOLE.values(), *OPEN.values()], ids=[*WHOLE, *(f"open {n}" for n in OPEN)]
)
def test_a_whole_file_has_nothing_to_tell(kind: str, content: bytes) -> None:
    assert told(kind, content) == ""


@pytest.mark.parametrize(("kind", "content"), WHOLE.values(), ids=WHOLE)
def test_every_cut_is_told(kind: str, content: bytes) -> None:
    silent = [cut for cut in range(_first_cut(kind), len(content)) if not told(kind, content[:cut])]
    assert silent == _boundaries(kind, content)


def _first_cut(kind: str) -> int:
    """What is shorter than a packet may be a packet of another size; what is shorter than a magic is not ours."""
    return 205 if kind == "mpegts" else 12


def _boundaries(kind: str, content: bytes) -> list[int]:
    """Where a stream without an end may be cut without a trace: between two packets, or two pages."""
    if kind == "ogg":
        return [at for at in range(_first_cut(kind), len(content)) if content[at : at + 4] == b"OggS"]
    if kind == "flv":
        return [12, 13, 48, 96]
    if kind == "mpegts":
        return list(range(2 * len(content) // 9, len(content), len(content) // 9))
    return []


def test_a_cut_inside_an_open_matroska_is_told() -> None:
    kind, content = OPEN["matroska"]
    block = content.rindex(b"\xa3\x40")
    assert all(told(kind, content[:cut]) for cut in range(block + 1, len(content)))


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("mp4", WHOLE["mp4"][1][:60], "its box 'mdat' ends at byte 127, the file at byte 60"),
        ("mp4", WHOLE["mp4"][1][:127], "it has no index (box 'moov')"),
        ("mp4", WHOLE["large mp4"][1][:25], "it ends inside a header"),
        ("matroska", WHOLE["matroska"][1][:-5], "its segment ends at byte"),
        ("matroska", OPEN["matroska"][1] + b"\x42\x86\x81\0", "should begin an element, and does not"),
        ("avi", WHOLE["avi"][1][:-1], "its RIFF chunk ends at byte 132, the file at byte 131"),
        ("png", WHOLE["png"][1][:60], "its chunk 'IDAT' ends at byte 95, the file at byte 60"),
        ("png", WHOLE["png"][1][:-12], "its last chunk (IEND) is missing"),
        ("gif", WHOLE["gif"][1][:-1], "its end mark is missing"),
        ("gif", b"GIF89a", "it ends inside a header"),
        ("ogg", WHOLE["ogg"][1][:-1], "its last page ends at byte"),
        ("flv", WHOLE["flv"][1][:-1], "its last tag ends at byte"),
        ("flv", _FLV[:48] + b"X" + _FLV[49:], "byte 48 should begin a tag, and does not"),
        ("flv", _FLV[:-1] + b"X", "the tag at byte 96 does not fit its size"),
        ("avi", riff(b"AVI ", _AVI).replace(b"01wb", b"\0\0wb"), "should begin a chunk, and does not"),
        ("mpegts", packets(9)[:-1], "its last packet ends at byte 1692, the file at byte 1691"),
    ],
)
def test_the_reason_says_what_is_missing(kind: str, content: bytes, reason: str) -> None:
    assert reason in told(kind, content)


@pytest.mark.parametrize("name", ["mp4", "png", "gif"])
def test_what_follows_a_whole_file_does_no_harm(name: str) -> None:
    kind, content = WHOLE[name]
    assert told(kind, content + b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7") == ""


@pytest.mark.parametrize("kind", ["jpeg", "", "no such kind"])
def test_other_kinds_do_not_tell(kind: str) -> None:
    assert told(kind, b"whatever") == ""


@given(gifs(), st.data())
def test_every_cut_of_any_gif_is_told(gif: Gif, data: st.DataObject) -> None:
    content = gif_bytes(gif)
    assert told("gif", content) == ""
    assert told("gif", content[: data.draw(st.integers(0, len(content) - 1))])


# Overwritten


@given(st.integers(0, len(_OGG) - 1), st.integers(1, 255))
def test_a_flipped_byte_in_any_page_is_told(at: int, change: int) -> None:
    content = bytearray(_OGG)
    content[at] ^= change
    assert told("ogg", bytes(content))


def test_which_page_does_not_fit_its_checksum() -> None:
    second = _OGG.index(b"OggS", 1)
    content = bytearray(_OGG)
    content[second + 100] ^= 1
    assert told("ogg", bytes(content)) == f"the page at byte {second} does not fit its checksum"


@given(st.sampled_from([188, 192, 204]), st.integers(6, 60), st.data())
def test_an_overwritten_packet_is_found_where_it_lies(length: int, count: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(5, count - 1))
    content = packets(count, length, bad=bad)
    begin, end = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, len(content)))
    found = overwritten(lambda at, size: content[at : at + size], begin, end)
    assert found == (bad * length if begin < (bad + 1) * length <= end else None)
    assert told("mpegts", content) == f"the packet at byte {bad * length} is overwritten"


@given(st.sampled_from([188, 192, 204]), st.integers(1, 60), st.integers(0, 203))
def test_no_packet_is_found_that_is_not_overwritten(length: int, count: int, cut: int) -> None:
    content = packets(count, length)
    content = content[: len(content) - cut % length]
    assert overwritten(lambda at, size: content[at : at + size], 0, len(content)) is None


@given(st.sampled_from([188, 192, 204]), st.integers(1, 203), st.integers(25, 60), st.data())
def test_packets_are_found_where_a_recording_begins_inside_one(
    length: int, cut: int, count: int, data: st.DataObject
) -> None:
    bad = data.draw(st.one_of(st.none(), st.integers(23, count - 1)))
    cut %= length
    content = packets(count, length, bad=bad)[cut:]
    assert sniff(content[:TS_HEAD]) == "mpegts"
    found = overwritten(lambda at, size: content[at : at + size], 0, len(content))
    assert found == (None if bad is None else bad * length - cut)
    assert told("mpegts", content) == ("" if bad is None else f"the packet at byte {found} is overwritten")


@pytest.mark.parametrize("bad", [8191, 8192, 20000])
def test_a_packet_far_into_a_stream_is_found(bad: int) -> None:
    content = packets(20001, bad=bad)
    assert overwritten(lambda at, size: content[at : at + size], 0, len(content)) == 188 * bad
    assert overwritten(lambda at, size: content[at : at + size], 188 * bad + 1, len(content)) == 188 * bad
    assert overwritten(lambda at, size: content[at : at + size], 188 * (bad + 1), len(content)) is None


def test_of_several_overwritten_packets_the_first_is_found() -> None:
    content = packets(9, bad=7) + packets(9, bad=0)
    assert overwritten(lambda at, size: content[at : at + size], 0, len(content)) == 188 * 7
    assert overwritten(lambda at, size: content[at : at + size], 188 * 8, len(content)) == 188 * 9


@given(st.binary(max_size=2000))
def test_what_is_no_transport_stream_has_no_packets(content: bytes) -> None:
    assert overwritten(lambda at, size: b"A" + content[at + 1 : at + size], 0, len(content) + 1) is None


# Whatever the bytes


@given(st.sampled_from(_KINDS), st.binary(max_size=400))
def test_no_bytes_are_an_error(kind: str, content: bytes) -> None:
    assert isinstance(told(kind, content), str)


@given(st.sampled_from([*WHOLE.values(), *OPEN.values()]), st.data())
def test_no_damage_is_an_error(whole: tuple[str, bytes], data: st.DataObject) -> None:
    kind, content = whole
    assert isinstance(told(kind, data.draw(mutated(content))), str)
    begin = data.draw(st.integers(0, 60))
    assert isinstance(told(kind, content[:begin] + data.draw(st.binary(max_size=200))), str)


@given(st.sampled_from([*WHOLE.values()]), st.sampled_from(_KINDS))
def test_content_of_another_kind_is_no_error(whole: tuple[str, bytes], kind: str) -> None:
    assert isinstance(told(kind, whole[1]), str)


@given(st.sampled_from(_KINDS), st.integers(0, 1 << 40))
def test_a_file_that_gives_no_bytes_is_no_error(kind: str, size: int) -> None:
    if kind != "mpegts" or size:
        assert isinstance(ends_early(kind, lambda _at, _count: b"", size), str)


# What programs write

_MADE: dict[str, tuple[str, tuple[str, ...]]] = {
    "a.mp4": ("mp4", ("-c:v", "mpeg4")),
    "front.mp4": ("mp4", ("-c:v", "mpeg4", "-movflags", "+faststart")),
    "pieces.mp4": ("mp4", ("-c:v", "mpeg4", "-movflags", "frag_keyframe+empty_moov", "-g", "5")),
    "a.mov": ("mp4", ("-c:v", "mpeg4")),
    "a.mkv": ("matroska", ("-c:v", "mpeg4")),
    "live.mkv": ("matroska", ("-c:v", "mpeg4", "-live", "1", "-cluster_time_limit", "300")),
    "a.avi": ("avi", ("-c:v", "mpeg4")),
    "a.ogv": ("ogg", ("-c:v", "libtheora")),
    "a.ts": ("mpegts", ("-c:v", "mpeg4")),
    "a.m2ts": ("mpegts", ("-c:v", "mpeg4")),
    "a.gif": ("gif", ()),
    "a.png": ("png", ("-frames:v", "1")),
    "a.apng": ("apng", ()),
    "a.webp": ("webp", ("-c:v", "libwebp_anim")),
}


_ENDLESS = ("front.mp4", "pieces.mp4", "live.mkv", "a.ogv", "a.ts", "a.m2ts")  # some boundaries are as good as an end


@pytest.fixture
def made(lavfi: Any) -> Callable[[str], bytes]:
    def make(name: str) -> bytes:
        content: bytes = lavfi(name, "testsrc2=s=64x48:r=25:d=1", *_MADE[name][1]).read_bytes()
        assert sniff(content[:4096]) == _MADE[name][0]
        return content

    return functools.cache(make)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", _MADE)
def test_what_ffmpeg_writes_is_whole_and_cuts_are_told(name: str, made: Callable[[str], bytes]) -> None:
    kind, content = _MADE[name][0], made(name)
    assert told(kind, content) == ""
    assert told(kind, content[:-1])
    cuts = random.Random(0).sample(range(12, len(content)), 200)  # noqa: S311 - the same ones each time
    silent = [cut for cut in cuts if not told(kind, content[:cut])]
    assert len(silent) <= (10 if name in _ENDLESS else 0)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_flipped_byte_in_what_ffmpeg_writes(made: Callable[[str], bytes]) -> None:
    content = made("a.ogv")
    for at in range(0, len(content), 997):
        assert told("ogg", content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
    stream = made("a.ts")
    for at in range(188 * 6, len(stream), 188 * 11):
        assert f"byte {at} " in told("mpegts", stream[:at] + bytes(188) + stream[at + 188 :])
