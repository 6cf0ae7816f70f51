"""Gate: says which keys are let in. ZeroMQ asks it (RFC 27, ZAP), once for each connection with keys.

Without somebody who answers, CURVE lets in every key that there is.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import zmq

__all__ = ["Gate"]

_WHERE = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_PARTS = 7  # version, request, domain, address, identity, mechanism, the key


class Gate:
    """Answers the sockets of one context.

    Parameters
    ----------
    context : zmq.Context
        Whose connections are asked about.
    lets_in : callable
        Tells of a public key, in text, whether it is let in.
    refused : callable
        Is told of each that is not: from where it came.
    """

    def __init__(
        self, context: zmq.Context[Any], lets_in: Callable[[bytes], bool], refused: Callable[[str], None]
    ) -> None:
        import zmq
        from zmq.utils import z85

        self._lets_in, self._refused = lets_in, refused
        self._nothing, self._dontwait, self._text = zmq.Again, zmq.DONTWAIT, z85.encode
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(_WHERE)

    def heard(self) -> None:
        """Answer all that is asked."""
        with contextlib.suppress(self._nothing):
            while True:
                *route, version, request, domain, address, identity, mechanism, key = self._asked()
                del domain, identity
                good = version == _VERSION and mechanism == b"CURVE" and self._lets_in(self._text(key))
                if not good:
                    self._refused(address.decode("ascii", "replace"))
                answer = [b"200", b"OK", b"reader", b""] if good else [b"400", b"this key is not let in", b"", b""]
                self.socket.send_multipart([*route, _VERSION, request, *answer], self._dontwait)

    def _asked(self) -> list[bytes]:
        while True:
            parts: list[bytes] = self.socket.recv_multipart(self._dontwait)
            if len(parts) >= _PARTS and len(parts[-1]) == 32:
                return parts

    def close(self) -> None:
        """Answer no more."""
        self.socket.close()
