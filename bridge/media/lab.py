"""Which pages of a TIFF are CIE Lab, and where they say so. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["ICCLAB", "LAB", "as_rgb", "photometrics"]

_PHOTOMETRIC, _RGB = 262, 2
ICCLAB = 9
LAB = frozenset({8, ICCLAB})  # a and b are signed in the first, and have 128 added in the second
_MOST_TAGS = 1_000_000  # of all pages


def photometrics(read_at: ReadAt) -> Iterator[tuple[int, int]]:
    """Give, for each page of a TIFF that tells it, how its samples are meant, and where in the file that stands."""
    head = read_at(0, 16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    count, row, pointer = ("Q", "HHQH6x", "Q") if big else ("H", "HHLH2x", "L")
    wide, entry = struct.calcsize(f"={count}"), struct.calcsize(f"={row}")
    try:
        (at,) = struct.unpack_from(order + pointer, head, 8 if big else 4)
        seen, left = {0}, _MOST_TAGS
        while at not in seen and left > 0:
            seen.add(at)
            (rows,) = struct.unpack(order + count, read_at(at, wide))
            left -= rows + 1
            if left < 0:
                return
            table = read_at(at + wide, rows * entry)
            for number, (tag, _, _, value) in enumerate(struct.iter_unpack(order + row, table)):
                if tag == _PHOTOMETRIC:
                    yield value, at + wide + number * entry + (12 if big else 8)
            end = at + wide + rows * entry
            (at,) = struct.unpack(order + pointer, read_at(end, struct.calcsize(f"={pointer}")))
    except struct.error:  # it ends here; that is for its decoder to say
        return


def as_rgb(read_at: ReadAt) -> dict[int, int]:
    """Give the bytes, each by its place, that make pages of Lab pass for RGB: their samples then come untouched."""
    order = "<" if read_at(0, 2) == b"II" else ">"
    said = struct.pack(f"{order}H", _RGB)
    places = [at for value, at in photometrics(read_at) if value in LAB]
    return {at + number: byte for at in places for number, byte in enumerate(said)}
