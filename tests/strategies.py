"""The hypothesis strategies of all tests: pictures, NUT streams, PNM pictures, GIFs, and ways to cut bytes up."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bridge.media.pixels import PIXEL_FORMATS, PixelFormat
from tests.fakes import nut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.media.framing import FrameHead

__all__ = [
    "Gif",
    "GifFrame",
    "NutStream",
    "PnmPicture",
    "feed",
    "formats",
    "gif_bytes",
    "gifs",
    "mutated",
    "nut_streams",
    "pictures",
    "pieces",
    "pnm_pictures",
    "sizes",
]

sizes = st.tuples(st.integers(1, 17), st.integers(1, 17))
formats = st.sampled_from(sorted(PIXEL_FORMATS.values(), key=lambda row: row.name))


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Some bytes, cut up anywhere."""
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Almost these bytes: some overwritten, then cut off or not."""
    changed = bytearray(data)
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=6)):
        changed[at] = value
    return bytes(changed[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


# Pictures


@st.composite
def pictures(draw: st.DrawFn, pixels: PixelFormat) -> np.ndarray[Any, Any]:
    """A picture as a user holds it, of a shape and dtype that `pixels` is for."""
    width, height = draw(sizes)
    shape = (height, width) if not pixels.order else (height, width, pixels.channels)
    return draw(arrays.arrays(pixels.dtype.newbyteorder("="), shape))


# NUT


@dataclass(frozen=True, slots=True, kw_only=True)
class NutStream:
    """A stream, and what it should be read as."""

    data: bytes
    width: int
    height: int
    time_base: Fraction
    frames: tuple[nut.Frame, ...]


_rationals = st.builds(Fraction, st.integers(1, 100_000), st.integers(1, 1_000_000))
_STARTS = (b"\0\0\x01", b"\0\0\x01\xb6", b"\xff\xfa")


@st.composite
def _tables(draw: st.DrawFn) -> list[nut.Run]:
    """A frame code table: some particular runs, then one that says everything in the frame itself."""
    runs: list[nut.Run] = []
    if draw(st.booleans()):  # FFmpeg's own first code
        runs.append(nut.Run(flags=nut.INVALID, count=1))
    if draw(st.booleans()):
        mul = draw(st.integers(2, 40))
        delta = draw(st.integers(-3, 3))
        runs.append(nut.Run(flags=nut.SIZE_MSB, pts_delta=delta, mul=mul, lsb=0, count=mul))
    if draw(st.booleans()):
        lsb = draw(st.integers(0, 30))
        reserved = draw(st.integers(0, 2))
        runs.append(nut.Run(flags=nut.CODED_PTS, mul=lsb + 20, lsb=lsb, reserved=reserved, count=20))
    if draw(st.booleans()):
        runs.append(nut.Run(flags=nut.KEY | nut.CODED_PTS | nut.SIZE_MSB, count=1))
    return [*runs, nut.Run(flags=nut.CODED, count=255 - sum(run.count for run in runs))]


@st.composite
def nut_streams(draw: st.DrawFn) -> NutStream:
    """Any times, any sizes, any table that a writer may choose."""
    width, height = draw(sizes)
    time_base = draw(_rationals)
    writer = nut.Writer(
        width=width,
        height=height,
        time_base=time_base,
        msb_shift=draw(st.integers(1, 14)),
        runs=draw(_tables()),
        elision=draw(st.sampled_from([(), _STARTS])),
        checksums=draw(st.booleans()),
    )
    pixels = st.one_of(
        st.binary(max_size=60),
        st.sampled_from(_STARTS).flatmap(lambda start: st.binary(max_size=20).map(lambda rest: start + rest)),
        st.integers(4090, 5000).map(lambda size: b"\0\0\x01" + bytes(size)),
    )
    times = st.one_of(st.integers(0, 50), st.integers(0, 1 << 40))
    frames = draw(st.lists(st.builds(nut.Frame, pts=times, pixels=pixels), max_size=6))
    data = writer.header()
    for number, frame in enumerate(frames):
        if number == 0 or draw(st.booleans()):
            data += writer.syncpoint(draw(times))
        data += writer.frame(frame)
    return NutStream(data=data, width=width, height=height, time_base=time_base, frames=tuple(frames))


def feed(framing: Any, portions: Sequence[bytes]) -> tuple[list[FrameHead], list[bytes], bytes]:
    """Read a stream that comes in portions; give heads, frames, and what is left over."""
    heads: list[FrameHead] = []
    frames: list[bytes] = []
    pending, waiting = bytearray(), None
    for portion in portions:
        pending += portion
        while True:
            if waiting is None:
                waiting, used = framing.head(pending)
                del pending[:used]
                if waiting is None:
                    break
                heads.append(waiting)
            rest = waiting.size - len(waiting.prefix)
            if len(pending) < rest:
                break
            frames.append(waiting.prefix + bytes(pending[:rest]))
            del pending[:rest]
            waiting = None
    return heads, frames, bytes(pending)


# PNM


@dataclass(frozen=True, slots=True, kw_only=True)
class PnmPicture:
    """A picture's file, and what its head should be read as."""

    data: bytes
    width: int
    height: int
    channels: int
    maxval: int
    pixels: bytes


_blanks = st.lists(st.sampled_from([b" ", b"\n", b"\t", b"\r\n", b"  ", b"\n# a comment 12\n"]), min_size=1, max_size=3)


