"""Live: an ffmpeg that captures, its frames one after the other, and what its end means for the device."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from typing import TYPE_CHECKING

from bridge.capture.listings import running
from bridge.errors import (
    BridgeError,
    CorruptMedia,
    DeviceBusy,
    DeviceLost,
    DeviceMissing,
    ForbiddenUri,
    ToolFailed,
    ToolTimeout,
    TruncatedMedia,
)
from bridge.media.nut import NutFraming
from bridge.process.child import Child, words
from bridge.process.pipes import FrameSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.capture.listings import Running
    from bridge.limits import Limits
    from bridge.media.framing import FrameHead

__all__ = ["Live", "Meter", "captured_at"]

_END = 5.0  # seconds from the end of its frames to that of the program
_OLDEST = 60 * 10**9  # nanoseconds; a time that is farther off is of another clock

# The system's words for why a device could not be opened, which ffmpeg hands on; its exit status does not tell.
_REASONS: tuple[tuple[re.Pattern[str], type[BridgeError], str], ...] = (
    (re.compile("Device or resource busy|already in use|in use by another"), DeviceBusy, "another program has it"),
    (re.compile("Permission denied|ot authorized"), ForbiddenUri, "it may not be opened by this user"),
    (
        re.compile("No such file or directory|No such device|annot open display|Could not find video device"),
        DeviceMissing,
        "there is none",
    ),
)


class Meter:
    """A second output of ffmpeg that takes one small picture for each frame, and only when it is let.

    An ffmpeg of one thread sends a frame, then cannot get rid of the small one, and so does not grab the next frame
    before that is wanted: none is grabbed ahead, to be dropped. From 6.0 on ffmpeg has threads, and more patience.

    Attributes
    ----------
    end : int
        The descriptor that the program writes to.
    """

    SIZE = 4096  # bytes of a small picture, which is all that the pipe holds

    def __init__(self) -> None:
        self._ours, self.end = os.pipe()
        with contextlib.suppress(OSError, AttributeError):  # not Linux: then some frames are grabbed ahead
            fcntl.fcntl(self.end, fcntl.F_SETPIPE_SZ, self.SIZE)
        for descriptor in (self._ours, self.end):
            os.set_blocking(descriptor, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(self.end, bytes(self.SIZE)):
                pass
        os.set_blocking(self.end, True)

    def allow(self) -> None:
        """Let one more frame be grabbed."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._ours, self.SIZE)

    def begun(self) -> None:
        """Leave the other end to the program. Called when that has started."""
        if self.end >= 0:
            os.close(self.end)
            self.end = -1

    def close(self) -> None:
        """Let go of both ends."""
        self.begun()
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1


