"""Documents, which are drawn: SVG through ImageMagick, PDF and PostScript through Ghostscript. Trusted ones only."""

from __future__ import annotations

import contextlib
import itertools
import numbers
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Format, Reader
from bridge.errors import BridgeError, CorruptMedia, LimitExceeded, ToolFailed, TruncatedMedia
from bridge.magick import ghostscript
from bridge.magick.image import PictureFormat, PictureReader
from bridge.magick.pictures import PICTURES
from bridge.media.info import ImagePage, MediaInfo
from bridge.media.pixels import memory_of
from bridge.media.pnm import PnmFraming
from bridge.media.portion import portion_of, read_size
from bridge.process.child import Child, run, words
from bridge.process.isolation import box_for
from bridge.process.pipes import FrameSource
from bridge.process.tools import install_hint, toolbox

if TYPE_CHECKING:
    from bridge.core.format import Found
    from bridge.core.request import Request
    from bridge.magick.ghostscript import Page
    from bridge.media.framing import FrameHead
    from bridge.media.portion import Portion
    from bridge.media.sniff import PictureHead
    from bridge.process.child import Exit

__all__ = ["DrawingFormat", "DrawingReader", "PageReader", "PagesFormat", "document_formats"]

_FINEST = 4800


def _read_dpi(dpi: Any, usual: float) -> float:
    """Read the keyword `dpi`."""
    wanted = usual if dpi is None else dpi
    if isinstance(wanted, bool) or not (isinstance(wanted, numbers.Real) and 1 <= float(wanted) <= _FINEST):
        raise ValueError(f"dpi must be a number from 1 to {_FINEST}, not {dpi!r}")
    return float(wanted)


class DrawingReader(PictureReader):
    """Draws SVG through ImageMagick, with transparency.

    Only where it is trusted (``trust="trusted"``): it can name other files. An ImageMagick that is built without
    librsvg knows only a part of SVG; ``FILE`` in the metadata tells so in ``changes``.

    Parameters
    ----------
    dpi : float
        Pixels to an inch; by default 96, which is a pixel of the drawing's own to a pixel.
    **kwargs
        As for pictures: `size`, `crop`, `on_damage`, ...
    """

    def _open(self, *, dpi: float | None = None, **kwargs: Any) -> None:
        self._dpi = _read_dpi(dpi, self._format.picture.dpi)
        super()._open(**kwargs)

    def _describe(self) -> PictureHead:
        head = super()._describe()
        if "rsvg" not in toolbox().abilities("magick").delegates:
            self._changes.append(f"drawn by {self._tool} itself, which leaves out a part of what SVG can say")
        return replace(head, channels=4, depth=8, cmyk=False)


class DrawingFormat(PictureFormat):
    """Drawings through ImageMagick."""

    reader = DrawingReader


