"""The command lines of Ghostscript, and what it says. Pure: values in, arguments out; text in, values out.

Content comes on standard input, pages go to standard output as PPM, text to the error stream. A document may not
open files (``-dSAFER``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Page", "complaint", "draw", "pages", "survey"]

# What names no paper is drawn on A4, whatever the machine is set to. Without a screen, which nobody sees in colours
# of 8 bits, fewer than two pixels to an inch are refused.
_QUIET = ("-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-dNOPROMPT", "-sPAPERSIZE=a4", "-dDITHERPPI=60")
# Of a page what viewers show: of PDF its crop box, of EPS its bounding box.
_SHOWN = {"pdf": "-dUseCropBox", "postscript": "-dEPSCrop"}
# Told of each page: its size in points, and in pixels. 2 means that a device is closed, which is no page.
_TELL = (
    "<</EndPage{exch pop dup 2 ne{"
    "(page )print currentpagedevice/PageSize get aload pop exch =only( )print =only( )print "
    # Clipped to the page alone, in the device's own coordinates: newer releases keep their HWSize to themselves.
    "gsave matrix setmatrix initclip clippath pathbbox grestore exch round cvi =only( )print round cvi = pop pop flush"
    "}if 2 ne}bind>>setpagedevice"
)
_COUNT = "(pages )print currentpagedevice/PageCount get = flush"
_PAGE = re.compile(r"^page (\S+) (\S+) (\d+) (\d+)$", re.MULTILINE)
_PAGES = re.compile(r"^pages (\d+)$", re.MULTILINE)
_NOISE = re.compile(r"^(?:pages? [\d .e+-]+|.*Ghostscript [\d.]+: *(?:Unrecoverable error.*)?)$", re.MULTILINE)
_STACKS = re.compile(r"^Operand stack:", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The size of a page: `width` and `height` in pixels, `wide` and `high` in points."""

    width: int
    height: int
    wide: float
    high: float


def survey(path: str, kind: str, *, dpi: float, only: int | None = None, strict: bool = True) -> tuple[str, ...]:
    """Print the size of each page, or of one, without drawing it.

    Parameters
    ----------
    path : str
        The program.
    kind : {"pdf", "postscript"}
        What the content is.
    dpi : float
        Pixels to an inch.
    only : int or None
        The one page that is asked for, from 0.
    strict : bool
        Stop at damage of a PDF, else go on with what there is. PostScript always stops.
    """
    some = () if only is None else _some(only, only + 1)
    shown = (*_shown(kind, strict=strict), f"-r{dpi:.10g}", *some)
    return (path, *_QUIET, "-sDEVICE=nullpage", *shown, "-c", _TELL, "-f", "-", "-c", _COUNT)


def draw(
    path: str, kind: str, *, dpi: tuple[float, float], begin: int, end: int | None, strict: bool = True
) -> tuple[str, ...]:
    """Draw the pages from `begin` on, up to but without `end`, or all; `dpi` is across and down. Else as `survey`."""
    shown = (*_shown(kind, strict=strict), "-r{:.10g}x{:.10g}".format(*dpi), *_some(begin, end))
    smooth = ("-dTextAlphaBits=4", "-dGraphicsAlphaBits=4")
    return (path, *_QUIET, "-sDEVICE=ppmraw", *shown, *smooth, "-sOutputFile=%stdout", "-sstdout=%stderr", "-")


def _shown(kind: str, *, strict: bool) -> tuple[str, ...]:
    return (_SHOWN[kind], *(("-dPDFSTOPONERROR",) if strict else ()))


def _some(begin: int, end: int | None) -> tuple[str, ...]:
    return (f"-dFirstPage={begin + 1}", *(() if end is None else (f"-dLastPage={end}",)))


def pages(said: str) -> tuple[list[Page], int | None]:
    """Read what `survey` prints: the pages, and how many the program counted; None if it did not come to that.

    The two differ where a document says itself what is to be done at the end of a page.
    """
    found = [
        Page(wide=float(wide), high=float(high), width=int(width), height=int(height))
        for wide, high, width, height in _PAGE.findall(said)
    ]
    counted = _PAGES.findall(said)
    return found, int(counted[-1]) if counted else None


def complaint(said: str) -> str:
    """Give what is said about the document: without what `survey` asks for, and the stacks of an interpreter."""
    said = _NOISE.sub("", said)
    marked = [line.strip(" *") for line in said.splitlines() if line.lstrip().startswith("****")]
    return "\n".join(marked) if marked else _STACKS.split(said)[0].strip()
