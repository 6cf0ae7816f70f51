"""What a worker publishes over TCP, read by another process: frames, keys, and everything that goes wrong on the way.

The source is one of ffmpeg's generators or a film: a stand-in for a camera, which shows nothing of what is special
about cameras.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import zmq

import bridge
from bridge import errors
from bridge.remote import wire
from bridge.remote.client import Client
from bridge.remote.keys import make_keys
from tests.capture.publishing import GENERATOR, Worker, generator

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
    options = ("--encode", encode) if encode else ()
    with Worker(film, "--keys", keys, *options) as worker:
        for _ in range(2):  # each reader has them from the first
            with bridge.get_reader(worker.uri, delivery="lossless", keys=keys) as reader:
                frames = list(reader)
            assert [frame.meta["sequence"] for frame in frames] == list(range(50))
            assert all(map(np.array_equal, frames, expected))
            assert not any(frame.meta["missed"] for frame in frames)
            assert [frame.meta["time"] for frame in frames] == pytest.approx([n / 25 for n in range(50)])
            assert frames[0].flags.writeable
        assert worker.end() == (0, "")


def test_readers_share_what_is_live_and_have_the_newest(readers: contextlib.ExitStack) -> None:
    with Worker(*generator()) as worker:
        a, b = (readers.enter_context(bridge.get_reader(worker.uri)) for _ in range(2))
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
        c = readers.enter_context(bridge.get_reader(worker.uri, delivery="lossless"))
        for frame, _ in zip(c, range(8), strict=False):
            if (same := both.get(frame.meta["sequence"])) is not None:
                assert np.array_equal(frame, same)


def test_a_live_reader_is_a_stream() -> None:
    with Worker(*generator()) as worker, bridge.get_reader(worker.uri) as reader:
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
    with Worker(*generator(), "--encode", "h264") as worker, bridge.get_reader(worker.uri) as reader:
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
    with Worker(film) as worker, Client(worker.address) as client:
        with pytest.raises(errors.ForbiddenOption, match="pixelformat"):
            client.open({"pixelformat": "gray"})
        with client.open() as stream:
            assert stream.read() is not None


# Keys


def test_whose_keys_are_wrong_gets_nothing(keys: Path, strange: Path) -> None:
    server = (keys / "worker.public").read_text().strip()
    with Worker(*generator(), "--keys", keys) as worker:

        def read(**kwargs: Any) -> None:
            with bridge.get_reader(worker.uri, deadline=1.0, **kwargs) as reader:
                reader.get_data(0)

        for wrong in (
            {},  # plain text
            {"keys": strange},  # another worker's key, and an unknown reader
            {"keys": strange, "server_key": server},  # an unknown reader
            {"keys": keys, "server_key": strange / "worker.public"},
        ):
            with pytest.raises(errors.WorkerLost, match="no worker answers"):
                read(**wrong)
        with pytest.raises(errors.ForbiddenUri, match="needs keys="):
            read(server_key=server)
        read(keys=keys)
        read(keys=keys / "reader.secret", server_key=server)
        status, words = worker.end()
        assert status == 0
        assert words.count("a key is refused") >= 1


def test_a_reader_that_is_let_in_later_needs_no_restart(tmp_path: Path) -> None:
    make_keys(tmp_path)
    with Worker(*generator(), "--keys", tmp_path) as worker:
        make_keys(tmp_path, ["late"])
        with bridge.get_reader(worker.uri, keys=tmp_path / "late.secret") as reader:
            assert reader.get_data(0).shape == (48, 64, 3)


def test_no_keys_no_open_port() -> None:
    for address in ("tcp://0.0.0.0:*", "tcp://*:*"):
        ended = subprocess.run(
            [sys.executable, "-m", "bridge_workers", *generator(), "--publish", address],
            check=False, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert ended.returncode == 1
        assert "framebridge-worker keygen FOLDER" in ended.stderr
        assert "Traceback" not in ended.stderr
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


# Who is there, and who is not


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_is_there() -> None:
    begin = time.monotonic()
    with pytest.raises(errors.WorkerLost, match="deadline="):
        bridge.get_reader(f"zmq+tcp://127.0.0.1:{free_port()}", deadline=0.7)
    assert 0.4 < time.monotonic() - begin < 5


def test_the_reader_may_be_first(keys: Path) -> None:
    port = free_port()
    found: list[Any] = []

    def read() -> None:
        with bridge.get_reader(f"zmq+tcp://127.0.0.1:{port}", deadline=30, keys=keys) as reader:
            found.append(reader.get_data(0))

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.5)
    with Worker(*generator(), "--keys", keys, address=f"tcp://127.0.0.1:{port}"):
        thread.join(30)
    assert found[0].shape == (48, 64, 3)


def begun_again(port: int, keys: Path) -> Worker:
    return Worker(*generator(), "--keys", keys, address=f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize("how", ["killed", "ended"])
@pytest.mark.parametrize("encode", [(), ("--encode", "h264")])
def test_a_worker_that_comes_back_is_read_on(how: str, encode: tuple[str, ...], keys: Path) -> None:
    with Worker(*generator(), "--keys", keys, *encode) as worker:
        port = worker.port
        with bridge.get_reader(worker.uri, keys=keys, deadline=30) as reader:
            frames = [reader.get_next_data() for _ in range(3)]
            worker.kill() if how == "killed" else worker.end()
            with Worker(*generator(), "--keys", keys, *encode, address=f"tcp://127.0.0.1:{port}"):
                frames += [reader.get_next_data() for _ in range(12)]  # some may still have been on their way
    assert [frame.meta["index"] for frame in frames] == list(range(15))
    assert frames[0].meta["connections"] == 1
    assert frames[-1].meta["connections"] == 2


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_worker_that_stays_away_is_told(how: str) -> None:
    with Worker(*generator()) as worker, bridge.get_reader(worker.uri, deadline=0.5) as reader:
        reader.get_next_data()
        worker.kill() if how == "killed" else worker.end()
        begin = time.monotonic()
        with pytest.raises(errors.WorkerLost):
            for _ in reader:
                pass
        assert time.monotonic() - begin < 10


def test_a_worker_that_stands_still_is_lost_and_found(keys: Path) -> None:
    """Half open: nothing comes, and nobody says that it is over."""
    with (
        Worker(*generator(), "--keys", keys) as worker,
        bridge.get_reader(worker.uri, keys=keys, deadline=30) as reader,
    ):
        reader.get_next_data()
        worker.process.send_signal(signal.SIGSTOP)
        timer = threading.Timer(4.5, worker.process.send_signal, [signal.SIGCONT])
        timer.start()
        begin = time.monotonic()
        while reader.get_next_data().meta["connections"] == 1:
            assert time.monotonic() - begin < 30
        timer.join()


_READ = """
import sys, bridge
reader = bridge.get_reader(sys.argv[1], delivery=sys.argv[2])
print(reader.get_next_data().shape, flush=True)
for frame in reader:
    pass
