"""CRC-32 with the highest bit first and no inversion, as Ogg and NUT use it. Pure."""

from __future__ import annotations

import zlib

__all__ = ["crc32_msb_first"]

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32_msb_first(data: bytes) -> bytes:
    """Give the checksum as four bytes, most significant first: zlib's, with all bits mirrored and begun at zero.

    Examples
    --------
    >>> crc32_msb_first(b"123456789").hex()
    '89a1897f'
    """
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2).to_bytes(4, "big")
