"""The workers that capture for this process: one for each camera that is open, one for all screens.

A camera's worker ends with its last reader, and the camera is free again. That of the screen stays ready for the next
call; it ends by itself after a while, with `stop`, and with this process.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from bridge.errors import WorkerLost
from bridge.remote.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.limits import Limits
    from bridge.remote.client import Client, Reply

__all__ = ["CameraHost", "ScreenHost", "camera_host", "connected", "screen_host", "stop"]

_DYING, _MOMENT = 5.0, 0.01  # seconds from its sockets' end to that of a killed process, and to look again


def connected(supervisor: Supervisor) -> Client:
    """Connect to a worker; one that is just dying is started again once it is dead.

    Raises
    ------
    WorkerLost
        If it has died too often.
    """
    deadline = time.monotonic() + _DYING
    while True:
        dead = not supervisor.running
        try:
            return supervisor.connect()
        except WorkerLost:
            if dead or time.monotonic() > deadline:
                raise
            time.sleep(_MOMENT)


class CameraHost:
    """The worker of one camera, while it has readers."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._users = 0
        self.supervisor = Supervisor("camera", subject="the camera's worker")

    def join(self) -> None:
        """Have one more reader. Called with the lock of the hosts held."""
        self._users += 1

    def leave(self) -> None:
        """Have one reader less; with the last one the worker ends."""
        with _hosts.lock:
            self._users -= 1
            if self._users:
                return
            if _hosts.cameras.get(self._key) is self:
                del _hosts.cameras[self._key]
        self.supervisor.close()


class ScreenHost:
    """The worker of the screen, and the one connection to it."""

    def __init__(self) -> None:
        self.supervisor = Supervisor("screen", subject="the screen's worker")
        self._lock = threading.Lock()
        self._client: Client | None = None

    def grab(self, body: Mapping[str, Any], limits: Limits) -> Reply:
        """Ask for a picture, by a worker that is started, or started again, if it does not run.

        Raises
        ------
        DeviceMissing, DeviceLost, ToolFailed, ToolTimeout, WorkerLost
        """
        with self._lock:
            for last in (False, True):
                client = self._connected()
                try:
                    return client.ask("grab", body, seconds=limits.first_frame + limits.stall)
                except WorkerLost:
                    self._drop()
                    if last:
                        raise
            raise AssertionError  # the loop returns or raises

    def _connected(self) -> Client:
        if self._client is None or not self._client.alive:
            self._drop()
            self._client = connected(self.supervisor)
        return self._client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.abort()

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()
            self.supervisor.close()


class _Hosts:
    """Who works for this process; a fork of it has its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cameras: dict[str, CameraHost] = {}
        self.screen: ScreenHost | None = None


def camera_host(key: str) -> CameraHost:
    """Give the worker of a camera, which one more reader has joined; that one calls `leave`."""
    with _hosts.lock:
        host = _hosts.cameras.setdefault(key, CameraHost(key))
        host.join()
        return host


def screen_host() -> ScreenHost:
    """Give the worker of the screen."""
    with _hosts.lock:
        _hosts.screen = _hosts.screen or ScreenHost()
        return _hosts.screen


def stop() -> None:
    """End the worker of the screen now; the next picture starts another one."""
    with _hosts.lock:
        screen, _hosts.screen = _hosts.screen, None
    if screen is not None:
        screen.close()


_hosts = _Hosts()


def _forget() -> None:
    """Begin anew, in a fork: the workers are the other one's."""
    _hosts.__init__()  # type: ignore[misc] # as new


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
