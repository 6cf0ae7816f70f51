"""``framebridge convert``: one file into another through arrays, or a film into numbered pictures."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bridge import get_reader, get_writer
from bridge.catalogue import writer_for
from bridge.cli.debug import debug_option
from bridge.cli.notes import Pace, losses, said_of_metadata
from bridge.cli.progress import Progress, Task
from bridge.cli.terminal import byte_count, clean
from bridge.core.part import part_name
from bridge.core.request import Request
from bridge.errors import BridgeError, OutputFailed, UnsupportedPixels, UriError
from bridge.ffmpeg.animation import AnimationReader
from bridge.ffmpeg.argv import rate
from bridge.ffmpeg.containers import CODECS
from bridge.ffmpeg.reader import FilmReader
from bridge.ffmpeg.video import FilmFormat
from bridge.media.pixels import full_scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.core.format import Format, Reader
    from bridge.media.info import MediaInfo

__all__ = ["command"]

_NUMBER = re.compile(r"%(?:0\d)?d")
_STACKS = ("TIFF", "NPZ")  # formats of pictures that hold several


def _rate(_ctx: click.Context, _option: click.Parameter, value: str | None) -> Fraction | None:
    """Read frames per second: ``25``, ``29.97`` or ``30000/1001``. Called by click."""
    try:
        return None if value is None else rate(Fraction(value) if "/" in value else float(value))
    except (ValueError, ZeroDivisionError):
        message = f"{clean(value)!r} is no number of frames per second; write 25, 29.97 or 30000/1001"
        raise click.BadParameter(message) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the user asks for."""

    fps: Fraction | None
    every: int
    quality: float | None
    codec: str | None
    audio: bool
    force: bool
    quiet: bool


