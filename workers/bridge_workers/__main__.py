"""framebridge-worker: starts one of the workers; `KINDS` is the table of those that there are."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import BridgeError

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
    """

    module: str
    help: str
    slots: int = 16


KINDS = {
    "file": Kind(module="bridge_workers.film", help="the frames of a film, or of one of ffmpeg's generators"),
    "transcode": Kind(module="bridge_workers.transcode", help="films, for a Dask cluster or out of a folder", slots=0),
}


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="framebridge-worker", description="Hands frames, or answers, to readers in other processes."
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, kind in KINDS.items():
        one = kinds.add_parser(name, help=kind.help, description=f"Worker: {kind.help}.")
        if kind.slots:
            where = one.add_mutually_exclusive_group(required=True)
            where.add_argument("--at", metavar="FOLDER", help="private folder for the worker's sockets")
            where.add_argument("--supervised", action="store_true", help="they go where temporary files do: private")
        if name in arguments:  # the others' modules need not be there
            importlib.import_module(kind.module).add_arguments(one)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker that the command line names until it is told to end; give the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments).parse_args(arguments)
    kind = KINDS[options.kind]
    if not kind.slots:
        status: int = importlib.import_module(kind.module).run(options)
        return status
    from bridge_workers.serve import Server, serve

    try:
        work = importlib.import_module(kind.module).make(options)
        return serve(Server(options.kind, work, slots=kind.slots), options.at or tempfile.gettempdir())
    except (BridgeError, OSError) as error:
        print(f"framebridge-worker: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
