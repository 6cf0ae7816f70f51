"""What a worker publishes over TCP, read by another process: frames, keys, and everything that goes wrong on the way.

The source is one of ffmpeg's generators or a film: a stand-in for a camera, which shows nothing of what is special
about cameras.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.remote.client import Client
from bridge.remote.keys import make_keys
from bridge_workers.__main__ import main
from bridge_workers.film import FilmSource
from tests.capture.publishing import GENERATOR, Worker, generator, live, published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


@pytest.fixture(autouse=True)
def _no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMEBRIDGE_KEYS", raising=False)


@pytest.fixture(scope="module")
def film(lavfi: Any) -> Path:
    made: Path = lavfi("published.nut", GENERATOR + ":d=2", "-pix_fmt", "yuv420p", "-c:v", "ffv1")
    return made


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of somebody else."""
    folder = tmp_path_factory.mktemp("strange")
    make_keys(folder)
    return folder


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wall() -> float:
    return time.time()


@pytest.fixture
def readers() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


# Frames


@pytest.mark.parametrize("encode", ["", "ffv1"])
def test_all_frames_of_a_film_come_as_they_are(encode: str, film: Path, keys: Path) -> None:
    expected = bridge.mimread(film)
    with published(FilmSource(str(film)), encode or None, keys) as uri:
        for _ in range(2):  # each reader has them from the first
            with bridge.get_reader(uri, delivery="lossless", keys=keys) as reader:
                frames = list(reader)
            assert [frame.meta["sequence"] for frame in frames] == list(range(50))
            assert all(map(np.array_equal, frames, expected))
            assert not any(frame.meta["missed"] for frame in frames)
            assert [frame.meta["time"] for frame in frames] == pytest.approx([n / 25 for n in range(50)])
            assert frames[0].flags.writeable


def test_the_command_publishes_a_film_and_ends_when_told(film: Path, keys: Path) -> None:
    with Worker(film, "--keys", keys, "--encode", "mjpeg") as worker:
        with bridge.get_reader(worker.uri, delivery="lossless", keys=keys) as reader:
            assert len(list(reader)) == 50
        assert worker.end() == (0, "")


def test_readers_share_what_is_live_and_have_the_newest(readers: contextlib.ExitStack) -> None:
    with published(live()) as uri:
        a, b = (readers.enter_context(bridge.get_reader(uri)) for _ in range(2))
        a.get_data(0)
        seen = {frame.meta["sequence"]: frame for frame, _ in zip(b, range(10), strict=False)}
        time.sleep(1.0)  # a slow consumer
        begin = wall()
        late = a.get_data(1)
        assert late.meta["missed"] > 10
        assert late.meta["sequence"] > max(seen)
        assert -1.0 < begin - late.meta["captured"] < 1.0
        more = [a.get_next_data() for _ in range(12)]
        given = [late, *more]
        assert [frame.meta["index"] for frame in given] == list(range(1, 14))
        for one, other in itertools.pairwise(given):
            assert other.meta["sequence"] == one.meta["sequence"] + other.meta["missed"] + 1
        both = {frame.meta["sequence"]: frame for frame in given}
        b.close()
        c = readers.enter_context(bridge.get_reader(uri, delivery="lossless"))
        for frame, _ in zip(c, range(8), strict=False):
            if (same := both.get(frame.meta["sequence"])) is not None:
                assert np.array_equal(frame, same)


def test_a_live_reader_is_a_stream() -> None:
    with published(live()) as uri, bridge.get_reader(uri) as reader:
        assert reader.get_length() == float("inf")
        third = reader.get_data(3)
        assert third.meta["index"] == 3
        assert reader.get_meta_data(3) == third.meta
        with pytest.raises(errors.NoSuchFrame, match="has passed"):
            reader.get_data(1)
        assert reader.get_meta_data()["size"] == [64, 48]
        with pickle.loads(pickle.dumps(reader)) as other:  # noqa: S301 - our own
            assert other.get_next_data().shape == (48, 64, 3)


def test_a_slow_reader_of_dependent_frames_never_has_a_broken_one(film: Path) -> None:
    """Of H.264 a frame without those before it is mud: it has key frames instead."""
    source = [np.asarray(frame).astype(int) for frame in bridge.mimread(film)]
    with published(live(), "h264") as uri, bridge.get_reader(uri) as reader:
        missed = 0
        for _ in range(4):
            for frame in (reader.get_next_data(), reader.get_next_data()):
                index = round(frame.meta["time"] * 25)
                if index < len(source):
                    assert np.abs(frame - source[index]).mean() < 8
                missed += frame.meta["missed"]
            time.sleep(0.5)
        assert missed > 5


def test_a_reader_cannot_choose_what_is_published(film: Path) -> None:
    with published(FilmSource(str(film))) as uri, Client(uri.removeprefix("zmq+")) as client:
        with pytest.raises(errors.ForbiddenOption, match="pixelformat"):
            client.open({"pixelformat": "gray"})
        with client.open() as stream:
            assert stream.read() is not None


# Keys


def test_whose_keys_are_wrong_gets_nothing(keys: Path, strange: Path) -> None:
    server = (keys / "worker.public").read_text().strip()
    with published(live(), None, keys) as uri:

        def read(deadline: float = 10.0, **kwargs: Any) -> None:
            with bridge.get_reader(uri, deadline=deadline, **kwargs) as reader:
                reader.get_data(0)

        for wrong in (
            {},  # plain text
            {"keys": strange},  # another worker's key, and an unknown reader
            {"keys": strange, "server_key": server},  # an unknown reader
            {"keys": keys, "server_key": strange / "worker.public"},
        ):
            with pytest.raises(errors.WorkerLost, match="no worker answers"):
                read(0.7, **wrong)
        with pytest.raises(errors.ForbiddenUri, match="needs keys="):
            read(server_key=server)
        read(keys=keys)
        read(keys=keys / "reader.secret", server_key=server)


def test_a_reader_that_is_let_in_later_needs_no_restart(tmp_path: Path) -> None:
    make_keys(tmp_path)
    with published(live(), None, tmp_path) as uri:
        make_keys(tmp_path, ["late"])
        with bridge.get_reader(uri, keys=tmp_path / "late.secret") as reader:
            assert reader.get_data(0).shape == (48, 64, 3)


def test_no_keys_no_open_port(capsys: pytest.CaptureFixture[str]) -> None:
    for address in ("tcp://0.0.0.0:*", "tcp://*:*"):
        assert main([*generator(), "--publish", address]) == 1
        assert "framebridge-worker keygen FOLDER" in capsys.readouterr().err
    with pytest.raises(errors.ForbiddenUri, match="there are no keys"):
        bridge.get_reader("zmq+tcp://192.0.2.1:5555")


@pytest.mark.parametrize(
    "uri", ["zmq+tcp://", "zmq+tcp://host", "zmq+tcp://host:port", "zmq+ipc:///x", "zmq+tcp://a:1/b"]
)
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(errors.UriError, match=r"zmq\+tcp://HOST:PORT"):
        bridge.get_reader(uri)


@pytest.mark.parametrize("wrong", [{"delivery": "all"}, {"deadline": 0}, {"deadline": float("nan")}])
def test_keywords_of_wrong_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        bridge.get_reader("zmq+tcp://127.0.0.1:9", **wrong)


def test_nothing_is_written_there() -> None:
    with pytest.raises(errors.UriError):
        bridge.get_writer("zmq+tcp://127.0.0.1:5555")
