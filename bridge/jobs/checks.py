"""Checks: whether a result is what it should be, by its own listing and by its pictures beside the source's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import CheckFailed, CorruptMedia, MissingCodec
from bridge.ffmpeg.containers import AUDIO_DEMUXERS
from bridge.ffmpeg.listing import Film, Listing, count
from bridge.ffmpeg.probe import media_info
from bridge.jobs.encoding import reads
from bridge.jobs.step import Step, source
from bridge.media.info import AudioStream
from bridge.media.mp4 import video_samples
from bridge.media.sniff import picture_head, sniff
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.core.request import Request
    from bridge.jobs.encoding import Making
    from bridge.jobs.survey import Survey
    from bridge.limits import Limits
    from bridge.media.info import MediaInfo

__all__ = ["Judged", "can", "comparison", "look", "score"]

_SLACK = 0.25  # seconds by which the lengths of sound and picture may differ from what is expected
_SCORES = {
    "ssim": re.compile(r"SSIM .*All:(\S+)"),
    "psnr": re.compile(r"PSNR .*average:(\S+)"),
    "vmaf": re.compile(r"VMAF score[:=] ?(\S+)"),
}
_FILTERS = {"ssim": "ssim", "psnr": "psnr", "vmaf": "libvmaf"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found in a result.

    Attributes
    ----------
    frames : int or None
        Counted.
    seconds : float or None
        As it says.
    info : MediaInfo
        All that it says.
    changes : tuple of str
        What of the source's it lacks.
    """

    frames: int | None
    seconds: float | None
    info: MediaInfo
    changes: tuple[str, ...]


def look(made: Request, making: Making, first: Survey, *, strict: bool = True) -> Judged:
    """Compare what was made with what was to be made.

    Raises
    ------
    CheckFailed
        If frames, streams or the length are others; of a damaged source that is to be used all the same, only
        if there is nothing.
    """
    made.kind = sniff(made.head)
    demuxer = AUDIO_DEMUXERS.get(made.kind or "", "webp_pipe" if made.kind == "webp" else None)
    frames = _counted(made) if making.video else None
    listing = Listing(Film(request=made, demuxer=demuxer)) if making.video and frames is None else None  # meanwhile
    try:
        info = media_info(made, demuxer)
        frames = count(listing) if listing else frames
    except CorruptMedia as error:
        raise CheckFailed(f"what was made of {first.name} cannot be read: {error}") from error
    finally:
        if listing is not None:
            listing.close()
    complaints = [
        *_of_frames(frames, making, strict=strict),
        *_of_streams(info, making),
        *(_of_length(info, making) if strict else ()),
    ]
    if complaints:
        raise CheckFailed(f"what was made of {first.name} is not what it should be: {'; '.join(complaints)}")
    return Judged(frames=frames, seconds=info.duration, info=info, changes=tuple(_lost(first.info, info)))


def _counted(made: Request) -> int | None:
    """Count the frames by the file's own header; None if that does not tell."""
    if made.kind == "webp":  # FFmpeg writes animations, and reads none before 9
        head = picture_head("webp", made.read_at)
        return head.frames if head else 0
    return video_samples(made.read_at, made.size) if made.kind in ("mp4", "avis") else None


def _of_frames(frames: int | None, making: Making, *, strict: bool) -> list[str]:
    if making.video and not frames:
        return ["it has no frames"]
    if strict and making.frames is not None and frames != making.frames:
        return [f"it has {frames} frames, not {making.frames}"]
    return []


def _of_streams(info: MediaInfo, making: Making) -> list[str]:
    sounds = sum(isinstance(stream, AudioStream) for stream in info.streams)
    said = [] if sounds == making.sounds else [f"it has {sounds} audio streams, not {making.sounds}"]
    video = info.video
    if making.video and video is None:
        said.append("it has no film")
    elif video is not None and video.width and making.size not in (None, (video.width, video.height)):
        said.append(f"it is {video.width}x{video.height}, not {making.size[0]}x{making.size[1]}")
    return said


def _of_length(info: MediaInfo, making: Making) -> list[str]:
    if making.seconds is None or not info.duration:
        return []
    slack = max(_SLACK, 0.01 * making.seconds)
    if abs(info.duration - making.seconds) <= slack or (making.frames is not None and info.duration > making.seconds):
        return []
    return [f"it is {info.duration:.2f} s long, not {making.seconds:.2f} s"]


_OWN = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "handler_name",
                  "vendor_id", "language", "creation_time"})  # fmt: skip


def _lost(before: MediaInfo, after: MediaInfo) -> list[str]:
    """Tell what of the source's facts is not in the result, in words."""
    kept = {name.lower() for name in after.tags}
    names = [name for name in before.tags if name.lower() not in kept | _OWN]
    said = [f"metadata that the container does not hold: {', '.join(sorted(names))}"] if names else []
    old, new = before.video, after.video
    if old is not None and new is not None and old.hdr and not new.hdr:
        said.append("mastering display and light level are not told")
    return said


def can(check: str) -> None:
    """Refuse a comparison that this ffmpeg cannot make.

    Raises
    ------
    MissingCodec
    """
    have = toolbox().abilities("ffmpeg").filters
    if _FILTERS[check] not in have:
        there = ", ".join(repr(other) for other, row in _FILTERS.items() if row in have)
        raise MissingCodec(
            f"{toolbox().find('ffmpeg')} has no filter {_FILTERS[check]} for {check!r}; it has {there or 'none'}"
        )


def comparison(
    check: str, film: Survey, name: str, limits: Limits, *, chain: Sequence[str] = (), frames: int | None = None
) -> Step:
    """Give the command that compares the pictures of a result, its second input, with those of the source.

    Frames are compared one by one: the first with the first, whatever their times.

    Raises
    ------
    MissingCodec
        If this ffmpeg cannot.
    """
    can(check)
    even = "settb=AVTB,setpts=N"
    before = ",".join((*chain, even))
    graph = f"[0:V:0]{before}[source];[1:V:0]{even}[made];[source][made]scale2ref[a][b];[b][a]{_FILTERS[check]}"
    return Step(
        subject=film.name,
        arguments=(
            *reads(film, limits, 0), "-i", source(1), "-filter_complex", graph, "-an", "-v", "info", "-f", "null", "-y",
            "pipe:2",
        ),
        inputs=(film.name, name),
        frames=frames,
    )  # fmt: skip


def score(check: str, said: str) -> float:
    """Read the number that a comparison has said.

    Raises
    ------
    CheckFailed
        If there is none.
    """
    found = _SCORES[check].search(said)
    if found is None:
        raise CheckFailed(f"ffmpeg has not said what {check} gives")
    return float(found[1]) if found[1] != "inf" else float("inf")
