"""Keys for connections between machines (CURVE): who may read what a worker publishes, and whom a reader believes.

A folder of keys, as `make_keys` makes it on the worker's machine::

    worker.secret          stays there
    worker.public          readers need it, to know the worker
    readers/NAME.public    one file for each reader that is let in
    NAME.secret            that reader's own; goes to its machine, with worker.public

Each file has one key of 40 characters. Secrets may be read by their owner only.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.errors import ForbiddenUri, OutputFailed, UriError, UriNotFound
from bridge.printing import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import zmq

__all__ = ["ReaderKeys", "WorkerKeys", "is_loopback", "make_keys", "reader_keys", "refuse_open"]

_VARIABLE = "FRAMEBRIDGE_KEYS"
_WORKER, _READERS = "worker", "readers"
_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_NAME = re.compile(r"[\w.-]{1,64}")
_ZAP_DOMAIN = b"framebridge"
_REMEDY = "make them with `framebridge-worker keygen FOLDER`"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKeys:
    """What a worker has: its secret, and the folder in which its readers' keys are."""

    secret: bytes
    readers: Path

    @classmethod
    def of(cls, folder: str | Path) -> WorkerKeys:
        """Read them.

        Raises
        ------
        UriNotFound, ForbiddenUri, UriError
            If they are not there, others may read the secret, or there is something else.
        """
        folder = Path(folder).expanduser()
        return cls(secret=_secret(folder / f"{_WORKER}.secret"), readers=folder / _READERS)

    def prepare(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket let in only who has a key; whose, its gate is asked."""
        socket.curve_server = True
        socket.curve_secretkey = self.secret
        socket.zap_domain = _ZAP_DOMAIN

    def lets_in(self, public: bytes) -> bool:
        """Tell whether that is the key of one of the readers; looked up each time, so that readers come and go."""
        found = sorted(self.readers.glob("*.public")) if self.readers.is_dir() else []
        return any(_content(path) == public for path in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderKeys:
    """What a reader has: its own two keys, and the worker's public one."""

    secret: bytes
    worker: bytes

    def prepare(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket speak to that worker only, and say who we are."""
        import zmq

        socket.curve_serverkey = self.worker
        socket.curve_publickey = zmq.curve_public(self.secret)
        socket.curve_secretkey = self.secret


def reader_keys(address: str, server_key: str | Path | None, keys: str | Path | None) -> ReaderKeys | None:
    """Find the keys for an address; None where none are needed, as on this machine.

    Parameters
    ----------
    address : str
        Of the worker.
    server_key : str or path, optional
        The worker's public key, or the file that it is in; by default that in the folder.
    keys : str or path, optional
        The folder, or the file of the reader's secret; by default what ``FRAMEBRIDGE_KEYS`` names.

    Raises
    ------
    ForbiddenUri
        If there are none, and the address is of another machine.
    UriNotFound, UriError
        If they are not where they should be.
    """
    place = keys or os.environ.get(_VARIABLE)
    if place is None and server_key is None:
        if is_loopback(address):
            return None
        raise ForbiddenUri(
            f"{printable(address)} is another machine, and there are no keys: {_REMEDY} on that machine, bring "
            f"reader.secret and worker.public here, and give their folder as keys= or in {_VARIABLE}"
        )
    if place is None:
        raise ForbiddenUri(f"{printable(address)}: server_key= needs keys=, too: where the reader's own secret is")
    path = Path(place).expanduser()
    secret = _own_secret(path) if path.is_dir() else path
    worker = (path if path.is_dir() else path.parent) / f"{_WORKER}.public"
    return ReaderKeys(secret=_secret(secret), worker=_public(worker if server_key is None else server_key))


def make_keys(folder: str | Path, names: Iterable[str] = ("reader",)) -> list[Path]:
    """Make keys for a worker, if it has none, and for readers of these names; give the files that are new.

    Raises
    ------
    OutputFailed
        If a reader of that name has keys already, or they cannot be written.
    UriError
        If a name is none.
    """
    import zmq

    folder = Path(folder).expanduser()
    made: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / _READERS).mkdir(mode=0o700, exist_ok=True)
        if not (folder / f"{_WORKER}.secret").exists():
            public, secret = zmq.curve_keypair()
            made += [_written(folder / f"{_WORKER}.public", public), _written(folder / f"{_WORKER}.secret", secret)]
        for name in names:
            if not _NAME.fullmatch(name) or name == _WORKER:
                raise UriError(f"{name!r} is no name for a reader's keys: letters, digits, points and dashes")
            public, secret = zmq.curve_keypair()
            made.append(_written(folder / f"{name}.secret", secret))
            made.append(_written(folder / _READERS / f"{name}.public", public))
    except FileExistsError as error:
        raise OutputFailed(f"{error.filename} is there already: remove it, or take another name") from None
    except OSError as error:
        if isinstance(error, UriError):
            raise
        raise OutputFailed(f"{error.filename}: {error.strerror}") from None
    return made


def is_loopback(address: str) -> bool:
    """Tell whether an address of ZeroMQ can be reached from this machine only.

    Examples
    --------
    >>> [is_loopback(f"tcp://{host}:5555") for host in ("127.0.0.1", "[::1]", "localhost", "*", "10.0.0.5", "eth0")]
    [True, True, True, False, False, False]
    """
    scheme, _, rest = address.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    if scheme != "tcp":
        return scheme == "ipc"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_open(address: str, keys: WorkerKeys | None) -> None:
    """Refuse to be reachable from other machines without keys.

    Raises
    ------
    ForbiddenUri
        If that is so.
    """
    if keys is None and not is_loopback(address):
        raise ForbiddenUri(
            f"{printable(address)} can be reached from other machines, and there are no keys: {_REMEDY}, and give "
            "it as --keys FOLDER; on this machine alone, publish on tcp://127.0.0.1:PORT"
        )


def _written(path: Path, key: bytes) -> Path:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600 if path.suffix == ".secret" else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key + b"\n")
    return path


def _own_secret(folder: Path) -> Path:
    """Find the one secret in a folder that is a reader's."""
    found = [path for path in sorted(folder.glob("*.secret")) if path.stem != _WORKER]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UriError(f"{folder} should have the secret of one reader, and has {names}; give its file as keys=")
    return found[0]


def _secret(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UriNotFound(f"{path}: {error.strerror}; {_REMEDY}") from None
    if mode & 0o077:
        raise ForbiddenUri(f"{path} may be read by others than its owner: it is no secret; chmod 600 it")
    return _checked(path)


def _public(key: str | Path) -> bytes:
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key.encode()
    return _checked(Path(key).expanduser())


def _checked(path: Path) -> bytes:
    found = _content(path)
    if found is None:
        raise UriNotFound(f"{path} is not there, or may not be read; {_REMEDY}")
    if not _KEY.fullmatch(found.decode("ascii", "replace")):
        raise UriError(f"{path} has no key in it; {_REMEDY}")
    return found


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(1000).strip()
    except OSError:
        return None
