"""The command lines of ImageMagick 6 and 7. Pure: values in, arguments out.

Content comes on standard input and goes to standard output, each with its coder named, so that no file
name is ever read as an option, a coder or a pattern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.media.portion import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.media.portion import Portion

__all__ = ["PAGED", "SOURCE", "SRGB", "count", "density", "describe", "read", "write"]

# PAM's channels follow what ImageMagick thinks of the values (gray with a gamma chunk comes as RGB, colours
# that happen to be gray come as one channel), so the type is forced; PGM is always one channel.
_FORMS = {1: ("-type Grayscale", "pgm"), 3: ("-type TrueColor", "pam"), 4: ("-type TrueColorMatte", "pam")}
_FORMS_7 = _FORMS | {4: ("-type TrueColorAlpha", "pam")}
_INKS = ("-type ColorSeparation", "pam")
_FIRST = "[0]"
_DESCRIPTION = "%w %h %z %A %[colorspace]\\n"


def describe(identify: Sequence[str], coder: str, dpi: float | None = None) -> tuple[str, ...]:
    """Print width, height, depth, alpha and colour space of each picture, one line each.

    Of pages only the first is decoded, and the others are counted by `count`. A document is drawn
    with so many pixels to an inch.
    """
    return (*identify, *density(dpi), "-format", _DESCRIPTION, f"{coder}:-{_FIRST if coder in PAGED else ''}")


def count(identify: Sequence[str], coder: str) -> tuple[str, ...]:
    """Print one line for each picture, without decoding any."""
    return (*identify, "-ping", "-format", "%w\\n", f"{coder}:-")


PAGED = frozenset({"tiff"})  # coders whose pictures are pages, of which there may be many


def read(
    path: str,
    release: tuple[int, int],
    coder: str,
    *,
    channels: int,
    depth: int,
    frames: str = "",
    compose: bool = False,
    fixes: Sequence[str] = (),
    cmyk: bool = False,
    dpi: float | None = None,
    portion: Portion = WHOLE,
    to_srgb: str = "none",
) -> tuple[str, ...]:
    """Decode pictures to PAM or PGM on standard output.

    Parameters
    ----------
    path, release : str, tuple of int
        The program and its version.
    coder : str
        ImageMagick's name of the format.
    channels : int
        1 gray, 3 RGB, 4 RGBA.
    depth : int
        8 or 16 bits a sample.
    frames : str
        ``"[0]"`` or ``"[0-3]"`` for some of the pictures, empty for all.
    compose : bool
        Lay the frames of an animation over each other as a viewer does.
    fixes : sequence of str
        What the format needs after it is read.
    cmyk : bool
        The channels are what comes out, four inks.
    dpi : float or None
        With how many pixels to an inch a document is drawn, on nothing.
    portion : Portion
        Which part comes out, and how large.
    to_srgb : str
        ``"profile"`` converts by the profile in `SOURCE` to that in `SRGB`, files in the working folder; ``"own"`` by
        what ImageMagick finds in the picture; ``"formula"`` without any.
    """
    forced, form = _INKS if cmyk else (_FORMS_7 if release >= (7, 0) else _FORMS)[channels]
    return (
        path,
        *density(dpi),
        *(("-background", "none") if dpi else ()),
        *_reduced(coder, portion),
        f"{coder}:-{frames}",
        *(("-coalesce",) if compose else ()),
        *fixes,
        *_cut(portion),
        *_TO_SRGB.get(to_srgb, ()),
        *forced.split(),
        "-depth",
        str(depth),
        f"{form}:-",
    )


def density(dpi: float | None) -> tuple[str, ...]:
    """Draw a document with so many pixels to an inch; pictures have their own."""
    return ("-density", f"{dpi:g}") if dpi else ()


SOURCE, SRGB = "source.icc", "srgb.icc"
_TO_SRGB = {
    # libpng drops profiles that it does not like, so that of the picture is given once more
    "profile": ("+profile", "icc", "-intent", "Perceptual", "-profile", SOURCE, "-profile", SRGB),
    "own": ("-intent", "Perceptual", "-profile", SRGB, "-colorspace", "sRGB"),
    "formula": ("+profile", "icc", "-colorspace", "sRGB"),
}


def _reduced(coder: str, portion: Portion) -> tuple[str, ...]:
    """Have libjpeg decode at 1/2, 1/4 or 1/8 what is to be made smaller than that."""
    if coder != "jpeg" or portion.size is None or portion.box is not None:
        return ()
    return ("-define", "jpeg:size={}x{}".format(*portion.size))


def _cut(portion: Portion) -> list[str]:
    """Crop and scale; positions are those of the picture, not of a canvas that the file may lay it on."""
    cut: list[str] = []
    if portion.box is not None:
        x, y, width, height = portion.box
        cut = ["+repage", "-crop", f"{width}x{height}+{x}+{y}", "+repage"]
    if portion.size is not None:
        width, height = portion.size
        cut += ["-resize", f"{width}x{height}!"]
    return cut


def write(path: str, coder: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    """Encode one PAM picture from standard input to standard output."""
    return (path, "pam:-", *options, f"{coder}:-")
