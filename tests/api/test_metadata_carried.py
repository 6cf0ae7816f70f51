"""What a picture says about itself goes from what was read to what is written, through either program."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import bridge
from tests.cli.conftest import command_line
from tests.media.test_metadata import _camera

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:own="http://example.org/" dc:format="x/y">'
    b"<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject><own:word>x</own:word>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
_CARRIED = {
    "jpg": {"EXIF", "GPS", "XMP", "ICC", "COMMENT"},
    "png": {"EXIF", "GPS", "XMP", "ICC", "COMMENT"},
    "webp": {"EXIF", "GPS", "XMP", "ICC"},
    "tif": {"GPS", "XMP", "ICC"},
}
_WRITERS = [
    ("jpg", None), ("png", None), ("webp", None), ("tif", None), ("jpg", "JPEG-FFMPEG"), ("png", "PNG-FFMPEG"),
    ("webp", "WEBP-FFMPEG"),
]  # fmt: skip


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture, as a camera and an editor leave it."""
    slope = np.add.outer(3 * np.arange(24), 4 * np.arange(40)).astype(np.uint8)
    picture = Image.fromarray(np.dstack([slope, 255 - slope, np.full_like(slope, 90)]))
    path = tmp_path / "photo.jpg"
    picture.save(path, exif=_camera().tobytes(), icc_profile=_SRGB, xmp=_PACKET, comment="a comment", subsampling=0)
    return path


def _said(path: Path) -> dict[str, Any]:
    return dict(bridge.immeta(path))


def _expected(meta: dict[str, Any], extension: str) -> dict[str, Any]:
    """What shall be in a new file: all that it can hold, but no namespace that is not known."""
    wanted = {name: dict(meta[name]) for name in _CARRIED[extension]}
    wanted["XMP"].pop("own:word", None)
    wanted["XMP"].pop("ns:word", None)
    if "EXIF" in wanted:
        wanted["EXIF"]["PixelXDimension"] = 40
    return wanted


@pytest.mark.parametrize(("extension", "format"), _WRITERS)
def test_what_was_read_is_in_what_is_written(extension: str, format: str | None, photo: Path, tmp_path: Path) -> None:
    image = bridge.imread(photo)
    target = tmp_path / f"out.{extension}"
    bridge.imwrite(target, image, format)
    meta = _said(target)
    assert {name: meta[name] for name in _CARRIED[extension]} == _expected(image.meta, extension)
    assert image.meta["EXIF"].items() - {("PixelXDimension", 9)} <= meta["EXIF"].items()
    with Image.open(target) as picture:
        exif = picture.getexif()
        assert (exif[0x10F], exif[0x112]) == ("Maker", 6)
        assert exif.get_ifd(0x8769)[0x829A] == 1 / 250
        assert exif.get_ifd(0x8825)[2] == (48.0, 51.0, 29.99)
        assert picture.info["icc_profile"] == _SRGB


@pytest.mark.parametrize(("extension", "format"), _WRITERS)
def test_what_is_not_written_is_told(extension: str, format: str | None, photo: Path, tmp_path: Path) -> None:
    image = bridge.imread(photo)
    image.meta["EXIF"]["Nonsense"] = 5
    with bridge.get_writer(tmp_path / f"out.{extension}", format) as writer:
        writer.append_data(image)
    told = " ".join(writer.changes)
    assert "EXIF Nonsense was not written: there is no tag of that name" in told
    assert "own:word was not written" in told
    assert ("COMMENT" in told) is ("COMMENT" not in _CARRIED[extension])
    assert len(writer.changes) == (2 if "COMMENT" in _CARRIED[extension] else 3)


@pytest.mark.parametrize("extension", ["npy", "bmp", "ppm"])
def test_formats_without_metadata_name_the_groups_once(extension: str, photo: Path, tmp_path: Path) -> None:
    image = bridge.imread(photo)
    with bridge.get_writer(tmp_path / f"out.{extension}") as writer:
        writer.set_meta_data({"EXIF": {}})
        writer.append_data(image)
    groups = ("EXIF", "GPS", "XMP", "ICC", "COMMENT")
    assert sorted(writer.changes) == sorted(f"metadata {group!r} is not written" for group in groups)


def test_what_the_user_says_counts_most(photo: Path, tmp_path: Path) -> None:
    image = bridge.imread(photo)
    image.meta["EXIF"]["Artist"] = "Ada"
    target = tmp_path / "out.png"
    bridge.imwrite(target, image)
    assert _said(target)["EXIF"]["Artist"] == "Ada"
    bridge.imwrite(target, image, meta={"EXIF": {"ExposureTime": Fraction(1, 3)}})
    assert _said(target)["EXIF"] == {"ExposureTime": Fraction(1, 3)}
    assert _said(target)["GPS"] == image.meta["GPS"]
    with bridge.get_writer(target) as writer:
        writer.set_meta_data({"EXIF": {"Artist": "Eva"}})
        writer.append_data(np.asarray(image))
        writer.set_meta_data({"GPS": {"GPSLatitudeRef": "N"}})
    assert writer.changes == ["metadata 'GPS' is not written"]
    assert _said(target)["EXIF"] == {"Artist": "Eva"}
    assert "GPS" not in _said(target)


def test_a_part_of_a_picture_says_its_own_size(photo: Path, tmp_path: Path) -> None:
    bridge.imwrite(tmp_path / "part.jpg", bridge.imread(photo)[:10, :20])
    assert _said(tmp_path / "part.jpg")["EXIF"]["PixelXDimension"] == 20


