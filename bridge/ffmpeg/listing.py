"""Listing: the packets or frames of a film, as a program lists them, and the FrameIndex that they make."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter, deque
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from bridge.errors import CorruptMedia
from bridge.ffmpeg import argv
from bridge.ffmpeg.probe import media_info
from bridge.media.index import (
    DisplayOrder,
    FrameIndex,
    Packet,
    doubtful_beginning,
    entries_of,
)
from bridge.media.info import maybe_in_fields
from bridge.media.pixels import pixel_format
from bridge.process.child import Child, words
from bridge.process.isolation import box_for
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.core.request import Request

__all__ = ["Film", "Listing", "build", "count", "decodes", "faultless", "sizes"]

_CHUNK = 1 << 16
_GRAY, _TINY = pixel_format("gray"), argv.Wish(size=(16, 16))
_HEAD = 68  # frames by which a doubtful beginning shows what comes out


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One video stream of one request: what to list."""

    request: Request
    demuxer: str | None
    stream: str = argv.FILM

    @property
    def number(self) -> int:
        """Which of the video streams it is."""
        return int(self.stream.partition(":")[2])


@dataclass(slots=True)
class _Facts:
    """What a listing says of the stream itself."""

    time_base: Fraction | None = None
    codec: str = ""
    field_order: str | None = None
    pixels: int = 0


class Listing:
    """The packets of a film, listed by a child and read only as far as somebody asks.

    Parameters
    ----------
    film : Film
        What to list.
    """

    def __init__(self, film: Film) -> None:
        self.film = film
        self.facts = _Facts()
        self._order = DisplayOrder()
        self._copied: deque[Packet] = deque()  # those of which the place has not come yet
        ffprobe = toolbox().get("ffprobe")
        if ffprobe is None:
            self._parse = self._of_framecrc
            argument = argv.copy_listing(toolbox().find("ffmpeg").release, film.demuxer, film.stream)
        else:
            self._parse = self._of_ffprobe
            argument = argv.list_packets(film.demuxer, film.stream)
        if ffprobe is None and film.demuxer in _NO_TIMES:  # ffmpeg makes some up when it copies
            self._order.reliable = False
        self._lines = _Lines(film, (ffprobe or toolbox().find("ffmpeg")).path, argument)

    @property
    def reliable(self) -> bool:
        """Whether packets tell the frames, as far as is known."""
        return self._order.reliable

    @property
    def troubled(self) -> bool:
        """Whether the program has met an error; known at the end."""
        return self._lines.troubled

    def shown(self, position: int) -> Packet | None:
        """Give the frame at a position, reading no further than is needed; None behind the end or if not known."""
        while self.reliable and len(self._order.shown) <= position and self._more():
            pass
        return self._order.shown[position] if self.reliable and position < len(self._order.shown) else None

    def first(self) -> Packet | None:
        """Give the first packet of the file."""
        while not self._order.packets and self._more():
            pass
        return self._order.packets[0] if self._order.packets else None

    def packets(self) -> list[Packet]:
        """Give all packets in the order of the file."""
        while self._more():
            pass
        return self._order.packets

    def close(self) -> None:
        """Stop the child."""
        self._lines.close()

    def _more(self) -> bool:
        """Read on; False at the end."""
        lines = self._lines.more()
        for line in lines or ():
            packet = self._parse(line)
            if packet is not None:
                self._order.add(packet)
        if lines is None:
            for packet in self._copied:
                self._order.add(packet)
            self._copied.clear()
            self._order.end()
        return lines is not None

    def _of_ffprobe(self, line: bytes) -> Packet | None:
        if match := _PACKET.match(line):
            pts, dts, duration, position, flags = match.groups()
            return Packet(_int(pts), _int(dts), _int(duration), _int(position), b"K" in flags, b"D" in flags)
        if line.startswith(b"stream|"):
            said = _fields(line)
            self.facts.codec = said.get(b"codec_name", b"").decode()
            self.facts.time_base = _ratio(said.get(b"time_base", b""))
            self.facts.field_order = said.get(b"field_order", b"").decode()
            self.facts.pixels = (_int(said.get(b"width", b"")) or 0) * (_int(said.get(b"height", b"")) or 0)
        return None

    def _of_framecrc(self, line: bytes) -> Packet | None:
        if not line.startswith(b"#"):
            packet = _copied(line)
            if packet is None or not line.startswith(b"1,"):
                self._copied.extend([packet] if packet else [])
                return None
            return self._copied.popleft()._replace(position=packet.duration) if self._copied else None
        name, _, value = line[1:].partition(b": ")
        if name == b"tb 0":
            self.facts.time_base = _ratio(value)
        elif name == b"codec_id 0":
            self.facts.codec = value.decode()
        elif name == b"dimensions 0":
            self.facts.pixels = math.prod(_int(side) or 0 for side in value.split(b"x"))
        return None


