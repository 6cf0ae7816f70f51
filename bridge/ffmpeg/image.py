"""Still pictures through ffmpeg, for machines without ImageMagick."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Format, Reader, Writer
from bridge.core.intake import check_sizes
from bridge.core.keywords import switch
from bridge.errors import CorruptMedia, MissingCodec, TruncatedMedia, UnsupportedPixels
from bridge.ffmpeg import argv
from bridge.ffmpeg.animation import pixels_of
from bridge.ffmpeg.probe import own_pixels
from bridge.media.carry import HELD, carried
from bridge.media.embed import embed
from bridge.media.heads import plain_dds
from bridge.media.info import MediaInfo, still_info, still_meta
from bridge.media.nut import NutFraming
from bridge.media.orientation import told_upright, upright
from bridge.media.pixels import for_array, hidden_colours, memory_of, native, pixel_format
from bridge.media.pnm import PnmFraming
from bridge.media.portion import WHOLE, portion_of
from bridge.media.sniff import PictureHead, picture_head
from bridge.media.srgb import Conversion, conversion, take_colorspace
from bridge.media.whole import is_cut
from bridge.process.child import Child
from bridge.process.isolation import box_for
from bridge.process.pipes import FrameSource
from bridge.process.tools import install_hint, toolbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.core.request import Request
    from bridge.media.framing import FrameHead
    from bridge.media.pixels import PixelFormat

__all__ = ["StillFormat", "StillReader", "StillWriter", "still_formats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One still format as ffmpeg serves it.

    Attributes
    ----------
    demuxer, decoder, encoder : str
        FFmpeg's names; no decoder is asked for where every build has it.
    written : dict
        An array's pixel format -> the encoder's; empty for what is only read.
    options : dict
        Of the encoder.
    """

    name: str
    description: str
    extensions: tuple[str, ...]
    kind: str
    demuxer: str
    encoder: str = ""
    written: dict[str, str] = field(default_factory=dict)
    decoder: str = ""
    options: dict[str, Any] = field(default_factory=dict)


_SAME = {name: name for name in ("gray", "ya8", "rgb24", "rgba")}
_PNG = _SAME | {"gray16le": "gray16be", "ya16le": "ya16be", "rgb48le": "rgb48be", "rgba64le": "rgba64be"}
_DEEP = {name: name for name in _PNG}

STILLS: tuple[Still, ...] = (
    Still(
        name="PNG-FFMPEG", description="Portable Network Graphics", extensions=(".png",), kind="png",
        demuxer="png_pipe", encoder="png", written=_PNG,
    ),
    Still(
        name="JPEG-FFMPEG", description="Joint Photographic Experts Group", kind="jpeg",
        extensions=(".jpg", ".jpeg", ".jpe", ".jfif"), demuxer="jpeg_pipe", encoder="mjpeg",
        written={"gray": "gray", "rgb24": "yuvj420p"},
    ),
    Still(
        name="JLS", description="JPEG-LS", extensions=(".jls",), kind="jls", demuxer="jpegls_pipe", decoder="jpegls",
        encoder="jpegls", written={name: name for name in ("gray", "rgb24", "gray16le")},
    ),
    Still(
        name="BMP-FFMPEG", description="Windows bitmap", extensions=(".bmp", ".dib"), kind="bmp",
        demuxer="bmp_pipe", encoder="bmp", written={"gray": "gray", "rgb24": "bgr24"},
    ),
    Still(
        name="WEBP-FFMPEG", description="WebP", extensions=(".webp",), kind="webp",
        demuxer="webp_pipe", encoder="libwebp", written={"rgb24": "yuv420p", "rgba": "yuva420p"},
    ),
    Still(
        name="PNM-FFMPEG", description="portable anymap", extensions=(".ppm", ".pgm", ".pam"), kind="pnm",
        demuxer="pnm", encoder="pam", written=_PNG,
    ),
    Still(  # `bridge.arrays.floats` writes it
        name="EXR-FFMPEG", description="OpenEXR", extensions=(".exr",), kind="exr", demuxer="exr_pipe",
        decoder="exr",
    ),
    Still(
        name="JXL-FFMPEG", description="JPEG XL", extensions=(".jxl",), kind="jxl", demuxer="jpegxl_pipe",
        decoder="libjxl", encoder="libjxl", written=_DEEP, options={"distance": 0},
    ),
    Still(
        name="JP2-FFMPEG", description="JPEG 2000", extensions=(".jp2",), kind="jp2", demuxer="j2k_pipe",
        decoder="jpeg2000", encoder="libopenjpeg", written=_DEEP, options={"format:v": "jp2"},
    ),
    Still(
        name="J2K-FFMPEG", description="JPEG 2000 codestream", extensions=(".j2k", ".jpc", ".j2c"), kind="j2k",
        demuxer="j2k_pipe", decoder="jpeg2000", encoder="libopenjpeg", options={"format:v": "j2k"},
        written={name: name for name in ("gray", "rgb24", "gray16le", "rgb48le")},
    ),
    Still(
        name="QOI", description="Quite OK Image", extensions=(".qoi",), kind="qoi", demuxer="qoi_pipe",
        decoder="qoi", encoder="qoi", written={"rgb24": "rgb24", "rgba": "rgba"},
    ),
    Still(
        name="SGI", description="Silicon Graphics image", extensions=(".sgi", ".rgb", ".bw"), kind="sgi",
        demuxer="sgi_pipe", decoder="sgi", encoder="sgi", options={"rle": 0},
        written={name: coded for name, coded in _PNG.items() if not name.startswith("ya")},
    ),
    Still(
        name="DDS", description="DirectDraw surface", extensions=(".dds",), kind="dds", demuxer="dds_pipe",
        decoder="dds",
    ),
)  # fmt: skip


