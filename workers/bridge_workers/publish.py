"""Publishing: what a worker's source gives, to readers on other machines. Its options are ours, never a reader's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.errors import ForbiddenOption
from bridge.remote.keys import WorkerKeys, refuse_open
from bridge_workers.coded import ENCODINGS, CodedFeed
from bridge_workers.serve import run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Hashable, Mapping

    from bridge_workers.serve import Server
    from bridge_workers.work import Feed, Source

__all__ = ["Published", "add_publishing", "publish"]


def add_publishing(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line of a worker that publishes has besides."""
    parser.add_argument("--keys", metavar="FOLDER", help="keys, as keygen makes them; needed for other machines")
    parser.add_argument("--encode", choices=ENCODINGS, help="send frames compressed (published ones only)")


def publish(server: Server, address: str, keys: str | None) -> int:
    """Run a worker that readers reach at an address of ZeroMQ; it says on standard output where that really is.

    Raises
    ------
    ForbiddenUri
        If other machines could reach it, and there are no keys.
    """
    found = WorkerKeys.of(keys) if keys is not None else None
    refuse_open(address, found)

    def listen() -> str:
        if found is None:
            return f"ready {server.listen(address)}"
        server.admit(found.lets_in)
        return f"ready {server.listen(address, found.prepare)}"

    return run(server, listen)


class Published:
    """A source as readers on other machines have it.

    Parameters
    ----------
    source : Source
        What is published.
    options : mapping
        For opening it.
    encode : str or None
        How frames are compressed.
    """

    def __init__(self, source: Source, options: Mapping[str, Any], encode: str | None) -> None:
        self._source, self._options, self._encode = source, options, encode

    def describe(self) -> Mapping[str, Any]:
        """Tell what it is."""
        return {**self._source.describe(), "encode": self._encode or ""}

    def share(self, options: Mapping[str, Any]) -> Hashable:
        """Share as the source has it."""
        if options:
            raise ForbiddenOption(f"what is published is as its worker was told: not {', '.join(sorted(options))}")
        return self._source.share(self._options)

    def open(self, options: Mapping[str, Any]) -> Feed:
        """Open it, with a compressor behind it where that is wanted."""
        del options
        feed = self._source.open(self._options)
        return feed if self._encode is None else CodedFeed(feed, self._encode)
