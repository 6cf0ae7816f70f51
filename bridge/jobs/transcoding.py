"""transcode(): film to film, by keywords; and start(), the same work as an iterator of its progress."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from bridge.core.uri import FileObject, FilePath, RawBytes, parse
from bridge.errors import BadJob, BridgeError, JobCancelled
from bridge.jobs.bench import Order
from bridge.jobs.job import Audio, Job, Keep, Ladder, Picture, Trim, Video
from bridge.jobs.presets import preset as keywords_of
from bridge.jobs.retry import pause, worth_another_try
from bridge.jobs.runner import STALL, Stop
from bridge.jobs.work import Result, Working
from bridge.limits import Limits, of_call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.jobs.step import Progress

__all__ = ["job_of", "run", "start", "transcode"]

_VIDEO = {
    "video_codec": "codec", "crf": "crf", "target_vmaf": "target_vmaf", "target_ssim": "target_ssim",
    "bitrate": "bitrate", "two_pass": "two_pass", "size": "size", "fps": "fps", "pixel_format": "pixel_format",
    "speed": "speed", "filters": "filters", "free_filters": "free_filters", "options": "options",
}  # fmt: skip
_AUDIO = {"audio_codec": "codec", "audio_bitrate": "bitrate", "audio_rate": "rate", "audio_channels": "channels",
          "loudness": "loudness"}  # fmt: skip
_KEEP = {name: name for name in ("subtitles", "chapters", "metadata", "attachments")}
_TRIM = {"start": "start", "end": "end", "first_frame": "first", "stop_frame": "stop"}
_JOB = {name: name for name in ("container", "ladder", "pictures", "check", "at_least", "on_damage", "labels")}


def job_of(src: Any, dst: Any, *, preset: str | None = None, trust: str = "normal", **wishes: Any) -> Job:
    """Make the Job that some keywords of `transcode` mean.

    Raises
    ------
    BadJob
        If they make no sense, or not together.
    TypeError
        For a keyword that is none.
    """
    sources = tuple(map(_name, src if isinstance(src, tuple | list) else (src,)))
    given = {**(keywords_of(preset) if preset else {}), **{k: v for k, v in wishes.items() if v is not None}}
    strange = set(given) - {*_VIDEO, *_AUDIO, *_KEEP, *_TRIM, *_JOB, "video"}
    if strange:
        raise TypeError(f"transcode() got unexpected keywords: {', '.join(sorted(strange))}")
    if {"crf", "bitrate", "target_vmaf", "target_ssim"} & set(wishes) and preset:  # a quality of one's own goes first
        for name in ("crf", "bitrate"):
            if wishes.get(name) is None:
                given.pop(name, None)
    target = _name(dst)
    pictured = given.pop("video", True)
    return Job(
        sources=sources,
        target=target,
        video=Video(**_part(given, _VIDEO)) if pictured else None,
        audio=Audio(**_part(given, _AUDIO)),
        keep=Keep(**_part(given, _KEEP)),
        trim=Trim(**_part(given, _TRIM)),
        trust=trust,
        **_part(given, _JOB),
    )


def _part(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {field: given[name] for name, field in names.items() if name in given}


def _name(uri: Any) -> str:
    """Name a uri in a job: content that has no name goes by what it is."""
    resource = parse(uri)
    if isinstance(resource, FilePath):
        return str(resource.path)
    if isinstance(resource, RawBytes):
        return f"<bytes {hashlib.sha256(resource.data).hexdigest()}>"
    if isinstance(resource, FileObject):
        return f"<file {resource} {id(resource.file)}>"
    return uri if isinstance(uri, str) else str(resource)


def start(
    src: Any,
    dst: Any,
    *,
    limits: Limits | None = None,
    trust: str | None = None,
    deadline: float | None = None,
    stall: float | None = STALL,
    sidecar: bool = False,
    again: bool = False,
    workers: int | str = 1,
    executor: Any = None,
    cancel: Stop | None = None,
    **wishes: Any,
) -> Working:
    """Begin a job: iterate over it for its progress, then ask for its `result`. Keywords are those of `transcode`.

    Returns
    -------
    Working
        A context manager.
    """
    limits = of_call(limits, trust)
    job = job_of(src, dst, trust=limits.trust, **wishes)
    sources = tuple(src) if isinstance(src, tuple | list) else (src,)
    return Working(
        Order(
            job=job, sources=sources, target=dst, limits=limits, deadline=deadline, stall=stall, sidecar=sidecar,
            again=again, workers=workers, executor=executor, stop=cancel or Stop(),
        )
    )  # fmt: skip


def run(job: Job, **how: Any) -> Result:
    """Do a job that is a value already, as it may have come from elsewhere; `how` are the keywords of `Order`.

    Raises
    ------
    BridgeError
        See `transcode`.
    """
    limits = how.pop("limits", None) or Limits(trust=job.trust)
    with Working(Order(job=job, sources=job.sources, target=job.target, limits=limits, **how)) as working:
        return working.result


def transcode(
    src: Any,
    dst: Any,
    *,
    preset: str | None = None,
    video_codec: str | None = None,
    crf: float | None = None,
    target_vmaf: float | None = None,
    target_ssim: float | None = None,
    bitrate: int | str | None = None,
    two_pass: bool | None = None,
    size: Any = None,
    fps: Any = None,
    pixel_format: str | None = None,
    speed: str | None = None,
    filters: Sequence[str] | None = None,
    free_filters: str | None = None,
    options: Sequence[str] | None = None,
    video: bool | None = None,
    audio_codec: str | None = None,
    audio_bitrate: int | str | None = None,
    audio_rate: int | None = None,
    audio_channels: int | None = None,
    loudness: float | None = None,
    subtitles: bool | None = None,
    chapters: bool | None = None,
    metadata: bool | None = None,
    attachments: bool | None = None,
    start: Any = None,
    end: Any = None,
    first_frame: int | None = None,
    stop_frame: int | None = None,
    container: str | None = None,
    ladder: Ladder | None = None,
    pictures: Sequence[Picture] | None = None,
    check: str | None = None,
    at_least: float | None = None,
    on_damage: str = "raise",
    labels: Mapping[str, str] | None = None,
    workers: int | str = 1,
    executor: Any = None,
    progress: Callable[[Progress], object] | bool | None = None,
    cancel: Stop | None = None,
    attempts: int = 1,
    deadline: float | None = None,
    stall: float | None = STALL,
    sidecar: bool = False,
    again: bool = False,
    limits: Limits | None = None,
    trust: str | None = None,
) -> Result:
    """Transcode film to film, without arrays.

    What is not named is kept: all sound, subtitles, chapters, metadata and attachments that the container of `dst`
    can hold, the size and the time of every frame. What cannot be kept is told in the result's `changes`.

    Parameters
    ----------
    src : uri, or list of uris
        A film, as for `get_reader`; several are joined.
    dst : str or path
        The result; its extension says the container. It appears complete and checked, or not at all. ``"<bytes>"``
        with ``container=`` returns it.
    preset : {"web", "archive", "proxy", "gif", "hls"}, optional
        Keywords that go together; those that are given come first.
    video_codec : str, optional
        ``"copy"``, a family (``"h264"``, ``"hevc"``, ``"av1"``, ``"vp9"``, ``"ffv1"``, …) or an encoder of FFmpeg's.
    crf : float, optional
        Constant quality on the encoder's own scale; smaller is better for most.
    target_vmaf, target_ssim : float, optional
        Have the crf found that gives this quality, on probes of the film.
    bitrate, two_pass
        Bits per second instead, spent in one pass or in two.
    size : tuple of int, optional
        Width and height; a side of 0 follows from the other.
    fps : float, optional
        A constant rate.
    pixel_format, speed : str, optional
        FFmpeg's names, of the pixel format and of the encoder's preset.
    filters : sequence of str, optional
        Of those in `bridge.jobs.filters`: ``"crop=640:360:0:0"``, ``"hflip"``, ``"bwdif"``, …
    free_filters : str, optional
        Any chain of FFmpeg's filters; for ``trust="trusted"``.
    options : sequence of str, optional
        Further options of ffmpeg's output, as ``output_params=`` of writers.
    video : bool, optional
        False leaves the picture out.
    audio_codec : str, optional
        ``"copy"``, ``"none"``, or an encoder of FFmpeg's; by default sound is copied where that is possible.
    audio_bitrate, audio_rate, audio_channels
        Of the sound.
    loudness : float, optional
        LUFS that the sound is brought to (EBU R128, in two passes).
    subtitles, chapters, metadata, attachments : bool, optional
        False leaves them out.
    start, end : float, optional
        Seconds from the first frame: the part that is taken, exact to the frame.
    first_frame, stop_frame : int, optional
        The same by numbers of frames.
    container : str, optional
        ``"MP4"``, ``"MKV"``, … where the name of `dst` does not say it.
    ladder : Ladder, optional
        The qualities of a ``.m3u8`` or ``.mpd``.
    pictures : sequence of Picture, optional
        Thumbnails, contact sheets and previews to make besides.
    check : {"ssim", "psnr", "vmaf"}, optional
        Compare the result with the source, too; `at_least` is the least that it must reach.
    on_damage : {"raise", "warn", "ignore"}
        What is done about a damaged film.
    labels : dict, optional
        Words of your own, for the sidecar.
    workers : int or "auto"
        How many chunks of the film are encoded at the same time; ``"auto"`` takes chunks where these pay. The result
        has the same frames at the same times. Interrupted or killed, the same call goes on where it was.
    executor : concurrent.futures.Executor, or Dask client, or address of a Dask scheduler, optional
        Where chunks are encoded, in the place of threads of this process. The target must be there under the same name,
        and so must the film, or at an address, from which each chunk's worker then fetches it.
    progress : callable or True
        Is given each `Progress`; True shows a bar.
    cancel : Stop, optional
        ``cancel.set()`` from another thread stops the job at once.
    attempts : int
        How often it is tried where another try may help: a full disk, a killed program, a stall.
    deadline, stall : float, optional
        Seconds for all of it, and from one frame to the next.
    sidecar : bool
        Lay ``DST.job.json`` beside the result: the job, commands, versions, times and checks.
    again : bool
        Make it although the result of the same job and films is there, which is otherwise done at once.
    limits, trust
        As for `get_reader`.

    Returns
    -------
    Result
        What was made, what has changed, what was checked.

    Raises
    ------
    BadJob, ForbiddenOption, MissingCodec
        If the job makes no sense, is not allowed, or this ffmpeg lacks something for it: before any work.
    UriNotFound, ForbiddenUri, CorruptMedia, TruncatedMedia
        If the film cannot be read, or the result not be written.
    ToolFailed, ToolTimeout, OutputFailed, CheckFailed, JobCancelled
        If the work itself fails. Nothing is left of it.

    Examples
    --------
    >>> bridge.transcode("talk.mov", "talk.mp4", video_codec="h264", crf=22)      # doctest: +SKIP
    >>> bridge.transcode("talk.mov", "part.mkv", preset="archive", start=60, end=90)  # doctest: +SKIP
    """
    given = dict(locals())
    shown, tries = given.pop("progress"), given.pop("attempts")
    sources, target = given.pop("src"), given.pop("dst")
    stop = given["cancel"] = cancel or Stop()
    with ExitStack() as stack:
        report = stack.enter_context(closing(_Bar(str(_name(target))))) if shown is True else shown
        for attempt in range(max(1, tries)):
            try:
                return _once(sources, target, given, report if callable(report) else None)
            except BridgeError as error:
                if attempt + 1 >= tries or isinstance(error, JobCancelled) or not worth_another_try(error):
                    raise
                if stop.wait(pause(attempt)):
                    raise
    raise BadJob("attempts is at least 1")


def _once(src: Any, dst: Any, given: Mapping[str, Any], report: Callable[[Progress], object] | None) -> Result:
    """Do it once; what the callback raises stops the job."""
    with _start(src, dst, **given) as working:
        for progress in working:
            if report is not None:
                report(progress)
        return working.result


_start = start  # `transcode` has a keyword of that name


class _Bar:
    """A bar on the terminal."""

    def __init__(self, name: str) -> None:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        from bridge.printing import printable

        self._bars = Bars(
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
        )
        self._task = self._bars.add_task(printable(name), total=1.0)
        self._bars.start()

    def __call__(self, progress: Progress) -> None:
        """Show it."""
        self._bars.update(self._task, completed=progress.fraction or 0.0)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bars.stop()
