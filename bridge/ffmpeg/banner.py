"""What ffmpeg prints of an input beside its streams' facts: tags, side data, chapters; for machines without ffprobe."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from bridge.media.hdr import HighDynamicRange
from bridge.media.info import Chapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["chapters_of", "dispositions", "high_range", "profile", "side_data", "tags_of", "tags_said"]

_OWNER = re.compile(r"^(?:(Input) #0, |  Stream #0:(\d+)|  (?:Program |Chapters:|Chapter |Duration:))")
_LANGUAGE = re.compile(r"^  Stream #0:(\d+)(?:\[\w+\])?\((\w+)\): ")
_SECTION = re.compile(r"^( +)(Metadata|Side data):$")


def tags_said(lines: Sequence[str]) -> dict[int | None, dict[str, str]]:
    """Give the tags by the number of their stream; those of the file itself under None."""
    found: dict[int | None, dict[str, str]] = {}
    last: tuple[dict[str, str], str] | None = None
    for owner, line in _entries(lines, "Metadata"):
        tags = found.setdefault(owner, {})
        padded, _, value = line.partition(": ")
        if name := padded.rstrip():
            tags.setdefault(name, value)
            last = tags, name
        elif last is not None:  # a line more
            last[0][last[1]] += f"\n{value}"
    for match in filter(None, map(_LANGUAGE.match, lines)):
        found.setdefault(int(match[1]), {}).setdefault("language", match[2])
    return found


def side_data(lines: Sequence[str], stream: int) -> str:
    """Give what is said of the side data of a stream."""
    return "\n".join(line for owner, line in _entries(lines, "Side data") if owner == stream)


def _entries(lines: Iterable[str], section: str) -> Iterator[tuple[int | None, str]]:
    """Give the lines of all sections of that name with whom they belong to; of programs and chapters none."""
    owner: int | None = None
    known, depth, name = False, 0, ""
    for line in lines:
        if match := _OWNER.match(line):
            owner, known, name = int(match[2]) if match[2] else None, bool(match[1] or match[2]), ""
        elif head := _SECTION.match(line):
            depth, name = len(head[1]) + 2, head[2]
        elif known and name == section and line.startswith(" " * depth):
            yield owner, line[depth:]


def tags_of(text: str) -> dict[str, str]:
    """Read the tags of a file, the lines before the first section, as ffmpeg's muxer `ffmetadata` writes them."""
    return dict(_pairs(text.partition("\n[")[0]))


def chapters_of(text: str) -> tuple[Chapter, ...]:
    """Read the chapters, which are sections of the same."""
    sections = re.split(r"(?<!\\)\n\[CHAPTER\]\n", text)[1:]
    return tuple(filter(None, map(_chapter, sections)))


def _chapter(section: str) -> Chapter | None:
    said = dict(_pairs(re.split(r"(?<!\\)\n\[", section)[0]))
    try:
        tick = Fraction(said["TIMEBASE"])
        start, end = (float(int(said[name]) * tick) for name in ("START", "END"))
    except (LookupError, ValueError, ArithmeticError):
        return None
    return Chapter(start=start, end=end, title=said.get("title"))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in re.split(r"(?<!\\)\n", text):
        name, is_one, value = line.partition("=")
        if is_one and not line.startswith(";"):
            yield re.sub(r"\\(.)", r"\1", name), re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)


_PAIR = r"\((-?[\d.]+),? ?(-?[\d.]+)\)"
_PRIMARIES = re.compile(rf"has_primaries:1 .*?\br{_PAIR} g{_PAIR} b{_PAIR} wp{_PAIR}")
_LUMINANCE = re.compile(r"has_luminance:1 .*?min_luminance=([\d.]+), max_luminance=([\d.]+)")
_LIGHT = re.compile(r"MaxCLL=(\d+), MaxFALL=(\d+)")
_HDR = re.compile(
    r"(?im)^(?:\[Parsed_showinfo\S* @ \S+\] +side data - | *)(?:mastering display|content light level)\b.*$"
)


def high_range(text: str) -> HighDynamicRange | None:
    """Read mastering display and light level from lines of the banner, or of FFmpeg's filter `showinfo`."""
    said = "\n".join(_HDR.findall(text))
    points, luminance, light = _PRIMARIES.search(said), _LUMINANCE.search(said), _LIGHT.search(said)
    numbers = [float(number) for number in points.groups()] if points else []
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    found = HighDynamicRange(
        primaries=(pairs[0], pairs[1], pairs[2]) if pairs else None,
        white_point=pairs[3] if pairs else None,
        min_luminance=float(luminance[1]) if luminance else None,
        max_luminance=float(luminance[2]) if luminance else None,
        max_content=int(light[1]) or None if light else None,
        max_average=int(light[2]) or None if light else None,
    )
    return found or None


def profile(rest: str) -> str | None:
    """Give the codec's profile, from what follows the codec in the line of a stream; a tag of the codec is none."""
    match = re.match(r" \(([^()/]+(?:\([^()]*\))?)\)", rest)
    return match[1] if match else None


def dispositions(rest: str) -> tuple[str, ...]:
    """Give what a stream is good for, from the end of its line: ``(default) (forced)``."""
    tail = re.search(r"((?: \([a-z ]+\))+)$", rest)
    return tuple(name.replace(" ", "_") for name in re.findall(r"\(([a-z ]+)\)", tail[1])) if tail else ()
