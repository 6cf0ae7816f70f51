"""The attribute `meta`: on every array, in every way of getting one, and through what is done to it."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import bridge
from tests.contract.samples import SAMPLES, Sample, params, picture
from tests.contract.text import says

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.conftest import Files

pytestmark = pytest.mark.program

XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="a pen"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
STILLS = [sample for sample in SAMPLES if sample.format in ("PNG", "JPEG", "TIFF", "NPY", "PNG-FFMPEG")]
SERIES = [sample for sample in SAMPLES if sample.format in ("GIF", "NPZ", "MP4", "APNG")]


@says("Returns a numpy array, which comes with a dict of meta data at its 'meta' attribute.")
@pytest.mark.parametrize("sample", params(STILLS))
def test_one_picture(sample: Sample, files: Files) -> None:
    for image in (
        bridge.imread(files(sample), sample.asked()),
        bridge.mimread(files(sample), sample.asked())[0],
        next(iter(bridge.imiter(files(sample), sample.asked()))),
    ):
        assert isinstance(image, np.ndarray)
        assert type(image.meta) is dict
        assert image.meta


@says("Returns a list of numpy arrays, each with a dict of meta data at its 'meta' attribute.")
@pytest.mark.parametrize("sample", params(SERIES))
def test_each_of_a_series(sample: Sample, files: Files) -> None:
    images = bridge.mimread(files(sample), sample.asked())
    with bridge.get_reader(files(sample), sample.asked()) as reader:
        gathered = [images, list(reader), [reader.get_data(index) for index in range(sample.count)]]
    for many in gathered:
        assert [image.meta["index"] for image in many] == list(range(sample.count))
        many[0].meta["mine"] = True
        assert "mine" not in many[1].meta


@pytest.mark.needs("magick")
def test_meta_through_what_is_done_to_an_array(files: Files) -> None:
    image = bridge.imread(files("PNG"))
    image.meta["mine"] = {"deep": 1}
    kept: list[Any] = [
        image[2:5, ::2],
        image[..., 0],
        image.copy(),
        copy.copy(image),
        copy.deepcopy(image),
        pickle.loads(pickle.dumps(image)),  # noqa: S301 - our own
        image.astype(float),
        image.reshape(-1),
        image.T,
        image + 1,
        image.view(),
        np.flipud(image),
    ]
    for array in kept:
        assert array.meta["mine"] == {"deep": 1}
    deep = copy.deepcopy(image)
    deep.meta["mine"]["deep"] = 2
    assert image.meta["mine"] == {"deep": 1}
    assert not isinstance(image.max(), np.ndarray)
    assert type(np.asarray(image)) is np.ndarray
    assert np.array_equal(image, picture())


@says(
    "E.g. for JPEG, the dict maps group names to subdicts and each group is a dict with name-value pairs.",
    "The groups represent the different metadata formats (EXIF, XMP, etc.).",
)
@pytest.mark.needs("magick")
@pytest.mark.parametrize("given", ["file", "bytes"])
def test_groups_of_a_jpeg(given: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    exif[0x010E] = "A picture"
    exif[0x0112] = 1
    exif.get_ifd(0x8769)[0x8827] = 400
    path = tmp_path / "picture.jpg"
    Image.fromarray(picture()).save(path, exif=exif, xmp=XMP, comment=b"a comment")
    uri: Any = path if given == "file" else path.read_bytes()
    with bridge.get_reader(uri) as reader:
        for meta in (reader.get_meta_data(), bridge.imread(uri).meta):
            assert meta["EXIF"]["Artist"] == "Ada"
            assert meta["EXIF"]["ImageDescription"] == "A picture"
            assert meta["EXIF"]["ISOSpeedRatings"] == 400
            assert any("CreatorTool" in name and "a pen" in str(value) for name, value in meta["XMP"].items())
            assert all(isinstance(name, str) for name in meta["EXIF"])
            assert "a comment" in str(meta)


@pytest.mark.needs("magick")
@pytest.mark.parametrize("damage", ["cut", "noise", "loop", "empty"])
def test_damaged_metadata_never_costs_the_picture(damage: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Ada" * 20
    content = exif.tobytes()
    content = {
        "cut": content[:20],
        "noise": content[:14] + bytes(range(255, 100, -1)),
        "loop": content[:14] + b"\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        "empty": content[:6],
    }[damage]
    Image.fromarray(picture()).save(tmp_path / "picture.jpg", exif=content, xmp=b"<not<xml" * 10, quality=95)
    image = bridge.imread(tmp_path / "picture.jpg")
    assert image.shape == picture().shape
    assert all(isinstance(group, dict) for group in image.meta.values() if not isinstance(group, int | str | tuple))


@pytest.mark.needs("magick")
def test_texts_of_a_png(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a title")
    texts.add_itxt("Author", "Zoë", zip=True)
    Image.fromarray(picture()).save(tmp_path / "picture.png", pnginfo=texts)
    shown = str(bridge.imread(tmp_path / "picture.png").meta)
    assert "a title" in shown
    assert "Zoë" in shown


@pytest.mark.needs("ffmpeg")
def test_meta_of_a_film(files: Files) -> None:
    with bridge.get_reader(files("MP4")) as reader:
        meta = reader.get_meta_data()
        assert meta["fps"] == 25
        assert meta["size"] == (64, 48)
        assert meta["duration"] == pytest.approx(0.24, abs=0.05)
        assert reader.get_data(2).meta["time"] == pytest.approx(2 / 25)
