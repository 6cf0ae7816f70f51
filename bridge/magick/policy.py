"""The policy that ImageMagick works under: ours, and whole, for releases 6 and 7. Pure: limits in, XML out.

A policy found by ``MAGICK_CONFIGURE_PATH`` comes before the system's and wins for numbers, also
upwards, so it leaves none out; what either of both refuses stays refused.
Debian's own lets PostScript through under other names and has no limit on the number of pictures.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from bridge.magick.pictures import PICTURES
from bridge.process.child import run
from bridge.process.isolation import box_for

if TYPE_CHECKING:
    from bridge.limits import Limits

__all__ = ["boxed", "policy", "refuses_postscript"]

_NAME = "policy.xml"
# What is read and written between the programs, and profiles.
_BETWEEN = ("PAM", "PNM", "PGM", "PPM", "PBM", "ICC", "ICM")
_STRANGERS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_CLOSED = (
    '<policy domain="delegate" rights="none" pattern="*"/>',
    '<policy domain="filter" rights="none" pattern="*"/>',
    '<policy domain="coder" rights="none" pattern="*"/>',
)


def policy(limits: Limits, *, writing: bool = False, lasting: bool = False) -> bytes:
    """Write the policy of a call. What we write is ours, whoever is not trusted.

    Pixels are kept in memory alone: 8 bytes each, 16 where the build counts in floats. ImageMagick counts its time
    from its start on, so in a process that lasts only we look at the clock.
    """
    resources = [row for row in _resources(limits) if not (lasting and row[0] == "time")]
    rules = [f'<policy domain="resource" name="{name}" value="{value}"/>' for name, value in resources]
    rules.append('<policy domain="path" rights="none" pattern="@*"/>')
    if limits.trust != "trusted":
        strange = limits.trust == "untrusted" and not writing
        coders = _STRANGERS if strange else sorted({row.coder.upper() for row in PICTURES if not row.dpi})
        allowed = ",".join((*coders, *_BETWEEN))
        rules += [*_CLOSED, f'<policy domain="coder" rights="read | write" pattern="{{{allowed}}}"/>']
    return "\n".join(("<policymap>", *rules, "</policymap>\n")).encode()


def _resources(limits: Limits) -> list[tuple[str, str]]:
    trusted = limits.trust == "trusted"
    return [
        ("memory", f"{limits.magick_memory}B"),
        ("map", "4GiB" if trusted else "0B"),
        ("disk", "16GiB" if trusted else "0B"),
        ("area", "1EP"),
        ("width", str(limits.side)),
        ("height", str(limits.side)),
        ("list-length", str(limits.magick_pictures)),
        ("thread", "1"),
        ("time", str(math.ceil(limits.still))),
    ]


def refuses_postscript(limits: Limits, convert: str) -> bool:
    """Try it: whether ImageMagick, under our policy, refuses to have PostScript run under another name."""
    said = run(
        (convert, "epi:-", "pam:-"),
        subject="a trial of the policy",
        seconds=limits.still,
        **boxed(limits),
    )
    return not said.exit.ok and "policy" in said.exit.stderr


@functools.lru_cache(maxsize=16)
def boxed(limits: Limits, *, writing: bool = False, lasting: bool = False) -> dict[str, Any]:
    """Give what every child of ImageMagick is started with: its box, a private folder, and the policy in that.

    One that is to last gives itself, picture by picture, the CPU time that the others have for their only one.
    """
    work = "encoder" if writing else "worker" if lasting else "magick"
    files = {_NAME: policy(limits, writing=writing, lasting=lasting)}
    return {"box": box_for(limits, work), "scratch": True, "files": files}
