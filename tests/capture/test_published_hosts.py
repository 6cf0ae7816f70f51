"""Two machines, each a network namespace of its own: a worker on the one, readers on the other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from bridge.remote.keys import make_keys
from tests.capture.publishing import Worker, generator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg", "netns")]

_WORKER, _READER = "10.123.45.1", "10.123.45.2"
_READ = """
import json, sys, bridge
uri, count, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
try:
    with bridge.get_reader(uri, **options) as reader:
        for frame, _ in zip(reader, range(count)):
            print(json.dumps({**frame.meta, "shape": frame.shape}), flush=True)
except bridge.BridgeError as error:
    print(json.dumps({"error": type(error).__name__, "said": str(error)}), flush=True)
"""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


class Hosts:
    """Two namespaces with a wire between them."""

    def __init__(self) -> None:
        self.names = tuple(f"framebridge-{side}-{os.getpid()}" for side in "ab")
        self._wires = tuple(f"fb{side}{os.getpid() % 100000}" for side in "ab")

    def make(self) -> None:
        for name in self.names:
            _ip("netns", "add", name)
        _ip("link", "add", self._wires[0], "type", "veth", "peer", "name", self._wires[1])
        for name, wire, address in zip(self.names, self._wires, (_WORKER, _READER), strict=True):
            _ip("link", "set", wire, "netns", name)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", wire)
            _ip("-n", name, "link", "set", wire, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def wire(self, state: str) -> None:
        """Cut the wire, or mend it; nobody is told of either."""
        _ip("-n", self.names[0], "link", "set", self._wires[0], state)

    def away(self) -> None:
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", name)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    try:
        made.make()
        yield made
    finally:
        made.away()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


def _worker(hosts: Hosts, keys: Path, *options: str) -> Worker:
    before = ("ip", "netns", "exec", hosts.names[0])
    return Worker(*generator(), "--keys", keys, *options, address="tcp://0.0.0.0:*", before=before)


@contextlib.contextmanager
def _reader(hosts: Hosts, port: int, count: int, **options: Any) -> Iterator[subprocess.Popen[str]]:
    uri = f"zmq+tcp://{_WORKER}:{port}"
    command = ["ip", "netns", "exec", hosts.names[1], sys.executable, "-c", _READ, uri, str(count)]
    process = subprocess.Popen([*command, json.dumps(options)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_frames_go_from_one_machine_to_the_other(hosts: Hosts, keys: Path, tmp_path: Path) -> None:
    make_keys(tmp_path)
    with _worker(hosts, keys, "--encode", "mjpeg") as worker:
        for wrong in ({}, {"keys": str(tmp_path)}):
            with _reader(hosts, worker.port, 1, deadline=1.0, **wrong) as reader:
                assert _heard(reader)["error"] == ("WorkerLost" if wrong else "ForbiddenUri")
        several = [_reader(hosts, worker.port, 5, keys=str(keys), delivery="lossless") for _ in range(2)]
        with several[0] as one, several[1] as other:
            for reader in (one, other):
                found = [_heard(reader) for _ in range(5)]
                assert [frame["shape"] for frame in found] == [[48, 64, 3]] * 5
                numbers = [frame["sequence"] for frame in found]
                assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_a_wire_that_is_cut_and_mended(hosts: Hosts, keys: Path) -> None:
    with _worker(hosts, keys) as worker, _reader(hosts, worker.port, 10_000, keys=str(keys), deadline=40) as reader:
        assert _heard(reader)["connections"] == 1
        hosts.wire("down")
        time.sleep(4.5)  # longer than a silent worker is waited for
        hosts.wire("up")
        while (found := _heard(reader))["connections"] == 1:
            pass
        assert found["connections"] == 2
        assert "error" not in found
