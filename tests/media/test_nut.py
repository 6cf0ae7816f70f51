"""NutFraming: everything that a writer may choose is read back, and nothing else is ever believed."""

from __future__ import annotations

import subprocess
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import CorruptMedia
from bridge.media.nut import NutFraming
from tests.fakes import nut
from tests.strategies import NutStream, feed, mutated, nut_streams, pieces


@given(nut_streams(), st.data())
def test_any_stream_cut_up_anywhere_gives_the_same_frames(stream: NutStream, data: st.DataObject) -> None:
    heads, frames, left = feed(NutFraming(), data.draw(pieces(stream.data)))
    assert [head.pts for head in heads] == [frame.pts for frame in stream.frames]
    assert frames == [frame.pixels for frame in stream.frames]
    assert {(head.width, head.height, head.time_base) for head in heads} <= {
        (stream.width, stream.height, stream.time_base)
    }
    assert left == b""


@given(nut_streams())
def test_byte_by_byte_gives_the_same_heads(stream: NutStream) -> None:
    whole = feed(NutFraming(), [stream.data])
    assert feed(NutFraming(), [stream.data[at : at + 1] for at in range(len(stream.data))]) == whole


def _try(data: bytes) -> None:
    """Read it; nothing but CorruptMedia may come of it, and no head may contradict itself."""
    try:
        heads, _, _ = feed(NutFraming(), [data])
    except CorruptMedia:
        return
    assert all(head.size >= len(head.prefix) for head in heads)


@given(st.binary(max_size=200))
def test_garbage_is_corrupt_or_not_enough(data: bytes) -> None:
    _try(data)


@given(st.binary(max_size=200))
def test_garbage_behind_the_magic_is_corrupt_or_not_enough(data: bytes) -> None:
    _try(nut.MAGIC + data)


@given(
    st.sampled_from([nut.MAIN, nut.STREAM, nut.SYNCPOINT, nut.INDEX, nut.INFO, 0x4E00000000000000]),
    st.binary(max_size=80),
)
@example(nut.MAIN, b"")
@example(nut.SYNCPOINT, b"\0\0")
def test_garbage_in_a_packet_is_corrupt_or_not_enough(start: int, body: bytes) -> None:
    writer = nut.Writer(width=2, height=2, time_base=Fraction(1, 25))
    frame = nut.Frame(pts=0, pixels=bytes(12))
    _try(nut.MAGIC + nut.packet(start, body) + writer.frame(frame))
    _try(writer.header() + nut.packet(start, body) + writer.frame(frame))


@given(st.data())
def test_a_damaged_stream_is_corrupt_or_read(data: st.DataObject) -> None:
    stream = data.draw(nut_streams())
    _try(data.draw(mutated(stream.data)))


def _with_main(body: bytes) -> bytes:
    writer = nut.Writer(width=2, height=2, time_base=Fraction(1, 25))
    good = writer.header()
    stream = good[good.index(nut.STREAM.to_bytes(8, "big")) :]
    return nut.MAGIC + nut.packet(nut.MAIN, body) + stream + writer.syncpoint(0) + b"\x01\0\0\0"


_TABLE = nut.Run(flags=nut.CODED, count=255).coded()


@pytest.mark.parametrize(
    "main",
    [
        pytest.param(nut.varint(3) + nut.varint(1) * 2 + nut.varint(0) + _TABLE + b"\0", id="no time base"),
        pytest.param(nut.varint(3) + nut.varint(1) * 3 + b"\x01\0" + _TABLE + b"\0", id="seconds over zero"),
        pytest.param(nut.varint(3) + nut.varint(1) * 3 + b"\0\x01" + _TABLE + b"\0", id="a clock that stands"),
        pytest.param(nut.varint(4) + nut.varint(1) * 3 + b"\x01\x19" + _TABLE + b"\0", id="a newer version"),
        pytest.param(nut.varint(3) + nut.varint(1) * 3 + b"\x01\x19" + _TABLE[:2], id="half a table"),
    ],
)
def test_a_main_header_that_makes_no_sense_is_corrupt(main: bytes) -> None:
    with pytest.raises(CorruptMedia):
        feed(NutFraming(), [_with_main(main)])


