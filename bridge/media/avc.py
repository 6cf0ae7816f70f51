"""Which coded pictures of an H.264 film in MP4 must be decoded for some of its frames. Pure.

Every second picture or more is one that no other refers to (`nal_ref_idc` 0): unless it is wanted itself, decoding
it is in vain. FFmpeg can leave out all of these or none, so the others are put into a stream of their own.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.media.mp4 import boxes, find_box
from bridge.media.nut import NutStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bridge.media.head import ReadAt
    from bridge.media.index import FrameIndex

__all__ = ["AvcTrack", "avc_track"]

_IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_PLAIN = {b"avcC", b"pasp", b"btrt", b"colr"}  # boxes that change nothing in what a decoder gives, but for colours
_MOST_BYTES = 1 << 28  # of one stream
_DEEPEST_REORDERING = 16


class AvcTrack:
    """The samples of one track in the order of decoding, and the frames of an index that they are.

    Parameters
    ----------
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes of the file.
    index : FrameIndex
        Its frames are these samples, one each.
    config : bytes
        What the box ``avcC`` holds.
    size : tuple of int
        Width and height.
    places, lengths : numpy.ndarray
        int64, where each sample is in the file, and its bytes.
    order : numpy.ndarray
        int64, which sample each frame of the index is.
    """

    def __init__(
        self,
        read_at: ReadAt,
        index: FrameIndex,
        *,
        config: bytes,
        size: tuple[int, int],
        places: np.ndarray[Any, Any],
        lengths: np.ndarray[Any, Any],
        order: np.ndarray[Any, Any],
    ) -> None:
        self._read_at = read_at
        self._index = index
        self._places = places
        self._lengths = lengths
        self._order = order
        self._frames = np.argsort(order)
        self._spares: dict[int, bool] = {}
        late = int(np.max(order - np.arange(len(order)), initial=0))
        delay = min(_DEEPEST_REORDERING, max(0, late))
        self._nut = NutStream(b"H264", *size, index.time_base, config=config, decode_delay=delay)

    def needed(self, positions: Sequence[int]) -> list[int]:
        """Give the samples that must be decoded for some frames, which rise, in the order of decoding."""
        wanted = set(self._order[list(positions)].tolist())
        last: dict[int, int] = {}  # the first sample of each group of pictures, and the last that is wanted of it
        for position in positions:
            begin, end = self._order[[self._index.start(position), position]].tolist()
            last[begin] = max(last.get(begin, end), end)
        groups = (range(begin, end + 1) for begin, end in sorted(last.items()))
        return [sample for group in groups for sample in group if sample in wanted or not self._spare(sample)]

    def _spare(self, sample: int) -> bool:
        """Tell whether no other picture refers to this one; False where that is not clear."""
        known = self._spares.get(sample)
        if known is None:
            known = self._spares[sample] = self._looks_spare(sample)
        return known

    def _looks_spare(self, sample: int) -> bool:
        heads = self._units(sample)
        kinds = {head & 0x1F for head in heads}
        pictures = [head for head in heads if head & 0x1F in _SLICES]
        return bool(pictures) and kinds <= _KNOWN and not any(head & 0x60 for head in pictures)

    def closed(self) -> bool:
        """Tell whether nothing behind a key frame refers to what is before it."""
        return all(_IDR in {head & 0x1F for head in self._units(int(n))} for n in self._order[self._index.keys])

    def _units(self, sample: int) -> list[int]:
        """Give the first byte of each unit of a sample, ISO/IEC 14496-10, 7.3.1; nothing if they do not fill it."""
        at, end = int(self._places[sample]), int(self._places[sample] + self._lengths[sample])
        found: list[int] = []
        while at < end and len(found) < _MOST_UNITS:
            head = self._read_at(at, 5)
            found += head[4:]
            at += 4 + int.from_bytes(head[:4], "big")
        return found if at == end else []

    def stream(self, positions: Sequence[int]) -> Iterator[bytes] | None:
        """Give a film in NUT of what must be decoded for some frames, which rise; None if that would be very large."""
        samples = self.needed(positions)
        if int(self._lengths[samples].sum()) > _MOST_BYTES:
            return None
        return self._written(samples)

    def _written(self, samples: Iterable[int]) -> Iterator[bytes]:
        yield self._nut.begin()
        for sample in samples:
            frame, length = int(self._frames[sample]), int(self._lengths[sample])
            yield self._nut.before(int(self._index.pts[frame]), length, key=bool(self._index.keys[frame]))
            yield self._read_at(int(self._places[sample]), length)


_MOST_UNITS = 4096
_IDR = 5
_SLICES = {1, 2, 3, 4, _IDR}
_KNOWN = _SLICES | {6, 9, 12}  # supplemental information, delimiters and filling


def avc_track(read_at: ReadAt, size: int, index: FrameIndex) -> AvcTrack | None:
    """Find the track that an index is of; None if it is not plain H.264 of closed groups of pictures, or not told.

    Parameters
    ----------
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    size : int
        Bytes of the file.
    index : FrameIndex
        Of the first film in it.
    """
    try:
        return _found(read_at, size, index)
    except (struct.error, ValueError, IndexError):
        return None


def _found(read_at: ReadAt, size: int, index: FrameIndex) -> AvcTrack | None:
    movie = find_box(read_at, (0, size), b"moov")
    if movie is None or find_box(read_at, movie, b"mvex") is not None or index.ordinal or not len(index):
        return None
    track, media = next(_films(read_at, movie), (None, None))
    header = track and find_box(read_at, track, b"tkhd")
    tables = media and _inside(read_at, media, b"minf", b"stbl")
    described = tables and _description(read_at, tables)
    clock = media and find_box(read_at, media, b"mdhd")
    if not (header and tables and described and clock):
        return None
    wide = read_at(header[0], 1) == b"\1"
    if read_at(header[0] + (52 if wide else 40), 36) != _IDENTITY:
        return None
    wide = read_at(clock[0], 1) == b"\1"
    (ticks,) = struct.unpack(">I", read_at(clock[0] + (20 if wide else 12), 4))
    lengths = _lengths(read_at, tables)
    shown = _shown(read_at, tables, len(lengths))
    order = np.argsort(shown, kind="stable")
    same = len(lengths) == len(index) and ticks * index.time_base == 1 and int(index.pts[0]) >= 0
    if not same or len(set((shown[order] - index.pts).tolist())) != 1:
        return None
    config, frame = described
    places = _places(read_at, tables, lengths)
    if places.min() < 0 or (places + lengths).max() > size:
        return None
    found = AvcTrack(read_at, index, config=config, size=frame, places=places, lengths=lengths, order=order)
    return found if found.closed() else None


def _films(read_at: ReadAt, movie: tuple[int, int]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for track in boxes(read_at, movie, b"trak"):
        media = find_box(read_at, track, b"mdia")
        handler = media and find_box(read_at, media, b"hdlr")
        if media and handler and read_at(handler[0] + 8, 4) == b"vide":
            yield track, media


def _inside(read_at: ReadAt, place: tuple[int, int], *names: bytes) -> tuple[int, int] | None:
    found: tuple[int, int] | None = place
    for name in names:
        found = found and find_box(read_at, found, name)
    return found


def _description(read_at: ReadAt, tables: tuple[int, int]) -> tuple[bytes, tuple[int, int]] | None:
    """Give the decoder's configuration and the size of the pictures, of a track that has but one of each."""
    place = find_box(read_at, tables, b"stsd")
    if place is None or read_at(place[0] + 4, 4) != b"\0\0\0\1":
        return None
    entry = find_box(read_at, (place[0] + 8, place[1]), b"avc1")
    if entry is None:
        return None
    inside = entry[0] + 78, entry[1]
    config = find_box(read_at, inside, b"avcC")
    if config is None or not _names(read_at, inside) <= _PLAIN:
        return None
    data = read_at(config[0], config[1] - config[0])
    width, height = struct.unpack(">2H", read_at(entry[0] + 24, 4))
    return (data, (width, height)) if data[4] & 3 == 3 else None  # lengths of four bytes


