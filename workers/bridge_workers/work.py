"""What a worker is made of: a source of frames, or an answerer of requests. `serve` runs either; neither knows sockets.

Either is an object with a few methods (a `typing.Protocol`: nothing need be inherited). Errors that they raise out of
`bridge.errors` reach the reader as they are, with their words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Hashable, Mapping

    from bridge.remote.ring import Slot
    from bridge.remote.wire import Layout, Stamp

__all__ = ["Answerer", "Feed", "Reply", "Request", "Source"]


class Feed(Protocol):
    """An open source: a camera that runs, a film that is being decoded."""

    @property
    def layout(self) -> Layout:
        """How each frame lies in memory."""

    @property
    def description(self) -> Mapping[str, Any]:
        """What readers are told of it, as JSON has it: the mode that is really in force, rate, names."""

    def fill(self, memory: memoryview) -> Stamp | None:
        """Wait for a frame and read it into memory of exactly its size; None at the end.

        Called by one thread of its own. What it raises reaches all readers and ends the feed.
        """

    def close(self) -> None:
        """End it. Called once or more, from any thread, also while `fill` waits: that has to end then, anyhow."""


@runtime_checkable
class Source(Protocol):
    """Where frames come from."""

    def describe(self) -> Mapping[str, Any]:
        """Tell what it is, as JSON has it; part of the worker's hello."""

    def share(self, options: Mapping[str, Any]) -> Hashable:
        """Tell by which key readers share a feed, whatever else their options say; None for a feed of one's own."""

    def open(self, options: Mapping[str, Any]) -> Feed:
        """Open it, in a thread of the feed's own; raise what a reader should be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question.

    Attributes
    ----------
    what : str
        What is asked.
    body : mapping
        The rest of the question.
    data : bytes or memoryview
        Bytes that came with it.
    descriptors : tuple of int
        Open files that came with it. They are closed after the answer: duplicate what shall last.
    slot : callable
        Gives memory of some size in the ring, for the array of the answer: a `Slot`, with ``view`` and ``descriptor``.
    forsaken : threading.Event
        Set once nobody waits for the answer any more.
    """

    what: str
    body: Mapping[str, Any]
    data: bytes | memoryview
    descriptors: tuple[int, ...]
    slot: Callable[[int], Slot]
    forsaken: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: words, and an array where `slot` and `layout` tell of one."""

    body: Mapping[str, Any] = field(default_factory=dict)
    layout: Layout | None = None
    slot: Slot | None = None


@runtime_checkable
class Answerer(Protocol):
    """Who answers requests."""

    @property
    def threads(self) -> int:
        """How many requests it takes at a time."""

    def describe(self) -> Mapping[str, Any]:
        """Tell what it is, as JSON has it; part of the worker's hello."""

    def answer(self, request: Request) -> Reply:
        """Answer, in one of several threads; raise what the asker should be told."""

    def close(self) -> None:
        """Let go of everything. Called once, at the end."""
