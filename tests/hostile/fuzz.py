"""Changes small files at random and reads what comes of it; shared by the tests and by ``scripts/fuzz``."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import struct
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from pydicom.data import get_testdata_file

import bridge
from bridge.errors import BridgeError
from bridge.limits import Limits
from bridge.magick import warm
from bridge.media.fits import encode_fits
from tests.hostile.damage import SEEDS
from tests.hostile.forms import PICTURE, apng, gif, movie, page, pillow, png, text_chunk, tiff, webp_animation
from tests.hostile.watch import Hung, children, contents, deadline, orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.hostile.case import Place

__all__ = ["Finding", "fuzz", "read", "seeds"]

LEVELS = ("untrusted", "normal")
_SECONDS = 3.0  # that a program may take with one input
_HANG = 12.0  # after which nobody believes that it still ends
_LARGEST = 20_000  # bytes of a seed


# Of pydicom: run-length coded frames, types left out, a JPEG and a JPEG-LS inside.
_MEDICAL = ("SC_rgb_rle_2frame.dcm", "rtdose_1frame.dcm", "SC_rgb_small_odd_jpeg.dcm", "JPEGLSNearLossless_08.dcm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An input that broke a promise."""

    name: str
    level: str
    data: bytes
    fault: str


def seeds(place: Place) -> dict[str, bytes]:
    """Give small sound files of each kind, by their names."""
    made = {name: make(place) for name, make in SEEDS.items()}
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, PICTURE)
    np.savez_compressed(archive, PICTURE)
    made |= {
        "text.png": png(PICTURE, text_chunk("Title", b"a title")),
        "gray.png": pillow(PICTURE[..., 0], "PNG"),
        "a.apng": apng(3),
        "small.gif": gif(5, 4, 3),
        "small.webp": webp_animation(3),
        "plain.tif": tiff([page()] * 2, bytes(108)),
        "packed.tif": pillow(PICTURE, "TIFF", compression="tiff_adobe_deflate"),
        "film.mov": movie([png()] * 3),
        "a.npy": array.getvalue(),
        "a.npz": archive.getvalue(),
        "a.ppm": b"P6 12 9 255\n" + PICTURE.tobytes(),
        "a.ico": pillow(np.zeros((16, 16, 3), np.uint8), "ICO"),
        "a.tga": pillow(PICTURE, "TGA"),
        "a.fits": b"".join(encode_fits(PICTURE, first=True)),
        **{name: Path(str(get_testdata_file(name, download=False))).read_bytes() for name in _MEDICAL},
    }
    return {name: data for name, data in made.items() if len(data) <= _LARGEST}


# Changes


def _flip(data: bytearray, chance: random.Random, _other: bytes) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _flip_head(data: bytearray, chance: random.Random, _other: bytes) -> None:
    for _ in range(chance.choice((1, 2, 4))):
        data[chance.randrange(min(len(data), 128))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


_ODD_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 65536)


def _number(data: bytearray, chance: random.Random, _: bytes) -> None:
    form = chance.choice((">H", "<H", ">I", "<I"))
    at = chance.randrange(max(1, len(data) - 4))
    number = chance.choice(_ODD_NUMBERS) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
    data[at : at + struct.calcsize(form)] = struct.pack(form, number)


def _cut(data: bytearray, chance: random.Random, _: bytes) -> None:
    del data[chance.randrange(1, len(data) + 1) :]


def _drop(data: bytearray, chance: random.Random, _: bytes) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randrange(1, 64)]


def _repeat(data: bytearray, chance: random.Random, _: bytes) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.randrange(1, 256)] * chance.choice((1, 2, 30))


def _splice(data: bytearray, chance: random.Random, other: bytes) -> None:
    data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]


def _insert(data: bytearray, chance: random.Random, _: bytes) -> None:
    at = chance.randrange(len(data))
    data[at:at] = chance.randbytes(chance.randrange(1, 32))


_CHANGES: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    _flip, _flip, _flip_head, _flip_head, _number, _number, _cut, _drop, _repeat, _splice, _insert,
)  # fmt: skip


def _changed(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if changed:
            chance.choice(_CHANGES)(changed, chance, chance.choice(others))
    return bytes(changed)


# Reading


def _calls(path: Path, limits: Limits, chance: random.Random) -> Any:
    """Make one of the calls that users make."""
    way = chance.randrange(5)
    if way == 0:
        return bridge.imread(path.read_bytes(), limits=limits)
    if way == 1:
        return bridge.mimread(path, limits=limits)
    if way == 2:
        return bridge.probe(path, limits=limits)
    if way == 3:
        with bridge.get_reader(path, limits=limits) as reader:
            return reader.get_data(chance.randrange(3))
    return bridge.imread(path, limits=limits)


def read(path: Path, level: str, chance: random.Random) -> str:
    """Read a file; tell what is wrong with how that went, empty if nothing."""
    limits = Limits(trust=level, still=_SECONDS, first_frame=_SECONDS, stall=_SECONDS, images_memory=64_000_000)
    before, files = children(), {*contents(path.parent, Path(tempfile.gettempdir()))}
    fault = ""
    way = {warm.SETTING: "always" if level == "normal" and chance.randrange(2) else "none"}
    begun = time.monotonic()
    with patch.dict(os.environ, way), warnings.catch_warnings(), deadline(_HANG):
        warnings.simplefilter("ignore")
        try:
            _calls(path, limits, chance)
        except BridgeError as error:
            if any(not (c.isprintable() or c == "\n") for c in str(error)):
                fault = f"the message holds control characters: {error!r}"
        except KeyboardInterrupt:
            raise
        except Hung as error:
            fault = f"hung: {error}"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is foreign
            fault = f"a foreign exception: {error!r}"
    left = _left(before, files, path)
    slow = "" if time.monotonic() - begun < _HANG else "slow"
    return fault or left or slow


def _left(before: set[int], files: set[str], path: Path) -> str:
    warm.close()  # it lasts, and nothing else may
    until = time.monotonic() + 2
    while True:
        now = {*contents(path.parent, Path(tempfile.gettempdir()))} ^ files
        processes = children() - before
        if not (now or processes) or time.monotonic() > until:
            break
        time.sleep(0.02)
    return f"left behind: {sorted(now)} {sorted(processes)}" if now or processes else ""


@contextlib.contextmanager
def _no_signal() -> Iterator[list[int]]:
    """Note signals that come to us and are nobody's."""
    came: list[int] = []
    numbers = (signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXFSZ, signal.SIGXCPU)
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fuzz(place: Place, seconds: float, seed: int, most: int = 20) -> tuple[int, list[Finding]]:
    """Change and read for that time; give how many were read, and what broke a promise.

    Every input is made of the seed and its number alone, so that it can be made again.
    """
    sound = seeds(place)
    names = sorted(sound)
    findings: list[Finding] = []
    alive = orphans()
    until, number = time.monotonic() + seconds, 0
    with _no_signal() as came:
        while time.monotonic() < until and len(findings) < most:
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - changes, not secrets
            name, level = chance.choice(names), LEVELS[number % 2]
            data = _changed(sound[name], [*sound.values()], chance)
            path = place.write(name, data or b"\0")
            fault = read(path, level, chance)
            fault = fault or (f"signals {came}" if came else "")
            came.clear()
            if fault:
                findings.append(Finding(name=f"{seed}-{number}-{name}", level=level, data=data, fault=fault))
            number += 1
    if left := orphans() - alive:
        findings.append(Finding(name="all", level="", data=b"", fault=f"processes left: {left}"))
    return number, findings
