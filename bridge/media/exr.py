"""OpenEXR, as it is written here: one part, scanlines, 32-bit floats, deflated without loss. Pure."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["encode_exr"]

_FLOAT, _ZIP, _LINES = 2, 3, 16
_NAMES = {1: "Y", 3: "RGB", 4: "RGBA"}


def encode_exr(image: np.ndarray[Any, Any]) -> Iterator[bytes]:
    r"""Encode a float32 picture of 1, 3 or 4 channels; its values are taken for linear light, as they are.

    Examples
    --------
    >>> import numpy as np
    >>> b"".join(encode_exr(np.zeros((2, 3), np.float32)))[:4]
    b'v/1\x01'
    """
    height, width = image.shape[:2]
    names = _NAMES[1 if image.ndim == 2 else image.shape[2]]
    planes = np.atleast_3d(image)
    order = sorted(range(len(names)), key=names.__getitem__)  # channels lie in the order of their names
    lines = np.ascontiguousarray(planes[..., order].transpose(0, 2, 1), "<f4")  # line, channel, sample
    blocks = [_block(at, lines[at : at + _LINES].tobytes()) for at in range(0, height, _LINES)]
    head = b"v/1\x01" + struct.pack("<I", 2) + _attributes(width, height, [names[at] for at in order])
    place = len(head) + 8 * len(blocks)
    yield head
    for block in blocks:
        yield struct.pack("<Q", place)
        place += len(block)
    yield from blocks


def _attributes(width: int, height: int, names: list[str]) -> bytes:
    channels = b"".join(name.encode() + b"\0" + struct.pack("<iB3xii", _FLOAT, 0, 1, 1) for name in names) + b"\0"
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = (
        ("channels", "chlist", channels),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", bytes(8)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    )
    rows = (f"{name}\0{kind}\0".encode() + struct.pack("<I", len(value)) + value for name, kind, value in attributes)
    return b"".join(rows) + b"\0"


def _block(line: int, raw: bytes) -> bytes:
    """Deflate some lines: even bytes before odd ones, each as its difference to the last."""
    split = np.frombuffer(raw[::2] + raw[1::2], np.uint8)
    steps = split.copy()
    steps[1:] = split[1:] - split[:-1] + np.uint8(128)
    packed = zlib.compress(steps.tobytes())
    data = packed if len(packed) < len(raw) else raw  # as the format has it
    return struct.pack("<iI", line, len(data)) + data
