"""The clipboard: the picture on it read as any picture is, and one put there for other programs to take."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from bridge.capture.boards import BOARDS, picture_kinds
from bridge.capture.display import no_display, variables, x11
from bridge.core.format import Format, Reader, Writer
from bridge.core.uri import Device
from bridge.errors import (
    BridgeError,
    DeviceMissing,
    LimitExceeded,
    MissingCodec,
    NoPicture,
    ToolFailed,
    ToolMissing,
    UnknownFormat,
    UnsupportedPixels,
)
from bridge.process.child import run, words
from bridge.process.lasting import leave
from bridge.process.tools import on_path

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from bridge.capture.boards import Board
    from bridge.core.format import Found
    from bridge.core.request import Request
    from bridge.limits import Limits
    from bridge.process.child import Exit

__all__ = ["ClipboardFormat", "ClipboardReader", "ClipboardWriter"]

_NAME = "<clipboard>"
_SEEN = 2.0  # seconds that a busy server may take to tell who owns the clipboard now
_SYSTEMS = {"darwin": "macos", "win32": "windows"}
_UNDECODED = (UnknownFormat, MissingCodec, ToolMissing)


def lacking() -> str:
    """Tell what this machine lacks for a clipboard; empty if it has one."""
    try:
        _program(board(), writing=False)
    except (DeviceMissing, ToolMissing) as error:
        return error.message.removeprefix(f"{_NAME}: ")
    return ""


def board() -> Board:
    """Choose the way to the clipboard of this session.

    Raises
    ------
    DeviceMissing
        If there is no display.
    """
    if sys.platform in _SYSTEMS:
        return BOARDS[_SYSTEMS[sys.platform]]
    wayland, display = os.environ.get("WAYLAND_DISPLAY"), x11()
    if not wayland and not display:
        raise no_display(_NAME)
    pasting = wayland and (not display or any(on_path(BOARDS["wayland"].reader)))
    return BOARDS["wayland" if pasting else "xclip"]


def _program(board: Board, *, writing: bool) -> str:
    name = board.writer if writing else board.reader
    found = next(on_path(name), None)
    if found is None:
        get = f"; get it by `apt-get install {board.package}`" if board.package else ""
        raise ToolMissing(f"{_NAME}: the program {name} is not on this machine{get}")
    return found


def kinds(limits: Limits) -> list[str]:
    """List what the clipboard offers; nothing if it is empty.

    Raises
    ------
    DeviceMissing, ToolMissing, ToolTimeout
    """
    used = board()
    argv = (_program(used, writing=False), *used.listing)
    said = run(argv, subject=_NAME, seconds=limits.still, variables=variables(), most=1 << 20)
    _check_display(argv, said.exit)
    return used.listed(said.stdout.decode("utf-8", "replace")) if said.exit.ok else []


def content(kind: str, limits: Limits) -> bytes:
    """Take what the clipboard has of a kind; a missing kind gives nothing, whatever the exit status is."""
    used = board()
    argv = (_program(used, writing=False), *used.reading(kind))
    try:
        said = run(argv, subject=_NAME, seconds=limits.still, variables=variables(), most=limits.content)
    except LimitExceeded as error:
        message = f"{_NAME}: its picture is larger than the limit content, which is {limits.content}"
        raise LimitExceeded(f"{message}; raise it with limits=bridge.Limits(content=...)") from error
    _check_display(argv, said.exit)
    return used.content(said.stdout)


def put(data: bytes, kind: str, limits: Limits) -> None:
    """Put a picture on the clipboard.

    Raises
    ------
    DeviceMissing, ToolMissing, ToolFailed, ToolTimeout
    """
    used = board()
    argv = (_program(used, writing=True), *used.writing(kind))
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        if used.stays:
            ended = leave(argv, subject=_NAME, stdin=file.fileno(), seconds=limits.still, variables=variables())
        else:
            ended = run(argv, subject=_NAME, stdin=file.fileno(), seconds=limits.still, variables=variables()).exit
    _check_display(argv, ended)
    if not ended.ok:
        said = words(ended.stderr)
        raise ToolFailed(f"{_NAME}: {argv[0]} ended with {ended}: {said}", command=argv, exit=ended, last_words=said)
    if used.late:
        _await(data, kind, limits)


def _await(data: bytes, kind: str, limits: Limits) -> None:
    """Wait until others see it. Whoever copies something else in the meantime has the clipboard."""
    deadline = time.monotonic() + _SEEN
    while content(kind, limits) != data and time.monotonic() < deadline:
        time.sleep(0.02)


def _check_display(argv: tuple[str, ...], ended: Exit) -> None:
    """Tell a display that cannot be reached."""
    said = words(ended.stderr)
    if not ended.ok and any(sign in said for sign in ("open display", "onnect to a Wayland", "o Wayland compositor")):
        message = f"{_NAME}: the display cannot be reached: {said}"
        raise DeviceMissing(message, command=argv, exit=ended, last_words=said)


class ClipboardReader(Reader):
    """Reads the picture on the clipboard, as it is when the reader is opened.

    Of what the program that put it there offers, PNG is taken first, then other formats that lose nothing, then JPEG
    and GIF. Keywords, and ``format=``, are those of the format that it comes in.
    """

    _format: ClipboardFormat
    _inner: Reader | None = None

    def _open(self, **kwargs: Any) -> None:
        offered = kinds(self.request.limits)
        refused: BridgeError | None = None
        for kind in picture_kinds(offered):
            data = content(kind, self.request.limits)
            if not data:
                continue
            try:
                self._inner, self._kind = self._format.opened(data, self.request, **kwargs), kind
            except _UNDECODED as error:
                refused = refused or error
                continue
            return
        raise refused or _no_picture(offered)

    @property
    def _picture(self) -> Reader:
        if self._inner is None:
            raise NoPicture(f"{_NAME} was not opened")
        return self._inner

    def _length(self) -> float:
        return self._picture.get_length()

    def _counted(self) -> int | None:
        return int(self._picture.get_length())

    def _expected(self) -> int | None:
        return self._picture.expected_bytes()

    def _data(self, index: int) -> Found | None:
        if index >= self._picture.get_length():
            return None
        image = self._picture.get_data(index)
        return image, image.meta

    def _meta(self, index: int | None) -> dict[str, Any]:
        found = self._picture.get_meta_data(index)
        return found if index is not None else found | {"FILE": found.get("FILE", {}) | {"clipboard": self._kind}}

    def _info(self) -> Any:
        return self._picture.info

    def _close(self) -> None:
        if self._inner is not None:
            self._inner.close()


def _no_picture(offered: list[str]) -> NoPicture:
    if not offered:
        return NoPicture(f"{_NAME} is empty: copy a picture first")
    shown = ", ".join(offered[:8]) + (", ..." if len(offered) > 8 else "")
    return NoPicture(f"{_NAME} holds no picture that can be read, but {shown}; copy a picture first")


class ClipboardWriter(Writer):
    """Puts one picture on the clipboard, as PNG.

    ``format="jpeg"``, or another one, puts it there in that format, for programs that want it. Keywords are those of
    that format. Where the program xclip or wl-copy does it, that goes on in the background until something else is
    copied or the session ends: the picture stays when Python has ended.
    """

    _format: ClipboardFormat

    def _open(self, **kwargs: Any) -> None:
        _program(board(), writing=True)
        self._kwargs = kwargs
        self._picture = b""

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        if self._picture:
            raise UnsupportedPixels(f"{_NAME} holds one picture")
        self._picture, self._kind = self._format.encoded(image, meta, self.request, **self._kwargs)

    def _set_meta(self, meta: dict[str, Any]) -> set[str]:
        self._groups |= meta
        return set(meta)

    def _tell(self, names: Any) -> None:
        """Leave it to the format of the picture."""

    def _finish(self) -> None:
        put(self._picture, self._kind, self.request.limits)


class ClipboardFormat(Format):
    """The clipboard: ``imread("<clipboard>")`` and ``imwrite("<clipboard>", im)``.

    By xclip on X11, wl-paste and wl-copy on Wayland, osascript on macOS, PowerShell on Windows.

    Parameters
    ----------
    opened : callable
        Opens a reader on the bytes of a picture.
    encoded : callable
        Gives the bytes of a picture and what clipboards call its format.
    """

    name = "CLIPBOARD"
    description = "the picture on the clipboard"
    modes = "iI"
    depths = "as the picture"
    alpha = True
    metadata = True
    single = True
    reader = ClipboardReader
    writer = ClipboardWriter

    def __init__(self, opened: Callable[..., Reader], encoded: Callable[..., tuple[bytes, str]]) -> None:
        self.opened = opened
        self.encoded = encoded

    @property
    def program(self) -> str:  # type: ignore[override]  # which one it is depends on the session
        """The program that does the work; called for tables only."""
        try:
            return board().reader
        except DeviceMissing:
            return ""

    def can_read(self, request: Request) -> bool:
        """Take the clipboard."""
        return request.resource == Device(name="clipboard")

    def can_write(self, request: Request) -> bool:
        """Take the clipboard."""
        return request.resource == Device(name="clipboard")

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this session lacks for it; empty if it works here."""
        del writing
        return lacking()
