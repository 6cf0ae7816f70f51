"""What a film file holds: ffprobe's JSON -> MediaInfo, and the same from ffmpeg alone where there is no ffprobe."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.core.intake import check_size
from bridge.errors import CorruptMedia, LimitExceeded
from bridge.ffmpeg import argv, banner, memory
from bridge.media.hdr import HighDynamicRange, is_hdr
from bridge.media.info import AudioStream, Chapter, MediaInfo, OtherStream, VideoStream, maybe_in_fields
from bridge.process.child import Output, run, words
from bridge.process.isolation import box_for
from bridge.process.tools import Tool, toolbox

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["count_listed", "from_json", "listed", "media_info", "own_pixels"]


def media_info(request: Request, demuxer: str | None, *, remember: bool = False) -> MediaInfo:
    """Describe the content of a request; what was remembered of the same file is not asked again.

    Raises
    ------
    CorruptMedia
        If the program finds nothing that it can read.
    """
    tool = toolbox().get("ffprobe") or toolbox().find("ffmpeg")
    alone = tool.name == "ffmpeg"
    key = memory.identity(request, demuxer, tool) if remember and not alone else None
    if (known := memory.recall("probe", key)) is not None and (found := _remembered(known, key)):
        return _with_light(from_json(found, request.name, str(tool)), request, demuxer, tool)
    said = _ask(tool, argv.describe(demuxer) if alone else argv.probe(demuxer), request)
    if alone:
        info = from_banner(said.stdout.decode("utf-8", "replace"), said.exit.stderr, request.name, str(tool))
        tags = (
            _ask(tool, argv.describe_tags(demuxer), request).stdout.decode("utf-8", "replace") if info.streams else ""
        )
        info = replace(info, tags=_better(banner.tags_of(tags), info.tags), chapters=banner.chapters_of(tags))
    else:
        info = from_json(_json(said, request), request.name, str(tool))
    if not info.streams:
        raise _corrupt(said, request, tool)
    if key is not None and key == memory.identity(request, demuxer, tool):
        memory.keep("probe", key, json.dumps([key, json.loads(said.stdout)]).encode())
    return _with_light(info, request, demuxer, tool)


def _remembered(content: bytes, key: str | None) -> dict[str, Any] | None:
    """Read what was remembered; None if it is of something else, or no such thing."""
    with contextlib.suppress(ValueError, TypeError):
        name, found = json.loads(content)
        return found if name == key and isinstance(found, dict) and found.get("streams") else None
    return None


def _with_light(info: MediaInfo, request: Request, demuxer: str | None, tool: Tool) -> MediaInfo:
    """Ask the first frames of films of high dynamic range about what their container does not say."""
    streams = list(info.streams)
    for at, stream in enumerate(streams):
        if isinstance(stream, VideoStream) and is_hdr(stream.color_transfer) and not stream.hdr:
            try:
                check_size(request.limits, request.name, stream.width, stream.height)
            except LimitExceeded:  # it is described, not decoded
                continue
            said = HighDynamicRange()
            if tool.name == "ffmpeg":
                told = _ask(tool, argv.first_frame_alone(demuxer, str(stream.index)), request)
                said = banner.high_range(told.exit.stderr) or said
            else:
                frames = _json(_ask(tool, argv.first_frame(demuxer, str(stream.index)), request), request)
                said = next(filter(None, map(_light, frames.get("frames", ()))), said)
            streams[at] = replace(stream, hdr=said)
    return replace(info, streams=tuple(streams))


def own_pixels(request: Request, demuxer: str | None) -> str:
    """Tell the pixel format in which ffmpeg itself decodes the first film or picture; empty if it does not say."""
    tool = toolbox().find("ffmpeg")
    said = _ask(tool, argv.describe(demuxer), request)
    video = from_banner("", said.exit.stderr, request.name, str(tool)).video
    return (video and video.pixel_format) or ""


def count_listed(request: Request, tool: Tool, arguments: tuple[str, ...]) -> int:
    """Count the frames that a command lists, one line each."""
    return sum(not line.startswith(b"#") for line in listed(request, tool, arguments).splitlines())


def listed(request: Request, tool: Tool, arguments: tuple[str, ...]) -> bytes:
    """Give what a command lists of a request's content."""
    said = _ask(tool, arguments, request)
    if not said.exit.ok:
        raise _corrupt(said, request, tool)
    return said.stdout


