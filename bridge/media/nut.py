"""NUT, as ffmpeg writes it for raw video: each frame says its size and its time. Pure; the bytes come from elsewhere.

Written to the NUT specification (version 3, what every ffmpeg from 4 to 9 writes unless told otherwise).
Only what a stream of video on a pipe needs is read; checksums are not verified, because a pipe does not flip bits.
`NutStream` is the other way: raw frames with their times, for ffmpeg to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bridge.errors import CorruptMedia, UnsupportedPixels
from bridge.media.checksum import crc32_msb_first
from bridge.media.framing import Cursor, FrameHead, NeedMore

__all__ = ["NutFraming", "NutStream"]

_MAGIC = b"nut/multimedia container\0"
_MAIN = 0x4E4D7A561F5F04AD
_STREAM = 0x4E5311405BF2F9DB
_SYNCPOINT = 0x4E4BE4ADEECA4569
_INDEX = 0x4E58DD672F23E64E
_INFO = 0x4E49AB68B596BA78

_KEY, _CODED_PTS, _STREAM_ID, _SIZE_MSB, _CHECKSUM, _RESERVED = 1, 8, 16, 32, 64, 128
_HEADER_IDX, _MATCH_TIME, _CODED, _INVALID = 1024, 2048, 4096, 8192

_NEWEST_VERSION = 3
_MOST_SHIFT = 62  # time stamps have 64 bits
_ELISION_UP_TO = 4096  # larger frames are never shortened
_LONG_PACKET = 4096  # packets beyond this repeat a checksum behind their length
_NO_STARTCODE = b"N"[0]  # every start code begins with this byte, no frame code does


@dataclass(frozen=True, slots=True)
class _FrameCode:
    """What one of the 256 first bytes of a frame stands for."""

    flags: int
    stream: int
    size_mul: int
    size_lsb: int
    pts_delta: int
    reserved: int
    header: int


_INVALID_CODE = _FrameCode(_INVALID, 0, 1, 0, 0, 0, 0)


@dataclass(slots=True)
class _Video:
    """The video stream: its size, its clock, and the last time seen."""

    width: int
    height: int
    time_base: Fraction
    msb_shift: int
    last_pts: int = 0

    def full_pts(self, coded: int) -> int:
        """Undo NUT's shortening of a time stamp."""
        if coded >= 1 << self.msb_shift:
            return coded - (1 << self.msb_shift)
        mask = (1 << self.msb_shift) - 1
        delta = self.last_pts - mask // 2
        return ((coded - delta) & mask) + delta


