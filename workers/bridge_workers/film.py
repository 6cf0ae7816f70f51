"""The worker `file`: the frames of a film, all as they are or at the film's own pace; each reader begins at the first.

With ``--lavfi`` it plays what one of ffmpeg's own generators makes, the same to all readers: a stand-in for a camera
where there is none, which shows nothing of what is special about cameras.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bridge.core.keywords import switch
from bridge.errors import UriError, UriIsDirectory, UriNotFound
from bridge.ffmpeg.argv import INPUT
from bridge.limits import of_call
from bridge.media.pixels import pixel_format
from bridge.process.child import Child
from bridge.process.isolation import box_for
from bridge.process.tools import toolbox
from bridge_workers.pipes import NUT, PipeFeed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Hashable, Mapping

    from bridge.limits import Limits
    from bridge_workers.work import Feed

__all__ = ["FilmSource", "add_arguments", "make"]

_BURSTS_SINCE = (6, 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line of this worker has."""
    parser.add_argument("film", help="a file that ffmpeg reads")
    parser.add_argument("--lavfi", action="store_true", help="FILM is a graph of ffmpeg's generators: a stand-in")
    parser.add_argument("--paced", action="store_true", help="at the film's own pace, rather than as fast as it goes")


def make(options: argparse.Namespace) -> FilmSource:
    """Make the worker of a command line."""
    return FilmSource(options.film, lavfi=options.lavfi, paced=options.paced)


class FilmSource:
    """A film, or a generator.

    Parameters
    ----------
    film : str
        Path of the file, or the graph.
    lavfi : bool
        It is a graph; all readers then share what it makes.
    paced : bool
        Frames come at the film's own pace.
    """

    def __init__(self, film: str, *, lavfi: bool = False, paced: bool = False, limits: Limits | None = None) -> None:
        self._film, self._lavfi, self._paced = film, lavfi, paced
        self._limits = of_call(limits, None)

    def describe(self) -> Mapping[str, Any]:
        """Tell what it is."""
        return {"frames": True, "film": self._film, "stand-in": self._lavfi, "paced": self._paced}

    def share(self, options: Mapping[str, Any]) -> Hashable:
        """Give the key of the one generator; each reader of a film has its own."""
        del options
        return "generator" if self._lavfi else None

    def open(self, options: Mapping[str, Any]) -> Feed:
        """Start ffmpeg.

        The options are ``pixelformat`` (``"rgb24"``) and ``paced``.
        """
        unknown = set(options) - {"pixelformat", "paced"}
        if unknown:
            raise UriError(f"{self._film}: this worker has no option {', '.join(sorted(unknown))}")
        pixels = pixel_format(str(options.get("pixelformat", "rgb24"))).name
        paced = switch("paced", options.get("paced", self._paced))
        tool = toolbox().find("ffmpeg")
        mode = "-fps_mode" if tool.release >= (5, 1) else "-vsync"
        source = ("-f", "lavfi", "-i", self._film) if self._lavfi else ("-protocol_whitelist", "file,pipe", "-i", INPUT)
        quiet = ("-nostdin", "-hide_banner", "-v", "repeat+error", *(_pace(tool.release) if paced else ()))
        wanted = ("-map", "0:v:0", mode, "passthrough", "-pix_fmt", pixels)
        descriptor = None if self._lavfi else self._opened()
        try:
            child = Child(
                (tool.path, *quiet, *source, *wanted, *NUT),
                subject=self._film,
                box=box_for(self._limits, "film"),
                stdin=descriptor,
            )
        finally:
            if descriptor is not None:
                os.close(descriptor)
        return PipeFeed(child, pixels, limits=self._limits)

    def _opened(self) -> int:
        try:
            descriptor = os.open(self._film, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UriNotFound(f"{self._film}: {error.strerror}") from None
        if os.path.isdir(self._film):  # noqa: PTH112 - as it is opened
            os.close(descriptor)
            raise UriIsDirectory(f"{self._film} is a directory")
        return descriptor


def _pace(release: tuple[int, int]) -> tuple[str, ...]:
    """Give the options that read at the film's own pace; newer releases begin with half a second at once."""
    return ("-re", "-readrate_initial_burst", "0.001") if release >= _BURSTS_SINCE else ("-re",)
