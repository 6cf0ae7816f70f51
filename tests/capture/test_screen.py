"""The screen: an X server whose frame buffer is a file, so that what has to come back is known to the bit."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge import errors
from bridge.capture import hosts
from bridge.capture.argv import Grab, screen
from bridge.capture.live import Live, Meter, captured_at
from bridge.capture.x11 import place_of, screen_sizes
from bridge.process.tools import toolbox
from bridge.remote.ring import Slot
from bridge_workers.work import Request
from tests.capture.conftest import HEIGHT, WIDTH, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bridge.media.framing import FrameHead
    from tests.capture.conftest import Display

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg", "Xvfb")]


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    hosts.stop()


def _random(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def test_every_pixel_comes_back_and_only_new_ones(display: Display) -> None:
    """Each picture is shown just before the call: what was grabbed ahead must never be given."""
    for seed in range(6):
        picture = _random(seed)
        display.show(picture)
        grabbed = bridge.imread("<screen>")
        assert grabbed.dtype == np.uint8
        assert np.array_equal(grabbed, picture)
        assert grabbed.flags.c_contiguous
        assert grabbed.flags.writeable
        assert grabbed.meta["size"] == (WIDTH, HEIGHT)
        assert abs(grabbed.meta["captured"] - time.time_ns() / 1e9) < 30


def test_one_program_for_many_pictures(display: Display) -> None:
    display.show(_random(0))
    bridge.imread("<screen>")
    before = _ffmpegs()
    assert len(before) == 1
    for seed in range(3):
        display.show(_random(seed))
        bridge.imread("<screen>")
    assert _ffmpegs() == before


def _ffmpegs() -> set[int]:
    found = set()
    for child in psutil.Process().children(recursive=True):
        if "x11grab" in child.cmdline():
            found.add(child.pid)
    return found


def test_a_stream_of_the_screen(display: Display) -> None:
    with bridge.get_reader("<screen>") as reader:
        assert reader.get_length() == math.inf
        with pytest.raises(TypeError, match="stream"):
            len(reader)
        picture = np.empty(0)
        for seed, frame in enumerate(reader):
            if seed:
                assert np.array_equal(frame, picture)
                assert frame.meta["index"] == seed
            if seed == 4:
                break
            picture = _random(seed)
            display.show(picture)
        assert np.array_equal(reader.get_data(4), frame)  # the last one is still there
        with pytest.raises(errors.NoSuchFrame, match="live"):
            reader.get_data(1)
        assert reader.get_next_data().meta["index"] == 5
        assert reader.info.video.width == WIDTH


def test_a_part_of_it(display: Display) -> None:
    picture = _random(3)
    display.show(picture)
    for region in ((0, 0, 1, 1), (13, 7, 101, 33), (WIDTH - 5, HEIGHT - 3, 5, 3), (0, 0, WIDTH, HEIGHT)):
        left, top, width, height = region
        grabbed = bridge.imread("<screen>", region=region)
        assert np.array_equal(grabbed, picture[top : top + height, left : left + width])


def test_the_pointer_is_drawn_only_when_asked_for(display: Display) -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    display.show(black)
    assert not bridge.imread("<screen>").any()
    assert bridge.imread("<screen>", cursor=True).any()


def test_another_display_by_its_name(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    picture = _random(5)
    display.show(picture)
    assert np.array_equal(bridge.imread("<screen>", display=display.name), picture)
    assert np.array_equal(bridge.imread("<screen>", display=int(display.name[1:])), picture)


@pytest.mark.parametrize(
    "options",
    [
        {"region": (0, 0, WIDTH + 1, 10)},
        {"region": (1, 2, 3)},
        {"region": (0, 0, 0, 5)},
        {"region": (-1, 0, 5, 5)},
        {"display": "nonsense"},
        {"fps": 0},
        {"cursor": "yes"},
    ],
    ids=str,
)
def test_what_makes_no_sense(options: dict[str, Any], display: Display) -> None:
    del display
    with pytest.raises(ValueError, match=next(iter(options))):
        bridge.imread("<screen>", **options)


def test_unknown_keywords(display: Display) -> None:
    del display
    with pytest.raises(TypeError, match="SCREEN does not know"):
        bridge.imread("<screen>", colour=True)


def test_no_display(no_display: None) -> None:
    del no_display
    with pytest.raises(errors.DeviceMissing, match="no display"):
        bridge.imread("<screen>")


def test_wayland_alone_says_what_would_work(no_display: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del no_display
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with pytest.raises(errors.DeviceMissing, match=r"Xwayland.*grim"):
        bridge.imread("<screen>")


def test_a_display_that_is_not_there(display: Display) -> None:
    del display
    for _ in range(2):
        with pytest.raises(errors.DeviceMissing, match=r"display :4095\.0 cannot be reached"):
            bridge.imread("<screen>", display=":4095")


def test_little_is_grabbed_ahead(display: Display) -> None:
    """An ffmpeg of one thread grabs nothing before it is let; later ones have frames in their threads' queues."""
    tool = toolbox().find("ffmpeg")
    meter = Meter() if tool.release < (6, 0) else None
    grab = Grab(display=display.name)
    command = screen(tool.path, tool.release, "x11grab", grab, meter=meter.end if meter else None)
    live = Live(command, subject="<screen>", limits=bridge.Limits(), variables={"DISPLAY": display.name}, meter=meter)
    try:
        counts = []
        for _ in range(8):
            time.sleep(0.1)
            begun = time.monotonic_ns()
            counts.append(0)
            while captured_at(_taken(live)) < begun:
                counts[-1] += 1
    finally:
        live.close()
    assert max(counts[4:]) <= (0 if meter else 24)  # what comes while it starts is dropped by the first ones


