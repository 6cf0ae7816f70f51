"""Which of the user's own options for ffmpeg may stand on a command line that strangers may have written. Pure.

An option passes by its name and by the form of its value; none that passes names a file, a protocol, a filter, a
second input or another program's language.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bridge.errors import ForbiddenOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.limits import Limits

__all__ = ["INPUT_OPTIONS", "OUTPUT_OPTIONS", "are_harmless", "bit_rate", "check_options", "plain_name"]

_FLAG = re.compile("")  # no value follows
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_FEW = re.compile(r"\d{1,2}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)
_RATIONAL = re.compile(r"\d{1,9}(\.\d{1,6}|/[1-9]\d{0,8})?", re.ASCII)
_BITS = re.compile(r"\d{1,10}(\.\d{1,3})?[kKMG]?", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)
_TIME = re.compile(r"(\d{1,3}:[0-5]?\d:[0-5]?\d|\d{1,9})(\.\d{1,6})?", re.ASCII)
_FASTSTART = re.compile(r"\+?faststart")

# Name of the option, without its specifier of streams -> form of its value.
INPUT_OPTIONS: dict[str, re.Pattern[str]] = {
    "threads": _FEW,
    "r": _RATIONAL,
    "ss": _TIME,
    "t": _TIME,
    "to": _TIME,
    "an": _FLAG,
    "sn": _FLAG,
    "dn": _FLAG,
}
OUTPUT_OPTIONS: dict[str, re.Pattern[str]] = {
    **INPUT_OPTIONS,
    "b": _BITS,
    "maxrate": _BITS,
    "minrate": _BITS,
    "bufsize": _BITS,
    "ar": _NUMBER,
    "ac": _FEW,
    "crf": _DECIMAL,
    "qp": _FEW,
    "q": _DECIMAL,
    "qscale": _DECIMAL,
    "qmin": _FEW,
    "qmax": _FEW,
    "compression_level": _FEW,
    "g": _NUMBER,
    "keyint_min": _NUMBER,
    "bf": _FEW,
    "refs": _FEW,
    "cpu-used": _FEW,
    "row-mt": _FEW,
    "frames": _NUMBER,
    "vframes": _NUMBER,
    "preset": _WORD,
    "tune": _WORD,
    "profile": _WORD,
    "level": _DECIMAL,
    "deadline": _WORD,
    "pix_fmt": _WORD,
    "color_primaries": _WORD,
    "color_trc": _WORD,
    "colorspace": _WORD,
    "color_range": _WORD,
    "movflags": _FASTSTART,
}
_NAME = re.compile(r"-([A-Za-z][A-Za-z0-9_-]*)(:[vas](:\d{1,2})?)?", re.ASCII)


def check_options(
    options: Sequence[str],
    limits: Limits,
    *,
    keyword: str,
    allowed: dict[str, re.Pattern[str]],
    address: bool = False,
) -> None:
    """Refuse options that are not in the list, where the level of trust asks for it.

    Parameters
    ----------
    options : sequence of str
        As they stand on a command line: names, each with its value behind it.
    limits : Limits
        Trusted calls may have any option; normal ones too, unless they read from an address.
    keyword : str
        Where they come from, for the message.
    allowed : dict
        `INPUT_OPTIONS` or `OUTPUT_OPTIONS`.
    address : bool
        The content comes from another machine.

    Raises
    ------
    ForbiddenOption

    Examples
    --------
    >>> from bridge.limits import Limits
    >>> untrusted = Limits(trust="untrusted")
    >>> check_options(["-crf", "20"], untrusted, keyword="output_params", allowed=OUTPUT_OPTIONS)
    >>> check_options(["-vf", "movie=a.png"], untrusted, keyword="output_params", allowed=OUTPUT_OPTIONS)
    Traceback (most recent call last):
    bridge.errors.ForbiddenOption: output_params: the option '-vf' is not taken at trust='untrusted'; taken are \
-ac -an -ar -b -bf -bufsize -color_primaries -color_range -color_trc -colorspace -compression_level -cpu-used -crf \
-deadline -dn -frames -g -keyint_min -level -maxrate -minrate -movflags -pix_fmt -preset -profile -q -qmax -qmin -qp \
-qscale -r -refs -row-mt -sn -ss -t -threads -to -tune -vframes
    """
    if limits.trust != "untrusted" and not (limits.trust == "normal" and address):
        return
    level = f"trust={limits.trust!r}{' for what comes from an address' if address else ''}"
    if refused := _refused(options, allowed):
        option, value = refused
        if value is not None:
            raise ForbiddenOption(f"{keyword}: the option {option!r} is not taken with the value {value!r} at {level}")
        taken = " ".join(f"-{name}" for name in sorted(allowed))
        raise ForbiddenOption(f"{keyword}: the option {option!r} is not taken at {level}; taken are {taken}")


def are_harmless(before: Sequence[str], after: Sequence[str]) -> bool:
    """Tell whether options for the input and for the output open nothing, so that a child with them can be boxed."""
    return not _refused(before, INPUT_OPTIONS) and not _refused(after, OUTPUT_OPTIONS)


def _refused(options: Sequence[str], allowed: dict[str, re.Pattern[str]]) -> tuple[str, str | None] | None:
    """Give the first option that is not in the list, or that has a value of another form."""
    words = iter(options)
    for word in words:
        named = _NAME.fullmatch(word)
        form = allowed.get(named[1]) if named else None
        if form is None:
            return word, None
        if form is not _FLAG and not form.fullmatch(value := next(words, "")):
            return word, value
    return None


def plain_name(value: str, keyword: str) -> str:
    """Give a name of FFmpeg's, of a codec or a pixel format, which is letters, digits, underscores and no leading dash.

    Raises
    ------
    ValueError
        If it is anything else.

    Examples
    --------
    >>> plain_name("libx264", "codec")
    'libx264'
    """
    if not _PLAIN.fullmatch(str(value)):
        raise ValueError(f"{keyword} is a name of letters, digits and underscores, not {value!r}")
    return value


def bit_rate(value: float | str) -> str:
    """Give a bit rate as FFmpeg reads it: a number, or one with a unit, like ``"2.5M"``.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not _BITS.fullmatch(str(value)):
        raise ValueError(f"bitrate is a number of bits per second, like 2000000 or '2M', not {value!r}")
    return str(value)


_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)  # libvpx-vp9
