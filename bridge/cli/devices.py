"""``framebridge devices``: cameras with their modes, and screens, as `get_reader` calls them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bridge import devices
from bridge.cli.debug import debug_option
from bridge.cli.terminal import print_json, shown, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.capture.devices import CaptureDevice, Mode

__all__ = ["command"]


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def command(*, as_json: bool) -> None:
    """List cameras with their modes and rates, and screens. No camera is started for that."""
    found = devices()
    if as_json:
        print_json([asdict(device) for device in found])
        return
    if not any(device.kind == "camera" for device in found):
        shown("There is no camera on this machine.")
    if found:
        rows = [(device.uri, device.name, device.path, _size(device.size), device.note) for device in found]
        shown(table("uri", "name", "path", "size", "note", rows=rows))
    for device in found:
        if device.modes:
            shown(f"modes of {device.uri}:", table("pixelformat", "size", "fps", rows=list(_modes(device))))


def _modes(device: CaptureDevice) -> Iterator[tuple[str, str, str]]:
    for mode in device.modes:
        yield mode.pixelformat, _range(mode), " ".join(f"{rate:g}" for rate in mode.fps)


def _range(mode: Mode) -> str:
    return f"{_size(mode.smallest)} to {_size(mode.size)}" if mode.smallest else _size(mode.size)


def _size(size: tuple[int, int] | None) -> str:
    return "x".join(map(str, size or ()))
