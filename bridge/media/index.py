"""FrameIndex: which frames a film has, when each is shown, and where decoding may start for it. Pure.

Built from a listing of packets, which costs no decode, or of decoded frames where packets do not tell; the
listings themselves come from elsewhere, as does the file that keeps an index between runs.
"""

from __future__ import annotations

import bisect
import hashlib
import heapq
import itertools
import json
import math
import struct
import zlib
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SMALL", "DisplayOrder", "Entry", "FrameIndex", "Packet", "doubtful_beginning", "entries_of", "frame_meta"]

_MAGIC = b"framebridge index 2\n"
_REORDER = 34  # H.264 and HEVC hold back 16 frames at most, which may be 32 fields
_DIGEST = 32
SMALL = 1 << 42  # ticks
_START, _PER_PIXEL, _PER_FRAME = 0.08, 2.2e-9, 1e-4  # seconds that ffmpeg takes, measured with H.264 on one core


class Packet(NamedTuple):
    """One coded packet as a listing has it, or one decoded frame; times in ticks of the stream's clock.

    `position` and `end` are its place in the file, in bytes, up to the stream's next packet. `discard` marks what is
    decoded for others' sake and not shown: before the beginning of an edit list.
    """

    pts: int | None
    dts: int | None = None
    duration: int | None = None
    position: int | None = None
    key: bool = False
    discard: bool = False
    end: int | None = None


