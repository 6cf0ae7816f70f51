"""Faults 3, 7, 26 to 31 but 29, 44 and 45: workers and their readers that die, hang, lie, or speak another version."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import zmq

from bridge.errors import BridgeError, Closed, LimitExceeded, ToolTimeout, WireError, WorkerLost, WrongVersion
from bridge.limits import Limits
from bridge.remote import wire
from bridge.remote.client import Client
from tests.faults.other import Other, fully_gone, script, until
from tests.remote.workers import Apart, Counter, Echo, number_of, private, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOST = 3.0 + 1.5  # seconds: the promise, and what a busy machine adds


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def read(stream: Any) -> Any:
    picture = stream.read(10)
    assert picture is not None
    return picture


# A worker that is killed or hangs


@pytest.mark.parametrize("delivery", wire.DELIVERIES)
def test_a_worker_is_killed_while_it_is_read(delivery: str) -> None:
    with Apart("counter") as apart, Client(apart.folder) as client:
        stream = client.open({"fps": 100}, delivery=delivery)
        kept = read(stream).array
        number = number_of(kept)
        apart.hurt(signal.SIGKILL)
        with within(LOST), pytest.raises(WorkerLost):
            for _ in range(100):
                stream.read()
        assert number_of(kept) == number  # still there
        with within(0.5), pytest.raises(WorkerLost):
            stream.read()
        assert not client.alive


def test_a_worker_is_killed_while_it_answers() -> None:
    with Apart("echo") as apart, Client(apart.folder) as client:
        number = client.send("sleep", {"seconds": 30})
        apart.hurt(signal.SIGKILL)
        with within(LOST), pytest.raises(WorkerLost):
            client.wait(number)


def test_a_worker_that_is_suspended_is_lost() -> None:
    with Apart("counter") as apart, Client(apart.folder) as client:
        stream = client.open({"fps": 100}, delivery="lossless")
        read(stream)
        apart.hurt(signal.SIGSTOP)
        with within(LOST), pytest.raises(WorkerLost, match="no sign of life for 3 s"):
            for _ in range(100):
                stream.read()


def test_a_worker_that_is_suspended_and_goes_on_in_time_is_not() -> None:
    with Apart("echo") as apart, Client(apart.folder) as client:
        number = client.send("array", {"shape": [9, 9], "value": 5})
        apart.hurt(signal.SIGSTOP)
        timer = threading.Timer(1.0, apart.hurt, [signal.SIGCONT])
        timer.start()
        assert client.wait(number).array is not None
        timer.join()
        assert client.ping() < 1


_WITH_A_WORKER = """
from bridge.remote.supervisor import Supervisor
supervisor = Supervisor("file", "testsrc2=s=64x48:r=25", "--lavfi", "--paced")
client = supervisor.connect()
stream = client.open()
stream.read()
say("ready")
sys.stdin.readline()
"""


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_python_is_killed_and_its_workers_end_with_all_that_they_started(number: int) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="fb-") as temporary:
        with Other(_WITH_A_WORKER, TMPDIR=temporary) as other:
            assert other.hear() == "ready"
            family = other.look()
            names = [process.name() for process in family]
            assert len(family) >= 4, names  # our spawner, the worker, its spawner, ffmpeg
            assert any("ffmpeg" in name for name in names)
            other.hurt(number)
            other.end()
            assert fully_gone(family, 2) == []
        assert until(lambda: not [*Path(temporary).iterdir()], 2)


# Readers that go or hang


_READER = """
from bridge.remote.client import Client
client = Client(sys.argv[1])
stream = client.open({"shared": True, "fps": 100, "size": [480, 640]}, delivery=sys.argv[2])
kept = [stream.read() for _ in range(3)]
say("ready")
sys.stdin.readline()
try:
    while stream.read():
        pass
except bridge.BridgeError as error:
    say(type(error).__name__, error)