class Live:
    """A running capture. A context manager; leaving it ends the program.

    Parameters
    ----------
    argv : sequence of str
        The command, as `bridge.capture.argv` makes it.
    subject : str
        The user's name of the device.
    limits : Limits
        Of waits.
    variables : mapping of str to str
        What the program's environment has besides: the display.
    meter : Meter or None
        What lets it grab frames, where the command has an output for that; closed with it.

    Attributes
    ----------
    mode : Running
        What the device really gives, known before the first frame.

    Raises
    ------
    DeviceMissing, DeviceBusy, ForbiddenUri, ToolFailed
        If it gives no first frame.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        subject: str,
        limits: Limits,
        variables: Mapping[str, str] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._subject = subject
        self._meter = meter
        try:
            ends = (meter.end,) if meter else ()
            self._child = Child(argv, subject=subject, variables=variables, pass_fds=ends)
        except BaseException:
            self._shut()
            raise
        if meter:
            meter.begun()
        self._source: FrameSource[FrameHead] = FrameSource(
            self._child, NutFraming(), first=limits.first_frame, stall=limits.stall
        )
        self._owed = 0  # bytes of a frame that is dropped
        self._dropped = memoryview(bytearray())
        try:
            self._head: FrameHead | None = self._begun()
            self.mode = self._told()
        except BaseException:
            self._child.abort()
            self._shut()
            raise

    def _shut(self) -> None:
        if self._meter is not None:
            self._meter.close()

    def _begun(self) -> FrameHead:
        try:
            head = self._source.head()
        except (TruncatedMedia, CorruptMedia):
            head = None
        if head is None:
            raise self._refused()
        return head

    def _told(self) -> Running:
        """Read the mode from what the program says before it sends its first frame."""
        heard = self._child.heard()
        mode = running(heard)
        if mode is None:
            raise ToolFailed(f"{self._subject}: ffmpeg does not tell in which mode it is: {words(heard)}")
        return mode

    def wanted(self) -> None:
        """Let one more frame be grabbed, where that waits for it. Called each time before a new one is waited for.

        What has come by itself, as a frame does while the program starts, is dropped before.

        Raises
        ------
        DeviceLost
            As `next`.
        """
        if self._meter is None or self._head is not None:
            return
        while self._child.sends:
            head = self.next()
            self._drop(head.size - len(head.prefix))
        self._meter.allow()

    def drop_ahead(self) -> None:
        """Read the next frame and drop it, up to an end so large that the program cannot go on to the one after it.

        Then little of it is still to be read when somebody asks for a frame that is newer. Called between two of these.

        Raises
        ------
        DeviceLost
            As `next`.
        """
        if self._owed or self._meter is not None:
            return
        head = self.next()
        left = head.size - len(head.prefix)
        self._owed = min(left, self._child.room)
        self._drop(left - self._owed)

    def _drop(self, count: int) -> None:
        if len(self._dropped) < count:
            self._dropped = memoryview(bytearray(count))
        try:
            self._source.fill_part(self._dropped[:count])
        except (TruncatedMedia, ToolTimeout) as error:
            raise self._lost() from error

    def next(self) -> FrameHead:
        """Wait for the next frame.

        Raises
        ------
        DeviceLost
            If there is none: nobody has asked for the end, whatever the exit status is.
        """
        head, self._head = self._head, None
        if head is not None:
            return head
        owed, self._owed = self._owed, 0
        self._drop(owed)
        try:
            head = self._source.head()
        except (TruncatedMedia, CorruptMedia, ToolTimeout) as error:
            raise self._lost() from error
        if head is None:
            raise self._lost()
        return head

    def fill(self, head: FrameHead, memory: memoryview) -> None:
        """Read the pixels of a frame into memory of exactly its size.

        Raises
        ------
        DeviceLost
            If it does not come whole, or has another size.
        """
        try:
            self._source.fill(head, memory)
        except (TruncatedMedia, ToolTimeout) as error:
            raise self._lost() from error
        except ValueError as error:
            raise DeviceLost(f"{self._subject}: it has changed its size: {error}") from error

    def close(self) -> None:
        """End the program, also while another thread waits for a frame."""
        self._child.abort("closed")
        self._shut()

    @property
    def killed(self) -> bool:
        """Tell whether a signal has ended the program, which says nothing of the device."""
        return self._child.exit is not None and self._child.exit.signal is not None

    def _refused(self) -> BridgeError:
        ended = self._child.wait(_END)
        for sign, kind, meaning in _REASONS:
            if sign.search(ended.stderr):
                said = words(ended.stderr)
                message = f"{self._subject}: {meaning}: {said}"
                return kind(message, command=self._child.argv, exit=ended, last_words=said)
        return self._child.failure(ToolFailed)

    def _lost(self) -> DeviceLost:
        with contextlib.suppress(ToolTimeout):
            self._child.wait(_END)
        ended = self._child.abort()
        said = words(ended.stderr) or "nothing was said"
        frames = self._source.frames
        message = f"{self._subject}: it gives no more frames after {frames} ({ended}): {said}"
        return DeviceLost(message, command=self._child.argv, exit=ended, last_words=said, got=frames)


def captured_at(head: FrameHead) -> int:
    """Give when a frame was captured, in nanoseconds of the monotonic clock; now, where it does not tell."""
    now, wall = time.monotonic_ns(), time.time_ns()
    if head.pts is None or not head.time_base:
        return now
    ago = wall - int(head.pts * head.time_base * 10**9)
    return now - ago if 0 <= ago < _OLDEST else now