def _taken(live: Live) -> FrameHead:
    live.wanted()
    head = live.next()
    live.fill(head, memoryview(bytearray(head.size)))
    return head


def test_its_program_may_be_killed(display: Display) -> None:
    bridge.imread("<screen>")
    (pid,) = _ffmpegs()
    os.kill(pid, signal.SIGKILL)
    picture = _random(8)
    display.show(picture)
    assert np.array_equal(bridge.imread("<screen>"), picture)
    assert _ffmpegs() not in (set(), {pid})


def test_its_worker_may_be_killed(display: Display) -> None:
    bridge.imread("<screen>")
    pid = hosts.screen_host().supervisor.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    picture = _random(9)
    display.show(picture)
    assert np.array_equal(bridge.imread("<screen>"), picture)
    assert hosts.screen_host().supervisor.pid != pid


def test_the_worker_ends_when_nobody_asks_for_long(display: Display) -> None:
    del display
    from bridge.remote.supervisor import Supervisor

    with Supervisor("screen", "--idle", "0.3") as supervisor:
        supervisor.start()
        deadline = time.monotonic() + 20
        while supervisor.running:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_screen_that_changes_its_size(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    """Xvfb cannot do that: the server's answer is changed, and ffmpeg has to be started again for it."""
    from bridge_workers import screen as worker

    told = [(WIDTH, HEIGHT)]
    monkeypatch.setattr(worker, "screen_sizes", lambda *_: list(told))
    monkeypatch.setattr(worker, "_LOOK", 0.0)
    slots: list[Slot] = []

    def slot(size: int) -> Slot:
        slots.append(Slot(len(slots) + 1, size))
        return slots[-1]

    body: dict[str, Any] = {
        "system": "x11grab",
        "display": display.name,
        "region": None,
        "cursor": False,
        "waits": [15, 30],
    }
    body["variables"] = {"DISPLAY": display.name}
    forsaken = threading.Event()
    request = Request(what="grab", body=body, data=b"", descriptors=(), slot=slot, forsaken=forsaken)
    answerer = worker.Screen()
    try:
        answerer.answer(request)
        before = _ffmpegs()
        answerer.answer(request)
        assert _ffmpegs() == before
        told[0] = (WIDTH, HEIGHT + 1)
        answerer.answer(request)
        assert len(before) == len(_ffmpegs()) == 1
        assert _ffmpegs() != before
    finally:
        answerer.close()
        for one in slots:
            one.close()


def test_the_server_goes(tmp_path: Path, display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, and never the last picture again."""
    server, name = start(tmp_path)
    try:
        monkeypatch.setenv("DISPLAY", name)
        with bridge.get_reader("<screen>") as reader:
            assert reader.get_next_data().shape == (HEIGHT, WIDTH, 3)
            server.kill()
            server.wait()
            with pytest.raises((errors.DeviceLost, errors.DeviceMissing)):
                reader.get_next_data()
        with pytest.raises(errors.DeviceMissing, match="display"):
            bridge.imread("<screen>")
    finally:
        server.kill()
        server.wait()
    monkeypatch.setenv("DISPLAY", display.name)
    assert bridge.imread("<screen>").shape == (HEIGHT, WIDTH, 3)


def test_several_threads_at_once(display: Display) -> None:
    picture = _random(11)
    display.show(picture)
    right: list[bool] = []

    def grab() -> None:
        right.extend(np.array_equal(bridge.imread("<screen>"), picture) for _ in range(3))

    threads = [threading.Thread(target=grab) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 9


def test_pictures_may_be_kept(display: Display) -> None:
    """They are arrays of their own: later ones do not change them."""
    shown = [_random(seed) for seed in range(12)]
    kept = []
    for picture in shown:
        display.show(picture)
        kept.append(bridge.imread("<screen>"))
    assert all(np.array_equal(one, other) for one, other in zip(kept, shown, strict=True))


def test_a_rate_is_kept(display: Display) -> None:
    del display
    with bridge.get_reader("<screen>", fps=20) as reader:
        times = [frame.meta["time"] for frame, _ in zip(reader, range(5), strict=False)]
    assert times[-1] - times[0] >= 4 / 20 - 0.005


def test_a_process_that_just_ends_leaves_nothing(display: Display) -> None:
    script = (
        "import bridge, psutil; bridge.imread('<screen>'); "
        "print(*[child.pid for child in psutil.Process().children(recursive=True)])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)
    pids = list(map(int, done.stdout.split()))
    assert len(pids) >= 3  # our spawner, the worker, its spawner, ffmpeg
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    del display


def test_it_is_listed(display: Display) -> None:
    (screen,) = [device for device in bridge.devices() if device.kind == "screen"]
    assert (screen.uri, screen.path, screen.size) == ("<screen>", f"{display.name}.0", (WIDTH, HEIGHT))


def test_the_server_tells_its_size(display: Display) -> None:
    assert screen_sizes(place_of(display.name)) == [(WIDTH, HEIGHT)]
