"""A NUT writer in a few lines, after the specification and not after the reader: what the reader is tried with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

__all__ = ["MAGIC", "Frame", "Run", "Writer", "packet", "signed", "varint"]

MAGIC = b"nut/multimedia container\0"
MAIN, STREAM, SYNCPOINT = 0x4E4D7A561F5F04AD, 0x4E5311405BF2F9DB, 0x4E4BE4ADEECA4569
INDEX, INFO = 0x4E58DD672F23E64E, 0x4E49AB68B596BA78

KEY, CODED_PTS, STREAM_ID, SIZE_MSB, CHECKSUM, RESERVED = 1, 8, 16, 32, 64, 128
HEADER_IDX, MATCH_TIME, CODED, INVALID = 1024, 2048, 4096, 8192


def varint(value: int) -> bytes:
    """NUT's ``v``."""
    out = bytes([value & 0x7F])
    while value := value >> 7:
        out = bytes([value & 0x7F | 0x80]) + out
    return out


def signed(value: int) -> bytes:
    """NUT's ``s``."""
    return varint(2 * value - 1 if value > 0 else -2 * value)


def packet(start: int, body: bytes) -> bytes:
    """A packet with its start code, its length and a place for its checksum."""
    length = varint(len(body) + 4)
    long = b"head" if len(body) + 4 > 4096 else b""
    return start.to_bytes(8, "big") + length + long + body + b"sums"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of the frame code table: equal but for the low part of the size."""

    flags: int
    pts_delta: int = 0
    mul: int = 1
    lsb: int = 0
    reserved: int = 0
    count: int
    header: int = 0

    def coded(self) -> bytes:
        """Write all eight fields and one that is reserved."""
        fields = varint(self.mul) + varint(0) + varint(self.lsb) + varint(self.reserved) + varint(self.count)
        return (
            varint(self.flags)
            + varint(9)
            + signed(self.pts_delta)
            + fields
            + signed(0)
            + varint(self.header)
            + varint(0)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame as the reader should give it."""

    pts: int
    pixels: bytes


@dataclass(slots=True, kw_only=True)
class Writer:
    """Writes one raw video stream.

    The table has `runs`; each frame is written by the first code that can, so that a reader which reads the
    table wrongly reads the frames wrongly.
    """

    width: int
    height: int
    time_base: Fraction
    msb_shift: int = 7
    runs: Sequence[Run] = field(default_factory=lambda: [Run(flags=CODED, count=255)])
    elision: Sequence[bytes] = ()
    checksums: bool = False
    last: int = 0

    def header(self) -> bytes:
        """The magic, the main header and the stream header."""
        base = varint(self.time_base.numerator) + varint(self.time_base.denominator)
        main = varint(3) + varint(1) + varint(32768) + varint(1) + base
        main += b"".join(run.coded() for run in self.runs)
        main += varint(len(self.elision)) + b"".join(varint(len(head)) + head for head in self.elision)
        stream = varint(0) + varint(0) + varint(4) + b"RGB\x18" + varint(0) + varint(self.msb_shift)
        stream += varint(1) + varint(0) + varint(0) + varint(0)
        stream += varint(self.width) + varint(self.height) + varint(1) + varint(1) + varint(0)
        return MAGIC + packet(MAIN, main) + packet(STREAM, stream) + packet(INFO, b"whatever")

    def syncpoint(self, pts: int) -> bytes:
        """A point to resume at, with the time that it stands for."""
        self.last = pts
        return packet(SYNCPOINT, varint(pts) + varint(0))

    def frame(self, frame: Frame) -> bytes:
        """One frame: code, what the code leaves open, pixels."""
        number, run, lsb = self._code(frame)
        head = 0
        if len(frame.pixels) <= 4096:
            head = next((i for i, text in enumerate(self.elision, 1) if frame.pixels.startswith(text)), 0)
        flags, out = run.flags, bytes([number])
        if flags & CODED:
            wanted = CODED_PTS | SIZE_MSB | (HEADER_IDX if head else 0) | (CHECKSUM if self.checksums else 0)
            out += varint(wanted ^ flags)
            flags = wanted
        out += self._coded_pts(frame.pts) if flags & CODED_PTS else b""
        out += varint((len(frame.pixels) - lsb) // run.mul) if flags & SIZE_MSB else b""
        if flags & HEADER_IDX:
            out += varint(head)
        else:
            head = 0
        out += b"".join(varint(0) for _ in range(run.reserved))
        out += b"sums" if flags & CHECKSUM else b""
        self.last = frame.pts
        return out + frame.pixels[len(self.elision[head - 1]) if head else 0 :]

    def _code(self, frame: Frame) -> tuple[int, Run, int]:
        """Find the first code of the table that can say this frame."""
        number = 0
        for run in self.runs:
            for step in range(run.count):
                number += number == ord("N")
                if self._says(run, run.lsb + step, frame):
                    return number, run, run.lsb + step
                number += 1
        message = f"no code for {frame}"
        raise ValueError(message)

    def _says(self, run: Run, lsb: int, frame: Frame) -> bool:
        size = len(frame.pixels)
        if run.flags & INVALID or (run.flags & CODED and (run.mul, lsb) != (1, 0)):
            return False
        timed = run.flags & (CODED | CODED_PTS) or frame.pts == self.last + run.pts_delta
        if run.flags & (CODED | SIZE_MSB):
            return bool(timed) and size >= lsb and (size - lsb) % run.mul == 0
        return bool(timed) and size == lsb

    def _coded_pts(self, pts: int) -> bytes:
        """Shorten a time to its low bits where the reader can find the rest."""
        mask = (1 << self.msb_shift) - 1
        delta = self.last - mask // 2
        if ((pts & mask) - delta & mask) + delta == pts:
            return varint(pts & mask)
        return varint(pts + (1 << self.msb_shift))
