"""Tool and Toolbox: find the programs, ask each who it is and what it can, remember the answers.

Nothing is searched at import. Only absolute PATH entries count, so that a program in the current folder
is never run by accident, and a candidate counts only if its own banner says that it is what we look for:
on many machines the first ``convert`` is something else than ImageMagick.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import logging
import os
import re
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

from bridge.errors import BridgeError, MissingCodec, ToolMissing
from bridge.process.child import run, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Abilities", "Attempt", "Tool", "Toolbox", "install_hint", "on_path", "toolbox"]

log = logging.getLogger("bridge")

NONE = "none"  # the value of a FRAMEBRIDGE_… variable that says: behave as if this program were not here
_ASK = 20.0  # seconds for a program to say its version, generous for a cold disk
_CACHE_VERSION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program of this machine that has said who it is.

    Attributes
    ----------
    name : str
        ``"ffmpeg"``, ``"ffprobe"``, ``"magick"`` or ``"gs"``.
    path : str
        Absolute path.
    version : str
        As the program gives it, e.g. ``"5.1.9-0+deb12u1"`` or ``"6.9.11-60 Q16"``.
    release : tuple of int
        Major and minor, for deciding which options to use; of FFmpeg builds without a number it is
        told from libavcodec's.
    source : str
        Where it was found: a setting, an environment variable, ``PATH``, ``bundled wheel``.
    """

    name: str
    path: str
    version: str
    release: tuple[int, int]
    source: str

    @property
    def identify(self) -> tuple[str, ...]:
        """Give the command that describes pictures (ImageMagick only)."""
        if self.release >= (7, 0):
            return (self.path, "identify")
        return (str(_identify_beside(self.path)),)

    def __str__(self) -> str:
        """Name and version, for tables and metadata."""
        return f"{_called(self.name)} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One place that was looked at, and why it did not serve (empty if it did)."""

    source: str
    path: str
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What one build can do, by the program's own lists; FFmpeg's and ImageMagick's own names.

    For ImageMagick `demuxers` and `muxers` hold the coders that read and that write, `delegates` the libraries that
    are built in; the rest is empty.
    """

    demuxers: frozenset[str] = frozenset()
    muxers: frozenset[str] = frozenset()
    decoders: frozenset[str] = frozenset()
    encoders: frozenset[str] = frozenset()
    filters: frozenset[str] = frozenset()
    pix_fmts: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    delegates: frozenset[str] = frozenset()

    def need(self, kind: str, name: str, tool: Tool) -> None:
        """Raise `MissingCodec`, naming the nearest there is, unless `name` is in the list `kind`."""
        have: frozenset[str] = getattr(self, kind)
        if name not in have:
            stem = name.lower().removeprefix("lib")[:4]
            near = sorted(other for other in have if stem in other.lower())
            message = f"{tool} has no {kind.removesuffix('s')} {name!r}"
            message += f"; near to it: {', '.join(near[:8])}" if near else ""
            raise MissingCodec(message + " (`framebridge formats` lists what works here)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How to look for one program."""

    variable: str
    names: tuple[str, ...]
    banner: re.Pattern[str]
    packages: Mapping[str, str]
    called: str = ""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_FFMPEG_LISTS = {
    "demuxers": ("-demuxers",),
    "muxers": ("-muxers",),
    "decoders": ("-decoders",),
    "encoders": ("-encoders",),
    "filters": ("-filters",),
    "pix_fmts": ("-pix_fmts",),
    "devices": ("-devices",),
}
_FFMPEG_PACKAGES = {"apt-get": "ffmpeg", "dnf": "ffmpeg-free", "brew": "ffmpeg", "winget": "Gyan.FFmpeg"}
_MAGICK_PACKAGES = {
    "apt-get": "imagemagick",
    "dnf": "ImageMagick",
    "brew": "imagemagick",
    "winget": "ImageMagick.ImageMagick",
}
_GS_PACKAGES = {
    "apt-get": "ghostscript",
    "dnf": "ghostscript",
    "brew": "ghostscript",
    "winget": "ArtifexSoftware.GhostScript",
}