@st.composite
def pnm_pictures(draw: st.DrawFn) -> PnmPicture:
    """A P5, P6 or P7 picture of 8 or 16 bits, or a float one, with white space and comments where they may be."""
    width, height = draw(sizes)
    magic = draw(st.sampled_from([b"P5", b"P6", b"P7", b"Pf", b"PF"]))
    channels = {b"P5": 1, b"P6": 3, b"Pf": 1, b"PF": 3}.get(magic) or draw(st.integers(1, 4))
    maxval = 1 if magic in (b"Pf", b"PF") else draw(st.sampled_from([1, 255, 256, 65535]))
    sample = 4 if magic in (b"Pf", b"PF") else 1 if maxval < 256 else 2
    size = width * height * channels * sample
    pixels = draw(st.binary(min_size=size, max_size=size))
    if magic == b"P7":
        lines = [b"WIDTH %d" % width, b"HEIGHT %d" % height, b"DEPTH %d" % channels, b"MAXVAL %d" % maxval]
        lines = [*draw(st.permutations(lines)), b"TUPLTYPE X"]
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from([b"# WIDTH 9", b"", b"TUPLTYPE Y"])))
        head = b"P7\n" + b"\n".join(lines) + b"\nENDHDR\n"
    else:
        words = [magic, b"%d" % width, b"%d" % height, b"-1.0" if sample == 4 else b"%d" % maxval]
        head = b"".join(word + (b"".join(draw(_blanks)) if word is not words[-1] else b"\n") for word in words)
    return PnmPicture(data=head + pixels, width=width, height=height, channels=channels, maxval=maxval, pixels=pixels)


# GIF


@dataclass(frozen=True, slots=True, kw_only=True)
class GifFrame:
    """One frame: where it lies, its colour numbers, which of these is none, and what becomes of it."""

    left: int
    top: int
    pixels: np.ndarray[Any, Any]
    transparent: int | None
    disposal: int
    local_palette: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gif:
    """An animation, and which of its pictures, as a viewer shows them, have holes."""

    width: int
    height: int
    frames: tuple[GifFrame, ...]

    @property
    def holes(self) -> bool:
        """Tell whether any picture shows what is behind it."""
        covered = np.zeros((self.height, self.width), bool)
        for frame in self.frames:
            rows, columns = frame.pixels.shape
            before = covered.copy()
            window = covered[frame.top : frame.top + rows, frame.left : frame.left + columns]
            window |= True if frame.transparent is None else frame.pixels != frame.transparent
            if not covered.all():
                return True
            if frame.disposal == 2:
                window[:] = False
            elif frame.disposal == 3:
                covered = before
        return False

    @property
    def plainly_opaque(self) -> bool:
        """Tell whether the headers alone prove that there can be no hole."""
        first = self.frames[0]
        whole = first.pixels.shape == (self.height, self.width)
        kept = all(frame.disposal < 2 for frame in self.frames)
        return whole and first.transparent is None and kept


@st.composite
def _gif_frames(draw: st.DrawFn, width: int, height: int) -> GifFrame:
    left = draw(st.one_of(st.just(0), st.integers(0, width - 1)))
    top = draw(st.one_of(st.just(0), st.integers(0, height - 1)))
    shape = (
        draw(st.one_of(st.just(height - top), st.integers(1, height - top))),
        draw(st.one_of(st.just(width - left), st.integers(1, width - left))),
    )
    return GifFrame(
        left=left,
        top=top,
        pixels=draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 3))),
        transparent=draw(st.one_of(st.none(), st.integers(0, 3))),
        disposal=draw(st.integers(0, 3)),
        local_palette=draw(st.booleans()),
    )


@st.composite
def gifs(draw: st.DrawFn) -> Gif:
    """An animation of one to four frames that lie anywhere."""
    width, height = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    frames = draw(st.lists(_gif_frames(width, height), min_size=1, max_size=4))
    # There is nothing before the first frame to go back to: readers differ in what they make of that.
    first = replace(frames[0], disposal=min(frames[0].disposal, 2))
    return Gif(width=width, height=height, frames=(first, *frames[1:]))


_PALETTE = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])  # four colours


def gif_bytes(gif: Gif) -> bytes:
    """Write it, uncompressed: every second code clears the table, so that no code ever grows."""
    out = b"GIF89a" + gif.width.to_bytes(2, "little") + gif.height.to_bytes(2, "little") + b"\x81\0\0" + _PALETTE
    out += b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    for frame in gif.frames:
        rows, columns = frame.pixels.shape
        flags = frame.disposal << 2 | (frame.transparent is not None)
        out += b"\x21\xf9\x04" + bytes([flags, 4, 0, frame.transparent or 0, 0])
        out += b"," + b"".join(n.to_bytes(2, "little") for n in (frame.left, frame.top, columns, rows))
        out += b"\x81" + _PALETTE if frame.local_palette else b"\0"
        out += b"\x02" + _lzw(frame.pixels.tobytes())
    return out + b";"


def _lzw(indices: bytes) -> bytes:
    """Pack colour numbers of two bits as codes of three."""
    codes = [code for index in indices for code in (4, index)] + [5]
    bits = sum(code << 3 * number for number, code in enumerate(codes))
    data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
    blocks = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