class PageReader(Reader):
    """Draws the pages of PDF and PostScript through Ghostscript: ``(height, width, 3)``, uint8, on white.

    Only where they are trusted (``trust="trusted"``): PostScript is a program, and PDF has much of one. They still
    may not open files. Of a page comes what viewers show: of PDF the crop box, of EPS the bounding box. Pages may
    differ in size; PostScript that names none is drawn on A4.

    Parameters
    ----------
    dpi : float
        Pixels to an inch; by default 72, which is a pixel to a point.
    size : tuple of int or str
        ``(width, height)`` or ``"320x180"`` at which each page is drawn, whatever `dpi` says.
    crop : tuple of int
        ``(x, y, width, height)`` of the only part that is wanted, in pixels at `dpi`; also called `region`. It comes
        before `size`.
    on_damage : {"raise", "warn", "ignore"}
        What to do about a damaged PDF, of which Ghostscript can draw what there is. An error in PostScript is always
        raised; the pages before it are whole.
    """

    _format: PagesFormat

    def _open(
        self,
        *,
        dpi: float | None = None,
        on_damage: str = "raise",
        size: Any = None,
        crop: Any = None,
        region: Any = None,
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        self._take_on_damage(on_damage)
        self._dpi = _read_dpi(dpi, 72)
        self._asked = {"size": read_size(size), "crop": crop, "region": region}
        self._tool = toolbox().find("gs")
        self._source: FrameSource[FrameHead] | None = None
        self._position = self._until = 0  # the page that the child sends next, and where it stops
        self._pages: list[Page] | None = None
        self._broken: BridgeError | None = None  # what is wrong behind the pages
        self._kind = self.request.kind or ""
        first_alone = self._kind == "pdf" and self.request.mode == "i"
        found, wrong = self._survey(only=0) if first_alone else (self._whole(), self._broken)
        if wrong and not found:
            raise wrong
        self._first = found[0]
        self._fitting(self._first)

    # What there is

    @property
    def _strict(self) -> bool:
        return self._on_damage == "raise"

    def _whole(self) -> list[Page]:
        """Give all pages, or those before what is wrong with the document."""
        if self._pages is None:
            self._pages, self._broken = self._survey()
        return self._pages

    def _survey(self, only: int | None = None) -> tuple[list[Page], BridgeError | None]:
        """Ask for the sizes of all pages, or of one, and for what is wrong behind them."""
        ended, said = self._ask(only, strict=self._strict)
        if ended.signal is not None:
            raise ToolFailed(f"{self.request.name}: {self._tool} ended with {ended}", exit=ended)
        found, counted = ghostscript.pages(said)
        if not ended.ok or (not found and ghostscript.complaint(said)):
            return found, self._error(ended, said, len(found))
        if counted not in (None, len(found)):
            return found, CorruptMedia(f"{self.request.name} changes how its pages end, so they cannot be counted")
        return found, None if found else CorruptMedia(f"{self.request.name} draws no page, says {self._tool}")

    def _ask(self, only: int | None, *, strict: bool) -> tuple[Exit, str]:
        limits = self.request.limits
        arguments = ghostscript.survey(self._tool.path, self._kind, dpi=self._dpi, only=only, strict=strict)
        with self.request.input() as descriptor:
            said = run(
                arguments,
                subject=self.request.name,
                stdin=descriptor,
                seconds=limits.still,
                most=_MOST_SAID,
                box=box_for(limits, "picture"),
                scratch=True,
            )
        return said.exit, f"{said.exit.stderr}\n{said.stdout.decode('utf-8', 'replace')}"

    def _error(self, ended: Exit, said: str, got: int) -> BridgeError:
        """Make the error of a document that is not whole, in the program's words."""
        if self._kind == "pdf" and self._strict:  # where it goes on it says more than where it stops
            with contextlib.suppress(BridgeError):
                lax = self._ask(None, strict=False)[1]
                said = lax if "****" in lax else said
        reason = words(ghostscript.complaint(said)) or f"it ended with {ended}"
        advice = "; on_damage='warn' gives what there is" if self._kind == "pdf" and got and self._strict else ""
        message = f"{self.request.name} cannot be drawn by {self._tool}: {reason}{advice}"
        return (TruncatedMedia if got else CorruptMedia)(message, exit=ended, last_words=reason, got=got)

    def _portion(self, page: Page) -> Portion:
        return portion_of((page.width, page.height), self.request.name, **self._asked)

    def _resolution(self, page: Page) -> tuple[float, float]:
        """Give the pixels to an inch, across and down, at which a page is drawn: nothing is scaled afterwards."""
        portion = self._portion(page)
        if portion.size is None:
            return self._dpi, self._dpi
        width, height = portion.size
        if portion.box is None:
            return width * 72 / page.wide, height * 72 / page.high
        return self._dpi * width / portion.box[2], self._dpi * height / portion.box[3]

    def _drawn(self, page: Page) -> tuple[int, int]:
        """Give width and height in pixels of a page as it is drawn."""
        across, down = self._resolution(page)
        return int(page.wide * across / 72 + 0.5), int(page.high * down / 72 + 0.5)

    def _fitting(self, page: Page) -> None:
        """Refuse a page of which more would be drawn than the user allows."""
        self._within(*self._drawn(page))

    def _within(self, width: int, height: int) -> None:
        limits = self.request.limits
        for name, count in (("pixels", width * height), ("side", max(width, height))):
            most = getattr(limits, name)
            if count > most:
                raise LimitExceeded(
                    f"{self.request.name} would be drawn with {width}x{height} pixels, more than the limit "
                    f"{name}={most} allows; ask for fewer with dpi=, or raise it with "
                    f"limits=bridge.Limits(trust='trusted', {name}=...)"
                )

    def _length(self) -> float:
        found = self._whole()
        if self._broken:
            raise self._broken
        return len(found)

    def _expected(self) -> int | None:
        found = [self._first] if self.request.mode == "i" else self._whole()
        shapes = [self._portion(page).shape(page.width, page.height) for page in found]
        return sum(3 * width * height for width, height in shapes)

    # Drawing

    def _data(self, index: int) -> Found | None:
        page = self._first if index == 0 else self._page(index)
        if page is None:
            return None
        source = self._source if self._position == index else None
        source = source or self._start(index, page)
        try:
            frame = self._receive(source)
            self._position += 1
            if self._position == self._until:
                self._end(source)
        except BaseException:
            self._stop()
            raise
        return self._cut(frame, page), {"index": index}

    def _page(self, index: int) -> Page | None:
        found = self._whole()
        if index < len(found):
            return found[index]
        if self._broken:
            raise self._broken
        return None

    def _start(self, index: int, page: Page) -> FrameSource[FrameHead]:
        """Start a child that sends this page, and when iterating those behind it that can be drawn in one go."""
        self._stop()
        self._fitting(page)
        self._position, self._until = index, index + 1
        if self.request.mode != "i" and self._asked["size"] is None:
            self._until += len([*itertools.takewhile(self._fits, self._whole()[index + 1 :])])
        last = self._pages is not None and self._until == len(self._pages) and not self._broken
        arguments = ghostscript.draw(
            self._tool.path,
            self._kind,
            dpi=self._resolution(page),
            begin=index,
            end=None if last else self._until,  # so that a page too many shows
            strict=self._strict,
        )
        limits = self.request.limits
        with self.request.input() as descriptor:
            child = Child(
                arguments,
                subject=self.request.name,
                stdin=descriptor,
                box=box_for(limits, "picture"),
                scratch=True,
            )
        self._source = FrameSource(child, PnmFraming(), first=limits.still, stall=limits.still)
        return self._source

    def _fits(self, page: Page) -> bool:
        with contextlib.suppress(LimitExceeded):
            self._fitting(page)
            return True
        return False

    def _receive(self, source: FrameSource[FrameHead]) -> np.ndarray[Any, Any]:
        try:
            head = source.head()
            if head is None:
                raise self._failure(source)
            self._within(head.width, head.height)
            frame = np.empty((head.height, head.width, 3), np.uint8)
            source.fill(head, memory_of(frame))
        except TruncatedMedia:
            raise self._failure(source) from None
        return frame

    def _failure(self, source: FrameSource[FrameHead]) -> BridgeError:
        ended = source.child.wait(self.request.limits.still)
        plain = source.child.failure(CorruptMedia, got=source.frames)
        if not isinstance(plain, CorruptMedia):  # a limit, or a signal
            return plain
        return self._error(ended, ended.stderr, source.frames)

    def _end(self, source: FrameSource[FrameHead]) -> None:
        """Judge the end: the last page is here, no other may come, and the program must say that all went well.

        An error in PostScript behind the pages that are asked for is known from the beginning, and told there.
        """
        if source.head() is not None:
            raise self._changed()
        ended = source.child.wait(self.request.limits.still)
        if not ended.ok and not self._broken:
            raise self._failure(source)
        self._source = None
        if self._kind != "pdf" or (self._strict and "****" not in ended.stderr):
            return
        if reason := words(ghostscript.complaint(ended.stderr)):
            self._damage(CorruptMedia(f"{self.request.name}: {reason}", exit=ended, last_words=reason))

    def _changed(self) -> CorruptMedia:
        return CorruptMedia(f"{self.request.name} does not draw the same pages each time")

    def _cut(self, frame: np.ndarray[Any, Any], page: Page) -> np.ndarray[Any, Any]:
        """Cut out what is wanted; what a larger scale lacks at the edge of the paper is white."""
        portion = self._portion(page)
        if portion.box is None or portion.size is None:
            if frame.shape[1::-1] != self._drawn(page):
                raise self._changed()
            return portion.of(frame)
        x, y, wide, high = portion.box
        width, height = portion.size
        left, top = round(x * width / wide), round(y * height / high)
        found = frame[top : top + height, left : left + width]
        whole = np.full((height, width, 3), 255, np.uint8)
        whole[: found.shape[0], : found.shape[1]] = found
        return whole

    def _stop(self) -> None:
        if self._source is not None:
            self._source.child.abort()
            self._source = None

    def _close(self) -> None:
        with contextlib.suppress(AttributeError):  # `_open` may have failed before it came so far
            self._stop()

    # What is told

    def _info(self) -> MediaInfo:
        found = self._whole()
        if self._broken:
            raise self._broken
        return MediaInfo(
            uri=self.request.name,
            format=self._format.name,
            size=self.request.size,
            pages=tuple(ImagePage(shape=(page.height, page.width, 3), dtype="uint8") for page in found),
            source=str(self._tool),
        )

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return {"index": index}
        facts = {
            "format": self._format.name,
            "size": (self._first.width, self._first.height),
            "channels": 3,
            "depth": 8,
            "dpi": self._dpi,
            "source": str(self._tool),
        }
        if self._pages is not None and not self._broken:
            facts["nframes"] = len(self._pages)
        self._portion(self._first).tell(facts)
        return {"FILE": facts}


_MOST_SAID = 1 << 24


class PagesFormat(Format):
    """Documents of pages through Ghostscript."""

    program = "Ghostscript"
    modes = "iI"
    reader = PageReader

    def __init__(self, name: str, description: str, extensions: tuple[str, ...], kind: str) -> None:
        self.name = name
        self.description = description
        self.extensions = extensions
        self.kind = kind

    def can_read(self, request: Request) -> bool:
        """Take content of our kind."""
        return request.kind == self.kind

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it; empty if it works here."""
        del writing
        return "" if toolbox().get("gs") else f"Ghostscript is not installed: {install_hint('gs')}"


def document_formats() -> list[Format]:
    """Give them in order."""
    return [
        *(DrawingFormat(picture) for picture in PICTURES if picture.dpi),
        PagesFormat("PDF", "Portable Document Format, if trusted", (".pdf",), "pdf"),
        PagesFormat("PS", "PostScript, also encapsulated, if trusted", (".ps", ".eps"), "postscript"),
    ]
