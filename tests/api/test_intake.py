"""Content that says of itself that it is too much is refused from its header: no program is started for it."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import bridge
from bridge import errors
from bridge.process import launch as launching

if TYPE_CHECKING:
    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg", "magick")]

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, extra: bytes = b"", raw: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(raw))
    return SIGNATURE + chunk(b"IHDR", head) + extra + pixels + chunk(b"IEND", b"")


def picture(extra: bytes = b"") -> bytes:
    return png(4, 4, extra=extra, raw=b"".join(b"\0" + bytes([row] * 12) for row in range(4)))


def gif(width: int, height: int, frames: int, *, side: int = 1) -> bytes:
    image = b"," + struct.pack("<4H", 0, 0, side, side) + b"\0\2\2D\1\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff" + image * frames + b";"


def tiff(pages: int = 1, *, side: int = 4, loop: bool = False, samples: int = 1, more: tuple[Any, ...] = ()) -> bytes:
    made = bytearray(b"II*\0\x08\0\0\0")
    for page in range(pages):
        rows = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 0)]
        rows += [(277, 3, 1, samples), (278, 4, 1, side), (279, 4, 1, side * side), *more]
        end = len(made) + 2 + 12 * len(rows) + 4
        following = 8 if loop else end if page < pages - 1 else 0
        made += struct.pack("<H", len(rows)) + b"".join(struct.pack("<HHII", *row) for row in sorted(rows))
        made += struct.pack("<I", following)
    return bytes(made)


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def mp4(side: int = 64, *, samples: int = 0, same: int = 0, rows: int = 1) -> bytes:
    entry = box(b"avc1", bytes(24) + struct.pack(">HH", side, side) + bytes(50))
    tables = box(b"stsd", struct.pack(">II", 0, 1) + entry)
    tables += box(b"stsz", struct.pack(">III", 0, same, samples)) + box(b"stts", struct.pack(">IIII", 0, rows, 1, 1))
    media = box(b"hdlr", bytes(8) + b"vide" + bytes(12)) + box(b"minf", box(b"stbl", tables))
    return box(b"ftyp", b"isom" + bytes(8)) + box(b"moov", box(b"trak", box(b"mdia", media))) + box(b"mdat", bytes(99))


def icon(side: int) -> bytes:
    entry = struct.pack("<4B2H2I", 0, 0, 0, 0, 1, 32, 40, 22)
    return b"\0\0\1\0\1\0" + entry + struct.pack("<IiiHH", 40, side, 2 * side, 1, 32) + bytes(24)


def matroska(side: int) -> bytes:
    video = b"\xe0\x88\xb0\x82" + struct.pack(">H", side) + b"\xba\x82" + struct.pack(">H", side)
    track = b"\xae" + bytes([0x80 | len(video)]) + video
    tracks = b"\x16\x54\xae\x6b" + bytes([0x80 | len(track)]) + track
    return b"\x1aE\xdf\xa3\x80\x18S\x80g" + bytes([0x80 | len(tracks)]) + tracks


def avi(side: int) -> bytes:
    head = box_le(b"strh", b"vids" + bytes(52)) + box_le(b"strf", struct.pack("<Iii", 40, side, side) + bytes(28))
    lists = box_le(b"LIST", b"hdrl" + box_le(b"LIST", b"strl" + head))
    return box_le(b"RIFF", b"AVI " + lists)


def box_le(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    launched = launching.launch

    def launch(argv: tuple[str, ...], **options: Any) -> Any:
        if options["stdin"] is not None or options["feed"]:  # else it is asked for its version
            pytest.fail(f"started {argv[0]} on the content")
        return launched(argv, **options)

    monkeypatch.setattr("bridge.process.child.launch", launch)


JPEG = b"\xff\xd8\xff\xc2\0\x11\x08" + struct.pack(">HH", 65500, 65500) + b"\3\1\x22\0\2\x11\1\3\x11\1"


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (png(16_000, 16_000), "pixels"),
        (png(30_000, 30_000, depth=1, colour=0), "pixels"),
        (png((1 << 31) - 1, (1 << 31) - 1), "pixels"),
        (png(20_000, 20_000, raw=bytes(20 * 60_001)), "pixels"),
        (png(100_000, 1), "side"),
        (gif(20_000, 20_000, 3), "pixels"),
        (gif(4, 4, 3, side=65_000), "pixels"),
        (tiff(side=40_000), "pixels"),
        (JPEG, "pixels"),
        (icon(60_000), "pixels"),
        (b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 300_000, 300_000, 8, 3), "pixels"),
        (b"P5 70000 70000 255\n", "pixels"),
        (b"qoif" + struct.pack(">IIBB", 70_000, 70_000, 3, 0), "pixels"),
        (mp4(16_384), "pixels"),
        (matroska(16_384), "pixels"),
        (avi(16_384), "pixels"),
    ],
)
def test_a_bomb_is_refused_from_its_header(data: bytes, limit: str) -> None:
    with pytest.raises(errors.LimitExceeded, match=rf"limit {limit}=\d+ allows; .*Limits\({limit}=\.\.\.\)"):
        bridge.imread(data)


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("data", [png(11_000, 11_000), gif(10_000, 10_000, 100), mp4(9000)])
def test_strangers_send_less(data: bytes) -> None:
    with pytest.raises(errors.LimitExceeded, match=r"pixels=50000000 .*trust='untrusted', pixels"):
        bridge.imread(data, trust="untrusted")


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("film", [mp4(samples=0xFFFFFFFF), mp4(samples=0xFFFFFFFF, same=1), mp4(rows=1 << 31)])
def test_tables_of_a_film_that_are_not_there(film: bytes) -> None:
    with pytest.raises(errors.CorruptMedia, match="table 'st"):
        bridge.imread(film)


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (tiff(loop=True), errors.CorruptMedia),
        (tiff(70_000), errors.LimitExceeded),
        (tiff(side=5000, samples=65_535), errors.LimitExceeded),
        (tiff(more=tuple((tag, 4, 1 << 30, 8) for tag in range(300, 4500))), errors.CorruptMedia),
    ],
)
def test_tiffs_that_have_no_end(data: bytes, error: type[Exception]) -> None:
    begin = time.monotonic()
    with pytest.raises(error):
        bridge.imread(data)
    assert time.monotonic() - begin < 4


def test_numbers_of_frames() -> None:
    data = gif(4, 4, 30)
    few = bridge.Limits(frames=20, frames_at_once=10)
    with pytest.raises(errors.LimitExceeded, match="frames_at_once=10"):
        bridge.mimread(data, limits=few)
    with bridge.get_reader(data, limits=few) as reader:
        with pytest.raises(errors.LimitExceeded, match="frames=20"):
            next(iter(reader))
        assert reader.get_data(19).shape[:2] == (4, 4)
        with pytest.raises(errors.LimitExceeded, match="frames=20"):
            reader.get_data(20)
    assert len(bridge.mimread(data, limits=bridge.Limits(frames=30, frames_at_once=30))) == 30


def test_frames_of_a_film_are_counted_as_they_come(lavfi: Clips) -> None:
    film = lavfi("long.mkv", "testsrc2=s=32x32:r=25:d=0.4", "-c:v", "ffv1")
    with bridge.get_reader(film, limits=bridge.Limits(frames=4)) as reader:
        came: list[tuple[int, ...]] = []
        with pytest.raises(errors.LimitExceeded, match="frames=4"):
            came.extend(frame.shape for frame in reader)
    with bridge.get_reader(film, limits=bridge.Limits(frames=10)) as reader:
        assert len([*reader]) == 10


@pytest.mark.usefixtures("no_child")
def test_the_file_of_a_still_picture_may_be_so_large() -> None:
    with pytest.raises(errors.LimitExceeded, match="still_content=100"):
        bridge.imread(
            picture(b"\0\0\0\0".join([chunk(b"tEXt", b"a\0" + bytes(99))])), limits=bridge.Limits(still_content=100)
        )


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 25))),
        chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(1 << 25))),
        chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(1 << 25))),
        chunk(b"tEXt", b"k\0" + b"a" * (3 << 20)),
    ],
)
def test_too_much_metadata_is_left_out_and_told(extra: bytes) -> None:
    image = bridge.imread(picture(extra))
    assert image[2, 0].tolist() == [2, 2, 2]
    assert "too large" in image.meta["FILE"]["changes"][0]
    assert not {"COMMENT", "ICC"} & image.meta.keys()


@pytest.mark.parametrize("behind", [png(9, 9), b"PK\3\4" + bytes(99), b"<script>", mp4()])
def test_what_comes_behind_a_picture_is_not_read(behind: bytes) -> None:
    assert [image.shape for image in bridge.mimread(picture() + behind)] == [(4, 4, 3)]


def test_a_wrong_number_of_colours() -> None:
    made = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(made, "jpeg")
    data = bytearray(made.getvalue())
    data[data.index(b"\xff\xc0") + 9] = 7
    with pytest.raises(errors.UnsupportedPixels, match="7 channels"):
        bridge.imread(bytes(data))
