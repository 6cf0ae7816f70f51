"""FilmReader: film in, over one ffmpeg child."""

from __future__ import annotations

import contextlib
import json
import math
import operator
import warnings
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Reader
from bridge.core.intake import check_size, check_sizes
from bridge.core.keywords import switch
from bridge.core.uri import Url
from bridge.errors import (
    CorruptMedia,
    TruncatedMedia,
    UnsupportedPixels,
)
from bridge.ffmpeg import argv, probe
from bridge.ffmpeg.batch import fetch, track_of
from bridge.ffmpeg.containers import DEMUXERS
from bridge.ffmpeg.damage import DamageJudge
from bridge.ffmpeg.decoder import Decoder, Order, since
from bridge.ffmpeg.describe import film_meta, tone_map
from bridge.ffmpeg.free import INPUT_OPTIONS, OUTPUT_OPTIONS, check_options
from bridge.ffmpeg.guide import Guide
from bridge.ffmpeg.listing import Film
from bridge.ffmpeg.planes import Planes, PlanesBatch
from bridge.ffmpeg.sound import read_sound
from bridge.media.alpha import MAYBE, has_alpha, transparency
from bridge.media.colour import colour_of, is_large
from bridge.media.info import AudioStream
from bridge.media.mp4 import film_fault, film_size, video_samples
from bridge.media.pixels import pixel_format
from bridge.media.portion import portion_of, read_size
from bridge.media.sizes import sizes
from bridge.process.child import words
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.core.array import Batch
    from bridge.core.format import Found
    from bridge.core.samples import Samples
    from bridge.media.avc import AvcTrack
    from bridge.media.framing import FrameHead
    from bridge.media.index import Entry, FrameIndex
    from bridge.media.info import MediaInfo, VideoStream
    from bridge.media.pixels import PixelFormat

__all__ = ["FilmReader"]


