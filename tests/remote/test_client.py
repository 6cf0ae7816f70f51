"""Client and worker: deliveries, requests, ends, and what each says of it."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bridge.errors import (
    Closed,
    CorruptMedia,
    ToolFailed,
    ToolTimeout,
    TruncatedMedia,
    UriNotFound,
    WireError,
    WorkerLost,
)
from bridge.limits import Limits
from bridge.remote import wire
from bridge.remote.client import Client
from tests.faults.other import until
from tests.remote.workers import Counter, Echo, number_of, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge_workers.serve import Server


@pytest.fixture
def counter() -> Iterator[tuple[Server, Path]]:
    with running(Counter()) as made:
        yield made


@pytest.fixture
def echo() -> Iterator[tuple[Server, Path]]:
    with running(Echo()) as made:
        yield made


def at(made: tuple[Server, Path], **options: Any) -> Client:
    return Client(made[1], subject="<test>", **options)


def test_hello_tells_who_is_there(counter: Any) -> None:
    with at(counter) as client:
        assert client.facts["kind"] == "test"
        assert client.facts["abilities"] == {"frames": True}
        assert abs(client.facts["wall"] + time.monotonic_ns() - time.time_ns()) < 1e9
        assert 0 < client.ping() < 3
        assert client.alive
        assert "open" in repr(client)
    assert "closed" in repr(client)
    with pytest.raises(Closed):
        client.ping()
    client.close()


def test_lossless_gives_every_frame_once_in_order(counter: Any) -> None:
    with at(counter) as client, client.open({"frames": 300}, delivery="lossless") as stream:
        assert stream.description["shape"] == [48, 64, 3]
        assert stream.description["asked"] == {"frames": 300}
        pictures = [(number_of(picture.array), picture.sequence, picture.stamp.pts) for picture in stream]
        assert pictures == [(index, index, index) for index in range(300)]
        assert stream.missed == 0
        assert stream.read() is None


def test_frames_that_are_kept_stay_as_they_were(counter: Any) -> None:
    server, _ = counter
    with at(counter) as client:
        kept = [picture.array for picture in client.open({"frames": 60}, delivery="lossless")]
        assert len(server._ring) <= 16
    assert [number_of(array) for array in kept] == [*range(60)]


def test_a_copy_can_be_written_to(counter: Any) -> None:
    with at(counter) as client:
        picture = client.open({}, copy=True).read()
        assert picture is not None
        picture.array[:] = 0
        view = client.open({}).read()
        assert view is not None
        assert not view.array.flags.writeable


def test_lossless_holds_the_source_up_and_takes_bounded_memory(counter: Any) -> None:
    """Fault 30, of a film: what is not read is not made."""
    server, _ = counter
    with at(counter) as client, client.open({"size": [720, 1280]}, delivery="lossless") as stream:
        assert number_of(_some(stream).array) == 0
        time.sleep(0.4)
        (feed,) = server.work.feeds
        made = feed._at
        assert made <= 4 + 4 + 2
        time.sleep(0.2)
        assert feed._at == made
        assert server._ring.nbytes <= 12 * (720 * 1280 * 3 + 4096)
        assert [number_of(_some(stream).array) for _ in range(50)] == [*range(1, 51)]


def test_latest_gives_the_newest_and_counts_the_others(counter: Any) -> None:
    """Fault 30, of a live source: a slow reader has what is new, and is told what it missed."""
    server, _ = counter
    with at(counter) as client, client.open({"fps": 200}) as stream:
        last = 0
        total = 0
        for _ in range(5):
            picture = _some(stream)
            (feed,) = server.work.feeds
            assert feed._at - number_of(picture.array) <= 3 + 20  # of a busy machine's
            total += picture.missed
            assert picture.sequence == last + picture.missed + (1 if last or picture.missed or picture.sequence else 0)
            last = picture.sequence
            time.sleep(0.1)
        assert stream.missed == total > 5
        assert server._ring.nbytes <= 8 * 3 * 4096


def _some(stream: Any) -> Any:
    picture = stream.read(10)
    assert picture is not None
    return picture


def test_the_last_frame_of_a_film_is_not_lost_to_latest(counter: Any) -> None:
    with at(counter) as client, client.open({"frames": 7}) as stream:
        time.sleep(0.2)
        assert [number_of(picture.array) for picture in stream] == [6]


def test_many_readers_of_one_source(counter: Any) -> None:
    server, _ = counter
    readers = [at(counter) for _ in range(5)]
    streams = [reader.open({"fps": 100, "shared": True}, delivery="lossless") for reader in readers]
    numbers = [[number_of(_some(stream).array) for stream in streams] for _ in range(20)]
    for row in np.transpose(numbers).tolist():
        assert row == [*range(row[0], row[0] + 20)]
    assert len(server.work.feeds) == 1
    for reader in readers[1:]:
        reader.close()
    assert number_of(_some(streams[0]).array) > 0
    streams[0].close()
    assert until(server.work.feeds[0]._closed.is_set)
    again = readers[0].open({"fps": 100, "shared": True})
    assert number_of(_some(again).array) <= 20
    assert len(server.work.feeds) == 2
    readers[0].close()


def test_two_streams_of_one_reader_do_not_mix(counter: Any) -> None:
    with at(counter) as client:
        one = client.open({"frames": 20, "size": [10, 20]}, delivery="lossless")
        two = client.open({"frames": 20, "size": [30, 40]}, delivery="lossless")
        for index in range(20):
            assert (number_of(_some(two).array), number_of(_some(one).array)) == (index, index)
        assert one.read() is two.read() is None


@pytest.mark.parametrize("delivery", wire.DELIVERIES)
def test_an_error_of_the_source_comes_after_its_frames(delivery: str, counter: Any) -> None:
    with at(counter) as client:
        stream = client.open({"frames": 5, "error": "TruncatedMedia", "fps": 50}, delivery=delivery)
        count = 0
        with pytest.raises(TruncatedMedia, match="the source says no") as caught:
            for _ in stream:
                count += 1
        assert caught.value.got == 5
        assert 0 < count <= 5
        assert count == 5 or delivery == "latest"
        with pytest.raises(TruncatedMedia):
            stream.read()
        assert client.alive


def test_a_source_that_is_not_there(counter: Any) -> None:
    with at(counter) as client:
        with pytest.raises(UriNotFound, match="no such camera"):
            client.open({"refuse": True})
        with pytest.raises(ValueError, match="delivery"):
            client.open(delivery="both")
        with pytest.raises(WireError, match="does not take"):
            client.ask("echo")
        assert number_of(_some(client.open()).array) >= 0


def test_a_source_that_is_slow_to_open_or_to_give(counter: Any) -> None:
    server, _ = counter
    with at(counter) as client:
        with pytest.raises(ToolTimeout, match=r"has not answered for 0\.2 s"):
            client.open({"slow": 1.0}, seconds=0.2)
        stream = client.open({"hang": 1}, delivery="lossless")
        assert number_of(_some(stream).array) == 0
        with pytest.raises(ToolTimeout, match=r"no frame for 0\.2 s"):
            stream.read(0.2)
        stream.close()
        assert until(lambda: not server._all_runs)


def test_a_stream_that_is_dropped_ends(counter: Any) -> None:
    server, _ = counter
    with at(counter) as client:
        stream = client.open({"fps": 50})
        _some(stream)
        del stream
        gc.collect()
        client.ping()
        assert until(lambda: not server._all_runs)


def test_a_worker_that_ends_says_so(counter: Any) -> None:
    server, _ = counter
    client = at(counter)
    stream = client.open({"fps": 50})
    _some(stream)
    server.end()
    with pytest.raises(WorkerLost, match=r"told to end|has ended"):
        for _ in range(100):
            stream.read()
    with pytest.raises(WorkerLost, match="told to end"):
        for _ in range(500):
            client.ping()
            time.sleep(0.01)
    assert not client.alive
    client.close()


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(WorkerLost, match="no worker"):
        Client(tmp_path, seconds=1)
    begun = time.monotonic()
    with pytest.raises(WorkerLost, match="has not answered"):
        Client("tcp://127.0.0.1:9", seconds=0.3)
    assert time.monotonic() - begun < 3


def test_requests_and_answers(echo: Any) -> None:
    with at(echo) as client:
        assert client.ask("echo", {"a": [1, None]}, data=b"\0\1").body == {"body": {"a": [1, None]}, "data": "0001"}
        reply = client.ask("array", {"shape": [300, 400], "value": 513})
        assert reply.array is not None
        assert (reply.array.shape, reply.array.dtype, reply.pixels) == ((300, 400), np.dtype("<u2"), "gray16le")
        assert (reply.array == 513).all()
        assert not reply.array.flags.writeable
        copy = client.ask("array", {"shape": [3], "value": 7}, copy=True).array
        assert copy is not None
        copy[:] = 1


def test_errors_of_requests(echo: Any) -> None:
    with at(echo) as client:
        with pytest.raises(CorruptMedia, match="damaged picture") as caught:
            client.ask("fail")
        assert caught.value.last_words == "bad Huffman code"
        with pytest.raises(ToolFailed, match="KeyError"):
            client.ask("fail", {"foreign": True})
        with pytest.raises(ToolFailed, match="AttributeError"):
            client.ask("nonsense")
        with pytest.raises(WireError, match="JSON"):
            client.ask("unwritable")
        with pytest.raises(WireError, match="no frames"):
            client.open()
        with pytest.raises(ValueError, match="no request 99"):
            client.wait(99)
        assert client.ask("echo").body["body"] == {}


def test_open_files_go_along(echo: Any, tmp_path: Path) -> None:
    with at(echo) as client, (tmp_path / "a").open("w+") as one, (tmp_path / "b").open("w+") as two:
        one.write("first")
        one.flush()
        two.write("second")
        two.flush()
        for _ in range(20):
            reply = client.ask("read", descriptors=[one.fileno(), two.fileno()])
            assert reply.body == {"content": ["first", "second"]}


def test_requests_at_the_same_time_are_answered_in_any_order(echo: Any) -> None:
    with at(echo) as client:
        slow = client.send("sleep", {"seconds": 0.5})
        numbers = [client.send("array", {"shape": [10 + value, 10], "value": value}) for value in range(20)]
        begun = time.monotonic()
        for value, number in reversed([*enumerate(numbers)]):
            reply = client.wait(number)
            assert reply.array is not None
            assert reply.array.shape == (10 + value, 10)
            assert (reply.array == value).all()
        assert time.monotonic() - begun < 0.5
        client.wait(slow)


def test_answers_that_are_kept_stay_as_they_were(echo: Any) -> None:
    server, _ = echo
    with at(echo) as client:
        kept = [client.ask("array", {"shape": [500, 500], "value": value}).array for value in range(30)]
        assert len(server._ring) <= 16
    assert [int(array.min()) for array in kept if array is not None] == [*range(30)]


def test_an_answer_that_nobody_waits_for_is_not_kept(echo: Any) -> None:
    server, _ = echo
    with at(echo) as client:
        number = client.send("hang")
        with pytest.raises(ToolTimeout):
            client.wait(number, seconds=0.1)
        assert server.work.forsaken.wait(5)
        for value in range(5):
            late = client.send("array", {"shape": [100, 100], "value": value})
            with pytest.raises((ToolTimeout, ValueError)):
                client.wait(late, seconds=0)
                raise ValueError("it was quick")
        client.ping()
        assert until(lambda: client.ping() > 0 and all(slot.free for slot in server._ring._slots.values()))


def test_threads_take_turns(echo: Any) -> None:
    found: list[int] = []
    with at(echo) as client:

        def work(value: int) -> None:
            for _ in range(20):
                reply = client.ask("array", {"shape": [20, 20], "value": value})
                assert reply.array is not None
                found.extend({int(one) for one in reply.array.reshape(-1)} - {value})

        threads = [threading.Thread(target=work, args=(value,)) for value in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == []


def test_another_thread_closes_while_one_waits(echo: Any) -> None:
    client = at(echo)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            client.ask("sleep", {"seconds": 2})
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.2)
    begun = time.monotonic()
    client.close()
    thread.join()
    assert time.monotonic() - begun < 1.5
    assert isinstance(raised[0], Closed | WorkerLost)


def test_a_client_that_is_dropped_lets_go(echo: Any) -> None:
    server, _ = echo
    before = held("fd")
    client = at(echo)
    array = client.ask("array", {"shape": [30, 30], "value": 3}).array
    del client
    gc.collect()
    assert until(lambda: not server._peers)
    assert array is not None
    assert (array == 3).all()
    assert until(lambda: held("fd") <= before)


def _listening(server: Server) -> str:
    """Have it listen at a port; that belongs to the thread of its loop."""
    addresses: list[str] = []
    server.post(lambda: addresses.append(server.listen("tcp://127.0.0.1:*")))
    assert until(lambda: addresses)
    return addresses[0]


def test_pixels_follow_in_the_message_where_memory_cannot_be_shared() -> None:
    for work in (Counter(), Echo()):
        with running(work) as (server, _), Client(_listening(server)) as client:
            if isinstance(work, Echo):
                reply = client.ask("array", {"shape": [30, 30], "value": 3})
                assert reply.array is not None
                assert (reply.array == 3).all()
                with pytest.raises(WireError, match="open files"):
                    client.ask("read", descriptors=[0])
            else:
                stream = client.open({"frames": 30}, delivery="lossless")
                assert [number_of(picture.array) for picture in stream] == [*range(30)]


def test_heartbeats_go_on_while_nobody_asks() -> None:
    limits = Limits(zmq_beat=0.1, zmq_lost=0.3)
    with running(Echo(), limits=limits) as made, at(made, limits=limits) as client:
        time.sleep(0.5)
        assert client.ask("echo").body["data"] == ""
        client.ask("sleep", {"seconds": 0.6})


def test_a_thousand_openings_leave_nothing(counter: Any) -> None:
    """As many as go into a few seconds; the rest is the loop below, by hand."""
    server, folder = counter
    cycle(folder, 10)
    gc.collect()
    before = left(server)
    end = time.monotonic() + 3
    count = 0
    while time.monotonic() < end and count < 1000:
        cycle(folder, 10)
        count += 10
    gc.collect()
    assert count >= 20
    assert until(lambda: left(server) == before), (before, left(server))


def test_readers_that_come_and_go_at_once_keep_their_lines(counter: Any) -> None:
    """A line gets the number of one that has just gone, whose end is still to be heard of."""
    _, folder = counter
    end = time.monotonic() + 2

    def work() -> int:
        count = 0
        while time.monotonic() < end:
            cycle(folder, 5)
            count += 5
        return count

    with ThreadPoolExecutor(4) as pool:
        assert sum(future.result() for future in [pool.submit(work) for _ in range(4)]) > 50


def held(what: str) -> int:
    return sum(1 for _ in Path("/proc/self", what).iterdir())


def cycle(folder: Path, count: int) -> None:
    for _ in range(count):
        with Client(folder) as client, client.open({"frames": 3}, delivery="lossless") as stream:
            assert number_of(_some(stream).array) == 0


def left(server: Server) -> tuple[int, ...]:
    maps = Path("/proc/self/maps").read_text().count("framebridge-frames")
    return (
        held("fd") - len(server._ring),
        threading.active_count(),
        held("task"),
        maps - len(server._ring),
        len(server._peers),
        len(server._all_runs),
        len(server._handlers),
    )


def test_a_wish_that_trips_the_worker_is_an_error_for_who_made_it(counter: Any) -> None:
    server, _ = counter
    server.work.share = lambda options: [options]  # which cannot be a key
    with at(counter) as client:
        with pytest.raises(ToolFailed, match="TypeError"):
            client.open()
        assert client.ping() < 3
