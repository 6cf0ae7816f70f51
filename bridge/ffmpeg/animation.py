"""GIF and APNG through ffmpeg: animations are read like film, but say themselves which channels they have."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.core.request import Request
from bridge.errors import CorruptMedia, MissingCodec
from bridge.ffmpeg.argv import Palette
from bridge.ffmpeg.containers import ANIMATIONS, WEBP
from bridge.ffmpeg.reader import FilmReader
from bridge.ffmpeg.video import FilmFormat
from bridge.ffmpeg.writer import FilmWriter
from bridge.media.carry import HELD, carried
from bridge.media.embed import Blocks, embed
from bridge.media.gif import shows_background, with_local_tables
from bridge.media.palette import ColourCount, with_palette
from bridge.media.pixels import hidden_colours
from bridge.media.sniff import PictureHead, layers_of, picture_head
from bridge.media.times import Times
from bridge.media.webp import MOST_TICKS, timed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from bridge.core.format import Format
    from bridge.ffmpeg.containers import Container
    from bridge.ffmpeg.decoder import Order
    from bridge.media.pixels import PixelFormat
    from bridge.process.pipes import FrameSink

__all__ = ["AnimationFormat", "AnimationReader", "AnimationWriter", "animation_formats", "pixels_of"]

_PIXELS = {(1, 8): "gray", (2, 8): "ya8", (3, 8): "rgb24", (4, 8): "rgba",
           (1, 16): "gray16le", (2, 16): "ya16le", (3, 16): "rgb48le", (4, 16): "rgba64le",
           (1, 32): "grayf32le", (3, 32): "gbrpf32le", (4, 32): "gbrapf32le"}  # fmt: skip


def pixels_of(head: PictureHead) -> str:
    """Give the pixel format that keeps the channels and the depth that a picture's header promises."""
    return _PIXELS[min(head.channels, 4), head.depth]


class AnimationReader(FilmReader):
    """Reads an animation frame by frame, each composed as a viewer shows it.

    Parameters
    ----------
    pixelformat : str
        FFmpeg's name of the pixel format wanted; by default the one that keeps the file's channels.
    """

    _composed: Request | None = None

    def _look_at(self, order: Order) -> None:
        if self._composed is None:
            self._composed = self._without_background()
        super()._look_at(replace(order, film=replace(order.film, request=self._composed)))

    def _without_background(self) -> Request:
        """Give content of which ffmpeg composes what viewers show; it would fill a GIF with its background colour."""
        request = self.request
        head = picture_head("gif", request.read_at) if request.kind == "gif" else None
        if head is None or not shows_background(layers_of("gif", request.read_at), head.width, head.height):
            return request
        data = with_local_tables(request.read_at(0, request.size))
        made = Request(data, request.mode, limits=request.limits, name=request.name)
        made.kind = request.kind
        return made

    def _close(self) -> None:
        super()._close()
        if self._composed not in (None, self.request):
            self._composed.close()

    def _default_pixels(self) -> str:
        head = self._head()
        if head is None:
            message = f"{self.request.name} has no header that is known"
            raise CorruptMedia(message)
        return pixels_of(head)

    def _head(self) -> PictureHead | None:
        return picture_head(self.request.kind or "", self.request.read_at, self.request.known)

    def _counted(self) -> int | None:
        head = self._head()
        return None if head is None or self._free or self._every > 1 else head.frames


class AnimationWriter(FilmWriter):
    """Writes an animation through one ffmpeg child; it appears when it is closed, complete, or not at all.

    Parameters
    ----------
    fps : float or fractions.Fraction
        Frames per second, 10 by default.
    duration : float or sequence of float
        Seconds, not milliseconds, for which each frame is shown, instead of a rate: one number for all, or one
        for each.
    loop : int
        How often the animation is repeated, as the file says it; 0, the default, is without end.
    timestamps : sequence of float
        The time of each frame in seconds, rising, instead of durations.

    Notes
    -----
    GIF counts in hundredths of a second. Times are rounded to these, not durations, so the whole takes as long as
    it should; `changes` says so where something was rounded. Viewers show delays of 0.01 s as longer ones.
    """

    def _open(  # type: ignore[override] # no rate is given where durations are
        self,
        *,
        fps: float | Fraction | None = None,
        duration: float | Sequence[float] | None = None,
        loop: Any = 0,
        timestamps: Iterable[float] | None = None,
        **kwargs: Any,
    ) -> None:
        timestamps = None if timestamps is None else list(timestamps)
        if sum(given is not None for given in (fps, duration, timestamps)) > 1:
            raise ValueError("fps=, duration= and timestamps= are three ways to say the same; give one")
        if not isinstance(loop, int) or not 0 <= loop <= _LOOPS:
            raise ValueError(f"loop is a number from 0, without end, to {_LOOPS}, not {loop!r}")
        if isinstance(duration, int | float):
            fps, duration = _rate(duration), None
        super()._open(fps=10 if fps is None else fps, timestamps=timestamps, **kwargs)
        self._video[_REPEATS[self._container.muxer]] = loop
        self._pace(timestamps, duration)

    def _pace(self, timestamps: Sequence[float] | None, durations: Sequence[float] | None) -> None:
        """Bring the times to the clock of the format."""
        muxer = self._container.muxer
        clock = _CLOCKS.get(muxer)
        if timestamps is not None:
            self._times = Times(timestamps, clock=clock)
        elif durations is not None:
            self._times = Times.of_durations(durations, clock)
        if self._times is not None and muxer in ("gif", "apng"):
            self._video["final_delay"] = _final(muxer, self._times)
        if self._times is not None and muxer == "avif":
            self.changes.append("how long the last frame is shown is not kept: ffmpeg does not say it to AVIF")
        if clock is None:
            return
        if self._times is None and self._fps * clock > 1:
            raise ValueError(f"{muxer.upper()} shows at most {1 / clock} frames per second, not {self._fps}")
        if self._times.rounded if self._times else (1 / self._fps) % clock:
            self.changes.append(f"times were rounded to the {float(clock):g} s that {muxer.upper()} counts in")


