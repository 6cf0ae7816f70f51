"""Step and Progress: one command of ffmpeg, with places for its files, and how far it is. Values only."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Progress", "Step", "folder", "made", "source"]

_PLACE = re.compile("\0(in|out|dir)(\\d+)\0")


def source(number: int) -> str:
    """Give what stands in a command for one of the step's inputs; no real argument can look like it."""
    return f"\0in{number}\0"


def made(number: int) -> str:
    """Give what stands in a command for one of the step's outputs."""
    return f"\0out{number}\0"


def folder(number: int) -> str:
    """Give what stands in a command for one of the folders that it may write in."""
    return f"\0dir{number}\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of ffmpeg.

    Attributes
    ----------
    subject : str
        The user's name for what is being worked on, for messages.
    arguments : tuple of str
        What follows the program's name, but for what every command has; `source` and `made` stand for files.
    inputs, outputs : tuple of str
        Names of these files; a runner opens them, and the command gets descriptors, never names.
    files : dict of str to str
        Small text files that it finds in its folder, as lists for the demuxer `concat`; places in them are filled, too.
    frames : int or None
        How many will be written, where that is known.
    seconds : float or None
        How long the result will be.
    silent : bool
        It writes nothing until it has seen all: that it takes CPU time is its sign of life.
    sealed : bool
        It opens nothing but these files.

    Examples
    --------
    >>> step = Step(subject="a.mov", arguments=("-i", source(0), made(0)), inputs=("a.mov",), outputs=("a.mp4",))
    >>> step.filled([5], [6])
    ('-i', 'file:/proc/self/fd/5', 'file:/proc/self/fd/6')
    """

    subject: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    frames: int | None = None
    seconds: float | None = None
    silent: bool = False
    sealed: bool = True

    def filled(self, inputs: Sequence[int], outputs: Sequence[int], folders: Sequence[int] = ()) -> tuple[str, ...]:
        """Give the arguments with descriptors in their places."""
        fill = _filler(inputs, outputs, folders)
        return tuple(_PLACE.sub(fill, argument) for argument in self.arguments)

    def texts(self, inputs: Sequence[int], outputs: Sequence[int]) -> dict[str, bytes]:
        """Give the small files with descriptors in their places."""
        fill = _filler(inputs, outputs)
        return {name: _PLACE.sub(fill, text).encode() for name, text in self.files.items()}

    def shown(self, program: str) -> tuple[str, ...]:
        """Give the command as people read it: with the names of files."""
        names = {"in": self.inputs, "out": self.outputs}

        def name(place: re.Match[str]) -> str:
            return names[place[1]][int(place[2])] if place[1] in names else "."

        return (program, *(_PLACE.sub(name, word) for word in self.arguments))

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values that `json` takes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Step:
        """Make it of its plain form."""
        rows = {name: tuple(plain[name]) for name in ("arguments", "inputs", "outputs") if name in plain}
        return cls(**{**plain, **rows})


def _filler(
    inputs: Sequence[int], outputs: Sequence[int], folders: Sequence[int] = ()
) -> Callable[[re.Match[str]], str]:
    places = {"in": inputs, "out": outputs, "dir": folders}
    prefixes = {"in": "file:", "out": "file:", "dir": ""}
    return lambda place: f"{prefixes[place[1]]}/proc/self/fd/{places[place[1]][int(place[2])]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a step, or a job, is.

    Attributes
    ----------
    stage : str
        What is done just now: ``"encode"``, ``"check"``, …
    frames : int
        Written so far.
    seconds : float
        Of the result, so far.
    total_frames, total_seconds : int or float or None
        Of the whole; None is not known.
    speed : float or None
        Seconds of film in one second.
    elapsed : float
        Seconds since the beginning.
    """

    stage: str = "encode"
    frames: int = 0
    seconds: float = 0.0
    total_frames: int | None = None
    total_seconds: float | None = None
    speed: float | None = None
    elapsed: float = 0.0

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1; None where the whole is not known."""
        if self.total_frames:
            return min(1.0, self.frames / self.total_frames)
        if self.total_seconds:
            return min(1.0, max(0.0, self.seconds) / self.total_seconds)
        return None

    @property
    def eta(self) -> float | None:
        """How many seconds it may take yet; None where nobody can tell."""
        done = self.fraction
        return None if not done else self.elapsed * (1 - done) / done
