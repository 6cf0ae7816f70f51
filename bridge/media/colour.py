"""How colours are coded in film: which matrix and range a stream has, declared or assumed. Pure.

BT.601 and BT.709 are two ways to make YCbCr from RGB; a file that does not say which leaves a reader to guess.
FFmpeg takes BT.601 then, whatever the size; Full HD is BT.709 nearly always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.media.info import VideoStream

__all__ = ["Colour", "colour_of", "is_large", "usual_matrix"]

_MATRICES = ("bt709", "smpte170m", "bt470bg", "fcc", "smpte240m", "bt2020nc", "bt2020c", "ycgco")
_FFMPEGS = "smpte170m"  # BT.601
_YCBCR = ("yuv", "nv", "p0", "p2", "p4", "uyvy", "yuyv", "y2", "v2", "xyz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """How the colours of a stream are coded, in FFmpeg's words; None is not known.

    Attributes
    ----------
    matrix : str or None
        By which RGB became YCbCr; None where the pixels are RGB or gray.
    range : str or None
        ``"tv"``, limited, or ``"pc"``, full.
    primaries, transfer : str or None
        As declared; pixels are not converted between these.
    assumed : tuple of str
        Which of these the stream does not declare.
    """

    matrix: str | None
    range: str | None
    primaries: str | None
    transfer: str | None
    assumed: tuple[str, ...]

    def declared(self) -> dict[str, str | None]:
        """Give what the stream says of matrix and range, under the names of FFmpeg's filter `setparams`."""
        found = {"colorspace": ("matrix", self.matrix), "range": ("range", self.range)}
        return {name: None if which in self.assumed else value for name, (which, value) in found.items()}

    def other(self) -> dict[str, str]:
        """Give what is assumed and is not what FFmpeg assumes, for its filter `setparams`.

        Examples
        --------
        >>> Colour(matrix="bt709", range="tv", primaries=None, transfer=None, assumed=("matrix",)).other()
        {'colorspace': 'bt709'}
        """
        differs = "matrix" in self.assumed and self.matrix != _FFMPEGS
        return {"colorspace": self.matrix} if differs and self.matrix else {}

    def to_dict(self) -> dict[str, Any]:
        """Give it as metadata."""
        return {name: getattr(self, name) for name in ("matrix", "range", "primaries", "transfer", "assumed")}


def usual_matrix(width: int, height: int) -> str:
    """Give the matrix to write pictures of that size with: BT.709 is HD's.

    Examples
    --------
    >>> usual_matrix(1920, 1080), usual_matrix(720, 576)
    ('bt709', 'smpte170m')
    """
    return "bt709" if width >= 1280 or height > 576 else "smpte170m"


def is_large(width: int, height: int) -> bool:
    """Tell whether a film that does not say its matrix is taken for BT.709: above 1280x720, upright or not.

    Examples
    --------
    >>> is_large(1920, 1080), is_large(1280, 720), is_large(720, 1280)
    (True, False, False)
    """
    return max(width, height) > 1280 or min(width, height) > 720


def colour_of(video: VideoStream) -> Colour:
    """Tell how the colours of a stream are coded."""
    pixels = video.pixel_format or ""
    coded = pixels.startswith(_YCBCR)
    declared = video.color_space if video.color_space in _MATRICES else None
    full = "pc" if pixels.startswith("yuvj") else None
    limits = video.color_range or full
    missing = [] if not coded or declared else ["matrix"]
    missing += [] if not coded or limits else ["range"]
    return Colour(
        matrix=(declared or ("bt709" if is_large(video.width, video.height) else _FFMPEGS)) if coded else None,
        range=limits or ("tv" if coded else None),
        primaries=video.color_primaries,
        transfer=video.color_transfer,
        assumed=tuple(missing),
    )