def test_a_profile_goes_only_with_its_colours(photo: Path, tmp_path: Path) -> None:
    gray = bridge.imread(photo)[..., 0]
    for name in ("gray.jpg", "gray.png", "gray.tif"):
        with bridge.get_writer(tmp_path / name) as writer:
            writer.append_data(gray)
        assert "ICC" not in _said(tmp_path / name)
        assert "ICC profile was not written: it is for 'RGB', and the pixels are GRAY" in writer.changes


def test_metadata_goes_from_file_to_file_and_back(photo: Path, tmp_path: Path) -> None:
    first = bridge.imread(photo)
    before = photo
    for number, extension in enumerate(["tif", "png", "webp", "jpg"]):
        after = tmp_path / f"{number}.{extension}"
        bridge.imwrite(after, bridge.imread(before))
        before = after
    last = _said(before)
    assert last["GPS"] == first.meta["GPS"]
    assert last["ICC"] == first.meta["ICC"]
    assert first.meta["EXIF"].items() - {("PixelXDimension", 9)} <= last["EXIF"].items()
    layout = {"ImageWidth", "Compression", "RowsPerStrip", "PlanarConfiguration"}
    assert not layout & set(last["EXIF"])


def test_a_volume_keeps_its_shape_and_its_metadata(tmp_path: Path) -> None:
    volume = bridge.Array(np.zeros((3, 4, 5), np.uint16), {"EXIF": {"Artist": "Ada", "ImageDescription": "a text"}})
    with bridge.get_writer(tmp_path / "volume.tif", mode="v") as writer:
        writer.append_data(volume)
    assert writer.changes == ["EXIF ImageDescription was not written: that of a volume tells its shape"]
    again = bridge.volread(tmp_path / "volume.tif")
    assert again.shape == (3, 4, 5)
    assert again.meta["EXIF"]["Artist"] == "Ada"
    bridge.imwrite(tmp_path / "plane.png", again[0], meta={"EXIF": again.meta["EXIF"]})
    assert "ImageDescription" not in _said(tmp_path / "plane.png")["EXIF"]


def test_pages_of_a_tiff_have_the_metadata_of_the_first(tmp_path: Path) -> None:
    page = np.zeros((4, 5), np.uint8)
    with bridge.get_writer(tmp_path / "pages.tif", mode="I") as writer:
        writer.append_data(page, {"EXIF": {"Artist": "Ada"}})
        writer.append_data(page, {"EXIF": {"Artist": "Ada"}})
        assert not writer.changes
        writer.append_data(page, {"EXIF": {"Artist": "Eva"}})
    assert writer.changes == ["metadata 'EXIF of page 2' is not written"]
    assert _said(tmp_path / "pages.tif")["EXIF"]["Artist"] == "Ada"
    assert len(bridge.mimread(tmp_path / "pages.tif")) == 3


# Peers' point 38: imageio #455, #371, #362, #501, #1158, #1130


def test_peers_38_a_read_and_a_write_lose_no_exif_and_no_profile(photo: Path, tmp_path: Path) -> None:
    imageio.imwrite(tmp_path / "peer.jpg", imageio.imread(photo))
    with Image.open(tmp_path / "peer.jpg") as picture:
        assert not picture.getexif()
        assert "icc_profile" not in picture.info
    bridge.imwrite(tmp_path / "ours.jpg", bridge.imread(photo))
    with Image.open(tmp_path / "ours.jpg") as picture:
        assert picture.getexif()[0x110] == "Model 1"
        assert picture.info["icc_profile"] == _SRGB


@pytest.mark.parametrize("rotate", [False, True])
def test_peers_38_a_picture_is_shown_upright_once(rotate: bool, photo: Path, tmp_path: Path) -> None:
    with Image.open(photo) as picture:
        shown = np.asarray(ImageOps.exif_transpose(picture))
    bridge.imwrite(tmp_path / "ours.png", bridge.imread(photo, rotate=rotate))
    with Image.open(tmp_path / "ours.png") as picture:
        assert picture.getexif()[0x112] == (1 if rotate else 6)
        again = np.asarray(ImageOps.exif_transpose(picture))
    assert again.shape == shown.shape == (40, 24, 3)
    assert np.abs(again.astype(int) - shown).max() <= 4
    peer = imageio.imread(photo)  # stored as it is, and the tag is gone: no viewer turns it any more
    imageio.imwrite(tmp_path / "peer.png", peer)
    with Image.open(tmp_path / "peer.png") as picture:
        assert np.asarray(ImageOps.exif_transpose(picture)).shape != shown.shape


# The command


def _convert(source: Path, target: Path) -> list[str]:
    """Give what the command notes."""
    done = subprocess.run(
        [*command_line(), "convert", source, target], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr.splitlines()


@pytest.mark.parametrize(("extension", "note"), [("png", "XMP own:word"), ("bmp", "EXIF, GPS, XMP and 1 more")])
def test_the_command_carries_it_too_and_says_in_one_line_what_it_cannot(
    extension: str, note: str, photo: Path, tmp_path: Path
) -> None:
    target = tmp_path / f"out.{extension}"
    notes = _convert(photo, target)
    assert len(notes) == 1
    assert notes[0].startswith("note: metadata that is not in DST: ")
    assert note.split(",", maxsplit=1)[0].split(maxsplit=1)[0] in notes[0]
    if extension == "png":
        assert _said(target)["EXIF"]["Make"] == "Maker"
    plain = tmp_path / "plain.png"
    bridge.imwrite(plain, np.zeros((4, 5, 3), np.uint8))
    assert not _convert(plain, tmp_path / "plain.jpg")