"""


@contextlib.contextmanager
def another(uri: str, delivery: str) -> Iterator[subprocess.Popen[str]]:
    """A reader in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", _READ, uri, delivery], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_reader_that_dies_or_stands_still_harms_nobody(how: signal.Signals) -> None:
    with Worker(*generator()) as worker:
        with another(worker.uri, "lossless") as other, bridge.get_reader(worker.uri) as reader:
            reader.get_next_data()
            other.send_signal(how)
            begin = time.monotonic()
            while time.monotonic() - begin < 5.0:  # it is given up after three seconds
                reader.get_next_data()
            frames = [reader.get_next_data() for _ in range(10)]
            assert frames[-1].meta["connections"] == 1
            assert sum(frame.meta["missed"] for frame in frames) < 40
        process = psutil.Process(worker.process.pid)
        until(lambda: not [child for child in process.children(recursive=True) if "ffmpeg" in child.name()])


# Who says other things than it should


def test_garbage_on_the_port(keys: Path) -> None:
    for options in ((), ("--keys", keys)):
        with Worker(*generator(), *options) as worker:
            place = ("127.0.0.1", worker.port)
            for data in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(70000), b"\xff" + bytes(8) + b"\x7f", b"\0" * 64):
                with socket.create_connection(place, 5) as end, contextlib.suppress(OSError):
                    end.sendall(data)
            silent = socket.create_connection(place, 5)  # says nothing at all
            with bridge.get_reader(worker.uri, keys=keys if options else None) as reader:
                assert reader.get_data(2).shape == (48, 64, 3)
            silent.close()
            status, words = worker.end()
            assert status == 0
            assert "Traceback" not in words