class Entry(NamedTuple):
    """A key frame from which decoding may start.

    `following` is the time of the next one, `position` its place in the file in bytes, where these are known.
    """

    pts: int
    following: int | None
    position: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameIndex:
    """The frames of a film in the order in which they are shown.

    Attributes
    ----------
    time_base : fractions.Fraction
        Seconds per tick.
    pts : numpy.ndarray
        int64, presentation time of each frame in ticks.
    durations : numpy.ndarray
        int64, ticks for which each frame is shown.
    keys : numpy.ndarray
        bool, which frames are key frames.
    ends : numpy.ndarray
        int64, where in the file each frame's packet has ended, in bytes; -1 is not known, or the end of the file.
    entries : tuple of Entry
        Where decoding may start besides the beginning, by rising pts.
    ordinal : bool
        The times are no names of frames (missing, equal or falling ones): frames are counted from the beginning.
    cut : bool
        The file begins with frames that do not decode, because what they refer to was cut off.
    troubled : bool
        The program that listed the file met an error.
    pixels : int
        Width times height, as far as the listing tells; else 0.
    """

    time_base: Fraction
    pts: np.ndarray[Any, Any]
    durations: np.ndarray[Any, Any]
    keys: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]
    entries: tuple[Entry, ...] = ()
    ordinal: bool = False
    cut: bool = False
    troubled: bool = False
    pixels: int = 0

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.pts)

    @classmethod
    def from_packets(cls, packets: Sequence[Packet], time_base: Fraction) -> FrameIndex | None:
        """Build it from packets in the order of the file.

        Returns
        -------
        FrameIndex or None
            None where packets do not tell the frames: times are missing, occur twice, or the clock jumps back.
        """
        if any(packet.pts is None for packet in packets) or not _rising([packet.dts for packet in packets]):
            return None
        shown = sorted((p for p in packets if not p.discard), key=_time)
        if any(later.pts < p.pts for p, later in itertools.pairwise(packets)):  # type: ignore[operator] # none is None
            # What a container (MP4) then says is how long until the next is decoded.
            shown = [packet._replace(duration=None) for packet in shown]
        index = cls.from_frames(shown, time_base)
        return None if index.ordinal else replace(index, entries=entries_of(packets))

    @classmethod
    def from_frames(cls, frames: Sequence[Packet], time_base: Fraction, entries: tuple[Entry, ...] = ()) -> FrameIndex:
        """Build it from frames in the order in which they are shown."""
        times = [frame.pts for frame in frames]
        ordinal = any(time is None for time in times) or not _rising(times, strictly=True)
        pts = np.array([0 if time is None else time for time in times], np.int64)
        own = np.array([frame.duration or 0 for frame in frames], np.int64)
        return cls(
            time_base=time_base,
            pts=pts,
            durations=_durations(pts, own),
            keys=np.array([frame.key for frame in frames], np.bool_),
            ends=np.array([-1 if frame.end is None else frame.end for frame in frames], np.int64),
            entries=() if ordinal else entries,
            ordinal=ordinal,
        )

    def starts(self, index: int) -> Iterator[Entry | None]:
        """Give where decoding may start for a frame, the nearest first; None, the beginning, is the last.

        A frame that is shown before a key frame but stored behind it may need what lies before that: so the
        first is the last key frame that is *shown* no later than the frame.
        """
        nearest = self._entry(index)
        step = 0
        while nearest - step > 0:
            yield self.entries[nearest - step]
            step = max(1, 2 * step)
        yield None

    def spoilt(self, came: set[int | None]) -> np.ndarray[Any, Any]:
        """Tell which frames are damaged, by the times of those that a decoder gives that leaves out faulty ones.

        What is decoded behind a faulty frame may refer to it, up to the next key frame; so may what is shown before
        that key frame. The order of decoding is that of the packets in the file.
        """
        missing = np.array([time not in came for time in self.pts.tolist()], np.bool_)
        places = self.ends if (self.ends >= 0).sum() >= len(self) - 1 else np.arange(len(self)) + 1
        places = np.where(places < 0, np.iinfo(np.int64).max, places)
        bad = missing.copy()
        for lost in np.flatnonzero(missing).tolist():
            keys = np.flatnonzero(self.keys & ~missing & (places > places[lost]))
            until = self.pts[keys[0]] if len(keys) else np.iinfo(np.int64).max
            bad |= (places >= places[lost]) & (self.pts < until)
        return bad

    @property
    def small(self) -> bool:
        """Whether its times are far from the largest that there are."""
        return not len(self) or bool(np.abs(self.pts).max() < SMALL)

    @property
    def pardoned(self) -> int:
        """The last frame for which a decoder may complain of what was cut off before the beginning; -1 if nothing was.

        From the second key frame on all is there that is referred to; decoders read some frames ahead.
        """
        if not self.cut:
            return -1
        second = int(np.searchsorted(self.pts, self.entries[1].pts)) if len(self.entries) > 1 else 0
        return second + _REORDER

    @property
    def worth_a_start(self) -> int:
        """How many frames are decoded in the time in which another decoder starts."""
        return int(_START / (_PER_FRAME + _PER_PIXEL * self.pixels))

    def start(self, index: int) -> int:
        """Give the position of the frame at which decoding for a frame starts."""
        nearest = self._entry(index)
        return int(np.searchsorted(self.pts, self.entries[nearest].pts)) if nearest > 0 else 0

    def _entry(self, index: int) -> int:
        return bisect.bisect_right(self.entries, int(self.pts[index]), key=lambda entry: entry.pts) - 1

    def without(self, entry: Entry) -> FrameIndex:
        """Forget a place that was no clean entry."""
        return replace(self, entries=tuple(other for other in self.entries if other != entry))

    def thinned(self, every: int) -> FrameIndex:
        """Take only each so-many-th frame, which is shown until the next of these."""
        ends = np.append(self.pts[every::every], self.pts[-1:] + self.durations[-1:])[: len(self.pts[::every])]
        pts, keys = self.pts[::every], self.keys[::every]
        return replace(self, pts=pts, durations=ends - pts, keys=keys, ends=self.ends[::every])

    def keeping(self, kept: np.ndarray[Any, Any]) -> FrameIndex:
        """Leave out frames that do not decode."""
        arrays = {name: getattr(self, name)[kept] for name in ("pts", "durations", "keys", "ends")}
        return replace(self, **arrays)

    def find(self, pts: int) -> int | None:
        """Give the position of the frame with that time; None if there is none."""
        at = int(np.searchsorted(self.pts, pts))
        return at if at < len(self) and self.pts[at] == pts else None

    @property
    def timestamps(self) -> np.ndarray[Any, Any]:
        """The time of each frame in seconds, float64."""
        return self._seconds(self.pts)

    def at(self, seconds: float) -> int | None:
        """Give the position of the first frame that is on screen at a time; None where there is none."""
        tick = self._tick(seconds)
        found = np.flatnonzero((self.pts <= tick) & (tick < self.pts + np.maximum(1, self.durations)))
        return int(found[0]) if len(found) else None

    def between(self, begin: float, end: float) -> list[int]:
        """Give the positions of the frames whose time is in ``begin <= time < end``."""
        first, last = (self._tick(time, up=True) for time in (begin, end))
        found: list[int] = np.flatnonzero((self.pts >= first) & (self.pts < last)).tolist()
        return found

    def meta(self, index: int) -> dict[str, Any]:
        """Give what is known of one frame; times in seconds."""
        ticks = int(self.durations[index])
        return frame_meta(index, int(self.pts[index]), ticks, self.time_base, key=bool(self.keys[index]))

    def _seconds(self, ticks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return ticks * self.time_base.numerator / self.time_base.denominator

    @property
    def seconds_shown(self) -> np.ndarray[Any, Any]:
        """How long each frame is shown in seconds, float64."""
        return self._seconds(self.durations)

    def _tick(self, seconds: float, *, up: bool = False) -> int:
        """Turn seconds into a tick; a float that is a rounded tick is that tick, whichever way it was rounded."""
        time = min(max(float(seconds), -1e300), 1e300)
        if math.isnan(time):
            raise ValueError("a time is a number of seconds, not nan")
        exact = Fraction(time) / self.time_base
        nearest = round(exact)
        if abs(exact - nearest) <= max(Fraction(1, 1000), Fraction(math.ulp(time)) / self.time_base):
            return nearest
        return -int(-exact // 1) if up else int(exact // 1)

    # Between runs

    def to_bytes(self, key: str) -> bytes:
        """Give it as bytes that `from_bytes` takes under the same key."""
        head = {
            "key": key,
            "time_base": [self.time_base.numerator, self.time_base.denominator],
            "entries": self.entries,
            "ordinal": self.ordinal,
            "cut": self.cut,
            "troubled": self.troubled,
            "pixels": self.pixels,
            "frames": len(self),
        }
        arrays = (*(array.astype("<i8") for array in (self.pts, self.durations, self.ends)), np.packbits(self.keys))
        text = json.dumps(head).encode()
        body = zlib.compress(struct.pack("<I", len(text)) + text + b"".join(a.tobytes() for a in arrays), 1)
        return _MAGIC + hashlib.blake2b(body, digest_size=_DIGEST).digest() + body

    @classmethod
    def from_bytes(cls, data: bytes, key: str) -> FrameIndex | None:
        """Read what `to_bytes` gave; None if it is damaged, of another kind, or of another file."""
        start = len(_MAGIC) + _DIGEST
        body = data[start:]
        if data[:start] != _MAGIC + hashlib.blake2b(body, digest_size=_DIGEST).digest():
            return None
        try:
            return cls._read(zlib.decompress(body), key)
        except (ValueError, KeyError, TypeError, ArithmeticError, struct.error, zlib.error):
            return None

    @classmethod
    def _read(cls, body: bytes, key: str) -> FrameIndex | None:
        (length,) = struct.unpack_from("<I", body)
        head = json.loads(body[4 : 4 + length])
        if head["key"] != key:
            return None
        frames, rest = int(head["frames"]), body[4 + length :]
        if len(rest) != 24 * frames + (frames + 7) // 8:
            return None
        pts, durations, ends = np.frombuffer(rest, "<i8", 3 * frames).astype(np.int64).reshape(3, frames)
        return cls(
            time_base=Fraction(*head["time_base"]),
            pts=pts,
            durations=durations,
            keys=np.unpackbits(np.frombuffer(rest, np.uint8, -1, 24 * frames), count=frames).astype(np.bool_),
            ends=ends,
            entries=tuple(Entry(*entry) for entry in head["entries"]),
            ordinal=bool(head["ordinal"]),
            cut=bool(head["cut"]),
            troubled=bool(head["troubled"]),
            pixels=int(head["pixels"]),
        )


def frame_meta(index: int, pts: int | None, ticks: int | None, clock: Fraction, *, key: bool) -> dict[str, Any]:
    """Describe a frame; times in seconds, None where they are not known."""
    return {
        "index": index,
        "pts": pts,
        "time": None if pts is None else float(pts * clock),
        "duration": None if ticks is None else float(ticks * clock),
        "key_frame": key,
    }


def entries_of(packets: Iterable[Packet]) -> tuple[Entry, ...]:
    """Give the key frames among packets as places to start, by rising pts."""
    keys = sorted((p for p in packets if p.key and p.pts is not None), key=_time)
    return tuple(
        Entry(_time(p), _time(keys[at]) if at < len(keys) else None, p.position) for at, p in enumerate(keys, 1)
    )


def _time(packet: Packet) -> int:
    return packet.pts or 0


def doubtful_beginning(packets: Sequence[Packet]) -> bool:
    """Tell whether the first packets may not decode: there is no key frame before them.

    So it is where a broadcast was cut: frames of which the references are missing do not come out.
    """
    if not packets or packets[0].pts is None:
        return False
    first = packets[0].pts
    return not packets[0].key or any(p.pts is None or p.pts < first for p in packets[: 2 * _REORDER])


def _rising(values: Sequence[int | None], *, strictly: bool = False) -> bool:
    known = np.array([value for value in values if value is not None], np.int64)
    steps = np.diff(known)
    return bool(np.all(steps > 0 if strictly else steps >= 0))


def _durations(pts: np.ndarray[Any, Any], own: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give how long each frame is shown: until the next, the last for its own duration.

    A packet's own duration is that in the order of decoding where a container (MP4) stores it so.
    """
    if not len(pts):
        return own
    steps = np.diff(pts)
    nominal = len(own) > 2 and len(set(own.tolist())) == 1 and np.ptp(steps) > 1  # of the container, not the frame
    last = (0 if nominal else own[-1]) or (steps[-1] if len(steps) else 0)
    shown = np.append(steps, last)
    return np.where(shown > 0, shown, own)


@dataclass(slots=True)
class DisplayOrder:
    """Puts packets, as they come, into the order in which they are shown.

    Attributes
    ----------
    packets : list of Packet
        All that have come, in the order of the file.
    shown : list of Packet
        Those whose place is certain, in the order of display.
    reliable : bool
        False once a time was missing or came too late: then the order is not known from packets.
    """

    packets: list[Packet] = field(default_factory=list)
    shown: list[Packet] = field(default_factory=list)
    reliable: bool = True
    _last: Packet | None = None
    _waiting: list[tuple[int, int, Packet]] = field(default_factory=list)

    def add(self, packet: Packet) -> None:
        """Take the next packet of the file; it is known in full once the one behind it has come."""
        if self._last is not None:
            self._take(self._last._replace(end=packet.position))
        self._last = packet

    def end(self) -> None:
        """Hear that there are no more."""
        if self._last is not None:
            self._take(self._last)
            self._last = None
        while self._waiting:
            self._show()

    def _take(self, packet: Packet) -> None:
        self.packets.append(packet)
        if packet.discard or not self.reliable:
            return
        if packet.pts is None or (self.shown and packet.pts <= (self.shown[-1].pts or 0)):
            self.reliable = False
            return
        heapq.heappush(self._waiting, (packet.pts, len(self.packets), packet))
        if len(self._waiting) > _REORDER:
            self._show()

    def _show(self) -> None:
        packet = heapq.heappop(self._waiting)[-1]
        if self.shown and packet.pts == self.shown[-1].pts:
            self.reliable = False
        self.shown.append(packet)
