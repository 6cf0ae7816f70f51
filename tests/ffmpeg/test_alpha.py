"""Film with transparency: a fourth channel, in and out, and none for film that has none."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.errors import UnsupportedPixels
from bridge.media.alpha import MAYBE, has_alpha, transparency

if TYPE_CHECKING:
    from pathlib import Path

Image: TypeAlias = np.ndarray[Any, Any]

VEILED = "testsrc2=s=160x96:r=25:d=0.6,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255-X-N'"
PLAIN = "testsrc2=s=160x96:r=25:d=0.6"
FILMS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "VP9": ("film.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"), "libvpx-vp9"),
    "VP8": ("film8.webm", ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"), "libvpx"),
    "ProRes 4444": ("film.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"), ""),
    "QuickTime Animation": ("rle.mov", ("-c:v", "qtrle", "-pix_fmt", "argb"), ""),
    "PNG in MOV": ("png.mov", ("-c:v", "png", "-pix_fmt", "rgba"), ""),
    "FFV1": ("film.mkv", ("-c:v", "ffv1", "-pix_fmt", "bgra"), ""),
    "raw in AVI": ("film.avi", ("-c:v", "rawvideo", "-pix_fmt", "bgra"), ""),
    "NUT": ("film.nut", ("-c:v", "ffv1", "-pix_fmt", "bgra"), ""),
}
OPAQUE: dict[str, tuple[str, tuple[str, ...]]] = {
    "VP9": ("plain.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p")),
    "H.264": ("plain.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p")),
    "FFV1": ("plain.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv420p")),
    "FFV1, RGB": ("rgb.mkv", ("-c:v", "ffv1", "-pix_fmt", "bgr0")),
    "ProRes": ("plain.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le")),
    "MPEG-4": ("plain.avi", ("-c:v", "mpeg4")),
    "PNG in MOV": ("rgb.mov", ("-c:v", "png", "-pix_fmt", "rgb24")),
}


def decoded(ffmpeg: str, path: Path, decoder: str, pixels: str = "rgba") -> Image:
    """Decode by the plain program, told which decoder to take."""
    forced = ["-c:v", decoder] if decoder else []
    command = [ffmpeg, "-v", "error", *forced, "-i", str(path), "-f", "rawvideo", "-pix_fmt", pixels, "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    kind = np.dtype("<u2" if "64" in pixels else "u1")
    return np.frombuffer(data, kind).reshape(-1, 96, 160, 4)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", FILMS)
def test_a_film_with_transparency_has_four_channels(name: str, lavfi: Any, ffmpeg: str) -> None:
    file_name, options, decoder = FILMS[name]
    path = lavfi(file_name, VEILED, *options)
    wanted = decoded(ffmpeg, path, decoder)
    assert 80 < int(wanted[0, 0, 100, 3]) < 200
    with bridge.get_reader(path) as reader:
        frames = list(reader)
        assert np.array_equal(np.stack(frames), wanted)
        assert np.array_equal(reader[9], wanted[9])
        assert np.array_equal(reader.get_batch([7, 2]), wanted[[7, 2]])
    assert np.array_equal(bridge.mimread(path, pixelformat="rgb24")[3].shape, (96, 160, 3))


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_sixteen_bits_have_it_too(lavfi: Any, ffmpeg: str) -> None:
    file_name, options, decoder = FILMS["ProRes 4444"]
    path = lavfi(file_name, VEILED, *options)
    with bridge.get_reader(path, dtype="uint16") as reader:
        assert np.array_equal(np.stack(list(reader)), decoded(ffmpeg, path, decoder, "rgba64le"))


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", OPAQUE)
def test_a_film_without_has_three(name: str, lavfi: Any) -> None:
    file_name, options = OPAQUE[name]
    frames = bridge.mimread(lavfi(file_name, PLAIN, *options))
    assert {frame.shape for frame in frames} == {(96, 160, 3)}


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize(
    ("file_name", "keywords", "bound"),
    [
        ("film.webm", {}, 6),
        ("film.webm", {"codec": "vp8"}, 6),
        ("film.mov", {"codec": "prores"}, 3),
        ("film.mov", {"codec": "qtrle"}, 0),
        ("film.mov", {"codec": "png"}, 0),
        ("film.mkv", {"codec": "ffv1"}, 0),
        ("film.apng", {}, 0),
    ],
)
def test_four_channels_come_back(file_name: str, keywords: dict[str, Any], bound: int, tmp_path: Path) -> None:
    veil = np.add.outer(np.arange(96), np.arange(160)).astype(np.uint8)
    film = [np.dstack([np.full((96, 160, 3), (180, 90, 30 * n), np.uint8), veil]) for n in range(4)]
    bridge.mimwrite(tmp_path / file_name, film, fps=25, **keywords)
    back = bridge.mimread(tmp_path / file_name)
    assert len(back) == 4
    for frame, given_ in zip(back, film, strict=True):
        assert np.abs(frame.astype(int) - given_).max() <= bound


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_codec_that_would_drop_it_says_who_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedPixels, match=r"transparency.*WEBM"):
        bridge.mimwrite(tmp_path / "film.mp4", [np.zeros((96, 160, 4), np.uint8)] * 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_machine_without_the_decoder_says_what_is_left_out(lavfi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.media.alpha._DECODERS", {b"V_VP9": "libnone"})
    path = lavfi(FILMS["VP9"][0], VEILED, *FILMS["VP9"][1])
    with pytest.warns(UserWarning, match="left out.*libnone"), bridge.get_reader(path) as reader:
        assert reader[0].shape == (96, 160, 3)


@pytest.mark.parametrize("name", ["rgb24", "yuv420p", "gray", "gbrp", "bgr0", "pal8", "", None])
def test_formats_without_alpha(name: str | None) -> None:
    assert not has_alpha(name)


@given(st.sampled_from(["mp4", "matroska", "avi", "nut", "mpegts", "ogg", ""]), st.binary(max_size=300))
def test_no_bytes_are_an_error(kind: str, content: bytes) -> None:
    assert transparency(kind, lambda at, count: content[at : at + count], len(content)) in (None, MAYBE)
