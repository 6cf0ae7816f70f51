"""Makes the stand-in programs: `program.py` under a name, with settings, for the interpreter that runs the tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FakeMaker"]

_BODY = Path(__file__).with_name("program.py")
_VERSIONS = {
    "ffmpeg": "7.1-fake",
    "ffprobe": "7.1-fake",
    "magick": "7.1.1-43 Q16-HDRI",
    "convert": "6.9.11-60 Q16",
    "identify": "6.9.11-60 Q16",
    "gs": "GPL Ghostscript 10.00.0",
}


class FakeMaker:
    """Writes programs that play a bad ffmpeg, each into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(
        self,
        who: str = "ffmpeg",
        behaviour: str = "works",
        *,
        frames: Sequence[bytes] = (),
        folder: Path | None = None,
        **settings: Any,
    ) -> Path:
        """Make one.

        Parameters
        ----------
        who : str
            Whose name and banner it has: ``ffmpeg``, ``ffprobe``, ``magick``, ``convert``, ``identify`` or ``gs``.
        behaviour : str
            A function of `program.py`: what it does when asked anything but its version and abilities.
        frames : sequence of bytes
            What it sends, where its behaviour is to send.
        folder : Path
            Where to put it; a new folder by default.
        **settings
            ``version``; ``manner`` (``honest``, ``stranger``, ``mute``, ``fail``, ``hang``) of answering
            ``-version``; ``asked``, a file that gets a line for every such question; and what the
            behaviours read.
        """
        self._count += 1
        folder = folder or self._folder / str(self._count)
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / who
        settings = {"who": who, "behaviour": behaviour, "version": _VERSIONS[who], **settings}
        settings["frames"] = [frame.hex() for frame in frames]
        program.with_name(who + ".json").write_text(json.dumps(settings, default=str))
        # -I and -S: nothing of ours gets in, and the start is quick.
        program.write_text(f"#!{sys.executable} -IS\n{_BODY.read_text()}")
        program.chmod(0o755)
        return program