@contextlib.contextmanager
def stranger(address: str) -> Iterator[zmq.Socket[Any]]:
    """Somebody who speaks ZeroMQ."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as end:
        end.linger = 0
        end.connect(address)
        yield end


def test_messages_that_are_none() -> None:
    hello = wire.pack(wire.Hello(facts={"version": wire.VERSION}))
    with Worker(*generator()) as worker:
        for parts in ([b""], [b"x"], [os.urandom(50)], [*hello, b"more"], [hello[0][:8], hello[1]],
                      [bytes(hello[0]).replace(b"FBRG", b"GRBF"), hello[1]], wire.pack(wire.Credit(number=3, frames=2)),
                      [b"y"] * 100):  # fmt: skip
            with stranger(worker.address) as end:
                end.send_multipart(parts)
                assert end.poll(5000)
                answer = wire.unpack(end.recv_multipart())
                assert isinstance(answer, wire.Fault)
        with bridge.get_reader(worker.uri) as reader:
            assert reader.get_data(2).shape == (48, 64, 3)


def test_a_message_that_is_too_large_for_the_worker() -> None:
    from bridge.limits import Limits
    from bridge_workers.film import FilmSource
    from bridge_workers.serve import Server

    server = Server("file", FilmSource(GENERATOR, lavfi=True, paced=True), limits=Limits(zmq_message=1 << 16))
    address = server.listen("tcp://127.0.0.1:*")
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with Client(address) as client:
            with stranger(address) as end:
                end.send_multipart([bytes(1 << 20)])
                assert not end.poll(300)
            with client.open() as stream:
                assert stream.read() is not None
    finally:
        server.end()
        thread.join(20)


def test_frames_that_are_too_large_for_the_reader() -> None:
    with Worker(*generator()) as worker:
        for limits, name in ((bridge.Limits(zmq_message=4096), "zmq_message"), (bridge.Limits(pixels=3000), "pixels")):
            with pytest.raises(errors.LimitExceeded, match=name):
                bridge.get_reader(worker.uri, limits=limits)


def test_a_message_that_is_too_large_for_the_reader() -> None:
    """Compressed, it is not known beforehand how large they are: the connection is cut each time, nothing comes."""
    limits = bridge.Limits(zmq_message=1024)
    with Worker(*generator(), "--encode", "ffv1") as worker:
        with bridge.get_reader(worker.uri, limits=limits, deadline=1.0) as reader:
            begin = time.monotonic()
            with pytest.raises(errors.WorkerLost):
                reader.get_data(0)
            assert time.monotonic() - begin < 15
        with bridge.get_reader(worker.uri) as reader:
            assert reader.get_data(0).shape == (48, 64, 3)


def test_a_worker_of_another_version() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        port = router.bind_to_random_port("tcp://127.0.0.1")

        def answer() -> None:
            name, *_ = router.recv_multipart()
            head, body = wire.pack(wire.Hello(facts={}))
            router.send_multipart([name, bytes(head[:4]) + b"\x63\0" + bytes(head[6:]), body])

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(errors.WrongVersion, match="install the same version"):
            bridge.get_reader(f"zmq+tcp://127.0.0.1:{port}", deadline=5)
        thread.join()