@click.command("convert")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--fps", callback=_rate, help="Play DST at this rate: faster or slower, with every frame, without sound.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Keep every Nth frame, at the same speed.")
@click.option("--quality", type=float, help="0 to 10 for film, 1 to 100 for JPEG and WebP.")
@click.option("--codec", help="For film: h264, hevc, vp9, av1, ..., or the name of one of ffmpeg's encoders.")
@click.option("--audio/--no-audio", default=True, help="Take the sound of SRC along, where DST can hold it.")
@click.option("-f", "--force", is_flag=True, help="Replace what is there already.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@debug_option
def command(source: str, target: str, **options: Any) -> None:
    """Convert the picture or film SRC to DST, whose extension says the format.

    A film becomes another film, with its rate and its sound, a GIF, or numbered pictures, where DST is like
    out/frame%04d.png. DST appears when it is complete, or not at all.
    """
    wanted = _Wanted(**options)
    with get_reader(source, mode="i" if _suffix(target) == ".npy" else "I") as opened:
        reader = _as_film(opened)
        with reader:
            said = _convert(reader, target, wanted)
    if not wanted.quiet:
        click.echo(clean(said))


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _as_film(reader: Reader) -> Reader:
    """Read an animated GIF through ffmpeg, which tells its rate."""
    if reader.format.name == "GIF" and len(reader) > 1:
        return get_reader(reader.request.uri, "GIF-FFMPEG", "I")
    return reader


def _convert(reader: Reader, target: str, wanted: _Wanted) -> str:
    """Choose what is to be done, do it, and say what was done."""
    info = reader.info
    moving = info.video is not None or len(reader) > 1
    pattern = _NUMBER.search(Path(target).name) if moving else None
    format = _target(reader, target, wanted, "?" if pattern is None else "i")
    if pattern is not None and not isinstance(format, FilmFormat):
        _target(reader, _numbered(target, pattern, 0), wanted)
        return _to_pictures(reader, target, pattern, format, wanted)
    if moving and not isinstance(format, FilmFormat) and format.name not in (*_STACKS, "NPY"):
        example = f"{Path(target).stem}%04d{_suffix(target)}"
        raise UnsupportedPixels(
            f"{reader.request.name} has several pictures, and {format.name} holds one: number them, as in {example}"
        )
    return _to_one(reader, target, format, wanted)


def _target(reader: Reader, target: str, wanted: _Wanted, mode: str = "i") -> Format:
    """Refuse a target that must not be written, and choose the format of the others."""
    with Request(target, mode, writing=True) as request:
        if request.path is not None and request.path.exists():
            if reader.request.path is not None and request.path.samefile(reader.request.path):
                raise UriError(f"{target} is the file that is read; name another")
            if not wanted.force:
                raise OutputFailed(f"{target} exists already; --force replaces it")
        return writer_for(request, None)


def _options(reader: Reader, target: Format, wanted: _Wanted) -> dict[str, Any]:
    """Give the keywords of the writer."""
    info = reader.info
    given: dict[str, Any] = {}
    if wanted.quality is not None:
        given["quality"] = int(wanted.quality) if wanted.quality.is_integer() else wanted.quality
    if wanted.codec is not None:
        given["codec"] = wanted.codec
    if not isinstance(target, FilmFormat):
        return given
    own = info.video.fps if info.video else None
    if (times := _uneven(reader, target, wanted)) is not None:
        given["timestamps"] = times
    elif (fps := wanted.fps or own) is not None:
        given["fps"] = fps if wanted.fps else fps / wanted.every
    if _goes_along(info, target, wanted):
        given["audio_path"] = info.uri
    return given


def _uneven(reader: Reader, target: FilmFormat, wanted: _Wanted) -> list[float] | None:
    """Give the time of each frame where they are not evenly spaced and DST can tell so."""
    video = reader.info.video
    if not isinstance(reader, FilmReader) or wanted.fps or target.container.muxer not in _UNEVEN:
        return None
    times = reader.timestamps
    pace = Pace(video.fps if video else None)
    for index, time in enumerate(times):
        pace.add(index, time)
    return (times - times[0])[:: wanted.every].tolist() if pace.note() else None


_UNEVEN = ("mp4", "mov", "matroska", "webm", "gif", "apng", "webp")


def _opaque(reader: Reader, target: Format, wanted: _Wanted) -> bool:
    """Tell whether SRC is a film with transparency, and DST cannot have it."""
    if not isinstance(reader, FilmReader) or isinstance(reader, AnimationReader) or not reader.transparent:
        return False
    if not isinstance(target, FilmFormat):
        return not target.alpha
    codec = CODECS.get(wanted.codec or target.container.video[0])
    return codec is None or not (codec.alpha or codec.layered)


def _goes_along(info: MediaInfo, target: FilmFormat, wanted: _Wanted) -> bool:
    return wanted.audio and wanted.fps is None and info.audio is not None and bool(target.container.audio)


def _frames(reader: Reader, task: Task, wanted: _Wanted, pace: Pace, *, opaque: bool) -> Iterator[np.ndarray[Any, Any]]:
    """Give the frames that are wanted, and count them; `opaque` ones have no fourth channel.

    What has 9 to 15 bits is given the full scale of 16, as DST would take it for dark.
    """
    white = reader.get_meta_data().get("FILE", {}).get("maxval")
    for index, frame in enumerate(reader):
        pace.add(index, frame.meta.get("time"))
        if index % wanted.every == 0:
            shown = frame[..., :3] if opaque else frame
            yield full_scale(np.asarray(shown), white) if white else shown
            task.advance()


def _groups(reader: Reader) -> dict[str, Any]:
    """Give the metadata of a picture, which goes along; that of a film is another matter."""
    if reader.info.video is not None:
        return {}
    return {name: group for name, group in reader.get_meta_data().items() if isinstance(group, dict)}


def _count(reader: Reader, wanted: _Wanted) -> int | None:
    """Say how many frames will come, where that is known without counting."""
    count = reader.info.video.frames if reader.info.video else len(reader)
    return None if count is None else -(-count // wanted.every)


def _to_one(reader: Reader, target: str, format: Format, wanted: _Wanted) -> str:
    """Write one file."""
    info = reader.info
    options = _options(reader, format, wanted)
    opaque = _opaque(reader, format, wanted)
    pace = Pace(info.video.fps if info.video and "timestamps" not in options else None)
    with ExitStack() as stack:
        writer = stack.enter_context(_opened(target, options))
        task = stack.enter_context(Progress(quiet=wanted.quiet)).add(Path(target).name, _count(reader, wanted))
        shape: tuple[int, ...] = ()
        writer.set_meta_data(_groups(reader))
        for frame in _frames(reader, task, wanted, pace, opaque=opaque):
            writer.append_data(frame)
            shape = frame.shape
        task.finish()
    lost = losses(info, format, sound="audio_path" in options, opaque=opaque) if isinstance(format, FilmFormat) else []
    _tell([*lost, *pace.note(), *said_of_metadata(writer.changes)], wanted)
    return f"{target}: {_what(task.done, shape)}{_speed(options)}, {byte_count(Path(target).stat().st_size)}"


def _opened(target: str, options: dict[str, Any], mode: str = "I") -> Any:
    """Open the writer; what it does not take of the options is a mistake of the call."""
    try:
        return get_writer(target, mode=mode, **options)
    except BridgeError:
        raise
    except (TypeError, ValueError) as error:
        raise click.UsageError(clean(error)) from error


def _to_pictures(reader: Reader, target: str, pattern: re.Match[str], format: Format, wanted: _Wanted) -> str:
    """Write one picture a frame: in a folder of their own first, so that an interrupted run leaves none."""
    folder = Path(target).parent
    _check_numbers(Path(target), pattern, wanted)
    options = _options(reader, format, wanted)
    opaque = _opaque(reader, format, wanted)
    pace = Pace(None)
    groups = _groups(reader)
    changes: dict[str, None] = {}
    with ExitStack() as stack:
        made = part_name(folder)
        stack.callback(shutil.rmtree, made, ignore_errors=True)  # before it is made: an interrupt may come between
        made.mkdir(mode=0o700)
        task = stack.enter_context(Progress(quiet=wanted.quiet)).add(Path(target).name, _count(reader, wanted))
        for number, frame in enumerate(_frames(reader, task, wanted, pace, opaque=opaque)):
            changes |= _write(made / Path(_numbered(target, pattern, number)).name, frame, groups, options)
        task.finish()
        for picture in sorted(made.iterdir()):
            picture.replace(folder / picture.name)
    lost = losses(reader.info, None, sound=False, opaque=opaque)
    _tell([*lost, *said_of_metadata(changes)], wanted)
    names = [_numbered(target, pattern, number) for number in (0, task.done - 1)]
    return f"{task.done} pictures: {names[0]} to {names[1]}"


def _write(path: Path, frame: np.ndarray[Any, Any], groups: dict[str, Any], options: dict[str, Any]) -> dict[str, None]:
    """Write one picture; give what its writer says of changes."""
    with _opened(str(path), options, "i") as writer:
        writer.append_data(frame, groups)
    return dict.fromkeys(writer.changes)


def _numbered(target: str, pattern: re.Match[str], number: int) -> str:
    """Put a number into a name; no other percent sign in it means anything."""
    name = Path(target).name
    return str(Path(target).with_name(name[: pattern.start()] + pattern[0] % number + name[pattern.end() :]))


def _check_numbers(target: Path, pattern: re.Match[str], wanted: _Wanted) -> None:
    """Refuse where a picture of that name is there, whatever its number."""
    before, after = target.name[: pattern.start()], target.name[pattern.end() :]
    like = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")
    there = next((path for path in sorted(target.parent.iterdir()) if like.fullmatch(path.name)), None)
    if there is not None and not wanted.force:
        raise OutputFailed(f"{there} exists already; --force replaces it, or choose another name")


def _tell(notes: list[str], wanted: _Wanted) -> None:
    for note in notes if not wanted.quiet else ():
        click.echo(f"note: {clean(note)}", err=True)


def _what(count: int, shape: tuple[int, ...]) -> str:
    size = f"{shape[1]}x{shape[0]}" if len(shape) in (2, 3) else str(shape)
    return f"{count} frames, {size}" if count > 1 else size


def _speed(options: dict[str, Any]) -> str:
    fps = options.get("fps")
    return "" if fps is None else f", {float(fps):.6g} frames per second"
