"""A stand-in for ffmpeg, ffprobe or ImageMagick: answers who it is, then behaves as its settings say.

Never imported: `tests.fakes.programs` copies this text below a ``#!`` line. What to be and what to do stand
in a JSON file beside the copy, as the environment of a child is clean.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ME = Path(sys.argv[0])
SETTINGS: dict[str, Any] = json.loads(ME.with_name(ME.name + ".json").read_text())
FRAMES = [bytes.fromhex(frame) for frame in SETTINGS.get("frames", ())]

BANNERS = {
    "ffmpeg": "ffmpeg version {} Copyright (c) 2000-2099 the FFmpeg developers\nlibavcodec     61. 19.100 / 61. 19.100",
    "ffprobe": "ffprobe version {} Copyright (c) 2007-2099 the FFmpeg developers",
    "magick": "Version: ImageMagick {} x86_64 22345 https://imagemagick.org",
    "convert": "Version: ImageMagick {} x86_64 2021-01-25 https://imagemagick.org",
    "identify": "Version: ImageMagick {} x86_64 2021-01-25 https://imagemagick.org",
    "gs": "{} (2022-09-21)\nCopyright (C) 2022 Artifex Software, Inc.  All rights reserved.",
}
LISTS = {
    "-demuxers": "File formats:\n D. = Demuxing\n --\n D  mov,mp4 QuickTime\n D  nut NUT\n",
    "-muxers": "File formats:\n .E = Muxing\n --\n  E mp4 MP4\n  E nut NUT\n",
    "-decoders": "Decoders:\n V..... = Video\n ------\n V....D h264 H.264\n",
    "-encoders": "Encoders:\n V..... = Video\n ------\n V....D fakevideo Nothing\n",
    "-filters": "Filters:\n  T.. = Timeline support\n ... scale V->V Scale.\n",
    "-pix_fmts": "Pixel formats:\nFLAGS NAME\n-----\nIO... rgb24 3 24 8-8-8\n",
    "-devices": "Devices:\n D. = Demuxing\n --\n D  lavfi Virtual\n",
    "-list": "   Format  Module    Mode  Description\n----\n      PNG* PNG       rw-   Portable\n",
}


def say(text: str) -> None:
    os.write(2, text.encode())


def send(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def send_frames() -> None:
    for frame in FRAMES:
        send(frame)


def sleep() -> None:
    while True:
        time.sleep(60)


def works() -> int:
    send_frames()
    return 0


def hang() -> int:
    send_frames()
    sleep()
    return 0


def half() -> int:
    """One frame, and half of the next: the first entry is the header and a frame, the second the other."""
    send(FRAMES[0])
    send(FRAMES[1][: len(FRAMES[1]) // 2])
    return 0


def flood() -> int:
    """Megabytes of complaints, before each frame and after the last."""
    complaint = (b"[h264 @ 0x55aa] something is wrong with this macroblock\n" * 1200)[: 1 << 16]
    for frame in [*FRAMES, b""]:
        for _ in range(SETTINGS.get("pieces", 48)):
            os.write(2, complaint)
        send(frame)
    return 0


def deaf() -> int:
    """Does not end when asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    send(b"deaf\n")
    sleep()
    return 0


def shout() -> int:
    """Does not end when asked to, and never stops talking."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    send(b"shout\n")
    never_silent()
    return 0


def never_silent() -> None:
    """Talk faster than anybody can listen."""
    for _ in range(2):
        if not os.fork():
            break
    while True:
        with contextlib.suppress(OSError):
            os.write(2, bytes(1 << 18))


def nag() -> int:
    """Says something now and then, and does nothing."""
    while True:
        say("still here\n")
        time.sleep(0.05)


def silent() -> int:
    return 0


def fails() -> int:
    send_frames()
    say(SETTINGS.get("words", "Invalid data found when processing input\n"))
    return int(SETTINGS.get("code", 1))


def dies() -> int:
    send_frames()
    say("about to die\n")
    os.kill(os.getpid(), SETTINGS.get("signal", signal.SIGKILL))
    return 0


def lies() -> int:
    """The frame says that it is larger than what comes."""
    send(FRAMES[0][: -SETTINGS.get("short", 1)])
    return 0


def chatters() -> int:
    """What it sends is no stream of frames."""
    send(b"Hello! Usage: this is no media stream.\n" * 200)
    return 0


def parent() -> int:
    """Leaves somebody behind who keeps the pipes open; the name of that process goes to a file."""
    child = os.fork()
    if not child:
        if SETTINGS.get("loud"):
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            never_silent()
        sleep()
    Path(SETTINGS["note"]).write_text(str(child))
    send_frames()
    if SETTINGS.get("stay"):
        sleep()
    return 0


def rude() -> int:
    say("\x1b[31mred\x1b[0m \x07bell \x1b]0;title\x07 \x9bC1\n")
    return 1


def stuffed() -> int:
    """Takes no input, but keeps the pipe open."""
    sleep()
    return 0


def picky() -> int:
    """Reads a little, then closes its input and complains."""
    os.read(0, 10)
    os.close(0)
    say("I do not like this\n")
    return 1


def eats() -> int:
    """Takes all its input and tells how many bytes it was."""
    total = 0
    while piece := os.read(0, 1 << 16):
        total += len(piece)
    send(str(total).encode())
    return 0


def late() -> int:
    """Reads only after a while, so that who feeds it has to wait; then as `eats`."""
    time.sleep(SETTINGS.get("seconds", 0.5))
    return eats()


def confess() -> int:
    """Tells everything that it was given."""
    links = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links[link.name] = str(link.readlink())
    send(
        json.dumps(
            {
                "environ": dict(os.environ),
                "argv": sys.argv[1:],
                "session": os.getsid(0) == os.getpid(),
                "descriptors": links,
                "stdin": os.read(0, 100).decode(),
                "terminal": any(os.isatty(number) for number in range(3)),
            }
        ).encode()
    )
    return 0


BEHAVIOURS: dict[str, Callable[[], int]] = {
    function.__name__: function
    for function in (
        works, hang, half, flood, deaf, shout, nag, silent, fails, dies, lies, chatters, parent, rude, stuffed,
        picky, eats, late, confess,
    )
}  # fmt: skip


def version() -> int:
    """Answer ``-version``, or whatever the settings have instead of an answer."""
    if "asked" in SETTINGS:
        with Path(SETTINGS["asked"]).open("a") as out:
            out.write("asked\n")
    manner = SETTINGS.get("manner", "honest")
    if manner == "hang":
        sleep()
    if manner == "fail":
        say("cannot open shared object file\n")
        return 127
    if manner == "stranger":
        sys.stdout.write("convert: converts volumes from FAT to NTFS\n")
    elif manner == "honest":
        sys.stdout.write(BANNERS[SETTINGS["who"]].format(SETTINGS["version"]) + "\n")
    return 0


def main() -> int:
    if "-version" in sys.argv:
        return version()
    for option, text in LISTS.items():
        if option in sys.argv:
            sys.stdout.write(text)
            return 0
    return BEHAVIOURS[SETTINGS["behaviour"]]()


sys.exit(main())
