"""framebridge-worker: starts one of the workers; `KINDS` is the table of those that there are."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import BridgeError
from bridge.remote.keys import make_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KINDS", "Kind", "main"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of worker.

    Attributes
    ----------
    module : str
        Has ``add_arguments(parser)`` and ``make(options)``, which gives a `Source` or an `Answerer`; one that serves
        no readers has ``run(options)`` in its place, which gives the exit status.
    help : str
        What it is for.
    slots : int
        How many slots of shared memory it keeps; 0 for one that serves no readers.
    published : str
        The module whose ``add_arguments`` and ``make`` are for publishing; empty for what is not published.
    """

    module: str
    help: str
    slots: int = 16
    published: str = ""


KINDS = {
    "camera": Kind(
        module="bridge_workers.camera",
        help="a camera, for as many readers as there are",
        published="bridge_workers.live",
    ),
    "file": Kind(
        module="bridge_workers.film",
        help="the frames of a film, or of one of ffmpeg's generators",
        published="bridge_workers.film",
    ),
    "magick": Kind(
        module="bridge_workers.magick", help="decoded pictures, for the library, which starts it itself", slots=0
    ),
    "screen": Kind(
        module="bridge_workers.screen",
        help="pictures of a screen, at once when they are asked for",
        published="bridge_workers.live",
    ),
    "transcode": Kind(module="bridge_workers.transcode", help="films, for a Dask cluster or out of a folder", slots=0),
}


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="framebridge-worker", description="Hands frames, or answers, to readers in other processes."
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    text = "makes keys: those of a worker once, and a pair for each reader"
    keygen = kinds.add_parser("keygen", help=text, description=text.capitalize() + ".")
    keygen.add_argument("folder", help="where they go")
    keygen.add_argument("readers", nargs="*", default=["reader"], help="names of readers")
    for name, kind in KINDS.items():
        one = kinds.add_parser(name, help=kind.help, description=f"Worker: {kind.help}.")
        if name in arguments:  # the others' modules need not be there
            _add_options(one, kind, publishing=any(word.startswith("--publish") for word in arguments))
    return parser


def _add_options(parser: argparse.ArgumentParser, kind: Kind, *, publishing: bool) -> None:
    if kind.slots:
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--at", metavar="FOLDER", help="private folder for the worker's sockets")
        where.add_argument("--supervised", action="store_true", help="they go where temporary files do: private")
        if kind.published:
            where.add_argument("--publish", metavar="ADDRESS", help="tcp://HOST:PORT, for readers on other machines")
    if kind.published and publishing:
        importlib.import_module("bridge_workers.publish").add_publishing(parser)
    importlib.import_module((publishing and kind.published) or kind.module).add_arguments(parser)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker that the command line names until it is told to end; give the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--publish" in given[1:] and given[0] not in KINDS and not given[0].startswith("-"):
        given.insert(0, "file")  # `framebridge-worker FILE --publish ADDRESS` is short for that
    options = _parser(given).parse_args(given)
    if options.kind != "keygen" and not KINDS[options.kind].slots:
        status: int = importlib.import_module(KINDS[options.kind].module).run(options)
        return status
    try:
        return _keygen(options) if options.kind == "keygen" else _work(KINDS[options.kind], options)
    except (BridgeError, OSError) as error:
        print(f"framebridge-worker: {error}", file=sys.stderr)
        return 1


def _work(kind: Kind, options: argparse.Namespace) -> int:
    if getattr(options, "publish", None):
        from bridge_workers.publish import publish

        return publish(importlib.import_module(kind.published).make(options), options)
    from bridge_workers.serve import Server, serve

    work = importlib.import_module(kind.module).make(options)
    return serve(Server(options.kind, work, slots=kind.slots), options.at or tempfile.gettempdir())


def _keygen(options: argparse.Namespace) -> int:
    for path in make_keys(options.folder, options.readers):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