class NutFraming:
    """Reads the heads of the frames of a NUT stream with one raw video stream.

    Feed it with `head`; between two heads the caller takes ``size - len(prefix)`` bytes of pixels.

    Attributes
    ----------
    tag, config : bytes
        Which codec it is, and what its decoder wants to know beforehand; known with the first head.
    """

    def __init__(self) -> None:
        self.tag = self.config = b""
        self._codes: list[_FrameCode] = []
        self._time_bases: list[Fraction] = []
        self._elision: list[bytes] = [b""]
        self._video: _Video | None = None
        self._begun = False

    def head(self, data: bytes | bytearray) -> tuple[FrameHead | None, int]:
        """Read as far as the pixels of the next frame.

        Parameters
        ----------
        data : bytes
            What has come since the last frame's pixels.

        Returns
        -------
        head : FrameHead or None
            None when `data` ends too early: keep what was not consumed, get more, call again.
        consumed : int
            How many bytes of `data` are done with.

        Raises
        ------
        CorruptMedia
            If this is not NUT, or not what ffmpeg writes.
        """
        cursor = Cursor(data)
        done = 0
        try:
            while True:
                if not self._begun:
                    self._magic(cursor)
                elif cursor.peek() == _NO_STARTCODE:
                    self._packet(cursor)
                else:
                    return self._frame(cursor), cursor.position
                done = cursor.position
        except NeedMore:
            return None, done

    def _magic(self, cursor: Cursor) -> None:
        if cursor.take(len(_MAGIC)) != _MAGIC:
            message = "the program did not send a NUT stream"
            raise CorruptMedia(message)
        self._begun = True

    def _packet(self, cursor: Cursor) -> None:
        start = cursor.integer(8)
        length = _varint(cursor)
        if length > _LONG_PACKET:
            cursor.take(4)
        body = Cursor(cursor.take(length))
        reader = {_MAIN: self._main, _STREAM: self._stream, _SYNCPOINT: self._syncpoint}.get(start)
        if reader is None:
            if start not in (_INDEX, _INFO):
                message = f"unknown packet {start:#018x} in the NUT stream"
                raise CorruptMedia(message)
            return
        try:
            reader(body)
        except NeedMore:
            message = "a packet of the NUT stream is shorter than its content"
            raise CorruptMedia(message) from None

    def _main(self, body: Cursor) -> None:
        version = _varint(body)
        if version > _NEWEST_VERSION:
            message = f"NUT version {version} is newer than {_NEWEST_VERSION}"
            raise CorruptMedia(message)
        _varint(body)  # how many streams
        _varint(body)  # max_distance
        self._time_bases = [_time_base(body) for _ in range(_varint(body))]
        self._codes = _frame_codes(body)
        self._elision = [b"", *(body.take(_varint(body)) for _ in range(_varint(body)))]

    def _stream(self, body: Cursor) -> None:
        _varint(body)  # stream id: there is one
        if _varint(body) != 0:
            message = "the NUT stream holds something else than video"
            raise CorruptMedia(message)
        self.tag = body.take(_varint(body))
        clock, msb_shift = _varint(body), _varint(body)
        if clock >= len(self._time_bases) or msb_shift > _MOST_SHIFT:
            raise CorruptMedia("the NUT stream's header contradicts its main header")
        for _ in range(3):  # max_pts_distance, decode_delay, stream_flags
            _varint(body)
        self.config = body.take(_varint(body))
        self._video = _Video(_varint(body), _varint(body), self._time_bases[clock], msb_shift)

    def _syncpoint(self, body: Cursor) -> None:
        video = self._stream_seen()
        ticks, base = divmod(_varint(body), len(self._time_bases))
        video.last_pts = int(ticks * self._time_bases[base] / video.time_base)

    def _stream_seen(self) -> _Video:
        if self._video is None:
            message = "the NUT stream has no video stream header"
            raise CorruptMedia(message)
        return self._video

    def _frame(self, cursor: Cursor) -> FrameHead:
        video = self._stream_seen()
        code = self._codes[cursor.integer(1)]
        flags = code.flags
        if flags & _CODED:
            flags ^= _varint(cursor)
        if flags & _INVALID:
            message = "an invalid frame code in the NUT stream"
            raise CorruptMedia(message)
        if flags & _STREAM_ID:
            _varint(cursor)
        pts = video.full_pts(_varint(cursor)) if flags & _CODED_PTS else video.last_pts + code.pts_delta
        size = code.size_lsb + (code.size_mul * _varint(cursor) if flags & _SIZE_MSB else 0)
        header = self._frame_tail(cursor, flags, code)
        prefix = self._elision_header(header) if size <= _ELISION_UP_TO else b""
        if len(prefix) > size:
            raise CorruptMedia("a frame of the NUT stream is smaller than its own beginning")
        video.last_pts = pts
        return FrameHead(
            width=video.width,
            height=video.height,
            size=size,
            pts=pts,
            time_base=video.time_base,
            prefix=prefix,
            key=bool(flags & _KEY),
        )

    def _elision_header(self, index: int) -> bytes:
        if index >= len(self._elision):
            raise CorruptMedia("a frame of the NUT stream begins with something that was never sent")
        return self._elision[index]

    @staticmethod
    def _frame_tail(cursor: Cursor, flags: int, code: _FrameCode) -> int:
        """Read what follows a frame's size; give the index of its elision header."""
        if flags & _MATCH_TIME:
            _varint(cursor)
        header = _varint(cursor) if flags & _HEADER_IDX else code.header
        reserved = _varint(cursor) if flags & _RESERVED else code.reserved
        for _ in range(reserved):
            _varint(cursor)
        if flags & _CHECKSUM:
            cursor.take(4)
        return header


def _varint(cursor: Cursor) -> int:
    """Read NUT's ``v``: seven bits a byte, most significant first."""
    value = 0
    while True:
        byte = cursor.integer(1)
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value


def _time_base(body: Cursor) -> Fraction:
    """Read seconds per tick; a clock that stands or runs infinitely fast is none."""
    over, under = _varint(body), _varint(body)
    if not over or not under:
        raise CorruptMedia(f"a clock of {over}/{under} seconds in the NUT stream")
    return Fraction(over, under)


def _signed(cursor: Cursor) -> int:
    """Read NUT's ``s``: a varint whose lowest bit is the sign."""
    value = _varint(cursor) + 1
    return -(value >> 1) if value & 1 else value >> 1


