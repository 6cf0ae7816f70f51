"""The command lines of ImageMagick 6 and 7. Pure: values in, arguments out.

Content comes on standard input and goes to standard output, each with its coder named, so that no file
name is ever read as an option, a coder or a pattern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["describe", "read", "write"]

# PAM's channels follow what ImageMagick thinks of the values (gray with a gamma chunk comes as RGB, colours
# that happen to be gray come as one channel), so the type is forced; PGM is always one channel.
_FORMS = {1: ("-type Grayscale", "pgm"), 3: ("-type TrueColor", "pam"), 4: ("-type TrueColorMatte", "pam")}
_FORMS_7 = _FORMS | {4: ("-type TrueColorAlpha", "pam")}
_INKS = ("-type ColorSeparation", "pam")
_DESCRIPTION = "%w %h %z %A %[colorspace]\\n"


def describe(identify: Sequence[str], coder: str) -> tuple[str, ...]:
    """Print width, height, depth, alpha and colour space of each picture, one line each."""
    return (*identify, "-format", _DESCRIPTION, f"{coder}:-")


def read(
    path: str,
    release: tuple[int, int],
    coder: str,
    *,
    channels: int,
    depth: int,
    frames: str = "",
    fixes: Sequence[str] = (),
    cmyk: bool = False,
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
    fixes : sequence of str
        What the format needs after it is read.
    cmyk : bool
        The channels are four inks.
    """
    forced, form = _INKS if cmyk else (_FORMS_7 if release >= (7, 0) else _FORMS)[channels]
    return (
        path,
        f"{coder}:-{frames}",
        *fixes,
        *forced.split(),
        "-depth",
        str(depth),
        f"{form}:-",
    )


def write(path: str, coder: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    """Encode one PAM picture from standard input to standard output."""
    return (path, "pam:-", *options, f"{coder}:-")
