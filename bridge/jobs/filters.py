"""The filters that a job may name: FFmpeg's own words, with values that are numbers and no expressions. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.errors import BadJob

__all__ = ["FILTERS", "Kind", "checked", "is_temporal"]

_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One filter.

    Attributes
    ----------
    options : tuple of str
        Its options in the order in which values without names are taken.
    words : frozenset of str
        Values that are taken besides numbers.
    temporal : bool
        What it makes of a frame depends on other frames.
    """

    options: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    temporal: bool = False


FILTERS: dict[str, Kind] = {
    "crop": Kind(options=("w", "h", "x", "y")),
    "pad": Kind(options=("width", "height", "x", "y")),
    "hflip": Kind(),
    "vflip": Kind(),
    "transpose": Kind(options=("dir",), words=frozenset({"cclock_flip", "clock", "cclock", "clock_flip"})),
    "eq": Kind(options=("contrast", "brightness", "saturation", "gamma")),
    "hue": Kind(options=("h", "s")),
    "unsharp": Kind(options=("luma_msize_x", "luma_msize_y", "luma_amount")),
    "gblur": Kind(options=("sigma",)),
    "smartblur": Kind(options=("luma_radius", "luma_strength", "luma_threshold")),
    "owdenoise": Kind(options=("depth", "luma_strength", "chroma_strength")),
    "bwdif": Kind(words=frozenset({"send_frame", "send_field"}), options=("mode",), temporal=True),
    "yadif": Kind(words=frozenset({"send_frame", "send_field"}), options=("mode",), temporal=True),
    "hqdn3d": Kind(
        options=("luma_spatial", "chroma_spatial", "luma_tmp", "chroma_tmp"),
        temporal=True,
    ),
    "setsar": Kind(options=("sar",)),
}


def checked(filter: str) -> str:  # noqa: A002 - FFmpeg's word for it
    """Give a filter with all its values named.

    Raises
    ------
    BadJob
        If it is none of `FILTERS`, or has other values.

    Examples
    --------
    >>> checked("crop=640:360:x=8:y=4")
    'crop=w=640:h=360:x=8:y=4'
    """
    name, _, rest = str(filter).partition("=")
    kind = FILTERS.get(name)
    if kind is None:
        raise BadJob(
            f"{filter!r} is none of the filters that a job may name: {', '.join(sorted(FILTERS))}; others go into "
            "free_filters=, with trust='trusted'"
        )
    given = [_option(filter, kind, at, word) for at, word in enumerate(rest.split(":") if rest else ())]
    return f"{name}={':'.join(given)}" if given else name


def _option(filter: str, kind: Kind, at: int, word: str) -> str:  # noqa: A002 - as above
    name, has_name, value = word.partition("=")
    if not has_name:
        name, value = (kind.options[at], word) if at < len(kind.options) else ("", word)
    if name not in kind.options or not (_NUMBER.fullmatch(value) or value in kind.words):
        taken = ", ".join(kind.options) or "none"
        raise BadJob(f"{filter!r}: {word!r} is no option of it that a job may give; taken are numbers for {taken}")
    return f"{name}={value}"


def is_temporal(filter: str) -> bool:  # noqa: A002 - as above
    """Tell whether what a filter makes of a frame depends on others, or may: an unknown one may.

    Examples
    --------
    >>> is_temporal("hqdn3d=4"), is_temporal("hflip")
    (True, False)
    """
    name = _NAME.match(filter)
    kind = FILTERS.get(name[0]) if name else None
    return kind is None or kind.temporal