def _frame_codes(body: Cursor) -> list[_FrameCode]:
    """Read the table of the 256 frame codes of a main header."""
    codes: list[_FrameCode] = []
    pts_delta, size_mul, stream, header = 0, 1, 0, 0
    while len(codes) < 256:
        flags, fields = _varint(body), _varint(body)
        pts_delta = _signed(body) if fields > 0 else pts_delta
        size_mul = _varint(body) if fields > 1 else size_mul
        stream = _varint(body) if fields > 2 else stream
        size_lsb = _varint(body) if fields > 3 else 0
        reserved = _varint(body) if fields > 4 else 0
        count = _varint(body) if fields > 5 else size_mul - size_lsb
        if fields > 6:
            _signed(body)  # match_time_delta
        header = _varint(body) if fields > 7 else header
        for _ in range(8, fields):
            _varint(body)
        if count <= 0:
            message = "an empty run in the frame code table of the NUT stream"
            raise CorruptMedia(message)
        added = 0
        while added < count and len(codes) < 256:
            if len(codes) == _NO_STARTCODE:
                codes.append(_INVALID_CODE)
                continue
            codes.append(_FrameCode(flags, stream, size_mul, size_lsb + added, pts_delta, reserved, header))
            added += 1
    return codes


# Writing

_SHIFT = 7  # a time stamp of at least 1 << _SHIFT is a whole one
_APART = 1 << 62  # time stamps may be any distance apart
_DISTANCE = 65536  # between two sync points: there is one before each frame
# FFmpeg's tags of raw video (libavcodec/raw.c) for the formats that arrays have.
_FOURCC = {"gray": b"Y800", "ya8": b"Y2\0\x08", "rgb24": b"RGB\x18", "rgba": b"RGBA",
           "gray16le": b"Y1\0\x10", "rgb48le": b"RGB0", "rgba64le": b"RBA@"}  # fmt: skip


class NutStream:
    """The bytes that stand before the frames of a film, and before each of them.

    Parameters
    ----------
    content : str or bytes
        FFmpeg's name of a raw pixel format, or the tag of a codec.
    width, height : int
        Pixels.
    time_base : fractions.Fraction
        Seconds per tick of the times.
    config : bytes
        What the decoder of a codec wants to know beforehand.
    decode_delay : int
        How many frames come before one that is shown earlier.

    Raises
    ------
    UnsupportedPixels
        If raw video of that format has no tag.
    """

    def __init__(
        self,
        content: str | bytes,
        width: int,
        height: int,
        time_base: Fraction,
        *,
        config: bytes = b"",
        decode_delay: int = 0,
    ) -> None:
        tag = content if isinstance(content, bytes) else _FOURCC.get(content)
        if tag is None:
            raise UnsupportedPixels(f"frames of {content!s} cannot be given times of their own")
        self._main = b"".join(map(_v, (_NEWEST_VERSION, 1, _DISTANCE, 1, time_base.numerator, time_base.denominator)))
        # One rule for all 256 frame codes (N is none): everything is written out.
        self._main += _v(_CODED) + _v(6) + b"".join(map(_v, (0, 1, 0, 0, 0, 255))) + _v(0)
        facts = b"".join(map(_v, (0, _SHIFT, _APART, decode_delay, 0, len(config)))) + config
        self._stream = _v(0) + _v(0) + _v(len(tag)) + tag + facts + b"".join(map(_v, (width, height, 0, 0, 0)))

    def begin(self) -> bytes:
        """Give what the stream begins with."""
        return _MAGIC + _whole(_MAIN, self._main) + _whole(_STREAM, self._stream)

    @staticmethod
    def before(pts: int, size: int, *, key: bool = True) -> bytes:
        """Give what stands before a frame of `size` bytes that is shown at `pts`, which is not negative."""
        flags = _KEY * key | _CODED_PTS | _SIZE_MSB | _CHECKSUM
        head = b"\0" + _v(flags) + _v(pts + (1 << _SHIFT)) + _v(size)
        return _whole(_SYNCPOINT, _v(pts) + _v(0)) + head + crc32_msb_first(head)


def _v(value: int) -> bytes:
    """Write NUT's ``v``."""
    out = bytearray([value & 0x7F])
    while value := value >> 7:
        out.insert(0, 0x80 | value & 0x7F)
    return bytes(out)


def _whole(start: int, body: bytes) -> bytes:
    return start.to_bytes(8, "big") + _v(len(body) + 4) + body + crc32_msb_first(body)
