"""CodedFeed: the frames of another feed, compressed by ffmpeg before they are sent."""

from __future__ import annotations

import socket
import threading
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from bridge.errors import BridgeError, Closed, LimitExceeded, ToolFailed, TruncatedMedia
from bridge.limits import in_force
from bridge.media.nut import NutFraming
from bridge.process.child import Child
from bridge.process.isolation import box_for
from bridge.process.pipes import FrameSource
from bridge.remote.coding import ENCODINGS, encoder_command
from bridge.remote.wire import NEEDS_OTHERS, Layout, Stamp

if TYPE_CHECKING:
    from bridge.media.framing import FrameHead
    from bridge_workers.work import Feed

__all__ = ["ENCODINGS", "CodedFeed"]

_BYTES = np.dtype("u1")
_SPARE = 1 << 16  # bytes; and noise takes more room compressed than raw


class CodedFeed:
    """A feed behind a compressor. A thread carries frames from the one to the other.

    Parameters
    ----------
    feed : Feed
        What is compressed; it is this one's from here on.
    name : str
        How: one of `ENCODINGS`.
    """

    def __init__(self, feed: Feed, name: str) -> None:
        self._feed = feed
        self._encoding = ENCODINGS[name]
        self._stamps: deque[Stamp] = deque()
        self._error: BaseException | None = None
        self._closed = False
        raw = feed.layout
        self.layout = Layout(dtype=_BYTES, shape=(2 * raw.nbytes + _SPARE,))
        try:
            self._child, self._ours = self._started(raw)
        except BaseException:
            feed.close()
            raise
        self._framing = NutFraming()
        limits = in_force()
        self._frames = FrameSource(self._child, self._framing, first=limits.first_frame, stall=limits.stall)
        self._thread = threading.Thread(target=self._carry, name="framebridge-encode", daemon=True)
        self._thread.start()
        try:
            self._head: FrameHead | None = self._next()
        except BaseException:
            self.close()
            raise
        self.description = {
            **feed.description,
            "encode": name,
            "dependent": self._encoding.dependent,
            "config": self._framing.config.hex(),
            "pixels": raw.pixels,
            "shape": raw.shape,
            "dtype": raw.dtype.str,
        }

    def _started(self, raw: Layout) -> tuple[Child, socket.socket]:
        """Start the compressor; give it, and the socket by which frames go to it."""
        width, height = self._feed.description["size"]
        tool, arguments = encoder_command(self._encoding, raw.pixels, (int(width), int(height)))
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                box = box_for(in_force(), "encoder")
                return Child((tool.path, *arguments), subject=str(tool), box=box, stdin=theirs.fileno()), ours
            except BaseException:
                ours.close()
                raise

    def fill(self, memory: memoryview) -> Stamp | None:
        """Wait for a frame, and read it into the beginning of memory; `layout` then tells its size."""
        head = self._head or self._next()
        self._head = None
        if head is None:
            return None
        if head.size > len(memory):
            raise LimitExceeded(f"a compressed frame has {head.size} bytes, more than {len(memory)}")
        self._frames.fill(head, memory[: head.size])
        self.layout = Layout(dtype=_BYTES, shape=(head.size,))
        stamp = self._stamps.popleft()
        flags = stamp.flags | (0 if head.key else NEEDS_OTHERS)
        return Stamp(captured=stamp.captured, pts=stamp.pts, time_base=stamp.time_base, flags=flags)

    def close(self) -> None:
        """End both."""
        self._closed = True
        self._feed.close()
        _end_of(self._ours)
        self._child.abort()

    def _next(self) -> FrameHead | None:
        """Give the head of the next frame; None where the source has ended, whose error is raised."""
        try:
            head = self._frames.head()
        except (TruncatedMedia, Closed):
            head = None
        if head is None and not self._closed:
            self._judge()
        return head

    def _judge(self) -> None:
        end = self._child.wait(in_force().stall)
        if self._error is not None:
            raise self._error
        if not end.ok or self._stamps:
            raise self._child.failure(ToolFailed)

    def _carry(self) -> None:
        """Carry frames to the compressor, in the thread."""
        memory = bytearray(self._feed.layout.nbytes)
        view = memoryview(memory)
        try:
            while (stamp := self._feed.fill(view)) is not None:
                self._stamps.append(stamp)
                self._ours.sendall(view)
        except OSError as error:
            if isinstance(error, BridgeError):
                self._error = error
        except BaseException as error:  # noqa: BLE001 - raised where frames are waited for
            self._error = error
        finally:
            _end_of(self._ours)
            self._ours.close()


def _end_of(end: socket.socket) -> None:
    """Send no more by a socket, whoever waits to."""
    try:
        end.shutdown(socket.SHUT_WR)
    except OSError:
        return