_ANYMAPS = {b"P5": "pgm_pipe", b"P6": "ppm_pipe", b"P7": "pam_pipe"}  # what begins so -> FFmpeg's demuxer


class StillReader(Reader):
    """Reads one picture through ffmpeg, with the channels and the depth that its header promises.

    Parameters
    ----------
    on_damage : {"raise", "warn", "ignore"}
        What to do about a picture that ffmpeg decodes only with errors.
    size : tuple of int or str
        ``(width, height)`` or ``"320x180"`` to which the program scales the picture.
    crop : tuple of int
        ``(x, y, width, height)`` of the only part that is wanted; also called `region`. It comes before `size`, and
        with `rotate` both are those of the picture as it comes out.
    colorspace : str
        ``"srgb"`` asks for sRGB; pictures that are something else need ImageMagick.
    rotate : bool
        Turn and mirror the picture as its orientation (EXIF's, or that of XMP) says; the metadata then says that it
        is upright, and what it was in ``FILE``. By default pixels come as they are stored.
    """

    _format: StillFormat

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
        converted = take_colorspace(colorspace)
        self._conversion: Conversion | None = None
        self._take_on_damage(on_damage)
        self._orientation = 0  # as it is stored
        head = picture_head(self.request.kind or "", self.request.read_at, self.request.known) or self._anymap()
        if head is None:
            message = f"{self.request.name} has no header that is known"
            raise CorruptMedia(message)
        check_sizes(self.request.limits, self.request.name, ((head.width, head.height), head.largest))
        self._tool = toolbox().find("ffmpeg")
        if decoder := self._format.still.decoder:
            toolbox().abilities("ffmpeg").need("decoders", decoder, self._tool)
        if head.cmyk or head.frames > 1:
            what = "four inks" if head.cmyk else "several frames"
            raise MissingCodec(f"{self.request.name} has {what}, which needs ImageMagick: {install_hint('magick')}")
        self._head = head
        self._pixels = pixel_format(pixels_of(head))
        self._portion = WHOLE
        if switch("rotate", rotate):
            from bridge.media.metadata import orientation

            self._orientation = orientation(self._meta(None))
        if converted:
            self._take_conversion()
        picture = (head.width, head.height)
        self._portion = portion_of(
            picture, self.request.name, size=size, crop=crop, region=region, orientation=self._orientation
        )

    def _take_conversion(self) -> None:
        found = conversion(self.request.kind or "", self._head, self._meta(None))
        if found.way != "none":
            raise MissingCodec(
                f"{self.request.name} is {found.source}; to convert it to sRGB needs ImageMagick with lcms: "
                f"{install_hint('magick')}"
            )
        self._conversion = found

    def _anymap(self) -> PictureHead | None:
        """Read the head of a binary PNM, the form that ffmpeg reads and writes; other forms need ImageMagick."""
        if self.request.kind != "pnm" or self.request.head[:2] not in _ANYMAPS:
            return None
        head, _ = PnmFraming().head(self.request.head)
        if head is None or head.channels is None or head.maxval not in (255, 65535):
            return None
        depth = 8 if head.maxval == 255 else 16
        return PictureHead(width=head.width, height=head.height, channels=head.channels, depth=depth)

    def _info(self) -> MediaInfo:
        return still_info(self.request.name, self._format.name, self.request.size, self._head)

    def _length(self) -> float:
        return 1

    def _expected(self) -> int | None:
        return self._pixels.nbytes(*self._portion.shape(self._head.width, self._head.height))

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index:
            return None
        kind = "jls" if self._head.rare else self.request.kind or ""  # what is rare of JPEG ends alike
        if is_cut(kind, self.request.read_at, self.request.size):
            raise TruncatedMedia(f"{self.request.name} ends before its last pixel", got=0)
        demuxer = _ANYMAPS.get(self.request.head[:2], self._format.still.demuxer)
        wish = argv.Wish(size=self._portion.size, crop=self._portion.box)
        pixels = self._pixels
        if self._head.depth == 32 and "f16" in own_pixels(self.request, demuxer):
            # Newer ffmpeg keeps half floats, and would cut values at 1 where it makes floats of them.
            pixels = replace(pixels, name=pixels.name.replace("f32", "f16"), dtype=np.dtype("<f2"))
        arguments = argv.decode(self._tool.release, demuxer, pixels, frames=1, wish=wish, still=True)
        still = self.request.limits.still
        with (
            self._content() as descriptor,
            Child(
                (self._tool.path, *arguments),
                subject=self.request.name,
                box=box_for(self.request.limits, "picture"),
                stdin=descriptor,
            ) as child,
        ):
            source: FrameSource[FrameHead] = FrameSource(child, NutFraming(), first=still, stall=still)
            frame = self._frame(source, pixels).astype(self._pixels.dtype, copy=False)
            if source.head() is not None or not child.wait(still).ok:
                raise child.failure(CorruptMedia)
            if child.said():
                self._damage(child.failure(CorruptMedia))
        image = self._pixels.view(frame)
        if not self._comes_as_coded(demuxer):
            image = native(image, self._head.maxval, shifted=True)
        return upright(image, self._orientation), {"index": 0}

    def _comes_as_coded(self, demuxer: str) -> bool:
        """Tell whether ffmpeg leaves samples of 9 to 15 bits as they are: those of a lossless JPEG in RGB."""
        head = self._head
        return bool(head.rare and head.maxval) and own_pixels(self.request, demuxer).startswith(("bgr48", "rgb48"))

    @contextlib.contextmanager
    def _content(self) -> Iterator[int]:
        """Give the content by its descriptor; a DDS whose masks ffmpeg does not know is copied with others."""
        request = self.request
        begin = plain_dds(request.read_at(0, 128)) if request.kind == "dds" else b""
        if begin in (b"", request.read_at(0, len(begin))):
            with request.input() as descriptor:
                yield descriptor
            return
        with tempfile.TemporaryFile() as copy:
            copy.write(begin + request.read_at(len(begin), request.size))
            copy.seek(0)
            yield copy.fileno()

    def _frame(self, source: FrameSource[FrameHead], pixels: PixelFormat) -> np.ndarray[Any, Any]:
        try:
            head = source.head()
            if head is not None:
                frame = pixels.empty(head.width, head.height)
                source.fill(head, memory_of(frame))
                return frame
        except TruncatedMedia:
            pass
        source.child.wait(self.request.limits.still)
        raise source.child.failure(CorruptMedia)

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return {"index": index}
        source = str(self._tool)
        groups = still_meta(self.request.kind or "", self.request.read_at, self._format.name, source, self._head)
        self._portion.tell(groups["FILE"])
        if self._conversion is not None:
            self._conversion.tell(groups)
        return told_upright(groups, self._orientation) if self._orientation else groups


