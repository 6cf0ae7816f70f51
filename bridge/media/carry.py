"""A picture's metadata in groups -> the blocks that a new file of some kind shall have, and what it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.media.blocks import MOST_PROFILE, MOST_TEXT
from bridge.media.embed import MOST_SEGMENT, Blocks
from bridge.media.exif import Exif
from bridge.media.exif_writing import encode_exif
from bridge.media.profiles import write_iptc
from bridge.media.xmp_writing import write_xmp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HELD", "carried"]

# The groups that a file of that kind holds.
HELD = {
    "jpeg": frozenset({"EXIF", "GPS", "XMP", "ICC", "IPTC", "COMMENT"}),
    "png": frozenset({"EXIF", "GPS", "XMP", "ICC", "COMMENT"}),
    "webp": frozenset({"EXIF", "GPS", "XMP", "ICC"}),
    "tiff": frozenset({"EXIF", "GPS", "XMP", "ICC", "IPTC"}),
}

_SHAPED = '{"shape":'  # so tifffile describes a stack
_MOST_EXIF = {"jpeg": MOST_SEGMENT - 6}
_SPACES = {1: "GRAY", 2: "GRAY", 3: "RGB ", 4: "RGB "}
_SIZES = {
    "EXIF": (("PixelXDimension", 0), ("PixelYDimension", 1)),
    "XMP": (("exif:PixelXDimension", 0), ("exif:PixelYDimension", 1), ("tiff:ImageWidth", 0), ("tiff:ImageLength", 1)),
}


def carried(meta: Mapping[str, Any], kind: str, *, channels: int, size: tuple[int, int]) -> tuple[Blocks, list[str]]:
    """Encode the metadata that a file of that kind holds.

    Parameters
    ----------
    meta : mapping
        Groups, as `bridge.media.metadata.read_groups` gives them; whatever else is in it is left alone.
    kind : str
        One of those in `HELD`.
    channels : int
        Of the pixels that are written: a profile must be for as many colours. 0 if no profile fits.
    size : tuple of int
        Width and height of what is written; where the metadata tells a size, it will be this one.

    Returns
    -------
    Blocks
        For `bridge.media.embed`.
    list of str
        A sentence for each value that is left out.
    """
    given = {name: meta[name] for name in sorted(HELD[kind]) if name in meta}
    groups = {name: _fitting(name, group, size) for name, group in given.items() if isinstance(group, dict)}
    exif, left_out = encode_exif(groups)
    left_out += [(name, "", "it is no group of names and values") for name in given if name not in groups]
    left_out += _shortened(exif, _MOST_EXIF.get(kind, MOST_TEXT))
    xmp, lost = write_xmp(groups.get("XMP", {}))
    left_out += [("XMP", *row) for row in lost]
    iptc, lost = write_iptc(groups.get("IPTC", {}))
    left_out += [("IPTC", *row) for row in lost]
    if len(iptc) > MOST_SEGMENT - 14:
        iptc = b""
        left_out.append(("IPTC", "", "it is too long"))
    icc, reason = _profile(groups.get("ICC"), channels)
    left_out += [("ICC", "profile", reason)] if reason else []
    comments = []
    for keyword, text in _comments(groups.get("COMMENT", {})):
        reason = _unfit(kind, keyword, text)
        if reason:
            left_out.append(("COMMENT", str(keyword), reason))
        else:
            comments.append((keyword, text))
    blocks = Blocks(exif=exif if exif.pack() else None, xmp=xmp, icc=icc, iptc=iptc, comments=tuple(comments))
    return blocks, [f"{group} {name}".rstrip() + f" was not written: {reason}" for group, name, reason in left_out]


def _fitting(name: str, group: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Correct the size of the picture, where the group tells it; leave out what tells the shape of a TIFF's stack."""
    if str(group.get("ImageDescription")).startswith(_SHAPED):
        group = {field: value for field, value in group.items() if field != "ImageDescription"}
    known = {field: size[axis] for field, axis in _SIZES.get(name, ()) if field in group}
    return group | ({field: str(number) for field, number in known.items()} if name == "XMP" else known)


def _shortened(exif: Exif, most: int) -> Iterator[tuple[str, str, str]]:
    """Drop the longest values until all of it fits."""
    while len(exif.pack() or b"") > most:
        entries = [(len(row.raw), name, tag) for name, rows in exif.directories.items() for tag, row in rows.items()]
        _, directory, tag = max(entries)
        dropped = Exif(order=exif.order, directories={directory: {tag: exif.directories[directory].pop(tag)}})
        yield from ((group, name, "there is no room for it") for group, name, _ in dropped.named())


def _profile(group: dict[str, Any] | None, channels: int) -> tuple[bytes, str]:
    """Give the profile if it is for such pixels, or why it is not written."""
    profile = (group or {}).get("profile")
    if group is None:
        return b"", ""
    if not isinstance(profile, bytes) or len(profile) < 132 or profile[36:40] != b"acsp":
        return b"", "it is no ICC profile"
    if len(profile) > MOST_PROFILE:
        return b"", "it is too long"
    space = profile[16:20].decode("latin-1")
    wanted = _SPACES.get(channels, "")
    if space != wanted:
        return b"", f"it is for {space.strip()!r}, and the pixels are {wanted.strip() or 'of no colour space'}"
    return profile, ""


def _comments(group: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    for keyword, value in group.items():
        for text in value if isinstance(value, list | tuple) else [value]:
            yield keyword, text


def _unfit(kind: str, keyword: Any, text: Any) -> str:
    """Say why a file of that kind cannot hold a comment; empty if it can."""
    if not isinstance(keyword, str) or not isinstance(text, str):
        return "it is no text"
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return "it cannot be encoded"
    if "\0" in text or len(raw) > (MOST_SEGMENT if kind == "jpeg" else MOST_TEXT):
        return "it is too long, or has a NUL in it"
    if kind == "jpeg":
        return "" if keyword == "Comment" else "comments of a JPEG have no keywords"
    # By the PNG specification; the others would be taken for something else.
    fine = 0 < len(keyword) < 80 and keyword.strip() == keyword and keyword.isprintable()
    taken = keyword == "XML:com.adobe.xmp" or keyword.lower().startswith("raw profile type ")
    return "" if fine and not taken and max(keyword) <= "\xff" else "it is no keyword"
