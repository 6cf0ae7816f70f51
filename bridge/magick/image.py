"""Still pictures: Format, Reader and Writer over one-shot ImageMagick children."""

from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.array import Array, as_array
from bridge.core.format import Format, Reader
from bridge.core.intake import check_pictures, check_size, check_sizes
from bridge.core.keywords import switch
from bridge.errors import (
    CorruptMedia,
    MissingCodec,
    TruncatedMedia,
    UnsupportedPixels,
)
from bridge.magick import argv, warm
from bridge.magick.identify import identify
from bridge.magick.pictures import PICTURES, Picture
from bridge.magick.policy import boxed
from bridge.magick.writing import PictureWriter, is_shallow
from bridge.media.heif import Heif, heif
from bridge.media.icc import lab_to_srgb, srgb_profile
from bridge.media.index import FrameIndex, Packet
from bridge.media.info import MediaInfo, still_info, still_meta
from bridge.media.lab import ICCLAB, LAB, as_rgb, photometrics
from bridge.media.layers import Canvas
from bridge.media.orientation import told_upright, upright
from bridge.media.pixels import memory_of, native
from bridge.media.pnm import PnmFraming, maxval
from bridge.media.portion import WHOLE, portion_of
from bridge.media.sizes import sizes
from bridge.media.sniff import PictureHead, layers_of, picture_head
from bridge.media.srgb import Conversion, conversion, take_colorspace
from bridge.process.child import Child
from bridge.process.pipes import FrameSource
from bridge.process.tools import install_hint, toolbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.core.request import Request
    from bridge.magick.worker import Wanted
    from bridge.media.framing import FrameHead
    from bridge.media.layers import Layer

__all__ = ["PictureFormat", "PictureReader", "PictureWriter", "picture_formats"]


_PIECE = 1 << 20
_BY_PROFILE = frozenset({"profile", "own"})

_FULL_SCALE = 65535
_HEIF = ("avif", "heic")
_AS_STORED = ("-set", "colorspace", "sRGB", "-channel", "R", "-separate", "+channel")  # the luma, not turned into gray
_CLOCKS = {"gif": Fraction(1, 100)}  # seconds per tick; of others milliseconds

# What libjpeg says of data that it cannot decode, while the program ends with success; bytes too many are harmless.
_DAMAGE = re.compile(r"Corrupt JPEG data: (?!\d+ extraneous)[\w ]+")