"""


@pytest.mark.parametrize("delivery", wire.DELIVERIES)
def test_a_reader_is_killed_and_others_go_on(delivery: str) -> None:
    with running(Counter()) as (server, folder), Client(folder) as client:
        stream = client.open({"shared": True, "fps": 100, "size": [480, 640]})
        read(stream)
        with Other(_READER, folder, delivery) as other:
            assert other.hear() == "ready"
            assert len(server._peers) == 2
            other.hurt(signal.SIGKILL)
            assert until(lambda: len(server._peers) == 1, 3)
            last = -1
            for _ in range(30):
                assert last < (last := number_of(read(stream).array))
        assert all(len(slot.readers) <= 1 for slot in server._ring._slots.values())
        assert len(server._ring) <= 16


def test_a_reader_that_is_suspended_holds_nobody_up_for_long() -> None:
    """One that wants every frame of a source that others read, too, and takes none, is told so and left behind."""
    with running(Counter(), limits=Limits(zmq_lost=1)) as (server, folder), Client(folder) as client:
        stream = client.open({"shared": True, "fps": 100, "size": [480, 640]})
        read(stream)
        with Other(_READER, folder, "lossless") as other:
            assert other.hear() == "ready"
            other.hurt(signal.SIGSTOP)
            with within(LOST + 1):
                last = number_of(read(stream).array)
                while number_of(read(stream).array) < last + 50:
                    pass
            (run,) = server._all_runs
            assert len(run.deliveries) == 1
            other.hurt(signal.SIGCONT)
            other.go_on()
            assert "while other readers of this source waited" in other.hear()


def test_a_reader_alone_may_be_as_slow_as_it_likes() -> None:
    limits = Limits(zmq_lost=0.3)
    with running(Counter(), limits=limits) as (_, folder), Client(folder) as client:
        stream = client.open({"shared": True}, delivery="lossless")
        numbers = [number_of(read(stream).array)]
        time.sleep(1)
        numbers += [number_of(read(stream).array) for _ in range(20)]
        assert numbers == [*range(21)]


@pytest.mark.parametrize("what", ["frames", "answers"])
def test_a_reader_vanishes_with_unsent_frames_and_the_worker_ends_in_time(what: str) -> None:
    """Fault 31."""
    with Apart("counter" if what == "frames" else "echo") as apart:
        client = Client(apart.folder)
        if what == "frames":
            client.open({"size": [480, 640]}, delivery="lossless").read()
        else:
            for _ in range(20):
                client.send("array", {"shape": [500, 500], "value": 1})
        client.abort()
        begun = time.monotonic()
        apart.hurt(signal.SIGTERM)
        assert apart.process.wait(10) == 0
        assert time.monotonic() - begun < 1 + 2


def test_a_reader_ends_in_time_though_the_worker_hangs() -> None:
    """Fault 31, the other way round: what it still has to say does not hold it for more than a second."""
    with Apart("echo") as apart:
        client = Client(apart.folder)
        apart.hurt(signal.SIGSTOP)
        for _ in range(50):
            client.send("echo", data=bytes(100_000))
        with within(2.5):
            client.close()


# What comes is not what should


def dealer(folder: Path, name: bytes = b"x") -> tuple[zmq.Context[Any], zmq.Socket[Any]]:
    context = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.setsockopt(zmq.LINGER, 0)
    plain.setsockopt(zmq.ROUTING_ID, name)
    plain.connect(f"ipc://{folder}/control")
    return context, plain


@contextlib.contextmanager
def plain(folder: Path) -> Iterator[zmq.Socket[Any]]:
    context, made = dealer(folder)
    yield made
    made.close()
    context.term()


def heard(from_: zmq.Socket[Any]) -> wire.Message:
    assert from_.poll(3000)
    return wire.unpack(from_.recv_multipart())


GARBAGE: dict[str, Callable[[], list[bytes]]] = {
    "nothing": lambda: [b""],
    "random": lambda: [os.urandom(200)],
    "many parts": lambda: [b"a"] * 50,
    "no such kind": lambda: [b"FBRG" + bytes([1, 0, 77, 0]) + bytes(4)],
    "no json": lambda: [bytes(wire.pack(wire.Hello())[0]), b"{{{"],
    "deep json": lambda: [bytes(wire.pack(wire.Hello())[0]), b"[" * 500_000],
    "a lie of its size": lambda: [bytes(wire.pack(_frame())[0]), b"short"],
    "memory without a line": lambda: [*map(bytes, wire.pack(wire.Hello(facts={"memory": True})))],
}


def _frame() -> wire.Frame:
    layout = wire.Layout(dtype=np.dtype("u1"), shape=(1000, 1000))
    return wire.Frame(number=1, sequence=0, layout=layout, stamp=wire.Stamp(captured=0), data=bytes(1_000_000))


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_with_one_line_and_others_go_on(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with running(Counter()) as (server, folder), Client(folder) as client, plain(folder) as stranger:
        stream = client.open({"fps": 100})
        stranger.send_multipart(GARBAGE[name]())
        answer = heard(stranger)
        assert isinstance(answer, wire.Fault)
        assert answer.name == "WireError"
        assert until(lambda: server.counts["refused"] == 1)
        assert len([record for record in caplog.records if "refused" in record.message]) == 1
        read(stream)


def test_much_garbage_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with running(Counter()) as (server, folder), plain(folder) as stranger:
        for _ in range(200):
            stranger.send_multipart([b"x"])
            assert isinstance(heard(stranger), wire.Fault)
        assert server.counts["refused"] == 200
        assert 0 < len(caplog.records) <= 10


def test_a_reader_that_turns_to_garbage_is_forgotten() -> None:
    with running(Counter()) as (server, folder), plain(folder) as stranger:
        stranger.send_multipart([*map(bytes, wire.pack(wire.Hello()))])
        assert isinstance(heard(stranger), wire.Hello)
        stranger.send_multipart([*map(bytes, wire.pack(wire.Open(number=1, delivery="latest", options={"fps": 50})))])
        assert isinstance(heard(stranger), wire.Answer)
        assert server._all_runs
        stranger.send_multipart([b"garbage"])
        assert isinstance(heard(stranger), wire.Fault)
        assert until(lambda: not server._peers and not server._all_runs)


def test_garbage_on_the_bare_socket() -> None:
    with running(Counter()) as (server, folder), Client(folder) as client:
        before = len(server._handlers)
        for _ in range(100):
            with socket.socket(socket.AF_UNIX) as bare:
                bare.connect(f"{folder}/control")
                with contextlib.suppress(OSError):
                    bare.sendall(os.urandom(3000))
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as bare:
                bare.connect(f"{folder}/memory")
                bare.send(os.urandom(50))
        assert client.ping() < 3
        assert len(server._handlers) == before
        assert len(server._peers) == 1


def test_an_oversized_message_ends_the_connection_and_takes_no_memory() -> None:
    """Fault 28: what is too large is not read."""
    limits = Limits(zmq_message=1 << 20)
    with Apart("echo") as apart, Client(apart.folder) as client, plain(apart.folder) as stranger:
        memory = psutil.Process(apart.process.pid).memory_info().rss
        stranger.send_multipart([*map(bytes, wire.pack(wire.Hello()))])
        assert isinstance(heard(stranger), wire.Hello)
        stranger.send_multipart([*map(bytes, wire.pack(wire.Ask(number=1, what="echo", data=bytes(257 << 20))))])
        time.sleep(1)
        assert psutil.Process(apart.process.pid).memory_info().rss < memory + (64 << 20)
        assert client.ask("echo").body["data"] == ""
    with running(Echo(), limits=limits) as (server, folder):
        with Client(folder) as client, pytest.raises(WorkerLost):
            client.ask("echo", data=bytes(2 << 20), seconds=5)
        with Client(folder, limits=limits) as client:
            with pytest.raises(LimitExceeded, match="zmq_message"):
                client.ask("echo", data=bytes(2 << 20), seconds=2)
            reply = client.ask("array", {"shape": [2000, 2000], "value": 1})
            assert reply.array is not None  # in shared memory it is no message
        ports: list[str] = []
        server.post(lambda: ports.append(server.listen("tcp://127.0.0.1:*")))
        assert until(lambda: ports)
        with Client(ports[0], limits=limits) as client, pytest.raises(LimitExceeded, match="zmq_message"):
            client.ask("array", {"shape": [2000, 2000], "value": 1})
    with running(Counter(), limits=limits) as (server, folder):
        server.post(lambda: ports.append(server.listen("tcp://127.0.0.1:*")))
        assert until(lambda: len(ports) > 1)
        with Client(ports[1], limits=limits) as client, pytest.raises(LimitExceeded, match="zmq_message"):
            client.open({"size": [2000, 2000]}).read()


def test_another_version_is_refused_by_the_worker() -> None:
    """Fault 44."""
    with running(Counter()) as (server, folder), plain(folder) as stranger:
        parts = [*map(bytes, wire.pack(wire.Hello()))]
        parts[0] = parts[0][:4] + (99).to_bytes(2, "little") + parts[0][6:]
        stranger.send_multipart(parts)
        answer = heard(stranger)
        assert isinstance(answer, wire.Fault)
        assert answer.name == "WrongVersion"
        assert "version 99" in answer.message
        assert not server._peers


def _false_worker(folder: Path, answer: Callable[[list[bytes]], list[bytes] | None]) -> threading.Thread:
    """Something that answers as it likes, by the socket of a worker."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.bind(f"ipc://{folder}/control")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{folder}/memory")
    listener.listen()

    def work() -> None:
        end, _ = listener.accept()
        with end, listener:
            while router.poll(700):
                name, *parts = router.recv_multipart()
                if reply := answer(parts):
                    router.send_multipart([name, *reply])
                if wire.unpack(parts) == wire.Bye(reason="closed"):
                    break
        router.close()
        context.term()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_worker_of_another_version_is_refused() -> None:
    """Fault 44: one that was upgraded under us."""

    def other(_: list[bytes]) -> list[bytes]:
        parts = [*map(bytes, wire.pack(wire.Hello()))]
        return [parts[0][:4] + (7).to_bytes(2, "little") + parts[0][6:], parts[1]]

    with private() as folder:
        thread = _false_worker(folder, other)
        with within(3), pytest.raises(WrongVersion, match="version 7"):
            Client(folder)
        thread.join(10)


