"""What film of high dynamic range says of the display and the light that it was made for. Values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["HLG", "PQ", "HighDynamicRange", "Point", "is_hdr"]

PQ, HLG = "smpte2084", "arib-std-b67"  # FFmpeg's words for the two transfers of ITU-R BT.2100
Point = tuple[float, float]


def is_hdr(transfer: str | None) -> bool:
    """Tell whether a transfer is one of high dynamic range."""
    return transfer in (PQ, HLG)


@dataclass(frozen=True, slots=True, kw_only=True)
class HighDynamicRange:
    """Mastering display (SMPTE ST 2086) and content light level (CTA-861.3); None is not known.

    Attributes
    ----------
    primaries : tuple or None
        Of the mastering display, red, green and blue: pairs of CIE x and y.
    white_point : tuple of float or None
        CIE x and y.
    min_luminance, max_luminance : float or None
        What the mastering display could show, in cd/m2.
    max_content, max_average : int or None
        The brightest pixel (MaxCLL) and the brightest average of a frame (MaxFALL), in cd/m2.
    """

    primaries: tuple[Point, Point, Point] | None = None
    white_point: Point | None = None
    min_luminance: float | None = None
    max_luminance: float | None = None
    max_content: int | None = None
    max_average: int | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is known."""
        return any(value is not None for value in self.to_dict().values())

    def to_dict(self) -> dict[str, Any]:
        """Give it as metadata."""
        return asdict(self)
