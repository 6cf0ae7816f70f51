"""Inputs 85 to 90: files that are cut or changed."""

from __future__ import annotations

import io
import operator
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import bridge
from bridge.errors import BridgeError, MissingCodec, ToolMissing
from bridge.limits import TRUST
from tests.hostile.case import REFUSE, Case, Place, decode, either, mimread
from tests.hostile.forms import pillow, png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bridge.limits import Limits

__all__ = ["CASES", "MPEG4", "SEEDS", "compare", "cuts", "no_more_frames"]


# Sound files of each format, small; what a damaged one gives is compared with what the sound one gave


_NOISE = np.random.default_rng(5).integers(0, 200, (40, 48, 3), np.uint8)
_FRAMES = [np.random.default_rng(number).integers(0, 200, (24, 32, 3), np.uint8) for number in range(5)]


def _animated(format: str, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    first, *others = [Image.fromarray(frame) for frame in _FRAMES]
    first.save(file, format, save_all=True, append_images=others, duration=40, **options)
    return file.getvalue()


def _film(name: str, *options: str) -> Callable[[Place], bytes]:
    return lambda place: place.world.film(name, "testsrc2=s=64x48:d=2:r=10", "-threads", "1", *options).read_bytes()


def _made(make: Callable[[], bytes]) -> Callable[[Place], bytes]:
    return lambda _: make()


_X264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "5")
_VP9 = ("-pix_fmt", "yuv420p", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
MPEG4 = ("-pix_fmt", "yuv420p", "-c:v", "mpeg4")

SEEDS: dict[str, Callable[[Place], bytes]] = {
    "x.png": _made(lambda: png(_NOISE)),
    "x.jpg": _made(lambda: pillow(_NOISE, "JPEG")),
    "progressive.jpg": _made(lambda: pillow(_NOISE, "JPEG", progressive=True)),
    "x.gif": _made(lambda: _animated("GIF")),
    "x.webp": _made(lambda: pillow(_NOISE, "WEBP")),
    "animated.webp": _made(lambda: _animated("WEBP", lossless=True)),
    "x.bmp": _made(lambda: pillow(_NOISE, "BMP")),
    "x.tif": _made(lambda: pillow(_NOISE, "TIFF", compression="tiff_lzw")),
    "pages.tif": _made(lambda: _animated("TIFF")),
    "x.mp4": _film("seed-x264.mp4", *_X264),
    "fast.mp4": _film("seed-fast.mp4", *_X264, "-movflags", "+faststart"),
    "x.mkv": _film("seed-x264.mkv", *_X264),
    "x.webm": _film("seed-vp9.webm", *_VP9),
    "x.avi": _film("seed-mpeg4.avi", *MPEG4),
    "x.ts": _film("seed-x264.ts", *_X264),
}
_UNKNOWN_TO_STRANGERS = ("x.ts",)


@dataclass(frozen=True, slots=True)
class _Damaged:
    """A sound file, and copies of it that are not: the uri of such a case."""

    whole: Path
    parts: list[Path]


def _given(path: Path, limits: Limits) -> list[Any]:
    """Give all frames, up to the first error of ours, and that one at the end."""
    got: list[Any] = []
    try:
        with bridge.get_reader(path, limits=limits) as reader:
            got.extend(np.asarray(frame) for frame in reader)
    except BridgeError as error:
        got.append(error)
    return got


def compare(uri: _Damaged, limits: Limits) -> str:
    """Tell what was wrong with what damaged files gave: frames that the sound one does not have, or too many."""
    sound = _given(uri.whole, limits)
    if isinstance(sound[-1], MissingCodec | ToolMissing):  # not on this machine: then nor is a damaged one
        return ""
    assert all(isinstance(frame, np.ndarray) for frame in sound), sound[-1]
    wrong = []
    for part in uri.parts:
        got = _given(part, limits)
        whole = not (got and isinstance(got[-1], BridgeError))
        pictures = [frame for frame in got if isinstance(frame, np.ndarray)]
        if len(pictures) > len(sound):
            wrong.append(f"{part.name}: {len(pictures)} frames of {len(sound)}")
        elif whole and len(pictures) < len(sound):
            wrong.append(f"{part.name}: {len(pictures)} frames of {len(sound)}, and no error")
        elif differing := [n for n, frame in enumerate(pictures) if not np.array_equal(frame, sound[n])]:
            wrong.append(f"{part.name}: the frames {differing} are not those of the file")
    return "; ".join(wrong)


def cuts(name: str, percents: Callable[[random.Random], list[int]]) -> Callable[[Place], _Damaged]:
    """Make the maker of a file cut at these hundredths."""

    def make(place: Place) -> _Damaged:
        data = SEEDS[name](place)
        chance = random.Random(name)  # noqa: S311 - places, not secrets
        parts = [
            place.write(f"cut-at-{at:02d}-{name}", data[: max(1, len(data) * at // 100)]) for at in percents(chance)
        ]
        return _Damaged(place.write(name, data), parts)

    return make


def _some(chance: random.Random) -> list[int]:
    """Give one hundredth of each third of a file; ``scripts/report hostile --all`` tries them all."""
    return [chance.randrange(low, low + 33) for low in (1, 34, 67)]


def _nothing(result: Any) -> bool:
    if result:
        raise AssertionError(result)
    return True


def _cut_cases() -> Iterator[Case]:
    for place, name in enumerate(SEEDS):
        level = "normal" if place % 2 or name in _UNKNOWN_TO_STRANGERS else "untrusted"
        yield Case(85, f"cut-{name}", cuts(name, _some), decode(_nothing), read=compare, seconds=25, levels=(level,))
    yield Case(
        85, "cut-trusted-x.png", cuts("x.png", _some), trusted=decode(_nothing), read=compare, levels=("trusted",)
    )


def _changed(name: str, change: Callable[[bytes], bytes]) -> Callable[[Place], Path]:
    return lambda place: place.write(name, change(SEEDS[name](place)))


def _zero_tail(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10] + bytes(len(data) - len(data) * 6 // 10)


def _flipped(data: bytes) -> bytes:
    chance = random.Random(len(data))  # noqa: S311 - places, not secrets
    changed = bytearray(data)
    for _ in range(40):
        changed[chance.randrange(64, len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def no_more_frames(count: int) -> Callable[[Any], bool]:
    return lambda result: 1 <= len(result) <= count and len({frame.shape for frame in result}) == 1


def _changed_cases() -> Iterator[Case]:
    for place, name in enumerate(SEEDS):
        right = either(no_more_frames(20))
        levels = TRUST if name == "x.png" else ("untrusted",) if place % 2 else ("normal",)
        for number, change in ((86, _zero_tail), (87, _flipped)):
            yield Case(number, f"{change.__name__[1:].replace('_', '-')}-{name}", _changed(name, change), right,
                       trusted=right, read=mimread, levels=levels, seconds=12)  # fmt: skip
        for number, count in ((88, 0), (89, 1), (90, 16)):
            yield Case(number, f"first-{count}-{name}", _changed(name, operator.itemgetter(slice(count))), REFUSE,
                       trusted=REFUSE, levels=levels)  # fmt: skip


CASES = (*_cut_cases(), *_changed_cases())
