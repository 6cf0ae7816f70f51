"""What a download may cost, and the deadlines and permissions of one."""

from __future__ import annotations

import contextlib
import ftplib
import http.client
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.core.address import shown
from bridge.core.public import is_public
from bridge.core.spool import Spool
from bridge.errors import BridgeError, ForbiddenUri, LimitExceeded, TruncatedMedia, UriError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.core.wire import Found

__all__ = ["HttpLimits", "Trip", "reason"]

_BROKEN = (ConnectionError, ssl.SSLEOFError, EOFError, http.client.IncompleteRead)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a download may cost; all times are seconds on the monotonic clock.

    Errors name a limit as `bridge.Limits` does: ``http_connect`` for `connect`.

    Attributes
    ----------
    connect : float
        For each server: looking its name up, connecting, and agreeing on the encryption.
    stall : float
        From one piece to the next.
    total : float
        For all of it, redirects included.
    bytes : int
        Most bytes of the content, decompressed.
    redirects : int
        How many redirects are followed.
    rate : float or None
        Fewest bytes a second, on average, once the content has been coming for `stall` seconds.
    public : bool
        Whether only public addresses are asked. Otherwise a public server cannot redirect to others, either.
    """

    connect: float = 5.0
    stall: float = 10.0
    total: float = 60.0
    bytes: int = 1 << 30
    redirects: int = 5
    rate: float | None = None
    public: bool = False


class Trip:
    """One download's deadlines and permissions, over all its connections."""

    def __init__(self, limits: HttpLimits, name: str) -> None:
        self.limits = limits
        self.name = name
        self._only_public = limits.public
        self._begin = time.monotonic()
        self._end = self._begin + limits.total

    def patience(self, limit: str, begin: float | None = None) -> float:
        """Give the seconds that may be waited now, by that limit since `begin` and by the total; or raise."""
        now = time.monotonic()
        left = self._end - now
        if left <= 0:
            raise self.late("total")
        own: float = getattr(self.limits, limit) - (0 if begin is None else now - begin)
        if own <= 0:
            raise self.late(limit)
        return min(own, left)

    def late(self, limit: str) -> LimitExceeded:
        """Give the error of a deadline; the total one if that has passed as well."""
        if time.monotonic() >= self._end:
            limit = "total"
        what = {
            "connect": "no connection to the server after",
            "stall": "the server has sent nothing for",
            "total": "the download was not complete after",
        }[limit]
        seconds: float = getattr(self.limits, limit)
        return LimitExceeded(
            f"{self.name}: {what} {seconds:g} seconds, which is the limit http_{limit}={seconds:g};"
            f" raise it with limits=bridge.Limits(http_{limit}=...)"
        )

    def check_rate(self, count: int, begin: float) -> None:
        """Refuse a server that sends, but so little that it only keeps us."""
        seconds = time.monotonic() - begin
        least = self.limits.rate
        if least is not None and seconds > self.limits.stall and count < least * seconds:
            raise LimitExceeded(
                f"{self.name}: only {count / seconds:.0f} bytes a second came, fewer than the limit"
                f" http_rate={least:g} allows; lower it with limits=bridge.Limits(http_rate=...)"
            )

    def check_packed(self, count: int) -> None:
        """Refuse content that, still compressed, is more than it may be: it can be any amount that means nothing."""
        if count > self.limits.bytes:
            raise LimitExceeded(
                f"{self.name}: {count} bytes or more of compressed content, more than the limit"
                f" http_bytes={self.limits.bytes} allows; raise it with limits=bridge.Limits(http_bytes=...)"
            )

    def permitted(self, found: list[Found]) -> list[Found]:
        """Give those addresses that we may connect to: once a public server was asked, only public ones."""
        public = [one for one in found if is_public(one.address)]
        kept = public if self._only_public else found
        if not kept:
            raise self._forbidden(", ".join(str(one.address) for one in found[:3]))
        self._only_public = len(kept) == len(public)
        return kept

    def _forbidden(self, addresses: str) -> ForbiddenUri:
        if not self.limits.public:
            return ForbiddenUri(
                f"{self.name}: a public server redirects to {addresses}, which is not public; if you trust it, give"
                " that address yourself"
            )
        return ForbiddenUri(
            f"{self.name}: its host is {addresses or 'nowhere'}, and the limit http_public=True allows public addresses"
            " only; if you trust it, lift it with limits=bridge.Limits(http_public=False)"
        )

    def spool(self) -> Spool:
        """Make what the content goes into."""
        return Spool(self.limits.bytes, name=self.name, limit="http_bytes")

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn what the standard library raises into our errors."""
        try:
            yield
        except BridgeError:
            raise
        except _BROKEN as error:
            raise TruncatedMedia(f"{self.name}: the server closed the connection early") from error
        except TimeoutError as error:  # all other waits are told where they end
            raise self.late("connect") from error
        except OSError as error:  # before ValueError, which the certificate's error is as well
            if getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING":  # OpenSSL 3, in older Pythons
                raise TruncatedMedia(f"{self.name}: the server closed the connection early") from error
            raise UriError(f"{self.name}: {reason(error)}") from error
        except (http.client.HTTPException, ftplib.Error, ValueError) as error:
            text = shown(str(error)) or type(error).__name__
            raise UriError(f"{self.name}: the server's answer makes no sense: {text}") from error


def reason(error: OSError) -> str:
    """Give what the system says, for a message."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    return shown(error.strerror or str(error))
