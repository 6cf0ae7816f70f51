"""The metadata of a film as users get it: imageio's flat names, and the rest in groups, typed, bounded and escaped."""

from __future__ import annotations

import contextlib
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import CorruptMedia
from bridge.media.blocks import Found
from bridge.media.colour import colour_of
from bridge.media.hdr import is_hdr
from bridge.media.location import read_location
from bridge.media.tone import ToneMap, peak_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bridge.media.info import MediaInfo, VideoStream
    from bridge.process.tools import Tool

__all__ = ["film_meta", "tone_map"]

_TIMES = ("creation_time", "com.apple.quicktime.creationdate")
_PLACES = ("location", "com.apple.quicktime.location.iso6709")


def film_meta(info: MediaInfo, video: VideoStream | None, tool: Tool) -> dict[str, Any]:
    """Give the facts under the names that imageio's ffmpeg plugin gives them, and groups beside.

    Returns
    -------
    dict
        Beside the flat names:

        ``container``
            The tags of the file, by name. Times that have a zone are `datetime.datetime`, all else is str.
        ``stream``
            Of the video stream: ``profile`` (str), ``level`` (int), ``disposition`` (list of str), and its tags.
        ``chapters``
            A list of dicts: ``title`` (str or None), ``start`` and ``end`` in seconds.
        ``hdr``
            What `bridge.media.hdr.HighDynamicRange` has; not there for film of ordinary range.
        ``gps``
            ``latitude``, ``longitude``, ``altitude`` as float; not there where the file tells no place.
        ``creation_time``
            A `datetime.datetime` with its zone; not there where the file tells none.

        Control characters in names and texts are escaped, except the ends of lines and tabs.
    """
    audio = info.audio
    found = Found()
    if video is not None:
        for name, value in (("profile", video.profile), ("level", video.level), ("disposition", [*video.disposition])):
            found.put("stream", name, value)
        _put_tags(found, "stream", video.tags)
    _put_tags(found, "container", info.tags)
    groups = {name: found.groups.get(name, {}) for name in ("container", "stream")}
    facts: dict[str, Any] = {
        "plugin": "ffmpeg",
        "ffmpeg_version": tool.version,
        "format": info.format,
        "audio_codec": audio.codec if audio else None,
        "duration": info.duration,
        "tags": _texts(info.tags),
        "source": info.source,
        **groups,
        "chapters": _chapters(info, found),
    }
    facts |= {} if video is None else _picture_meta(video)
    if place := _place(info.tags):
        facts["gps"] = place
    if moment := _time(groups.values()):
        facts["creation_time"] = moment
    return facts


def tone_map(describe: Callable[[], VideoStream | None], pixelformat: str | None, dtype: Any) -> ToneMap | None:
    """Give what brings a film to an ordinary display; None where it is made for one, or cannot be described.

    Raises
    ------
    ValueError
        If other pixels are asked for than the 8-bit RGB that tone mapping gives.
    """
    if pixelformat is not None or np.dtype(dtype or np.uint8) != np.uint8:
        raise ValueError("tonemap=True gives 8-bit RGB: leave out pixelformat=, and dtype= other than 'uint8'")
    with contextlib.suppress(CorruptMedia):  # reading says so, with its own words
        video = describe()
        if video is not None and video.color_transfer and is_hdr(video.color_transfer):
            peak = peak_of(video.color_transfer, video.hdr)
            return ToneMap(video.color_transfer, peak, video.color_primaries)
    return None


def _picture_meta(video: VideoStream) -> dict[str, Any]:
    size = (video.width, video.height)
    facts = {
        "codec": video.codec,
        "pix_fmt": video.pixel_format,
        "fps": float(video.fps) if video.fps else None,
        "nframes": video.frames if video.frames is not None else math.inf,
        "source_size": size,
        "size": size[::-1] if video.rotation % 180 else size,
        "rotate": video.rotation,
        "sample_aspect_ratio": video.sample_aspect_ratio,
        "color": colour_of(video).to_dict(),
    }
    return facts if video.hdr is None else {**facts, "hdr": video.hdr.to_dict()}


def _texts(tags: dict[str, str]) -> dict[str, str]:
    found = Found()
    for name, value in tags.items():
        found.put("tags", name, value)
    return found.groups.get("tags", {})


def _put_tags(found: Found, group: str, tags: dict[str, str]) -> None:
    for name, value in tags.items():
        found.put(group, name, _moment(value) or value if name.lower() in _TIMES else value)


def _chapters(info: MediaInfo, found: Found) -> list[dict[str, Any]]:
    for number, chapter in enumerate(info.chapters):
        found.put("chapters", str(number), [chapter.title, chapter.start, chapter.end])
    rows = found.groups.get("chapters", {}).values()
    return [dict(zip(("title", "start", "end"), row, strict=True)) for row in rows]


def _moment(text: str) -> datetime | None:
    """Read a time that says its zone; FFmpeg 9 gives two in one text, where a file has two."""
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text.partition(";")[0])
        return moment if moment.tzinfo else None
    return None


def _place(tags: dict[str, str]) -> dict[str, float | None] | None:
    texts = (value for name, value in tags.items() if name.lower().partition("-")[0] in _PLACES)
    return next(filter(None, map(read_location, texts)), None)


def _time(groups: Iterable[dict[str, Any]]) -> datetime | None:
    for group in groups:
        lower = {name.lower(): value for name, value in group.items()}
        for name in _TIMES:
            if isinstance(moment := lower.get(name), datetime):
                return moment
    return None