def test_a_worker_that_says_nothing_or_garbage() -> None:
    with private() as folder:
        thread = _false_worker(folder, lambda _: None)
        with within(3), pytest.raises(WorkerLost, match="has not answered"):
            Client(folder, seconds=0.5)
        thread.join(10)
    with private() as folder:
        thread = _false_worker(folder, lambda _: [b"garbage"])
        with within(3), pytest.raises(WireError):
            Client(folder)
        thread.join(10)


def test_a_worker_that_speaks_of_memory_that_is_not_there() -> None:
    layout = wire.Layout(dtype=np.dtype("u1"), shape=(4, 4))

    def answers(parts: list[bytes]) -> list[bytes] | None:
        message = wire.unpack(parts)
        if isinstance(message, wire.Hello):
            return [*map(bytes, wire.pack(wire.Hello(facts={"kind": "false"})))]
        if isinstance(message, wire.Ask):
            return [*map(bytes, wire.pack(wire.Answer(number=message.number, layout=layout, slot=5)))]
        return None

    limits = Limits(zmq_lost=0.5)
    with private() as folder:
        thread = _false_worker(folder, answers)
        with within(8), Client(folder, limits=limits) as client, pytest.raises(WorkerLost, match="slot 5 did not come"):
            client.ask("anything")
        thread.join(10)


