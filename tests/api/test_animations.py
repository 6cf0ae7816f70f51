"""Animations as a viewer shows them: partial frames, what becomes of them, how they blend, how long and how often."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageSequence

import bridge
from bridge import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

Image: TypeAlias = np.ndarray[Any, Any]

KEEP, BACKGROUND, PREVIOUS = 1, 2, 3
WIDTH, HEIGHT = 12, 10
DELAYS = (0.07, 0.12, 0.05, 0.09)
PLACES = ((0, 0, 12, 10), (4, 2, 6, 5), (6, 4, 6, 6), (0, 0, 4, 4))
BEGINS = {"full": (0, 0, 12, 10), "partial": (2, 2, 8, 6)}


@dataclass(frozen=True)
class Part:
    """One frame as it lies in the file."""

    place: tuple[int, int, int, int]
    pixels: Image
    disposal: int
    over: bool

    @property
    def corner(self) -> tuple[slice, slice]:
        left, top, width, height = self.place
        return slice(top, top + height), slice(left, left + width)


def noise(width: int, height: int, alphas: tuple[int, ...], seed: int) -> Image:
    """Make RGBA pixels of few colours."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (6, 3), np.uint8)[random.integers(0, 6, (height, width))]
    return np.dstack([pixels, random.choice(np.array(alphas, np.uint8), (height, width))])


def parts(
    begin: str, alphas: tuple[int, ...], disposals: tuple[int, int], overs: tuple[bool, bool] = (True, True)
) -> list[Part]:
    """Make four frames; the first is whole or partial, and the last, which has no alpha, lets nothing through."""
    rows = zip((BEGINS[begin], *PLACES[1:]), (*disposals, disposals[0], KEEP), (True, *overs, False), strict=True)
    return [
        Part(place, noise(*place[2:], (255,) if number == 3 else alphas, number), disposal, over)
        for number, (place, disposal, over) in enumerate(rows)
    ]


def shown(frames: list[Part]) -> list[Image]:
    """Compose frames by the textbook, in floating point."""
    canvas: Image = np.zeros((HEIGHT, WIDTH, 4))
    found = []
    for frame in frames:
        place = canvas[frame.corner]
        before, above = place.copy(), frame.pixels.astype(float)
        if frame.over:
            alpha, below = above[..., 3:] / 255, before[..., 3:] / 255
            both = alpha + below * (1 - alpha)
            colours = above[..., :3] * alpha + before[..., :3] * below * (1 - alpha)
            above = np.dstack([colours / np.where(both == 0, 1, both), both * 255])
        place[...] = above
        found.append(np.round(canvas).astype(np.uint8))
        if frame.disposal == BACKGROUND:
            place[...] = 0
        elif frame.disposal == PREVIOUS:
            place[...] = before
    return found


def by_pillow(path: Path) -> list[Image]:
    with Pillow.open(path) as picture:
        return [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(picture)]


def rgba(frame: Image) -> Image:
    frame = np.asarray(frame)
    if frame.ndim == 2 or frame.shape[2] < 3:
        colours, alpha = (frame, None) if frame.ndim == 2 else (frame[..., 0], frame[..., 1])
        frame = np.dstack([colours] * 3 if alpha is None else [*[colours] * 3, alpha])
    return frame if frame.shape[2] == 4 else np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])


def difference(left: Image, right: Image) -> int:
    """Give the largest difference; colours that nobody sees do not count."""
    seen = [np.where(image[..., 3:] == 0, 0, image).astype(int) for image in map(rgba, (left, right))]
    return int(np.abs(seen[0] - seen[1]).max())


def check(path: Path, expected: list[Image], format: str | None = None, within: int = 0) -> None:
    """Read a file in order and by index, with its times and its loop."""
    with bridge.get_reader(path, format) as reader:
        assert len(reader) == len(expected) == 4
        found = list(reader)
        assert [difference(*pair) for pair in zip(found, expected, strict=True)] == pytest.approx([0] * 4, abs=within)
        assert [frame.meta["duration"] for frame in found] == pytest.approx(DELAYS, abs=1e-6)
        assert np.array_equal(reader.get_data(1), found[1])


