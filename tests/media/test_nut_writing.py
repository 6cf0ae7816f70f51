"""NutStream: raw frames with times of their own, as our reader and the real one read them."""

from __future__ import annotations

import contextlib
import subprocess
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import CorruptMedia, UnsupportedPixels
from bridge.media.nut import _FOURCC, NutFraming, NutStream
from tests.fakes import nut
from tests.strategies import feed, mutated, pieces, sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES = {"gray": 1, "ya8": 2, "rgb24": 3, "rgba": 4, "gray16le": 2, "ya16le": 4, "rgb48le": 6, "rgba64le": 8}

clocks = st.builds(Fraction, st.integers(1, 100_000), st.integers(1, 1_000_000))
times = st.lists(st.integers(0, 500) | st.integers(0, 1 << 61), max_size=8)


def written(
    frames: Sequence[tuple[int, bytes]],
    pixels: str = "gray",
    size: tuple[int, int] = (2, 2),
    clock: Fraction = Fraction(1, 25),
) -> bytes:
    stream = NutStream(pixels, *size, clock)
    return stream.begin() + b"".join(stream.before(pts, len(content)) + content for pts, content in frames)


@given(st.sampled_from(sorted(_FOURCC)), sizes, clocks, times, st.data())
def test_what_is_written_is_read_back(
    pixels: str, size: tuple[int, int], clock: Fraction, times: list[int], data: st.DataObject
) -> None:
    length = size[0] * size[1] * _BYTES[pixels]
    frames = [(pts, bytes([n]) * length) for n, pts in enumerate(times)]
    heads, contents, left = feed(NutFraming(), data.draw(pieces(written(frames, pixels, size, clock))))
    assert [(head.pts, head.size, head.prefix) for head in heads] == [(pts, length, b"") for pts, _ in frames]
    assert contents == [content for _, content in frames]
    assert left == b""
    assert {(head.width, head.height, head.time_base) for head in heads} <= {(*size, clock)}


@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 40), st.binary(max_size=300) | st.integers(4090, 5000).map(bytes)), max_size=4
    )
)
def test_frames_of_any_size_and_content_are_read_back(frames: list[tuple[int, bytes]]) -> None:
    heads, contents, _ = feed(NutFraming(), [written(frames)])
    assert [(head.pts, head.size) for head in heads] == [(pts, len(content)) for pts, content in frames]
    assert contents == [content for _, content in frames]


@pytest.mark.parametrize("content", [b"\0\0\1\xb6rest", b"NMz", b"nut/multimedia container\0", bytes(4096)])
def test_content_that_looks_like_structure_is_content(content: bytes) -> None:
    assert feed(NutFraming(), [written([(0, content), (7, content)])])[1] == [content, content]


@given(st.data())
def test_damage_is_corrupt_or_read(data: st.DataObject) -> None:
    content = data.draw(mutated(written([(0, b"abcd"), (1 << 40, b"efgh")])))
    with contextlib.suppress(CorruptMedia):
        feed(NutFraming(), [content])


def test_the_same_clock_is_written_the_same_however_it_is_given() -> None:
    assert written([], clock=Fraction(2, 50)) == written([], clock=Fraction(1, 25))


def test_it_begins_as_nut_does() -> None:
    begun = written([])
    assert begun.startswith(nut.MAGIC + nut.MAIN.to_bytes(8, "big"))
    assert nut.STREAM.to_bytes(8, "big") in begun
    assert NutStream.before(3, 4).startswith(nut.SYNCPOINT.to_bytes(8, "big"))


@pytest.mark.parametrize("pixels", ["yuv420p", "gray16be", "bgr24", "", "RGB24"])
def test_what_has_no_tag_is_refused(pixels: str) -> None:
    with pytest.raises(UnsupportedPixels, match="cannot be given times"):
        NutStream(pixels, 2, 2, Fraction(1, 25))


# Against the real reader


def listed(program: str, content: bytes, *output: str) -> tuple[Fraction, list[tuple[int, int, int]]]:
    """The clock, and time, size and checksum of each packet."""
    source = ("-nostdin", "-v", "error", "-f", "nut", "-copyts", "-fpsprobesize", "0", "-i", "pipe:0")
    command = [program, *source, *output, "-f", "framecrc", "-"]
    ran = subprocess.run(command, input=content, check=True, capture_output=True, timeout=60)
    assert ran.stderr == b""
    rows = ran.stdout.decode().splitlines()
    clock = Fraction(next(row for row in rows if row.startswith("#tb")).split()[-1])
    cells = [row.split(",") for row in rows if not row.startswith("#")]
    return clock, [(int(row[2]), int(row[4]), int(row[5], 16)) for row in cells]


def pictures(pixels: str, size: tuple[int, int], times: Sequence[int]) -> list[tuple[int, bytes]]:
    length = size[0] * size[1] * _BYTES[pixels]
    return [(pts, bytes((37 * n + 11 * at) % 256 for at in range(length))) for n, pts in enumerate(times)]


def sums(frames: Sequence[tuple[int, bytes]]) -> list[tuple[int, int, int]]:
    return [(pts, len(content), zlib.adler32(content, 0)) for pts, content in frames]


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("pixels", sorted(_FOURCC))
def test_ffmpeg_reads_the_pixels_that_were_written(ffmpeg: str, pixels: str) -> None:
    size, clock = (7, 5), Fraction(1, 1000)
    frames = pictures(pixels, size, (0, 40, 41, 500, 10_000))
    content = written(frames, pixels, size, clock)
    assert listed(ffmpeg, content, "-c", "copy") == (clock, sums(frames))
    raw = ("-f", "rawvideo", "-pix_fmt", pixels, _passthrough(), "passthrough", "-")
    command = [ffmpeg, "-nostdin", "-v", "error", "-f", "nut", "-i", "pipe:0", *raw]
    ran = subprocess.run(command, input=content, check=True, capture_output=True, timeout=60)
    assert ran.stdout == b"".join(content for _, content in frames)


def _passthrough() -> Any:
    from bridge.process.tools import toolbox

    return "-fps_mode" if toolbox().find("ffmpeg").release >= (5, 1) else "-vsync"


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("clock", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 1_000_000)])
@pytest.mark.parametrize(
    "times",
    [(0, 1, 2, 3), (5,), (0, 1, 127, 128, 129, 300_000), (1000, 1001, 5_000_000_000), tuple(range(0, 9000, 90))],
    ids=["regular", "one", "gaps", "late", "many"],
)
def test_ffmpeg_reads_the_times_that_were_written(ffmpeg: str, clock: Fraction, times: tuple[int, ...]) -> None:
    frames = pictures("rgb24", (4, 2), times)
    assert listed(ffmpeg, written(frames, "rgb24", (4, 2), clock), "-c", "copy") == (clock, sums(frames))


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_ffmpeg_reads_large_frames(ffmpeg: str) -> None:
    frames = [(0, bytes(640 * 480 * 3)), (7, b"\xff" * 640 * 480 * 3)]
    assert listed(ffmpeg, written(frames, "rgb24", (640, 480)), "-c", "copy") == (Fraction(1, 25), sums(frames))