def _ask(tool: Tool, arguments: tuple[str, ...], request: Request) -> Output:
    with request.input() as descriptor:
        return run(
            (tool.path, *arguments),
            subject=request.name,
            seconds=request.limits.still,
            box=box_for(request.limits, "picture"),
            stdin=descriptor,
        )


def _json(said: Output, request: Request) -> dict[str, Any]:
    try:
        found = json.loads(said.stdout or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        message = f"{request.name}: ffprobe's answer is no JSON"
        raise CorruptMedia(message, exit=said.exit, last_words=words(said.exit.stderr))
    return found


def _corrupt(said: Output, request: Request, tool: Tool) -> CorruptMedia:
    reason = words(said.exit.stderr) or "it holds no stream"
    message = f"{request.name} cannot be read by {tool}: {reason.replace(argv.INPUT, request.name)}"
    return CorruptMedia(message, exit=said.exit, last_words=reason)


# ffprobe's JSON


def from_json(found: dict[str, Any], uri: str, source: str) -> MediaInfo:
    """Turn ffprobe's JSON into a MediaInfo. Fields that are missing or unreadable become None."""
    form = found.get("format", {})
    return MediaInfo(
        uri=uri,
        format=str(form.get("format_name", "")),
        size=_int(form.get("size")),
        start=_float(form.get("start_time")),
        duration=_float(form.get("duration")),
        bit_rate=_int(form.get("bit_rate")),
        streams=tuple(_stream(row) for row in found.get("streams", ())),
        chapters=tuple(filter(None, map(_chapter, found.get("chapters", ())))),
        tags=_tags(form),
        source=source,
    )


def _chapter(row: dict[str, Any]) -> Chapter | None:
    start, end = _float(row.get("start_time")), _float(row.get("end_time"))
    return None if start is None or end is None else Chapter(start=start, end=end, title=_tags(row).get("title"))


def _stream(row: dict[str, Any]) -> VideoStream | AudioStream | OtherStream:
    kind = str(row.get("codec_type", "unknown"))
    index, codec = _int(row.get("index")) or 0, str(row.get("codec_name", "unknown"))
    if kind == "video":
        return _video(row, index, codec)
    if kind == "audio":
        return AudioStream(
            index=index,
            codec=codec,
            sample_rate=_int(row.get("sample_rate")),
            channels=_int(row.get("channels")),
            channel_layout=row.get("channel_layout"),
            start=_float(row.get("start_time")),
            duration=_float(row.get("duration")),
            bit_rate=_int(row.get("bit_rate")),
            tags=_tags(row),
        )
    return OtherStream(index=index, kind=kind, codec=codec, tags=_tags(row))


def _video(row: dict[str, Any], index: int, codec: str) -> VideoStream:
    order = _known(row.get("field_order"))
    return VideoStream(
        index=index,
        codec=codec,
        width=_int(row.get("width")) or 0,
        height=_int(row.get("height")) or 0,
        pixel_format=row.get("pix_fmt"),
        fps=_ratio(row.get("avg_frame_rate")) or _ratio(row.get("r_frame_rate")),
        time_base=_ratio(row.get("time_base")),
        start=_float(row.get("start_time")),
        duration=_float(row.get("duration")),
        frames=None if maybe_in_fields(codec, order) else _int(row.get("nb_frames")),
        bit_rate=_int(row.get("bit_rate")),
        rotation=_rotation(row),
        sample_aspect_ratio=_ratio(row.get("sample_aspect_ratio")),
        color_range=_known(row.get("color_range")),
        color_space=_known(row.get("color_space")),
        color_primaries=_known(row.get("color_primaries")),
        color_transfer=_known(row.get("color_transfer")),
        field_order=order,
        attached_picture=bool(row.get("disposition", {}).get("attached_pic")),
        profile=_known(row.get("profile")),
        level=_positive(row.get("level")),
        disposition=tuple(str(name) for name, value in row.get("disposition", {}).items() if value),
        hdr=_light(row),
        tags=_tags(row),
    )


def _light(row: dict[str, Any]) -> HighDynamicRange | None:
    """Read mastering display and light level from the side data of a stream or of a frame."""
    facts: dict[str, Any] = {}
    for data in row.get("side_data_list", ()):
        facts |= data
    red, green, blue, white = (_point(facts, name) for name in ("red", "green", "blue", "white_point"))
    found = HighDynamicRange(
        primaries=(red, green, blue) if red and green and blue else None,
        white_point=white,
        min_luminance=_quotient(facts.get("min_luminance")),
        max_luminance=_quotient(facts.get("max_luminance")),
        max_content=_positive(facts.get("max_content")),
        max_average=_positive(facts.get("max_average")),
    )
    return found or None


def _point(facts: dict[str, Any], name: str) -> tuple[float, float] | None:
    x, y = _quotient(facts.get(f"{name}_x")), _quotient(facts.get(f"{name}_y"))
    return None if x is None or y is None else (x, y)


def _quotient(value: Any) -> float | None:
    """Read ``34000/50000``."""
    over, _, under = str(value).partition("/")
    numerator, denominator = _int(over), _int(under or 1)
    return None if numerator is None or not denominator else numerator / denominator


def _positive(value: Any) -> int | None:
    number = _int(value)
    return number if number is not None and number > 0 else None


def _rotation(row: dict[str, Any]) -> int:
    """Give degrees counter-clockwise; the display matrix says it, in old releases the tag ``rotate``."""
    for data in row.get("side_data_list", ()):
        if "rotation" in data:
            return round(_float(data["rotation"]) or 0)
    return -(_int(row.get("tags", {}).get("rotate")) or 0)


def _tags(row: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in row.get("tags", {}).items()}


def _known(value: Any) -> str | None:
    return None if value in (None, "unknown", "unspecified", "reserved") else str(value)


def _int(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _ratio(value: Any) -> Fraction | None:
    """Read ``30000/1001`` or ``16:9``; zero and unreadable give None."""
    over, _, under = str(value).replace(":", "/").partition("/")
    numerator, denominator = _int(over), _int(under or 1)
    return Fraction(numerator, denominator) if numerator and denominator else None


# ffmpeg alone: the framecrc muxer's headers where they say it, the banner for the rest

_INPUT = re.compile(r"^Input #0, (\S+), from ")
_DURATION = re.compile(r"^\s+Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)(?:, start: (-?[\d.]+))?(?:, bitrate: (\d+) kb/s)?")
_STREAM = re.compile(r"^\s+Stream #0:(\d+)\S*: (Video|Audio|Subtitle|Data|Attachment): (\w+)(.*)")
_SIZE = re.compile(r", (\d+)x(\d+)")
_HEADER = re.compile(r"^#(\w+) (\d+): (.+)$")
_PACKET = re.compile(r"^(\d+),\s*-?\d+,\s*-?\d+,\s*(\d+),")
_PIXELS = re.compile(r"^(?: \([^)]*\))*, ([a-z]\w+)(?:\(([^)]*)\))?")
_ROTATION = re.compile(r"^\s+display ?matrix: rotation of (-?[\d.]+) degrees", re.IGNORECASE)


def from_banner(headers: str, said: str, uri: str, source: str) -> MediaInfo:
    """Turn what ffmpeg prints of an input into a MediaInfo; less is known so than by ffprobe."""
    facts: dict[tuple[str, int], str] = {}
    for line in headers.splitlines():
        if match := _HEADER.match(line):
            facts[match[1], int(match[2])] = match[3].strip()
        elif packet := _PACKET.match(line):
            facts.setdefault(("duration", int(packet[1])), packet[2])
    lines = said.partition("\nOutput #0")[0].split("\n")
    tags = banner.tags_said(lines)
    form = next((match[1] for match in map(_INPUT.match, lines) if match), "")
    length = next((match for match in map(_DURATION.match, lines) if match), None)
    seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3]) if length else None
    return MediaInfo(
        uri=uri,
        format=form.rstrip(","),
        start=_float(length[4]) if length else None,
        duration=seconds,
        bit_rate=int(length[5]) * 1000 if length and length[5] else None,
        streams=tuple(_described(stream, lines, tags) for stream in _banner_streams(lines, facts)),
        tags=tags.get(None, {}),
        source=source,
    )