_KINDS: dict[str, _Kind] = {
    "ffmpeg": _Kind(
        variable="FRAMEBRIDGE_FFMPEG",
        names=("ffmpeg",),
        banner=re.compile(r"^ffmpeg version (\S+)"),
        packages=_FFMPEG_PACKAGES,
        lists=_FFMPEG_LISTS,
    ),
    "ffprobe": _Kind(
        variable="FRAMEBRIDGE_FFPROBE",
        names=("ffprobe",),
        banner=re.compile(r"^ffprobe version (\S+)"),
        packages=_FFMPEG_PACKAGES,
    ),
    "magick": _Kind(
        variable="FRAMEBRIDGE_MAGICK",
        names=("magick", "convert"),
        banner=re.compile(r"^Version: ImageMagick (\S+(?: Q\d+(?:-HDRI)?)?)"),
        packages=_MAGICK_PACKAGES,
        called="ImageMagick",
        lists={"coders": ("-list", "format"), "delegates": ("-version",)},
    ),
    "gs": _Kind(
        variable="FRAMEBRIDGE_GS",
        names=("gs",),
        banner=re.compile(r"^(?:\w+ )?Ghostscript (?:[A-Z ]+(?:\d+ )?)?(\d+\.\S+)"),  # also a RELEASE CANDIDATE 1
        packages=_GS_PACKAGES,
        called="Ghostscript",
    ),
}


def _called(name: str) -> str:
    """Give the name of a program as people know it."""
    return _KINDS[name].called or name


def install_hint(name: str) -> str:
    """Give the line that installs a program on this kind of machine."""
    packages = _KINDS[name].packages
    manager = next((m for m in packages if any(on_path(m))), None)
    line = f"{manager} install {packages[manager]}" if manager else f"apt-get install {packages['apt-get']}"
    if name != "ffmpeg":
        return f"`{line}`"
    return f"`{line}`, or `pip install 'framebridge[bundled]'` for one without ffprobe"


