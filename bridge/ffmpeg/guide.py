"""Guide: what is known of a film's frames while it is read, and the index that is kept of it between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.ffmpeg import memory
from bridge.ffmpeg.listing import Film, Listing, build
from bridge.media.index import Entry, FrameIndex, Packet, frame_meta
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

__all__ = ["Guide"]


class Guide:
    """What is known of the frames of a film: all by its index, or as much as a listing has told so far.

    Reading from the beginning needs only the latter, so the first frame of a long film does not wait for the last.

    Parameters
    ----------
    film : Film
        Which film.
    """

    def __init__(self, film: Film) -> None:
        self._film = film
        self._index: FrameIndex | None = None
        self._listing: Listing | None = None
        self._looked = False
        self._key: str | None = None

    def whole(self) -> FrameIndex:
        """Give the index of the whole film: of an earlier run, or made now."""
        self._look()
        if self._index is None:
            listing = self._listing or Listing(self._film)
            try:
                self._index = build(listing)
            finally:
                self.close()
            _save(self._film, self._index, self._key)
        return self._index

    def start(self) -> None:
        """Begin to list, if nothing is known yet, beside what else is done."""
        if self._look() is None:
            self._list()

    def small(self) -> bool:
        """Tell whether the times, as far as they are known, are far from the largest there are."""
        index = self._look()
        return index is None or index.small

    def confirms(self, position: int, time: int | None) -> bool:
        """Tell whether the listing has that frame at that time; the index is not asked, nor made."""
        if self._look() is not None:
            return False
        listing = self._list()
        packet = listing.shown(position)
        return packet.pts == time if packet else position == 0 and not listing.reliable

    def meta(self, position: int, time: int | None, clock: Fraction | None) -> dict[str, Any]:
        """Describe a frame; `time` and `clock` are what came with it, for where nothing else is known yet."""
        if self._look() is not None or clock is None:
            return self.whole().meta(position)
        listing = self._list()
        packet, later = listing.shown(position), listing.shown(position + 1)
        packet = packet or listing.first() or Packet(time)
        ticks = later.pts - time if later and later.pts is not None and time is not None else packet.duration
        return frame_meta(position, time, ticks, clock, key=packet.key)

    def extent(self, position: int) -> tuple[int, int]:
        """Give the bytes of the file that a frame is decoded from, from its nearest entry to its own end."""
        size = self._film.request.size
        if self._look() is None:
            packet = self._list().shown(position)
            return 0, packet.end or size if packet else size
        index = self.whole()
        entry, end = next(index.starts(position)), int(index.ends[position])
        return (entry.position or 0 if entry else 0), size if end < 0 else end

    @property
    def somewhere(self) -> int | None:
        """Where some packet of the film is in the file; None if it is not known."""
        if self._look() is None:
            packet = self._list().first()
            return packet.position if packet else None
        return next((entry.position for entry in self.whole().entries), None)

    def forget(self, entries: Sequence[Entry]) -> None:
        """Remember which places were no clean entries."""
        if entries:
            index = self.whole()
            for entry in entries:
                index = index.without(entry)
            self._index = index
            _save(self._film, index, self._key)

    def close(self) -> None:
        """Stop listing."""
        if self._listing is not None:
            self._listing.close()
            self._listing = None

    def _look(self) -> FrameIndex | None:
        """Give the index if it is known, here or from an earlier run."""
        if not self._looked:
            self._looked = True
            self._key = _key(self._film)
            self._index = _load(self._key)
        return self._index

    def _list(self) -> Listing:
        if self._listing is None:
            self._listing = Listing(self._film)
        return self._listing


# Between runs


def _key(film: Film) -> str | None:
    program = toolbox().get("ffprobe") or toolbox().find("ffmpeg")
    return memory.identity(film.request, film.demuxer, film.stream, program)


def _load(key: str | None) -> FrameIndex | None:
    """Give the index that an earlier run has left of a file; None if there is none that can be believed."""
    content = memory.recall("index", key)
    return None if content is None or key is None else FrameIndex.from_bytes(content, key)


def _save(film: Film, index: FrameIndex, key: str | None) -> None:
    """Keep the index for later runs, unless the file has changed meanwhile."""
    if key is not None and _key(film) == key:
        memory.keep("index", key, index.to_bytes(key))
