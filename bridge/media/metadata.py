"""What a picture file says about itself, in groups (EXIF, XMP, ICC, …), read without any program.

Metadata never makes a picture unreadable: a block that is damaged, or larger than its bound, is left out whole.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from bridge.media.blocks import DAMAGE, MOST_PROFILE, Found, find
from bridge.media.exif import Exif
from bridge.media.profiles import read_icc, read_iptc, read_resources

if TYPE_CHECKING:
    from bridge.media.head import ReadAt

__all__ = ["exif_block", "orientation", "read_groups"]


def read_groups(kind: str, read_at: ReadAt) -> dict[str, dict[str, Any]]:
    """Read the metadata of a picture file.

    Parameters
    ----------
    kind : str
        As `sniff` gives it: ``"jpeg"``, ``"png"``, ``"apng"``, ``"webp"``, ``"gif"``, ``"heic"``, ``"avif"`` or
        ``"tiff"``; others have no groups here.
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes. Only what it raises itself comes out of here.

    Returns
    -------
    dict
        Group name -> name -> value.

        ``EXIF``, ``GPS``
            The standard's names (``"0x1234"`` if there is none): int, float, `fractions.Fraction` (None for a
            denominator of 0), str, `datetime.datetime` (with a zone only if it stands there), bytes, or a tuple of
            numbers.
        ``XMP``
            Names like ``dc:title``: str or list of str.
        ``IPTC``, ``PHOTOSHOP``
            By name: str; a list of str for what may be repeated.
        ``ICC``
            ``description``, ``size`` (bytes), ``color_space`` (four characters), ``profile`` (bytes).
        ``COMMENT``
            Free texts: by keyword in PNG, else ``"Comment"``; a list of str if there are several.
        ``JFIF``, ``ADOBE``, ``PNG``, ``GIF``, ``WEBP``
            What only this kind of file says. ``durations`` are seconds, a list with one for each frame;
            ``loop`` is how often an animation plays, 0 for ever.

        ``FILE``
            Only ``changes``: what was left out for its size.

        Control characters in names and texts are escaped, except the ends of lines and tabs.
    """
    found = find(kind, read_at)
    for tell in (_tell_exif, _tell_xmp, _tell_icc, _tell_iptc):
        with contextlib.suppress(*DAMAGE):
            tell(found)
    if found.left_out:
        found.groups.setdefault("FILE", {})["changes"] = [*found.left_out]
    return found.groups


def exif_block(kind: str, read_at: ReadAt) -> bytes | None:
    """Read the EXIF of a picture file as one TIFF structure, such as other files can carry.

    Of a JPEG, PNG or WebP these are its bytes as they are, without the prefix ``Exif``; of a TIFF they are made
    anew from what is not about its own pixels.

    Returns
    -------
    bytes or None
        None if there is none, or if it does not begin like one. `kind` and `read_at` are those of `read_groups`.
    """
    found = find(kind, read_at)
    if found.tiff is not None:
        return found.tiff.pack()
    return found.exif if found.exif[:4] in (b"II*\0", b"MM\0*") else None


def orientation(groups: dict[str, dict[str, Any]]) -> int:
    """Tell how a picture is to be turned: EXIF's number, 1 to 8, else that of XMP; 1 if neither makes sense."""
    for group, name in (("EXIF", "Orientation"), ("XMP", "tiff:Orientation")):
        value = groups.get(group, {}).get(name)
        if isinstance(value, str) and re.fullmatch("[1-8]", value):
            return int(value)
        if isinstance(value, int) and 1 <= value <= 8:
            return int(value)
    return 1


def _tell_exif(found: Found) -> None:
    block = found.exif
    exif = found.tiff or Exif.read(lambda at, count: block[at : at + count])
    for group, name, value in exif.named():
        found.put(group, name, value)


def _tell_xmp(found: Found) -> None:
    if not found.xmp:
        return
    from bridge.media.xmp import read_xmp

    extension = b""
    for name, value in read_xmp(found.xmp):
        if name == "xmpNote:HasExtendedXMP":
            extension = str(value).encode("ascii", "replace")
        else:
            found.put("XMP", name, value)
    parts = found.extended.get(extension, {})
    ends = [offset + len(part) for offset, part in parts.items()]
    if parts and {0, *ends} == {*parts, max(ends)}:  # no gap
        for name, value in read_xmp(b"".join(part for _, part in sorted(parts.items()))):
            found.put("XMP", name, value)


def _tell_icc(found: Found) -> None:
    for name, value in read_icc(found.icc) if len(found.icc) <= MOST_PROFILE else ():
        found.put("ICC", name, value)


def _tell_iptc(found: Found) -> None:
    record = found.iptc
    with contextlib.suppress(*DAMAGE):
        for name, value in read_resources(found.resources):
            if name == "IPTC":
                record = max(record, value, key=len)  # ImageMagick 6 cuts a TIFF's own tag to a quarter
            else:
                found.put("PHOTOSHOP", name, value)
    for name, value in read_iptc(record):
        found.put("IPTC", name, value, several=isinstance(value, list))