class Toolbox:
    """The programs of this machine, looked for when first asked for.

    Parameters
    ----------
    settings : mapping
        Paths that come before everything else, by ``"ffmpeg"``, ``"ffprobe"``, ``"magick"``, ``"gs"``.

    Notes
    -----
    The order is: setting, environment (``FRAMEBRIDGE_FFMPEG``, ``FRAMEBRIDGE_FFPROBE``,
    ``FRAMEBRIDGE_MAGICK``, ``FRAMEBRIDGE_GS``; ``none`` there means that there is none), beside an ffmpeg that was
    found (for ffprobe), absolute PATH entries, the wheel of the ``bundled`` extra. A candidate that is not what its
    name says is passed over, with a log line where the user had named it.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings or {})
        self._found: dict[str, tuple[Tool | None, list[Attempt]]] = {}
        self._abilities: dict[str, Abilities] = {}

    def find(self, name: str) -> Tool:
        """Give the program, or raise `ToolMissing` with what was tried and how to get it."""
        tool, attempts = self._look(name)
        if tool is None:
            tried = "; ".join(f"{a.path} ({a.refused})" for a in attempts) or "nothing by that name on PATH"
            message = f"{_called(name)} was not found: {tried}. Get it by {install_hint(name)}"
            raise ToolMissing(message)
        return tool

    def get(self, name: str) -> Tool | None:
        """Give the program, or None."""
        return self._look(name)[0]

    def attempts(self, name: str) -> list[Attempt]:
        """Tell where the program was looked for, in order, and what was wrong there."""
        return list(self._look(name)[1])

    def abilities(self, name: str) -> Abilities:
        """Tell what the program can do, from its own lists, read once and kept in the cache file."""
        if name not in self._abilities:
            self._abilities[name] = _abilities(self.find(name))
        return self._abilities[name]

    def _look(self, name: str) -> tuple[Tool | None, list[Attempt]]:
        found = self._found.get(name)
        if found is None or found[0] is None:  # what was missing may have been installed since
            found = self._found[name] = self._search(name)
        return found

    def _search(self, name: str) -> tuple[Tool | None, list[Attempt]]:
        attempts: list[Attempt] = []
        for source, path in self._candidates(name):
            if path == NONE:
                return None, [*attempts, Attempt(source=source, path=path, refused="switched off")]
            tool, refused = _identify(name, path, source)
            attempts.append(Attempt(source=source, path=path, refused=refused))
            if tool:
                return tool, attempts
            if source not in ("PATH", "bundled wheel"):
                log.warning("%s: %s %s; looking further", source, path, refused)
        return None, attempts

    def _candidates(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield where to look and a path, in order."""
        kind = _KINDS[name]
        if name in self._settings:
            yield "setting", self._settings[name]
        if path := os.environ.get(kind.variable):
            yield kind.variable, path
        if name == "ffprobe":
            yield from (("beside ffmpeg", path) for path in self._beside_ffmpeg())
        for program in kind.names:
            for path in on_path(program):
                yield "PATH", path
        if name == "ffmpeg":
            for path in _bundled():
                yield "bundled wheel", path

    def _beside_ffmpeg(self) -> Iterator[str]:
        """Yield the ffprobe of the same build, if it lies where it should."""
        ffmpeg = self.get("ffmpeg")
        if ffmpeg is not None:
            beside = Path(ffmpeg.path).with_name("ffprobe" + Path(ffmpeg.path).suffix)
            yield from [str(beside)] if beside.exists() else []


def toolbox() -> Toolbox:
    """Give the toolbox for the environment as it is now; the same one as long as that does not change."""
    return _toolbox(tuple(os.environ.get(kind.variable) for kind in _KINDS.values()), os.environ.get("PATH"))


@functools.lru_cache(maxsize=8)
def _toolbox(_variables: tuple[str | None, ...], _path: str | None) -> Toolbox:
    return Toolbox()


def on_path(program: str) -> Iterator[str]:
    """Yield every executable of that name in the absolute entries of PATH."""
    endings = os.environ.get("PATHEXT", "").split(os.pathsep) if os.name == "nt" else [""]
    for folder in dict.fromkeys(os.environ.get("PATH", "").split(os.pathsep)):
        for ending in endings:
            path = Path(folder) / f"{program}{ending}"
            if Path(folder).is_absolute() and path.is_file() and os.access(path, os.X_OK):
                yield str(path)


def _bundled() -> Iterator[str]:
    """Yield the ffmpeg that the wheel imageio-ffmpeg carries, without importing it."""
    with contextlib.suppress(ImportError, ValueError):
        found = importlib.util.find_spec("imageio_ffmpeg")
        for folder in (found.submodule_search_locations or ()) if found else ():
            yield from (str(path) for path in sorted(Path(folder, "binaries").glob("ffmpeg-*")))


def _identify(name: str, path: str, source: str) -> tuple[Tool | None, str]:
    """Ask a candidate who it is; give the Tool, or None and why not."""
    path = os.path.abspath(path)  # noqa: PTH100 - a link stays: what it is called may matter to the program
    key = _stamp(path)
    if key is None:
        return None, "is not an executable file"
    kept = _Cache.read(key).get("banner")
    if not isinstance(kept, str):
        try:
            said = run([path, "-version"], subject=f"asking {path} who it is", seconds=_ASK, most=1 << 20)
        except BridgeError as error:
            return None, f"did not say its version: {error}"
        kept = said.stdout.decode("utf-8", "replace")
        if not said.exit.ok:
            return None, f"ended with {said.exit} when asked for its version: {words(said.exit.stderr)[:200]}"
        _Cache.add(key, {"banner": kept})
    match = _KINDS[name].banner.match(kept)
    if not match:
        return None, f"is not {_called(name)}: it says {kept[:60].strip()!r}"
    tool = Tool(name=name, path=path, version=match[1], release=_release(match[1], kept), source=source)
    refused = _unfit(tool) if name == "magick" else ""
    return (None, refused) if refused else (tool, "")