def _better(tags: dict[str, str], said: dict[str, str]) -> dict[str, str]:
    """Take from the banner what the muxer `ffmetadata` leaves out, and puts in of its own."""
    others = {name: value for name, value in tags.items() if name != "encoder"}
    return others | {name: value for name, value in said.items() if name.lower() in ("creation_time", "encoder")}


def _banner_streams(
    lines: list[str], facts: dict[tuple[str, int], str]
) -> list[VideoStream | AudioStream | OtherStream]:
    """Read the lines of the streams, and what is said below them."""
    found: list[VideoStream | AudioStream | OtherStream] = []
    for line in lines:
        if match := _STREAM.match(line):
            found.append(_banner_stream(match, facts))
        elif (turned := _ROTATION.match(line)) and found and isinstance(found[-1], VideoStream):
            found[-1] = replace(found[-1], rotation=round(float(turned[1])))
    return found


def _described(
    stream: VideoStream | AudioStream | OtherStream, lines: list[str], tags: dict[int | None, dict[str, str]]
) -> VideoStream | AudioStream | OtherStream:
    """Add the tags and the side data that the lines below a stream tell."""
    if isinstance(stream, VideoStream):
        stream = replace(stream, hdr=banner.high_range(banner.side_data(lines, stream.index)))
    return replace(stream, tags=tags.get(stream.index, {}))