# A network that fails


class _Relay:
    """Stands between a reader and a worker, and can stop passing anything on while both connections stay."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._to = port
        self._dead = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def drop(self) -> None:
        self._dead.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                two = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [one, two]
                for ends in ((one, two), (two, one)):
                    thread = threading.Thread(target=self._pass, args=ends)
                    thread.start()
                    self._threads.append(thread)

    def _pass(self, one: socket.socket, two: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if not self._dead.is_set():
                    two.sendall(data)

    def close(self) -> None:
        for end in [self._listener, *self._ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(5)


@pytest.mark.parametrize("what", ["frames", "answer"])
def test_a_half_open_connection_is_found(what: str) -> None:
    """Faults 26 and 27."""
    work: Any = Counter() if what == "frames" else Echo()
    limits = Limits(zmq_beat=0.3, zmq_lost=1)
    with running(work, limits=limits) as (server, _):
        ports: list[str] = []
        server.post(lambda: ports.append(server.listen("tcp://127.0.0.1:*")))
        assert until(lambda: ports)
        relay = _Relay(int(ports[0].rpartition(":")[2]))
        try:
            with Client(f"tcp://127.0.0.1:{relay.port}", limits=limits) as client:
                stream = client.open({"fps": 50}) if what == "frames" else None
                if stream is not None:
                    read(stream)
                relay.drop()
                with within(LOST + 1), pytest.raises(WorkerLost, match="no sign of life"):
                    if stream is not None:
                        for _ in range(100):
                            stream.read()
                    client.ask("echo")
                with within(0.5), pytest.raises(WorkerLost):
                    client.ping()
        finally:
            relay.close()
        assert until(lambda: not server._peers, 5)


# Forks


_FORKED = """
warnings.simplefilter("ignore", DeprecationWarning)
from bridge.remote.client import Client
client = Client(sys.argv[1])
stream = client.open({"fps": 100}, delivery="lossless")
kept = stream.read()
fork = os.fork()
if not fork:
    for call in (client.ping, stream.read, lambda: client.ask("echo"), client.open):
        try:
            call()
        except bridge.errors.Closed as error:
            assert "fork" in str(error), error
        else:
            say("used it")
    with Client(sys.argv[1]) as own, own.open({"fps": 100}) as other:
        assert other.read().array.shape == (48, 64, 3)
    client.close()
    del client, stream, kept
    gc.collect()
    say("fork done")
    sys.exit(0)
