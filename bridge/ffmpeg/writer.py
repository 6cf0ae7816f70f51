"""FilmWriter: film out, over one ffmpeg child."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge.core.format import Writer
from bridge.core.request import Request
from bridge.core.samples import Samples
from bridge.core.uri import Url
from bridge.errors import BridgeError, MissingCodec, ToolFailed, TruncatedMedia, UnsupportedPixels, UriError
from bridge.ffmpeg import argv, probe
from bridge.ffmpeg.containers import AUDIO_DEMUXERS, CODECS, DEMUXERS, Codec, Container
from bridge.ffmpeg.free import INPUT_OPTIONS, OUTPUT_OPTIONS, are_harmless, bit_rate, check_options, plain_name
from bridge.ffmpeg.listing import Film, Listing, count
from bridge.media.colour import usual_matrix
from bridge.media.mp4 import video_samples
from bridge.media.nut import NutStream
from bridge.media.pixels import PixelFormat, for_array, memory_of, pixel_format
from bridge.media.sniff import sniff
from bridge.media.sound import wav
from bridge.media.times import Times
from bridge.process.child import Child
from bridge.process.isolation import box_for
from bridge.process.pipes import FrameSink
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy as np

__all__ = ["FilmWriter"]

Filter: TypeAlias = tuple[str, tuple[int, ...]]

_OPUS_DELAY = Fraction(312, 48000)  # of libopus, seconds

# What keeps a file playable up to its last packet: no table that is written at the end, or written again.
_FRAGMENTS = {"movflags": "+empty_moov+default_base_moof", "frag_duration": 500_000}
_CRASH_SAFE: dict[str, dict[str, Any]] = {
    "mp4": _FRAGMENTS,
    "mov": _FRAGMENTS,
    "matroska": {"cluster_time_limit": 500},
    "webm": {"cluster_time_limit": 500},
    "mpegts": {},
}

_TELL_DURATIONS = ("mp4", "mov", "matroska", "webm")


class FilmWriter(Writer):
    """Writes a film through one ffmpeg child; it appears when it is closed, complete, or not at all.

    Parameters
    ----------
    fps : float or fractions.Fraction
        Frames per second, 10 by default; 23.976, 29.97 and their like mean NTSC's exact rates.
    codec : str
        A family (``"h264"``, ``"hevc"``, ``"vp9"``, ``"av1"``, …) or the name of one of FFmpeg's
        encoders. The container's usual one by default.
    quality : float
        0 (worst) to 10 (best), 5 by default, on the encoder's constant-quality scale.
    bitrate : int or str
        Bits per second instead of a quality.
    pixelformat : str
        What the encoder is given, ``"yuv420p"`` for most codecs by default.
    audio_path : str or path
        A file whose first audio stream goes along.
    audio_codec : str
        ``"copy"``, or one of FFmpeg's encoders; by default copied where the container can hold it.
    audio : tuple, Samples or path
        Sound that goes along: an array ``(n, channels)`` and its rate, what `reader.audio` gives, or a file.
    audio_trim : bool
        Cut the sound where the film ends.
    timestamps : sequence of float
        The time of each frame in seconds, rising, instead of a rate; exact as far as the container's clock is.
    pad, crop : bool or int
        Add black at the right and at the bottom, or cut off there, until width and height are even, or multiples
        of that number. Most codecs want even sizes; without these they refuse others.
    crash_safe : bool
        Write so that what is recorded stays playable if the process is killed: it is found beside the target, as
        ``NAME.recording-PID.EXT``. For MP4, MOV, MKV, WEBM and TS; on closing it becomes an ordinary file.
    macro_block_size : int
        1 by default: the size stays as it is. With another number frames are scaled up to the next multiple of it.
    input_params, output_params : sequence of str
        Options for ffmpeg's input and output, put last. ``ffmpeg_params`` is an older name of the latter.
    ffmpeg_log_level : str
        How much ffmpeg says, ``"error"`` by default; it is seen in messages of errors.

    Notes
    -----
    All frames must have the size and dtype of the first. Nothing is scaled unless `macro_block_size` says so.
    Metadata set with `set_meta_data` before the first frame (``title``, ``artist``, ``comment``, …, or a group
    ``tags`` of them) is written into the file.
    """

    _container: Container
    _palette: argv.Palette | None = None

    def _open(
        self,
        *,
        fps: float | Fraction = 10,
        codec: str | None = None,
        quality: float | None = 5,
        bitrate: int | str | None = None,
        pixelformat: str | None = None,
        audio_path: Any = None,
        audio_codec: str | None = None,
        audio: Any = None,
        audio_trim: bool = False,
        timestamps: Iterable[float | Fraction] | None = None,
        pad: bool | int = False,
        crop: bool | int = False,
        crash_safe: bool = False,
        macro_block_size: int | None = 1,
        input_params: Sequence[str] | None = None,
        output_params: Sequence[str] | None = None,
        ffmpeg_params: Sequence[str] | None = None,
        ffmpeg_log_level: str = "error",
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        self._tags: dict[str, str] = {}
        self._sink: FrameSink | None = None
        self._fps = argv.rate(fps)
        self._tool = toolbox().find("ffmpeg")
        self._container = self._format.container  # type: ignore[attr-defined] # a FilmFormat has it
        self._video = self._video_options(codec, quality, bitrate, pixelformat)
        self._audio, self._sound_start = self._heard(audio, audio_path)
        self._audio_codec = self._choose_audio(audio_codec)
        self._trim = bool(audio_trim) and self._audio is not None
        self._times = None if timestamps is None else Times(timestamps)
        self._fit = _fit(macro_block_size, pad, crop)
        self._crash_safe = self._surviving() if crash_safe else {}
        self._before = self._own("input_params", input_params)
        own = [*self._own("output_params", output_params), *self._own("ffmpeg_params", ffmpeg_params)]
        self._extra = ("-v", _log_level(ffmpeg_log_level), *own)
        self._box = box_for(self.request.limits, "encoder", sealed=are_harmless(self._before, own))

    def _own(self, keyword: str, options: Sequence[str] | None) -> tuple[str, ...]:
        """Take options of the user's own, as far as the level of trust has it."""
        taken = tuple(map(str, options or ()))
        allowed = INPUT_OPTIONS if keyword == "input_params" else OUTPUT_OPTIONS
        address = self._audio is not None and isinstance(self._audio.resource, Url)
        check_options(taken, self.request.limits, keyword=keyword, allowed=allowed, address=address)
        return taken

    def _video_options(
        self, codec: str | None, quality: float | None, bitrate: int | str | None, pixelformat: str | None
    ) -> dict[str, Any]:
        encoder, family = self._choose_encoder(codec)
        self._tells, self._only_matrix = family.tells, family.matrix
        self._layered = {} if pixelformat else family.layered
        self._deepened = family.deepened if codec and not pixelformat else {}
        self._keeps = Codec(encoders=(), alpha=True, deep=True) if pixelformat else family
        options: dict[str, Any] = {"c:v": encoder, **family.options, **self._container.options}
        if bitrate is not None:
            options["b:v"] = bit_rate(bitrate)
        elif quality is not None and family.quality:
            if not 0 <= quality <= 10:
                message = f"quality is a number from 0 to 10, not {quality!r}"
                raise ValueError(message)
            options[family.quality] = round(family.worst + (family.best - family.worst) * quality / 10)
        pixels = plain_name(pixelformat, "pixelformat") if pixelformat else family.pixels
        return options | ({"pix_fmt": pixels} if pixels else {})

    def _choose_encoder(self, codec: str | None) -> tuple[str, Codec]:
        """Give an encoder that this ffmpeg has, and its family."""
        if codec is not None:
            plain_name(codec, "codec")
        abilities = toolbox().abilities("ffmpeg")
        abilities.need("muxers", self._container.muxer, self._tool)
        for name in (codec,) if codec else self._container.video:
            family = CODECS.get(name) or _family(name)
            for encoder in family.encoders:
                if encoder in abilities.encoders:
                    return encoder, family
        abilities.need("encoders", CODECS[codec].encoders[0] if codec in CODECS else codec or "", self._tool)
        message = f"{self._tool} has no encoder for {self._container.name}"
        raise MissingCodec(message)

    def _choose_audio(self, codec: str | None) -> str:
        if codec is not None:
            plain_name(codec, "audio_codec")
        if self._audio is None:
            return ""
        self._audio_demuxer = AUDIO_DEMUXERS.get(sniff(self._audio.head) or "")
        if self._audio_demuxer is None:  # a playlist would have ffmpeg open what it names
            raise UriError(f"{self._audio.name} is no film or sound file that is known; convert it to WAV first")
        info = probe.media_info(self._audio, self._audio_demuxer)
        if info.audio is None:
            message = f"{self._audio.name} has no audio stream to go along"
            raise UriError(message)
        if codec is None:
            codec = "copy" if info.audio.codec in self._container.audio_kept else self._container.audio
        if codec != "copy":
            toolbox().abilities("ffmpeg").need("encoders", codec, self._tool)
        return codec

    def _heard(self, audio: Any, path: Any) -> tuple[Request | None, Fraction]:
        """Open the sound that goes along; give when it begins, too."""
        if audio is not None and path is not None:
            raise ValueError("audio= and audio_path= are two ways to say the same; give one")
        if audio is None and path is None:
            return None, Fraction(0)
        if isinstance(audio, Samples):
            audio, start = (audio, audio.rate), Fraction(audio.start).limit_denominator(1_000_000)
        else:
            start = Fraction(0)
        if isinstance(audio, tuple):
            samples, rate = audio
            return Request(wav(samples, rate), limits=self.request.limits, name="the sound in audio="), start
        return Request(path if audio is None else audio, limits=self.request.limits), start

    def _surviving(self) -> dict[str, Any]:
        """Give the options of a file that can be played however it ends."""
        options = _CRASH_SAFE.get(self._container.muxer)
        if options is None:
            raise ValueError(f"crash_safe= is for MP4, MOV, MKV, WEBM and TS, not for {self._container.name}")
        held_back = {"tune": "zerolatency"} if self._video["c:v"] in ("libx264", "libx265") else {}
        return options | held_back | {"flush_packets": 1}

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        if self._sink is None:
            self._pixels = self._fitting(for_array(image))
            self._shape = image.shape
            self._sink = self._start(self._pixels, image.shape)
        if image.shape != self._shape or image.dtype.name != self._pixels.dtype.name:
            message = (
                f"{self.request.name}: frame {self._count} is {image.dtype} {image.shape}, but the film began with "
                f"{self._pixels.dtype} {self._shape}; scale, crop or pad it yourself, bridge does not"
            )
            raise UnsupportedPixels(message)
        memory = memory_of(self._pixels.memory(self._laid(image)))
        try:
            if self._times is not None:
                self._sink.say(NutStream.before(self._times.tick(self._count), len(memory)))
            self._sink.put(memory)
        except ToolFailed as error:
            raise self._explained(error) from None

    def _laid(self, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give what ffmpeg is sent of an image."""
        return image

    def _fitting(self, pixels: PixelFormat) -> PixelFormat:
        """Refuse what the encoder would drop in silence."""
        layered = self._layered if pixels.channels in (2, 4) else {}
        deepened = self._deepened if pixels.depth > 8 and not self._keeps.deep else {}
        chosen = deepened | layered
        self._video |= chosen
        kept = bool(deepened) and _deep(chosen["pix_fmt"])
        drops = ["transparency"] if pixels.channels in (2, 4) and not (self._keeps.alpha or layered) else []
        drops += ["more than 8 bits"] if pixels.depth > 8 and not (self._keeps.deep or kept) else []
        if drops:
            raise UnsupportedPixels(
                f"{self.request.name}: {self._video['c:v']} as it is set up would drop {' and '.join(drops)}: give an "
                "array without, or a pixelformat= that keeps it; formats that can: WEBM, MKV with codec='ffv1', APNG"
            )
        if self._video.get("pix_fmt") == "gbrap" and pixels.name == "rgba" and self._times is None:
            pixels = pixel_format("gbrap")  # swscale's way there rounds the alpha
        if kept:
            self.changes.append(f"of {pixels.depth} bits a channel {self._video['c:v']} keeps 10")
        return pixels

    def _start(self, pixels: PixelFormat, shape: tuple[int, ...]) -> FrameSink:
        size = (shape[1], shape[0])
        filters = self._fit(*size)
        self.changes += [f"frames of {size[0]}x{size[1]} became {w}x{h} by {name}" for name, (w, h, *_) in filters]
        video = self._video | self._crash_safe
        begin = b""
        if self._times is not None:
            begin = NutStream(pixels.name, *argv.sent(size, self._palette), self._times.time_base).begin()
            if self._container.muxer in ("mp4", "mov"):
                video["video_track_timescale"] = self._times.time_base.denominator
            if self._container.muxer in _TELL_DURATIONS:
                # The last one has no successor to tell its duration.
                last = f"if(eq(N\\,{len(self._times) - 1})\\,{self._times.last}\\,DURATION)"
                video["bsf:v"] = f"setts=pts=PTS:dts=DTS:duration={last}"
        with contextlib.ExitStack() as files:
            sound = None if self._trim else self._sound(files)
            arguments = argv.encode(
                self._tool.release,
                pixels,
                size,
                None if self._times is not None else self._fps,
                muxer=self._container.muxer,
                video=video,
                filters=filters,
                matrix=self._matrix(pixels, filters[-1][1][:2] if filters else size),
                palette=self._palette,
                sound=sound[0] if sound else None,
                before=self._before,
                extra=(*_metadata(self._tags), *self._extra),
            )
            made = self.request.draft(found=bool(self._crash_safe)) if self._drafted else None
            child = Child(
                (self._tool.path, *arguments),
                subject=self.request.name,
                box=self._box,
                feed=True,
                stdout=files.enter_context(self.request.output(made)),
                pass_fds=(sound[1],) if sound else (),
                part="" if self._crash_safe else made or self.request.part(),
            )
        sink = FrameSink(child, stall=self.request.limits.stall)
        sink.say(begin)
        return sink

    def _matrix(self, pixels: PixelFormat, size: tuple[int, ...]) -> str:
        """Give the matrix that colours are coded by; empty where they stay as they are, or the user takes care."""
        coded = str(self._video.get("pix_fmt", "")).startswith(("yuv4", "yuva4"))
        given = any(option.startswith(("-color", "-vf", "-filter")) for option in self._extra)
        rgb = pixels.name.startswith(("rgb", "gray", "ya"))
        if not coded or not rgb or given:
            return ""
        if not self._tells:
            return "smpte170m"  # which is what is assumed
        return self._only_matrix or usual_matrix(size[0], size[1])

    @property
    def _drafted(self) -> bool:
        """Whether the file is made in two steps."""
        return bool(self._crash_safe) or self._trim

    def _sound(self, files: contextlib.ExitStack, seconds: Fraction | None = None) -> tuple[argv.Sound, int] | None:
        """Open the sound for one child; give what it is, and its descriptor."""
        if self._audio is None:
            return None
        descriptor = files.enter_context(self._audio.input())
        sound = argv.Sound(
            name=f"file:/proc/self/fd/{descriptor}",
            demuxer=self._audio_demuxer or "",
            codec=self._audio_codec,
            offset=self._sound_start + self._late(),
            seconds=seconds,
        )
        return sound, descriptor

    def _late(self) -> Fraction:
        """Give how much later sound must come: Matroska before FFmpeg 6 takes the delay of Opus off twice."""
        twice = self._container.muxer in ("matroska", "webm") and self._tool.release < (6, 0)
        return _OPUS_DELAY if twice and self._audio_codec == "libopus" else Fraction(0)

    def _set_meta(self, meta: dict[str, Any]) -> set[str]:
        if self._sink is not None or not self._container.tags:  # the file has begun, or has no place for them
            return set()
        group = meta.get("tags")
        tags = {**(group if isinstance(group, dict) else {}), **{k: v for k, v in meta.items() if k != "tags"}}
        held = {name: str(value) for name, value in tags.items() if name in _TAGS and isinstance(value, str | int)}
        self._tags |= held
        return {*held, *({"tags"} if isinstance(group, dict) and set(group) <= set(held) else ())}

    def _finish(self) -> None:
        if self._sink is None:  # the base class calls this only after an append
            return
        if self._times is not None:
            self._times.end(self._count)
        child = self._sink.child
        child.end_input()
        if not child.wait(self.request.limits.finish).ok:
            raise self._explained(child.failure())
        if self._drafted:
            self._complete(self.request.draft())
        self._check_made(self._sink)

    def _check_made(self, sink: FrameSink) -> None:
        """Count what was written, and see that it is as deep as was wanted: ffmpeg may choose other pixels."""
        with Request(self.request.part(), name=self.request.name, limits=self.request.limits) as made:
            written = _written(made)
            wanted = str(self._video.get("pix_fmt", ""))
            coded = _coded(made) if _deep(wanted) else ""
        if coded and not _deep(coded, unknown=True):
            raise UnsupportedPixels(
                f"{self.request.name}: {self._video['c:v']} of {self._tool} cannot write {wanted} and took {coded}; "
                "nothing was put in place"
            )
        if written != sink.frames:
            child = sink.child
            message = (
                f"{self.request.name}: {sink.frames} frames were given to ffmpeg, but what it wrote holds "
                f"{written}; nothing was put in place"
            )
            raise TruncatedMedia(message, command=child.argv, exit=child.exit, got=written)

    def _complete(self, draft: Path) -> None:
        """Make the file of its draft: an ordinary one of what was made to survive, with sound that fits."""
        with contextlib.ExitStack() as files:
            sound = self._sound(files, self._shown()) if self._trim else None
            film = files.enter_context(Request(draft, name=self.request.name, limits=self.request.limits))
            arguments = argv.remux(
                DEMUXERS[self._container.kinds[0]],
                self._container.muxer,
                sound=sound[0] if sound else None,
                extra=(*_metadata(self._tags), *self._extra),
            )
            child = Child(
                (self._tool.path, *arguments),
                subject=self.request.name,
                box=self._box,
                stdin=files.enter_context(film.input()),
                stdout=files.enter_context(self.request.output()),
                pass_fds=(sound[1],) if sound else (),
                part=self.request.part(),
            )
            with child:
                if not child.wait(self.request.limits.finish).ok:
                    raise child.failure()

    def _shown(self) -> Fraction:
        """Give how long the sound may be: from its beginning to the end of the last frame."""
        shown = self._count / self._fps if self._times is None else self._times.seconds
        return max(Fraction(0), shown - self._sound_start)

    def _explained(self, error: BridgeError) -> BridgeError:
        """Say what can be done about a size that the encoder refuses, after the encoder's own words."""
        if self._crash_safe and (kept := self.request.keep_draft()):
            error.message += f"; what was recorded until then is in {kept}"
        odd = self._shape[0] % 2 or self._shape[1] % 2
        if not odd or self._fit(self._shape[1], self._shape[0]) or error.exit is None or error.exit.code in (None, 0):
            return error
        return UnsupportedPixels(
            f"{error.message}. The sides of {self._shape[1]}x{self._shape[0]} are not even: have the frames padded "
            "with pad=True or cut with crop=True, or keep them with pixelformat='yuv444p' or codec='ffv1'",
            command=error.command,
            exit=error.exit,
            last_words=error.last_words,
        )

    def _abort(self) -> None:
        with contextlib.suppress(AttributeError):  # `_open` may have failed before it came so far
            if self._sink is not None:
                self._sink.child.abort()
        with contextlib.suppress(AttributeError):
            if self._audio is not None:
                self._audio.close()


def _deep(pixels: str, *, unknown: bool = False) -> bool:
    """Tell whether one of FFmpeg's pixel formats has more than 8 bits."""
    with contextlib.suppress(UnsupportedPixels):
        return pixel_format(pixels).depth > 8
    return unknown


def _coded(made: Request) -> str:
    video = probe.media_info(made, DEMUXERS.get(sniff(made.head) or "")).video
    return (video and video.pixel_format) or ""


def _written(made: Request) -> int:
    """Count the frames of what was written: by the file's own index where it has one, which costs no program."""
    kind = sniff(made.head) or ""
    counted = video_samples(made.read_at, made.size) if kind in ("mp4", "avis") else None
    return count(Listing(Film(request=made, demuxer=DEMUXERS.get(kind)))) if counted is None else counted


# What FFmpeg's muxers for film hold, by its own names.
_TAGS = frozenset({"title", "artist", "author", "album", "album_artist", "comment", "composer", "copyright", "date",
                   "description", "genre", "show", "synopsis", "track", "year", "language"})  # fmt: skip
_LOG_LEVELS = ("quiet", "panic", "fatal", "error", "warning", "info", "verbose", "debug", "trace")


def _metadata(tags: dict[str, str]) -> tuple[str, ...]:
    return tuple(word for name, value in tags.items() for word in ("-metadata", f"{name}={value}"))


def _log_level(level: str) -> str:
    if level not in _LOG_LEVELS:
        raise ValueError(f"ffmpeg_log_level is one of {', '.join(_LOG_LEVELS)}, not {level!r}")
    return level


def _fit(block: int | None, pad: bool | int, crop: bool | int) -> Callable[[int, int], list[Filter]]:
    """Give the function that tells how frames of a size are brought to the size that is written."""
    wishes = {"scale": (block or 1, True), "pad": (_multiple(pad), True), "crop": (_multiple(crop), False)}
    if block is not None and block < 1:
        raise ValueError(f"macro_block_size is a positive number, not {block!r}")
    wanted = [(name, number, up) for name, (number, up) in wishes.items() if number > 1]
    if len(wanted) > 1:
        raise ValueError("macro_block_size=, pad= and crop= exclude each other")

    def fit(width: int, height: int) -> list[Filter]:
        for name, number, up in wanted:
            target = tuple(-(-side // number) * number if up else side // number * number for side in (width, height))
            if target != (width, height):
                return [(name, (*target, 0, 0) if name == "crop" else target)]
        return []

    return fit


def _multiple(wish: bool | int) -> int:
    number = 2 if wish is True else int(wish)
    if number < 0:
        raise ValueError(f"pad and crop are True or a positive number, not {wish!r}")
    return number or 1


def _family(encoder: str) -> Codec:
    """Find the family of one of FFmpeg's encoders; an unknown one is taken as it is, with its own defaults."""
    of = next((codec for codec in CODECS.values() if encoder in codec.encoders), Codec(encoders=(), pixels=None))
    return replace(of, encoders=(encoder,), alpha=False, deep=False)
