"""What goes wrong between a worker that publishes and its readers: who is late, dies, stands still, talks nonsense."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import zmq

import bridge
from bridge import errors
from bridge.limits import Limits
from bridge.remote import wire
from bridge.remote.client import Client
from bridge.remote.keys import make_keys
from tests.capture.publishing import Worker, generator, live, published

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

QUICK = Limits(zmq_beat=0.2, zmq_lost=0.6)


@pytest.fixture(autouse=True)
def _no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMEBRIDGE_KEYS", raising=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


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


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_worker_that_comes_back_is_read_on(how: str, keys: Path) -> None:
    encode = ("--encode", "h264") if how == "killed" else ()
    with Worker(*generator(), "--keys", keys, *encode) as worker:
        port = worker.port
        with bridge.get_reader(worker.uri, keys=keys, deadline=30, limits=QUICK) as reader:
            frames = [reader.get_next_data() for _ in range(3)]
            worker.kill() if how == "killed" else worker.end()
            with Worker(*generator(), "--keys", keys, *encode, address=f"tcp://127.0.0.1:{port}"):
                frames += [reader.get_next_data() for _ in range(12)]  # some may still have been on their way
    assert [frame.meta["index"] for frame in frames] == list(range(15))
    assert frames[0].meta["connections"] == 1
    assert frames[-1].meta["connections"] == 2


def test_a_worker_that_stays_away_is_told() -> None:
    with Worker(*generator()) as worker, bridge.get_reader(worker.uri, deadline=0.5, limits=QUICK) as reader:
        reader.get_next_data()
        worker.kill()
        begin = time.monotonic()
        with pytest.raises(errors.WorkerLost):
            for _ in reader:
                pass
        assert time.monotonic() - begin < 10


def test_a_worker_that_stands_still_is_lost_and_found(keys: Path) -> None:
    """Half open: nothing comes, and nobody says that it is over."""
    with (
        Worker(*generator(), "--keys", keys) as worker,
        bridge.get_reader(worker.uri, keys=keys, deadline=30, limits=QUICK) as reader,
    ):
        reader.get_next_data()
        worker.process.send_signal(signal.SIGSTOP)
        timer = threading.Timer(1.5, worker.process.send_signal, [signal.SIGCONT])
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
    with published(live(), limits=QUICK) as uri, another(uri, "lossless") as other, bridge.get_reader(uri) as reader:
        reader.get_next_data()
        other.send_signal(how)
        begin = time.monotonic()
        while time.monotonic() - begin < 3.0:  # it is given up meanwhile
            reader.get_next_data()
        frames = [reader.get_next_data() for _ in range(10)]
        assert frames[-1].meta["connections"] == 1
        assert sum(frame.meta["missed"] for frame in frames) < 40


# Who says other things than it should


def test_garbage_on_the_port(keys: Path) -> None:
    for secret in (None, keys):
        with published(live(), None, secret) as uri:
            place = ("127.0.0.1", int(uri.rpartition(":")[2]))
            for data in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(70000), b"\xff" + bytes(8) + b"\x7f", b"\0" * 64):
                with socket.create_connection(place, 5) as end, contextlib.suppress(OSError):
                    end.sendall(data)
            silent = socket.create_connection(place, 5)  # says nothing at all
            with bridge.get_reader(uri, keys=secret) as reader:
                assert reader.get_data(2).shape == (48, 64, 3)
            silent.close()


@contextlib.contextmanager
def stranger(address: str) -> Iterator[zmq.Socket[Any]]:
    """Somebody who speaks ZeroMQ."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as end:
        end.linger = 0
        end.connect(address)
        yield end


def test_messages_that_are_none() -> None:
    hello = wire.pack(wire.Hello(facts={"version": wire.VERSION}))
    with published(live()) as uri:
        for parts in ([b""], [b"x"], [os.urandom(50)], [*hello, b"more"], [hello[0][:8], hello[1]],
                      [bytes(hello[0]).replace(b"FBRG", b"GRBF"), hello[1]], wire.pack(wire.Credit(number=3, frames=2)),
                      [b"y"] * 100):  # fmt: skip
            with stranger(uri.removeprefix("zmq+")) as end:
                end.send_multipart(parts)
                assert end.poll(5000)
                answer = wire.unpack(end.recv_multipart())
                assert isinstance(answer, wire.Fault)
        with bridge.get_reader(uri) as reader:
            assert reader.get_data(2).shape == (48, 64, 3)


def test_a_message_that_is_too_large_for_the_worker() -> None:
    with published(live(), limits=Limits(zmq_message=1 << 16)) as uri, Client(uri.removeprefix("zmq+")) as client:
        with stranger(uri.removeprefix("zmq+")) as end:
            end.send_multipart([bytes(1 << 20)])
            assert not end.poll(300)
        with client.open() as stream:
            assert stream.read() is not None


def test_frames_that_are_too_large_for_the_reader() -> None:
    with published(live()) as uri:
        for limits, name in ((bridge.Limits(zmq_message=4096), "zmq_message"), (bridge.Limits(pixels=3000), "pixels")):
            with pytest.raises(errors.LimitExceeded, match=name):
                bridge.get_reader(uri, limits=limits)


def test_a_message_that_is_too_large_for_the_reader() -> None:
    """Compressed, it is not known beforehand how large they are: the connection is cut each time, nothing comes."""
    limits = bridge.Limits(zmq_message=1024)
    with published(live(), "ffv1") as uri:
        with bridge.get_reader(uri, limits=limits, deadline=0.5) as reader:
            begin = time.monotonic()
            with pytest.raises(errors.WorkerLost):
                reader.get_data(0)
            assert time.monotonic() - begin < 15
        with bridge.get_reader(uri) as reader:
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
