"""GIF: what its blocks say of colours, and how a program is kept from its background colour. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.media.layers import BACKGROUND, PREVIOUS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.media.layers import Layer

__all__ = ["colour_table", "shows_background", "with_local_tables"]

_TABLE, _INTERLACED = 0x80, 0x40


def colour_table(flags: int) -> int:
    """Count the bytes of a colour table from the flags that announce it."""
    return 3 << (flags & 7) + 1 if flags & _TABLE else 0


def shows_background(layers: Iterable[Layer], width: int, height: int) -> bool:
    """Tell whether ffmpeg shows the background colour somewhere, which viewers do not: where nothing has a hole."""
    for number, layer in enumerate(layers):
        if not layer.alpha:
            # The first is laid on that colour, which is seen beside it, or once it is taken away again.
            laid = not number and (layer.disposal == PREVIOUS or not layer.covers(width, height))
            if laid or layer.disposal == BACKGROUND:
                return True
    return False


def with_local_tables(data: bytes) -> bytes:
    r"""Give each picture a copy of the colours for all, and none for all: without these there is no background colour.

    Examples
    --------
    >>> data = b"GIF89a" + bytes([1, 0, 1, 0, 0x80, 0, 0]) + b"abcdef" + b"," + bytes(9) + b"\2\2\x44\1\0;"
    >>> with_local_tables(data)[10:11], with_local_tables(data)[22:29]
    (b'\x00', b'\x80abcdef')
    """
    shared = colour_table(data[10])
    table = data[13 : 13 + shared]
    made = [data[:10], bytes([data[10] & ~_TABLE, 0]), data[12:13]]
    begin = at = 13 + shared
    while shared and len(data) > at + 10 and data[at] in b"!,":
        if data[at] == ord("!"):
            at += 2
        else:
            flags = data[at + 9]
            if not flags & _TABLE:
                made += [data[begin : at + 9], bytes([flags & _INTERLACED | _TABLE | data[10] & 7]), table]
                begin = at + 10
            at += 11 + colour_table(flags)
        while len(data) > at and data[at]:
            at += 1 + data[at]
        at += 1
    return b"".join([*made, data[begin:]]) if shared else data
