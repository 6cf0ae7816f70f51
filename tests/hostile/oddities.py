"""Inputs 91 to 104: files that are nearly right, two at once, or say odd things."""

from __future__ import annotations

import functools
import io
import math
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

import bridge
from tests.hostile.case import REFUSE, Case, Place, decode, either, frames, mimread, same, shape, whatever
from tests.hostile.damage import MPEG4, SEEDS, no_more_frames
from tests.hostile.forms import PICTURE, chunk, movie, page, pillow, png, text_chunk, tiff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bridge.limits import Limits

__all__ = ["CASES"]


def _bad_checksum() -> bytes:
    data = bytearray(png())
    data[data.index(b"IDAT") - 8 + 30] ^= 0x55
    return bytes(data)


def _silent_flip(place: Place) -> Path:
    data = bytearray(SEEDS["x.webm"](place))
    data[len(data) * 7 // 10] ^= 0xFF
    return place.write("x.webm", bytes(data))


_JPEG = pillow(PICTURE, "JPEG", quality=95)
_GIF_PICTURE = np.repeat(np.repeat(np.array([[[10, 20, 30], [90, 80, 70]]], np.uint8), 8, 0), 4, 1)


def _archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("evil.png", png(np.zeros((3, 3, 3), np.uint8)))
    return made.getvalue()


def _as_pillow(data: bytes) -> np.ndarray[Any, Any]:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _like_the_sound_one(got: Any) -> bool:
    """Accept what the JPEG without anything odd gives: to the value as bridge reads it, nearly as Pillow does."""
    if np.array_equal(got, bridge.imread(_JPEG)):
        return True
    picture = _as_pillow(_JPEG)
    return np.shape(got) == picture.shape and bool(np.abs(np.asarray(got).astype(int) - picture).max() <= 3)


def _sizes(place: Place) -> Path:
    small = np.ascontiguousarray(PICTURE[:4, :6])
    return place.write("x.mov", movie([png(), png(small), png()]))


def _kinds(place: Place) -> Path:
    return place.write(
        "x.mov", movie([pillow(picture, "JPEG") for picture in (PICTURE, PICTURE[..., 0], PICTURE)], codec=b"jpeg")
    )


def _own_sizes(result: Any) -> bool:
    """Expect each frame as it is, or all in the size of the first; nothing in between."""
    stable = len({np.shape(frame) for frame in result}) == 1
    own = [PICTURE, PICTURE[:4, :6], PICTURE]
    return stable or (len(result) == 3 and all(map(np.array_equal, map(np.asarray, result), own)))


def _alike(result: Any) -> bool:
    return len({(np.shape(frame), frame.dtype) for frame in result}) == 1 and len(result) <= 3


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item) if key != "nframes" else ()  # inf there is imageio's word for unknown
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, float):
        yield value


def _read_with_facts(uri: Any, limits: Limits) -> Any:
    with bridge.get_reader(uri, limits=limits) as reader:
        facts = [reader.get_meta_data()]
        facts += [frame.meta for frame in reader]
    return facts


def _finite(result: Any) -> bool:
    """Expect the facts of the film and of at most five frames, without a number that is none."""
    wrong = [number for number in _numbers(result) if not math.isfinite(number)]
    if wrong:
        raise AssertionError(f"{wrong} among {result}")
    return 2 <= len(result) <= 6


_ODD_TEXT = b"title\x1b]0;pwned\x07\x1b[31m\r\n\x00end" + b"\xff\xfe\x80"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str | bytes):
        yield value if isinstance(value, str) else value.decode("latin-1")


def _plain_texts(result: Any) -> bool:
    """Expect texts that cannot drive a terminal and are not megabytes."""
    texts = list(_texts(result.meta))
    wrong = [text[:60] for text in texts if any((ord(c) < 32 and c not in "\n\r\t") or c == "\x7f" for c in text)]
    if wrong or sum(map(len, texts)) > 1 << 20:
        raise AssertionError(f"unescaped: {wrong}; {sum(map(len, texts))} characters")
    return same()(result)


def _titled_film(place: Place) -> Path:
    options = ("-metadata", "title=\x1b]0;pwned\x07\x1b[31m\nmore", *MPEG4)
    return place.write("x.mkv", place.world.film("titled.mkv", "testsrc2=s=64x48:d=1:r=10", *options).read_bytes())


def _plain_film(result: Any) -> bool:
    texts = [text for text in _texts(result.meta) if any(ord(c) < 32 and c not in "\n\r\t" for c in text)]
    if texts:
        raise AssertionError(f"unescaped: {texts}")
    return shape(48, 64, 3)(result)


def _oriented(value: int) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = value
    return pillow(PICTURE, "JPEG", quality=95, exif=exif.tobytes())


def _both(expect: Any) -> dict[str, Any]:
    return {"expect": expect, "trusted": expect}


def _row(number: int, name: str, file_name: str, make: Callable[[], bytes], expect: Any, **options: Any) -> Case:
    return Case(number, name, lambda place: place.write(file_name, make()), expect, trusted=expect, **options)


