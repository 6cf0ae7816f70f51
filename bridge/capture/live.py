"""Live: an ffmpeg that captures, its frames one after the other, and what its end means for the device."""

from __future__ import annotations

import contextlib
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

__all__ = ["Live", "captured_at"]

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
        self, argv: Sequence[str], *, subject: str, limits: Limits, variables: Mapping[str, str] | None = None
    ) -> None:
        self._subject = subject
        self._child = Child(argv, subject=subject, variables=variables)
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
            raise

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

    def drop_ahead(self) -> None:
        """Read the next frame and drop it, up to an end so large that the program cannot go on to the one after it.

        Then little of it is still to be read when somebody asks for a frame that is newer. Called between two of these.

        Raises
        ------
        DeviceLost
            As `next`.
        """
        if self._owed:
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
