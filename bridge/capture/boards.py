"""The programs that read and write the clipboard: how each is called, and what its output means. Pure.

Output of xclip is tested on xclip itself, that of the others on recorded texts.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import CorruptMedia

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BOARDS",
    "KINDS",
    "Board",
    "apple_content",
    "apple_kinds",
    "base64_content",
    "picture_kinds",
    "windows_kinds",
]

# What pictures are called on a clipboard, the best first: what loses nothing, then what is common.
KINDS = ("image/png", "image/apng", "image/tiff", "image/bmp", "image/x-bmp", "image/x-ms-bmp", "image/x-MS-bmp",
         "image/webp", "image/x-portable-pixmap", "image/x-portable-anymap", "image/jxl", "image/avif", "image/heic",
         "image/jpeg", "image/jpg", "image/gif", "image/qoi", "image/x-tga")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One way to the clipboard.

    Attributes
    ----------
    reader, writer : str
        The programs.
    package : str
        Where Debian and most others have them; empty where the system brings them.
    listing : tuple of str
        Arguments with which the reader tells what is there.
    listed : callable
        Finds our names of kinds in what it prints then.
    reading, writing : callable
        Give the arguments for a kind.
    content : callable
        Finds the bytes in what the reader prints.
    stays : bool
        Whether the writer goes on in the background, to serve what it was given.
    late : bool
        Whether the writer may say that it is done before others see what it was given.
    """

    reader: str
    writer: str
    package: str
    listing: tuple[str, ...]
    listed: Callable[[str], list[str]]
    reading: Callable[[str], tuple[str, ...]]
    writing: Callable[[str], tuple[str, ...]]
    content: Callable[[bytes], bytes]
    stays: bool = False
    late: bool = False


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _as_is(data: bytes) -> bytes:
    return data


# macOS: `clipboard info` prints «class PNGf», 1234, «class TIFF», 5678; a picture comes as «data PNGf89504E47...».

_APPLE = {"PNGf": "image/png", "TIFF": "image/tiff", "JPEG": "image/jpeg", "GIFf": "image/gif", "BMP": "image/bmp"}
_APPLE_NAMES = {"TIFF picture": "image/tiff", "JPEG picture": "image/jpeg", "GIF picture": "image/gif"}
_CODES = {mime: code for code, mime in _APPLE.items()}
_CODES["image/gif"], _CODES["image/bmp"] = "GIFf", "BMP "


def apple_kinds(text: str) -> list[str]:
    """Read what ``clipboard info`` prints; kinds of no picture come under Apple's names."""
    names = re.findall(r"«class ([^»]+)»|([A-Za-z][\w ]*)(?=, \d)", text)
    return [_APPLE.get(code.strip()) or _APPLE_NAMES.get(name) or code.strip() or name for code, name in names]


def apple_content(data: bytes) -> bytes:
    """Read ``«data PNGf89504E47...»``."""
    found = re.search(r"«data .{4}([0-9A-Fa-f]*)»", data.decode("utf-8", "replace"))
    return bytes.fromhex(found[1]) if found else b""


def _apple_reading(kind: str) -> tuple[str, ...]:
    return ("-e", f"the clipboard as «class {_CODES.get(kind, 'PNGf')}»")


def _apple_writing(kind: str) -> tuple[str, ...]:
    code = _CODES.get(kind, "PNGf")
    return ("-e", f'set the clipboard to (read (POSIX file "/dev/stdin") as «class {code}»)')


# Windows: programs put PNG there beside the system's own bitmap, which has lost its transparency.

_POWERSHELL = ("-NoProfile", "-NonInteractive", "-Sta", "-Command")
_FORMS = "Add-Type -AssemblyName System.Windows.Forms,System.Drawing; $c = [Windows.Forms.Clipboard]; "
_SENT = "[Convert]::ToBase64String($s.ToArray())"
_FROM_STDIN = (
    "$s = New-Object IO.MemoryStream; [Console]::OpenStandardInput().CopyTo($s); "
    "$d = New-Object Windows.Forms.DataObject; $d.SetData('PNG', $false, $s); "
    "$d.SetImage([Drawing.Image]::FromStream($s)); $c::SetDataObject($d, $true)"
)


def windows_kinds(text: str) -> list[str]:
    """Read the clipboard's own names of formats, one a line."""
    names = {"PNG": "image/png", "Bitmap": "image/bmp", "DeviceIndependentBitmap": "image/bmp", "JFIF": "image/jpeg"}
    return list(dict.fromkeys(names.get(line, line) for line in _lines(text)))


def base64_content(data: bytes) -> bytes:
    """Read base64 as PowerShell writes it."""
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error as error:
        raise CorruptMedia(f"<clipboard>: PowerShell did not give a picture: {error}") from None


def _windows_reading(kind: str) -> tuple[str, ...]:
    stored = {"image/png": "$s = $c::GetData('PNG'); ", "image/jpeg": "$s = $c::GetData('JFIF'); "}
    drawn = "$s = New-Object IO.MemoryStream; $c::GetImage().Save($s, [Drawing.Imaging.ImageFormat]::Png); "
    return (*_POWERSHELL, _FORMS + stored.get(kind, drawn) + _SENT)


def _ending(*options: str) -> Callable[[str], tuple[str, ...]]:
    """Give a maker of arguments that end with the kind, as those of xclip and wl-clipboard do."""
    return lambda kind: (*options, kind)


_XCLIP = ("-selection", "clipboard")

BOARDS = {
    "xclip": Board(
        reader="xclip",
        writer="xclip",
        package="xclip",
        listing=(*_XCLIP, "-o", "-t", "TARGETS"),
        listed=_lines,
        reading=_ending(*_XCLIP, "-o", "-t"),
        writing=_ending(*_XCLIP, "-i", "-t"),
        content=_as_is,
        stays=True,
        late=True,
    ),
    "wayland": Board(
        reader="wl-paste",
        writer="wl-copy",
        package="wl-clipboard",
        listing=("--list-types",),
        listed=_lines,
        reading=_ending("--no-newline", "--type"),
        writing=_ending("--type"),
        content=_as_is,
        stays=True,
    ),
    "macos": Board(
        reader="osascript",
        writer="osascript",
        package="",
        listing=("-e", "clipboard info"),
        listed=apple_kinds,
        reading=_apple_reading,
        writing=_apple_writing,
        content=apple_content,
    ),
    "windows": Board(
        reader="powershell",
        writer="powershell",
        package="",
        listing=(*_POWERSHELL, f"{_FORMS}$c::GetDataObject().GetFormats($false)"),
        listed=windows_kinds,
        reading=_windows_reading,
        writing=lambda _kind: (*_POWERSHELL, _FORMS + _FROM_STDIN),
        content=base64_content,
    ),
}


def picture_kinds(kinds: Sequence[str]) -> list[str]:
    """List those kinds that are pictures we can decode, the best first."""
    return [kind for kind in KINDS if kind in kinds]