class PictureReader(Reader):
    """Reads pictures through ImageMagick, with the channels and the depth that the file has.

    Gray pictures come as ``(height, width)``, others as ``(height, width, channels)``; palettes as RGB or
    RGBA; up to 8 bits as uint8, more as uint16 at the scale of the file: white is 4095 in one of 12 bits, as
    ``meta["FILE"]["maxval"]`` says. The frames of an animation are composed as
    a viewer shows them.

    Parameters
    ----------
    on_damage : {"raise", "warn", "ignore"}
        What to do about a picture that is not whole, of which ImageMagick gives what there is.
    size : tuple of int or str
        ``(width, height)`` or ``"320x180"`` to which the program scales the picture; a JPEG is not even decoded at
        full size then.
    crop : tuple of int
        ``(x, y, width, height)`` of the only part that is wanted; also called `region`. It comes before `size`, and
        with `rotate` both are those of the picture as it comes out.
    colorspace : str
        ``"srgb"`` converts inks, Lab, and what carries another profile (Adobe RGB, Display P3, ...) to sRGB, by that
        profile. Gray stays gray unless its profile says that it is not the usual one. By default pixels come as they
        are stored, and the profile is in the metadata, group ``ICC``.
    rotate : bool
        Turn and mirror the picture as its orientation (EXIF's, or that of XMP) says; the metadata then says that it
        is upright, and what it was in ``FILE``. By default pixels come as they are stored.
    """

    _format: PictureFormat
    _dpi: float | None = None  # of a drawing

    def _open(
        self,
        *,
        on_damage: str = "raise",
        rotate: bool = False,
        size: Any = None,
        crop: Any = None,
        region: Any = None,
        colorspace: Any = None,
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        self._take_on_damage(on_damage)
        converted = take_colorspace(colorspace)
        self._conversion: Conversion | None = None
        self._orientation = 0  # as it is stored
        self._picture = self._format.picture
        self._check_header()
        self._tool = toolbox().find("magick")
        if missing := self._format.missing():
            raise MissingCodec(f"{self.request.name}: {missing}")
        self._source: FrameSource[FrameHead] | None = None
        self._position = 0
        self._shown: FrameIndex | None = None
        self._portion = WHOLE
        self._heif = Heif()
        self._changes: list[str] = []
        self._scaled = True  # to 65535, by ImageMagick, whatever is white in the file
        self._head = self._describe()
        self._refuse_shallow()
        self._layered = False  # whether layers are composed here
        self._layers: Iterator[Layer] = iter(())
        self._canvas = Canvas(0, 0)
        if switch("rotate", rotate):
            from bridge.media.metadata import orientation

            self._orientation = orientation(self._meta(None))
        picture = (self._head.width, self._head.height)
        self._portion = portion_of(
            picture, self.request.name, size=size, crop=crop, region=region, orientation=self._orientation
        )
        self._limit()
        if self._picture.animated and self._portion.size is None:  # what is to be scaled ImageMagick composes
            self._layered = next(layers_of(self.request.kind or "", self.request.read_at), None) is not None
        if self._portion.size is not None and self._head.lab and self._samples != ICCLAB:
            raise UnsupportedPixels(
                f"{self.request.name} is Lab with signed a and b, which is not scaled; leave out size="
            )
        if converted:
            self._take_conversion()

    def _take_conversion(self) -> None:
        """Decide how the picture becomes sRGB, and whether that can be done here."""
        found = conversion(self.request.kind or "", self._head, self._meta(None))
        if found.way in _BY_PROFILE and "lcms" not in toolbox().abilities("magick").delegates:
            raise MissingCodec(
                f"{self.request.name}: {self._tool} is built without lcms, which converts {found.source} to sRGB; "
                f"install one that is: {install_hint('magick')}"
            )
        self._head = found.head(self._head)
        self._conversion = found

    def _describe(self) -> PictureHead:
        head = picture_head(self.request.kind or "", self.request.read_at, self.request.known)
        if head is None:
            head = self._with_alpha(identify(self.request, self._tool, self._picture.coder, self._dpi))
        if self.request.kind == "pnm" and head.depth > 8:
            white = maxval(self.request.head)
            # Of as many bits as its own samples have, ImageMagick takes them as they are, if they are no text.
            self._scaled = white.bit_length() < 16 or self.request.head[:2] in (b"P2", b"P3")
            return replace(head, maxval=white if white < _FULL_SCALE else 0)
        if self.request.kind != "tiff":
            return head
        self._samples = next((value for value, _ in photometrics(self.request.read_at)), 0)
        return replace(head, lab=self._samples in LAB)

    def _refuse_shallow(self) -> None:
        """Refuse what this build of ImageMagick would read with fewer bits."""
        if self._head.depth > 8 and is_shallow(self._tool):
            raise UnsupportedPixels(
                f"{self.request.name} has 16 bits a sample, of which {self._tool} gives 8; install an ImageMagick Q16, "
                "or read it with another format (PNG-FFMPEG)"
            )

    def _limit(self) -> None:
        """Refuse a picture of which more would be decoded than the user allows."""
        head, limits, name = self._head, self.request.limits, self.request.name
        width, height = self._portion.decoded(head.width, head.height, reducible=self._reducible)
        check_size(limits, name, width, height)
        check_size(limits, name, *head.largest, what="a part")
        if self.request.mode != "i" or self._picture.coder == "webp":  # of which it decodes all to give the first
            check_pictures(limits, name, head.frames)

    @property
    def _reducible(self) -> bool:
        """Whether the program can decode it at a part of its size."""
        return self._picture.coder == "jpeg"

    def _check_header(self) -> None:
        """Refuse what its own header says is too large, before any program looks at it."""
        if not self._reducible:
            kind = self.request.kind or self._picture.coder
            found = sizes(kind, self.request.read_at, self.request.size, self.request.known)
            check_sizes(self.request.limits, self.request.name, found)

    def _with_alpha(self, head: PictureHead) -> PictureHead:
        """Add the transparency of a HEIC or AVIF that ImageMagick 6 does not see; tell of depth that it leaves out."""
        self._heif = heif(self.request.read_at) if self.request.kind in _HEIF else Heif()
        if self._heif.depth > head.depth:
            self._changes.append(
                f"{self._heif.depth} bits a sample are read as {head.depth}, as {self._tool} gives them"
            )
        if head.channels in (2, 4) or head.frames > 1 or not self._heif.alpha:
            self._heif = Heif()
            return head
        return replace(head, channels=head.channels + 1)

    def _opacity(self) -> np.ndarray[Any, Any]:
        """Read the transparency as a picture of its own: it is made the first of a copy of the file."""
        place, alpha, size = self._heif.place, self._heif.alpha, self.request.size
        head = self._head
        arguments = argv.read(
            self._tool.path,
            self._tool.release,
            self._picture.coder,
            channels=1,
            depth=head.depth,
            frames="[0]",
            fixes=_AS_STORED,
            portion=self._portion,
        )
        still = self.request.limits.still
        with Child(arguments, subject=self.request.name, feed=True, **boxed(self.request.limits)) as child:
            behind = place + len(alpha)
            for piece in (self.request.read_at(0, place), alpha, self.request.read_at(behind, size - behind)):
                child.write(memoryview(piece), still)
            child.end_input()
            source: FrameSource[FrameHead] = FrameSource(child, PnmFraming(), first=still, stall=still)
            frame = self._receive(source, 1)
        if frame.shape[::-1] != self._portion.shape(head.width, head.height):
            message = f"{self.request.name} has a transparency of another size than its picture"
            raise UnsupportedPixels(message)
        return frame

    def _length(self) -> float:
        return 1 if self.request.mode in "vV" else self._head.frames

    def _counted(self) -> int | None:
        return self._head.frames

    def _expected(self) -> int | None:
        head = self._head
        width, height = self._portion.shape(head.width, head.height)
        return head.frames * width * height * head.channels * (head.depth // 8)

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if self.request.mode not in "vV":
            return self._one(index)
        planes = [self._one(number) for number in range(self._head.frames)] if index == 0 else []
        return (np.stack([plane[0] for plane in planes if plane]), {"index": 0}) if planes else None

    def _one(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index >= self._head.frames:
            return None
        frame = self._warm()
        if frame is None:
            frame = self._cold(index)
        if self._heif.alpha:
            frame = np.dstack([frame, self._opacity()])
        if self._conversion and self._conversion.way == "lab":
            frame = lab_to_srgb(frame, offset=self._samples == ICCLAB)
        return self._made(frame), self._meta(index)

    def _made(self, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Make the picture of what came at full scale and as it is stored."""
        return upright(native(frame, self._head.maxval if self._scaled else 0), self._orientation)

    def wanted(self) -> Wanted | None:
        """Say what a warm ImageMagick is to be asked for; None where the one-shot program is to be asked."""
        if self._source or self._dpi or (self._conversion and self._conversion.way != "none"):
            return None
        portion = WHOLE if self._layered else self._portion
        return warm.wanted(self._picture, self._head, portion, self._tool, channels=self._sent)

    def decoded(self, frame: np.ndarray[Any, Any]) -> Array:
        """Make the picture that users get of what a warm ImageMagick gave for `wanted`."""
        self._begin_layers()
        image = self._made(_fit(self._laid(frame), self._seen))
        return as_array(image, {**self._meta(None), **self._meta(0)})

    def _warm(self) -> np.ndarray[Any, Any] | None:
        what = self.wanted()
        frame = warm.picture(self.request, self._tool, what) if what else None
        if frame is None:
            self._check_open()  # it may have been closed while we waited
            return None
        self._begin_layers()
        return _fit(self._laid(frame), self._seen)

    def _cold(self, index: int) -> np.ndarray[Any, Any]:
        """Read a picture from a child of its own, or from the one that is sending them one after the other."""
        source = self._source
        if source is None or index < self._position:
            source = self._start(index)
        try:
            for _ in range(index - self._position + 1):
                frame = self._receive(source, self._seen)
                self._position += 1
        except BaseException:
            self._stop()
            raise
        if self._position == self._head.frames:
            self._end(source)
        return frame

    @property
    def _seen(self) -> int:
        """How many channels ImageMagick itself sees."""
        return self._head.channels - bool(self._heif.alpha)

    @property
    def _sent(self) -> int:
        """How many channels it is asked for."""
        return 4 if self._layered else _SENT[min(self._seen, 4)]

    def _start(self, index: int) -> FrameSource[FrameHead]:
        """Start a child that sends the pictures from the first on: up to `index`, or all when iterating."""
        self._stop()
        way = self._conversion.way if self._conversion else "none"
        only = self._head.frames > 1 and self._position == 0 and self.request.mode == "i"
        arguments = argv.read(
            self._tool.path,
            self._tool.release,
            self._picture.coder,
            channels=self._sent,
            depth=self._head.depth,
            frames=f"[0-{index}]" if only and index else "[0]" if only or self._head.frames == 1 else "",
            compose=self._picture.animated and not self._layered,
            fixes=self._picture.fixes,
            cmyk=self._head.cmyk,
            dpi=self._dpi,
            portion=WHOLE if self._layered else self._portion,
            to_srgb=way,
        )
        profile = self._conversion.profile if self._conversion else b""
        child = self._child(arguments, {argv.SOURCE: profile, argv.SRGB: srgb_profile()} if way in _BY_PROFILE else {})
        still = self.request.limits.still
        self._position = 0
        self._begin_layers()
        self._source = FrameSource(child, PnmFraming(), first=still, stall=still)
        return self._source

    def _begin_layers(self) -> None:
        if self._layered:
            self._layers = layers_of(self.request.kind or "", self.request.read_at)
            self._canvas = Canvas(self._head.width, self._head.height)

    def _laid(self, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Lay the next layer over those before it, where that is done here."""
        if not self._layered:
            return frame
        layer = next(self._layers)
        return self._portion.of(self._canvas.lay(_cut(_rgba(frame), layer), layer))

    def _child(self, arguments: tuple[str, ...], files: dict[str, bytes]) -> Child:
        """Start the program on the content; Lab goes to it as if it were RGB, else it rounds a and b."""
        name = self.request.name
        laid = boxed(self.request.limits)
        laid = laid | {"files": laid["files"] | files}
        if self.request.kind != "tiff" or not (changed := as_rgb(self.request.read_at)):
            with self.request.input() as descriptor:
                return Child(arguments, subject=name, stdin=descriptor, **laid)
        child = Child(arguments, subject=name, feed=True, **laid)
        try:
            for at in range(0, self.request.size, _PIECE):
                piece = bytearray(self.request.read_at(at, _PIECE))
                for place, byte in changed.items():
                    if at <= place < at + len(piece):
                        piece[place - at] = byte
                child.write(memoryview(piece), self.request.limits.stall)
            child.end_input()
        except BaseException:
            child.abort()
            raise
        return child

    def _receive(self, source: FrameSource[FrameHead], wanted: int) -> np.ndarray[Any, Any]:
        try:
            head = source.head()
            if head is None:
                raise self._failure(source)
            if not head.size:
                raise CorruptMedia(f"{self.request.name}: {self._tool} gave a picture without a pixel")
            channels = head.channels or 1
            shape = (head.height, head.width, channels) if channels > 1 else (head.height, head.width)
            frame: np.ndarray[Any, Any] = np.empty(shape, np.dtype("u1" if (head.maxval or 0) < 256 else ">u2"))
            source.fill(head, memory_of(frame))
        except TruncatedMedia:
            raise self._failure(source) from None
        frame = _fit(self._laid(frame), wanted)
        return frame if frame.dtype == np.uint8 else frame.astype(np.uint16)

    def _failure(self, source: FrameSource[FrameHead]) -> Exception:
        source.child.wait(self.request.limits.still)
        got = source.frames
        return source.child.failure(TruncatedMedia if got else CorruptMedia, got=got)

    def _end(self, source: FrameSource[FrameHead]) -> None:
        """Judge the end: the last picture is here, the program must say that all went well."""
        self._source = None
        ended = source.child.wait(self.request.limits.still)
        if not ended.ok:
            raise source.child.failure(CorruptMedia, got=source.frames)
        if damage := _DAMAGE.search(ended.stderr):
            kind = TruncatedMedia if "premature" in damage[0] else CorruptMedia
            advice = "on_damage='warn' gives what there is"
            self._damage(kind(f"{self.request.name}: {damage[0].strip()}; {advice}", exit=ended, got=source.frames))

    def _stop(self) -> None:
        if self._source is not None:
            self._source.child.abort()
            self._source = None

    def _close(self) -> None:
        with contextlib.suppress(AttributeError):  # `_open` may have failed before it came so far
            self._stop()

    def _info(self) -> MediaInfo:
        return still_info(self.request.name, self._format.name, self.request.size, self._head)

    def _times(self) -> FrameIndex:
        """Give when each picture of an animation is shown, as the file says it; nothing for other files."""
        if self._shown is None:
            animated = self._head.frames > 1 and self._picture.animated
            groups = self._meta(None).values() if animated else ()
            seconds: list[float] = next((group["durations"] for group in groups if "durations" in group), [])
            clock = _CLOCKS.get(self.request.kind or "", Fraction(1, 1000))
            ticks = [round(duration / clock) for duration in seconds[: self._head.frames]]
            begins = itertools.accumulate(ticks[:-1], initial=0)
            rows = [
                Packet(begin, duration=long, key=not number)
                for number, (begin, long) in enumerate(zip(begins, ticks, strict=False))
            ]
            self._shown = FrameIndex.from_frames(rows, clock)
        return self._shown

    def _index(self) -> FrameIndex:
        self._check_open()
        with self._at_work():
            found = self._times()
        if not len(found):
            raise self._no_film()
        return found

    def _meta(self, index: int | None) -> dict[str, Any]:
        head = self._head
        if index is not None:
            if head.frames == 1:
                return {"index": index}
            times = self._times()
            return times.meta(index) if index < len(times) else {"index": index}
        groups = still_meta(self.request.kind or "", self.request.read_at, self._format.name, str(self._tool), head)
        self._portion.tell(groups["FILE"])
        if self._conversion is not None:
            self._conversion.tell(groups)
        if self._changes:
            groups["FILE"].setdefault("changes", []).extend(self._changes)
        return told_upright(groups, self._orientation) if self._orientation else groups


def _fit(frame: np.ndarray[Any, Any], channels: int) -> np.ndarray[Any, Any]:
    """Give the channels that the header promises, where ImageMagick sent gray and alpha or RGBA for the other."""
    sent = 1 if frame.ndim == 2 else frame.shape[2]
    if (sent, channels) == (4, 2):
        return frame[..., ::3].copy()
    if (sent, channels) == (2, 4):
        return frame[..., [0, 0, 0, 1]]
    if (sent, channels) == (4, 3):
        return frame[..., :3].copy()
    return np.repeat(frame[..., None], 3, axis=2) if (sent, channels) == (1, 3) else frame


def _cut(frame: np.ndarray[Any, Any], layer: Layer) -> np.ndarray[Any, Any]:
    """Give the layer alone: of a WebP, ImageMagick sends the first one with the canvas round it."""
    left, top, width, height = layer.box
    if frame.shape[0] > height or frame.shape[1] > width:
        return frame[top : top + height, left : left + width]
    return frame


def _rgba(frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give four channels of 8 bits, whatever ImageMagick made of them."""
    frame = _fit(frame, 4)
    if frame.ndim == 2 or frame.shape[2] == 3:
        opaque = np.full((*frame.shape[:2], 1), 255, np.uint8)
        frame = np.concatenate([np.dstack([frame] * 3) if frame.ndim == 2 else frame, opaque], axis=2)
    return frame


_SENT = {1: 1, 2: 4, 3: 3, 4: 4}  # channels wanted -> channels sent: gray and alpha travel as RGBA


class PictureFormat(Format):
    """Still pictures through ImageMagick."""

    program = "ImageMagick"
    single = True
    reader = PictureReader

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.modes = picture.modes
        self.depths, self.alpha, self.metadata = picture.depths, picture.alpha, picture.metadata
        self.animated = picture.animated
        self.name = picture.name
        self.description = picture.description
        self.extensions = picture.extensions
        if picture.written:
            self.writer = PictureWriter

    def can_read(self, request: Request) -> bool:
        """Take content of our kind, or, for formats without a signature, content of no kind by its name."""
        if self.picture.kinds:
            ours = request.kind in self.picture.kinds
        else:
            ours = self.could_read(request) and request.extension in self.extensions
        return ours and not _is_for_ffmpeg(request)

    def could_read(self, request: Request) -> bool:
        """Take content of our kind, or of no kind: the user has named us."""
        return request.kind in (self.picture.kinds or (None, "pnm"))

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it; empty if it works here."""
        tools = toolbox()
        if tools.get("magick") is None:
            return f"ImageMagick is not installed: {install_hint('magick')}"
        abilities = tools.abilities("magick")
        if self.picture.coder.upper() in (abilities.muxers if writing else abilities.demuxers):
            return ""
        return f"this ImageMagick cannot {'write' if writing else 'read'} {self.name}"


def _is_for_ffmpeg(request: Request) -> bool:
    """Tell whether this ImageMagick would not give the pixels of a picture as they are, and ffmpeg does."""
    if request.kind not in ("gif", "jp2", "jpeg", "png"):
        return False
    tool = toolbox().get("magick")
    if request.kind == "jpeg":
        head = picture_head("jpeg", request.read_at, request.known)
        return head is not None and head.rare and toolbox().get("ffmpeg") is not None
    if request.kind == "gif" and request.mode != "i" and toolbox().get("ffmpeg") is not None:
        head = picture_head("gif", request.read_at, request.known)  # ImageMagick gives none before it holds all
        return head is not None and head.frames > request.limits.magick_pictures
    asked = {"png": is_shallow(tool), "jp2": tool is not None and tool.release >= (7, 0)}
    if not asked.get(request.kind or ""):
        return False
    head = picture_head(request.kind or "", request.read_at, request.known)
    # ImageMagick 7.1 takes the alpha of JPEG 2000 for a colour where the file does not say which is which.
    return head is not None and (head.depth > 8 if request.kind == "png" else head.channels in (2, 4))


def picture_formats() -> list[Format]:
    """Give one Format for each picture format; documents are in a module of their own."""
    return [PictureFormat(picture) for picture in PICTURES if not picture.dpi]