_NO_TIMES = ("avi", "mpeg", "h264", "hevc", "mpegvideo")
_PACKET = re.compile(rb"packet\|pts=([^|]*)\|dts=([^|]*)\|duration=([^|]*)\|pos=([^|]*)\|flags=([^|\n]*)")
_FLAGS = re.compile(rb"F=0x([0-9A-F]+)")
_KEY, _DISCARD = 1, 4  # AV_PKT_FLAG_*


def _copied(line: bytes) -> Packet | None:
    """Read a line of the framecrc muxer; it prints flags where they are not just `key`."""
    cells = line.split(b",")
    if len(cells) < 6:
        return None
    found = _FLAGS.search(line)
    flags = int(found[1], 16) if found else _KEY
    dts, pts, duration = (_int(cell.strip()) for cell in cells[1:4])
    return Packet(pts, dts, duration, None, bool(flags & _KEY), bool(flags & _DISCARD))


def _fields(line: bytes) -> dict[bytes, bytes]:
    return {name: value for name, is_one, value in (cell.partition(b"=") for cell in line.split(b"|")) if is_one}


def _int(text: bytes) -> int | None:
    try:
        number = int(text)
    except ValueError:  # N/A
        return None
    return None if number == -(1 << 63) else number  # AV_NOPTS_VALUE


def _ratio(text: bytes) -> Fraction | None:
    try:
        found = Fraction(text.decode().strip())
    except (ValueError, ZeroDivisionError):
        return None
    return found if found > 0 else None


class _Lines:
    """The lines that a child prints, a chunk at a time."""

    def __init__(self, film: Film, program: str, arguments: Sequence[str]) -> None:
        self._film = film
        self._rest = b""
        self.troubled = False
        self._view = memoryview(bytearray(_CHUNK))
        with film.request.input() as descriptor:
            self._child: Child | None = Child(
                (program, *arguments),
                subject=film.request.name,
                box=box_for(film.request.limits, "film"),
                stdin=descriptor,
            )

    def more(self) -> list[bytes] | None:
        """Give the next lines; None at the end."""
        if self._child is None:
            return None
        count = self._child.read_into(self._view, self._film.request.limits.stall)
        if not count:
            self._end(self._child)
            return None
        *lines, self._rest = (self._rest + self._view[:count]).split(b"\n")
        return lines

    def _end(self, child: Child) -> None:
        ended = child.wait(self._film.request.limits.stall)
        self.close()
        self.troubled = bool(ended.stderr)
        if not ended.ok:
            reason = words(ended.stderr).replace(argv.INPUT, self._film.request.name)
            message = f"{self._film.request.name} cannot be listed: {reason or ended}"
            raise CorruptMedia(message, command=child.argv, exit=ended, last_words=reason)

    def close(self) -> None:
        if self._child is not None:
            self._child.abort()
            self._child = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (lines := self.more()) is not None:
                yield from lines
        finally:
            self.close()


def count(listing: Listing) -> int:
    """Count the packets that are shown, which for most codecs are the frames; nothing is decoded."""
    return sum(not packet.discard for packet in listing.packets())


# The index


def build(listing: Listing) -> FrameIndex:
    """Make the index of a film from its packets, or, where these do not tell, by decoding it once.

    Raises
    ------
    CorruptMedia
        If the program cannot read it.
    """
    packets = listing.packets()
    facts, film = listing.facts, listing.film
    if not packets and listing.reliable:
        return FrameIndex.from_frames([], facts.time_base or Fraction(1))
    doubtful = facts.codec in _HIDDEN_FRAMES or maybe_in_fields(facts.codec, facts.field_order or _field_order(film))
    told = listing.reliable and not doubtful and facts.time_base is not None
    index = FrameIndex.from_packets(packets, facts.time_base or Fraction(1)) if told else None
    cut = doubtful_beginning(packets)
    if index is None:
        index = _decoded(film, packets if doubtful and listing.reliable else [])
    elif cut or (facts.codec, film.demuxer) in _SQUEEZED:
        whole, index = index, _beheaded(film, index)
        cut = cut or len(index) < len(whole)
    return replace(index, troubled=listing.troubled, cut=cut, pixels=facts.pixels)


# Where such a stream was cut, FFmpeg moves frames that were before the key frame to just behind it.
_SQUEEZED = (("mpeg2video", "mpegts"), ("mpeg1video", "mpegts"))

# Not every packet of these is a frame that is shown.
_HIDDEN_FRAMES = ("vp8", "theora")


def _field_order(film: Film) -> str | None:
    """Ask ffmpeg, where there is no ffprobe, of which the listing says it."""
    video = media_info(film.request, film.demuxer).film(film.number)
    return None if video is None else video.field_order


