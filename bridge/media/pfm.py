"""PFM: floats of a picture, or of one channel, from the bottom line to the top. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.errors import CorruptMedia

__all__ = ["PfmHead", "encode_pfm", "pfm_head", "pfm_pixels"]

_HEAD = re.compile(rb"P([Ff])\s+(\d{1,10})\s+(\d{1,10})\s+([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class PfmHead:
    """What the header says; `scale` is told, and not applied."""

    width: int
    height: int
    channels: int
    order: str
    scale: float
    start: int

    @property
    def nbytes(self) -> int:
        """Count the bytes of the samples."""
        return 4 * self.width * self.height * self.channels


def pfm_head(data: bytes) -> PfmHead:
    r"""Read the header at the beginning of `data`.

    Raises
    ------
    CorruptMedia
        If there is none.

    Examples
    --------
    >>> pfm_head(b"Pf\n3 2\n-1.0\n").order
    '<'
    """
    match = _HEAD.match(data)
    if match is None or not int(match[2]) or not int(match[3]) or not float(match[4]):
        raise CorruptMedia("the PFM header is damaged or ends early")
    scale = float(match[4])
    return PfmHead(
        width=int(match[2]), height=int(match[3]), channels=3 if match[1] == b"F" else 1,
        order="<" if scale < 0 else ">", scale=abs(scale), start=match.end(),
    )  # fmt: skip


def pfm_pixels(head: PfmHead, data: bytes) -> np.ndarray[Any, Any]:
    """Give the picture whose samples `data` holds, float32 of this machine."""
    lines = np.frombuffer(data, f"{head.order}f4").reshape(head.height, head.width, head.channels)[::-1]
    return np.ascontiguousarray(lines if head.channels > 1 else lines[..., 0], np.float32)


def encode_pfm(image: np.ndarray[Any, Any]) -> bytes:
    """Encode a float32 picture of 1 or 3 channels, least significant byte first."""
    height, width = image.shape[:2]
    magic = "Pf" if image.ndim == 2 else "PF"
    return f"{magic}\n{width} {height}\n-1.0\n".encode() + image[::-1].astype("<f4", copy=False).tobytes()