def _unfit(magick: Tool) -> str:
    """Tell why a program of ImageMagick is not the one that is needed; empty if it is."""
    if Path(magick.path).stem.lower() in _SIBLINGS:
        return f"is ImageMagick's {Path(magick.path).stem}, not its converter"
    if magick.release < (7, 0) and not _identify_beside(magick.path).is_file():
        return "has no identify beside it, as an installed ImageMagick 6 has"
    return ""


# Programs of ImageMagick that introduce themselves alike.
_SIBLINGS = frozenset(
    {"animate", "compare", "composite", "conjure", "display", "identify", "import", "mogrify", "montage", "stream"}
)


def _identify_beside(convert: str) -> Path:
    return Path(convert).with_name("identify" + Path(convert).suffix)


# libavcodec's major and minor -> FFmpeg's release, for builds that are named by date or commit.
_LIBAVCODEC = (((63, 0), (9, 0)), ((62, 11), (8, 0)), ((62, 0), (8, 0)), ((61, 19), (7, 1)), ((61, 0), (7, 0)),
               ((60, 31), (6, 1)), ((60, 0), (6, 0)), ((59, 37), (5, 1)), ((59, 0), (5, 0)))  # fmt: skip


def _release(version: str, banner: str) -> tuple[int, int]:
    """Tell major and minor, from the version's number or else from libavcodec's."""
    if number := re.match(r"n?(\d{1,2})\.(\d+)", version):
        return int(number[1]), int(number[2])
    if library := re.search(r"libavcodec\s+(\d+)\.\s*(\d+)", banner):
        built = int(library[1]), int(library[2])
        return next((release for at_least, release in _LIBAVCODEC if built >= at_least), (4, 4))
    return 4, 4


def _abilities(tool: Tool) -> Abilities:
    key = _stamp(tool.path) or tool.path
    kept = _Cache.read(key).get("abilities")
    if not _plausible(kept):
        kept = _asked(tool)
        _Cache.add(key, {"abilities": kept})
    return Abilities(**{name: frozenset(names) for name, names in kept.items()})


def _asked(tool: Tool) -> dict[str, list[str]]:
    """Have the program print its lists."""
    hide = ("-hide_banner",) if tool.name == "ffmpeg" else ()
    found: dict[str, list[str]] = {}
    for name, options in _KINDS[tool.name].lists.items():
        said = run([tool.path, *hide, *options], subject=f"asking {tool} for its {name}", seconds=_ASK)
        found |= _LISTS[name](name, said.stdout.decode("utf-8", "replace"))
    return found


def _plausible(kept: Any) -> TypeGuard[dict[str, list[str]]]:
    """Tell whether remembered abilities have the form in which they were written."""
    names = {field.name for field in fields(Abilities)}
    return (
        isinstance(kept, dict)
        and bool(kept)
        and kept.keys() <= names
        and all(isinstance(row, list) and all(isinstance(name, str) for name in row) for row in kept.values())
    )


def _ffmpeg_list(name: str, text: str) -> dict[str, list[str]]:
    """Read one of ffmpeg's lists: flags, then names (several with commas), then prose, below a rule."""
    names: list[str] = []
    ruled = name == "filters"  # the one list without a rule
    for line in text.splitlines():
        cells = line.split()
        if ruled and len(cells) > 1 and "=" not in cells[:2]:
            names += cells[1].split(",")
        ruled = ruled or (bool(cells) and set(cells[0]) == {"-"})
    return {name: sorted(set(names))}


