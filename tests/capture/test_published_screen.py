"""What the command publishes besides films: a screen; and what it tells those who watch machines."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bridge
from bridge.remote.keys import make_keys
from tests.capture.conftest import HEIGHT, WIDTH
from tests.capture.publishing import Worker, generator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.capture.conftest import Display

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


@pytest.mark.needs("Xvfb")
def test_a_screen_is_read_to_the_bit_on_the_other_side(display: Display, tmp_path: Path) -> None:
    make_keys(tmp_path)
    picture = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    display.show(picture)
    region = f"10,20,{WIDTH - 30},{HEIGHT - 40}"
    with (
        Worker("screen", "--region", region, "--fps", "20", "--keys", tmp_path, "--encode", "ffv1") as worker,
        bridge.get_reader(worker.uri, keys=tmp_path) as reader,
    ):
        frames = [reader.get_next_data() for _ in range(3)]
        for frame in frames:
            assert np.array_equal(frame, picture[20 : HEIGHT - 20, 10 : WIDTH - 20])
        assert reader.get_meta_data()["size"] == [WIDTH - 30, HEIGHT - 40]
        shown = picture[::-1].copy()
        display.show(shown)
        assert any(np.array_equal(reader.get_next_data(), shown[20 : HEIGHT - 20, 10 : WIDTH - 20]) for _ in range(40))
        reader.close()
        assert worker.end() == (0, "")


def asked(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_of_a_worker_that_publishes() -> None:
    with Worker(*generator(), "--health", "0") as worker:
        assert worker.health is not None
        assert asked(worker.health, "livez")[0] == 200
        assert asked(worker.health, "readyz") == (200, "ready\n")
        with bridge.get_reader(worker.uri, delivery="lossless") as reader:
            for _ in range(5):
                reader.get_next_data()
            text = asked(worker.health, "metrics")[1]
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert found["framebridge_readers"] == "1"
        assert found["framebridge_peers_total"] == "1"
        assert int(found["framebridge_frames_total"]) >= 5
        assert 'kind="file"' in text
        assert asked(worker.health, "other")[0] == 404
        assert worker.end()[0] == 0


def test_nobody_waits_long_for_a_worker_that_was_told_to_end() -> None:
    """SIGTERM, while frames go to several readers: they are told, it ends by itself."""
    with Worker(*generator()) as worker:
        told: list[BaseException] = []

        def read() -> None:
            try:
                with bridge.get_reader(worker.uri, deadline=0.3, delivery="lossless") as reader:
                    begun.release()
                    for _ in reader:
                        pass
            except bridge.BridgeError as error:
                told.append(error)

        begun = threading.Semaphore(0)
        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
            assert begun.acquire(timeout=30)
        assert worker.end() == (0, "")
        for thread in threads:
            thread.join(20)
        assert [type(error) for error in told] == [bridge.errors.WorkerLost] * 2
