"""MediaInfo: what a probe found, and from where. Values only; `bridge.ffmpeg.probe` and others fill them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.media.hdr import HighDynamicRange
    from bridge.media.head import PictureHead, ReadAt

__all__ = [
    "AudioStream",
    "Chapter",
    "ImagePage",
    "MediaInfo",
    "OtherStream",
    "VideoStream",
    "file_facts",
    "maybe_in_fields",
    "still_info",
    "still_meta",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoStream:
    """One stream of moving pictures.

    Attributes
    ----------
    index : int
        Position among all streams of the file.
    codec : str
        FFmpeg's name of the codec, e.g. ``"h264"``.
    width, height : int
        Pixels as coded, before rotation.
    pixel_format : str or None
        FFmpeg's name, e.g. ``"yuv420p"``.
    fps : fractions.Fraction or None
        Average frames per second.
    time_base : fractions.Fraction or None
        Seconds per unit of a time stamp.
    start, duration : float or None
        Seconds.
    frames : int or None
        As the *header* says; not counted. None where what it counts may be single fields.
    rotation : int
        Degrees, counter-clockwise, that a viewer turns the picture by.
    sample_aspect_ratio : fractions.Fraction or None
        Width of a pixel over its height.
    color_range, color_space, color_primaries, color_transfer : str or None
        As declared by the stream, in FFmpeg's words.
    field_order : str or None
        ``"progressive"``, or how its two fields follow each other, in FFmpeg's words: ``"tt"``, ``"bb"``, ``"tb"``
        or ``"bt"``.
    attached_picture : bool
        A cover picture, not the film.
    profile : str or None
        The codec's, e.g. ``"Main 10"``.
    level : int or None
        The codec's, as its number is coded: 41 is 4.1 in H.264, 123 in HEVC.
    disposition : tuple of str
        What the stream is good for, in FFmpeg's words: ``"default"``, ``"forced"``, …
    hdr : HighDynamicRange or None
        Mastering display and light level; None for a film of ordinary range.
    tags : dict
        The stream's own metadata.
    """

    index: int
    codec: str
    width: int
    height: int
    pixel_format: str | None = None
    fps: Fraction | None = None
    time_base: Fraction | None = None
    start: float | None = None
    duration: float | None = None
    frames: int | None = None
    bit_rate: int | None = None
    rotation: int = 0
    sample_aspect_ratio: Fraction | None = None
    color_range: str | None = None
    color_space: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    field_order: str | None = None
    attached_picture: bool = False
    profile: str | None = None
    level: int | None = None
    disposition: tuple[str, ...] = ()
    hdr: HighDynamicRange | None = None
    tags: dict[str, str] = field(default_factory=dict)


def maybe_in_fields(codec: str, order: str | None) -> bool:
    """Tell whether two packets may be one frame: H.264 has pictures of one field, which only its headers tell."""
    return codec == "h264" and order != "progressive"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioStream:
    """One stream of sound; `sample_rate` in Hz, times in seconds."""

    index: int
    codec: str
    sample_rate: int | None = None
    channels: int | None = None
    channel_layout: str | None = None
    start: float | None = None
    duration: float | None = None
    bit_rate: int | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherStream:
    """A stream of subtitles, data or attachments."""

    index: int
    kind: str
    codec: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A part of the film, from `start` to `end` in seconds on the file's own clock."""

    start: float
    end: float
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePage:
    """One still picture, page or array in a file: its shape and dtype as a reader would give them."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What a file holds.

    Attributes
    ----------
    uri : str
        The user's name of it.
    format : str
        FFmpeg's demuxer name for film, the Format's name otherwise.
    size : int or None
        Bytes.
    start, duration : float or None
        Seconds.
    streams : tuple
        Of `VideoStream`, `AudioStream` and `OtherStream`, as in the file.
    pages : tuple of ImagePage
        For stills and arrays.
    chapters : tuple of Chapter
        As the file has them.
    tags : dict
        The file's own metadata.
    source : str
        Who said so: a program and its version, or ``"header"``.
    """

    uri: str
    format: str
    size: int | None = None
    start: float | None = None
    duration: float | None = None
    bit_rate: int | None = None
    streams: tuple[VideoStream | AudioStream | OtherStream, ...] = ()
    pages: tuple[ImagePage, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def video(self) -> VideoStream | None:
        """The film: the first video stream that is no cover picture (or that, if there is nothing else)."""
        return self.film(0)

    def film(self, number: int) -> VideoStream | None:
        """Give one of the films in the file, cover pictures counted last; None if there are not so many."""
        streams = [stream for stream in self.streams if isinstance(stream, VideoStream)]
        streams.sort(key=lambda stream: stream.attached_picture)
        return streams[number] if number < len(streams) else None

    @property
    def audio(self) -> AudioStream | None:
        """The first audio stream."""
        return next((stream for stream in self.streams if isinstance(stream, AudioStream)), None)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values that `json` takes; rationals as ``"30000/1001"``."""
        plain: dict[str, Any] = _plain(asdict(self))
        kinds = {VideoStream: "video", AudioStream: "audio"}
        for row, stream in zip(plain["streams"], self.streams, strict=True):
            row.setdefault("kind", kinds.get(type(stream), "other"))
        return plain


_DTYPES = {8: "uint8", 16: "uint16", 32: "float32"}


def still_info(uri: str, format: str, size: int, head: PictureHead) -> MediaInfo:
    """Describe a picture by its header."""
    shape = (head.height, head.width) + ((head.channels,) if head.channels > 1 else ())
    page = ImagePage(shape=shape, dtype=_DTYPES[head.depth])
    return MediaInfo(uri=uri, format=format, size=size, pages=(page,) * head.frames, source="header")


def file_facts(format: str, source: str, head: PictureHead) -> dict[str, Any]:
    """Give the plain facts of a picture, the group ``FILE`` of its metadata."""
    facts = {
        "format": format,
        "size": (head.width, head.height),
        "channels": head.channels,
        "depth": head.depth,
        "nframes": head.frames,
        "source": source,
    }
    return facts | ({"maxval": head.maxval} if head.maxval else {})


def still_meta(kind: str, read_at: ReadAt, format: str, source: str, head: PictureHead) -> dict[str, dict[str, Any]]:
    """Give a picture's metadata in groups, each a dict; the group ``FILE`` has the plain facts."""
    from bridge.media.metadata import read_groups

    groups = read_groups(kind, read_at)
    return {**groups, "FILE": file_facts(format, source, head) | groups.get("FILE", {})}


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