_CODER = re.compile(r"^\s*([\w.-]+)\*?\s+(?:[\w-]+\s+)?([r-])([w-])[+-]\s")


def _magick_list(_name: str, text: str) -> dict[str, list[str]]:
    """Read ImageMagick's list of coders: the readable and the writable ones."""
    rows = [match for line in text.splitlines() if (match := _CODER.match(line))]
    return {
        "demuxers": sorted(row[1] for row in rows if row[2] == "r"),
        "muxers": sorted(row[1] for row in rows if row[3] == "w"),
    }


def _magick_delegates(name: str, text: str) -> dict[str, list[str]]:
    """Read the line of ImageMagick's banner that lists the libraries it is built with."""
    lines = (line for line in text.splitlines() if line.startswith("Delegates"))
    return {name: sorted(next(lines, "").partition(":")[2].split())}


_LISTS: dict[str, Callable[[str, str], dict[str, list[str]]]] = {
    **dict.fromkeys(_FFMPEG_LISTS, _ffmpeg_list),
    "coders": _magick_list,
    "delegates": _magick_delegates,
}


def _stamp(path: str) -> str | None:
    """Name a program file by path, size and time of change: a new build is asked again, or one with new modules."""
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    if not os.access(path, os.X_OK) or Path(path).is_dir():
        return None
    return f"{path}|{facts.st_size}|{facts.st_mtime_ns}|{_modules(path)}"


def _modules(path: str) -> int:
    """Tell when ImageMagick's coders last changed: they come in packages of their own."""
    if not re.search("magick|convert|identify", path):
        return 0
    libraries = Path(os.path.realpath(path)).parent.parent / "lib"
    found = [*libraries.glob("ImageMagick-*/modules*/coders"), *libraries.glob("*/ImageMagick-*/modules*/coders")]
    times = [0]
    with contextlib.suppress(OSError):
        times += [folder.stat().st_mtime_ns for folder in found]
    return max(times)


def cache_folder() -> Path:
    """Give the folder of what is remembered between runs: ``FRAMEBRIDGE_CACHE`` or the user's cache folder."""
    if own := os.environ.get("FRAMEBRIDGE_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or f"{os.path.expanduser('~')}/.cache"  # noqa: PTH111 - no error without HOME
    return Path(base) / "framebridge"


class _Cache:
    """One small JSON file; unreadable or foreign content counts as empty, failing to write is no error."""

    _memory: ClassVar[dict[str, dict[str, Any]]] = {}

    @classmethod
    def _file(cls) -> Path:
        return cache_folder() / "tools.json"

    @classmethod
    def _stored(cls) -> dict[str, dict[str, Any]]:
        with contextlib.suppress(OSError, ValueError):
            stored = json.loads(cls._file().read_bytes())
            if isinstance(stored, dict) and stored.get("version") == _CACHE_VERSION:
                tools = stored.get("tools")
                return tools if isinstance(tools, dict) else {}
        return {}

    @classmethod
    def read(cls, key: str) -> dict[str, Any]:
        if key not in cls._memory:
            row = cls._stored().get(key)
            cls._memory[key] = row if isinstance(row, dict) else {}
        return cls._memory[key]

    @classmethod
    def add(cls, key: str, facts: dict[str, Any]) -> None:
        cls._memory[key] = cls.read(key) | facts
        path = key.partition("|")[0]
        tools = {k: v for k, v in cls._stored().items() if k.partition("|")[0] != path} | {key: cls._memory[key]}
        with contextlib.suppress(OSError):
            cls._write({"version": _CACHE_VERSION, "tools": tools})

    @classmethod
    def _write(cls, content: dict[str, Any]) -> None:
        cls._file().parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".tools-", dir=cls._file().parent)
        try:
            with os.fdopen(descriptor, "w") as out:
                json.dump(content, out)
            Path(name).replace(cls._file())
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
