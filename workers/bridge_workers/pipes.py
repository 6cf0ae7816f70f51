"""A feed out of a program's pipe: ffmpeg's frames, read straight into the slots of shared memory."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError, CorruptMedia, TruncatedMedia
from bridge.media.nut import NutFraming
from bridge.media.pixels import pixel_format
from bridge.process.pipes import FrameSource
from bridge.remote.wire import Layout, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.limits import Limits
    from bridge.media.framing import FrameHead
    from bridge.process.child import Child

__all__ = ["NUT", "PipeFeed"]

# What lets ffmpeg say the size and time of each frame before its pixels; the pixel format comes before this.
NUT = ("-c:v", "rawvideo", "-f", "nut", "-write_index", "0", "pipe:1")


class PipeFeed:
    """Frames that a child writes as raw video in NUT.

    Made once the first frame's head has come, so that its size is known, and what failed has said so.

    Parameters
    ----------
    child : Child
        The program; it is the feed's from here on.
    pixels : str
        FFmpeg's name of the pixel format that it was told to write.
    limits : Limits
        How long frames may take.
    endless : bool
        The source has no end of its own, as a camera has none: when it ends that is an error.
    failed : callable
        Makes the error that the child's end means, where it is not simply that of a film.
    description : mapping
        What readers are told besides the size.
    """

    def __init__(
        self,
        child: Child,
        pixels: str,
        *,
        limits: Limits,
        endless: bool = False,
        failed: Callable[[Child], BridgeError] | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> None:
        self._child = child
        self._limits = limits
        self._endless = endless
        self._failed = failed or self._as_of_film
        self._frames = FrameSource(child, NutFraming(), first=limits.first_frame, stall=limits.stall)
        try:
            first = self._first()
            self.layout = _layout(pixels, first)
        except BaseException:
            child.abort()
            raise
        self._head: FrameHead | None = first
        self.description = {**(description or {}), "size": [first.width, first.height]}

    def fill(self, memory: memoryview) -> Stamp | None:
        """Read a frame into memory; None at the end."""
        head = self._head or self._next()
        if head is None:
            self._judge()
            return None
        if head.size != len(memory):
            raise CorruptMedia(f"{self._child.subject}: a frame has {head.size} bytes, those before {len(memory)}")
        self._head = None
        try:
            self._frames.fill(head, memory)
        except TruncatedMedia:
            raise self._failed(self._ended()) from None
        base = head.time_base or Fraction(0)
        return Stamp(captured=time.monotonic_ns(), pts=head.pts, time_base=base)

    def close(self) -> None:
        """End the program."""
        self._child.abort()

    def _first(self) -> FrameHead:
        head = self._next()
        if head is None:
            raise self._failed(self._child)
        return head

    def _next(self) -> FrameHead | None:
        try:
            head = self._frames.head()
        except TruncatedMedia:
            raise self._failed(self._ended()) from None
        if head is None:
            self._ended()
        return head

    def _ended(self) -> Child:
        self._child.wait(self._limits.stall)
        return self._child

    def _judge(self) -> None:
        """Raise what an end means that should not be, or not so."""
        if self._endless or (self._child.exit is not None and not self._child.exit.ok):
            raise self._failed(self._child)

    def _as_of_film(self, child: Child) -> BridgeError:
        kind = TruncatedMedia if self._frames.frames else CorruptMedia
        return child.failure(kind, got=self._frames.frames)


def _layout(pixels: str, head: FrameHead) -> Layout:
    """Tell how a frame lies in memory: as `PixelFormat.empty` would shape it."""
    format_ = pixel_format(pixels)
    if format_.nbytes(head.width, head.height) != head.size:
        raise CorruptMedia(f"a frame of {head.width}x{head.height} {pixels} does not have {head.size} bytes")
    if format_.packed:
        shape = format_.planes[0].shape(head.width, head.height)
    elif not format_.subsampled:
        shape = (len(format_.planes), head.height, head.width)
    else:
        samples = head.size // format_.dtype.itemsize
        shape = (samples // head.width, head.width) if samples % head.width == 0 else (samples,)
    return Layout(dtype=format_.dtype, shape=shape, pixels=format_.name)
