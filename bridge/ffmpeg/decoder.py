"""Decoder: one ffmpeg child that decodes a film from one place on. Knows places and frames; judges nothing."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError, CorruptMedia, TruncatedMedia
from bridge.ffmpeg import argv
from bridge.ffmpeg.free import are_harmless
from bridge.ffmpeg.listing import sizes
from bridge.media.nut import NutFraming
from bridge.media.pixels import memory_of
from bridge.process.child import Child
from bridge.process.isolation import box_for
from bridge.process.pipes import FrameSource

if TYPE_CHECKING:
    import numpy as np

    from bridge.ffmpeg.listing import Film
    from bridge.media.framing import FrameHead
    from bridge.media.index import Entry, FrameIndex
    from bridge.media.pixels import PixelFormat
    from bridge.process.child import Exit
    from bridge.process.tools import Tool

__all__ = ["Decoder", "Order", "only", "since"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What every decoder of one reader has in common.

    Attributes
    ----------
    film : Film
        What is decoded.
    tool : Tool
        The ffmpeg that does it.
    pixels : PixelFormat
        What the frames shall be.
    wish : Wish
        What the user wants otherwise.
    """

    film: Film
    tool: Tool
    pixels: PixelFormat
    wish: argv.Wish

    @functools.cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each frame, found by decoding once more; asked for where they change midway."""
        return sizes(self.film)


class Decoder:
    """Decodes frames in the order in which they are shown; the times in an index that is ordinal are of no use to it.

    Parameters
    ----------
    order : Order
        What to decode, and to what.
    seek : Seek
        Where to begin, which frames to give.
    position : int
        Number of the first frame that will come, counted from the beginning of the film.
    frames : int or None
        Stop after that many.
    packets : int or None
        Descriptor of a film in NUT that has those packets that are needed, and is decoded in the place of the whole.
    """

    def __init__(
        self,
        order: Order,
        seek: argv.Seek = argv.BEGINNING,
        *,
        position: int = 0,
        frames: int | None = None,
        packets: int | None = None,
    ) -> None:
        self.position = position
        self.sought = seek.time is not None
        self._pardoned = 0
        self._head: FrameHead | None = None  # of the frame that comes next, once it was waited for
        self._order = order
        self._shifted = seek.shifted
        limits = order.film.request.limits
        arguments = argv.decode(
            order.tool.release,
            order.film.demuxer if packets is None else "nut",
            order.pixels,
            stream=order.film.stream,
            frames=frames,
            wish=order.wish,
            max_pixels=limits.pixels,
            threads=1 if limits.trust == "untrusted" else None,  # each takes address space of its own
            seek=seek,
            name=argv.INPUT if packets is None else argv.PIPE,
        )
        whole = order.film.request.input() if packets is None else contextlib.nullcontext(packets)
        with whole as descriptor:
            child = Child(
                (order.tool.path, *arguments),
                subject=order.film.request.name,
                box=box_for(limits, "film", sealed=are_harmless(order.wish.before, order.wish.after)),
                stdin=descriptor,
            )
        self._source: FrameSource[FrameHead] = FrameSource(
            child, NutFraming(), first=limits.first_frame, stall=limits.stall
        )

    @property
    def child(self) -> Child:
        """The ffmpeg."""
        return self._source.child

    @property
    def frames(self) -> int:
        """How many whole frames have come."""
        return self._source.frames

    def head(self) -> FrameHead | None:
        """Wait for the next frame, which `frame` then reads; None at the end."""
        if self._head is None:
            try:
                self._head = self._source.head()
            except TruncatedMedia:
                raise self.failure() from None
        return self._head

    def complains(self) -> bool:
        """Tell whether the decoder has met an error, other than those that were pardoned."""
        return self.child.said() > self._pardoned

    def pardon(self) -> None:
        """Forget the errors that it has met so far."""
        self._pardoned = self.child.said()

    def time_of(self, head: FrameHead) -> int | None:
        """Give the time of a frame in ticks of `clock_of`."""
        if head.pts is None or not self._shifted:
            return head.pts
        ticks, rest = divmod(head.pts, self._finer(head))
        return None if rest else ticks - argv.SHIFT

    def clock_of(self, head: FrameHead) -> Fraction | None:
        """Give the seconds per tick: the film's own, unless its times are too large to be shifted."""
        return head.time_base and head.time_base * self._finer(head)

    def _finer(self, head: FrameHead) -> int:
        """Tell how many ticks of NUT, which likes many, are one of the film: by how far the shift has come."""
        return max(1, round((head.pts or 0) / argv.SHIFT)) if self._shifted else 1

    def tick_of(self, head: FrameHead, time_base: Fraction) -> int | None:
        """Give the time of a frame in ticks of another clock; None if it is none of these."""
        time, clock = self.time_of(head), self.clock_of(head)
        if time is None or clock is None:
            return None
        ticks = time * clock / time_base
        return int(ticks) if ticks.denominator == 1 else None

    def frame(self, head: FrameHead, into: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """Read the pixels that belong to a head, into memory of ours or of the caller's."""
        frame = self.memory(head) if into is None else into
        self._head = None
        try:
            self._source.fill(head, memory_of(frame))
        except TruncatedMedia:
            raise self.failure() from None
        self.position += 1
        return frame

    def failure(self) -> BridgeError:
        """Make the error for a stream that ended where it should not, in ffmpeg's words."""
        self.end()
        name, got = self._order.film.request.name, self.position
        kind = TruncatedMedia if got else CorruptMedia
        error = self.child.failure(kind, got=got)
        after = f" (after {got} whole frames)" if got else ""
        error.message = error.message.replace(argv.INPUT, name) + after
        return error

    def memory(self, head: FrameHead) -> np.ndarray[Any, Any]:
        """Allocate memory for a frame."""
        pixels = self._order.pixels
        width, height = head.width, head.height
        if pixels.nbytes(width, height) != head.size:
            known = self._order.sizes
            width, height = known[self.position] if self.position < len(known) else (width, height)
        if pixels.nbytes(width, height) != head.size:
            raise CorruptMedia(
                f"{self._order.film.request.name}: ffmpeg sent {head.size} bytes for a frame of {width}x{height} "
                f"{pixels.name}, which takes {pixels.nbytes(width, height)}"
            )
        return pixels.empty(width, height)

    def end(self) -> Exit:
        """Wait for the end of the child, after the last frame."""
        return self.child.wait(self._order.film.request.limits.stall)

    def close(self) -> None:
        """Stop it, wherever it is."""
        self.child.abort()


def since(index: FrameIndex, position: int, entry: Entry | None) -> argv.Seek:
    """Give the frames from a position on, decoding from an entry, or from the beginning."""
    return _seek(index, entry, f"gte(pts,{int(index.pts[position])})" if position else "")


def only(index: FrameIndex, positions: list[int], entry: Entry | None, threads: int | None) -> argv.Seek:
    """Give just the frames at some positions, which rise."""
    named = [int(index.pts[position]) for position in positions]
    runs: list[list[int]] = []
    for at, position in enumerate(positions):
        if at and position == positions[at - 1] + 1:
            runs[-1][1] = named[at]
        else:
            runs.append([named[at], named[at]])
    return _seek(index, entry, argv.any_of(runs), threads=threads)


def _seek(index: FrameIndex, entry: Entry | None, select: str, *, threads: int | None = None) -> argv.Seek:
    if entry is None:
        return argv.Seek(select=select, threads=threads)
    tick = index.time_base
    return argv.Seek(
        time=entry.pts * tick,
        at_most=None if entry.following is None else (entry.following - Fraction(3, 4)) * tick,
        position=entry.position,
        select=select,
        threads=threads,
    )
