"""The class Reader, sentence by sentence, over every Format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.core.format import Format, Reader
from bridge.core.request import Request
from tests.contract.samples import FILMS, SAMPLES, Sample, gif, make_film, params, picture
from tests.contract.text import says

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.conftest import Files

pytestmark = pytest.mark.program

every_format = pytest.mark.parametrize("sample", params(SAMPLES))
STEPPED = [sample for sample in SAMPLES if sample.format in ("NPZ", "GIF", "GIF-FFMPEG", "APNG", "MP4", "TS", "HEVC")]


def reader_of(sample: Sample, files: Files, mode: str = "I") -> Reader:
    return bridge.get_reader(files(sample), sample.asked(), mode if sample.count > 1 else "?")


@says(
    "The purpose of a reader object is to read data from an image resource, and should be obtained by calling "
    "get_reader().",
    "A reader can be used as an iterator to read multiple images, and (if the format permits) only reads data from the "
    "file when new data is requested (i.e. streaming).",
    "A reader can also be used as a context manager so that it is automatically closed.",
    "Iterate over all images in the series. (Note: you can also iterate over the reader object.)",
    "Get the number of images in the file. (Note: you can also use len(reader_object).)",
    "closed",
    "Whether the reader/writer is closed.",
    "format",
    "The Format object corresponding to the current read/write operation.",
    "request",
    "The Request object corresponding to the current read/write operation.",
)
@every_format
def test_a_reader(sample: Sample, files: Files) -> None:
    with reader_of(sample, files) as reader:
        assert isinstance(reader, Reader)
        assert isinstance(reader.format, Format)
        assert isinstance(reader.request, Request)
        assert not reader.closed
        images = list(reader)
        assert len(images) == sample.count == reader.get_length() == len(reader)
        assert isinstance(reader.get_length(), int)
        for index, image in enumerate(images):
            assert sample.holds(index, image)
            assert isinstance(image.meta, dict)
        again = next(reader.iter_data())
        assert np.array_equal(again, images[0])
    assert reader.closed


@says(
    "Read image data from the file, using the image index.",
    "The returned image has a 'meta' attribute with the meta data.",
    "Note that get_data also provides the meta data for the returned image as an atrribute of that image.",
    "Read meta data from the file. using the image index.",
    "If the index is omitted or None, return the file's (global) meta data.",
    "The meta data is a dict, which shape depends on the format.",
)
@every_format
def test_data_and_meta_data(sample: Sample, files: Files) -> None:
    with reader_of(sample, files) as reader:
        for index in {0, sample.count - 1}:
            image = reader.get_data(index)
            assert sample.holds(index, image)
            meta = reader.get_meta_data(index=index)
            assert isinstance(meta, dict)
            for name in meta.keys() & image.meta.keys():
                assert meta[name] == image.meta[name]
        assert isinstance(reader.get_meta_data(), dict)
        assert reader.get_meta_data() == reader.get_meta_data(None)
        reader.get_meta_data()["mine"] = 1
        assert "mine" not in reader.get_meta_data()


@says("Read the next image from the series.")
@every_format
def test_the_first_next_image_is_the_first(sample: Sample, files: Files) -> None:
    with reader_of(sample, files) as reader:
        for index in range(sample.count):
            assert sample.holds(index, reader.get_next_data())
        with pytest.raises(IndexError):
            reader.get_next_data()


@every_format
def test_indexes(sample: Sample, files: Files) -> None:
    """numpy integers are indexes; negative ones count from the end; others are refused, and the reader lives on."""
    with reader_of(sample, files) as reader:
        for wrong in ("0", None, 1.0, np.float64(0), [0], slice(0, 1)):
            with pytest.raises(TypeError):
                reader.get_data(wrong)  # type: ignore[arg-type] # a mistake
        for far in (sample.count, sample.count + 1, -sample.count - 1, 10**9, -(10**9), 10**30):
            with pytest.raises(errors.NoSuchFrame) as caught:
                reader.get_data(far)
            assert isinstance(caught.value, IndexError)
        with pytest.raises((IndexError, TypeError)):
            reader.get_meta_data(sample.count)
        last = sample.count - 1
        assert sample.holds(0, reader.get_data(-sample.count))
        assert sample.holds(last, reader.get_data(cast("Any", np.int64(last))))
        assert sample.holds(last, reader.get_data(-1))
        assert sample.holds(0, reader.get_data(cast("Any", np.uint8(0))))
        with pytest.raises(TypeError, match="nonsense"):
            reader.get_data(0, nonsense=1)
        with pytest.raises(TypeError, match="nonsense"):
            reader.get_next_data(nonsense=1)


@says("Flush and close the reader/writer.", "This method has no effect if it is already closed.")
@pytest.mark.parametrize("sample", params(SAMPLES))
@pytest.mark.parametrize("used", [False, True], ids=["unused", "half read"])
def test_a_closed_reader(sample: Sample, files: Files, used: bool) -> None:
    reader = reader_of(sample, files)
    iterator = iter(reader)
    if used:
        next(iterator)
    reader.close()
    reader.close()
    assert reader.closed
    calls: list[Callable[[], Any]] = [
        lambda: reader.get_data(0),
        reader.get_next_data,
        reader.get_length,
        lambda: len(reader),
        reader.get_meta_data,
        lambda: reader.get_meta_data(0),
        lambda: list(reader),
        lambda: list(reader.iter_data()),
        reader.__enter__,
    ]
    for call in calls:
        with pytest.raises(errors.Closed) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
    assert isinstance(reader.format, Format)
    assert isinstance(reader.request, Request)


# Stepping about


@pytest.mark.parametrize("sample", params(STEPPED))
def test_stepping_back_and_on(sample: Sample, files: Files) -> None:
    with reader_of(sample, files) as reader:
        for index in (2, 0, 1, 1, 2, 0):
            assert sample.holds(index, reader.get_data(index))
        assert sample.holds(1, reader.get_next_data())
        assert [sample.holds(index, image) for index, image in enumerate(reader)] == [True] * sample.count


@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("sample", params([sample for sample in STEPPED if sample.format in ("GIF", "MP4", "NPZ")]))
def test_two_iterators_and_calls_between(sample: Sample, files: Files) -> None:
    with reader_of(sample, files) as reader:
        one, two = iter(reader), iter(reader)
        assert sample.holds(0, next(one))
        assert sample.holds(1, next(one))
        assert sample.holds(0, next(two))
        assert sample.holds(2, reader.get_data(2))
        assert sample.holds(2, next(one))
        assert sample.holds(1, next(two))


@pytest.mark.needs("magick")
@pytest.mark.parametrize("colours", [[(255, 0, 0)] * 3, [(0, 0, 255)] * 2 + [(255, 0, 0)], [(255, 0, 0)]])
def test_equal_neighbours_stay_frames(colours: list[tuple[int, int, int]], tmp_path: Path) -> None:
    (tmp_path / "moving.gif").write_bytes(gif(colours))
    images = bridge.mimread(tmp_path / "moving.gif")
    assert [tuple(image[0, 0]) for image in images] == colours
    with bridge.get_reader(tmp_path / "moving.gif") as reader:
        assert reader.get_length() == len(colours)


# Lengths


@says("1 for singleton images (e.g. in PNG, JPEG, etc.)", "N for image series")
@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize(
    ("name", "length"), [("PNG", 1), ("JPEG", 1), ("NPY", 1), ("GIF", 5), ("MP4", 6), ("H264", 6), ("NPZ", 3)]
)
def test_lengths(name: str, length: int, files: Files) -> None:
    with bridge.get_reader(files(name)) as reader:
        assert reader.get_length() == length
        assert len(reader) == length


def test_a_tiff_of_five_pages(stack: Callable[..., Path]) -> None:
    """Five pictures to `mimread`, one volume to `volread`, and to `imread` the whole, as tifffile gives it."""
    pictures = bridge.mimread(stack())
    assert [(image.shape, int(image[0, 0])) for image in pictures] == [((6, 7), index) for index in range(5)]
    assert bridge.volread(stack()).shape == (5, 6, 7)
    assert bridge.imread(stack()).shape == (5, 6, 7)
    assert [volume.shape for volume in bridge.mvolread(stack())] == [(5, 6, 7)]
    for mode, length in (("I", 5), ("v", 1), ("V", 1)):
        with bridge.get_reader(stack(), mode=mode) as reader:
            assert reader.get_length() == length


@says("0 for files that only have meta data")
@pytest.mark.needs("ffmpeg")
def test_files_without_a_picture(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz")
    make_film(tmp_path / "sound.mp4", "-map", "1:a", sound=True)
    for name in ("none.npz", "sound.mp4"):
        with bridge.get_reader(tmp_path / name) as reader:
            assert reader.get_length() == 0
            assert len(reader) == 0
            assert list(reader) == []
            assert isinstance(reader.get_meta_data(), dict)
            with pytest.raises(IndexError):
                reader.get_data(0)
            with pytest.raises(IndexError):
                reader.get_next_data()
        assert bridge.mimread(tmp_path / name) == []
        with pytest.raises((IndexError, errors.BridgeError)):
            bridge.imread(tmp_path / name)


class _Stream(Reader):
    """An endless one, as a camera is."""

    def _length(self) -> float:
        return math.inf

    def _data(self, index: int) -> Any:
        return picture(shift=index % 50), {"index": index}

    def _meta(self, index: int | None) -> dict[str, Any]:
        return {"index": index}


class _Nothing(_Stream):
    """One that has only metadata."""

    def _length(self) -> float:
        return 0

    def _data(self, index: int) -> Any:
        del index


@says(
    "inf for streams (series of unknown length)",
    "Plugins implement Reader's for different formats.",
)
def test_streams(files: Files) -> None:
    with _Stream(Format(), Request(files("NPY"))) as reader:
        assert reader.get_length() == math.inf
        with pytest.raises((TypeError, OverflowError)):
            len(reader)
        assert [image.meta["index"] for _, image in zip(range(3), reader, strict=False)] == [0, 1, 2]
        assert reader.get_data(1000).meta["index"] == 1000
        with pytest.raises(IndexError):
            reader.get_data(-1)
    with _Nothing(Format(), Request(files("NPY"))) as reader:
        assert len(reader) == 0
        assert list(reader) == []


@says(
    "Though rare, plugins may provide additional functionality (beyond what is provided by the base reader class).",
    "This also allows specific scientific formats to be exposed in a way that best suits that file-format.",
)
@pytest.mark.needs("ffmpeg", "magick")
def test_readers_offer_more(files: Files) -> None:
    for name in ("NPY", "MP4", "PNG"):
        with bridge.get_reader(files(name)) as reader:
            assert reader.info.format
            reader.set_image_index(0)
            assert reader.get_next_data() is not None


# What a reader is not


@every_format
def test_nothing_is_appended_to_a_reader(sample: Sample, files: Files) -> None:
    before = files(sample).read_bytes()
    with reader_of(sample, files) as reader:
        for name, arguments in (("append_data", (picture(),)), ("set_meta_data", ({},))):
            with pytest.raises((AttributeError, errors.Closed)):
                getattr(reader, name)(*arguments)
    assert files(sample).read_bytes() == before


@pytest.mark.parametrize("sample", params(FILMS[:3]))
def test_imread_of_a_film_gives_its_first_frame(sample: Sample, files: Files) -> None:
    image = bridge.imread(files(sample))
    assert sample.holds(0, image)
    assert image.dtype == np.uint8


@says(
    "A reader can also be used as a context manager so that it is automatically closed.",
)
@pytest.mark.needs("ffmpeg")
def test_closed_by_an_exception(files: Files) -> None:
    with pytest.raises(KeyError), bridge.get_reader(files("MP4")) as reader:
        reader.get_data(1)
        raise KeyError
    assert reader.closed


def test_pages_of_unequal_sizes_are_pictures(tmp_path: Path) -> None:
    import tifffile

    with tifffile.TiffWriter(tmp_path / "pages.tif") as writer:
        for side in (5, 9, 7):
            writer.write(np.full((side, side + 1), side, np.uint8), photometric="minisblack")
    assert [image.shape for image in bridge.mimread(tmp_path / "pages.tif")] == [(5, 6), (9, 10), (7, 8)]
    assert bridge.imread(tmp_path / "pages.tif").shape == (5, 6)