_TIMES: tuple[tuple[int, str, dict[str, Any]], ...] = (
    (101, "zero-durations", {"delta": 0}),
    (101, "negative-times", {"shift": -400}),
    (102, "million-fps", {"scale": 1_000_000}),
    (102, "slowest", {"scale": 1, "delta": 100_000_000}),
    (102, "fastest", {"scale": 0xFFFFFFFF}),
)


def _details() -> Iterator[Case]:
    close = _like_the_sound_one
    yield _row(91, "jpeg-no-eoi", "x.jpg", lambda: _JPEG[:-2], either(close))
    yield _row(92, "png-bad-crc", "x.png", _bad_checksum, REFUSE)
    yield _row(92, "png-bad-header-crc", "x.png", lambda: png()[:29] + b"\0\0\0\0" + png()[33:], either(same()))
    yield _row(93, "gif-no-trailer", "x.gif", lambda: pillow(_GIF_PICTURE, "GIF")[:-1], either(same(_GIF_PICTURE)))
    yield Case(
        94,
        "webm-silent-flip",
        _silent_flip,
        either(no_more_frames(20)),
        trusted=either(no_more_frames(20)),
        read=mimread,
    )
    glued = png() + png(np.zeros((5, 5, 3), np.uint8))
    yield _row(95, "two-pngs-glued", "x.png", lambda: glued, decode(same()))
    yield _row(95, "two-pngs-glued-all", "x.png", lambda: glued, decode(frames(1, PICTURE)), read=mimread)
    yield _row(96, "jpeg-zip", "x.jpg", lambda: _JPEG + _archive(), decode(close))
    yield _row(96, "jpeg-zip-as-zip", "x.zip", lambda: _JPEG + _archive(), decode(close))
    script = b"<script>alert(1)</script><?php echo 1; ?>"
    yield _row(97, "gif-script", "x.gif", lambda: pillow(_GIF_PICTURE, "GIF") + script, decode(same(_GIF_PICTURE)))
    yield _row(
        97,
        "gif-script-all",
        "x.php",
        lambda: pillow(_GIF_PICTURE, "GIF") + script,
        decode(frames(1, _GIF_PICTURE)),
        read=mimread,
    )
    yield _row(98, "png-mp4", "x.png", lambda: png() + movie([png(PICTURE[:5])] * 3), decode(same()))
    yield _row(98, "png-mp4-as-mp4", "x.mp4", lambda: png() + movie([png(PICTURE[:5])] * 3), decode(same()))
    yield Case(99, "size-change-midstream", _sizes, either(_own_sizes), trusted=either(_own_sizes), read=mimread)
    yield Case(100, "pixel-format-change", _kinds, either(_alike), trusted=either(_alike), read=mimread)
    for number, name, options in _TIMES:
        yield _row(
            number,
            name,
            "x.mov",
            functools.partial(movie, [png()] * 5, **options),
            either(_finite),
            read=_read_with_facts,
        )
    yield _row(
        103, "text-with-escapes", "x.png", lambda: png(PICTURE, text_chunk("Title", _ODD_TEXT)), either(_plain_texts)
    )
    yield _row(
        103,
        "text-of-a-mebibyte",
        "x.png",
        lambda: png(PICTURE, text_chunk("Title", b"a" * (2 << 20))),
        either(_plain_texts),
    )
    yield _row(
        103,
        "texts-without-number",
        "x.png",
        lambda: png(PICTURE, *[text_chunk(f"k{n}", b"v" * 400) for n in range(9000)]),
        either(_plain_texts),
    )
    yield Case(103, "film-with-escapes", _titled_film, either(_plain_film), trusted=either(_plain_film))
    yield Case(
        103,
        "escapes-in-the-name",
        lambda place: place.write("\x1b[31m\n\u202e.png", b"no picture"),
        REFUSE,
        trusted=REFUSE,
    )
    for value in (0, 9, 65535):
        yield _row(104, f"exif-orientation-{value}", "x.jpg", functools.partial(_oriented, value), either(close))
    yield _row(104, "png-empty-icc", "x.png", lambda: png(PICTURE, chunk(b"iCCP", b"x\0\0")), either(same()))
    yield _row(
        104,
        "png-icc-of-nothing",
        "x.png",
        lambda: png(PICTURE, chunk(b"iCCP", b"x\0\0\x78\xda\x03\0\0\0\0\1")),
        either(same()),
    )
    yield _row(
        104,
        "jpeg-empty-icc",
        "x.jpg",
        lambda: _JPEG[:2] + b"\xff\xe2\0\x10ICC_PROFILE\0\1\1" + _JPEG[2:],
        either(close),
    )
    yield _row(
        104,
        "tiff-wrong-samples",
        "x.tif",
        lambda: tiff([[(277, 4, 1, 5) if tag[0] == 277 else tag for tag in page()]], bytes(108)),
        either(whatever),
    )
    yield _row(104, "png-colour-type-5", "x.png", lambda: png()[:25] + b"\5" + png()[26:], REFUSE)
    yield _row(
        104,
        "jpeg-seven-components",
        "x.jpg",
        lambda: _JPEG.replace(b"\x08\0\x09\0\x0c\x03", b"\x08\0\x09\0\x0c\x07"),
        REFUSE,
    )


CASES = (*_details(),)