class FilmReader(Reader):
    """Reads a film, frame by frame, through one ffmpeg child.

    Parameters
    ----------
    pixelformat : str
        FFmpeg's name of the pixel format wanted: ``"gray"``, ``"rgba"``, ``"rgb48le"``, ``"yuv420p"``, …
        By default it is ``"rgb24"``, and ``"rgba"`` for a film that has transparency. ``"native"`` is what the codec
        gives: nothing is converted. Frames of YCbCr formats are `Planes`, with views ``.y .u .v`` (and ``.a``).
    dtype : str
        ``"uint8"`` (the default) or ``"uint16"`` for RGB, or RGBA, of that depth.
    stream : int
        Which of the video streams, 0 by default.
    crop, region : tuple of int
        The part of each frame that is wanted: left, top, width and height, in the frame as it is shown. Either name.
    size : tuple of int or str
        Width and height to scale that to, ``(320, 180)`` or ``"320x180"``.
    every : int
        Only each so-many-th frame, from the first; those between are decoded only where others need them.
    fps : float
        A constant rate: frames are then repeated and left out to keep it.
    loop : bool
        Begin again at the end; iteration then has no end.
    rotate : bool
        Turn and mirror frames as the file says that viewers shall show them, as the default is; False gives them
        as they are coded. ``get_meta_data()["rotate"]`` has the angle either way.
    tonemap : bool
        Give film of high dynamic range (PQ, HLG) as 8-bit RGB for ordinary displays, as `bridge.media.tone.ToneMap`
        makes it; film of ordinary range stays as it is. False, the default, gives the code values as they are.
    input_params, output_params : sequence of str
        Options for ffmpeg, before the input and before the output. ``ffmpeg_params`` is an older name of the latter.
    print_info : bool
        Print what the file holds.
    on_damage : {"raise", "warn", "ignore"}
        What to do about frames that cannot be decoded, or only with errors, and about a file that ends early:
        raise `TruncatedMedia` once the good frames before have been read (the default), or give what the decoder
        makes of it, with or without a `DamageWarning`. Frames keep their index then: iterating goes on with the
        next one that there is.

    Notes
    -----
    Frames come as ``(height, width, channels)`` or ``(height, width)``; subsampled formats as FFmpeg lays
    them out. Unless a rate is asked for, no frame is repeated or left out, whatever the file says of its rate.
    Each frame's `meta` has its ``index``, its ``pts`` in ticks of the file's clock, ``time`` and ``duration`` in
    seconds, and whether it is a ``key_frame``. Frames are told by their exact time: what comes after a jump is
    checked against the file's own listing, and another place to start is tried where it is not that frame.
    """

    def _open(
        self,
        *,
        pixelformat: str | None = None,
        dtype: Any = None,
        stream: int = 0,
        crop: Sequence[int] | None = None,
        region: Sequence[int] | None = None,
        size: Any = None,
        every: int = 1,
        fps: float | Fraction | None = None,
        loop: bool = False,
        rotate: bool = True,
        tonemap: bool = False,
        input_params: Sequence[str] | None = None,
        output_params: Sequence[str] | None = None,
        ffmpeg_params: Sequence[str] | None = None,
        print_info: bool = False,
        on_damage: str = "raise",
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        self._take_on_damage(on_damage)
        self._decoder: Decoder | None = None
        self._count: int | None = None
        self._probed: MediaInfo | None = None
        self._number = _count(stream, "stream", 0)
        self._loop = switch("loop", loop)
        turned, print_info = switch("rotate", rotate), switch("print_info", print_info)
        self._skipped = False  # frames that were listed and did not come
        self._strict = on_damage == "raise"
        self._demuxer = DEMUXERS.get(self.request.kind or "")
        self._check_header()
        self._every = _count(every, "every", 1)
        self._ahead: dict[int, Found] = {}  # frames that were read with others
        self._coloured = False  # whether it was looked which matrix to assume
        self._transparency = transparency(self.request.kind or "", self.request.read_at, self.request.size)
        self._tone = tone_map(self._video, pixelformat, dtype) if switch("tonemap", tonemap) else None
        self._pixels = self._wanted_pixels(pixelformat, dtype)
        wish = argv.Wish(
            crop=self._part(crop, region, turned=turned),
            size=read_size(size),
            fps=None if fps is None else argv.rate(fps),
            before=self._own("input_params", input_params),
            after=(*self._own("output_params", output_params), *self._own("ffmpeg_params", ffmpeg_params)),
            turned=turned,
            decoder=self._layered() if has_alpha(self._pixels.name) else "",
        )
        self._free = self._loop or wish.counted
        if self._free and self._every > 1:
            raise ValueError("every= goes with none of fps=, loop=, input_params= and output_params=")
        self._tool = toolbox().find("ffmpeg")
        self._look_at(
            Order(
                film=Film(request=self.request, demuxer=self._demuxer, stream=f"V:{stream}"),
                tool=self._tool,
                pixels=self._pixels,
                wish=wish,
            )
        )
        if print_info:
            print(json.dumps(self._info().to_dict(), indent=2))  # noqa: T201 - what the user asked for

    def _wanted_pixels(self, pixelformat: str | None, dtype: Any) -> PixelFormat:
        """Give the format in which frames come: the one that is named, or the one that the dtype means."""
        named = pixelformat or self._pixels_of("uint16" if self._tone else dtype)
        pixels = self._native() if named == "native" else pixel_format(named)
        if pixelformat and dtype is not None and pixels.dtype.name != np.dtype(dtype).name:
            raise ValueError(f"pixelformat={pixelformat!r} is {pixels.dtype.name} here; leave out dtype={dtype!r}")
        return pixels

    def _own(self, keyword: str, options: Sequence[str] | None) -> tuple[str, ...]:
        """Take options of the user's own, as far as the level of trust has it."""
        taken = tuple(map(str, options or ()))
        allowed = INPUT_OPTIONS if keyword == "input_params" else OUTPUT_OPTIONS
        address = isinstance(self.request.resource, Url)
        check_options(taken, self.request.limits, keyword=keyword, allowed=allowed, address=address)
        return taken

    def _check_header(self) -> None:
        """Refuse what its own header says is too large, or too much, before any program looks at it."""
        kind, read_at, size = self.request.kind or "", self.request.read_at, self.request.size
        check_sizes(self.request.limits, self.request.name, sizes(kind, read_at, size, self.request.known))
        if kind == "mp4" and (fault := film_fault(read_at, size)):
            raise CorruptMedia(f"{self.request.name} is a damaged film: {fault}")

    def _counted(self) -> int | None:
        told = self.request.kind == "mp4" and not self._free and self._every == 1
        return video_samples(self.request.read_at, self.request.size) if told else None

    def _look_at(self, order: Order) -> None:
        self._order = order
        self._guide = Guide(order.film)
        self._track: tuple[AvcTrack | None] | None = None  # once it was looked for
        self._damaged = DamageJudge(order.film, self._guide, strict=self._strict)

    def _pixels_of(self, dtype: Any) -> str:
        """Give the pixel format of a dtype, or the usual one."""
        if dtype is None:
            return self._default_pixels()
        try:
            name = _DTYPES.get((np.dtype(dtype).name, self.transparent))
        except TypeError:
            name = None
        if name is None:
            raise UnsupportedPixels(f"{self.request.name}: dtype is 'uint8' or 'uint16', not {dtype!r}")
        return name

    def _native(self) -> PixelFormat:
        """Give the pixel format of the codec, in the byte order of this machine."""
        video = self._video()
        coded = (video and video.pixel_format) or "unknown"
        try:
            return pixel_format(f"{coded[:-2]}le" if coded.endswith("be") else coded)
        except UnsupportedPixels as error:
            error.message = f"{self.request.name} is not to be had as its codec gives it: {error.message}"
            raise

    def _part(
        self, crop: Sequence[int] | None, region: Sequence[int] | None, *, turned: bool
    ) -> tuple[int, int, int, int] | None:
        """Check which part of the frames is wanted."""
        video = None if crop is None and region is None else self._video()
        if video is None:
            return None
        size = (video.width, video.height)
        size = size[::-1] if turned and video.rotation % 180 else size
        box = portion_of(size, self.request.name, crop=crop, region=region).box
        if box is not None:
            self._pixels.check_part(box, size)
        return box

    def _default_pixels(self) -> str:
        return "rgba" if self.transparent else "rgb24"

    @property
    def transparent(self) -> bool:
        """Whether the film has transparency."""
        if self._transparency == MAYBE:
            with contextlib.suppress(CorruptMedia):
                video = self._video()
                return video is not None and has_alpha(video.pixel_format)
            return False
        return bool(self._layered())

    def _layered(self) -> str:
        """Give the decoder that reads a layer of transparency beside the film; empty where there is none of either."""
        decoder = self._transparency
        if decoder in (None, MAYBE):
            return ""
        if decoder in toolbox().abilities("ffmpeg").decoders:
            return decoder or ""
        message = f"{self.request.name}: its transparency is left out, as this ffmpeg has no decoder {decoder}"
        warnings.warn(message, stacklevel=2)
        return ""

    # Decoding

    def _decode(self, seek: argv.Seek = argv.BEGINNING, *, position: int = 0) -> Decoder:
        """Start a decoder in the place of the one that runs."""
        self._stop()
        shifted = not self._free and self._guide.small()
        seek = replace(seek, shifted=shifted)
        if not self._coloured and (size := self._coded_size()):
            self._assume_colours(size)
        self._decoder = Decoder(self._order, seek, position=position)
        if not self._free:
            self._guide.start()
        if not self._coloured and (head := self._decoder.head()):
            size = None if self._order.wish.shape else (head.width, head.height)
            if self._assume_colours(size):
                self._stop()
                self._decoder = Decoder(self._order, seek, position=position)
        return self._decoder

    def _coded_size(self) -> tuple[int, int] | None:
        """Give width and height of the film, where that costs nothing."""
        return film_size(self.request.read_at, self.request.size) if self.request.kind == "mp4" else None

    def _assume_colours(self, size: tuple[int, int] | None = None) -> bool:
        """Take a large film that does not tell its matrix for BT.709, not BT.601; whether that changes anything."""
        self._coloured = True
        if not self._pixels.coloured or (size and not is_large(*size)):
            return False
        with contextlib.suppress(CorruptMedia):
            video = self._video()
            other = colour_of(video).other() if video else {}
            self._order = replace(self._order, wish=replace(self._order.wish, colours=other))
            return bool(other)
        return False

    def _told_colours(self) -> Order:
        """Give the order with what the container may say of colours, for packets that come without it."""
        video = self._video()
        if video is None:
            return self._order
        colour = colour_of(video)
        told = {name: value for name, value in colour.declared().items() if value} | colour.other()
        return replace(self._order, wish=replace(self._order.wish, colours=told))

    def _stop(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _close(self) -> None:
        with contextlib.suppress(AttributeError):  # `_open` may have failed before it came so far
            self._stop()
            self._guide.close()

    def _data(self, index: int) -> Found | None:
        """Give frame `index`, or, where damage is not to be raised, the next that there is."""
        return self._film_frame(index) if self._every == 1 else self._thinned(index)

    def _film_frame(self, index: int) -> Found | None:
        try:
            return self._free_frame(index) if self._free else self._frame(index)
        except CorruptMedia as error:
            self._stop()
            if self._cover_only():
                return self._film_frame(index)
            if self._only_sound():
                return None
            self._check_pixels()
            if early := self._damaged.end():
                error.message += f" ({early})"
            raise
        except BaseException:
            self._stop()
            raise

    def _thinned(self, index: int) -> Found | None:
        """Give one of each so-many frames; whoever reads on gets some that were read together."""
        film = self._guide.whole()
        positions = range(index * self._every, len(film), self._every)
        if not positions:
            return None
        if index not in self._ahead:
            count = _AHEAD if index == self._next else 1
            indexes = range(index, index + len(positions[:count]))
            self._ahead = {}
            with contextlib.suppress(TruncatedMedia, CorruptMedia):  # each by itself, then
                frames, metas = self._batch(indexes)
                both = zip(self._as_batch(frames, metas), metas, strict=True)
                self._ahead = dict(zip(indexes, both, strict=True))
        return self._ahead.pop(index, None) or self._sparse(index)

    def _sparse(self, index: int) -> Found:
        frame, meta = self._at_position(index * self._every)
        return frame, self._renamed(meta)

    def _renamed(self, meta: dict[str, Any]) -> dict[str, Any]:
        """Give a frame the index that it has here; the one that it has in the film is another."""
        return meta if self._every == 1 else meta | {"index": meta["index"] // self._every, "frame": meta["index"]}

    def _at_position(self, position: int) -> Found:
        """Give a frame of the film, that one or none."""
        found = self._film_frame(position)
        if found is None or found[1]["index"] != position:
            raise TruncatedMedia(
                f"{self.request.name}: frame {position} is damaged and cannot be decoded", got=position
            )
        return found

    def _image(self, frame: np.ndarray[Any, Any], head: FrameHead) -> np.ndarray[Any, Any]:
        """Give a frame as users see it."""
        pixels = self._pixels
        if pixels.ycbcr and pixels.nbytes(head.width, head.height) == head.size:
            return Planes.of(frame, pixels, (head.width, head.height))
        return self._tone(pixels.view(frame)) if self._tone else pixels.view(frame)

    def _frame(self, index: int) -> Found | None:
        """Give a frame by reading on where that is near, by a jump where it is not."""
        decoder = self._decoder
        if decoder is None and index == 0:
            decoder = self._decode()
        elif decoder is None or index != decoder.position:
            film = self._guide.whole()
            if index >= len(film):
                return None
            if decoder is None or not self._near(decoder.position, index, film):
                return self._jump(index)
        return self._read_on(decoder, index)

    @staticmethod
    def _near(position: int, index: int, film: FrameIndex) -> bool:
        """Tell whether reading on costs less than a new decoder."""
        return position <= index and (index - position <= film.worth_a_start or film.start(index) <= position)

    def _read_on(self, decoder: Decoder, index: int) -> Found | None:
        """Read from a running decoder until frame `index` comes, or damage, or the end."""
        while (head := decoder.head()) is not None:
            place = self._place(decoder, head)
            if place is None and self._strict:
                if decoder.sought or index > decoder.position or not self._guide.small():
                    return self._jump(index)
                self._lost(decoder)
            expected = decoder.position
            frame = decoder.frame(head)
            if place is None:  # a frame that the file does not list
                decoder.position = expected
                continue
            self._skipped = self._skipped or place > expected
            decoder.position = place + 1
            if self._damaged.at(decoder, place):
                return self._jump(max(place, index))
            if place >= index:
                return self._image(frame, head), self._guide.meta(place, decoder.time_of(head), decoder.clock_of(head))
        return self._end(decoder, index)

    def _place(self, decoder: Decoder, head: FrameHead) -> int | None:
        """Tell which frame it is that comes; None if it is not the one that the file has there."""
        expected = decoder.position
        if self._guide.confirms(expected, decoder.time_of(head)):
            return expected
        film = self._guide.whole()
        time = decoder.tick_of(head, film.time_base)
        if expected < len(film) and (film.ordinal or film.pts[expected] == time):
            return expected
        found = None if self._strict or time is None else film.find(time)
        return found if found is not None and found > expected else None

    def _jump(self, index: int) -> Found | None:
        """Decode from a place before a frame: the nearest first, then earlier ones, and last the beginning."""
        refused: list[Entry] = []
        for entry in self._guide.whole().starts(index):
            found = self._try(index, entry)
            if found is not None:
                self._guide.forget(refused)
                return found
            if entry is not None:
                refused.append(entry)
        self._lost(self._decoder, index)
        return None

    def _try(self, index: int, entry: Entry | None) -> Found | None:
        """Decode from a place; None if it is another frame that comes, or if the decoder complains."""
        film = self._guide.whole()
        through = film.ordinal or (film.cut and entry is None)  # frames are counted, or errors told by their place
        first = 0 if through else index
        decoder = self._decode(since(film, first, entry), position=first)
        try:
            while decoder.position < index and (head := decoder.head()) is not None:
                decoder.frame(head)
                if decoder.position <= film.pardoned:
                    decoder.pardon()
            head = decoder.head()
            place = None if head is None else self._place(decoder, head)
            if head is None or place is None or (entry is not None and place != index):
                return None
            frame = decoder.frame(head)
        except (TruncatedMedia, CorruptMedia):
            return None
        decoder.position = place + 1
        if self._damaged.at(decoder, place):
            return None
        return self._image(frame, head), self._guide.meta(place, decoder.time_of(head), decoder.clock_of(head))

    # The end

    def _end(self, decoder: Decoder, index: int) -> Found | None:
        """Judge the end of the stream by status, count and structure together."""
        ended = decoder.end()
        self._decoder = None
        if not decoder.frames and not decoder.position:
            raise decoder.failure()
        film = self._guide.whole()
        if decoder.position < len(film) and (decoder.sought or decoder.position < index < len(film)):
            return self._jump(index)
        if not ended.ok:
            self._damage(decoder.failure())
        elif decoder.position < len(film):
            self._lost(decoder)
        elif early := self._damaged.end():
            reason = f"{self.request.name} is not whole: {early}; all {decoder.position} frames in it were read"
            self._damage(TruncatedMedia(reason, got=decoder.position))
        elif self._skipped or decoder.complains():
            said = words(ended.stderr).replace(argv.INPUT, self.request.name) or "frames are missing"
            message = f"{self.request.name} was decoded with errors: {said}"
            self._damage(TruncatedMedia(message, got=decoder.position))
        return None

    def _lost(self, decoder: Decoder | None, index: int | None = None) -> None:
        """Say that a frame of the file cannot be decoded."""
        position = index if index is not None else decoder.position if decoder else 0
        total = len(self._guide.whole())
        message = f"{self.request.name}: frame {position} of {total} could not be decoded"
        if decoder is None:
            self._damage(TruncatedMedia(message, got=position))
            return
        said = decoder.child.abort()
        self._decoder = None
        reason = words(said.stderr).replace(argv.INPUT, self.request.name)
        advice = "on_damage='warn' gives what can be decoded" if self._strict else ""
        text = ": ".join(filter(None, (message, reason or "ffmpeg gives no reason")))
        error = TruncatedMedia("; ".join(filter(None, (text, advice))), command=decoder.child.argv, got=position)
        self._damage(error)

    # Frames that the user has had changed in number

    def _free_frame(self, index: int) -> Found | None:
        """Give a frame by counting from the beginning: with a rate of the user's there is no index."""
        if self._count is not None and index >= self._count:
            found = self._free_frame(index % self._count) if self._loop and self._count else None
            return found and (found[0], {**found[1], "index": index})
        decoder = self._decoder
        if decoder is None or index < decoder.position:
            decoder = self._decode()
        while (head := decoder.head()) is not None:
            frame = decoder.frame(head)
            if decoder.position > index:
                time = None if head.pts is None or head.time_base is None else float(head.pts * head.time_base)
                return self._image(frame, head), {"index": index, "time": time}
        ended = decoder.end()
        self._decoder = None
        if not ended.ok or not decoder.frames:
            raise decoder.failure()
        self._count = decoder.frames
        return self._free_frame(index) if self._loop else None

    # What users call besides

    def audio(self, stream: int = 0) -> Samples:
        """Read the sound of the film.

        Parameters
        ----------
        stream : int
            Which of the audio streams.

        Returns
        -------
        Samples
            float32, ``(n, channels)``, at the file's own rate; its `rate` and `start` say how it lies beside the film:
            sample ``k`` is heard ``start + k / rate`` seconds after the first frame is shown.

        Raises
        ------
        CorruptMedia
            If there is no such stream, or it cannot be decoded.
        LimitExceeded
            If it takes more memory than ``limits.volumes_memory``.
        """
        self._check_open()
        with self._at_work():
            film = self._guide.whole()
            begin = int(film.pts[0]) * film.time_base if len(film) else Fraction(0)
            return read_sound(self.request, self._demuxer, stream, begin)

    def _index(self) -> FrameIndex:
        self._check_open()
        if self._free:
            raise UnsupportedPixels(
                f"{self.request.name}: with fps=, loop=, input_params= or output_params= frames are not the file's own"
            )
        with self._at_work():
            film = self._guide.whole()
            return film if self._every == 1 else film.thinned(self._every)

    def _batch(self, indexes: Sequence[int]) -> tuple[np.ndarray[Any, Any], list[dict[str, Any]]]:
        """Read frames in any order, each stretch of the film decoded once."""
        if self._free:
            return super()._batch(indexes)
        film = self._guide.whole()
        positions = [index * self._every for index in indexes]
        if film.ordinal or self._tone or any(self._damaged.known(position) for position in set(positions)):
            found = {position: self._at_position(position) for position in sorted(set(positions))}
            frames, metas = self._stacked([found[position] for position in positions])
            return frames, [self._renamed(meta) for meta in metas]
        if not self._coloured:
            self._assume_colours()
        if self._track is None:
            self._track = (track_of(self._order.film, film),)
        track = self._track[0]
        order = self._order if track is None else self._told_colours()
        frames = fetch(order, film, positions, lambda position: self._at_position(position)[0], track)
        return frames, [self._renamed(film.meta(position)) for position in positions]

    def _as_batch(self, images: np.ndarray[Any, Any], metas: list[dict[str, Any]]) -> Batch:
        if not self._pixels.ycbcr:
            return super()._as_batch(images, metas)
        size = self._meta(None)["size"]
        if self._pixels.empty(*size).shape != images.shape[1:]:
            raise UnsupportedPixels(
                f"{self.request.name}: these frames are not of the film's {size}; read them one by one"
            )
        return PlanesBatch.of_frames(images, metas, self._pixels, size)

    def _info(self) -> MediaInfo:
        if self._probed is None:
            self._probed = probe.media_info(self.request, self._demuxer, remember=True)
        return self._probed

    def _video(self) -> VideoStream | None:
        return self._info().film(self._number)

    def _length(self) -> float:
        if self._loop:
            return math.inf
        if self._count is None:
            count = self._frames_in_all()
            if not count and self._cover_only():
                return self._length()
            if not count and self._video() is None and not self._only_sound():
                raise CorruptMedia(f"{self.request.name} holds neither pictures nor sound that are known")
            self._count = count
        return self._count

    def _frames_in_all(self) -> int:
        try:
            return self._listed(argv.BEGINNING) if self._free else -(-len(self._guide.whole()) // self._every)
        except CorruptMedia:
            video = self._video()  # what cannot be described says so itself
            if not self._only_sound() and not (video and video.attached_picture):
                raise
            return 0

    def _cover_only(self) -> bool:
        """Look at the cover picture from now on, if there is one and nothing else."""
        film = self._order.film
        with contextlib.suppress(CorruptMedia):
            video = self._video()
            if film.stream.startswith("V") and video is not None and video.attached_picture:
                self._guide.close()
                self._count = None
                self._look_at(replace(self._order, film=replace(film, stream=film.stream.lower())))
                return True
        return False

    def _check_pixels(self) -> None:
        """Say so where it was the limit of pixels that stopped ffmpeg."""
        with contextlib.suppress(CorruptMedia):
            video = self._video()
            if video is not None:
                check_size(self.request.limits, self.request.name, video.width, video.height)

    def _only_sound(self) -> bool:
        """Tell whether the file has sound and no pictures; one that has neither is damaged."""
        with contextlib.suppress(CorruptMedia):
            return self._video() is None and any(isinstance(one, AudioStream) for one in self._info().streams)
        return False

    def _listed(self, seek: argv.Seek) -> int:
        """Count the frames that come out, by decoding all."""
        arguments = argv.decode(
            self._tool.release,
            self._demuxer,
            self._pixels,
            stream=self._order.film.stream,
            wish=self._order.wish,
            listed=True,
            seek=seek,
        )
        return probe.count_listed(self.request, self._tool, arguments)

    def _expected(self) -> int | None:
        video = self._video()
        if self._free or video is None:
            return None
        frames = self._length() if video.frames is None else -(-video.frames // self._every)
        nbytes = self._pixels.nbytes(*(self._order.wish.shape or (video.width, video.height)))
        return int(frames) * nbytes // (2 if self._tone else 1)

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            if self._free:
                return self._exactly(index)[1]
            return self._renamed(self._guide.whole().meta(index * self._every))
        meta = film_meta(self._info(), self._video(), self._tool)
        if self._tone:
            meta |= {"tonemapped": True, "tonemap_peak": self._tone.peak}
        if not self._order.wish.turned and self._video():
            meta["size"] = meta["source_size"]
        return meta | ({"size": self._order.wish.shape} if self._order.wish.shape else {})


_DTYPES = {
    ("uint8", False): "rgb24",
    ("uint8", True): "rgba",
    ("uint16", False): "rgb48le",
    ("uint16", True): "rgba64le",
}


def _count(value: Any, name: str, least: int) -> int:
    """Read a keyword that is a whole number."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ValueError(f"{name} is a number from {least}, not {value!r}")
    return number


_AHEAD = 8  # frames that are read together where only some are wanted
