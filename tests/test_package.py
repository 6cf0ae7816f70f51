"""The package as users meet it: the public names, and an import that starts and loads nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from importlib.metadata import version
from typing import Any

import pytest

import bridge

_HEAVY = ("zmq", "wand", "ffmpeg", "dask", "distributed", "rich", "click", "tifffile", "matplotlib", "PIL", "imageio",
          "bridge_workers", "multiprocessing", "asyncio", "concurrent.futures", "ssl", "http")  # fmt: skip


def test_every_public_name_is_there_and_the_list_is_sorted() -> None:
    constants = [name for name in bridge.__all__ if name.isupper()]
    classes = [name for name in bridge.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in bridge.__all__ if name[0].islower()]
    assert bridge.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(getattr(bridge, name) is not None for name in bridge.__all__)


def test_what_is_visible_is_what_is_listed() -> None:
    """But for submodules, which Python puts there, and for what the module itself needs for its types."""
    own = {
        name
        for name, thing in vars(bridge).items()
        if not name.startswith("_")
        and not isinstance(thing, types.ModuleType)
        and getattr(thing, "__module__", "typing") not in ("typing", "__future__")
        and name != "TYPE_CHECKING"
    }
    assert own <= set(bridge.__all__)
    assert set(bridge.__all__) <= set(dir(bridge)) | {"formats"}


def test_a_star_import_gives_the_list() -> None:
    names: dict[str, Any] = {}
    exec("from bridge import *", names)  # noqa: S102 - there is no other way to say it here
    assert set(names) - {"__builtins__"} == set(bridge.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'imred'"):
        bridge.imred  # noqa: B018 - it is to fail


def test_the_version_is_the_one_that_is_installed() -> None:
    if "site-packages" in bridge.__file__:
        assert bridge.__version__ == version("framebridge")


def test_every_public_function_says_what_it_does() -> None:
    for name in bridge.__all__:
        assert getattr(bridge, name).__doc__, name


_WATCH = """
import json, sys
events = []
def watch(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"):
        events.append(event)
    if event.startswith("socket.") or event in ("os.mkdir", "os.remove", "os.rename"):
        events.append(event)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        events.append(f"open {arguments[0]}")
sys.dont_write_bytecode = True
import numpy
before = set(sys.modules)
sys.addaudithook(watch)
import bridge
loaded = sorted(set(sys.modules) - before)
import threading
print(json.dumps({"loaded": loaded, "events": events, "threads": threading.active_count()}))
"""


def _imported() -> dict[str, Any]:
    out = subprocess.run([sys.executable, "-c", _WATCH], check=True, capture_output=True, text=True, timeout=60)
    told: dict[str, Any] = json.loads(out.stdout)
    return told


def test_importing_loads_nothing_heavy_and_starts_nothing() -> None:
    told = _imported()
    assert not {
        name for name in told["loaded"] if any(name == heavy or name.startswith(heavy + ".") for heavy in _HEAVY)
    }
    assert told["events"] == []
    assert told["threads"] == 1


def test_importing_asks_for_no_program() -> None:
    told = _imported()
    assert "bridge" in told["loaded"]
    assert not any(
        name.startswith(("bridge.ffmpeg", "bridge.magick", "bridge.cli", "bridge.views")) for name in told["loaded"]
    )


def test_the_types_are_shipped() -> None:
    from importlib.resources import files

    assert files("bridge").joinpath("py.typed").is_file()