def _names(read_at: ReadAt, inside: tuple[int, int]) -> set[bytes]:
    at, end = inside
    found = set()
    while at + 8 <= end:
        length, name = struct.unpack(">I4s", read_at(at, 8))
        found.add(name)
        if length < 8:
            break
        at += length
    return found


def _table(
    read_at: ReadAt, tables: tuple[int, int], name: bytes, columns: int, kind: str = ">i4"
) -> np.ndarray[Any, Any]:
    """Read a table: version and flags, the number of rows, the rows."""
    place = find_box(read_at, tables, name)
    if place is None:
        raise ValueError(f"no table {name!r}")
    (rows,) = struct.unpack(">I", read_at(place[0] + 4, 4))
    wide = np.dtype(kind).itemsize * columns
    if rows * wide > place[1] - place[0] - 8:
        raise ValueError(f"a table {name!r} that is cut")
    return np.frombuffer(read_at(place[0] + 8, rows * wide), kind).reshape(rows, columns).astype(np.int64)


def _lengths(read_at: ReadAt, tables: tuple[int, int]) -> np.ndarray[Any, Any]:
    place = find_box(read_at, tables, b"stsz")
    if place is None:
        raise ValueError("no sizes")
    same, count = struct.unpack(">II", read_at(place[0] + 4, 8))
    if same or count * 4 > place[1] - place[0] - 12:
        raise ValueError("sizes of another kind")
    return np.frombuffer(read_at(place[0] + 12, 4 * count), ">u4").astype(np.int64)


def _shown(read_at: ReadAt, tables: tuple[int, int], count: int) -> np.ndarray[Any, Any]:
    """Give the time at which each sample is shown, in ticks of the track, before any edit list."""
    steps = _each(_table(read_at, tables, b"stts", 2), count)
    decoded: np.ndarray[Any, Any] = np.cumsum(steps) - steps
    if find_box(read_at, tables, b"ctts") is None:
        return decoded
    decoded += _each(_table(read_at, tables, b"ctts", 2), count)
    return decoded


def _each(runs: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Write out runs, rows of a number and a value, that are `count` in all."""
    if runs[:, 0].sum() != count or (runs[:, 0] < 0).any():
        raise ValueError("a table of another length")
    written: np.ndarray[Any, Any] = np.repeat(runs[:, 1], runs[:, 0])
    return written


def _places(read_at: ReadAt, tables: tuple[int, int], lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give where each sample is: chunks have places, and samples follow each other inside one."""
    wide = find_box(read_at, tables, b"stco") is None
    chunks = (_table(read_at, tables, b"co64", 1, ">i8") if wide else _table(read_at, tables, b"stco", 1, ">u4"))[:, 0]
    runs = _table(read_at, tables, b"stsc", 3)
    repeated = np.diff(np.append(runs[:, 0] - 1, len(chunks)))
    each = _each(np.column_stack([repeated, runs[:, 1]]), len(chunks))  # samples of each chunk
    first = np.cumsum(each) - each
    before = np.cumsum(lengths) - lengths
    shift = _each(np.column_stack([each, chunks - before[np.minimum(first, len(lengths) - 1)]]), len(lengths))
    places: np.ndarray[Any, Any] = before + shift
    return places