# Files made by hand


def lzw(indexes: Image) -> bytes:
    """Pack a GIF's pixels without packing them: the table is cleared before codes get longer."""
    codes = [code for at, index in enumerate(indexes.ravel()) for code in ([256] if at % 250 == 0 else []) + [index]]
    bits = sum(int(code) << 9 * at for at, code in enumerate([*codes, 257]))
    raw = bits.to_bytes(-(-9 * (len(codes) + 1) // 8), "little")
    return b"\x08" + b"".join(bytes([len(raw[at : at + 255])]) + raw[at : at + 255] for at in range(0, len(raw), 255))


def gif(frames: list[Part], loop: int = 3, *, shared: bool = False) -> bytes:
    """Write a GIF; colours that are seen through are index 255, and all frames may share one table."""
    found = b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, 0xF7 if shared else 0xF0, 0, 0)
    every = np.concatenate([[[255, 0, 0]], *(frame.pixels[..., :3].reshape(-1, 3) for frame in frames)])
    table = np.unique(every, axis=0).astype(np.uint8)[::-1]
    found += table.tobytes().ljust(768, b"\0") if shared else b"\xff\0\0\0\xff\0"
    found += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loop) + b"\0"
    for frame, delay in zip(frames, DELAYS, strict=True):
        colours, indexes = np.unique(frame.pixels[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
        if shared:
            indexes = (frame.pixels[..., None, :3] == table).all(axis=-1).argmax(axis=-1)
        holes = frame.pixels[..., 3] == 0
        indexes = np.where(holes.ravel(), 255, indexes.ravel())
        control = frame.disposal << 2 | int(holes.any())
        found += b"!\xf9\x04" + struct.pack("<BHB", control, round(100 * delay), 255) + b"\0"
        own = b"" if shared else colours.tobytes().ljust(768, b"\0")
        found += b"," + struct.pack("<4HB", *frame.place, 0x87 if own else 0) + own
        found += lzw(indexes) + b"\0"
    return found + b";"


def riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<L", len(content)) + content + b"\0" * (len(content) & 1)


def webp(frames: list[Part], loop: int = 3) -> bytes:
    """Write an animated WebP of pictures that Pillow encodes."""
    found = riff(
        b"VP8X", bytes([0x12, 0, 0, 0]) + (WIDTH - 1).to_bytes(3, "little") + (HEIGHT - 1).to_bytes(3, "little")
    )
    found += riff(b"ANIM", b"\xff\x10\x20\xff" + struct.pack("<H", loop))
    for frame, delay in zip(frames, DELAYS, strict=True):
        still = io.BytesIO()
        Pillow.fromarray(frame.pixels).save(still, "WEBP", lossless=True, exact=True)
        left, top, width, height = frame.place
        numbers = (left // 2, top // 2, width - 1, height - 1, round(1000 * delay))
        flags = bytes([(frame.disposal == BACKGROUND) | (not frame.over) << 1])
        head = b"".join(number.to_bytes(3, "little") for number in numbers)
        found += riff(b"ANMF", head + flags + still.getvalue()[12:])
    return b"RIFF" + struct.pack("<L", len(found) + 4) + b"WEBP" + found


def png(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def apng(frames: list[Part], loop: int = 3) -> bytes:
    """Write an APNG."""
    found = b"\x89PNG\r\n\x1a\n" + png(b"IHDR", struct.pack(">LLBBBBB", WIDTH, HEIGHT, 8, 6, 0, 0, 0))
    found += png(b"acTL", struct.pack(">LL", len(frames), loop))
    numbers = itertools.count()
    for at, (frame, delay) in enumerate(zip(frames, DELAYS, strict=True)):
        left, top, width, height = frame.place
        control = struct.pack(
            ">5L2H2B",
            next(numbers),
            width,
            height,
            left,
            top,
            round(1000 * delay),
            1000,
            frame.disposal - 1,
            frame.over,
        )
        rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in frame.pixels))
        found += png(b"fcTL", control)
        found += png(b"fdAT", struct.pack(">L", next(numbers)) + rows) if at else png(b"IDAT", rows)
    return found + png(b"IEND", b"")


# Reading


@pytest.mark.parametrize("format", [pytest.param("GIF", marks=pytest.mark.needs("magick")), "GIF-FFMPEG"])
@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("disposals", [*itertools.product((KEEP, BACKGROUND), (KEEP, BACKGROUND, PREVIOUS))])
def test_gif_is_composed_as_pillow_does(disposals: tuple[int, int], begin: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    frames = parts(begin, (0, 255), disposals)
    path.write_bytes(gif(frames))
    expected = by_pillow(path)
    assert all(difference(*pair) == 0 for pair in zip(expected, shown(frames), strict=True))
    check(path, expected, format)


@pytest.mark.parametrize("format", [pytest.param("GIF", marks=pytest.mark.needs("magick")), "GIF-FFMPEG"])
@pytest.mark.parametrize("alphas", [(255,), (0, 255)])
@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("disposals", [(BACKGROUND, BACKGROUND), (PREVIOUS, KEEP), (PREVIOUS, PREVIOUS), (0, 0)])
def test_gif_leaves_nothing_where_viewers_leave_nothing(
    disposals: tuple[int, int], begin: str, alphas: tuple[int, ...], format: str, tmp_path: Path
) -> None:
    """Pillow fills what is opaque with the file's background colour, which is red here; no viewer does."""
    path = tmp_path / "film.gif"
    frames = parts(begin, alphas, disposals)
    path.write_bytes(gif(frames))
    check(path, shown(frames), format)
    path.write_bytes(gif(frames, shared=True))
    check(path, shown(frames), format)


@pytest.mark.parametrize("shared", [True, False])
def test_gif_that_is_cut_is_told_whatever_its_colours(shared: bool, tmp_path: Path) -> None:
    frames = parts("partial", (255,), (BACKGROUND, BACKGROUND))
    whole = gif(frames, shared=shared)
    (tmp_path / "film.gif").write_bytes(whole[: whole.rindex(b"!\xf9") + 30])
    with bridge.get_reader(tmp_path / "film.gif", "GIF-FFMPEG") as reader:
        found = [reader.get_next_data() for _ in range(2)]
        assert max(difference(*pair) for pair in zip(found, shown(frames)[:2], strict=True)) == 0
        with pytest.raises(errors.TruncatedMedia):
            list(reader)


@pytest.mark.needs("magick")
@pytest.mark.parametrize("alphas", [(255,), (0, 255), (0, 128, 255)])
@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("disposals", [*itertools.product((KEEP, BACKGROUND), repeat=2)])
def test_webp_is_composed_as_pillow_does(
    disposals: tuple[int, int], begin: str, alphas: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "film.webp"
    for overs in ((True, False), (False, True)):
        path.write_bytes(webp(parts(begin, alphas, disposals, overs)))
        check(path, by_pillow(path))


@pytest.mark.parametrize("disposals", [*itertools.product((KEEP, BACKGROUND), repeat=2)])
def test_apng_is_composed_as_pillow_does(disposals: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "film.apng"
    for overs in ((True, False), (False, True)):
        path.write_bytes(apng(parts("full", (0, 255), disposals, overs)))
        check(path, by_pillow(path))


@pytest.mark.parametrize("disposals", [*itertools.product((KEEP, BACKGROUND, PREVIOUS), repeat=2)])
def test_apng_blends_what_is_half_transparent(disposals: tuple[int, int], tmp_path: Path) -> None:
    """Pillow mixes alpha as if it were a colour, and goes back too far where the frame before is to come back."""
    path = tmp_path / "film.apng"
    frames = parts("full", (0, 60, 128, 255), disposals)
    path.write_bytes(apng(frames))
    check(path, shown(frames), within=1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_apng_of_16_bits_stays_so(channels: int, tmp_path: Path) -> None:
    random = np.random.default_rng(channels)
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    frames = [random.integers(0, 1 << 16, shape, np.uint16) for _ in DELAYS]
    path = tmp_path / "film.apng"
    bridge.mimwrite(path, frames, fps=4)
    back = bridge.mimread(path)
    assert [frame.dtype for frame in back] == [np.uint16] * 4
    assert all(np.array_equal(*pair) for pair in zip(back, frames, strict=True))


@pytest.mark.needs("magick")
@pytest.mark.parametrize(("write", "group"), [(gif, "GIF"), (webp, "WEBP")])
def test_how_often_it_plays_is_in_the_metadata(write: Any, group: str, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(write(parts("full", (255,), (KEEP, KEEP)), loop=5))
    with bridge.get_reader(path) as reader:
        meta = reader.get_meta_data()
    assert meta[group]["loop"] == 5
    assert meta[group]["durations"] == pytest.approx(DELAYS)
    assert meta["FILE"]["nframes"] == 4


@pytest.mark.needs("magick")
@pytest.mark.parametrize("write", [gif, webp])
def test_an_opaque_animation_has_three_channels(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "film"
    for disposal, channels in ((KEEP, 3), (BACKGROUND, 4)):
        path.write_bytes(write(parts("full", (255,), (disposal, KEEP))))
        assert {frame.shape for frame in bridge.mimread(path)} == {(HEIGHT, WIDTH, channels)}


# Writing WebP


def moving(channels: int, count: int = 9) -> list[Image]:
    """Make frames of which every third is like the one before."""
    random = np.random.default_rng(channels)
    frame = random.integers(0, 256, (20, 30, channels), np.uint8)
    if channels == 4:
        frame[..., 3] = random.choice([0, 128, 255], (20, 30))
    found = []
    for number in range(count):
        if number % 3:
            frame = frame.copy()
            frame[number : number + 5, 3:9] = random.integers(0, 256, (5, 6, channels))
        if number == 5:
            frame[:] = 0
        found.append(frame)
    return found


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    ("keywords", "milliseconds"),
    [
        ({"fps": 24}, [42, 41, 42, 42, 41, 42, 42, 41, 42]),
        ({"duration": [0.04 + 0.007 * number for number in range(9)]}, [40 + 7 * number for number in range(9)]),
        ({"duration": 1.5, "loop": 2}, [1500] * 9),
    ],
)
def test_animated_webp_is_lossless_and_timed(
    keywords: dict[str, Any], milliseconds: list[int], channels: int, tmp_path: Path
) -> None:
    path = tmp_path / "film.webp"
    frames = moving(channels)
    with bridge.get_writer(path, lossless=True, **keywords) as writer:
        for frame in frames:
            writer.append_data(frame)
    assert len(writer.changes) == ("fps" in keywords) + (channels == 4)  # and the colours of what cannot be seen
    delays = []
    with Pillow.open(path) as picture:
        assert picture.n_frames == 9  # type: ignore[attr-defined] # animations have it
        assert picture.info["loop"] == keywords.get("loop", 0)
        for number, frame in enumerate(frames):
            picture.seek(number)
            assert difference(np.array(picture.convert("RGBA")), frame) == 0
            delays.append(picture.info["duration"])
    assert delays == milliseconds


@pytest.mark.needs("magick")
def test_animated_webp_comes_back() -> None:
    for channels in (3, 4):
        frames = moving(channels)
        content = bridge.mimwrite("<bytes>", frames, "webp", fps=10, lossless=True)
        back = bridge.mimread(content)
        assert [frame.shape for frame in back] == [frame.shape for frame in frames]
        assert max(difference(*pair) for pair in zip(back, frames, strict=True)) == 0


def test_one_picture_is_a_plain_webp(tmp_path: Path) -> None:
    frame = moving(3)[0]
    bridge.mimwrite(tmp_path / "a.webp", [frame], fps=10, quality=90)
    bridge.imwrite(tmp_path / "b.webp", frame)
    for name in ("a.webp", "b.webp"):
        assert (tmp_path / name).read_bytes()[12:16] == b"VP8 "


@pytest.mark.parametrize(
    "keywords", [{"quality": 0}, {"quality": 101}, {"fps": 2000}, {"duration": [0.1] * 4}, {"duration": 20_000}]
)
def test_webp_refuses_what_makes_no_sense(keywords: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"quality|per second|timestamps|at most"):
        bridge.mimwrite(tmp_path / "a.webp", moving(3, 3), **keywords)
    assert list(tmp_path.iterdir()) == []


# Animated AVIF


def sequence(path: Path, frames: list[Image], milliseconds: list[int]) -> None:
    pictures = [Pillow.fromarray(frame) for frame in frames]
    pictures[0].save(
        path, "AVIF", save_all=True, append_images=pictures[1:], duration=milliseconds, quality=100, subsampling="4:4:4"
    )


def test_avif_has_all_its_frames_and_their_times(tmp_path: Path) -> None:
    path = tmp_path / "film.avif"
    frames = [np.full((48, 64, 3), (40 * number, 250 - 40 * number, 100), np.uint8) for number in range(5)]
    sequence(path, frames, [100, 200, 100, 300, 50])
    with bridge.get_reader(path) as reader:
        assert reader.format.name == "AVIF-FFMPEG"
        assert len(reader) == 5
        found = list(reader)
        assert max(difference(*pair) for pair in zip(found, frames, strict=True)) <= 3
        assert difference(reader[3], frames[3]) <= 3
        assert reader.get_batch([4, 1]).meta["index"] == [4, 1]
        assert [frame.meta["duration"] for frame in found] == pytest.approx([0.1, 0.2, 0.1, 0.3, 0.05])
        assert reader.timestamps == pytest.approx([0, 0.1, 0.3, 0.4, 0.7])
    assert difference(bridge.imread(path), frames[0]) <= 3
    assert len(by_pillow(path)) == 5


def test_avif_tells_that_its_transparency_is_left_out(tmp_path: Path) -> None:
    frames = [np.full((32, 32, 4), (200, 40 * number, 10, 60 * number), np.uint8) for number in range(4)]
    sequence(tmp_path / "film.avif", frames, [100] * 4)
    with pytest.warns(UserWarning, match="transparency is left out"):
        film = bridge.get_reader(tmp_path / "film.avif")
    with film:
        found = list(film)
        assert film.get_meta_data()["changes"]
    assert [frame.shape for frame in found] == [(32, 32, 3)] * 4
    assert max(difference(found[k], frames[k][..., :3]) for k in range(1, 4)) <= 3


def test_avif_without_a_decoder_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence(tmp_path / "film.avif", moving(3, 2), [100] * 2)
    monkeypatch.setattr("bridge.ffmpeg.avif._DECODERS", ("libnothing",))
    with pytest.raises(errors.MissingCodec, match="none of the decoders libnothing"):
        bridge.imread(tmp_path / "film.avif")


# Writing GIF


def coloured(colours: int, alphas: tuple[int, ...] = (), *, palettes: int = 3) -> list[Image]:
    """Make frames of so many colours; they have their own, or share one palette."""
    random = np.random.default_rng(colours)
    own = [random.integers(0, 256, (colours, 3), np.uint8) for _ in range(palettes)]
    found = []
    for number in range(3):
        indexes = np.arange(1200).reshape(30, 40) % colours
        indexes[5 + number : 10 + number, 10:20] = random.integers(0, colours, (5, 10))
        frame = own[number % palettes][indexes]
        found.append(np.dstack([frame, random.choice(np.array(alphas, np.uint8), (30, 40))]) if alphas else frame)
    return found


def written(path: Path, frames: list[Image], **keywords: Any) -> tuple[int, list[str]]:
    """Write a GIF; give by how much it differs, and what is said of that."""
    with bridge.get_writer(path, **keywords) as writer:
        for frame in frames:
            writer.append_data(frame)
    found = by_pillow(path)
    assert len(found) == len(frames)
    return max(difference(*pair) for pair in zip(found, frames, strict=True)), writer.changes


@pytest.mark.parametrize(
    ("frames", "keywords"),
    [
        (coloured(256), {}),
        (coloured(16), {"palettesize": 16}),
        (coloured(16), {"palettesize": 16, "quantizer": "nq", "dither": "floyd_steinberg"}),
        (coloured(200, palettes=1), {"subrectangles": True}),
        (coloured(200, palettes=1), {"quantizer": "diff", "dither": "none"}),
        (coloured(255, (0, 255)), {}),
        (coloured(256, (255,)), {}),
        ([frame[..., 0] for frame in coloured(256)], {}),
        ([frame[:9, :5] for frame in coloured(256)], {"duration": [0.1, 0.2, 0.1]}),
        (coloured(200, (0, 255), palettes=1), {"subrectangles": True}),
    ],
)
def test_gif_keeps_the_colours_that_its_palette_holds(
    frames: list[Image], keywords: dict[str, Any], tmp_path: Path
) -> None:
    off, said = written(tmp_path / "film.gif", frames, **keywords)
    assert off == 0
    assert said == []


def test_gif_keeps_the_colours_of_some_frames_beside_others_that_have_too_many(tmp_path: Path) -> None:
    frames = [coloured(1000)[0], coloured(256)[1], coloured(800)[2], coloured(3)[0][:, :, ::-1].copy()]
    bridge.mimwrite(tmp_path / "film.gif", frames, fps=10)
    off = [difference(*pair) for pair in zip(by_pillow(tmp_path / "film.gif"), frames, strict=True)]
    assert (off[1], off[3]) == (0, 0)
    assert min(off[0], off[2]) > 0


def test_gif_that_is_padded_is_written_with_ffmpegs_own_palettes(tmp_path: Path) -> None:
    frames = [frame[:9, :5] for frame in coloured(200)]
    bridge.mimwrite(tmp_path / "film.gif", frames, pad=True)
    for made, frame in zip(by_pillow(tmp_path / "film.gif"), frames, strict=True):
        assert made.shape[:2] == (10, 6)
        assert difference(made[:9, :5], frame) <= 1  # FFmpeg since 6 rounds


@pytest.mark.parametrize(
    ("frames", "keywords", "words"),
    [
        (coloured(300), {}, "more than 256 colours"),
        (coloured(17), {"palettesize": 16}, "more than 16 colours"),
        (coloured(200), {"quantizer": "full"}, "more than 256 colours"),
        (coloured(20, (0, 100, 255)), {}, "half transparent"),
        (coloured(200), {"dither": "bayer"}, "bayer"),
    ],
)
def test_gif_says_what_it_loses(frames: list[Image], keywords: dict[str, Any], words: str, tmp_path: Path) -> None:
    off, said = written(tmp_path / "film.gif", frames, **keywords)
    assert off > 1
    assert len(said) == 1
    assert words in said[0]


def test_subrectangles_are_smaller(tmp_path: Path) -> None:
    frames = coloured(200, palettes=1)
    for name, wanted in (("all.gif", False), ("part.gif", True)):
        bridge.mimwrite(tmp_path / name, frames, subrectangles=wanted)
    assert (tmp_path / "part.gif").stat().st_size < (tmp_path / "all.gif").stat().st_size * 0.8


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"palettesize": 257}, "2 to 256"),
        ({"palettesize": 1}, "2 to 256"),
        ({"quantizer": "best"}, "'nq', 'wu'"),
        ({"dither": "fine"}, "'none', 'bayer'"),
        ({"quantizer": "single", "subrectangles": True}, "one palette"),
    ],
)
def test_gif_refuses_what_it_does_not_know(keywords: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        bridge.mimwrite(tmp_path / "film.gif", coloured(4), **keywords)


def test_animated_webp_carries_the_metadata_of_its_first_picture(tmp_path: Path) -> None:
    frames = [bridge.Array(noise(16, 12, (255,), seed)[..., :3], {"EXIF": {"Make": "Ours"}}) for seed in range(3)]
    with bridge.get_writer(tmp_path / "a.webp", mode="I", fps=10, lossless=True) as writer:
        for frame in frames:
            writer.append_data(frame)
    assert writer.changes == []
    with Pillow.open(tmp_path / "a.webp") as image:
        assert getattr(image, "n_frames", 1) == 3
        assert image.getexif()[0x10F] == "Ours"
        assert np.array_equal(np.asarray(image.convert("RGB")), frames[0])
