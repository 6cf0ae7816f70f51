"""The clipboard, under an X server of our own and against xclip itself."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

import bridge
from bridge import errors

if TYPE_CHECKING:
    from tests.capture.conftest import Display

pytestmark = [pytest.mark.program, pytest.mark.needs("Xvfb", "xclip")]

_PICTURE = np.random.default_rng(7).integers(0, 256, (31, 45, 4), np.uint8)


def _xclip(*arguments: str, put: bytes | None = None) -> bytes:
    """Run xclip itself; what it says goes nowhere, as it stays, and is there when the server knows of it."""
    kept = subprocess.PIPE if put is None else subprocess.DEVNULL
    command = ["xclip", "-selection", "clipboard", *arguments]
    said = subprocess.run(command, input=put, stdout=kept, stderr=subprocess.DEVNULL, check=False).stdout or b""
    deadline = time.monotonic() + 5
    while put and arguments[0] == "-i" and _xclip("-o", *arguments[1:]) != put and time.monotonic() < deadline:
        time.sleep(0.02)
    return said


@pytest.fixture
def empty(display: Display) -> Display:
    """A clipboard that nobody owns any more: xclip has served its one request."""
    _xclip("-loops", "1", put=b"x")
    _xclip("-o")
    return display


@pytest.mark.needs("magick")
def test_what_others_copied_is_read(display: Display) -> None:
    del display
    content = bridge.imwrite("<bytes>", _PICTURE, "png")
    assert content
    _xclip("-i", "-t", "image/png", put=content)
    found = bridge.imread("<clipboard>")
    assert np.array_equal(found, _PICTURE)
    assert found.meta["FILE"]["clipboard"] == "image/png"
    with bridge.get_reader("<clipboard>") as reader:
        assert len(reader) == 1
        assert np.array_equal(reader[0], _PICTURE)


@pytest.mark.needs("magick")
def test_others_get_what_we_copy_byte_for_byte(display: Display) -> None:
    del display
    assert bridge.imwrite("<clipboard>", _PICTURE) is None
    assert _xclip("-o", "-t", "TARGETS").split() == [b"TARGETS", b"image/png"]
    assert _xclip("-o", "-t", "image/png") == bridge.imwrite("<bytes>", _PICTURE, "png")
    assert np.array_equal(bridge.imread("<clipboard>"), _PICTURE)


@pytest.mark.needs("magick")
def test_another_format_goes_there_under_its_own_name(display: Display) -> None:
    del display
    bridge.imwrite("<clipboard>", _PICTURE[..., :3], "jpeg", quality=80)
    assert _xclip("-o", "-t", "image/jpeg") == bridge.imwrite("<bytes>", _PICTURE[..., :3], "jpeg", quality=80)
    assert bridge.imread("<clipboard>").shape == (31, 45, 3)


@pytest.mark.parametrize("kind", ["image/tiff", "image/x-portable-pixmap"])
def test_other_kinds_of_pictures_are_read(kind: str, display: Display) -> None:
    del display
    gray = np.ascontiguousarray(_PICTURE[..., :3])
    content = bridge.imwrite("<bytes>", gray, "tiff") if kind == "image/tiff" else b"P6 45 31 255\n" + gray.tobytes()
    assert content
    _xclip("-i", "-t", kind, put=content)
    assert np.array_equal(bridge.imread("<clipboard>"), gray)


def test_text_is_no_picture(display: Display) -> None:
    del display
    _xclip("-i", put=b"hello")
    with pytest.raises(errors.NoPicture, match=r"holds no picture .*UTF8_STRING") as caught:
        bridge.imread("<clipboard>")
    assert isinstance(caught.value, LookupError)


def test_a_kind_without_content_is_none(display: Display) -> None:
    del display
    _xclip("-i", "-t", "image/png", put=b"")
    with pytest.raises(errors.NoPicture, match="holds no picture"):
        bridge.imread("<clipboard>")


def test_nothing_is_no_picture(empty: Display) -> None:
    del empty
    with pytest.raises(errors.NoPicture, match="is empty"):
        bridge.imread("<clipboard>")


def test_what_is_no_picture_though_it_says_so(display: Display) -> None:
    del display
    _xclip("-i", "-t", "image/png", put=b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(errors.BridgeError):
        bridge.imread("<clipboard>")


@pytest.mark.needs("magick")
def test_limits_are_those_of_pictures(display: Display) -> None:
    del display
    bridge.imwrite("<clipboard>", _PICTURE)
    with pytest.raises(errors.LimitExceeded, match="pixels"):
        bridge.imread("<clipboard>", limits=bridge.Limits(pixels=100))
    with pytest.raises(errors.LimitExceeded, match="content"):
        bridge.imread("<clipboard>", limits=bridge.Limits(content=100))


@pytest.mark.needs("magick")
def test_one_picture_only(display: Display) -> None:
    del display
    with pytest.raises(errors.UnsupportedPixels, match="holds one picture"):
        bridge.mimwrite("<clipboard>", [_PICTURE, _PICTURE])
    with pytest.raises(errors.UnsupportedPixels):
        bridge.imwrite("<clipboard>", np.zeros((2, 2, 7), np.uint8))


@pytest.mark.needs("magick")
def test_what_serves_the_clipboard_holds_nothing_of_ours(display: Display) -> None:
    """It outlives the call, and all our pipes end although it goes on; it ends when something else is copied."""
    script = "import bridge, numpy; bridge.imwrite('<clipboard>', numpy.zeros((4, 5, 3), numpy.uint8))"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()  # with pipes: the end of both has come
    (owner,) = _owners(display.name)
    held = {str(path.readlink()) for path in Path(f"/proc/{owner}/fd").iterdir() if path.name in "012"}
    assert not any(name.startswith("pipe:") for name in held)
    assert bridge.imread("<clipboard>").shape == (4, 5, 3)  # whoever put it there has ended
    _xclip("-i", put=b"something else")
    deadline = time.monotonic() + 10
    while owner in _owners(display.name):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _owners(display: str) -> set[int]:
    """Find the processes that serve this display's clipboard."""
    found = (process for process in psutil.process_iter(["name"]) if process.info["name"] == "xclip")
    serving = set()
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            serving |= {process.pid} if process.environ().get("DISPLAY") == display else set()
    return serving


@pytest.mark.parametrize(
    "call",
    [lambda: bridge.imread("<clipboard>"), lambda: bridge.imwrite("<clipboard>", _PICTURE)],
    ids=["read", "write"],
)
class TestWhatIsMissing:
    def test_no_display(self, call: object, no_display: None) -> None:
        del no_display
        with pytest.raises(errors.DeviceMissing, match="no display") as caught:
            call()  # type: ignore[operator]
        assert isinstance(caught.value, FileNotFoundError)

    @pytest.mark.needs("magick")
    def test_a_display_that_is_not_there(self, call: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        monkeypatch.setenv("DISPLAY", ":4095")
        with pytest.raises(errors.DeviceMissing, match=r"cannot be reached: .*4095"):
            call()  # type: ignore[operator]

    def test_no_program(self, call: object, display: Display, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        del display
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(errors.ToolMissing, match="xclip is not on this machine; get it by `apt-get install xclip`"):
            call()  # type: ignore[operator]


def test_devices_that_cannot_be_written() -> None:
    for uri in ("<screen>", "<video0>"):
        with pytest.raises(errors.UriError, match="cannot be written"):
            bridge.imwrite(uri, _PICTURE)
