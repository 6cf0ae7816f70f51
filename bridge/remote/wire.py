"""Messages between a worker and its readers, and their bytes. Pure: no socket, no memory of others, never a pickle.

A message is one to three parts of ZeroMQ. The first begins with 12 bytes, little-endian as everything here::

    magic "FBRG" | version u16 | kind u8 | flags u8 | number u32

`number` is that of the request or stream that the message belongs to, chosen by the reader and never 0; 0 stands
for the connection itself. The kinds, who sends them (r reader, w worker), and what follows:

======== ===== ================================================================================================
HELLO    r, w  part 2 is JSON: what the sender is and can do. The reader begins, the worker answers.
OPEN     r     part 2 is JSON: delivery and options. The worker answers by ANSWER, which describes the stream.
CREDIT   r     in part 1: u32, so many more frames may be sent on this stream.
FRAME    w     in part 1: an array and a stamp; part 2 are the pixels if they are in no slot.
FAULT    r, w  part 2 is JSON: the error that ended a request or a stream, or the connection.
PING     r, w  flag 1 in the answer to one.
BYE      r, w  part 2 is JSON: the reason. The stream is over, or with number 0 the connection.
ASK      r     part 2 is JSON: what is asked; part 3, if there is one, is data. In part 1: u32, how many
               descriptors came for it beside the messages.
ANSWER   w     part 2 is JSON; in part 1, if there is one, an array, and part 3 its pixels if they are in no slot.
======== ===== ================================================================================================

An array is 48 bytes: ``type u8 | dimensions u8 | place u8 | 0 | extents 4 x u32 | pixel format 16 bytes | bytes u64 |
slot u32 | 0``: `place` 1 says that the pixels follow, 2 that they are in a slot of shared memory. A stamp is 40:
``sequence u64 | captured i64 | pts i64 | time base 2 x u32 | flags u32 | 0``, where `captured` is in nanoseconds of the
worker's monotonic clock (its HELLO tells the wall clock at zero of that) and the least `pts` stands for none.

The sender grants nothing that it was not asked for: a worker sends at most as many frames as it has credit for, so
memory is bounded on either side. All sizes are checked here, before anybody touches a buffer; what is wrong is a
`WireError`, another version a `WrongVersion`. A HELLO keeps its form in all versions, so that both sides can say so.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge import errors
from bridge.errors import BridgeError, ToolFailed, WireError, WrongVersion
from bridge.printing import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DELIVERIES",
    "VERSION",
    "Answer",
    "Ask",
    "Bye",
    "Bytes",
    "Credit",
    "Fault",
    "Frame",
    "Hello",
    "Layout",
    "Message",
    "Open",
    "Ping",
    "Stamp",
    "pack",
    "unpack",
    "version_of",
]

Bytes = bytes | memoryview
VERSION = 1
BODY = 1 << 20  # bytes of JSON
DELIVERIES = ("latest", "lossless")
_MAGIC = b"FBRG"
_HEAD = struct.Struct("<4sHBBI")
_COUNT = struct.Struct("<I")
_ARRAY = struct.Struct("<4B4I16sQII")
_STAMP = struct.Struct("<QqqIIII")
_NO_PTS = -(1 << 63)
_INLINE, _SLOT = 1, 2
_NAME = re.compile(rb"([a-z0-9_]{0,16})\0*")
_TYPES = tuple(np.dtype(name) for name in ("u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"))
_MOST_CREDIT = 1 << 16
_MOST_DESCRIPTORS = 8


class Kind(IntEnum):
    """The kinds of messages."""

    HELLO = 1
    OPEN = 2
    CREDIT = 3
    FRAME = 4
    FAULT = 5
    PING = 6
    BYE = 7
    ASK = 8
    ANSWER = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How an array lies in memory: C-contiguous, little-endian.

    Attributes
    ----------
    dtype : numpy.dtype
        An integer or a float.
    shape : tuple of int
        One to four extents.
    pixels : str
        FFmpeg's name of the pixel format; empty if it is none.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pixels: str = ""

    @property
    def nbytes(self) -> int:
        """Count its bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a source knows of a frame besides its pixels.

    Attributes
    ----------
    captured : int
        When it came, in nanoseconds of the monotonic clock of the worker's machine.
    pts : int or None
        Its time in units of `time_base`.
    time_base : fractions.Fraction
        Seconds.
    flags : int
        1: frames before it were lost at the source. The rest is free.
    """

    captured: int
    pts: int | None = None
    time_base: Fraction = Fraction(0)
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who speaks, and what it can do."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A wish for frames."""

    number: int
    delivery: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """So many more frames may come."""

    number: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame: in `data`, or in a slot."""

    number: int
    sequence: int
    layout: Layout
    stamp: Stamp
    slot: int | None = None
    data: Bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error that crosses: its class among `bridge.errors`, and its words."""

    number: int
    name: str
    message: str
    last_words: str = ""
    got: int | None = None

    @classmethod
    def of(cls, number: int, error: BaseException) -> Fault:
        """Describe an error; what is none of ours keeps its name in the message."""
        if isinstance(error, BridgeError):
            name = type(error).__name__
            return cls(number=number, name=name, message=str(error), last_words=error.last_words, got=error.got)
        return cls(number=number, name="ToolFailed", message=f"the worker failed: {type(error).__name__}: {error}")

    def error(self, subject: str = "") -> BridgeError:
        """Make the error again."""
        kind = getattr(errors, self.name, None) if self.name in errors.__all__ else None
        if not (isinstance(kind, type) and issubclass(kind, BridgeError)):
            kind = ToolFailed
        message = f"{subject}: {self.message}" if subject and not self.message.startswith(subject) else self.message
        return kind(printable(message), last_words=printable(self.last_words), got=self.got)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A sign of life, or the answer to one."""

    number: int = 0
    answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye:
    """The end of a stream or of the connection."""

    number: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request."""

    number: int
    what: str
    body: Mapping[str, Any] = field(default_factory=dict)
    data: Bytes | None = None
    descriptors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes of a request."""

    number: int
    body: Mapping[str, Any] = field(default_factory=dict)
    layout: Layout | None = None
    slot: int | None = None
    data: Bytes | None = None


Message = Hello | Open | Credit | Frame | Fault | Ping | Bye | Ask | Answer


# To bytes


def pack(message: Message) -> list[Bytes]:
    """Give the parts of a message.

    Raises
    ------
    WireError
        For what has no place in one: a body that is no JSON or too large, an array of other types.

    Examples
    --------
    >>> [bytes(part).hex() for part in pack(Ping())]
    ['464252470100060000000000']
    """
    parts: list[Bytes] = _PACK[type(message)](message)
    return parts


def _head(kind: Kind, number: int, flags: int = 0) -> bytes:
    return _HEAD.pack(_MAGIC, VERSION, kind, flags, number)


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(body, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"this cannot be sent as JSON: {error}") from None
    if len(text) > BODY:
        raise WireError(f"a message holds {BODY} bytes of JSON, not {len(text)}")
    return text


def _pack_frame(message: Frame) -> list[Bytes]:
    stamp = message.stamp
    pts = _NO_PTS if stamp.pts is None else stamp.pts
    base = stamp.time_base
    try:
        stamped = _STAMP.pack(message.sequence, stamp.captured, pts, base.numerator, base.denominator, stamp.flags, 0)
    except struct.error as error:
        raise WireError(f"the time of a frame cannot be sent: {error}") from None
    head = _head(Kind.FRAME, message.number) + _array(message.layout, message.slot) + stamped
    return [head] if message.data is None else [head, message.data]


def _pack_answer(message: Answer) -> list[Bytes]:
    head = _head(Kind.ANSWER, message.number)
    head += _array(message.layout, message.slot) if message.layout is not None else b""
    parts: list[Bytes] = [head, _json(message.body)]
    return parts if message.data is None else [*parts, message.data]


def _pack_ask(message: Ask) -> list[Bytes]:
    head = _head(Kind.ASK, message.number) + _COUNT.pack(message.descriptors)
    parts: list[Bytes] = [head, _json({"what": message.what, "body": dict(message.body)})]
    return parts if message.data is None else [*parts, message.data]


def _pack_fault(message: Fault) -> list[Bytes]:
    names = ("name", "message", "last_words", "got")
    return [_head(Kind.FAULT, message.number), _json({name: getattr(message, name) for name in names})]


def _pack_open(message: Open) -> list[Bytes]:
    body = {"delivery": message.delivery, "options": dict(message.options)}
    return [_head(Kind.OPEN, message.number), _json(body)]


def _array(layout: Layout, slot: int | None) -> bytes:
    dtype = layout.dtype.newbyteorder("<")
    if dtype not in _TYPES or not 1 <= len(layout.shape) <= 4:
        raise WireError(f"an array of {layout.dtype} and {len(layout.shape)} dimensions is not sent")
    shape = (*layout.shape, *[1] * (4 - len(layout.shape)))
    place = _INLINE if slot is None else _SLOT
    name = layout.pixels.encode()
    try:
        return _ARRAY.pack(_TYPES.index(dtype), len(layout.shape), place, 0, *shape, name, layout.nbytes, slot or 0, 0)
    except struct.error as error:
        raise WireError(f"an array of the shape {layout.shape} is not sent: {error}") from None


_PACK: dict[type, Any] = {
    Hello: lambda message: [_head(Kind.HELLO, message.number), _json(message.facts)],
    Open: _pack_open,
    Credit: lambda message: [_head(Kind.CREDIT, message.number) + _COUNT.pack(message.frames)],
    Frame: _pack_frame,
    Fault: _pack_fault,
    Ping: lambda message: [_head(Kind.PING, message.number, int(message.answer))],
    Bye: lambda message: [_head(Kind.BYE, message.number), _json({"reason": message.reason})],
    Ask: _pack_ask,
    Answer: _pack_answer,
}


# From bytes


def version_of(parts: Sequence[Bytes]) -> int:
    """Tell the version of whoever sent this.

    Raises
    ------
    WireError
        If it is no message of ours.
    """
    first = memoryview(parts[0]) if parts else memoryview(b"")
    if first.nbytes < _HEAD.size or bytes(first[:4]) != _MAGIC:
        raise WireError("this is no message of a bridge worker or reader")
    return int(_HEAD.unpack_from(first)[1])


def unpack(parts: Sequence[Bytes], *, most: int = 1 << 31) -> Message:
    """Read a message.

    Parameters
    ----------
    parts : sequence of bytes
        As they came.
    most : int
        Bytes that an array or data may have.

    Raises
    ------
    WireError
        If it is malformed.
    WrongVersion
        If it is of another version.

    Examples
    --------
    >>> unpack(pack(Credit(number=3, frames=2)))
    Credit(number=3, frames=2)
    """
    version = version_of(parts)
    if version != VERSION:
        raise WrongVersion(
            f"the other side speaks version {version} of the protocol of bridge workers, this one {VERSION}: "
            "install the same version of framebridge on both"
        )
    _, _, number_of_kind, flags, number = _HEAD.unpack_from(parts[0])
    if number_of_kind not in _UNPACK:
        raise WireError(f"there is no message of kind {number_of_kind}")
    least, most_parts, read = _UNPACK[number_of_kind]
    if not least <= len(parts) <= most_parts:
        raise WireError(f"a {Kind(number_of_kind).name} has {least} to {most_parts} parts, not {len(parts)}")
    rest = memoryview(parts[0])[_HEAD.size :]
    message: Message = read(_Read(number, flags, rest, parts[1:], most))
    return message


class _Read:
    """A message that is being read: what is left of its first part, and the others."""

    def __init__(self, number: int, flags: int, rest: memoryview, others: Sequence[Bytes], most: int) -> None:
        self.number, self.flags, self.rest, self.others, self.most = number, flags, rest, others, most

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Read some fields."""
        if self.rest.nbytes < layout.size:
            raise WireError("a message ends early")
        fields = layout.unpack_from(self.rest)
        self.rest = self.rest[layout.size :]
        return fields

    def end(self) -> None:
        """See that nothing is left."""
        if self.rest.nbytes:
            raise WireError(f"a message has {self.rest.nbytes} bytes too many")

    def body(self) -> dict[str, Any]:
        """Read the JSON."""
        text = memoryview(self.others[0])
        if text.nbytes > BODY:
            raise WireError(f"a message has {text.nbytes} bytes of JSON, and may have {BODY}")
        try:
            found = json.loads(bytes(text))
        except (ValueError, RecursionError) as error:
            raise WireError(f"a message has no JSON where it should: {printable(str(error))[:200]}") from None
        if not isinstance(found, dict):
            raise WireError("a message has something else than a JSON object")
        return found

    def field(self, body: dict[str, Any], name: str, kinds: type | tuple[type, ...]) -> Any:
        """Read a field of the JSON, of the kind that it must have."""
        value = body.get(name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise WireError(f"a message has {printable(repr(value))[:80]} for {name}")
        return value

    def data(self, at: int) -> Bytes | None:
        """Give the part that carries bytes, if it is there."""
        if len(self.others) <= at:
            return None
        if memoryview(self.others[at]).nbytes > self.most:
            raise WireError(f"a message has {memoryview(self.others[at]).nbytes} bytes, and may have {self.most}")
        return self.others[at]

    def array(self, at: int) -> tuple[Layout, int | None, Bytes | None]:
        """Read what is said of an array, and find its pixels."""
        kind, dimensions, place, _, *rest = self.take(_ARRAY)
        shape, (name, size, slot, _) = rest[:4], rest[4:]
        if kind >= len(_TYPES) or not 1 <= dimensions <= 4 or place not in (_INLINE, _SLOT):
            raise WireError(f"a message has an array of type {kind}, {dimensions} dimensions, place {place}")
        pixels = _NAME.fullmatch(name)
        if pixels is None or any(extent != 1 for extent in shape[dimensions:]) or 0 in shape:
            raise WireError(f"a message has an array of the shape {shape}, named {name!r}")
        layout = Layout(dtype=_TYPES[kind], shape=tuple(shape[:dimensions]), pixels=pixels[1].decode())
        if layout.nbytes != size or size > self.most:
            raise WireError(f"an array of {layout.shape} {layout.dtype} cannot have {size} bytes (most: {self.most})")
        data = self.data(at)
        if (data is None) is not (place == _SLOT) or (data is not None and memoryview(data).nbytes != size):
            raise WireError(f"the pixels of an array of {size} bytes are not there, or not as many")
        return layout, (slot if place == _SLOT else None), data


def _read_frame(read: _Read) -> Frame:
    layout, slot, data = read.array(0)
    sequence, captured, pts, above, below, flags, _ = read.take(_STAMP)
    read.end()
    if not below:
        raise WireError("a frame has a time base of nothing")
    stamp = Stamp(captured=captured, pts=None if pts == _NO_PTS else pts, time_base=Fraction(above, below), flags=flags)
    return Frame(number=read.number, sequence=sequence, layout=layout, stamp=stamp, slot=slot, data=data)


def _read_answer(read: _Read) -> Answer:
    body = read.body()
    if not read.rest.nbytes:
        if len(read.others) > 1:
            raise WireError("an answer has pixels and no array")
        return Answer(number=read.number, body=body)
    layout, slot, data = read.array(1)
    read.end()
    return Answer(number=read.number, body=body, layout=layout, slot=slot, data=data)


def _read_ask(read: _Read) -> Ask:
    (descriptors,) = read.take(_COUNT)
    read.end()
    if descriptors > _MOST_DESCRIPTORS:
        raise WireError(f"a request has {descriptors} descriptors, and may have {_MOST_DESCRIPTORS}")
    body = read.body()
    what, inside = read.field(body, "what", str), read.field(body, "body", dict)
    return Ask(number=read.number, what=what, body=inside, data=read.data(1), descriptors=descriptors)


def _read_fault(read: _Read) -> Fault:
    read.end()
    body = read.body()
    name, message, words = (read.field(body, key, str) for key in ("name", "message", "last_words"))
    got = read.field(body, "got", (int, type(None)))
    return Fault(number=read.number, name=name, message=message, last_words=words, got=got)


def _read_open(read: _Read) -> Open:
    read.end()
    body = read.body()
    delivery, options = read.field(body, "delivery", str), read.field(body, "options", dict)
    if delivery not in DELIVERIES:
        raise WireError(f"delivery is one of {', '.join(DELIVERIES)}, not {printable(delivery)[:80]!r}")
    return Open(number=read.number, delivery=delivery, options=options)


def _read_credit(read: _Read) -> Credit:
    (frames,) = read.take(_COUNT)
    read.end()
    if not 0 < frames <= _MOST_CREDIT:
        raise WireError(f"credit for {frames} frames")
    return Credit(number=read.number, frames=frames)


def _read_hello(read: _Read) -> Hello:
    read.end()
    return Hello(number=read.number, facts=read.body())


def _read_ping(read: _Read) -> Ping:
    read.end()
    return Ping(number=read.number, answer=bool(read.flags & 1))


def _read_bye(read: _Read) -> Bye:
    read.end()
    return Bye(number=read.number, reason=read.field(read.body(), "reason", str))


# kind: fewest parts, most parts, how the rest is read
_UNPACK: dict[int, tuple[int, int, Any]] = {
    Kind.HELLO: (2, 2, _read_hello),
    Kind.OPEN: (2, 2, _read_open),
    Kind.CREDIT: (1, 1, _read_credit),
    Kind.FRAME: (1, 2, _read_frame),
    Kind.FAULT: (2, 2, _read_fault),
    Kind.PING: (1, 1, _read_ping),
    Kind.BYE: (2, 2, _read_bye),
    Kind.ASK: (2, 3, _read_ask),
    Kind.ANSWER: (2, 3, _read_answer),
}
