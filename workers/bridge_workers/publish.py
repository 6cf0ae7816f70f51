"""Publishing: what a worker's source gives, to readers on other machines. Its options are ours, never a reader's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import bridge
from bridge.errors import ForbiddenOption
from bridge.remote.keys import WorkerKeys, refuse_open
from bridge_workers.coded import ENCODINGS, CodedFeed
from bridge_workers.health import Health, Metric, Metrics
from bridge_workers.serve import Server, run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Hashable, Mapping

    from bridge_workers.work import Feed, Source

__all__ = ["Published", "add_publishing", "publish"]


def add_publishing(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line of a worker that publishes has besides."""
    parser.add_argument("--keys", metavar="FOLDER", help="keys, as keygen makes them; needed for other machines")
    parser.add_argument("--encode", choices=ENCODINGS, help="send frames compressed")
    parser.add_argument("--health", metavar="[HOST:]PORT", help="answer /livez /readyz /metrics there (loopback)")


def publish(source: Source, options: argparse.Namespace) -> int:
    """Run a worker that readers reach at an address of ZeroMQ; it says on standard output where that really is.

    The options are those of `add_publishing`, with the ``kind`` of the worker, and the address as ``publish``.

    Raises
    ------
    ForbiddenUri
        If other machines could reach it, and there are no keys.
    """
    keys = WorkerKeys.of(options.keys) if options.keys is not None else None
    refuse_open(options.publish, keys)
    server = Server(options.kind, Published(source, options.encode))

    def listen() -> str:
        if keys is None:
            return f"ready {server.listen(options.publish)}"
        server.admit(keys.lets_in)
        return f"ready {server.listen(options.publish, keys.prepare)}"

    with contextlib.closing(server), _health(server, options.health) if options.health else contextlib.nullcontext():
        return run(server, listen)


_COUNTS = {
    "peers": "Readers that have come.",
    "frames": "Frames that were sent.",
    "faults": "Errors that readers were told.",
    "refused": "Connections and keys that were refused.",
    "lost": "Readers that went without goodbye.",
}


def _health(server: Server, address: str) -> Health:
    """Answer those who watch machines."""
    metrics = Metrics(
        **{f"{name}_total": Metric("counter", text) for name, text in _COUNTS.items()},
        readers=Metric("gauge", "Readers that are there."),
        worker_info=Metric("gauge", "1, and by its labels what the worker is."),
    )
    metrics.set("worker_info", 1, kind=server.kind, version=bridge.__version__)

    def refresh() -> None:
        for name in _COUNTS:
            metrics.set(f"{name}_total", server.counts[name])
        metrics.set("readers", server.readers)

    return Health(metrics, lambda: "it was told to end" if server.ending else "", address, refresh)


class Published:
    """A source as readers on other machines have it.

    Parameters
    ----------
    source : Source
        What is published.
    encode : str or None
        How frames are compressed.
    """

    def __init__(self, source: Source, encode: str | None) -> None:
        self._source, self._encode = source, encode

    def describe(self) -> Mapping[str, Any]:
        """Tell what it is."""
        return {**self._source.describe(), "encode": self._encode or ""}

    def share(self, options: Mapping[str, Any]) -> Hashable:
        """Share as the source has it."""
        if options:
            raise ForbiddenOption(f"what is published is as its worker was told: not {', '.join(sorted(options))}")
        return self._source.share({})

    def open(self, options: Mapping[str, Any]) -> Feed:
        """Open it, with a compressor behind it where that is wanted."""
        del options
        feed = self._source.open({})
        return feed if self._encode is None else CodedFeed(feed, self._encode)
