"""Every error that bridge raises, and nothing else.

::

    BridgeError
    ├── UriError (ValueError)                   the uri cannot be understood, or not by this version
    │   ├── UriNotFound (FileNotFoundError)     there is no such file
    │   └── UriIsDirectory (IsADirectoryError)  it is a directory
    ├── ForbiddenUri (PermissionError)          it may not be read, or nothing may be written there
    ├── UnknownFormat (ValueError)              no Format knows this content, name or extension
    │   └── ForbiddenFormat (PermissionError)   it is known, but not read at this level of trust
    ├── ForbiddenOption (PermissionError)       an option is not taken at this level of trust
    ├── UnsupportedPixels (ValueError)          this dtype, shape or depth cannot be held
    ├── CorruptMedia (ValueError)               the content is damaged, or not what it says it is
    ├── TruncatedMedia (EOFError)               the content ended early; ``got`` says how much was read
    ├── NoSuchFrame (IndexError)                there is no frame with that index
    ├── LimitExceeded (RuntimeError)            a limit of ``bridge.Limits`` was reached
    ├── SandboxMissing (RuntimeError)           untrusted content, and this system cannot box a child
    ├── Closed (RuntimeError)                   the reader or writer is closed already
    ├── NotPortable (TypeError)                 a reader or writer that no other process can have
    ├── MissingCodec (LookupError)              the program is there, but it lacks this encoder or format
    ├── ToolMissing (FileNotFoundError)         the program is not on this machine
    ├── ToolFailed (ChildProcessError)          the program ran and failed, in its own words
    ├── ToolTimeout (TimeoutError)              the program was too slow and was stopped
    ├── DeviceMissing (FileNotFoundError)       there is no such camera, screen or clipboard
    ├── DeviceBusy (OSError)                    somebody else has the camera, or has it in another mode
    ├── DeviceLost (ConnectionError)            it was there and is no more: unplugged, or its program has ended
    ├── NoPicture (LookupError)                 the clipboard holds something else than a picture, or nothing
    ├── WireError (ValueError)                  a message between processes is none, or not of this version
    │   └── WrongVersion (ConnectionRefusedError)  the other side speaks another version
    ├── WorkerLost (ConnectionError)            the worker has died, hangs, or cannot be reached
    ├── OutputFailed (OSError)                  the result could not be put in its place
    ├── BadJob (ValueError)                     a job asks for what makes no sense, or not together
    ├── CheckFailed (RuntimeError)              a result was made, and is not what it should be
    └── JobCancelled (RuntimeError)             somebody has stopped the job

Every class is also the builtin that it means, so ``except ValueError`` works as well. `DamageWarning` is a
warning, for readers that were told ``on_damage="warn"``.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BadJob",
    "BridgeError",
    "CheckFailed",
    "Closed",
    "CorruptMedia",
    "DamageWarning",
    "DeviceBusy",
    "DeviceLost",
    "DeviceMissing",
    "ForbiddenFormat",
    "ForbiddenOption",
    "ForbiddenUri",
    "JobCancelled",
    "LimitExceeded",
    "MissingCodec",
    "NoPicture",
    "NoSuchFrame",
    "NotPortable",
    "OutputFailed",
    "SandboxMissing",
    "ToolFailed",
    "ToolMissing",
    "ToolTimeout",
    "TruncatedMedia",
    "UnknownFormat",
    "UnsupportedPixels",
    "UriError",
    "UriIsDirectory",
    "UriNotFound",
    "WireError",
    "WorkerLost",
    "WrongVersion",
]


class BridgeError(Exception):
    """The base of all errors of this package.

    Parameters
    ----------
    message : str
        What happened, in which file, and what the user can do: one line where possible.
    command : sequence of str
        The command line of the program that was involved, if there was one.
    exit : Exit or None
        How that program ended (`bridge.process.child.Exit`), if it did.
    last_words : str
        The end of what it wrote to its error stream.
    got : int or None
        How many whole frames had been delivered, where that matters.
    """

    message: str
    command: tuple[str, ...]
    exit: Any
    last_words: str
    got: int | None

    def __init__(
        self,
        message: str,
        *,
        command: tuple[str, ...] = (),
        exit: Any = None,  # the noun of DESIGN: how a program ended
        last_words: str = "",
        got: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.command = tuple(command)
        self.exit = exit
        self.last_words = last_words
        self.got = got

    def put_name(self, name: str) -> None:
        """Say in which file, where the message does not yet."""
        if name not in self.message:
            self.message = f"{name}: {self.message}"

    def __str__(self) -> str:
        """Give the message alone; OSError would add its own punctuation."""
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and attributes, so that errors cross processes whole."""
        return _rebuild, (type(self), self.message, self.__dict__.copy())