def _banner_colours(words: list[str]) -> tuple[str | None, ...]:
    """Read ``tv, bt709, progressive``: the range, then matrix, primaries and transfer, once if they have one name."""
    limits = next((word for word in words if word in ("tv", "pc")), None)
    named = next((word for word in words if "/" in word or word in _COLOUR_NAMES), "")
    matrix, primaries, transfer = named.split("/") if named.count("/") == 2 else 3 * (named or None,)
    return (limits, *map(_known, (matrix, primaries, transfer)))


_COLOUR_NAMES = ("bt709", "smpte170m", "smpte240m", "fcc", "bt470bg")  # that stand for all three


_FIELD_ORDERS = {
    "progressive": "progressive",
    "top first": "tt",
    "bottom first": "bb",
    "top coded first (swapped": "tb",  # up to the first closing bracket
    "bottom coded first (swapped": "bt",
}


def _banner_stream(match: re.Match[str], facts: dict[tuple[str, int], str]) -> VideoStream | AudioStream | OtherStream:
    index, kind, codec, rest = int(match[1]), match[2].lower(), match[3], match[4]
    if kind == "audio":
        hertz = re.search(r", (\d+) Hz(?:, ([^,]+))?", rest)
        return AudioStream(
            index=index,
            codec=codec,
            sample_rate=int(hertz[1]) if hertz else None,
            channels=_CHANNELS.get(hertz[2] or "") if hertz else None,
            channel_layout=hertz[2] if hertz else None,
        )
    if kind != "video":
        return OtherStream(index=index, kind=kind, codec=codec)
    size = _SIZE.search(rest)
    said = facts.get(("dimensions", index), f"{size[1]}x{size[2]}" if size else "0x0")
    width, _, height = said.partition("x")
    pixels = _PIXELS.match(rest)
    aspect = re.search(r"SAR (\d+:\d+)", rest)
    said_of_pixels = (pixels[2] or "").split(", ") if pixels else []
    limits, matrix, primaries, transfer = _banner_colours(said_of_pixels)
    frame_rate = re.search(r", ([\d.]+k?) fps", rest) or re.search(r", ([\d.]+k?) tbr", rest)
    return VideoStream(
        index=index,
        codec=codec,
        width=int(width),
        height=int(height),
        pixel_format=pixels[1] if pixels else None,
        fps=_exact_rate(frame_rate[1], facts, index) if frame_rate else None,
        time_base=_ratio(facts.get(("tb", index))),
        sample_aspect_ratio=_ratio(aspect[1]) if aspect else None,
        color_range=limits,
        color_space=matrix,
        color_primaries=primaries,
        color_transfer=transfer,
        field_order=next((_FIELD_ORDERS[word] for word in said_of_pixels if word in _FIELD_ORDERS), None),
        attached_picture="(attached pic)" in rest,
        profile=banner.profile(rest),
        disposition=banner.dispositions(rest),
    )


def _exact_rate(printed: str, facts: dict[tuple[str, int], str], index: int) -> Fraction | None:
    """Give the rate that the banner rounds to two decimals, from how long the first frame lasts.

    MPEG's clock has its own ticks, whatever the rate: a usual rate within one of these is that rate.
    """
    rounded = float(printed.replace("k", "e3"))
    time_base, ticks = _ratio(facts.get(("tb", index))), _int(facts.get(("duration", index)))
    if not 0 < rounded < 1_000_000:  # as few films have it, or rounded away
        return 1 / (ticks * time_base) if ticks and time_base else None
    usual = argv.rate(rounded)
    if not ticks or not time_base or (time_base == _MPEG_TICK and abs(ticks - 1 / (usual * time_base)) < 1):
        return usual
    exact = 1 / (ticks * time_base)
    return exact if abs(exact - rounded) < 0.006 else usual


_MPEG_TICK = Fraction(1, 90_000)
_CHANNELS = {"mono": 1, "stereo": 2, "2.1": 3, "quad": 4, "5.0": 5, "5.1": 6, "5.1(side)": 6, "7.1": 8}
