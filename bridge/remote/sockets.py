"""ZeroMQ as workers and readers use it: bounded queues, bounded messages, no wait without end.

Its own heartbeats are not used: libzmq 4.3.5 aborts the process when one is due to a peer that has gone while the
queue of what came from it was full. The kernel finds what is cut off, by probes of TCP; readers ask for signs of life.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bridge.errors import UriError

if TYPE_CHECKING:
    import zmq

    from bridge.limits import Limits

__all__ = ["CONTROL", "MEMORY", "limited", "reachable"]

CONTROL, MEMORY = "control", "memory"  # the names of a worker's two sockets in its folder
_LONGEST = 107  # bytes in the name of a local socket


def limited(socket: zmq.Socket[Any], limits: Limits) -> zmq.Socket[Any]:
    """Put a socket under the limits; before it is bound or connected."""
    import zmq

    for option, value in (
        (zmq.LINGER, round(limits.zmq_linger * 1000)),
        (zmq.MAXMSGSIZE, limits.zmq_message),
        (zmq.RCVHWM, limits.zmq_queue),
        # Of what is sent the large part is bounded by credit, and the small must not be lost.
        (zmq.SNDHWM, 64 * limits.zmq_queue),
        (zmq.HANDSHAKE_IVL, round(limits.zmq_handshake * 1000)),
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, _seconds(limits.zmq_beat)),
        (zmq.TCP_KEEPALIVE_INTVL, _seconds(limits.zmq_beat)),
        (zmq.TCP_KEEPALIVE_CNT, max(1, _seconds(limits.zmq_lost) - _seconds(limits.zmq_beat))),
        (zmq.TCP_MAXRT, round(limits.zmq_lost * 1000)),
        (zmq.RECONNECT_IVL, 50),
        (zmq.RECONNECT_IVL_MAX, 1000),
    ):
        socket.setsockopt(option, value)
    return socket


def _seconds(time: float) -> int:
    """Give whole seconds, at least one: the kernel has no smaller ones."""
    return max(1, round(time))


def reachable(folder: str) -> str:
    """Give a folder back, if sockets in it can be named.

    Raises
    ------
    UriError
        If its name is too long for that.
    """
    longest = _LONGEST - len(CONTROL) - 1
    if len(os.fsencode(folder)) > longest:
        raise UriError(
            f"{folder}: sockets of a worker cannot be in a folder whose name has more than {longest} bytes; "
            "set TMPDIR to one with a shorter name"
        )
    return folder