class StillWriter(Writer):
    """Writes one picture through ffmpeg, at the array's own depth, with its metadata (JPEG, PNG, WebP).

    Parameters
    ----------
    quality : int
        1 to 100, for JPEG and WebP (75 by default).
    lossless : bool
        Keep every pixel as it is; for WebP, which else loses something.
    """

    _format: StillFormat

    def _open(self, *, quality: int = 75, lossless: bool = False, **kwargs: Any) -> None:
        super()._open(**kwargs)
        self._tool = toolbox().find("ffmpeg")
        toolbox().abilities("ffmpeg").need("encoders", self._format.still.encoder, self._tool)
        if not 1 <= quality <= 100:
            raise ValueError(f"{self.request.name}: quality is a number from 1 to 100, not {quality!r}")
        self._quality = quality
        self._lossless = lossless
        if lossless and self._format.still.encoder != "libwebp":
            raise ValueError(f"{self._format.name} takes no lossless=True; WebP does")
        self._held = HELD.get(self._format.still.kind, frozenset())

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        still = self._format.still
        if self._count:
            message = f"{self.request.name}: {self._format.name} holds one picture; write a film, a GIF or a TIFF"
            raise UnsupportedPixels(message)
        pixels = for_array(image)
        if pixels.name not in still.written:
            able = ", ".join(row.name for row in STILLS if pixels.name in row.written) or "TIFF or NPY"
            message = f"{self.request.name}: {still.name} cannot hold {pixels.name}; formats that can: {able}"
            raise UnsupportedPixels(message)
        self.changes += hidden_colours(image) if self._lossless else []
        coded = "bgra" if self._lossless else still.written[pixels.name]
        options = {"pix_fmt": coded, **still.options, **self._own_options(image)}
        encoder = self._encoder(pixels.name)
        arguments = argv.encode_still(pixels, (image.shape[1], image.shape[0]), encoder, options)
        with self.request.output() as part:
            self._child = Child(
                (self._tool.path, *arguments),
                subject=self.request.name,
                box=box_for(self.request.limits, "encoder"),
                feed=True,
                stdout=part,
                part=self.request.part(),
            )
        self._child.write(memory_of(pixels.memory(image)), self.request.limits.stall)
        self._child.end_input()
        if self._held:
            size = (image.shape[1], image.shape[0])
            self._blocks, changes = carried(meta, still.kind, channels=pixels.channels, size=size)
            self.changes += changes

    def _encoder(self, pixels: str) -> str:
        """Give the encoder; of the portable anymaps the name decides, which must not lie."""
        named = {".pgm": ("pgm", "gray"), ".ppm": ("ppm", "rgb")}.get(self.request.extension)
        if named is None:
            return self._format.still.encoder
        encoder, family = named
        if not pixels.startswith(family) or pixels.startswith("rgba"):
            raise UnsupportedPixels(
                f"{self.request.name}: a {self.request.extension} file cannot hold {pixels}; PAM can"
            )
        return encoder

    def _own_options(self, image: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Give what depends on the user's wish or on the picture's size."""
        encoder = self._format.still.encoder
        if encoder == "mjpeg":
            return {"q:v": round(31 - 29 * min(max(self._quality, 1), 100) / 100)}
        if encoder == "libopenjpeg":  # each resolution halves the last
            return {"numresolution": min(6, min(image.shape[:2]).bit_length())}
        if encoder == "libwebp":
            return {"lossless": 1} if self._lossless else {"quality": self._quality}
        return {}

    def _finish(self) -> None:
        if not self._child.wait(self.request.limits.still).ok or not self.request.part().stat().st_size:
            raise self._child.failure()
        if self._held and self._blocks:
            part = self.request.part()
            part.write_bytes(embed(self._format.still.kind, part.read_bytes(), self._blocks))

    def _abort(self) -> None:
        with contextlib.suppress(AttributeError):  # `_append` may not have come so far
            self._child.abort()


class StillFormat(Format):
    """Still pictures through ffmpeg, where there is no ImageMagick."""

    modes = "iI"
    program = "ffmpeg"
    single = True
    reader = StillReader

    def __init__(self, still: Still) -> None:
        self.still = still
        self.name = still.name
        self.depths = "8, 16" if "rgb48le" in still.written else "float" if still.kind == "exr" else "8"
        self.alpha = "rgba" in still.written or not still.written
        self.metadata = bool(still.demuxer)
        self.description = still.description
        self.extensions = still.extensions
        if still.written:
            self.writer = StillWriter

    def can_read(self, request: Request) -> bool:
        """Take content of our kind."""
        return bool(self.still.demuxer) and request.kind == self.still.kind

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it; empty if it works here."""
        if toolbox().get("ffmpeg") is None:
            return f"ffmpeg is not installed: {install_hint('ffmpeg')}"
        kind, name = ("encoder", self.still.encoder) if writing else ("decoder", self.still.decoder)
        if name and name not in getattr(toolbox().abilities("ffmpeg"), f"{kind}s"):
            return f"this ffmpeg has no {kind} {name}"
        return ""


def still_formats() -> list[Format]:
    """Give one Format for each still format."""
    return [StillFormat(still) for still in STILLS]