def _rebuild(cls: type[BridgeError], message: str, state: dict[str, Any]) -> BridgeError:
    error = cls(message)
    error.__dict__.update(state)
    return error


class UriError(BridgeError, ValueError):
    """The uri cannot be understood, or not by this version."""


class UriNotFound(UriError, FileNotFoundError):
    """There is no such file."""


class UriIsDirectory(UriError, IsADirectoryError):
    """The uri names a directory where a file is needed."""


class ForbiddenUri(BridgeError, PermissionError):
    """The file may not be read, or nothing may be written there."""


class UnknownFormat(BridgeError, ValueError):
    """No Format knows this content, name or extension."""


class ForbiddenFormat(UnknownFormat, PermissionError):
    """The format is known, but is not read at the call's level of trust."""


class ForbiddenOption(BridgeError, PermissionError):
    """An option, of the user's own for a program, is not taken at the call's level of trust."""


class UnsupportedPixels(BridgeError, ValueError):
    """The dtype, shape or depth of the array cannot be held by the target."""


class CorruptMedia(BridgeError, ValueError):
    """The content is damaged, or is not what it says it is."""


class TruncatedMedia(BridgeError, EOFError):
    """The content ended early; ``got`` is the number of whole frames that were read."""


class NoSuchFrame(BridgeError, IndexError):
    """There is no frame with that index."""


class LimitExceeded(BridgeError, RuntimeError):
    """A limit was reached; the message names it, its value, what was reached and how to raise it."""


class SandboxMissing(BridgeError, RuntimeError):
    """The content is not trusted, and this system has no box to put its decoder in."""


class Closed(BridgeError, RuntimeError):
    """The reader or writer is closed already."""


class NotPortable(BridgeError, TypeError):
    """The reader or writer cannot be pickled: no other process could open what it works on."""


class MissingCodec(BridgeError, LookupError):
    """The program is installed, but this build of it lacks the encoder or format."""


class ToolMissing(BridgeError, FileNotFoundError):
    """The program is not on this machine; the message says how to install it."""


class ToolFailed(BridgeError, ChildProcessError):
    """The program ran and failed; the message ends with its own words."""


class ToolTimeout(BridgeError, TimeoutError):
    """The program was slower than its deadline and was stopped."""


class DeviceMissing(BridgeError, FileNotFoundError):
    """There is no such camera, screen or clipboard on this machine."""


class DeviceBusy(BridgeError, OSError):
    """Another program has the camera, or this one has it in another mode."""


class DeviceLost(BridgeError, ConnectionError):
    """The camera or the screen was there and is no more; what was read before is good."""


class NoPicture(BridgeError, LookupError):
    """The clipboard holds no picture; the message says what it holds."""


class WireError(BridgeError, ValueError):
    """A message between processes is malformed: not ours, cut short, too large, or out of place."""


class WrongVersion(WireError, ConnectionRefusedError):
    """The other side speaks another version of the protocol, so nothing is exchanged with it."""


class WorkerLost(BridgeError, ConnectionError):
    """The worker has died, hangs, has closed the connection, or cannot be reached."""


class OutputFailed(BridgeError, OSError):
    """The result was made but could not be put in its place."""


class BadJob(BridgeError, ValueError):
    """The job asks for what makes no sense, or not together; asking again does not help."""


class CheckFailed(BridgeError, RuntimeError):
    """The result was made, but compared with its source it is not what it should be; it was not put in place."""


class JobCancelled(BridgeError, RuntimeError):
    """Somebody has stopped the job; nothing was put in place."""


class DamageWarning(UserWarning):
    """Something of the content is damaged, and what could be decoded was given all the same."""
