"""What a picture is, asked of ImageMagick where our own header readers do not know the format."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.errors import CorruptMedia, MissingCodec
from bridge.magick import argv, warm
from bridge.magick.policy import boxed
from bridge.media.head import PictureHead, sampled
from bridge.process.child import run, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.core.request import Request
    from bridge.process.child import Output
    from bridge.process.tools import Tool

__all__ = ["from_description", "identify"]


def identify(request: Request, tool: Tool, coder: str, dpi: float | None = None) -> PictureHead:
    """Ask ImageMagick for size, depth and channels of the first picture, and how many there are.

    A document is drawn for that, with so many pixels to an inch.

    Raises
    ------
    CorruptMedia
        If it cannot read the content, in its own words.
    MissingCodec
        If it leaves that to a program that is not here.
    """
    known = None if dpi or coder in argv.PAGED else warm.look(request, tool, coder)
    if known is not None and (head := from_description(known)):
        return head
    said = _answer(request, argv.describe(tool.identify, coder, dpi))
    head = from_description(said.stdout.decode("ascii", "replace"))
    if head is None:
        reason = words(said.exit.stderr) or f"it ended with {said.exit}"
        if needed := _DELEGATE.search(said.exit.stderr):
            raise MissingCodec(f"{request.name} is read by {tool} through the program {needed[1]}, which is not here")
        message = f"{request.name} cannot be read by {tool}: {reason}"
        raise CorruptMedia(message, exit=said.exit, last_words=reason)
    return replace(head, frames=_pages(request, tool, coder)) if coder in argv.PAGED else head


_DELEGATE = re.compile(r"delegate failed `'?([\w.-]+)")


def _pages(request: Request, tool: Tool, coder: str) -> int:
    return max(1, len(_answer(request, argv.count(tool.identify, coder)).stdout.split()))


def _answer(request: Request, question: Sequence[str]) -> Output:
    with request.input() as descriptor:
        return run(
            question,
            subject=request.name,
            stdin=descriptor,
            seconds=request.limits.still,
            **boxed(request.limits),
        )


def from_description(text: str) -> PictureHead | None:
    """Read the lines that `argv.describe` asks for; None if there is none."""
    rows = [line.split() for line in text.splitlines()]
    rows = [row for row in rows if len(row) == 5 and all(cell.isdigit() for cell in row[:3])]
    if not rows:
        return None
    width, height, depth, alpha, colours = rows[0]
    gray = colours.lower() in ("gray", "lineargray")
    cmyk = colours.lower() == "cmyk"
    return PictureHead(
        width=int(width),
        height=int(height),
        channels=(1 if gray else 4 if cmyk else 3) + (alpha.lower() not in ("false", "undefined", "off")),
        frames=len(rows),
        cmyk=cmyk,
        **sampled(int(depth)),
    )
