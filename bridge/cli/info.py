"""``framebridge info``: what files hold, as tables or as JSON."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import click

from bridge import probe
from bridge.cli.debug import debug_option
from bridge.cli.terminal import byte_count, clean, print_json, seconds, shown, table
from bridge.errors import BridgeError
from bridge.media.info import AudioStream, VideoStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from bridge.media.info import ImagePage, MediaInfo, OtherStream

__all__ = ["command"]

_LONGEST_TAG = 200


@click.command("info")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object for one file, a list for several.")
@debug_option
def command(files: tuple[str, ...], *, as_json: bool) -> None:
    """Tell what files hold: streams, sizes, times and colours of film, shape and dtype of pictures.

    With several files the others are shown when one cannot be read; the exit status is 1 then.
    """
    if len(files) == 1:
        _show([probe(files[0])], as_json=as_json)
        return
    found = [_probed(file) for file in files]
    _show(found, as_json=as_json, several=True)
    if any(isinstance(row, dict) for row in found):
        raise click.exceptions.Exit(1)


def _probed(file: str) -> MediaInfo | dict[str, str]:
    """Probe one of several files; an error is told and kept as what JSON says of it."""
    try:
        return probe(file)
    except BridgeError as error:
        click.echo(f"framebridge: {clean(error)}", err=True)
        return {"uri": file, "error": str(error)}


def _show(found: Sequence[MediaInfo | dict[str, str]], *, as_json: bool, several: bool = False) -> None:
    if as_json:
        plain = [row if isinstance(row, dict) else row.to_dict() for row in found]
        print_json(plain if several else plain[0])
        return
    for info in found:
        if not isinstance(info, dict):
            shown(*_described(info))


def _described(info: MediaInfo) -> Iterator[Any]:
    facts = [info.format, byte_count(info.size), seconds(info.duration), _bit_rate(info.bit_rate)]
    yield f"{info.uri}: {', '.join(fact for fact in facts if fact)}"
    if info.streams:
        yield table(*_STREAM, rows=[_stream(stream) for stream in info.streams])
    if info.pages:
        yield table("page", "shape", "dtype", rows=list(_pages(info.pages)))
    if info.chapters:
        rows = [(seconds(chapter.start), seconds(chapter.end), _cut(chapter.title or "")) for chapter in info.chapters]
        yield table("from", "to", "chapter", rows=rows)
    tags = [*info.tags.items(), *(pair for stream in info.streams for pair in _tags(stream))]
    if tags:
        yield table("tag", "value", rows=[(key, _cut(value)) for key, value in tags])


_STREAM = ("#", "kind", "codec", "size", "fps", "frames", "duration", "bit rate", "pixels", "colour", "further")


def _stream(stream: VideoStream | AudioStream | OtherStream) -> tuple[object, ...]:
    if isinstance(stream, VideoStream):
        return _video(stream)
    if isinstance(stream, AudioStream):
        sound = (_hertz(stream.sample_rate), _channels(stream))
        times = (seconds(stream.duration), _bit_rate(stream.bit_rate))
        return (stream.index, "audio", stream.codec, "", "", "", *times, "", "", _listed(*sound))
    return (stream.index, stream.kind, stream.codec, *[""] * (len(_STREAM) - 3))


def _video(stream: VideoStream) -> tuple[object, ...]:
    return (
        stream.index,
        "cover picture" if stream.attached_picture else "video",
        stream.codec,
        f"{stream.width}x{stream.height}",
        _fps(stream.fps),
        "" if stream.frames is None else stream.frames,
        seconds(stream.duration),
        _bit_rate(stream.bit_rate),
        stream.pixel_format or "",
        _colour(stream),
        _listed(_turned(stream.rotation), _aspect(stream.sample_aspect_ratio)),
    )


def _pages(pages: Sequence[ImagePage]) -> Iterator[tuple[object, ...]]:
    """Give a row for each run of equal pages."""
    at = 0
    for page, run in itertools.groupby(pages):
        last = at + len(list(run)) - 1
        yield (at if at == last else f"{at} to {last}", page.shape, page.dtype)
        at = last + 1


def _tags(stream: VideoStream | AudioStream | OtherStream) -> Iterator[tuple[str, str]]:
    return ((f"#{stream.index} {key}", value) for key, value in stream.tags.items())


def _listed(*facts: str) -> str:
    return ", ".join(fact for fact in facts if fact)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TAG else f"{text[:_LONGEST_TAG]}… ({len(text)} characters)"


def _fps(fps: Fraction | None) -> str:
    if fps is None:
        return ""
    return str(fps) if fps.denominator == 1 else f"{float(fps):.6g} ({fps})"


def _bit_rate(rate: int | None) -> str:
    return "" if rate is None else f"{rate / 1000:.0f} kb/s"


def _hertz(rate: int | None) -> str:
    return "" if rate is None else f"{rate} Hz"


def _channels(stream: AudioStream) -> str:
    return stream.channel_layout or (f"{stream.channels} channels" if stream.channels else "")


def _turned(degrees: int) -> str:
    return f"turned by {degrees}°" if degrees else ""


def _aspect(ratio: Fraction | None) -> str:
    return f"pixels {ratio.numerator}:{ratio.denominator}" if ratio not in (None, 1) and ratio else ""


def _colour(stream: VideoStream) -> str:
    """Say what the stream declares, each word once: most films say bt709 three times."""
    said = (stream.color_space, stream.color_primaries, stream.color_transfer, stream.color_range)
    return ", ".join(dict.fromkeys(word for word in said if word))
