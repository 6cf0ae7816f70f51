"""H.264 whose frames are coded as two field pictures each, which no free encoder makes.

The pixels are written as they are (I_PCM), or left out (P_Skip), so that little of the standard is needed: ITU-T
H.264, sections 7.3.2 (parameter sets), 7.3.3 (slice headers), 7.3.4 and 7.3.5 (macroblocks).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from bridge.media.nut import NutStream

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS, _ROWS = 8, 2  # macroblocks of a field: the number of its frame, bit by bit, and something below
WIDTH, HEIGHT = 16 * _COLUMNS, 48  # the lowest 16 lines are cropped
_DARK, _BRIGHT = 16, 235
_P, _B, _I = 5, 6, 7
_PCM = {_I: 25, _P: 30, _B: 48}  # mb_type of I_PCM in such slices
_POC_BITS, _NUMBER_BITS = 8, 4


class _Bits:
    def __init__(self) -> None:
        self._bits: list[str] = []

    def u(self, count: int, value: int) -> _Bits:
        return self.bits(format(value, f"0{count}b"))

    def bits(self, text: str) -> _Bits:
        self._bits.append(text)
        return self

    def ue(self, value: int) -> _Bits:
        digits = format(value + 1, "b")
        return self.bits("0" * (len(digits) - 1) + digits)

    def align(self) -> _Bits:
        return self.bits("0" * (-sum(map(len, self._bits)) % 8))

    def pcm(self, data: bytes) -> _Bits:
        return self.bits("".join(format(byte, "08b") for byte in data))

    def end(self) -> bytes:
        text = "".join(self.bits("1").align()._bits)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def _nal(header: int, payload: bytes) -> bytes:
    """Put a unit behind its start code, with emulation prevention (section 7.4.1.1)."""
    out = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([header]) + bytes(out)


def _parameters(rate: int) -> bytes:
    sps = _Bits().u(8, 77).u(8, 0).u(8, 30).ue(0)  # Main, level 3
    sps.ue(_NUMBER_BITS - 4).ue(0).ue(_POC_BITS - 4).ue(1).u(1, 0)
    sps.ue(_COLUMNS - 1).ue(_ROWS - 1).u(3, 0b001)  # frame_mbs_only 0, no MBAFF, direct_8x8
    sps.u(1, 1).ue(0).ue(0).ue(0).ue(4)  # cropped below, in units of four lines
    sps.u(1, 1).u(4, 0).u(1, 1).u(32, 1).u(32, 2 * rate).u(1, 1)  # VUI: only the time of a field
    sps.u(3, 0).u(1, 1).u(1, 1).ue(0).ue(0).ue(10).ue(10).ue(1).ue(2)  # one frame of reordering
    pps = _Bits().ue(0).ue(0).u(2, 0).ue(0).ue(0).ue(0).u(3, 0).ue(0).ue(0).ue(0).u(3, 0b100)
    return _nal(0x67, sps.end()) + _nal(0x68, pps.end())


class _Field(NamedTuple):
    """One coded picture: half the lines of a frame."""

    frame: int
    kind: int
    bottom: bool
    idr: bool
    number: int  # frame_num
    order: int  # pic_order_cnt_lsb
    below: int | None  # luma of the lower macroblocks; None leaves them as they were in the field before

    def coded(self) -> bytes:
        kept = self.kind != _B
        out = _Bits().ue(0).ue(self.kind).ue(0).u(_NUMBER_BITS, self.number).u(1, 1).u(1, self.bottom)
        if self.idr:
            out.ue(0)
        out.u(_POC_BITS, self.order)
        out.bits({_I: "", _P: "00", _B: "1000"}[self.kind])  # prediction: as usual, and direct by space
        if kept:
            out.u(2 if self.idr else 1, 0)
        out.ue(0).ue(1)
        above = [_BRIGHT if self.frame >> bit & 1 else _DARK for bit in range(_COLUMNS)]
        skipped = 0
        for luma in [*above, *[self.below] * _COLUMNS * (_ROWS - 1)]:
            if luma is None:
                skipped += 1
                continue
            if self.kind != _I:
                out.ue(skipped)
            out.ue(_PCM[self.kind]).align().pcm(bytes([luma]) * 256 + b"\x80" * 128)
        if skipped:
            out.ue(skipped)
        return _nal((0x60 if kept else 0) | (5 if self.idr else 1), out.end())


def _order(begin: int, size: int) -> Iterator[tuple[int, int]]:
    """Give the frames of a group in the order in which they are coded: I, P B, P B, …"""
    yield begin, _I
    for frame in range(begin + 2, begin + size, 2):
        yield frame, _P
        yield frame - 1, _B
    if size % 2 == 0:
        yield begin + size - 1, _P


def _fields(groups: int, size: int) -> Iterator[_Field]:
    for group in range(groups):
        number = 0
        for frame, kind in _order(group * size, size):
            number += kind == _P
            for bottom in (False, True):
                yield _Field(
                    frame=frame,
                    kind=_P if kind == _I and bottom else kind,
                    bottom=bottom,
                    idr=kind == _I and not bottom,
                    number=(number + (kind == _B)) % (1 << _NUMBER_BITS),
                    order=2 * (frame - group * size) + bottom,
                    below=30 + 20 * group if kind != _P else None,
                )


def film(*, groups: int = 4, size: int = 12, rate: int = 25, joined: bool = False) -> bytes:
    """Give a film in NUT of closed groups of `size` frames, each with its number in its pixels.

    Its packets hold one field, or, if they are `joined`, the two of a frame.
    """
    nut = NutStream(b"H264", WIDTH, HEIGHT, Fraction(1, 2 * rate), decode_delay=2)
    out = bytearray(nut.begin())
    waiting = b""
    for field in _fields(groups, size):
        waiting += _nal(9, b"\xf0") + (_parameters(rate) if field.idr else b"") + field.coded()
        if joined and not field.bottom:
            continue
        first = field.kind == _I or (joined and field.order % (2 * size) == 1)
        out += nut.before(2 * field.frame + (field.bottom and not joined), len(waiting), key=first) + waiting
        waiting = b""
    return bytes(out)