def test_a_stream_header_with_an_absurd_shift_is_corrupt() -> None:
    writer = nut.Writer(width=2, height=2, time_base=Fraction(1, 25), msb_shift=1 << 60)
    with pytest.raises(CorruptMedia):
        feed(NutFraming(), [writer.header() + nut.packet(nut.SYNCPOINT, b"\0\0") + b"\x00" + nut.varint(8) + b"\x01\0"])


def test_a_frame_before_its_stream_header_is_corrupt() -> None:
    with pytest.raises(CorruptMedia):
        feed(NutFraming(), [nut.MAGIC + b"\x01abc"])


def test_a_frame_smaller_than_its_left_out_beginning_is_corrupt() -> None:
    writer = nut.Writer(width=2, height=2, time_base=Fraction(1, 25), elision=[b"\0\0\x01\xb6"])
    flags = nut.varint(nut.CODED ^ (nut.SIZE_MSB | nut.HEADER_IDX))
    frame = b"\0" + flags + nut.varint(2) + nut.varint(1)
    with pytest.raises(CorruptMedia):
        feed(NutFraming(), [writer.header() + frame])


def test_text_is_not_nut() -> None:
    with pytest.raises(CorruptMedia, match="did not send a NUT stream"):
        NutFraming().head(b"ffmpeg version 7.1 Copyright (c) 2000-2024")


# Against the real writer

_SOURCES = {
    "plain": "testsrc2=s=64x48:r=25:d=0.4",
    "tiny": "testsrc2=s=8x6:r=25:d=0.4",
    "ntsc": "testsrc2=s=34x18:r=30000/1001:d=0.5",
    "gaps": "testsrc2=s=16x16:r=30:d=3,select='not(mod(n\\,7))+eq(n\\,5)'",
    "late": "testsrc2=s=16x16:r=10:d=1,setpts=PTS+3600/TB",
    "black": "color=black:s=4x4:r=5:d=1",
}


def _sent(program: str, source: str, *output: str) -> bytes:
    from bridge.process.tools import toolbox

    passthrough = "-fps_mode" if toolbox().find("ffmpeg").release >= (5, 1) else "-vsync"
    command = [
        program,
        "-nostdin",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        source,
        passthrough,
        "passthrough",
        *output,
        "-",
    ]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("source", _SOURCES.values(), ids=_SOURCES)
@pytest.mark.parametrize("pixels", ["rgb24", "gray"])
def test_what_ffmpeg_writes_is_what_it_writes_as_rawvideo(ffmpeg: str, source: str, pixels: str) -> None:
    options = ("-c:v", "rawvideo", "-pix_fmt", pixels)
    stream = _sent(ffmpeg, source, *options, "-f", "nut")
    heads, frames, left = feed(NutFraming(), [stream[at : at + 777] for at in range(0, len(stream), 777)])
    assert b"".join(frames) == _sent(ffmpeg, source, *options, "-f", "rawvideo")
    assert left == b""
    listing = _sent(ffmpeg, source, *options, "-f", "framecrc").decode().splitlines()
    base = Fraction(next(line for line in listing if line.startswith("#tb")).split()[-1])
    times = [int(line.split(",")[2]) * base for line in listing if not line.startswith("#")]
    assert [head.pts * head.time_base for head in heads if head.pts is not None and head.time_base] == times


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_frames_that_begin_like_what_nut_may_leave_out(ffmpeg: str) -> None:
    pixels = b"".join(bytes([0, 0, 1, n]) + bytes(12) for n in (0xB6, 0, 1, 0xB7))
    raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", "4x4")
    command = [ffmpeg, "-v", "error", *raw, "-i", "-", "-c:v", "rawvideo", "-f", "nut", "-"]
    sent = subprocess.run(command, input=pixels, check=True, capture_output=True, timeout=60).stdout
    assert b"".join(feed(NutFraming(), [sent])[1]) == pixels
