"""Encoding: a job and what is known of its films -> the commands that make the result, and what these will change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.errors import BadJob, CorruptMedia
from bridge.ffmpeg.argv import reading
from bridge.ffmpeg.free import OUTPUT_OPTIONS, are_harmless, check_options
from bridge.jobs.coding import Coded, code_audio, code_video, shown_size
from bridge.jobs.cut import Cut, cut_of
from bridge.jobs.job import Trim
from bridge.jobs.step import Step, folder, made, source
from bridge.jobs.targets import PICTURE_SUBTITLES, SUBTITLES, TEXTS
from bridge.media.alpha import MAYBE, transparency
from bridge.media.info import AudioStream, OtherStream, VideoStream
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.ffmpeg.containers import Container
    from bridge.jobs.job import Job, Video
    from bridge.jobs.survey import Survey
    from bridge.limits import Limits

__all__ = ["Found", "Making", "making", "reads"]

_CHAPTERS = frozenset({"mp4", "mov", "matroska", "webm", "ogg", "nut", "ipod"})
_COVERS = frozenset({"mp4", "mov", "ipod"})
_WEB = frozenset({"mp4", "mov", "ipod"})
_JOINED_CLOCK = "1:90000"
# Encoders that look at the whole film first by ffmpeg's own means.
_TWO_PASSES = frozenset({"libx264", "libvpx", "libvpx-vp9", "libaom-av1", "mpeg4", "mpeg2video", "wmv2"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found out about the films before the result is made.

    Attributes
    ----------
    crf : float or None
        For which the quality is the one that is wanted.
    loudness : tuple of dict
        For each audio stream, what FFmpeg's `loudnorm` has measured.
    whole : bool
        Decode the film from its beginning, whichever part is taken.
    """

    crf: float | None = None
    loudness: tuple[Mapping[str, str], ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How a result is made.

    Attributes
    ----------
    step : Step
        The command.
    first : Step or None
        One that looks at the whole film before it; both write in one folder.
    picture : Coded or None
        How its picture is coded.
    rest : tuple of str
        The words for all but the picture.
    frames : int or None
        How many the result must have; None where that follows from no index.
    seconds : float or None
        How long it must be.
    video, sounds : bool and int
        Whether it has a picture, and how many audio streams.
    taken : tuple of int or None
        The first frame of the film that is in it, and the first behind that is not; None for all.
    size : tuple of int or None
        Width and height of its picture, where they are known.
    before, after : tuple of str
        Words before the input and for the output, by which a part is taken.
    changes : tuple of str
        What will not be as it was.
    """

    step: Step
    first: Step | None = None
    picture: Coded | None = None
    rest: tuple[str, ...] = ()
    frames: int | None = None
    seconds: float | None = None
    video: bool = True
    sounds: int = 0
    taken: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    changes: tuple[str, ...] = field(default_factory=tuple)


def reads(survey: Survey, limits: Limits, number: int = 0, before: Sequence[str] = ()) -> tuple[str, ...]:
    """Give the words that have ffmpeg read a film."""
    layered = transparency(survey.request.kind or "", survey.request.read_at, survey.request.size)
    decoder = layered if layered not in (None, MAYBE) and layered in toolbox().abilities("ffmpeg").decoders else None
    return (
        *reading(survey.demuxer),
        *("-max_pixels", str(limits.pixels)),
        *(("-threads", "1") if survey.demuxer == "ogg" else ()),
        *(("-c:v", decoder) if decoder else ()),
        *before,
        *("-i", source(number)),
    )


def making(job: Job, container: Container, films: Sequence[Survey], limits: Limits, found: Found = Found()) -> Making:
    """Tell how the result of a job is made.

    Raises
    ------
    BadJob, MissingCodec, UnsupportedPixels, CorruptMedia, ForbiddenOption
        If it cannot be, or not with this ffmpeg.
    """
    if len(films) > 1:
        return _Joined(job, container, films, limits, found).making()
    return _Plain(job, container, films, limits, found).making()


class _Plain:
    """One film into one film."""

    def __init__(self, job: Job, container: Container, films: Sequence[Survey], limits: Limits, found: Found) -> None:
        self.job, self.container, self.films, self.limits, self.found = job, container, films, limits, found
        self.film = films[0]
        self.tool = toolbox().find("ffmpeg")
        self.abilities = toolbox().abilities("ffmpeg")
        self.changes: list[str] = []
        self.video = self._wanted_video()
        if job.video is not None:
            own = job.video.options
            check_options(own, limits, keyword="options", allowed=OUTPUT_OPTIONS)
            self.sealed = are_harmless((), own) and not job.video.free_filters
        else:
            self.sealed = True

    def making(self) -> Making:
        """Put it together."""
        cut = self._cut()
        picture, maps = self._picture()
        sounds = self._sounds(cut)
        if picture is None and not sounds:
            raise BadJob(f"{self.film.name}: neither its picture nor sound would be in {self.container.name}")
        others = self._others()
        rest = [*sounds, *others, *self._kept(), *(cut.after if cut else ()), *self._container_words()]
        frames = self._frames(cut, picture)
        step = Step(
            subject=self.film.name,
            arguments=(*self._inputs(cut), *maps, *rest, "-y", made(0)),
            inputs=tuple(film.name for film in self.films),
            outputs=(self.job.target,),
            frames=frames if picture is None or picture.exact else None,
            seconds=self._seconds(cut),
            silent=self.container.muxer == "gif",
            sealed=self.sealed,
        )
        done = Making(
            step=step,
            picture=picture,
            rest=tuple(rest),
            frames=frames,
            seconds=self._seconds(cut),
            video=self.video is not None,
            sounds=sum(word == "-map" for word in sounds),
            taken=cut.taken if cut and cut.frames else None,
            size=self._size(),
            before=cut.before if cut else (),
            after=cut.after if cut else (),
            changes=tuple(dict.fromkeys([*self.changes, *(picture.changes if picture else ())])),
        )
        return self._in_two(done, picture) if self.job.video and self.job.video.two_pass else done

    def _wanted_video(self) -> VideoStream | None:
        """Give the film that goes along, if one is wanted and there is one."""
        video = self.film.video
        wanted = self.job.video is not None and bool(self.container.video)
        if video is not None and not wanted and self.job.video is not None:
            self.changes.append("the picture was left out")
        if video is None and not self.film.sounds:
            raise CorruptMedia(f"{self.film.name} holds neither a film nor sound")
        if video is None and wanted:
            self.changes.append(f"{self.film.name} has no film: the result is sound alone")
            if not self.container.audio:
                raise BadJob(f"{self.film.name} has no film, and {self.container.name} holds no sound alone")
        return video if wanted else None

    def _cut(self) -> Cut | None:
        trim = self.job.trim
        if trim == Trim():
            return None
        if self.film.video is not None:
            index = self.film.index
            start = self.film.info.start
            return cut_of(trim, index, self.film.name, jumps=not self.found.whole and self._jumps, start=start)
        if trim.first is not None or trim.stop is not None:
            raise BadJob(f"{self.film.name} has no film of which frames could be taken")
        begin, length = trim.start or Fraction(0), self.film.seconds
        if length is not None and begin >= length:
            raise BadJob(f"{self.film.name} is {length:g} s long, nothing of it is in the part that is asked for")
        end = () if trim.end is None else ("-t", f"{float(trim.end - begin):.6f}")
        seconds = min(float(trim.end or length or 0), length or float("inf")) - float(begin)
        return Cut(before=(), after=("-ss", f"{float(begin):.6f}", *end), taken=(0, 0), seconds=seconds)

    @property
    def _jumps(self) -> bool:
        """Whether key frames are found by their times."""
        return self.film.demuxer not in ("mpegts", "mpeg")

    def _inputs(self, cut: Cut | None) -> list[str]:
        return [*reads(self.film, self.limits, 0, cut.before if cut else ())]

    def _picture(self) -> tuple[Coded | None, list[str]]:
        """Code the film; give that, and the words for it."""
        if self.video is None or self.job.video is None:
            return None, []
        coded = self._code(self.job.video, self.video)
        return coded, ["-map", f"0:{self.video.index}", *self._chain(coded), *coded.options]

    def _code(self, wish: Video, video: VideoStream) -> Coded:
        return code_video(
            wish, video, self.container, self.abilities, self.tool,
            even=lambda: all(film.even for film in self.films), crf=self.found.crf,
        )  # fmt: skip

    def _chain(self, coded: Coded) -> list[str]:
        chain = self._coloured(coded.filters)
        return ["-vf", chain] if chain else []

    def _coloured(self, filters: Sequence[str]) -> str:
        """Give a chain of filters, behind which a GIF gets its colours."""
        if self.container.muxer == "gif":
            palette = "split[frames][seen];[seen]palettegen=stats_mode=diff:reserve_transparent=1[colours]"
            filters = [*filters, f"{palette};[frames][colours]paletteuse=dither=sierra2_4a:diff_mode=rectangle"]
        return ",".join(filters)

    def _sounds(self, cut: Cut | None) -> list[str]:
        """Give the words for all audio streams."""
        words: list[str] = []
        wish = self.job.audio
        streams = self.film.sounds if wish.codec != "none" else []
        if streams and not self.container.audio:
            self.changes.append("the sound was left out")
        if wish.loudness is not None:
            self.abilities.need("filters", "loudnorm", self.tool)
        for number, stream in enumerate(streams if self.container.audio else ()):
            coded = code_audio(wish, stream, self.container, self.abilities, self.tool, cut=cut is not None)
            self.changes += coded.changes
            words += ["-map", f"0:{stream.index}", *(word.replace("#", str(number)) for word in coded.options)]
            if wish.loudness is not None and (chain := _loudnorm(wish.loudness, self.found.loudness, number)):
                words += [f"-filter:a:{number}", chain]
        return [*words, "-strict", "-2"] if words else []

    def _others(self) -> list[str]:
        """Give the words for subtitles, attachments and cover pictures, and tell what is left out."""
        words: list[str] = []
        counts = {"subtitle": 0, "attachment": 0}
        for stream in self.film.info.streams:
            if isinstance(stream, OtherStream):
                words += self._other(stream, counts)
            elif isinstance(stream, VideoStream) and stream is not self.film.video:
                words += self._further(stream)
        return words

    def _other(self, stream: OtherStream, counts: dict[str, int]) -> list[str]:
        keep = self.job.keep
        codec = ""
        if stream.kind == "subtitle" and keep.subtitles:
            codec = self._subtitle(stream)
        elif stream.kind == "attachment" and keep.attachments and self.container.muxer == "matroska":
            codec = "copy"
        if not codec and (stream.kind == "subtitle" and not keep.subtitles):
            return []
        if not codec:
            named = {"subtitle": "subtitles", "attachment": "an attachment"}.get(
                stream.kind, f"a stream of {stream.kind}"
            )
            self.changes.append(f"{named} ({stream.codec}) {'were' if named == 'subtitles' else 'was'} left out")
            return []
        number = counts[stream.kind]
        counts[stream.kind] += 1
        return ["-map", f"0:{stream.index}", f"-c:{stream.kind[0].replace('a', 't')}:{number}", codec]

    def _subtitle(self, stream: OtherStream) -> str:
        """Give the encoder for subtitles, or ``copy``; empty where the container can hold none of their kind."""
        kept, text = SUBTITLES.get(self.container.muxer, (frozenset(), ""))
        if stream.codec in kept:
            return "copy"
        if stream.codec in TEXTS and stream.codec not in PICTURE_SUBTITLES and text in self.abilities.encoders:
            self.changes.append(f"subtitles in {stream.codec} became {text}")
            return text
        return ""

    def _further(self, stream: VideoStream) -> list[str]:
        """Give the words for a video stream that is not the film: cover pictures go along."""
        if not stream.attached_picture:
            self.changes.append("a further video stream was left out")
        elif self.container.muxer in _COVERS and self.job.keep.attachments and self.video is not None:
            return ["-map", f"0:{stream.index}", "-c:v:1", "copy", "-disposition:v:1", "attached_pic"]
        else:
            self.changes.append("a cover picture was left out")
        return []

    def _kept(self) -> list[str]:
        keep = self.job.keep
        chapters = keep.chapters and self.container.muxer in _CHAPTERS
        if self.film.info.chapters and keep.chapters and not chapters:
            self.changes.append("chapters were left out")
        return ["-map_metadata", "0" if keep.metadata else "-1", "-map_chapters", "0" if chapters else "-1"]

    def _container_words(self) -> list[str]:
        faststart = ("-movflags", "+faststart") if self.container.muxer in _WEB else ()
        return [*faststart, "-f", self.container.muxer]

    def _frames(self, cut: Cut | None, picture: Coded | None) -> int | None:
        """Give how many frames the result must have, where each of the film's comes out once."""
        wish = self.job.video
        if picture is None or wish is None or not picture.exact or _changes_count(wish.filters, wish.free_filters):
            return None
        return cut.frames if cut else len(self.film.index)

    def _seconds(self, cut: Cut | None) -> float | None:
        return cut.seconds if cut else self.film.seconds

    def _size(self) -> tuple[int, int] | None:
        wish = self.job.video
        if self.video is None or wish is None or wish.filters or wish.free_filters or wish.codec == "copy":
            return None
        return shown_size(wish, self.video)

    def _in_two(self, whole: Making, picture: Coded | None) -> Making:
        """Make it in two passes, which write what they have seen into a folder."""
        encoder = picture.options[1] if picture else ""
        passes: list[tuple[str, ...]]
        if encoder == "libx265":
            passes = [("-x265-params", f"log-level=error:pass={n}:stats={folder(0)}/pass") for n in (1, 2)]
        elif encoder in _TWO_PASSES:
            passes = [("-pass", str(n), "-passlogfile", f"{folder(0)}/pass") for n in (1, 2)]
        else:
            raise BadJob(f"{encoder} cannot look at a film twice; leave out two_pass=True")
        step = whole.step
        at = len(step.arguments) - 2
        second = replace(step, arguments=(*step.arguments[:at], *passes[1], *step.arguments[at:]))
        cut = self._cut()
        words = [
            *self._inputs(cut),
            *self._picture()[1],
            *passes[0],
            *(cut.after if cut else ()),
            "-an",
            "-sn",
            "-f",
            "null",
        ]
        first = replace(step, arguments=(*words, "-y", "pipe:2"), outputs=())
        return replace(whole, step=second, first=first)


class _Joined(_Plain):
    """Several films, one after the other: of the size, rate and channels of the first."""

    def _cut(self) -> Cut | None:
        if self.job.trim != Trim():
            raise BadJob("a part can be taken of one film only: cut the films first, then join them")
        return None

    def _inputs(self, cut: Cut | None) -> list[str]:
        del cut
        return [word for number, film in enumerate(self.films) for word in reads(film, self.limits, number)]

    def _picture(self) -> tuple[Coded | None, list[str]]:
        wish = self.job.video
        if self.video is None or wish is None or any(film.video is None for film in self.films):
            raise BadJob("only films can be joined, each with a picture")
        if wish.codec == "copy":
            raise BadJob("films are joined by coding them anew: leave out codec='copy'")
        coded = code_video(
            wish, self.video, self.container, self.abilities, self.tool, even=lambda: self.film.even, crf=self.found.crf
        )
        if "-enc_time_base:v" in coded.options:
            at = coded.options.index("-enc_time_base:v") + 1
            coded = replace(coded, options=(*coded.options[:at], _JOINED_CLOCK, *coded.options[at + 1 :]))
        return coded, ["-filter_complex", self._graph(coded), "-map", "[v]", *coded.options]

    @property
    def _heard(self) -> bool:
        return self.job.audio.codec != "none" and bool(self.container.audio) and all(film.sounds for film in self.films)

    def _graph(self, coded: Coded) -> str:
        width, height = shown_size(replace_size(self.job), self.films[0].video)  # type: ignore[arg-type] # `_picture` has looked
        parts, pads = [], ""
        for number, film in enumerate(self.films):
            parts.append(f"[{number}:{film.video.index}]scale={width}:{height},setsar=1[v{number}]")  # type: ignore[union-attr] # likewise
            pads += f"[v{number}]"
            if self._heard:
                sound = self.films[0].sounds[0]
                form = f"aresample={sound.sample_rate or 48000},aformat=channel_layouts={_layout(sound)}"
                parts.append(f"[{number}:{film.sounds[0].index}]{form}[a{number}]")
                pads += f"[a{number}]"
        parts.append(f"{pads}concat=n={len(self.films)}:v=1:a={int(self._heard)}[joined]{'[a]' if self._heard else ''}")
        parts.append(f"[joined]{self._coloured(coded.filters) or 'null'}[v]")
        return ";".join(parts)

    def _sounds(self, cut: Cut | None) -> list[str]:
        del cut
        if any(film.sounds for film in self.films) and not self._heard:
            self.changes.append("the sound was left out: not every film has some")
        if not self._heard:
            return []
        if self.job.audio.loudness is not None:
            raise BadJob("films that are joined are not brought to a loudness: do that with the result")
        if any(len(film.sounds) > 1 for film in self.films):
            self.changes.append("further audio streams were left out")
        stream = self.films[0].sounds[0]
        coded = code_audio(self.job.audio, stream, self.container, self.abilities, self.tool, cut=True)
        return ["-map", "[a]", *(word.replace("#", "0") for word in coded.options), "-strict", "-2"]

    def _others(self) -> list[str]:
        if any(isinstance(stream, OtherStream) for film in self.films for stream in film.info.streams):
            self.changes.append("subtitles and attachments were left out: films were joined")
        return []

    def _kept(self) -> list[str]:
        if any(film.info.chapters for film in self.films):
            self.changes.append("chapters were left out: films were joined")
        return ["-map_metadata", "0" if self.job.keep.metadata else "-1", "-map_chapters", "-1"]

    def _frames(self, cut: Cut | None, picture: Coded | None) -> int | None:
        counts = [_Plain._frames(self, cut, picture)]  # noqa: SLF001 - its own
        counts += [len(film.index) for film in self.films[1:]]
        return None if counts[0] is None else sum(count for count in counts if count)

    def _seconds(self, cut: Cut | None) -> float | None:
        del cut
        lengths = [film.seconds for film in self.films]
        return None if None in lengths else sum(length for length in lengths if length)


def replace_size(job: Job) -> Any:
    """Give the wish for the picture without its size, which comes after joining."""
    return replace(job.video, size=None) if job.video is not None else job.video


def _layout(stream: AudioStream) -> str:
    return stream.channel_layout or {1: "mono", 6: "5.1", 8: "7.1"}.get(stream.channels or 2, "stereo")


def _changes_count(filters: Sequence[str], free: str) -> bool:
    """Tell whether filters may give more or fewer frames than they get."""
    return bool(free) or any("send_field" in name for name in filters)


def _loudnorm(target: float, measured: Sequence[Mapping[str, str]], number: int) -> str:
    """Give the filter that brings sound to a loudness; with what was measured it changes but the volume, if it can."""
    chain = f"loudnorm=I={target:g}:TP=-1.5:LRA=20"
    if number >= len(measured):
        return f"{chain}:print_format=json"
    said = measured[number]
    if not said:  # silence
        return ""
    known = ":".join(f"{option}={said[name]}" for option, name in _MEASURED.items())
    return f"{chain}:{known}:linear=true,{_PIECES}"


_PIECES = "asetnsamples=n=4096:p=0"  # what `loudnorm` gives is longer than FLAC takes it, in ffmpeg 9
_MEASURED = {"measured_I": "input_i", "measured_TP": "input_tp", "measured_LRA": "input_lra",
             "measured_thresh": "input_thresh", "offset": "target_offset"}  # fmt: skip