def _beheaded(film: Film, index: FrameIndex) -> FrameIndex:
    """Leave out frames at the beginning that do not decode, as where a broadcast was cut."""
    out = {packet.pts for packet in _frames_of_ffmpeg(film, frames=_HEAD)[0]}
    if not out:
        return index
    last = max(time for time in out if time is not None)
    kept = np.array([pts > last or pts in out for pts in index.pts.tolist()], np.bool_)
    return index.keeping(kept)


def _decoded(film: Film, packets: list[Packet]) -> FrameIndex:
    """Make the index by decoding: by ffprobe, which knows the key frames; times that it lacks are ffmpeg's."""
    ffprobe = toolbox().get("ffprobe")
    rows: list[Packet] = []
    base: Fraction | None = None
    if ffprobe is not None:
        rows, base = _frames_of_ffprobe(film, ffprobe.path)
    if not rows or base is None or any(row.pts is None for row in rows):
        timed, base = _frames_of_ffmpeg(film)
        keys = [row.key for row in rows] if len(rows) == len(timed) else [at == 0 for at in range(len(timed))]
        rows = [row._replace(key=key) for row, key in zip(timed, keys, strict=True)]
    shown = sorted((p for p in packets if not p.discard), key=lambda packet: packet.pts or 0)
    if [packet.pts for packet in shown] == [row.pts for row in rows]:
        rows = [row._replace(end=packet.end) for row, packet in zip(rows, shown, strict=True)]
    return FrameIndex.from_frames(rows, base or Fraction(1), entries_of(packets))


def _frames_of_ffprobe(film: Film, program: str) -> tuple[list[Packet], Fraction | None]:
    rows, base = [], None
    for line in _Lines(film, program, argv.list_frames(film.demuxer, film.stream)):
        said = _fields(line)
        if line.startswith(b"frame|"):
            duration = said.get(b"duration") or said.get(b"pkt_duration") or b""
            key = said.get(b"key_frame") == b"1"
            rows.append(Packet(_int(said.get(b"best_effort_timestamp", b"")), None, _int(duration), None, key))
        elif line.startswith(b"stream|"):
            base = _ratio(said.get(b"time_base", b""))
    return rows, base


def _frames_of_ffmpeg(
    film: Film, frames: int | None = None, seek: argv.Seek = argv.BEGINNING
) -> tuple[list[Packet], Fraction | None]:
    tool = toolbox().find("ffmpeg")
    arguments = argv.decode(
        tool.release, film.demuxer, _GRAY, stream=film.stream, frames=frames, wish=_TINY, listed=True, seek=seek
    )
    rows, base = [], None
    # A decoder that is strict may crash over what it finds.
    with contextlib.suppress(CorruptMedia) if seek.strict else contextlib.nullcontext():
        for line in _Lines(film, tool.path, arguments):
            if line.startswith(b"#tb 0: "):
                base = _ratio(line[7:])
            elif not line.startswith(b"#") and (row := _copied(line)) is not None:
                rows.append(row._replace(key=False))
    return rows, base


def faultless(film: Film, *, until_error: bool = False) -> set[int | None]:
    """Give the times of the frames that come out of a decoder that leaves out those in which it finds an error.

    Some decoders leave out none; `until_error` has ffmpeg stop at the first. Of two frames with one time, as where a
    decoder fills a gap with a copy, at least one is not what the film has there.
    """
    rows, _ = _frames_of_ffmpeg(film, seek=argv.Seek(strict=True, until_error=until_error))
    times = Counter(row.pts for row in rows)
    return {time for time, frames in times.items() if frames == 1}


def decodes(film: Film) -> bool:
    """Tell whether the whole of it is decoded without an error."""
    tool = toolbox().find("ffmpeg")
    arguments = argv.decode(tool.release, film.demuxer, _GRAY, stream=film.stream, wish=_TINY, listed=True)
    lines = _Lines(film, tool.path, arguments)
    try:
        for _ in lines:
            pass
    except CorruptMedia:  # it failed, whether or not it said why
        return False
    return not lines.troubled


def sizes(film: Film) -> list[tuple[int, int]]:
    """Give width and height of each frame, for a film in which they change; empty where nobody tells."""
    ffprobe = toolbox().get("ffprobe")
    if ffprobe is None:
        return []
    lines = _Lines(film, ffprobe.path, argv.list_frames(film.demuxer, film.stream))
    rows = (_fields(line) for line in lines if line.startswith(b"frame|"))
    coded = [(_int(row.get(b"width", b"")) or 0, _int(row.get(b"height", b"")) or 0) for row in rows]
    video = media_info(film.request, film.demuxer).film(film.number)
    return [size[::-1] for size in coded] if video is not None and video.rotation % 180 else coded
