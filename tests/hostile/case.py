"""What a hostile input is: how it is made, how it is read, and what may come of it at each level of trust."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import bridge
from bridge.errors import BridgeError
from bridge.limits import TRUST, Limits
from tests.hostile.forms import PICTURE, png
from tests.hostile.watch import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

__all__ = [
    "ANY",
    "CANARY",
    "CANARY_PNG",
    "CANARY_TEXT",
    "REFUSE",
    "Case",
    "Expect",
    "Place",
    "World",
    "decode",
    "either",
    "file",
    "frames",
    "made",
    "mimread",
    "refuse",
    "same",
    "shape",
    "stream",
    "whatever",
]

CANARY = (250, 20, 200)  # a colour that no input has: who sees it has read another file
CANARY_TEXT = "canary-4b1d"
CANARY_PNG = png(np.full((24, 32, 3), CANARY, np.uint8))
_STREAMED = 300  # frames that `stream` takes before it has seen enough


# Where


class World:
    """What all inputs of a session share: two servers on this machine, and films made once. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.server = self._running.enter_context(Server())  # what the user asks
        self.private = self._running.enter_context(Server(CANARY_PNG))  # what nobody may be led to
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def film(self, name: str, source: str = "testsrc2=s=64x48:d=1:r=10", *options: str) -> Path:
        """Give a film of a lavfi graph; made once, by the system's ffmpeg."""
        path = self.folder / name
        if not path.exists():
            program = shutil.which("ffmpeg") or _ffmpeg_under_test()
            command = [program, "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, *options, f"file:{path}"]
            subprocess.run(command, check=True, timeout=60)
        return path

    def place(self, folder: Path) -> Place:
        """Make room for one input."""
        self.server.forget()
        self.private.forget()
        place = Place(world=self, folder=folder / "uploads", elsewhere=folder / "elsewhere")
        place.folder.mkdir(parents=True)
        place.elsewhere.mkdir()
        return place


def _ffmpeg_under_test() -> str:
    from bridge.process.tools import toolbox

    return toolbox().find("ffmpeg").path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one input is laid, and what of the neighbourhood must not be touched.

    Attributes
    ----------
    folder : Path
        Where uploads are, and the working directory of the call.
    elsewhere : Path
        The folder of somebody else.
    canaries : list of Path
        Files that nobody may open.
    """

    world: World
    folder: Path
    elsewhere: Path
    canaries: list[Path] = field(default_factory=list)

    def write(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def canary(self, name: str, data: bytes = CANARY_PNG, *, beside: bool = False) -> Path:
        """Lay out a file that must not be opened: somebody else's, or the input's neighbour."""
        path = (self.folder if beside else self.elsewhere) / name
        path.write_bytes(data)
        self.canaries.append(path)
        return path

    def canary_film(self, name: str = "secret.ts", *, beside: bool = False) -> Path:
        source = "color=c=0x{:02x}{:02x}{:02x}:s=64x48:d=1:r=5".format(*CANARY)
        made = self.world.film("canary.ts", source, "-c:v", "mpeg2video", "-q:v", "2")
        return self.canary(name, made.read_bytes(), beside=beside)

    @property
    def private(self) -> str:
        """The address of a server that must not be asked."""
        return f"127.0.0.1:{self.world.private.port}"


# How


def _imread(uri: Any, limits: Limits) -> Any:
    return bridge.imread(uri, limits=limits)


def mimread(uri: Any, limits: Limits) -> Any:
    """Read all of it at once."""
    return bridge.mimread(uri, limits=limits)


def stream(uri: Any, limits: Limits) -> Any:
    """Take frame after frame, until there have been enough of them; give the last."""
    last = None
    with bridge.get_reader(uri, limits=limits) as reader:
        for number, frame in enumerate(reader):
            last = frame
            if number == _STREAMED:
                break
    return last


# What may come of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What is right: an error of these kinds, a result that passes, or either."""

    kinds: tuple[type[Exception], ...] = ()
    words: str = ""
    right: Callable[[Any], bool] | None = None

    def __str__(self) -> str:
        parts = [kind.__name__ for kind in self.kinds] + (["pixels"] if self.right else [])
        return " or ".join(parts)

    def faults_of(self, result: Any) -> list[str]:
        """Tell what is wrong with a result or an exception."""
        if isinstance(result, BaseException):
            if not isinstance(result, BridgeError):
                return [f"a foreign exception: {result!r}"]
            if not isinstance(result, self.kinds):
                return [f"{type(result).__name__} where {self} is right: {result}"]
            said = bool(re.search(self.words, str(result)))
            return [] if said else [f"the error does not say {self.words!r}: {result}"]
        if self.right is None:
            return [f"it was read, where {self} is right"]
        try:
            return [] if self.right(result) else ["what was read is not right"]
        except AssertionError as error:  # which tells more
            return [f"what was read is not right: {error}"]


def refuse(*kinds: type[Exception], words: str = "") -> Expect:
    return Expect(kinds=kinds or (BridgeError,), words=words)


def decode(right: Callable[[Any], bool]) -> Expect:
    return Expect(right=right)


def either(right: Callable[[Any], bool], *kinds: type[Exception]) -> Expect:
    return Expect(kinds=kinds or (BridgeError,), right=right)


def whatever(_: Any) -> bool:
    return True


def same(picture: np.ndarray[Any, Any] = PICTURE) -> Callable[[Any], bool]:
    return lambda result: np.array_equal(np.asarray(result), picture)


def shape(*wanted: int) -> Callable[[Any], bool]:
    return lambda result: np.shape(result)[: len(wanted)] == wanted


def frames(count: int, picture: np.ndarray[Any, Any] | None = None) -> Callable[[Any], bool]:
    """Expect that many pictures, all alike."""

    def right(result: Any) -> bool:
        alike = picture is None or all(np.array_equal(np.asarray(frame), picture) for frame in result)
        return len(result) == count and alike

    return right


REFUSE = refuse()
ANY = either(whatever)


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile input.

    Attributes
    ----------
    number : int
        Of the catalogue.
    make : callable
        Lays it out, and gives the uri.
    expect : Expect
        What is right at the levels ``normal`` and ``untrusted``.
    untrusted, trusted : Expect, optional
        What is right there; where one's own documents may be drawn, that is any error of ours, and any picture.
    read : callable
        The call.
    seconds : float
        What it may take.
    limits : dict
        Further limits of the call.
    levels : tuple of str
        Where it is tried.
    proof : tuple of str
        Where it is proven, for the inputs 1 to 40, that nobody opens a canary, asks a server or starts another program.
    """

    number: int
    name: str
    make: Callable[[Place], Any]
    expect: Expect = REFUSE
    untrusted: Expect | None = field(default=None, kw_only=True)
    trusted: Expect = field(default=ANY, kw_only=True)
    read: Callable[[Any, Limits], Any] = field(default=_imread, kw_only=True)
    seconds: float = field(default=6.0, kw_only=True)
    limits: dict[str, Any] = field(default_factory=dict, kw_only=True)
    levels: tuple[str, ...] = field(default=TRUST, kw_only=True)
    proof: tuple[str, ...] = field(default=("normal", "untrusted"), kw_only=True)

    @property
    def title(self) -> str:
        return f"{self.number}-{self.name}"

    def expected(self, level: str) -> Expect:
        if level == "untrusted" and self.untrusted is not None:
            return self.untrusted
        return self.trusted if level == "trusted" else self.expect

    def proven(self, level: str) -> bool:
        return self.number <= 40 and level in self.proof


def made(name: str, make: Callable[[], bytes]) -> Callable[[Place], Path]:
    """Make the maker of one file that is large, or dear."""
    return lambda place: place.write(name, make())


def file(name: str, data: bytes | str) -> Callable[[Place], Path]:
    """Make the maker of one file."""
    return lambda place: place.write(name, data)
