"""Many frames at once: each stretch of a film decoded once, several stretches side by side."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import CorruptMedia, TruncatedMedia, UnsupportedPixels
from bridge.ffmpeg.argv import FILM
from bridge.ffmpeg.decoder import Decoder, Order, only
from bridge.media.avc import AvcTrack, avc_track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bridge.ffmpeg.listing import Film
    from bridge.media.framing import FrameHead
    from bridge.media.index import FrameIndex

__all__ = ["fetch", "pieces", "stretches", "track_of"]

_MOST = 400  # frames of one child: the filter that picks them looks at each one's time
_WORKERS = 4


def stretches(index: FrameIndex, positions: Sequence[int]) -> list[list[int]]:
    """Group positions, which rise, by what is decoded in one go."""
    found: list[list[int]] = []
    vain = index.worth_a_start
    for position in positions:
        if found and len(found[-1]) < _MOST and index.start(position) <= found[-1][-1] + vain:
            found[-1].append(position)
        else:
            found.append([position])
    return found


def pieces(
    index: FrameIndex, groups: Sequence[Sequence[int]], workers: int, work: Callable[[Sequence[int]], int]
) -> list[list[int]]:
    """Divide groups of positions, which rise, so that some decoders have equal work; the longest comes first.

    A piece begins at a place where decoding may start, behind the piece before it: dividing makes no more to decode.
    """
    found = []
    share = max(2 * index.worth_a_start, sum(map(work, groups)) // (4 * workers))
    for group in groups:
        piece = [group[0]]
        for position in group[1:]:
            if index.start(position) > piece[-1] and work(piece) >= share:
                found.append(piece)
                piece = []
            piece.append(position)
        found.append(piece)
    return sorted(found, key=work, reverse=True)


def fetch(
    order: Order,
    index: FrameIndex,
    wanted: Sequence[int],
    one: Callable[[int], np.ndarray[Any, Any]],
    track: AvcTrack | None = None,
) -> np.ndarray[Any, Any]:
    """Read frames in any order.

    Parameters
    ----------
    order : Order
        What to decode, and to what.
    index : FrameIndex
        Of the film.
    wanted : sequence of int
        Positions, not negative and not behind the end; any may occur more than once.
    one : callable
        Reads a single frame with all care, for those that did not come as they should.
    track : AvcTrack or None
        The film's packets, where they are known one by one; `order` then says how colours are coded.

    Returns
    -------
    numpy.ndarray
        ``(n, height, width, channels)``, in the order of `wanted`.
    """
    memory = _Memory(order, wanted)
    cores = os.cpu_count() or 1
    positions = sorted(set(wanted))
    if track is None:
        apart = stretches(index, positions)
        groups = pieces(index, apart, min(cores, _WORKERS), lambda group: group[-1] - index.start(group[0]) + 1)
    else:  # what lies between stretches is not decoded, however far it is
        groups = pieces(index, [positions], min(cores, _WORKERS), lambda group: len(track.needed(group)))
    workers = min(len(groups), cores, _WORKERS)
    threads = None if workers == 1 else max(1, cores // workers)
    crew = _Crew(order, index, memory, threads, track)
    with ThreadPoolExecutor(workers, thread_name_prefix="framebridge-batch") as pool:
        try:
            missed = [position for late in pool.map(crew.run, groups) for position in late]
        except BaseException:
            crew.stop()
            raise
    for position in missed:
        memory.put(position, one(position))
    return memory.result()


def track_of(film: Film, index: FrameIndex) -> AvcTrack | None:
    """Find the packets of a film one by one; None where they are not told."""
    request = film.request
    if request.kind != "mp4" or film.stream != FILM or not hasattr(os, "memfd_create"):
        return None
    return avc_track(request.read_at, request.size, index)


class _Memory:
    """Room for the frames in the order in which they are wanted, made when the first one tells how large they are."""

    def __init__(self, order: Order, wanted: Sequence[int]) -> None:
        self._order = order
        self._wanted = wanted
        self._slots = {position: slot for slot, position in enumerate(dict.fromkeys(wanted))}
        self._lock = threading.Lock()
        self._block: np.ndarray[Any, Any] | None = None
        self._frames: dict[int, np.ndarray[Any, Any]] = {}

    def room(self, position: int, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give memory for a frame shaped as `like`."""
        with self._lock:
            if self._block is None:
                self._block = np.empty((len(self._slots), *like.shape), like.dtype)
        self._check(like.shape, self._block.shape[1:])
        room: np.ndarray[Any, Any] = self._block[self._slots[position]]
        self._frames[position] = self._order.pixels.view(room)
        return room

    def put(self, position: int, frame: np.ndarray[Any, Any]) -> None:
        """Take a frame that was read elsewhere."""
        self._frames[position] = frame

    def result(self) -> np.ndarray[Any, Any]:
        """Give all frames in one array."""
        frames = [self._frames[position] for position in self._wanted]
        for frame in frames:
            self._check(frame.shape, frames[0].shape)
        block = self._block
        if (
            block is not None
            and len(frames) == len(block)
            and all(frame.base is block and frame.shape == block.shape[1:] for frame in frames)
        ):
            return block
        return np.stack(frames)

    def _check(self, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
        if shape != first:
            raise UnsupportedPixels(
                f"{self._order.film.request.name}: frames of {shape} and of {first} do not fit one array; "
                "read them one by one, or with size="
            )


class _Crew:
    """Those who decode side by side."""

    def __init__(
        self, order: Order, index: FrameIndex, memory: _Memory, threads: int | None, track: AvcTrack | None
    ) -> None:
        self._track = track
        self._order = order
        self._index = index
        self._memory = memory
        self._threads = threads
        self._running: set[Decoder] = set()
        self._stopped = False

    def run(self, positions: list[int]) -> list[int]:
        """Decode one stretch; give what did not come as it should."""
        if self._stopped:
            return positions
        with self._packets(positions) as packets:
            entry = next(self._index.starts(positions[0])) if packets is None else None
            seek = replace(only(self._index, positions, entry, self._threads), shifted=self._index.small)
            decoder = Decoder(self._order, seek, position=positions[0], frames=len(positions), packets=packets)
        self._running.add(decoder)
        try:
            return self._read(decoder, positions)
        finally:
            self._running.discard(decoder)
            decoder.close()

    @contextlib.contextmanager
    def _packets(self, positions: list[int]) -> Iterator[int | None]:
        """Give what must be decoded as a film of its own, in memory; None where that is not known."""
        film = self._track.stream(positions) if self._track else None
        if film is None:
            yield None
            return
        with open(os.memfd_create("framebridge-packets"), "wb") as memory:  # noqa: PTH123 - a descriptor
            memory.writelines(film)
            memory.seek(0)
            yield memory.fileno()

    def _read(self, decoder: Decoder, positions: list[int]) -> list[int]:
        for at, position in enumerate(positions):
            decoder.position = position
            try:
                head = decoder.head()
                if head is None or not self._is(decoder, head, position):
                    return positions[at:]
                decoder.frame(head, self._memory.room(position, decoder.memory(head)))
            except (TruncatedMedia, CorruptMedia):
                return positions[at:]
        return positions if decoder.complains() else []

    def _is(self, decoder: Decoder, head: FrameHead, position: int) -> bool:
        return bool(decoder.tick_of(head, self._index.time_base) == self._index.pts[position])

    def stop(self) -> None:
        """End all decoders; whoever waits for one meets its end."""
        self._stopped = True
        for decoder in list(self._running):
            decoder.close()
