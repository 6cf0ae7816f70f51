"""The catalogue: help, the table, selection, memory, metadata groups, plug-ins, series, the third version's calls."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import bridge
from bridge import errors
from tests.contract.text import says

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Media

pytestmark = pytest.mark.program


@says(
    "To see what keyword arguments are supported by a specific format, use the help() function.",
    "Print the documentation of the format specified by name, or a list of supported formats if name is omitted.",
    "Can be the name of a format, a filename extension, or a full filename.",
    "See help() to see what arguments are available for a particular format.",
    "Some formats may support additional keyword arguments.",
    "These are listed in the documentation of those formats.",
)
@pytest.mark.parametrize("name", ["MP4", "mp4", ".mp4", "holiday.mp4", "some/folder/holiday.MP4"])
def test_help_prints_the_documentation(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.help(name)
    printed = capsys.readouterr().out
    assert "MPEG-4" in printed
    for keyword in ("fps", "codec", "quality", "pixelformat", "macro_block_size", "audio_path", "output_params"):
        assert keyword in printed


def test_help_lists_the_formats(capsys: pytest.CaptureFixture[str]) -> None:
    bridge.help()
    printed = capsys.readouterr().out
    assert all(format.name in printed for format in bridge.formats)
    with pytest.raises(errors.UnknownFormat, match="no format is called"):
        bridge.help("nonsense")


@says("Show a nicely formatted list of available formats")
@pytest.mark.needs("ffmpeg", "magick")
def test_show_formats(capsys: pytest.CaptureFixture[str]) -> None:
    bridge.show_formats()
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert {"PNG", "JPEG", "MP4", "TIFF", "NPZ", "GIF"} <= rows.keys()
    assert "ImageMagick" in rows["PNG"]
    assert "ffmpeg" in rows["MP4"]
    assert "in-process" in rows["TIFF"]


def test_show_formats_says_what_is_missing_and_how_to_get_it(
    clean_toolbox: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    del clean_toolbox
    bridge.show_formats()
    printed = capsys.readouterr().out
    assert "PNG: ImageMagick is not installed" in printed
    assert "MP4: ffmpeg is not installed" in printed
    assert "install" in printed


@says(
    "These functions represent imageio's main interface for the user.",
    "See also the formats page.",
)
def test_formats_are_objects() -> None:
    for format in bridge.formats:
        assert format.name
        assert format.description
        assert format.doc.startswith(f"{format.name} - {format.description}")
        assert set(format.modes) <= set("iIvV")
        assert all(extension.startswith(".") for extension in format.extensions)
    assert bridge.formats["png"].name.startswith("PNG")
    assert bridge.formats["clip.mkv"].name == "MKV"
    assert len(bridge.formats) == len(list(bridge.formats))


@says(
    "The format to use to read the file.",
    "By default imageio selects the appropriate for you based on the filename and its contents.",
)
@pytest.mark.needs("magick")
def test_content_first_then_the_name(media: Media, tmp_path: Path) -> None:
    for name in ("right.png", "wrong.jpg", "none", "film.mp4"):
        (tmp_path / name).write_bytes(media("coins.png").read_bytes())
        assert bridge.imread(tmp_path / name).shape == (303, 384)
        assert bridge.imread(tmp_path / name, "png").shape == (303, 384)
    Image.new("RGB", (5, 4), (1, 2, 3)).save(tmp_path / "picture.tga")
    (tmp_path / "bare").write_bytes((tmp_path / "picture.tga").read_bytes())
    assert bridge.imread(tmp_path / "picture.tga").shape == (4, 5, 3)  # no signature: the name tells
    assert bridge.imread(tmp_path / "bare", format="tga").shape == (4, 5, 3)
    with pytest.raises(errors.UnknownFormat):
        bridge.imread(tmp_path / "bare")


@says(
    "If True (default), this function will raise an error if the resulting list of images consumes over 256 MB of"
    " memory.",
    "If True (default), this function will raise an error if the resulting list of images consumes over 1 GB of"
    " memory.",
    "This is to protect the system using so much memory that it needs to resort to swapping, and thereby stall the"
    " computer.",
    "E.g. mimread('hunger_games.avi').",
)
def test_memtest(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", *[np.zeros((10, 1000, 100), np.uint8)] * 3)
    for enough in (True, False, 4_000_000, 4e6, "4MB", "4 MB", "3 MiB", "1GiB"):
        assert len(bridge.mimread(tmp_path / "arrays.npz", memtest=enough)) == 3
        assert len(bridge.mvolread(tmp_path / "arrays.npz", memtest=enough)) == 3
    for little in (2_000_000, "2MB", "1 MiB", "2000 kB"):
        for call in (bridge.mimread, bridge.mvolread):
            with pytest.raises(errors.LimitExceeded, match="memtest") as caught:
                call(tmp_path / "arrays.npz", memtest=little)
            assert isinstance(caught.value, RuntimeError)
            assert "3." in str(caught.value)
    for nonsense in ("many", "4 parsecs", -1, float("nan")):
        with pytest.raises(ValueError, match="bytes"):
            bridge.mimread(tmp_path / "arrays.npz", memtest=nonsense)
    limits = bridge.Limits(images_memory=1000, volumes_memory=10**9)
    with pytest.raises(errors.LimitExceeded):
        bridge.mimread(tmp_path / "arrays.npz", limits=limits)
    assert len(bridge.mvolread(tmp_path / "arrays.npz", limits=limits)) == 3


def test_the_defaults_are_256_mb_and_1_gb() -> None:
    assert bridge.Limits().images_memory == 256_000_000
    assert bridge.Limits().volumes_memory == 1_000_000_000


@says(
    "Must be NxMxL (or NxMxLxK if each voxel is a tuple).",
    "Each array must be NxMxL (or NxMxLxK if each voxel is a tuple).",
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 2), (4, 5, 6, 3), (4, 5, 6, 7)])
@pytest.mark.parametrize("extension", [".tif", ".npy", ".npz"])
def test_volumes(extension: str, shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    bridge.volwrite(tmp_path / f"volume{extension}", volume)
    back = bridge.volread(tmp_path / f"volume{extension}")
    assert back.dtype == volume.dtype
    assert np.array_equal(back, volume)
    assert isinstance(back.meta, dict)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 7, 8)])
def test_what_is_no_volume(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels, match="N x M x L"):
        bridge.volwrite(tmp_path / "volume.tif", np.zeros(shape))
    with pytest.raises(errors.UnsupportedPixels, match="N x M x L"):
        bridge.mvolwrite(tmp_path / "volume.npz", [np.zeros(shape)])
    assert not list(tmp_path.iterdir())


def test_five_pages_are_five_pictures_or_one_volume(tmp_path: Path) -> None:
    pages = list(np.random.default_rng(0).integers(0, 255, (5, 8, 6), np.uint8))
    bridge.mimwrite(tmp_path / "stack.tif", pages)
    assert [page.shape for page in bridge.mimread(tmp_path / "stack.tif")] == [(8, 6)] * 5
    assert np.array_equal(bridge.volread(tmp_path / "stack.tif"), np.stack(pages))
    with bridge.get_reader(tmp_path / "stack.tif") as reader:
        assert len(reader) == 5


@says(
    "E.g. for JPEG, the dict maps group names to subdicts and each group is a dict with name-value pairs.",
    "The groups represent the different metadata formats (EXIF, XMP, etc.).",
)
@pytest.mark.needs("magick")
def test_metadata_comes_in_groups(media: Media, tmp_path: Path) -> None:
    meta = bridge.immeta(media("hubble_deep_field.jpg"))
    assert {"EXIF", "XMP", "ICC"} <= meta.keys()
    assert all(isinstance(group, dict) for group in meta.values())
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    exif[0x0112] = 6
    Image.new("RGB", (9, 4)).save(tmp_path / "picture.jpg", exif=exif)
    image = bridge.imread(tmp_path / "picture.jpg")
    assert image.shape == (4, 9, 3)
    assert image.meta["EXIF"]["Make"] == "A camera"
    assert image.meta["EXIF"]["Orientation"] == 6


# Plug-ins

PLUGIN = '''
import numpy as np
from bridge.core.format import Format, Reader

class DotsReader(Reader):
    def _length(self): return 1
    def _data(self, index):
        if index: return None
        rows = self.request.read_at(5, self.request.size).decode().split()
        return np.array([[255 * (dot == "x") for dot in row] for row in rows], np.uint8), {"index": 0}
    def _meta(self, index): return {"DOTS": {"by": "a stranger"}}

class Dots(Format):
    """Pictures of dots."""
    name, description, extensions, modes, reader = "DOTS", "pictures of dots", (".dots",), "iI", DotsReader
    def can_read(self, request): return request.head.startswith(b"DOTS\\n")

def broken(): raise RuntimeError("this plug-in is broken")
'''


def test_a_third_party_adds_a_format(tmp_path: Path) -> None:
    (tmp_path / "dots_plugin.py").write_text(PLUGIN)
    info = tmp_path / "dots_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dots-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bridge.formats]\nbroken = dots_plugin:broken\ndots = dots_plugin:Dots\n")
    (tmp_path / "picture.dots").write_bytes(b"DOTS\nx.x\n.x.\n")
    script = (
        "import bridge; image = bridge.imread('picture.dots'); "
        "print(image.tolist(), image.meta['DOTS']['by'], bridge.formats['dots'].doc.split(chr(10))[0])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *os.environ.get("PYTHONPATH", "").split(":")]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "[[255, 0, 255], [0, 255, 0]] a stranger DOTS - pictures of dots", ran.stderr
    assert "could not be loaded" in ran.stderr


# Series


@pytest.mark.needs("magick")
def test_series_only_when_asked_for(tmp_path: Path) -> None:
    for number in range(8, 13):
        bridge.imwrite(tmp_path / f"frame{number:04d}.png", np.full((4, 5), number, np.uint8))
        bridge.imwrite(tmp_path / f"shot{number}.png", np.full((4, 5), number, np.uint8))
    for uri, format in (
        (bridge.sequence(tmp_path / "frame%04d.png"), None),
        (str(tmp_path / "frame%04d.png"), "sequence"),
        (bridge.sequence(tmp_path / "shot%d.png"), None),
        (bridge.sequence(tmp_path / "shot*.png"), None),
        (str(tmp_path / "shot*.png"), "SEQUENCE"),
    ):
        frames = bridge.mimread(uri, format)
        assert [int(frame[0, 0]) for frame in frames] == [8, 9, 10, 11, 12]
        assert frames[1].meta["index"] == 1
    with pytest.raises(errors.UriNotFound):
        bridge.mimread(tmp_path / "frame%04d.png")
    (tmp_path / "frame%04d.png").write_bytes((tmp_path / "frame0008.png").read_bytes())
    assert len(bridge.mimread(tmp_path / "frame%04d.png")) == 1  # a file of that very name
    (tmp_path / "frame0010.png").unlink()
    with pytest.raises(errors.UriError, match="gap"):
        bridge.mimread(bridge.sequence(tmp_path / "frame%04d.png"))
    with pytest.raises(errors.UriNotFound):
        bridge.mimread(bridge.sequence(tmp_path / "nothing*.png"))


# The third version's calls


@pytest.mark.needs("magick", "ffmpeg")
def test_the_third_versions_calls(media: Media, tmp_path: Path) -> None:
    assert sum(1 for _ in bridge.imiter(media("carphone_distorted.mp4"))) == 120
    props = bridge.improps(media("carphone_distorted.mp4"))
    assert (props.shape, props.dtype.name, props.n_images, props.is_batch) == ((120, 144, 176, 3), "uint8", 120, True)
    assert bridge.improps(media("carphone_distorted.mp4"), index=3).shape == (144, 176, 3)
    assert bridge.improps(media("coins.png")).shape == (303, 384)
    assert bridge.immeta(media("carphone_distorted.mp4"))["fps"] == pytest.approx(29.97, abs=0.01)
    with bridge.imopen(tmp_path / "picture.png", "w") as file:
        file.write(np.zeros((3, 4), np.uint8))
    with bridge.imopen(tmp_path / "picture.png", "r") as file:
        assert file.read().shape == (3, 4)
        assert len(list(file.iter())) == 1
        assert file.metadata()["FILE"]["size"] == (4, 3)
    with bridge.imopen("<bytes>", "w", format="png") as file:
        content = file.write(np.zeros((3, 4), np.uint8))
    assert content is not None
    assert bridge.imread(content).shape == (3, 4)
    with pytest.raises(errors.UriError, match="io_mode"):
        bridge.imopen(tmp_path / "picture.png", "x")


@pytest.mark.needs("ffmpeg")
def test_old_keywords_of_imageios_ffmpeg_plugin(
    media: Media, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = media("carphone_pristine.mp4")
    with bridge.get_reader(clip, size=(88, 72), dtype="uint16") as reader:
        assert (reader.get_data(0).shape, reader.get_data(0).dtype) == ((72, 88, 3), np.uint16)
        assert reader.get_meta_data()["size"] == (88, 72)
    with bridge.get_reader(clip, fps=10) as reader:
        assert len(reader) == len(list(reader)) == 40
    with bridge.get_reader(clip, loop=True) as reader:
        assert reader.get_length() == float("inf")
        assert np.array_equal(reader.get_data(121), reader.get_data(1))
    with bridge.get_reader(clip, input_params=["-ss", "2"], output_params=["-frames:v", "5"]) as reader:
        assert len(list(reader)) == 5
    with bridge.get_reader(clip, ffmpeg_params=["-frames:v", "5"], print_info=True) as reader:
        assert len(reader) == 5
    assert "h264" in capsys.readouterr().out
    frames = [np.full((50, 70, 3), number, np.uint8) for number in range(5)]
    bridge.mimwrite(tmp_path / "blocks.mp4", frames, macro_block_size=16, ffmpeg_log_level="warning")
    assert bridge.imread(tmp_path / "blocks.mp4").shape == (64, 80, 3)
    bridge.mimwrite(
        tmp_path / "plain.mp4", frames, fps=25, bitrate=100_000, ffmpeg_params=["-preset", "fast"], input_params=[]
    )
    assert bridge.imread(tmp_path / "plain.mp4").shape == (50, 70, 3)


def test_devices_are_formats_of_their_own() -> None:
    for uri, name in (("<screen>", "SCREEN"), ("<video63>", "CAMERA")):
        assert name in {format.name for format in bridge.formats}
        with pytest.raises(errors.UnknownFormat, match=name):
            bridge.imread(uri, "png")
    with pytest.raises(errors.UriError, match="cannot be written"):
        bridge.imwrite("<screen>", np.zeros((2, 2), np.uint8), "png")


@pytest.mark.needs("ffmpeg", "ffprobe")
def test_film_metadata_is_written_where_it_can_be(tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / "film.mp4") as writer:
        writer.set_meta_data({"title": "a title", "EXIF": {"Make": "none"}})
        writer.append_data(np.zeros((16, 16, 3), np.uint8))
    assert writer.changes == ["metadata 'EXIF' is not written"]
    assert bridge.immeta(tmp_path / "film.mp4")["tags"]["title"] == "a title"
    with bridge.get_reader(tmp_path / "film.mp4") as reader:
        assert len(reader) == 1
