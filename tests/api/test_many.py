"""imread_many: the same as imread, in order, errors in their place, and an end to it at any time."""

from __future__ import annotations

import io
import os
import signal
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge.errors import BridgeError, Closed, CorruptMedia, UriNotFound
from bridge.magick import warm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("magick")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty pictures of several formats and sizes, each of a gray of its own."""
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for number in range(40):
        ending, channels = (("png", 3), ("jpg", 3), ("png", 1), ("webp", 3), ("gif", 3))[number % 5]
        shape = (20 + number, 30, channels) if channels > 1 else (20 + number, 30)
        lossless: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
        path = folder / f"{number}.{ending}"
        bridge.imwrite(path, np.full(shape, 5 * number, np.uint8), **lossless)
        made.append(path)
    return made


@pytest.mark.parametrize("way", ["none", "always"])
@pytest.mark.parametrize("workers", [None, 1])
def test_the_same_as_imread(files: list[Path], workers: int | None, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.SETTING, "none")
    expected = [bridge.imread(path) for path in files]
    monkeypatch.setenv(warm.SETTING, way)
    before = warm.workers.done
    got = list(bridge.imread_many(files, workers))
    assert (warm.workers.done > before) == (way == "always")
    assert len(got) == len(expected)
    for path, image, same in zip(files, got, expected, strict=True):
        assert isinstance(image, bridge.Array), path
        assert (image.shape, image.dtype) == (same.shape, same.dtype), path
        assert np.array_equal(image, same), path
        assert {name: image.meta[name] for name in ("FILE", "index")} == {
            name: bridge.imread(path).meta[name] for name in ("FILE", "index")
        }, path


def test_keywords_of_imread(files: list[Path]) -> None:
    some = files[:10]
    for image in bridge.imread_many(some, crop=(2, 3, 10, 11), trust="untrusted"):
        assert image.shape[:2] == (11, 10)
    with pytest.raises(CorruptMedia), bridge.imread_many([b"\x89PNG\r\n\x1a\n" + bytes(20)], format="png") as pictures:
        next(pictures)


def test_every_kind_of_uri(files: list[Path], lavfi: Clips) -> None:
    film = lavfi("a.mp4", "testsrc2=d=0.2:s=64x48", "-c:v", "libx264")
    uris: list[Any] = [files[0], str(files[1]), files[2].read_bytes(), io.BytesIO(files[3].read_bytes()), film]
    expected = [bridge.imread(uri) for uri in (files[0], files[1], files[2], files[3], film)]
    for image, same in zip(bridge.imread_many(uris * 1), expected, strict=True):
        assert np.array_equal(image, same)


@pytest.mark.parametrize("way", ["none", "always"])
def test_errors_come_in_their_place(files: list[Path], way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.SETTING, way)
    cut = files[1].read_bytes()[:150]
    uris: list[Any] = [files[0], "no such file.png", files[2], cut, b"nothing", *files[5:]]
    pictures = bridge.imread_many(uris)
    found: list[Any] = []
    while True:
        try:
            found.append(next(pictures).shape[0])
        except StopIteration:
            break
        except BridgeError as error:
            found.append(type(error))
    assert found[:3] == [20, UriNotFound, 22]
    with pytest.raises(BridgeError) as caught:
        bridge.imread(cut)
    assert found[3] is caught.type
    assert found[5:] == [20 + number for number in range(5, 40)]


def test_it_reads_only_a_little_ahead(files: list[Path]) -> None:
    taken: list[int] = []

    def endless() -> Any:
        for number in count():
            taken.append(number)
            yield files[number % len(files)]

    with bridge.imread_many(endless(), workers=2) as pictures:
        got = [image.shape[0] for image in islice(pictures, 7)]
        assert got == [20 + number for number in range(7)]
        assert len(taken) <= 7 + 2 * 8
    assert repr(pictures) == "<Pictures: over>"
    assert list(pictures) == []


def test_closing_stops_everything(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.SETTING, "always")
    pictures = bridge.imread_many(files * 5, workers=2)
    next(pictures)
    pictures.close()
    pictures.close()
    warm.close()
    left = [child for child in psutil.Process().children(recursive=True) if "magick" in " ".join(child.cmdline())]
    assert not left


def test_one_that_is_dropped_is_closed(files: list[Path]) -> None:
    pictures = bridge.imread_many(files)
    next(pictures)
    del pictures  # the look for what is left behind comes after the test


def test_killed_workers(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.SETTING, "always")
    uris = files * 6
    for number, image in enumerate(bridge.imread_many(uris, workers=2)):
        assert image.shape[0] == 20 + number % 40
        if number in (30, 100, 170):
            for pid in warm.workers.alive:
                os.kill(pid, signal.SIGKILL)
    assert number == len(uris) - 1


def test_in_a_fork_it_says_whose_it_is(files: list[Path]) -> None:
    with bridge.imread_many(files) as pictures:
        next(pictures)
        pid = os.fork()
        if not pid:
            try:
                next(pictures)
            except Closed:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert next(pictures).shape[0] == 21


def test_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        bridge.imread_many([], workers=0)
    with pytest.raises(TypeError, match="imread"):
        bridge.imread_many("a.png")
    assert list(bridge.imread_many([])) == []
