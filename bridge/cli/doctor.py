"""``framebridge doctor``: which programs are found, where, what was tried, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from bridge import __version__
from bridge.cli.debug import debug_option
from bridge.cli.terminal import print_json, shown, table
from bridge.limits import in_force
from bridge.magick import warm
from bridge.process.isolation import sandbox
from bridge.process.tools import cache_folder, install_hint, toolbox

if TYPE_CHECKING:
    from bridge.process.tools import Tool, Toolbox

__all__ = ["command"]

_TITLES = {"ffmpeg": "ffmpeg", "ffprobe": "ffprobe", "magick": "ImageMagick", "gs": "Ghostscript"}
_WITHOUT = {
    "ffmpeg": "no film can be read or written",
    "ffprobe": "ffmpeg is asked instead, and tells less about a film",
    "magick": "pictures go through ffmpeg, which knows fewer formats",
    "gs": "PDF and PostScript cannot be drawn",
}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def command(*, as_json: bool) -> None:
    """Tell which programs are found, and what is missing. The exit status is 1 where there is no ffmpeg."""
    found = {name: _examined(toolbox(), name) for name in _TITLES}
    cache = _cache()
    if as_json:
        facts = {"framebridge": __version__, "python": platform.python_version(), "programs": found, "cache": cache}
        print_json({**facts, "sandbox": str(sandbox()), "warm": _warm()})
    else:
        _show(found, cache)
    if found["ffmpeg"]["path"] is None:
        raise click.exceptions.Exit(1)


def _examined(tools: Toolbox, name: str) -> dict[str, Any]:
    """Tell all that is known of one program."""
    tool = tools.get(name)
    return {
        **_known(tool),
        "tried": [asdict(attempt) for attempt in tools.attempts(name)],
        "without": None if tool else _WITHOUT[name],
        "install": None if tool else install_hint(name),
    }


def _known(tool: Tool | None) -> dict[str, Any]:
    if tool is None:
        return dict.fromkeys(("path", "version", "release", "source"))
    return {"path": tool.path, "version": tool.version, "release": tool.release, "source": tool.source}


def _warm() -> str:
    """Try whether pictures can go to an ImageMagick that lasts; say in words what came of it."""
    tool = toolbox().get("magick")
    if tool is not None:
        with warm.workers.one(in_force(), tool, wait=True):
            pass
    off = warm.state(in_force(), tool)["off"]
    warm.close()
    return f"none: {off}" if off else "libMagickWand, in a process that lasts from picture to picture"


def _cache() -> dict[str, Any]:
    folder = cache_folder()
    return {"folder": str(folder), "writable": _writable(str(folder))}


def _writable(folder: str) -> bool:
    """Try it: permissions alone do not tell of a full or read-only disk."""
    folder = os.path.abspath(folder)  # noqa: PTH100 - a string from the environment, of any form
    while not os.path.lexists(folder):  # it is made when there is something to keep
        folder = os.path.dirname(folder)  # noqa: PTH120 - a string from the environment, of any form
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _show(found: dict[str, dict[str, Any]], cache: dict[str, Any]) -> None:
    shown(f"framebridge {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    columns = ("program", "version", "release", "where", "found by")
    shown(table(*columns, rows=[_row(name, facts) for name, facts in found.items()]))
    refused = [
        (_TITLES[name], attempt["path"], attempt["source"], attempt["refused"])
        for name, facts in found.items()
        for attempt in facts["tried"]
        if attempt["refused"]
    ]
    if refused:
        shown(table("looked for", "tried", "from", "but it", rows=refused))
    for name, facts in found.items():
        if facts["install"]:
            shown(f"Without {_TITLES[name]}, {facts['without']}. To get it: {facts['install']}")
    shown(f"Boxes for children: {sandbox()}")
    shown(f"Warm ImageMagick: {_warm()}")
    shown(f"Cache: {cache['folder']} ({'writable' if cache['writable'] else 'not writable: nothing is remembered'})")


def _row(name: str, facts: dict[str, Any]) -> tuple[object, ...]:
    if facts["path"] is None:
        return (_TITLES[name], "missing", "", "", "")
    release = ".".join(map(str, facts["release"]))
    return (_TITLES[name], facts["version"], release, facts["path"], facts["source"])
