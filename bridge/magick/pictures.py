"""Which still formats ImageMagick serves, and what each can hold. Tables, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PICTURES", "Picture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One still format.

    Attributes
    ----------
    coder : str
        ImageMagick's name of it.
    kinds : tuple of str
        What `bridge.media.sniff` calls its content; empty for formats without a signature, which are
        told by their extension.
    written : frozenset
        The (channels, bits) that it holds without loss of either; empty if it is only read.
    modes : str
        Which of ``i I v V`` it serves; in ``v`` and ``V`` all its pictures are one volume.
    depths, alpha, metadata
        What it can hold, for tables.
    animated : bool
        Several pictures are frames of an animation.
    options : dict
        Arguments for writing, by (channels, bits), with ``{quality}`` filled in.
    fixes : tuple of str
        Arguments for reading.
    quality : int or None
        Default of the keyword `quality`, where there is one.
    lossless : tuple of str
        Arguments in the place of `options` for ``lossless=True``, where that can be had.
    dpi : int
        For documents, which are drawn and have no pixels of their own: how many to an inch, by default. They are
        read only where they are trusted.
    """

    name: str
    coder: str
    description: str
    extensions: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    written: frozenset[tuple[int, int]] = frozenset()
    modes: str = "iI"
    depths: str = "8"
    alpha: bool = True
    metadata: bool = False
    animated: bool = False
    options: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    quality: int | None = None
    lossless: tuple[str, ...] = ()
    dpi: int = 0


_RGB = frozenset({(3, 8)})
_GRAY_RGB = frozenset({(1, 8), (3, 8)})
_ALL_8 = frozenset({(1, 8), (2, 8), (3, 8), (4, 8)})
_ALL_16 = frozenset({(1, 16), (2, 16), (3, 16), (4, 16)})

PICTURES: tuple[Picture, ...] = (
    Picture(
        name="PNG", coder="png", description="Portable Network Graphics", extensions=(".png",), kinds=("png",),
        written=_ALL_8 | _ALL_16, depths="8, 16", metadata=True,
        fixes=("-set", "colorspace", "sRGB"),  # else a file that says gamma 1.0 is brightened
    ),
    Picture(
        name="JPEG", coder="jpeg", description="Joint Photographic Experts Group", kinds=("jpeg",),
        extensions=(".jpg", ".jpeg", ".jpe", ".jfif"), written=_GRAY_RGB, quality=75,
        options=("-quality", "{quality}"), alpha=False, metadata=True,
    ),
    Picture(
        name="GIF", coder="gif", description="Graphics Interchange Format", extensions=(".gif",), kinds=("gif",),
        animated=True, metadata=True,
    ),
    Picture(
        # ImageMagick writes gray BMP with a palette that readers take for colour; ffmpeg's is read back as gray
        name="BMP", coder="bmp", description="Windows bitmap", extensions=(".bmp", ".dib"), kinds=("bmp",),
        alpha=False,
    ),
    Picture(
        name="WEBP", coder="webp", description="WebP", extensions=(".webp",), kinds=("webp",),
        written=frozenset({(3, 8), (4, 8)}), animated=True, quality=75, options=("-quality", "{quality}"),
        lossless=("-define", "webp:lossless=true", "-define", "webp:exact=true"), metadata=True,
    ),
    Picture(  # what tifffile leaves: LZW, JPEG and fax compression
        name="TIFF-MAGICK", coder="tiff", description="Tagged Image File Format", kinds=("tiff",),
        extensions=(".tif", ".tiff"),
    ),
    Picture(
        name="PNM", coder="pnm", description="portable anymap", kinds=("pnm",),
        extensions=(".ppm", ".pgm", ".pbm", ".pnm"), written=_GRAY_RGB | {(1, 16), (3, 16)}, depths="8, 16",
        alpha=False,
    ),
    Picture(
        name="PAM", coder="pam", description="portable arbitrary map", extensions=(".pam",),
        written=_ALL_8 | _ALL_16, depths="8, 16",
    ),
    Picture(
        name="TGA", coder="tga", description="Truevision Targa", extensions=(".tga",),
        written=frozenset({(3, 8), (4, 8)}),
        fixes=("-auto-orient",), options=("-orient", "TopLeft"),  # ImageMagick 6 else leaves it upside down
    ),
    Picture(
        name="PCX", coder="pcx", description="PC Paintbrush", extensions=(".pcx",), kinds=("pcx",), written=_RGB,
    ),
    Picture(name="ICO", coder="ico", description="Windows icon", extensions=(".ico",), kinds=("ico",)),
    Picture(name="PSD", coder="psd", description="Photoshop document", extensions=(".psd",), kinds=("psd",)),
    Picture(
        name="JP2", coder="jp2", description="JPEG 2000", extensions=(".jp2",), kinds=("jp2",), depths="8, 16",
    ),
    Picture(
        name="J2K", coder="j2k", description="JPEG 2000 codestream", extensions=(".j2k", ".jpc", ".j2c"),
        kinds=("j2k",), depths="8, 16",
    ),
    Picture(name="JXL", coder="jxl", description="JPEG XL", extensions=(".jxl",), kinds=("jxl",), depths="8, 16"),
    Picture(
        name="HEIC", coder="heic", description="High Efficiency Image", extensions=(".heic", ".heif"), kinds=("heic",),
        written=_RGB, quality=75, options=("-quality", "{quality}"),
    ),
    Picture(
        name="AVIF", coder="avif", description="AV1 Image", extensions=(".avif",), kinds=("avif",),
        written=_RGB, quality=75, options=("-quality", "{quality}"),
    ),
    Picture(  # through the program that ImageMagick has as a delegate for it
        name="RAW", coder="dng", description="camera RAW", kinds=("raw",), depths="16", alpha=False,
        extensions=(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef"),
    ),
    Picture(
        name="DPX", coder="dpx", description="Digital Picture Exchange", extensions=(".dpx",), kinds=("dpx",),
        fixes=("-set", "colorspace", "sRGB"),  # ImageMagick takes it for linear and would brighten it
        depths="8, 16", alpha=False,
    ),
    Picture(
        name="SVG", coder="svg", description="Scalable Vector Graphics, if trusted", extensions=(".svg",),
        kinds=("svg",), dpi=96,
    ),
)  # fmt: skip
