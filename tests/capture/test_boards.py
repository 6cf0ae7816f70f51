"""What programs of other systems print, as recorded texts: there is no macOS, no Windows and no Wayland here."""

from __future__ import annotations

import base64

import pytest

from bridge import errors
from bridge.capture.boards import BOARDS, apple_content, apple_kinds, base64_content, picture_kinds, windows_kinds

_MACOS_INFO = (
    "«class PNGf», 104385, «class 8BPS», 533890, GIF picture, 36216, «class jp2 », 71013, JPEG picture, 28450, "
    "TIFF picture, 519714, «class BMP », 518454, «class TPIC», 211206\n"
)
_MACOS_TEXT = "«class utf8», 5, «class ut16», 12, string, 5, Unicode text, 10\n"
_WINDOWS = "PNG\r\nDeviceIndependentBitmap\r\nFormat17\r\nBitmap\r\nSystem.Drawing.Bitmap\r\n"
_WAYLAND = "image/png\nimage/jpeg\nimage/webp\nSAVE_TARGETS\ntext/html\n"


def test_macos_tells_what_is_there() -> None:
    assert picture_kinds(apple_kinds(_MACOS_INFO)) == [
        "image/png", "image/tiff", "image/bmp", "image/jpeg", "image/gif"
    ]  # fmt: skip
    assert picture_kinds(apple_kinds(_MACOS_TEXT)) == []
    assert "utf8" in apple_kinds(_MACOS_TEXT)


def test_macos_gives_content_in_hexadecimals() -> None:
    assert apple_content("«data PNGf89504E470D0A1A0A»\n".encode()) == b"\x89PNG\r\n\x1a\n"
    assert apple_content("«data TIFF4D4D»\n".encode()) == b"MM"
    assert apple_content(b"") == b""


def test_macos_is_asked_for_the_kind() -> None:
    assert BOARDS["macos"].reading("image/png") == ("-e", "the clipboard as «class PNGf»")
    assert BOARDS["macos"].reading("image/bmp") == ("-e", "the clipboard as «class BMP »")
    assert "«class JPEG»" in BOARDS["macos"].writing("image/jpeg")[1]


def test_windows_tells_what_is_there() -> None:
    assert picture_kinds(windows_kinds(_WINDOWS)) == ["image/png", "image/bmp"]
    assert picture_kinds(windows_kinds("UnicodeText\r\nText\r\n")) == []


def test_windows_gives_content_in_base64() -> None:
    wrapped = b"\r\n".join(base64.b64encode(bytes(range(256)))[at : at + 76] for at in range(0, 344, 76)) + b"\r\n"
    assert base64_content(wrapped) == bytes(range(256))
    with pytest.raises(errors.CorruptMedia):
        base64_content(b'Exception calling "Save"')


def test_wayland_lists_kinds() -> None:
    assert picture_kinds(BOARDS["wayland"].listed(_WAYLAND)) == ["image/png", "image/webp", "image/jpeg"]
    assert BOARDS["wayland"].reading("image/png") == ("--no-newline", "--type", "image/png")
    assert BOARDS["wayland"].writing("image/png") == ("--type", "image/png")
