"""Inputs 41 to 53: files whose names mean something else to a program or a shell."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import bridge
from bridge.errors import UriError
from tests.hostile.case import CANARY_PNG, Case, decode, refuse, same
from tests.hostile.forms import PICTURE, png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.limits import Limits
    from tests.hostile.case import Place

__all__ = ["CASES"]

_NEIGHBOURS = ("img03.png", "img3.png", "img0.png", "l.png", "a.png", "sel.png", "q1.png", "1", "2", "y.png", "x.png")

_NAMES: dict[int, tuple[str, ...]] = {
    41: ("-version", "-y", "-i", "-", "--", "-version.png"),
    42: ("img%02d.png", "img%d.png", "%s%n.png", "img%00000000009d.png"),
    43: ("x:y.png", "http:x.png", "concat:a", "xc:red", "msl:x", "data:,x", "png:a.png", "file:x.png", "pipe:0",
         "fd:3", "text:x", "subfile,,start,0,end,0,,:x", "lavfi:testsrc", "label:x", "ephemeral:x", "inline:x"),
    44: ("sel[0].png", "a.png[50x50]", "a.png[0]", "a[1-3].png"),
    45: ("*.png", "q?.png", "{1,2}", "[a-z].png", "**"),
    46: ("@l.png", "@", "a@b.png"),
    47: ("|x.png", "|touch pwned", "x.png|"),
    48: ("line\nbreak.png", "quo'te.png", 'quo"te.png', "back`touch pwned`tick.png", "$(touch pwned).png", "$HOME.png",
         "a;touch pwned;.png", "a&&b.png", "a\\b.png", "a\tb.png", "\x1b[31mred.png", "a > pwned.png"),
    49: (os.fsdecode(b"\xff\xfe\x80.png"), "u\u0308mlaut.png", "\u202egnp.x", "\U0001f4a3.png", "\u0085.png"),
    50: ("a" * 251 + ".png", " leading.png", "~", "~root", "~.png", "trailing.", "trailing ", "...", "con.png", "%"),
    53: ("<video0>", "<screen>", "<clipboard>", "<bytes>"),
}  # fmt: skip
_RELATIVE = {41, 42, 43, 44, 45, 46, 47}  # where a name without a folder is what the user gives


def _files(name: str, *, relative: bool, front: str = "") -> Callable[[Place], Any]:
    def make(place: Place) -> Any:
        for other in _NEIGHBOURS:
            if other != name:
                place.write(other, CANARY_PNG)
        place.write(name, png())
        return front + name if relative else place.folder / name

    return make


def _reads() -> Iterator[Case]:
    for number, names in _NAMES.items():
        for name in names:
            levels = ("normal", "untrusted") if name != names[0] else ("trusted", "normal", "untrusted")
            yield Case(number, ascii(name)[1:-1][:40], _files(name, relative=number in _RELATIVE),
                       decode(same()), trusted=decode(same()), levels=levels)  # fmt: skip
    # A home and what looks like a device are themselves with their folder in front.
    for number, name in ((50, "./~"), (50, "./~root"), *((53, f"./{name}") for name in _NAMES[53])):
        make = _files(name[2:], relative=True, front="./")
        yield Case(number, f"dotted-{name[2:]}", make, decode(same()),
                   trusted=decode(same()), levels=("normal",))  # fmt: skip


def _write(uri: Path, limits: Limits) -> Any:
    """Write to that name, give what another program reads there; nothing else may have come up."""
    bridge.imwrite(uri, PICTURE, ".png", limits=limits)
    assert os.listdir(uri.parent) == [uri.name]  # noqa: PTH208 - names as they are
    data = uri.read_bytes()
    uri.unlink()
    return np.asarray(Image.open(io.BytesIO(data)))


def _write_without_a_folder(uri: str, limits: Limits) -> Any:
    bridge.imwrite(uri, PICTURE, ".png", limits=limits)
    found = os.listdir()  # noqa: PTH208 - names as they are
    assert found == [uri], found
    data = Path(uri).read_bytes()
    Path(uri).unlink()
    return np.asarray(Image.open(io.BytesIO(data)))


def _target(name: str, *, relative: bool) -> Callable[[Place], Any]:
    return lambda place: name if relative else place.folder / name


def _writes() -> Iterator[Case]:
    for number, names in _NAMES.items():
        for place_in_row, name in enumerate(names):
            relative = number in _RELATIVE
            yield Case(
                51,
                f"writing-{ascii(name)[1:-1][:40]}",
                _target(name, relative=relative),
                decode(same()),
                trusted=decode(same()),
                read=_write_without_a_folder if relative else _write,
                levels=("trusted", "normal", "untrusted") if not place_in_row else ("normal",),
            )


def _write_nothing(uri: Any, limits: Limits) -> Any:
    return bridge.imwrite(uri, PICTURE, ".png", limits=limits)


_NUL = refuse(UriError)
_FILM_NAMES = ("100%d.mkv", "http:x.mkv", "pipe:1")


def _write_film(uri: str, limits: Limits) -> Any:
    bridge.mimwrite(uri, [np.repeat(np.repeat(PICTURE[:8], 4, 0), 4, 1)] * 2, ".mkv", limits=limits)
    found = os.listdir()  # noqa: PTH208 - names as they are
    assert found == [uri], found
    frames = bridge.mimread(Path(uri))
    Path(uri).unlink()
    return len(frames)


def _two(result: Any) -> bool:
    return bool(result == 2)


CASES = (
    *_reads(),
    *_writes(),
    *(Case(51, f"film-{name}", _target(name, relative=True), decode(_two), trusted=decode(_two), read=_write_film,
           levels=("normal",)) for name in _FILM_NAMES),
    Case(52, "nul-in-name", lambda place: f"{place.folder}/a\0b.png", _NUL, trusted=_NUL),
    Case(52, "nul-in-path", lambda place: place.folder / "a\0.png", _NUL, trusted=_NUL),
    Case(52, "nul-in-address", lambda place: f"file://{place.folder}/a%00b.png", _NUL, trusted=_NUL),
    Case(52, "nul-in-output", lambda place: place.folder / "a\0.png", _NUL, trusted=_NUL, read=_write_nothing),
)  # fmt: skip
