"""PAM, PPM, PGM and PFM heads: the self-describing stream of still pictures. Pure."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from bridge.errors import CorruptMedia
from bridge.media.framing import Cursor, FrameHead, NeedMore

__all__ = ["PnmFraming", "maxval", "pam_header"]

_LONGEST_HEAD = 1 << 16
_CHANNELS = {b"P5": 1, b"P6": 3, b"Pf": 1, b"PF": 3}


class PnmFraming:
    """Reads the heads of PNM pictures that follow each other on a pipe.

    Binary forms only (``P5 P6 P7 Pf PF``): those that ImageMagick and ffmpeg write to a pipe.
    """

    def head(self, data: bytes | bytearray) -> tuple[FrameHead | None, int]:
        """Read one head; see `bridge.media.nut.NutFraming.head` for the contract."""
        if not data:
            return None, 0
        cursor = Cursor(data)
        try:
            magic = cursor.take(2)
            if magic == b"P7":
                head = _pam(cursor)
            elif magic in _CHANNELS:
                head = _pnm(cursor, magic)
            else:
                message = "the program did not send a PNM picture"
                raise CorruptMedia(message)
        except NeedMore:
            if len(data) > _LONGEST_HEAD:
                message = "a PNM head without an end"
                raise CorruptMedia(message) from None
            return None, 0
        return head, cursor.position


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 10:
        message = f"{text[:20]!r} where a PNM head has a number"
        raise CorruptMedia(message)
    return int(text)


def _head(width: int, height: int, channels: int, maxval: int, sample: int) -> FrameHead:
    return FrameHead(
        width=width, height=height, size=width * height * channels * sample, channels=channels, maxval=maxval
    )


def _pam(cursor: Cursor) -> FrameHead:
    cursor.line()
    fields: dict[bytes, bytes] = {}
    while (line := cursor.line().strip()) != b"ENDHDR":
        key, _, value = line.partition(b" ")
        if key and not key.startswith(b"#"):
            fields[key] = value.strip()
    width, height, channels, maxval = (
        _number(fields.get(key, b"")) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
    )
    return _head(width, height, channels, maxval, 1 if maxval < 256 else 2)


def _pnm(cursor: Cursor, magic: bytes) -> FrameHead:
    words = [_word(cursor) for _ in range(3)]
    width, height = _number(words[0]), _number(words[1])
    if magic in (b"Pf", b"PF"):
        return _head(width, height, _CHANNELS[magic], 1, 4)
    maxval = _number(words[2])
    return _head(width, height, _CHANNELS[magic], maxval, 1 if maxval < 256 else 2)


def _word(cursor: Cursor) -> bytes:
    """Read one word of a PNM head and the one white space that ends it; comments are passed over."""
    word = b""
    while True:
        byte = cursor.take(1)
        if byte == b"#":
            cursor.line()
        elif not byte.isspace():
            word += byte
        elif word:
            return word


_PLAIN = re.compile(rb"P[2356]" + 3 * rb"(?:\s|#[^\n]*\n)+(\d{1,10})" + rb"\s")
_NAMED = re.compile(rb"^MAXVAL\s+(\d{1,10})\s", re.MULTILINE)


def maxval(data: bytes) -> int:
    r"""Give what is white in the PNM or PAM that begins with `data`; 0 if it does not say that.

    Examples
    --------
    >>> maxval(b"P5\n# ten bits\n3 2\n1023\n")
    1023
    """
    found = _NAMED.search(data) if data.startswith(b"P7") else _PLAIN.match(data)
    return int(found.group(found.lastindex or 0)) if found else 0


_TUPLES = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}


def pam_header(image: np.ndarray[Any, Any]) -> bytes:
    """Give the PAM head of a uint8 or uint16 picture; its samples follow, most significant byte first."""
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    maxval = np.iinfo(image.dtype).max
    return (
        f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {maxval}\nTUPLTYPE {_TUPLES[channels]}\nENDHDR\n"
    ).encode()