def _rate(duration: float) -> Fraction:
    if not 0 < duration < math.inf:
        raise ValueError(f"duration is a positive number of seconds, or one for each frame, not {duration!r}")
    return 1 / Fraction(duration).limit_denominator(1_000_000)


_CLOCKS = {"gif": Fraction(1, 100), "webp": Fraction(1, 1000)}
_REPEATS = {"gif": "loop", "apng": "plays", "webp": "loop", "avif": "loop"}
_LOOPS = 65535


def _final(muxer: str, times: Times) -> str:
    """Tell for how long the last frame is shown, which has no successor, as the muxers want it."""
    seconds = times.last * times.time_base
    if muxer == "gif":
        return str(round(seconds * 100))
    short = seconds.limit_denominator(_LOOPS)
    return f"{short.numerator}/{short.denominator}"


class GifWriter(AnimationWriter):
    """Writes a GIF through one ffmpeg child; it appears when it is closed, complete, or not at all.

    Parameters
    ----------
    palettesize : int
        2 to 256 colours, 256 by default. Frames of at most so many, what is transparent counted as one, keep
        them; others lose some, and `changes` says so.
    quantizer : str
        ``"single"``, the default, makes a palette for each frame; ``"full"`` one for all frames, which are held in
        memory for it, and ``"diff"`` the same, by what moves. imageio's ``"nq"`` and ``"wu"`` are taken for the
        first: FFmpeg has one method, the median cut.
    dither : str
        ``"sierra2_4a"`` by default, or another of FFmpeg's: ``"none"``, ``"bayer"``, ``"heckbert"``,
        ``"floyd_steinberg"``, ``"sierra2"``.
    subrectangles : bool
        Store only what changes from frame to frame, which takes one palette for all (`quantizer` ``"full"``).

    Notes
    -----
    `fps`, `duration`, `timestamps` and `loop` are those of APNG. GIF counts in hundredths of a second. Times are
    rounded to these, not durations, so the whole takes as long as it should; `changes` says so where something was
    rounded. Viewers show delays of 0.01 s as longer ones. A pixel is transparent or not, at alpha 128.
    """

    _palette: Palette

    def _open(
        self,
        *,
        palettesize: int = 256,
        quantizer: str | None = None,
        dither: str = "sierra2_4a",
        subrectangles: bool = False,
        **kwargs: Any,
    ) -> None:
        mode = _mode(palettesize, quantizer, dither, subrectangles=subrectangles)
        super()._open(**kwargs)
        self._palette = Palette(size=palettesize, mode=mode, dither=dither)
        if palettesize < 4 and self._tool.release < (6, 0):
            raise MissingCodec(f"{self._tool} makes palettes of at least 4 colours; FFmpeg 6 can make smaller ones")
        if dither == "bayer":
            self.changes.append("dither='bayer' mixes all colours, also where the palette has them")
        self._colours = ColourCount(palettesize, together=mode != "single")
        if subrectangles:
            self._video["gifflags"] = "+offsetting-transdiff"

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        told = len(self._colours.losses)
        super()._append(image, meta)
        self.changes += self._colours.losses[told:]

    def _start(self, pixels: PixelFormat, shape: tuple[int, ...]) -> FrameSink:
        given = not self._fit(shape[1], shape[0])  # what is scaled has other colours
        self._palette = replace(self._palette, given=given)
        return super()._start(pixels, shape)

    def _laid(self, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        colours = self._colours.of(image)
        image = _clean(image)
        return with_palette(image, colours) if self._palette.given else image


def _clean(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give what is transparent one colour, that of a pixel that is not: ffmpeg else finds places for all of them."""
    if image.ndim == 2 or image.shape[2] not in (2, 4):
        return image
    clear = image[..., -1] < 128
    if not clear.any():
        return image
    made = image.copy()
    made[clear] = 0 if clear.all() else image[~clear][0]
    made[clear, -1] = 0
    made[~clear, -1] = 255
    return made


_QUANTIZERS = {None: "single", "nq": "single", "wu": "single", "single": "single", "full": "full", "diff": "diff"}
_DITHERS = ("none", "bayer", "heckbert", "floyd_steinberg", "sierra2", "sierra2_4a")


def _mode(palettesize: Any, quantizer: str | None, dither: str, *, subrectangles: bool) -> str:
    """Give FFmpeg's mode of making palettes, and refuse what it does not know."""
    if not isinstance(palettesize, int) or not 2 <= palettesize <= 256:
        raise ValueError(f"palettesize is a number from 2 to 256, not {palettesize!r}")
    if quantizer not in _QUANTIZERS:
        names = ", ".join(repr(name) for name in _QUANTIZERS if name)
        raise ValueError(f"quantizer is one of {names}, not {quantizer!r}")
    if dither not in _DITHERS:
        raise ValueError(f"dither is one of {', '.join(map(repr, _DITHERS))}, not {dither!r}")
    mode = _QUANTIZERS[quantizer]
    if not subrectangles or mode != "single":
        return mode
    if quantizer is None:
        return "full"
    raise ValueError("subrectangles=True takes one palette for all frames: quantizer='full' or 'diff'")


class WebpWriter(AnimationWriter):
    """Writes an animated WebP through ffmpeg's libwebp; one picture alone makes a plain WebP.

    Parameters
    ----------
    quality : int
        1 to 100, 75 by default.
    lossless : bool
        Keep every pixel as it is; only the colours of what is wholly transparent are not kept.

    Notes
    -----
    `fps`, `duration`, `timestamps` and `loop` are those of GIF and APNG. WebP counts in milliseconds: times are
    rounded to these, and `changes` says so where something was rounded. Frames that are alike stay frames.
    """

    def _open(self, *, quality: int | None = None, lossless: bool = False, **kwargs: Any) -> None:  # type: ignore[override] # as AnimationWriter
        if quality is not None and not 1 <= quality <= 100:
            raise ValueError(f"quality is a number from 1 to 100, not {quality!r}")
        super()._open(quality=None, **kwargs)
        self._video |= {"lossless": 1} if lossless else {"quality": 75 if quality is None else quality}
        self._shown_at, self._times = self._times, None
        self._rate, self._fps = self._fps, 1 / _CLOCKS["webp"]  # what `timed` expects

        self._held = HELD["webp"]
        self._blocks = Blocks()

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        if self._shown_at is not None:
            self._shown_at.tick(self._count)
        super()._append(image, meta)
        lost = hidden_colours(image) if "lossless" in self._video else []
        self.changes += [change for change in lost if change not in self.changes]
        if not self._count:  # the first image's metadata is the file's
            channels = 1 if image.ndim == 2 else image.shape[2]
            size = (image.shape[1], image.shape[0])
            self._blocks, changes = carried(meta, "webp", channels=channels, size=size)
            self.changes += changes

    def _ticks(self) -> list[int]:
        """Give the milliseconds that each frame is shown."""
        if self._shown_at is None:
            begins = [math.floor(1000 * number / self._rate + Fraction(1, 2)) for number in range(self._count + 1)]
        else:
            self._shown_at.end(self._count)
            begins = [self._shown_at.tick(number) for number in range(self._count)]
            begins.append(begins[-1] + self._shown_at.last)
        ticks = [later - time for time, later in itertools.pairwise(begins)]
        if max(ticks) > MOST_TICKS:
            raise ValueError(f"a frame of a WebP is shown at most {MOST_TICKS / 1000} s")
        return ticks

    def _check_made(self, sink: FrameSink) -> None:
        """Give the frames their times; what holds others than were given is refused there."""
        del sink
        part = self.request.part()
        content = timed(part.read_bytes(), self._ticks(), loop=int(self._video.get("loop", 0)))
        if self._blocks:
            content = embed("webp", content, self._blocks)
        with part.open("r+b") as file:
            file.write(content)
            file.truncate()


class AnimationFormat(FilmFormat):
    """Animation through the program ffmpeg."""

    reader = AnimationReader

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self.writer = GifWriter if container.muxer == "gif" else AnimationWriter

    def can_read(self, request: Request) -> bool:
        """Take content of our kind."""
        return request.kind in self.container.kinds


class WebpFormat(FilmFormat):
    """Animated WebP through the program ffmpeg, which writes it; ImageMagick reads it."""

    modes = "I"
    depths = "8"
    alpha = True
    metadata = True
    reader = None
    writer = WebpWriter


def animation_formats() -> list[Format]:
    """Give the formats, GIF first."""
    return [*(AnimationFormat(container) for container in ANIMATIONS), WebpFormat(WEBP)]
