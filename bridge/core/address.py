"""Addresses of http, https and ftp, taken apart; and strangers' text, made fit to be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from bridge.errors import BridgeError, UriError

__all__ = ["CONTROL", "PORTS", "Target", "base_name", "masked", "shown"]

PORTS = {"http": 80, "https": 443, "ftp": 21}
CONTROL = r"[\x00-\x1f\x7f]"
_SAFE = "%/:;=@!$&'()*+,~?[]|"  # in a path or query: what is percent-encoded stays so


def masked(address: str) -> str:
    """Give the address as it may be shown: the password in it is starred out."""
    return re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://[^/?#:@]*):[^/?#]*@", r"\1:***@", address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    user: str | None
    password: str
    name: str

    @classmethod
    def parse(cls, address: str, schemes: tuple[str, ...] = ("http", "https", "ftp")) -> Target:
        """Take an address apart, or refuse it."""
        name = shown(masked(address))
        # urlsplit drops line breaks without a word, and http.client would send what is left
        if re.search(CONTROL, address):
            raise UriError(f"{name}: there are control characters in it")
        try:
            parts = urlsplit(address.strip())
            return cls._of(parts, schemes, name)
        except UnicodeError as error:  # of idna: empty or too long a label
            raise UriError(f"{name}: no host is called that") from error
        except ValueError as error:
            if isinstance(error, BridgeError):
                raise
            raise UriError(f"{name}: {error}") from error

    @classmethod
    def _of(cls, parts: SplitResult, schemes: tuple[str, ...], name: str) -> Target:
        if parts.scheme not in schemes:
            raise UriError(f"{name}: addresses of {' or '.join(schemes)} are read, not of {parts.scheme or 'none'}")
        host = parts.hostname or ""
        if not host or re.search(r"[\s/\\?#@<>]", host):
            raise UriError(f"{name}: there is no host in it")
        if ":" not in host:
            host = host.encode("idna").decode("ascii")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if re.search(CONTROL, user + password):
            raise UriError(f"{name}: there are control characters in it")
        port = PORTS[parts.scheme] if parts.port is None else parts.port
        query = f"?{parts.query}" if parts.query else ""
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port,
            path=quote((parts.path or "/") + query, safe=_SAFE),
            user=None if parts.username is None else user,
            password=password,
            name=name,
        )

    def redirected(self, location: str) -> Target:
        """Give where a redirect leads. Who signed in here is signed in there only if it is the same server."""
        base = f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}{self.path}"
        target = Target.parse(urljoin(base, location), schemes=("http", "https"))
        same = (target.scheme, target.host, target.port) == (self.scheme, self.host, self.port)
        if not same or target.user is not None:
            return target
        return replace(target, user=self.user, password=self.password)

    @property
    def file_name(self) -> str:
        """The last part of the path, decoded; empty if there is none."""
        return base_name(unquote(self.path.partition("?")[0].rpartition("/")[2]))


def base_name(text: str) -> str:
    """Give a name that names no folder and shows as it is."""
    name = shown(text.replace("\\", "/").rpartition("/")[2]).strip()
    return "" if name in (".", "..") else name


def shown(text: str) -> str:
    """Give what a stranger has written as one line that a terminal can take."""
    kept = "".join(char if char.isprintable() else "?" for char in text)
    return kept if len(kept) <= 300 else kept[:297] + "..."
