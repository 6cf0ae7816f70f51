"""What a worker on another machine publishes: ``zmq+tcp://HOST:PORT``, read over one connection that is made again."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Format, Reader
from bridge.core.intake import check_size
from bridge.core.uri import Published
from bridge.errors import LimitExceeded, NoSuchFrame, WireError, WorkerLost
from bridge.media.pixels import pixel_format
from bridge.remote.client import Client
from bridge.remote.coding import Decoder
from bridge.remote.keys import reader_keys
from bridge.remote.wire import DELIVERIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bridge.core.format import Found
    from bridge.core.request import Request
    from bridge.remote.client import Picture, Stream

__all__ = ["PublishedFormat", "PublishedReader"]

_PAUSE = 0.2  # seconds, after a worker that has said no


class PublishedReader(Reader):
    """Reads what a worker publishes, frame by frame.

    Parameters
    ----------
    delivery : {"latest", "lossless"}
        The newest frame each time, so that what is read is never old (the default), or all frames: then the worker
        waits for this reader, and with it a film, but no camera: that drops what nobody takes.
    keys : str or path
        The folder with this reader's secret key and the worker's public one, as ``framebridge-worker keygen`` makes
        it, or the file of the secret. By default what the environment variable ``FRAMEBRIDGE_KEYS`` names.
    server_key : str or path
        The public key of the worker, or its file; by default ``worker.public`` beside the secret.
    deadline : float
        Seconds that the worker may be away, 10 by default: at the beginning, so that the reader may be started first,
        and each time that the connection is lost.

    Notes
    -----
    The `meta` of a frame has its ``index`` (counted by this reader), its ``sequence`` at the worker, how many between
    it and the frame before were ``missed``, when it was ``captured`` (seconds since 1970 by the worker's clock), its
    ``pts`` and ``time``, whether frames were ``lost`` at the source before it, and ``connections``: how many it took so
    far. The worker may have begun to count anew with each of these.

    Frames compressed by H.264 need those before them: whoever reads them too slowly for the rate of the source, by
    ``delivery="latest"``, has one in thirty.
    """

    def _open(
        self,
        *,
        delivery: str = "latest",
        keys: str | Path | None = None,
        server_key: str | Path | None = None,
        deadline: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        if delivery not in DELIVERIES:
            raise ValueError(f"delivery is one of {', '.join(map(repr, DELIVERIES))}, not {delivery!r}")
        if not 0 < deadline < math.inf:
            raise ValueError(f"deadline is a number of seconds, not {deadline!r}")
        self._delivery, self._deadline = delivery, float(deadline)
        self._address = self.request.resource.address  # type: ignore[union-attr] # the format has looked
        self._keys = reader_keys(self._address, server_key, keys)
        self._leaving = threading.Event()
        self._client: Client | None = None
        self._decoder: Decoder | None = None
        self._connections = self._given = 0
        self._last: Found | None = None
        self._sequence = -1
        self._stream = self._connected(time.monotonic() + self._deadline)

    def _connected(self, until: float) -> Stream:
        """Connect, as soon as the worker is there."""
        while True:
            try:
                return self._connect(max(0.1, until - time.monotonic()))
            except WorkerLost as error:
                self._let_go()
                if time.monotonic() + _PAUSE >= until or self._leaving.wait(_PAUSE):
                    raise self._explained(error) from None

    def _connect(self, seconds: float) -> Stream:
        client = self._client = Client(
            self._address,
            subject=self.request.name,
            limits=self.request.limits,
            seconds=seconds,
            prepare=self._keys.prepare if self._keys is not None else None,
        )
        stream = client.open(delivery=self._delivery, seconds=max(seconds, self.request.limits.first_frame))
        self._check(stream.description)
        if stream.description.get("encode"):
            self._decoder = Decoder(stream.description, subject=self.request.name, limits=self.request.limits)
        self._connections += 1
        self._facts = client.facts
        return stream

    def _check(self, description: Mapping[str, Any]) -> None:
        """Refuse frames that are larger than the limits have it, before one comes."""
        try:
            width, height = (int(extent) for extent in description["size"])
            size = math.prod(int(extent) for extent in description["shape"]) * np.dtype(description["dtype"]).itemsize
        except (KeyError, TypeError, ValueError) as error:
            raise WireError(f"{self.request.name} describes its frames as no worker does: {error!r}") from None
        check_size(self.request.limits, self.request.name, width, height)
        most = self.request.limits.zmq_message
        if size > most and not description.get("encode"):
            raise LimitExceeded(
                f"{self.request.name} has frames of {size} bytes, and the limit zmq_message is {most}; "
                "raise it with limits=bridge.Limits(zmq_message=...), or have them sent compressed"
            )

    def _explained(self, error: WorkerLost) -> WorkerLost:
        message = f"{self.request.name}: no worker answers, in {self._deadline:g} s (deadline=)"
        if self._keys is not None:
            message += "; where one is there, it does not know our key (readers/ in its folder), or is not the one of"
            message += " server_key="
        return WorkerLost(f"{message}: {error}")

    def _picture(self) -> Picture | None:
        """Wait for a frame; where the worker is lost, connect again until one comes."""
        until = math.inf
        while True:
            try:
                return self._stream.read(self.request.limits.stall)
            except WorkerLost as error:
                self._let_go()
                self._sequence = -1
                until = min(until, time.monotonic() + self._deadline)
                if time.monotonic() >= until:
                    raise self._explained(error) from None
                self._stream = self._connected(until)

    def _data(self, index: int) -> Found | None:
        if self._last is not None and index == self._given - 1:
            return self._last
        if index < self._given:
            raise NoSuchFrame(f"{self.request.name} is live: frame {index} has passed, {self._given} were read")
        while self._given <= index:
            picture = self._picture()
            if picture is None:
                return None
            self._last = self._pixels(picture), self._told(picture)
            self._given += 1
        return self._last

    def _pixels(self, picture: Picture) -> np.ndarray[Any, Any]:
        """Give the array of a frame, one that can be written to."""
        if self._decoder is not None:
            return self._decoder.frame(np.ascontiguousarray(picture.array).data)
        array = np.array(picture.array)
        pixels = pixel_format(picture.pixels) if picture.pixels else None
        return array if pixels is None or pixels.ycbcr else pixels.view(array)

    def _told(self, picture: Picture) -> dict[str, Any]:
        """Give the metadata of a frame."""
        stamp, wall = picture.stamp, self._facts.get("wall")
        missed = picture.sequence - self._sequence - 1 if self._sequence >= 0 else 0
        self._sequence = picture.sequence
        captured = (stamp.captured + wall) / 1e9 if isinstance(wall, int) else None
        time_shown = None if stamp.pts is None else float(stamp.pts * stamp.time_base)
        return {
            "index": self._given,
            "sequence": picture.sequence,
            "missed": max(0, missed),
            "captured": captured,
            "pts": stamp.pts,
            "time": time_shown,
            "lost": bool(stamp.flags & 1),
            "connections": self._connections,
        }

    def _length(self) -> float:
        return math.inf

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is None:
            hidden = ("config", "dependent")
            return {name: value for name, value in self._stream.description.items() if name not in hidden}
        found = self._data(index)
        if found is None:
            raise NoSuchFrame(f"{self.request.name} has ended before frame {index}")
        return found[1]

    def _let_go(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def _close(self) -> None:
        if hasattr(self, "_leaving"):  # else `_open` has refused its keywords
            self._leaving.set()
            self._let_go()


class PublishedFormat(Format):
    """What a worker on another machine publishes, as `framebridge-worker camera --publish tcp://...` does."""

    name = "ZMQ"
    description = "Frames of a worker on another machine, zmq+tcp://HOST:PORT"
    modes = "iI"
    depths = "as sent"
    animated = True
    reader = PublishedReader

    def can_read(self, request: Request) -> bool:
        """Tell whether it is the address of a worker."""
        return isinstance(request.resource, Published)

    def can_write(self, request: Request) -> bool:
        """Nothing is written there."""
        del request
        return False
