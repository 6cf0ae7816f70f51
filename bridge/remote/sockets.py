"""ZeroMQ as workers and readers use it: bounded queues, bounded messages, heartbeats, no wait without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import zmq

    from bridge.limits import Limits

__all__ = ["CONTROL", "MEMORY", "limited"]

CONTROL, MEMORY = "control", "memory"  # the names of a worker's two sockets in its folder


def limited(socket: zmq.Socket[Any], limits: Limits) -> zmq.Socket[Any]:
    """Put a socket under the limits; before it is bound or connected."""
    import zmq

    beat = round(limits.zmq_beat * 1000)
    for option, value in (
        (zmq.LINGER, round(limits.zmq_linger * 1000)),
        (zmq.MAXMSGSIZE, limits.zmq_message),
        (zmq.RCVHWM, limits.zmq_queue),
        # Of what is sent the large part is bounded by credit, and the small must not be lost.
        (zmq.SNDHWM, 64 * limits.zmq_queue),
        (zmq.HANDSHAKE_IVL, round(limits.zmq_handshake * 1000)),
        (zmq.HEARTBEAT_IVL, beat),
        (zmq.HEARTBEAT_TIMEOUT, round(limits.zmq_lost * 1000)),
        (zmq.RECONNECT_IVL, 50),
        (zmq.RECONNECT_IVL_MAX, 1000),
    ):
        socket.setsockopt(option, value)
    return socket
