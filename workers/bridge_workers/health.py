"""Health: whether a worker lives and is ready, and what it has done, over http for whoever watches machines.

``/livez`` answers while the process does, ``/readyz`` says whether it takes work (503 and the reason where not),
``/metrics`` gives numbers in the text form of Prometheus. No names of files or jobs leave the machine this way.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Health", "Metric", "Metrics"]

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_SLOW = 5.0  # seconds that a client may take


@dataclass(slots=True)
class Metric:
    """One number, or one for each of some labels.

    Attributes
    ----------
    kind : {"counter", "gauge", "histogram"}
        Prometheus' words.
    help : str
        What it counts, with its unit.
    buckets : tuple of float
        Upper ends, of a histogram.
    """

    kind: str
    help: str
    buckets: tuple[float, ...] = ()
    values: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)
    seen: list[float] = field(default_factory=list)  # of a histogram: counts by bucket, then the sum


class Metrics:
    """The numbers of one worker; may be changed from any thread.

    Examples
    --------
    >>> metrics = Metrics(frames_total=Metric("counter", "Frames that were encoded."))
    >>> metrics.add("frames_total", 25)
    >>> print(metrics.text(), end="")
    # HELP framebridge_frames_total Frames that were encoded.
    # TYPE framebridge_frames_total counter
    framebridge_frames_total 25
    """

    def __init__(self, **metrics: Metric) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()

    def add(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter or gauge."""
        with self._lock:
            values, key = self._metrics[name].values, tuple(sorted(labels.items()))
            values[key] = values.get(key, 0) + amount

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._metrics[name].values[tuple(sorted(labels.items()))] = value

    def observe(self, name: str, value: float) -> None:
        """Take a value into a histogram."""
        with self._lock:
            metric = self._metrics[name]
            metric.seen = metric.seen or [0.0] * (len(metric.buckets) + 2)
            for at, bound in enumerate((*metric.buckets, float("inf"))):
                metric.seen[at] += value <= bound
            metric.seen[-1] += value

    def text(self) -> str:
        """Give all as Prometheus reads it."""
        with self._lock:
            lines = [line for name, metric in self._metrics.items() for line in _lines(f"framebridge_{name}", metric)]
        return "\n".join([*lines, ""])


def _lines(name: str, metric: Metric) -> list[str]:
    lines = [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
    if metric.kind != "histogram":
        return lines + [f"{name}{_labels(dict(key))} {value:.17g}" for key, value in (metric.values or {(): 0}).items()]
    counts = metric.seen or [0.0] * (len(metric.buckets) + 2)
    ends = [f"{bound:g}" for bound in metric.buckets] + ["+Inf"]
    lines += [f'{name}_bucket{{le="{end}"}} {count:.17g}' for end, count in zip(ends, counts, strict=False)]
    return [*lines, f"{name}_sum {counts[-1]:.17g}", f"{name}_count {counts[-2]:.17g}"]


def _labels(labels: Mapping[str, str]) -> str:
    said = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Health:
    """Answers for a worker, in threads of its own. A context manager.

    Parameters
    ----------
    metrics : Metrics
        The numbers.
    ready : callable
        Says why no work is taken; empty if it is.
    address : str
        ``PORT`` or ``HOST:PORT``; the loopback address where no host is named. Port 0 is any that is free.
    refresh : callable
        Is called before the numbers are told, for those that have to be looked up.
    """

    def __init__(
        self,
        metrics: Metrics,
        ready: Callable[[], str],
        address: str = "0",
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        host, _, port = address.rpartition(":")
        self._server = ThreadingHTTPServer(
            (host.strip("[]") or "127.0.0.1", int(port)), _handler(metrics, ready, refresh)
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="framebridge-health", daemon=True)

    @property
    def port(self) -> int:
        """The port at which it answers."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        """Begin to answer, and say where."""
        self._thread.start()
        print(f"framebridge-worker: health at port {self.port}", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(metrics: Metrics, ready: Callable[[], str], refresh: Callable[[], None]) -> type[BaseHTTPRequestHandler]:
    def of_metrics() -> tuple[int, str]:
        refresh()
        return 200, metrics.text()

    def of_readiness() -> tuple[int, str]:
        why = ready()
        return (503, f"{why}\n") if why else (200, "ready\n")

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        timeout = _SLOW
        server_version = "framebridge"
        sys_version = ""
        pages: ClassVar[dict[str, Callable[[], tuple[int, str]]]] = {
            "/livez": lambda: (200, "alive\n"),
            "/readyz": of_readiness,
            "/metrics": of_metrics,
        }

        def do_GET(self) -> None:
            """Answer. Called by the server."""
            page = self.pages.get(self.path.partition("?")[0])
            status, text = page() if page else (404, "there are /livez, /readyz and /metrics\n")
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", _TEXT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: watchers ask every few seconds."""

    return Handler