assert os.waitpid(fork, 0)[1] == 0
numbers = [stream.read().sequence for _ in range(50)]
assert numbers == [*range(1, 51)], numbers
assert client.ping() < 3
client.close()
say("done")
"""


def test_a_fork_says_so_or_connects_anew_and_does_no_harm() -> None:
    with Apart("counter") as apart:
        ended = script(_FORKED, apart.folder)
        assert ended.stdout.split("\n")[:2] == ["fork done", "done"], ended.stderr
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""


def test_a_program_that_forgets_to_close_ends_in_time() -> None:
    body = """
from bridge.remote.client import Client
client = Client(sys.argv[1])
stream = client.open({"fps": 100}, delivery="lossless")
kept = [stream.read() for _ in range(3)]
loop = [client, stream, kept]
loop.append(loop)
say("end")
"""
    with Apart("counter") as apart:
        with within(8):
            ended = script(body, apart.folder)
        assert (ended.stdout, ended.returncode, ended.stderr) == ("end\n", 0, "")
        with Client(apart.folder) as client:
            assert client.ping() < 3


def test_closed_is_closed() -> None:
    with running(Counter()) as (_, folder):
        client = Client(folder)
        stream = client.open({"fps": 50})
        stream.close()
        stream.close()
        with pytest.raises(Closed):
            stream.read()
        client.abort()
        client.close()
        with pytest.raises(BridgeError):
            client.open()
        assert issubclass(ToolTimeout, TimeoutError)


def test_abort_waits_for_nobody() -> None:
    with Apart("echo") as apart:
        client = Client(apart.folder)
        apart.hurt(signal.SIGSTOP)
        for _ in range(50):
            client.send("echo", data=bytes(100_000))
        with within(0.8):
            client.abort()
