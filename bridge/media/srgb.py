"""Whether the pixels of a picture are sRGB, and by which way they become it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from bridge.media.icc import is_plain_gray, is_srgb

if TYPE_CHECKING:
    from bridge.media.sniff import PictureHead

__all__ = ["COLOUR_SPACES", "Conversion", "conversion", "take_colorspace"]

COLOUR_SPACES = ("srgb",)
# Their profiles are not among the metadata that we read: only ImageMagick sees whether there is one.
_UNSEEN = frozenset({"avif", "heic", "j2k", "jp2", "jxl", "psd"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How a picture becomes sRGB.

    Attributes
    ----------
    way : str
        ``"none"`` if it is sRGB, or gray without a profile that says more; ``"profile"`` by the profile that it
        carries, ``"own"`` if only ImageMagick sees whether it does; ``"formula"`` from inks without one; ``"lab"``
        from CIE Lab.
    source : str
        What it is, in words.
    profile : bytes
        The one by which.
    """

    way: Literal["none", "profile", "own", "formula", "lab"]
    source: str
    profile: bytes = b""

    def head(self, head: PictureHead) -> PictureHead:
        """Give what the header of the converted picture would say."""
        if self.way == "none":
            return head
        alpha = head.channels in (2, 5) or (head.channels == 4 and not head.cmyk)
        return replace(head, channels=4 if alpha else 3, cmyk=False, lab=False)

    def tell(self, groups: dict[str, dict[str, Any]]) -> None:
        """Change the metadata of the picture: nobody shall convert it again."""
        file = groups["FILE"]
        gray = self.way == "none" and file["channels"] < 3
        file["color_space"] = "gray" if gray else "sRGB"
        file["source_color_space"] = self.source
        if self.way != "none":
            groups.pop("ICC", None)
            if "ColorSpace" in groups.get("EXIF", {}):
                groups["EXIF"]["ColorSpace"] = 1


def take_colorspace(colorspace: Any) -> bool:
    """Read the user's keyword; tell whether a conversion to sRGB is wanted.

    Raises
    ------
    ValueError
        For what is not known.
    """
    if colorspace is None:
        return False
    if colorspace not in COLOUR_SPACES:
        known = ", ".join(map(repr, COLOUR_SPACES))
        raise ValueError(f"colorspace is one of {known}, or None for pixels as they are stored, not {colorspace!r}")
    return True


def conversion(kind: str, head: PictureHead, groups: dict[str, dict[str, Any]]) -> Conversion:
    """Decide how a picture becomes sRGB.

    Parameters
    ----------
    kind : str
        As `bridge.media.sniff.sniff` gives it.
    head : PictureHead
        What its header says.
    groups : dict
        Its metadata, as `bridge.media.metadata.read_groups` gives them.
    """
    icc = groups.get("ICC", {})
    space, profile = icc.get("color_space", ""), icc.get("profile", b"")
    name = "CIELab" if head.lab else "CMYK" if head.cmyk else "gray" if head.channels < 3 else "RGB"
    described = f"{name} ({icc['description']})" if icc.get("description") else name
    if head.lab:
        return Conversion(way="lab", source=name)
    if space != _SPACES[name]:  # none, or one of another picture
        unseen = kind in _UNSEEN and name != "gray"
        return Conversion(way="own" if unseen else "formula" if head.cmyk else "none", source=name)
    fitting = not head.cmyk and (is_plain_gray if name == "gray" else is_srgb)(profile)
    return Conversion(way="none" if fitting else "profile", source=described, profile=b"" if fitting else profile)


_SPACES = {"CMYK": "CMYK", "gray": "GRAY", "RGB": "RGB "}
