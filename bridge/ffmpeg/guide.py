"""Guide: what is known of a film's frames while it is read, and the index that is kept of it between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.ffmpeg.listing import Film, Listing, build
from bridge.media.index import Entry, FrameIndex, Packet, frame_meta
from bridge.process.tools import cache_folder, toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

__all__ = ["Guide", "identity", "load", "save"]


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
            save(self._film, self._index, self._key)
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
            save(self._film, index, self._key)

    def close(self) -> None:
        """Stop listing."""
        if self._listing is not None:
            self._listing.close()
            self._listing = None

    def _look(self) -> FrameIndex | None:
        """Give the index if it is known, here or from an earlier run."""
        if not self._looked:
            self._looked = True
            self._key = identity(self._film)
            self._index = load(self._key)
        return self._index

    def _list(self) -> Listing:
        if self._listing is None:
            self._listing = Listing(self._film)
        return self._listing


# Between runs

_ENDS = 1 << 16
_MOST = 1000  # files that are kept


def identity(film: Film) -> str | None:
    """Name the content of a file: its place, size and time, and what its ends hold; None for what has no place."""
    request = film.request
    if request.path is None:
        return None
    with request.input() as descriptor:
        facts = os.fstat(descriptor)
    ends = hashlib.blake2b(request.read_at(0, _ENDS), digest_size=16)
    ends.update(request.read_at(max(0, facts.st_size - _ENDS), _ENDS))
    program = toolbox().get("ffprobe") or toolbox().find("ffmpeg")
    of_file = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, ends.hexdigest())
    return "|".join(map(str, (*of_file, film.demuxer, film.stream, program)))


def _place(key: str) -> Path:
    return cache_folder() / "index" / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def load(key: str | None) -> FrameIndex | None:
    """Give the index that an earlier run has left of a file; None if there is none that can be believed."""
    if key is None:
        return None
    place = _place(key)
    try:
        return FrameIndex.from_bytes(place.read_bytes(), key) if place.is_file() else None
    except OSError:
        return None


def save(film: Film, index: FrameIndex, key: str | None) -> None:
    """Keep the index for later runs, unless the file has changed meanwhile; that this fails is no error."""
    if key is None or identity(film) != key:
        return
    place = _place(key)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".index-", dir=place.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(index.to_bytes(key))
            Path(name).replace(place)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _forget_the_oldest(place.parent)


def _forget_the_oldest(folder: Path) -> None:
    files = list(folder.iterdir())
    if len(files) > _MOST:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: len(files) - _MOST // 2]:
            file.unlink(missing_ok=True)
